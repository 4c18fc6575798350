"""Softmax attention becomes `F.scaled_dot_product_attention`, and nothing else does."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch_judge import Case, assert_same, build, inputs, judge, judged, program, source

from ncdlang.semantics.types import Wire

CALL = "F.scaled_dot_product_attention"
QKV = "Q: [q h k], K: [x h k], V: [x h k]"
AT = {"q": 3, "x": 5, "h": 2, "k": 4, "g": 2, "r": 3, "y": 2, "l": 2, "v": 6, "w": 2}


def attention(
    scores: str,
    softmax: str = "softmax[x](S)",
    result: str = "P[h q x] * V[x h k]",
    types: str = f"({QKV}) -> [q h k]",
    axes: str = "h q x",
    **built: int,
) -> Case:
    """Scores, weights and result, with the named axes of the scores."""
    out = types.rpartition("-> ")[2]
    return Case(
        f"""diagram f{types} {{
          S[{axes}] = {scores}
          P = {softmax}
          return O{out} = {result}
        }}""",
        AT,
        built=built,
    )


def core(body: str, more: str = "") -> Case:
    return Case(f"diagram f({QKV}{more}) -> [q h k] {{\n{body}\n}}", AT)


SCORES = "Q[q h k] * K[x h k]"
MATCHES = {
    "plain": attention(f"{SCORES} / sqrt(size(k))"),
    "without a scale": attention(SCORES),
    "a literal scale": attention(f"0.3 * {SCORES}"),
    "a scale on the query": attention("(Q[q h k] / sqrt(size(k))) * K[x h k]"),
    "a tensor as scale": attention(f"{SCORES} * t", types=f"({QKV}, t: []) -> [q h k]"),
    "a negative scale": attention(f"-({SCORES}) * 2"),
    "a scaled result": attention(SCORES, result="P[h q x] * V[x h k] * 2"),
    "factors swapped": attention("K[x h k] * Q[q h k]", result="V[x h k] * P[h q x]"),
    "another order": attention(
        "K[x h k] * Q[q h k]",
        result="P[x q h] * V[x h k]",
        types=f"({QKV}) -> [k h q]",
        axes="x q h",
    ),
    "one head": attention(
        "Q[q k] * K[x k]",
        result="P[q x] * V[x v]",
        types="(Q: [q k], K: [x k], V: [x v]) -> [q v]",
        axes="q x",
    ),
    "one query": attention(
        "Q[h k] * K[x h k]",
        result="P[h x] * V[x h v]",
        types="(Q: [h k], K: [x h k], V: [x h v]) -> [h v]",
        axes="h x",
    ),
    "values without width": attention(
        "Q[q k] * K[x k]",
        result="P[q x] * V[x]",
        types="(Q: [q k], K: [x k], V: [x]) -> [q]",
        axes="q x",
    ),
    "several inner axes": attention(
        "Q[q k l] * K[x k l] / sqrt(size(k) * size(l))",
        result="P[q x] * V[x v w]",
        types="(Q: [q k l], K: [x k l], V: [x v w]) -> [q w v]",
        axes="q x",
    ),
    "several keys": attention(
        "Q[q k] * K[y x k]",
        softmax="softmax[y x](S)",
        result="P[q y x] * V[y x v]",
        types="(Q: [q k], K: [y x k], V: [y x v]) -> [q v]",
        axes="q y x",
    ),
    "many queries": attention(
        "Q[q h k] * K[x k]",
        result="P[h q x] * V[x k]",
        types="(Q: [q h k], K: [x k], V: [x k]) -> [q h k]",
    ),
    "many queries, causal": attention(
        "Q[q h k] * K[x k]",
        softmax="softmax[x](where(x <= q, S, -inf))",
        result="P[h q x] * V[x k]",
        types="(Q: [q h k], K: [x k], V: [x k]) -> [q h k]",
    ),
    "many queries, masked": attention(
        "Q[q h k] * K[x k]",
        softmax="softmax[x](where(m[h q x], S, -inf))",
        result="P[h q x] * V[x k]",
        types="(Q: [q h k], K: [x k], V: [x k], m: B[h q x]) -> [q h k]",
    ),
    "grouped queries": attention(
        "Q[q g r k] * K[x g k]",
        softmax="softmax[x](where(x <= q, S, -inf))",
        result="P[g r q x] * V[x g k]",
        types="(Q: [q g r k], K: [x g k], V: [x g k]) -> [q g r k]",
        axes="g r q x",
    ),
    "values for each query": attention(
        "Q[q k] * K[x k]",
        result="P[q x] * V[q x v]",
        types="(Q: [q k], K: [x k], V: [q x v]) -> [q v]",
        axes="q x",
    ),
    "keys for each view": attention(
        "Q[q k] * K[y x k]",
        result="P[y q x] * V[x v]",
        types="(Q: [q k], K: [y x k], V: [x v]) -> [q y v]",
        axes="y q x",
    ),
    "learned queries": Case(
        f"""diagram f[q](K: [x h k], V: [x h k]) -> [q h k] {{
          learn Q: [q h k]
          S[h q x] = {SCORES}
          P = softmax[x](S)
          return O[q h k] = P[h q x] * V[x h k] }}""",
        AT,
        built={"q": 3, "h": 2, "k": 4},
    ),
    "causal": attention(SCORES, softmax="softmax[x](where(x <= q, S, -inf))"),
    "causal the other way": attention(SCORES, softmax="softmax[x](where(x > q, -inf, S))"),
    "causal by negation": attention(SCORES, softmax="softmax[x](where(not (q < x), S, -inf))"),
    "causal in sums": attention(SCORES, softmax="softmax[x](where(x + 1 <= 1 + q, S, -inf))"),
    "causal in one line": core(
        f"""M[h q x] = where(x <= q, {SCORES} / sqrt(size(k)), -inf)
        P = softmax[x](M)
        return O[q h k] = P[h q x] * V[x h k]"""
    ),
    "masked and biased in one line": core(
        f"""M[h q x] = where(m[x],
          where(x <= q, {SCORES} / sqrt(size(k)) + (x - q) / s[h], -inf), -inf)
        P = softmax[x](M)
        return O[q h k] = P[h q x] * V[x h k]""",
        ", s: [h], m: B[x]",
    ),
    "strictly causal": attention(SCORES, softmax="softmax[x](where(x < q, S, -inf))"),
    "one ahead": attention(SCORES, softmax="softmax[x](where(x <= q + 1, S, -inf))"),
    "a window": attention(SCORES, softmax="softmax[x](where(x <= q and q - x < 2, S, -inf))"),
    "a mask by name": core(
        f"""S[h q x] = {SCORES}
        keep[q x] = x <= q
        P = softmax[x](where(keep, S, -inf))
        return O[q h k] = P[h q x] * V[x h k]"""
    ),
    "masked twice": core(
        f"""S[h q x] = {SCORES}
        M[h q x] = where(x <= q, where(m[x], S[h q x], -inf), -inf)
        P = softmax[x](M)
        return O[q h k] = P[h q x] * V[x h k]""",
        ", m: B[x]",
    ),
    "masked queries": attention(
        SCORES,
        softmax="softmax[x](where(m[q], S, -inf))",
        types=f"({QKV}, m: B[q]) -> [q h k]",
    ),
    "masked, then scaled": attention(
        SCORES, softmax="softmax[x](where(x <= q, S, -inf) / sqrt(size(k)))"
    ),
    "an added mask": attention(f"{SCORES} + where(x <= q, 0, -inf)"),
    "a bias": attention(f"({SCORES} - B[h q x]) * 0.3", types=f"({QKV}, B: [h q x]) -> [q h k]"),
    "scores taken from a bias": attention(
        f"(B[q x] - {SCORES}) * 0.3", types=f"({QKV}, B: [q x]) -> [q h k]"
    ),
    "a scale for each head": attention(f"({SCORES}) / s[h]", types=f"({QKV}, s: [h]) -> [q h k]"),
    "a positive scale for each row behind a mask": attention(
        SCORES,
        softmax="softmax[x](where(x <= q, S, -inf) * exp(s[q h]))",
        types=f"({QKV}, s: [q h]) -> [q h k]",
    ),
    "a bias behind a mask": attention(
        f"{SCORES} + s[h] * (x - q)",
        softmax="softmax[x](where(x <= q, S, -inf))",
        types=f"({QKV}, s: [h]) -> [q h k]",
    ),
    "in a pipeline": Case(
        """diagram f : ([q h k], [x h k], [x h k]) -> [q h k]
          = einsum[q h k, x h k -> h q x] >> scale[1 / sqrt(size(k))] >> softmax[x]
            >> einsum[h q x, x h k -> q h k]""",
        AT,
    ),
}
# Those whose mask is exactly PyTorch's own triangle.
CAUSAL = {
    "many queries, causal",
    "grouped queries",
    "causal",
    "causal the other way",
    "causal by negation",
    "causal in sums",
    "causal in one line",
    "a mask by name",
    "masked, then scaled",
    "a positive scale for each row behind a mask",
}

OTHERS = {
    "softmax over the queries": attention(SCORES, softmax="softmax[q](S)"),
    "softmax over the heads": attention(SCORES, softmax="softmax[h](S)"),
    "a term after the softmax": core(
        f"""S[h q x] = {SCORES}
        P[h q x] = softmax[x](S) + 0.1
        return O[q h k] = P[h q x] * V[x h k]"""
    ),
    "scores used twice": attention(SCORES, softmax="softmax[x](S + S)"),
    "weights used twice": core(
        f"""S[h q x] = {SCORES}
        P = softmax[x](S)
        W[q h k] = P[h q x] * K[x h k]
        return O[q h k] = P[h q x] * V[x h k] + W[q h k]"""
    ),
    "scores returned": Case(
        f"""diagram f({QKV}) -> ([q h k], [h q x]) {{
          S[h q x] = {SCORES}
          P = softmax[x](S)
          O[q h k] = P[h q x] * V[x h k]
          return O, S }}""",
        AT,
    ),
    "another fill": attention(SCORES, softmax="softmax[x](where(x <= q, S, -1e9))"),
    "a scale of unknown sign behind a mask": attention(
        SCORES,
        softmax="softmax[x](where(x <= q, S, -inf) * (t * t + 0.1))",
        types=f"({QKV}, t: []) -> [q h k]",
    ),
    "a scale for each key": attention(f"({SCORES}) * s[x]", types=f"({QKV}, s: [x]) -> [q h k]"),
    "heads summed": attention(SCORES, result="P[h q x] * V[x h k]", types=f"({QKV}) -> [q k]"),
    "queries summed": attention(
        SCORES, result="P[h q x] * Q[q h k]", types="(Q: [q h k], K: [x h k]) -> [x h k]"
    ),
    "two softmaxes": attention(SCORES, softmax="softmax[x](softmax[x](S))"),
    "a softmax of one's own": Case(
        f"""diagram softmax(S: [x]) -> [x] {{ return Y[x] = S / (1 + sum[x](S * S)) }}
        diagram f({QKV}) -> [q h k] {{
          S[h q x] = {SCORES}
          P = softmax(S)
          return O[q h k] = P[h q x] * V[x h k] }}""",
        AT,
    ),
}


@pytest.mark.parametrize("name", MATCHES)
def test_attention_is_found(name: str) -> None:
    case = MATCHES[name]
    text = source(case.text, sizes=case.sizes)
    assert CALL in text
    assert "softmax(" not in text[text.rindex("\nclass ") :]
    assert ("causal=True" in text) == (name in CAUSAL)
    judge(case)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_a_bias_with_a_gradient_is_added_in_plain_steps(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch has no kernel for it on the CPU. Rows that see nothing are 0, with gradient 0."""
    text = """
    diagram f(Q: [q k], K: [x k], V: [x e], b: [q x], M: B[q x]) -> [q e] {
      S[q x] = Q[q k] * K[x k] * 0.25 + b[q x]
      P = softmax[x](where(M[q x], S[q x], -inf))
      return O[q e] = P[q x] * V[x e]
    }
    """
    module = build(text, dtype="f32")
    torch.manual_seed(0)
    given = [torch.randn(shape) for shape in ((2, 3, 4, k), (3, 5, k), (5, 2), (4, 5))]
    shown = torch.rand(4, 5) > 0.3
    shown[2] = False
    learned = [each.requires_grad_() for each in given]
    asked: list[bool] = []
    original = F.scaled_dot_product_attention

    def spy(*args: torch.Tensor, **options: object) -> torch.Tensor:
        asked.append(True)
        return original(*args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    with torch.no_grad():
        by_library = module(*learned, shown)
    assert asked == [True]
    made = module(*learned, shown)
    assert asked == [True]
    torch.testing.assert_close(made, by_library)
    made.sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in learned)
    assert not made[..., 2, :].any()
    assert not learned[3].grad[2].any()


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_it(name: str) -> None:
    case = OTHERS[name]
    assert CALL not in source(case.text, sizes=case.sizes)
    judge(case)


