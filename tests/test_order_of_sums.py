"""Sums of polynomials in another order: found by rules, equal in value, taken where it pays."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.analysis.associate import associate
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.proof import agrees

TEXT = """
diagram spherical(Q: [q h k], K: [x h k], V: [x h e]) -> [q h e] {
  S[h q x] = Q[q h k] * K[x h k]
  z[h q] = sum[x](S[h q x]^2)
  P[h q x] = where(z[h q] > 0, S[h q x] / sqrt(z[h q]), 0)
  return O[q h e] = P[h q x] * V[x h e]
}
diagram causal_spherical(Q: [q h k], K: [x h k], V: [x h e]) -> [q h e] {
  S[h q x] = where(x <= q, Q[q h k] * K[x h k], 0)
  z[h q] = sum[x](S[h q x]^2)
  P[h q x] = where(z[h q] > 0, S[h q x] / sqrt(z[h q]), 0)
  return O[q h e] = P[h q x] * V[x h e]
}
diagram spherical_norm(Q: [q h k], K: [x h k], V: [x h e]) -> [q h e] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
  P[h q x] = S / (norm[x](S) + 1e-3)
  return O[q h e] = P[h q x] * V[x h e]
}
diagram linear(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  F[q k] = elu(Q) + 1
  G[x k] = elu(K) + 1
  S[q x] = F[q k] * G[x k]
  return O[q e] = S[q x] / (sum[x](S) + 1e-3) * V[x e]
}
diagram causal_linear(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  F[q k] = elu(Q) + 1
  G[x k] = elu(K) + 1
  S[q x] = where(x <= q, F[q k] * G[x k], 0)
  return O[q e] = S[q x] / (sum[x](S) + 1e-3) * V[x e]
}
diagram strictly_before(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = where(x < q, Q[q k] * K[x k], 0)
  return O[q e] = S[q x] * V[x e]
}
diagram from_the_end(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = where(x <= q + size(x) - size(q), Q[q k] * K[x k], 0)
  return O[q e] = S[q x] * V[x e]
}
diagram second_order(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k]
  W[q x] = 1 + S + S ^ 2 / 2
  return O[q e] = W[q x] / sum[x](W) * V[x e]
}
diagram cubes(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k]
  return O[q e] = S[q x] ^ 3 * V[x e]
}
diagram hidden_keys(Q: [q k], K: [x k], V: [x e], M: B[x]) -> [q e] {
  S[q x] = where(M[x], Q[q k] * K[x k], 0)
  return O[q e] = S[q x] ^ 2 * V[x e]
}
diagram chain(A: [a b], B_: [b c], C_: [c d]) -> [a d] {
  T[a c] = A[a b] * B_[b c]
  return Y[a d] = T[a c] * C_[c d]
}
"""
LIBRARY = ncdlang.loads(TEXT)
SHORT = {"h": 2, "k": 3, "e": 5}
LONG = {"cubes": 300, "causal_spherical": 460}

KEPT = {
    "softmax": "P = softmax[x](S)",
    "sigmoid": "P[q x] = sigmoid(S)",
    "a bound on scores": "P[q x] = max(S[q x], 0)",
    "absolute scores": "P[q x] = S / sum[x](abs(S))",
    "a window": "P[q x] = where(x <= q and q - x < 5, S[q x], 0)",
    "a given mask": "P[q x] = where(M[q x], S[q x], 0)",
    "a power that is no number": "P[q x] = S ^ 2.5",
}


def found_in(library: ncdlang.Library, name: str):
    diagram = library.program.diagram(name)
    assert diagram is not None
    opened = open_diagram(diagram)
    ((_, term),) = opened.results
    return opened, term, associate(opened.terms, term)


def given(name: str, sizes: dict[str, int], dtype: torch.dtype) -> list[torch.Tensor]:
    diagram = LIBRARY.program.diagram(name)
    assert diagram is not None
    generator = torch.Generator().manual_seed(1)
    made = []
    for wire in diagram.parameters:
        value = torch.randn([sizes[a.name] for a in wire.type.axes], generator=generator)
        made.append(value > 0 if wire.type.kind.name == "boolean" else value.to(dtype))
    return made


def as_written(module: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, *inputs: torch.Tensor):
    """What the module gives in the order of the equations, which an exported program has."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_exporting", lambda: True)
        return module(*inputs)


def error(made: torch.Tensor, wanted: torch.Tensor) -> float:
    norm = wanted.double().norm().item()
    return (made.double() - wanted.double()).norm().item() / (norm or 1.0)


NAMES = [n for n in LIBRARY.diagrams if n != "chain"]


@pytest.mark.parametrize("name", LIBRARY.diagrams)
def test_another_order_is_found(name: str) -> None:
    opened, term, found = found_in(LIBRARY, name)
    assert found is not None
    if not found.is_chunked:
        assert agrees(term, found.term)
    assert opened.terms.rank(term) != opened.terms.rank(found.term)


