"""The reference backend against NumPy written by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping

import numpy as np
import pytest

from backends.reference import ReferenceBackend, evaluate
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.primitives import ELEMENTWISE, REDUCTIONS
from ncdlang.semantics.program import (
    Apply,
    CheckedDiagram,
    CheckedProgram,
    Constant,
    Contract,
    Define,
    IndexValue,
    Read,
    Reduce,
)
from ncdlang.semantics.size import Size, Symbol, constant
from ncdlang.semantics.types import (
    BOOLEAN,
    COMPLEX,
    INTEGER,
    REAL,
    Affine,
    ArrayType,
    Axis,
    Kind,
    Wire,
    plain_index,
)
from ncdlang.source import Source, Span
from ncdlang.targets import Request, TargetError

NOWHERE = Span(Source("test", ""), 0, 0)
NATURAL = Kind("natural")


def checked(text: str, overrides: Mapping[str, int | float] | None = None) -> CheckedProgram:
    source = Source("test.ncd", textwrap.dedent(text))
    program, diagnostics = check_source(source, Project().find, overrides or {})
    assert not [d.message for d in diagnostics if d.severity == "error"]
    return program


def only(text: str) -> CheckedDiagram:
    """The last diagram of a text."""
    return checked(text).diagrams[-1]


def result(
    text: str,
    *inputs: np.ndarray,
    parameters: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> np.ndarray:
    """The one result of the last diagram of a text."""
    diagram = only(text)
    named = {w.name: a for w, a in zip(diagram.parameters, inputs, strict=True)}
    (value,) = evaluate(diagram, named, parameters, sizes).values()
    return value


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def softmax(scores: np.ndarray) -> np.ndarray:
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


# ---- whole diagrams -----------------------------------------------------------------------------

ATTENTION = """
    use std.nn.{linear}
    diagram attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
      S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
      P = softmax[x](S)
      return O[q h k] = P[h q x] * V[x h k]
    }
    diagram causal(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
      S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
      M[h q x] = where(x < q, S[h q x], -inf)
      P = softmax[x](M)
      return O[q h k] = P[h q x] * V[x h k]
    }
    diagram multi_head[h, k](X: [x m]) -> [x m] {
      learn Lq, Lk, Lv: linear[m -> h k]
      learn Lo: linear[h k -> m]
      block "Attention core" {
        C = attention(Lq(X), Lk(X), Lv(X))
      }
      return Lo(C)
    }