MASKED = Case(
    f"""diagram f({QKV}, m: B[h q x], B: [h q x]) -> [q h k] {{
      S[h q x] = {SCORES} / sqrt(size(k)) + B
      P = softmax[x](where(m, S, -inf))
      return O[q h k] = P[h q x] * V[x h k] }}""",
    AT,
)


@pytest.mark.parametrize("dtype", ["f64", "f32", "bf16"])
@pytest.mark.parametrize("bias", [0.0, -math.inf])
def test_rows_without_a_key_are_zero(dtype: str, bias: float) -> None:
    formats = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16}
    module = build(MASKED.text, dtype=dtype)
    wires = module_wires(MASKED)
    arrays = inputs(wires, AT, [(2,)] * len(wires), dtype=formats[dtype])
    q, k, v, _, b = arrays
    mask = torch.ones(2, 2, 3, 5, dtype=torch.bool)
    mask[0, 1, 2] = bias != 0
    b = b.clone()
    b[0, 1, 2] += bias
    given = [array.requires_grad_() for array in (q, k, v, b)]
    out = module(q, k, v, mask, b)
    assert torch.equal(out[0, 2, 1], torch.zeros_like(out[0, 2, 1]))
    assert out[0, 2, 0].abs().sum() > 0
    gradients = torch.autograd.grad(out.float().square().sum(), given)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][0, 2, 1].any()