@pytest.mark.parametrize("case", KEPT)
def test_what_is_no_polynomial_keeps_its_scores(case: str) -> None:
    text = f"""diagram f(Q: [q k], K: [x k], V: [x e], M: B[q x]) -> [q e] {{
  S[q x] = Q[q k] * K[x k]
  {KEPT[case]}
  return O[q e] = P[q x] * V[x e]
}}
"""
    if case != "a given mask":
        text = text.replace(", M: B[q x]", "")
    library = ncdlang.loads(text)
    assert found_in(library, "f")[2] is None
    assert "reordered" not in library.source("f")


@pytest.mark.parametrize("name", NAMES)
def test_both_orders_are_equal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module(name)
    for q, x in ((0, 0), (1, 7), (2, 13), (61, 67), (127, 131), (129, 257), (300, 311)):
        inputs = given(name, SHORT | {"q": q, "x": x}, torch.float32)
        wide = [i.double() if i.is_floating_point() else i for i in inputs]
        wanted = as_written(module, monkeypatch, *wide)
        made = module.reordered(*inputs)
        assert made.shape == wanted.shape
        # Where there are fewer keys than their size, scores may all but vanish.
        if x > 50 or x == 0:
            assert error(made, wanted) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_order_follows_the_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module(name)
    calls: list[int] = []
    cls = type(module)
    whole = cls.reordered
    monkeypatch.setattr(cls, "reordered", lambda *a: (calls.append(1), whole(*a))[1])
    long = LONG.get(name, 400)
    for length, taken in ((4, False), (long * 4, True)):
        calls.clear()
        module(*given(name, SHORT | {"q": length, "x": length}, torch.float32))
        assert bool(calls) == taken
    calls.clear()
    module(*given(name, SHORT | {"q": long * 4, "x": long * 4}, torch.float16))
    assert not calls


@pytest.mark.parametrize("name", ["spherical", "causal_spherical", "second_order", "hidden_keys"])
def test_gradients_of_the_other_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module(name)
    inputs = given(name, SHORT | {"q": 140, "x": 150, "h": 1}, torch.float64)
    first = [i.clone().requires_grad_(i.is_floating_point()) for i in inputs]
    second = [i.clone().requires_grad_(i.is_floating_point()) for i in inputs]
    weight = torch.randn(module.reordered(*inputs).shape, dtype=torch.float64)
    (module.reordered(*first) * weight).sum().backward()
    (as_written(module, monkeypatch, *second) * weight).sum().backward()
    for own, other in zip(first, second, strict=True):
        if own.is_floating_point():
            assert error(own.grad, other.grad) < 1e-10
    small = given(name, SHORT | {"q": 3, "x": 9, "h": 1, "k": 2, "e": 2}, torch.float64)
    leaves = [i.requires_grad_(i.is_floating_point()) for i in small]
    assert torch.autograd.gradcheck(module.reordered, leaves)


def test_leading_axes_are_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module("causal_spherical")
    sizes = SHORT | {"q": 150, "x": 150}
    inputs = [
        torch.stack((i, 2 * i.flip(0))) for i in given("causal_spherical", sizes, torch.float64)
    ]
    wanted = as_written(module, monkeypatch, *inputs)
    assert error(module.reordered(*inputs), wanted) < 1e-10


def test_names_and_order_of_axes_mean_nothing() -> None:
    text = TEXT[TEXT.index("diagram spherical(") : TEXT.index("diagram causal_spherical")]
    pairs = [
        ("q", "zq"),
        ("x", "ax"),
        ("h", "mh"),
        ("k", "bk"),
        ("e", "ye"),
        ("S", "Ts"),
        ("z", "w"),
    ]
    renamed = text
    for old, new in pairs:
        renamed = re.sub(rf"\b{old}\b", new, renamed)
    renamed = renamed.replace("[mh zq ax]", "[ax mh zq]")
    first, second = (
        found_in(LIBRARY, "spherical")[2],
        found_in(ncdlang.loads(renamed), "spherical")[2],
    )
    assert first is not None
    assert second is not None
    back = {new: old for old, new in pairs}

    def terms(size: object) -> list[list[str]]:
        names = [re.findall(r"\w+", t.replace("size", "")) for t in str(size).split(" + ")]
        return sorted(sorted(back.get(n, n) for n in each) for each in names)

    assert terms(first.before) == terms(second.before)
    assert terms(first.after) == terms(second.after)