"""


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.einsum("qhk,xhk->hqx", q, k) / math.sqrt(q.shape[-1])
    return np.einsum("hqx,xhk->qhk", softmax(np.where(mask, scores, -np.inf)), v)


def test_attention_is_fast_enough_to_judge_with() -> None:
    q, k, v = (random(16, 2, 8, seed=seed) for seed in range(3))
    diagram = checked(ATTENTION).diagram("attention")
    assert diagram is not None
    start = time.perf_counter()
    (found,) = evaluate(diagram, {"Q": q, "K": k, "V": v}).values()
    assert time.perf_counter() - start < 2
    np.testing.assert_allclose(found, attention(q, k, v, np.ones((16, 16), bool)), rtol=1e-12)


def test_a_row_that_sees_nothing_is_zero() -> None:
    q, k, v = random(4, 2, 3), random(5, 2, 3, seed=1), random(5, 2, 3, seed=2)
    diagram = checked(ATTENTION).diagram("causal")
    assert diagram is not None
    (found,) = evaluate(diagram, {"Q": q, "K": k, "V": v}).values()
    mask = np.arange(5) < np.arange(4)[:, None]
    np.testing.assert_allclose(found, attention(q, k, v, mask), rtol=1e-12)
    assert not found[0].any()


def test_learned_layers_lift_over_positions() -> None:
    diagram = checked(ATTENTION).diagram("multi_head")
    assert diagram is not None
    x = random(5, 6)
    weights = {f"L{n}.weight": random(2, 4, 6, seed=s) for s, n in enumerate("qkv")}
    weights["Lo.weight"] = random(6, 2, 4, seed=9)
    (found,) = evaluate(diagram, {"X": x}, weights, {"h": 2, "k": 4}).values()
    q, k, v = (np.einsum("hkm,xm->xhk", weights[f"L{n}.weight"], x) for n in "qkv")
    core = attention(q, k, v, np.ones((5, 5), bool))
    np.testing.assert_allclose(found, np.einsum("mhk,xhk->xm", weights["Lo.weight"], core))


def test_convolution_windows_and_reshapes() -> None:
    x, w = random(9, 2), random(3, 4, 2, seed=1)
    conv = """
        diagram conv[j = 3, c'](X: [x c]) -> [x' c'] {
          learn W: [c' j c]
          return Y[x' c'] = W[c' j c] * X[2*x' + j, c]
        }
    """
    expected = [np.einsum("ojc,jc->o", w, x[2 * p : 2 * p + 4]) for p in range(3)]
    found = result(conv, x, parameters={"W": w}, sizes={"j": 4})
    np.testing.assert_allclose(found, expected)
    pool = "diagram f(X: [x]) -> [n] { axis n = size(x) // 4\n axis w = 4\n"
    pool += "W[n w] = X[4*n + w]\n return mean[w](W) }"
    np.testing.assert_allclose(result(pool, np.arange(11.0)), np.arange(8.0).reshape(2, 4).mean(1))
    merge = "diagram f(X: [x h k]) -> [x, (h k)] { return Y[x, (h k)] = X[x h k] }"
    cube = random(2, 3, 4)
    np.testing.assert_array_equal(result(merge, cube), cube.reshape(2, 12))
    upsample = "diagram f[r = 2](X: [x c]) -> [(x r), c] { return Y[(x r), c] = X[x c] }"
    np.testing.assert_array_equal(result(upsample, cube[0]), np.repeat(cube[0], 2, 0))
    split = "diagram f[h](X: [x, (h k)]) -> [h x k] { return Y[h x k] = X[x, (h k)] }"
    np.testing.assert_array_equal(
        result(split, cube.reshape(2, 12), sizes={"h": 3}), cube.transpose(1, 0, 2)
    )
    flip = "diagram f(X: [x]) -> [x] { return Y[x] = X[size(x) - 1 - x] }"
    np.testing.assert_array_equal(result(flip, np.arange(4.0)), np.arange(4.0)[::-1])


def test_a_branch_counts_only_where_it_is_chosen() -> None:
    safe = "diagram f(R: [x]) -> [x] { return Y[x] = where(R > 0, 1 / R, 0) }"
    np.testing.assert_array_equal(result(safe, np.array([0.0, 2.0, -1.0])), [0, 0.5, 0])
    shift = "diagram f(X: [x]) -> [x] { return Y[x] = where(x >= 2, X[x - 2], 0) }"
    np.testing.assert_array_equal(result(shift, np.arange(1.0, 5.0)), [0, 0, 1, 2])


def test_gathers() -> None:
    text = "diagram f(E: [v m], tok: N(v)[n]) -> [n m] { return Y[n m] = E[tok[n], m] }"
    table = random(5, 3)
    np.testing.assert_array_equal(result(text, table, np.array([4, 0, 4])), table[[4, 0, 4]])
    with pytest.raises(ValueError, match=r"index `tok\[n\]` is 5 at n = 1, but axis `v` of `E`"):
        result(text, table, np.array([0, 5]))
    with pytest.raises(ValueError, match="is -1"):
        result(text, table, np.array([-1]))


def test_several_results_and_learned_vectors() -> None:
    text = """
        diagram f(X: [x]) -> ([x], []) {
          learn b: [x]
          A[x] = X + b
          return A, sum[x](A)
        }
    """
    x, b = random(4), random(4, seed=1)
    first, second = evaluate(only(text), {"X": x}, {"b": b}).values()
    np.testing.assert_array_equal(first, x + b)
    np.testing.assert_allclose(second, (x + b).sum())


def test_leading_axes_are_lifted_from_the_right() -> None:
    text = "diagram f(A: [x], B: [x y]) -> [y] { return Y[y] = A[x] * B[x y] }"
    a, b = random(2, 1, 3), random(5, 3, 4, seed=1)
    np.testing.assert_allclose(result(text, a, b), np.einsum("bcx,cxy->bcy", a.repeat(5, 1), b))
    assert result(text, random(0, 3), random(3, 4)).shape == (0, 4)
    with pytest.raises(ValueError, match="do not broadcast"):
        result(text, random(2, 3), random(5, 3, 4))


# ---- sizes --------------------------------------------------------------------------------------


def test_sizes_are_checked_in_the_words_of_the_file() -> None:
    dot = "diagram dot(A: [x], B: [x]) -> [] { return Y[] = A[x] * B[x] }"
    with pytest.raises(ValueError, match=r"axis `x` of `B` has size 4, but size\(x\) is 3 \(axis"):
        result(dot, random(3), random(4))
    trace = "diagram trace(M: [i i']) -> [] { D[i] = M[i i]\n return sum[i](D) }"
    with pytest.raises(ValueError, match=r"requires .*size\(i\) is 2 and size\(i'\) is 3"):
        result(trace, random(2, 3))
    split = "diagram f[h](X: [(h k)]) -> [h k] { return Y[h k] = X[(h k)] }"
    with pytest.raises(ValueError, match=r"axis `\(h k\)` of `X` has size 7"):
        result(split, random(7), sizes={"h": 2})
    with pytest.raises(ValueError, match=r"size\(h\).* is not known"):
        result(split, random(6))
    with pytest.raises(ValueError, match="needs 1 axes"):
        result(dot, random(3), np.float64(1.0))
    with pytest.raises(ValueError, match="takes the inputs `A`, `B`, not `A`"):
        evaluate(only(dot), {"A": random(3)})


def test_a_parameter_must_be_there_and_fit() -> None:
    text = "diagram f(X: [m]) -> [f] { learn W: [f m]\n return Y[f] = W[f m] * X[m] }"
    text = text.replace("diagram f(", "diagram layer[f](")
    with pytest.raises(ValueError, match="the parameter `W` is missing"):
        result(text, random(3), sizes={"f": 2})
    with pytest.raises(ValueError, match="axis `m` of `W` has size 4"):
        result(text, random(3), parameters={"W": random(2, 4)})
    found = result(text, random(3), parameters={"W": np.ones((2, 3), np.float32)})
    np.testing.assert_allclose(found, random(3).sum().repeat(2))


def test_kinds_of_inputs_do_not_mix() -> None:
    text = "diagram f(X: [x], N: N(x)[x], M: B[x]) -> [x] { return Y[x] = where(M, X[N[x]], X) }"
    x, n, m = random(3), np.array([2, 1, 0]), np.array([True, False, True])
    np.testing.assert_array_equal(result(text, x, n, m), [x[2], x[1], x[0]])
    with pytest.raises(ValueError, match="`N` takes naturals, not an array of float64"):
        result(text, x, n.astype(float), m)
    with pytest.raises(ValueError, match="`M` takes truth values"):
        result(text, x, n, n)
    assert result(text, x.astype(np.float32), n, m).dtype == np.float64


# ---- programs built by hand: every primitive ----------------------------------------------------


def by_hand(
    inputs: list[Wire], kind: Kind, axes: tuple[Axis, ...], value: object
) -> CheckedDiagram:
    """A diagram of one equation."""
    wire = Wire("Y", ArrayType(axes, kind), NOWHERE)
    step = Define(wire, value, NOWHERE)  # type: ignore[arg-type]
    symbols = dict.fromkeys(s for w in inputs for a in w.type.axes for s in a.size.symbols())
    return CheckedDiagram(
        "f", "", "", tuple(inputs), (wire,), (), (), (), (), (), (step,), (), tuple(symbols), (),
        NOWHERE,
    )  # fmt: skip


X = Axis("x", Size.of(Symbol("x", 1)))


def read(wire: Wire) -> Read:
    indices = tuple(plain_index(axis) for axis in wire.type.axes)
    return Read(wire, indices, wire.type.kind, wire.type.axes, NOWHERE)


def array(name: str, kind: Kind = REAL, axis: Axis = X) -> Wire:
    return Wire(name, ArrayType((axis,), kind), NOWHERE)


SPECIAL = np.array([-np.inf, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 1.5, 2.5, 800.0, np.inf, np.nan])
REAL_FUNCTIONS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "floordiv": np.floor_divide, "mod": np.mod, "neg": np.negative, "max": np.maximum,
    "min": np.minimum, "real": np.real, "abs": np.abs, "sign": np.sign, "exp": np.exp,
    "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "sqrt": np.sqrt,
    "rsqrt": lambda v: 1 / np.sqrt(v), "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh, "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "erf": np.vectorize(math.erf), "cast": np.positive,
    "floor": np.floor, "ceil": np.ceil, "round": np.round,
}  # fmt: skip
PREDICATES = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip


@pytest.mark.parametrize("op", sorted(ELEMENTWISE))
def test_every_primitive_on_reals_is_that_of_numpy(op: str) -> None:
    count = ELEMENTWISE[op]
    kind = BOOLEAN if op in ("and", "or", "not") else REAL
    names = [array(name, kind) for name in "AB"[:count]]
    logical = op in PREDICATES or kind == BOOLEAN
    value = Apply(op, tuple(map(read, names)), BOOLEAN if logical else REAL, (X,), NOWHERE)
    pairs = np.stack(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)[:count]
    if kind == BOOLEAN:
        pairs = pairs > 0
        function = {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}[op]
    else:
        function = (REAL_FUNCTIONS | PREDICATES)[op]
    diagram = by_hand(names, value.kind, (X,), value)
    found = evaluate(diagram, {w.name: a for w, a in zip(names, pairs, strict=True)})["Y"]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, function(*pairs))
    assert found.dtype == (np.bool_ if logical else np.float64)


def test_naturals_are_exact_integers() -> None:
    big = np.array([2**62, 7, 0])
    a, b = array("A", NATURAL), array("B", NATURAL)
    for op, expected in (("add", [2**62 + 3, 10, 3]), ("floordiv", [2**62 // 3, 2, 0])):
        value = Apply(op, (read(a), Constant(3, INTEGER)), NATURAL, (X,), NOWHERE)
        found = evaluate(by_hand([a], NATURAL, (X,), value), {"A": big})["Y"]
        assert found.dtype == np.int64
        assert found.tolist() == expected
    value = Apply("mod", (read(a), read(b)), NATURAL, (X,), NOWHERE)
    with pytest.raises(ValueError, match="divided by zero"):
        evaluate(by_hand([a, b], NATURAL, (X,), value), {"A": big, "B": big})
    ratio = Apply("div", (IndexValue(X, INTEGER, (X,)), Constant(0, INTEGER)), REAL, (X,), NOWHERE)
    found = evaluate(by_hand([a], REAL, (X,), ratio), {"A": big})["Y"]
    np.testing.assert_array_equal(found, [np.nan, np.inf, np.inf])


def test_complex_numbers() -> None:
    a = array("A", COMPLEX)
    values = np.array([1 + 2j, -3j])
    square = Contract((), (read(a), read(a)), COMPLEX, (X,), NOWHERE)
    np.testing.assert_allclose(
        evaluate(by_hand([a], COMPLEX, (X,), square), {"A": values})["Y"], values**2
    )
    length = Apply("abs", (read(a),), REAL, (X,), NOWHERE)
    found = evaluate(by_hand([a], REAL, (X,), length), {"A": values})["Y"]
    np.testing.assert_allclose(found, np.abs(values))
    norm = Reduce("norm", (X,), read(a), REAL, (), NOWHERE)
    found = evaluate(by_hand([a], REAL, (), norm), {"A": values})["Y"]
    np.testing.assert_allclose(found, np.linalg.norm(values))


REDUCED = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean,
    "norm": np.linalg.norm, "logsumexp": lambda v: np.log(np.exp(v).sum()),
    "argmax": np.argmax, "argmin": np.argmin, "any": np.any, "all": np.all,
}  # fmt: skip


def reduced(op: str, values: object, initial: float | None = None) -> np.ndarray:
    entries = np.array(values, bool if op in ("any", "all") else float)
    kind = BOOLEAN if op in ("any", "all") else REAL
    out = NATURAL if op in ("argmax", "argmin") else kind
    a = array("A", kind)
    value = Reduce(op, (X,), read(a), out, (), NOWHERE, initial)
    return evaluate(by_hand([a], out, (), value), {"A": entries})["Y"]


@pytest.mark.parametrize("op", sorted(REDUCTIONS))
def test_every_reduction_is_that_of_numpy(op: str) -> None:
    for values in ([3.0, -1.0, 3.0, 0.5], [0.0], [1.0, np.nan, 2.0, np.nan], [-2.0, -2.0]):
        np.testing.assert_allclose(reduced(op, values), REDUCED[op](np.array(values)), rtol=1e-12)


def test_reductions_of_nothing() -> None:
    for op, value in (("sum", 0), ("prod", 1), ("any", False), ("all", True), ("norm", 0)):
        assert reduced(op, []) == value
    assert reduced("logsumexp", []) == -np.inf
    assert reduced("max", [], -np.inf) == -np.inf
    assert reduced("min", [4.0], 2.0) == 2
    for op in ("max", "min", "mean", "argmax", "argmin"):
        with pytest.raises(ValueError, match=rf"`{op}\[x\]` needs a non-empty axis"):
            reduced(op, [])
    assert reduced("logsumexp", [-np.inf, -np.inf]) == -np.inf
    assert reduced("logsumexp", [np.inf, 0.0]) == np.inf
    assert reduced("logsumexp", [1000.0, 1000.0]) == pytest.approx(1000 + math.log(2))


def test_contraction_over_an_empty_axis_is_zero() -> None:
    a = array("A")
    value = Contract((X,), (read(a), read(a)), REAL, (), NOWHERE)
    assert evaluate(by_hand([a], REAL, (), value), {"A": np.zeros(0)})["Y"] == 0


def test_an_axis_bound_twice_keeps_its_outer_index() -> None:
    a = array("A")
    inner = Reduce("sum", (X,), read(a), REAL, (), NOWHERE)
    value = Contract((X,), (inner, read(a)), REAL, (), NOWHERE)
    values = random(4)
    found = evaluate(by_hand([a], REAL, (), value), {"A": values})["Y"]
    np.testing.assert_allclose(found, values.sum() ** 2)


def test_a_proof_that_was_wrong_is_noticed() -> None:
    a = array("A")
    value = Read(a, (Affine(constant(1), ((X, constant(1)),)),), REAL, (X,), NOWHERE)
    with pytest.raises(RuntimeError, match="index `x \\+ 1` is 3 at x = 2, but axis `x` of `A`"):
        evaluate(by_hand([a], REAL, (X,), value), {"A": random(3)})


# ---- modules ------------------------------------------------------------------------------------


def test_evaluation_needs_no_torch() -> None:
    script = """
    import sys
    import numpy as np
    from backends.reference import evaluate
    from ncdlang.semantics.check import check_source
    from ncdlang.source import Source
    text = "diagram f(X: [x]) -> [x] { return Y[x] = 2 * X[x] }"
    program, _ = check_source(Source("f.ncd", text))
    assert evaluate(program.diagrams[0], {"X": np.ones(2)})["Y"].tolist() == [2, 2]
    assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_emit_gives_the_checked_program() -> None:
    program = checked(ATTENTION)
    made = ReferenceBackend().emit(Request(program, program.diagrams[0]))
    assert "diagram attention(" in str(made.content)


def module(text: str, sizes: Mapping[str, int], dtype: str = "f32"):
    program = checked(text)
    return ReferenceBackend().module(Request(program, program.diagrams[-1], sizes, dtype))


def test_modules_hold_the_parameters_under_their_names() -> None:
    torch = pytest.importorskip("torch")
    built = module(ATTENTION, {"h": 2, "k": 4, "m": 6})
    shapes = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    assert shapes == {
        "Lq.weight": (2, 4, 6),
        "Lk.weight": (2, 4, 6),
        "Lv.weight": (2, 4, 6),
        "Lo.weight": (6, 2, 4),
    }
    x = torch.randn(3, 5, 6)
    found = built(x)
    assert found.shape == (3, 5, 6)
    assert found.dtype == torch.float64
    diagram = checked(ATTENTION).diagram("multi_head")
    assert diagram is not None
    weights = {name: tensor.numpy() for name, tensor in built.state_dict().items()}
    (expected,) = evaluate(diagram, {"X": x.numpy()}, weights, {"h": 2, "k": 4}).values()
    np.testing.assert_array_equal(found.numpy(), expected)
    with pytest.raises(ValueError, match="axis `m` of `X` has size 5"):
        built(torch.randn(3, 5))
    with pytest.raises(ValueError, match="takes 1 inputs"):
        built(x, x)


def test_modules_need_the_sizes_of_their_parameters() -> None:
    pytest.importorskip("torch")
    with pytest.raises(TargetError, match=r"size\(m\).*`multi_head` must be given"):
        module(ATTENTION, {"h": 2, "k": 4})
    with pytest.raises(TargetError, match="no dtype `f8`"):
        module(ATTENTION, {"h": 2, "k": 4, "m": 6}, "f8")


def test_names_that_clash_get_an_underscore() -> None:
    torch = pytest.importorskip("torch")
    text = """
        use std.nn.{affine}
        diagram f(X: [m]) -> [m] {
          learn half, W', W: [m] ~ ones
          learn training: [m] ~ frozen(normal(0, 1))
          learn forward: affine[m -> m]
          return forward(X[m] * half[m] * W'[m] * W[m] + training[m])
        }
    """
    built = module(text, {"m": 3}, "f64")
    assert list(built.state_dict()) == [
        "half_", "W_", "W", "training_", "forward_.weight", "forward_.bias"
    ]  # fmt: skip
    assert [name for name, _ in built.named_buffers()] == ["training_"]
    assert all(tensor.dtype == torch.float64 for tensor in built.state_dict().values())
    x = torch.randn(3, dtype=torch.float64)
    state = built.state_dict()
    expected = state["forward_.weight"] @ (x + state["training_"]) + state["forward_.bias"]
    torch.testing.assert_close(built(x), expected)


def test_initialisers() -> None:
    torch = pytest.importorskip("torch")
    text = """
        diagram f[o](X: [m]) -> [o] {
          learn A: [o m]
          learn b: [o]
          learn K: [o m] ~ kaiming
          learn G: [o m] ~ xavier
          learn N: [o m] ~ normal(3, 0.5)
          learn U: [o m] ~ uniform(2, 4)
          learn Z: [o] ~ zeros
          return Y[o] = (A[o m] + K[o m] + G[o m] + N[o m] + U[o m]) * X[m] + b[o] + Z[o]
        }
    """
    torch.manual_seed(0)
    state = module(text, {"o": 200, "m": 100}).state_dict()
    assert state["A"].abs().max() <= 0.1 < state["A"].abs().max() * 1.01
    assert 0.05 < state["b"].abs().max() <= 0.1
    assert state["K"].std().item() == pytest.approx(math.sqrt(2 / 100), rel=0.05)
    assert state["G"].abs().max().item() == pytest.approx(math.sqrt(6 / 300), rel=0.01)
    assert state["N"].mean().item() == pytest.approx(3, rel=0.01)
    assert state["U"].min() >= 2
    assert not state["Z"].any()


def test_stacks_and_pipelines() -> None:
    torch = pytest.importorskip("torch")
    text = """
        use std.nn.{linear, rms_norm}
        diagram layer[f](X: [m]) -> [m] {
          learn up: linear[m -> f]
          learn down: linear[f -> m]
          return (id + (rms_norm[m] >> up >> relu >> down))(X)
        }
        diagram deep[f](X: [m]) -> [m] {
          learn stack: layer[f]^2
          return stack(X)
        }
    """
    built = module(text, {"m": 3, "f": 5}, "f64")
    names = [f"stack.{n}.{rest}" for n in (0, 1) for rest in ("up", "down", "rms_norm")]
    assert set(built.state_dict()) == {f"{name}.weight" for name in names}
    x = expected = torch.randn(4, 3, dtype=torch.float64)
    state = built.state_dict()
    for n in range(2):
        up, down, scale = (state[f"stack.{n}.{r}.weight"] for r in ("up", "down", "rms_norm"))
        mean = (expected**2).mean(-1, keepdim=True)
        normal = expected / (mean + 1e-6).sqrt() * scale
        expected = expected + (normal @ up.T).relu() @ down.T
    torch.testing.assert_close(built(x), expected)


def test_parameters_go_to_the_torch_backend_and_back() -> None:
    torch = pytest.importorskip("torch")
    from backends.pytorch import PyTorchBackend

    program = checked(ATTENTION)
    wanted = Request(program, program.diagrams[-1], {"h": 2, "k": 4, "m": 6}, "f64")
    judge, judged = ReferenceBackend().module(wanted), PyTorchBackend().module(wanted)
    assert list(judge.state_dict()) == list(judged.state_dict())
    judged.load_state_dict(judge.state_dict())
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(judged(x), judge(x))


def test_a_size_given_when_checking_is_kept() -> None:
    program = checked("diagram f(X: [x]) -> [] { return sum[x](X) }", {"x": 4})
    assert evaluate(program.diagrams[0], {"X": np.ones(4)}, sizes={"x": 4}).popitem()[1] == 4
    with pytest.raises(ValueError, match=r"axis `x` of `X` .*has size 3|has size 3, "):
        evaluate(program.diagrams[0], {"X": np.ones(3)}, sizes={"x": 4})