def module_wires(case: Case) -> tuple[Wire, ...]:
    diagram = program(case.text).diagram(case.name)
    assert diagram is not None
    return diagram.parameters


def test_softmax_of_nothing_but_minus_infinity() -> None:
    module = build("diagram f(S: [a x b]) -> [a x b] { return softmax[x](S) }")
    scores = torch.randn(2, 3, 4, dtype=torch.float64)
    scores[0, :, 1] = -math.inf
    scores[1, 0, 0] = -math.inf
    scores.requires_grad_()
    out = module(scores)
    assert not out[0, :, 1].any()
    torch.testing.assert_close(out.sum(1)[1], torch.ones(4, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(out.square().sum(), scores)
    assert gradient.isfinite().all()
    assert module(torch.zeros(2, 0, 4, dtype=torch.float64)).shape == (2, 0, 4)


def test_plain_softmax_where_no_row_can_be_empty() -> None:
    linear = """diagram f[v](X: [n m]) -> [n v] {
      learn W: [v m]
      L[n v] = W * X
      return softmax[v](L) }"""
    assert "torch.softmax(L, dim=-1)" in source(linear)
    masked = linear.replace("L[n v] = W * X", "L[n v] = where(v > n, W * X, -inf)")
    assert "_softmax(L, dim=-1)" in source(masked)


def test_leading_axes_are_flattened_to_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fast kernels want four dimensions: a fifth makes it many times slower."""
    ranks: list[int] = []
    real = F.scaled_dot_product_attention

    def spy(q: torch.Tensor, *rest: torch.Tensor, **options: object) -> torch.Tensor:
        ranks.append(q.dim())
        return real(q, *rest, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    case = MATCHES["causal"]
    checked = program(case.text)
    module, reference = judged(checked, "f", {})
    for lead in ((), (2,), (2, 3), (2, 1, 3), (0,), (2, 0)):
        arrays = inputs(module_wires(case), AT, [lead] * 3)
        assert_same(module(*arrays), reference(*arrays))
    assert set(ranks) == {4}