def test_s8_the_plan_takes_64_times_fewer_operations() -> None:
    opened, _, found = found_in(LIBRARY, "spherical")
    assert found is not None
    sizes = {
        s: {"q": 16384, "x": 16384, "h": 1, "k": 128, "e": 128}[s.name]
        for s in found.before.symbols()
    }
    products = found.before.evaluate(sizes) - 16384**2
    assert products == 4 * 16384**2 * 128
    # The last product of the quadratic form with the queries has no counterpart in the formula.
    assert products / (found.after.evaluate(sizes) - 2 * 16384 * 128) == 64
    shown = explain(make_plan(opened, sizes), "spherical", sizes, DEVICES["h200"])
    assert "138 GFLOP against 2.15 GFLOP" in shown
    assert "reordered takes less than 1/2 of the operations from x = q = 513 on" in shown


def test_the_threshold_is_where_the_choice_turns() -> None:
    _, _, found = found_in(LIBRARY, "spherical")
    assert found is not None
    by_name = {s.name: s for s in found.before.symbols()}
    for length, pays in ((512, False), (513, True)):
        sizes = {"h": 1, "k": 128, "e": 128, "q": length, "x": length}
        assert found.pays({by_name[n]: v for n, v in sizes.items()}) == pays


def test_degrees_that_do_not_pay() -> None:
    """Cubes of scores have k^3 features: far too many with 64 of them."""
    _, _, found = found_in(LIBRARY, "cubes")
    assert found is not None
    by_name = {s.name: s for s in found.before.symbols()}
    for k, pays in ((4, True), (64, False)):
        sizes = {"k": k, "e": 64, "q": 4096, "x": 4096}
        assert found.pays({by_name[n]: v for n, v in sizes.items()}) == pays


@pytest.mark.parametrize("name", ["spherical", "causal_spherical"])
def test_the_module_of_kernels_follows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    module = LIBRARY.module(name, backend="triton")
    plain = LIBRARY.module(name)
    for length in (40, 700):
        inputs = given(name, SHORT | {"h": 1, "q": length, "x": length}, torch.float32)
        wanted = as_written(plain, monkeypatch, *[i.double() for i in inputs])
        with torch.no_grad():
            assert error(module(*inputs), wanted) < 2e-6


def test_a_compiled_module_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module("spherical")
    compiled = torch.compile(module, fullgraph=True, backend="eager", dynamic=True)
    for length in (5, 200):
        inputs = given("spherical", SHORT | {"q": length, "x": length}, torch.float32)
        wanted = as_written(module, monkeypatch, *[i.double() for i in inputs])
        assert error(compiled(*inputs), wanted) < 1e-5


def test_an_exported_program_serves_all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = LIBRARY.module("spherical")
    inputs = given("spherical", SHORT | {"q": 40, "x": 50}, torch.float32)
    q, x = torch.export.Dim("q", min=2, max=4096), torch.export.Dim("x", min=2, max=4096)
    shapes = {"Q": {0: q}, "K": {0: x}, "V": {0: x}}
    exported = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes).module()
    more = given("spherical", SHORT | {"q": 200, "x": 300}, torch.float32)
    wanted = as_written(module, monkeypatch, *[i.double() for i in more])
    assert error(exported(*more), wanted) < 1e-5


def test_squares_never_turn_negative() -> None:
    """A row of scores that are all 0 gives 0, whatever rounding does to the sum of squares."""
    module = LIBRARY.module("spherical")
    q = torch.zeros(600, 2, 3)
    q[::2, :, 0] = 1.0
    k = torch.randn(600, 2, 3)
    k[..., 0] = 0.0
    q.requires_grad_()
    made = module(q, k, torch.randn(600, 2, 5))
    made.sum().backward()
    assert torch.equal(made, torch.zeros_like(made))
    assert torch.isfinite(q.grad).all()


def test_what_is_kept_for_other_reasons_is_no_gain() -> None:
    text = TEXT[TEXT.index("diagram spherical(") : TEXT.index("diagram causal_spherical")]
    text = text.replace("-> [q h e]", "-> ([q h e], [h q x])")
    text = text.replace(
        "return O[q h e] = P[h q x] * V[x h e]", "O[q h e] = P[h q x] * V[x h e]\n  return O, P"
    )
    library = ncdlang.loads(text)
    module = library.module("spherical")
    inputs = [torch.randn(900, 1, 3), torch.randn(900, 1, 3), torch.randn(900, 1, 2)]
    first, second = module(*inputs)
    assert error(first, torch.einsum("hqx,xhe->qhe", second, inputs[2])) < 1e-5


def test_the_command_shows_both_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from ncdlang.cli.main import main

    path = tmp_path / "spherical.ncd"
    path.write_text(TEXT, encoding="utf-8")
    sizes = {"q": 8192, "x": 8192, "h": 16, "k": 64, "e": 64}
    flags = list(itertools.chain(*(("--size", f"{n}={v}") for n, v in sizes.items())))
    assert main(["explain", str(path), "spherical", *flags]) == 0
    shown = capsys.readouterr().out
    assert "instead of  S" in shown
    assert re.search(r"cost +as written .* at least .*\n +reordered .* at least", shown)
