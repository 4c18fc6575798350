"""What the reference backend computes for formats, complex numbers and `op` declarations."""

from __future__ import annotations

import numpy as np
import pytest
from by_definition import diagram, equal, normal, result, results
from hypothesis import given
from hypothesis import strategies as st

from backends.reference import ReferenceBackend, Use, register
from backends.reference.formats import nearest
from ncdlang.semantics.program import CheckedProgram
from ncdlang.semantics.types import FORMATS, Kind
from ncdlang.source import Source
from ncdlang.targets import Request, TargetError

TORCH = {
    "f64": "float64",
    "f32": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "f8e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2",
}


def rounded(values: object, form: str) -> np.ndarray:
    return nearest(np.asarray(values, np.float64), Kind("real", form))


# ---- formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_rounding_is_that_of_torch(form: str, values: list[float]) -> None:
    import torch

    given_values = torch.tensor(values, dtype=torch.float32)
    expected = given_values.to(getattr(torch, TORCH[form])).to(torch.float64).numpy()
    found = rounded(given_values.numpy(), form)
    np.testing.assert_array_equal(found, expected)
    signs = np.signbit(expected) & ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found) & ~np.isnan(found), signs)


@pytest.mark.parametrize("form", [f for f in FORMATS if f.startswith("f8")])
def test_short_formats_round_halves_to_even(form: str) -> None:
    import torch

    numbers = torch.arange(256, dtype=torch.uint8).view(getattr(torch, TORCH[form]))
    numbers = numbers.to(torch.float64).numpy()
    held = np.unique(numbers[np.isfinite(numbers)])
    np.testing.assert_array_equal(rounded(held, form), held)
    halves = (held[1:] + held[:-1]) / 2
    steps = np.searchsorted(held, rounded(halves, form))
    assert np.all((steps == np.arange(len(halves))) | (steps == np.arange(len(halves)) + 1))
    nearby = rounded(np.nextafter(halves, np.inf), form)
    np.testing.assert_array_equal(nearby, held[1:])


def test_rounding_goes_straight_from_float64() -> None:
    just_above_a_half = 1 + 2.0**-8 + 2.0**-40  # in f32 it is exactly half-way
    assert rounded(just_above_a_half, "bf16") == 1 + 2.0**-7
    assert rounded(1 + 2.0**-8, "bf16") == 1


def test_overflow() -> None:
    assert rounded([3e38, 3.5e38, -1e39], "f32").tolist() == [np.float32(3e38), np.inf, -np.inf]
    assert rounded([65519, 65520], "f16").tolist() == [65504, np.inf]
    assert rounded([464, 1e9, -np.inf], "f8e4m3").tolist() == [448, 448, -448]
    assert rounded([61439, 61440], "f8e5m2").tolist() == [57344, np.inf]


def test_casts_and_typed_wires_are_rounded() -> None:
    x = normal(5)
    short = rounded(x, "bf16")
    equal(result("diagram f(X: [n]) -> [n] { return 1 * cast[bf16](X) }", x), short)
    equal(result("diagram f(X: [n]) -> bf16[n] { return X }", x), short)
    equal(result("diagram f(X: bf16[n]) -> [n] { return X }", x), short)
    equal(result("diagram f : [n] -> f16[n] = cast[bf16] >> cast[f16]", x), rounded(short, "f16"))
    doubled = "diagram f(X: f8e5m2[n]) -> f8e5m2[n] { return X + X + X }"
    equal(result(doubled, x), rounded(3 * rounded(x, "f8e5m2"), "f8e5m2"))
    called = """
        diagram g(x: bf16[m]) -> [m] { return 1 * x }
        diagram f(X: [n m]) -> [n m] { return g(X) }
    """
    equal(result(called, x[:, None]), short[:, None])


def test_the_modules_own_format_is_not_rounded_to() -> None:
    x = normal(5)
    wide = "diagram f(X: [n]) -> [n] { W = cast[f64](X)\n return W + X * 0 }"
    assert result(wide, x).tolist() == x.tolist()


# ---- complex numbers ----------------------------------------------------------------------------


def test_complex_numbers_are_contracted_reduced_and_chosen() -> None:
    text = """
        diagram f(A: C[i j], B: C[j], X: [j]) -> (C[i], C[], [i j], C[i j]) {
          Y[i] = A[i j] * B[j] + A[i j] * X[j]
          s = sum[j](B * 2)
          return Y, s, abs(A), where(abs(A) > 1, A / abs(A), 0)
        }
    """
    a = normal(3, 4) + 1j * normal(3, 4, seed=1)
    b, x = normal(4) - 1j * normal(4, seed=2), normal(4, seed=3)
    product, total, size, unit = results(text, a, b, x)
    equal(product, a @ b + a @ x)
    equal(total, 2 * b.sum())
    equal(size, np.abs(a))
    equal(unit, np.where(np.abs(a) > 1, a / np.abs(a), 0))


def test_reals_become_complex() -> None:
    assert result("diagram f(X: [n]) -> C[n] { return X }", [1.5]).tolist() == [1.5 + 0j]
    text = "diagram f(A: C[n]) -> C[n] { return Y[n] = A[n] + where(n > 0, Y[n - 1], 0) }"
    equal(result(text, [1j, 2, 3j]), [1j, 2 + 1j, 2 + 4j])


# ---- operators of the standard library ----------------------------------------------------------

TIED = np.array([[2.0, -1.0, 2.0, np.nan], [0.0, -0.0, -np.inf, 1.0]])


def test_sort_and_argsort() -> None:
    text = """
        diagram f(X: [n m]) -> ([n m], N(m)[n m], [n m]) {
          return sort[m](X), argsort[m](X), sort[n](X)
        }
    """
    ascending, places, columns = results(text, TIED)
    np.testing.assert_array_equal(ascending, np.sort(TIED, 1))
    assert places.tolist() == [[1, 0, 2, 3], [2, 0, 1, 3]]
    assert places.dtype == np.int64
    np.testing.assert_array_equal(columns, np.sort(TIED, 0))


def test_top_k_takes_the_largest_and_of_equal_ones_the_first() -> None:
    text = """
        diagram f[t](X: [n e]) -> ([n t], N(e)[n t]) {
          V[n t], I[n t] = top_k[e, t](X)
          return V, I
        }
    """
    values, places = results(text, TIED, sizes={"t": 3})
    np.testing.assert_array_equal(values, [[np.nan, 2, 2], [1, 0, 0]])
    assert places.tolist() == [[3, 0, 2], [3, 0, 1]]
    with pytest.raises(ValueError, match=r"requires size\(t\) <= size\(e\)"):
        results(text, TIED, sizes={"t": 5})


def test_experts_are_chosen_and_mixed() -> None:
    text = """
        diagram mixture[k = 2](G: [n e], W: [e m]) -> [n m] {
          V[n k], I[n k] = top_k[e, k](G)
          P = softmax[k](V)
          return Y[n m] = P[n k] * W[I[n k], m]
        }
    """
    g, w = normal(3, 4), normal(4, 2, seed=1)
    found = result(text, g, w)
    for n in range(3):
        best = np.argsort(-g[n])[:2]
        p = np.exp(g[n][best]) / np.exp(g[n][best]).sum()
        equal(found[n], p @ w[best])


# ---- random operators ---------------------------------------------------------------------------

DROPPED = """
    use std.nn.{dropout}
    diagram f(X: [m]) -> [q m] {
      axis q = 3
      return Y[q m] = dropout[0.25](X[m])
    }
"""


def test_dropout_is_the_identity_unless_told() -> None:
    x = normal(400)
    equal(result(DROPPED, x), np.stack([x] * 3))
    found = result(DROPPED, x, random=np.random.default_rng(0))
    kept = found[0] != 0
    equal(found[0][kept], x[kept] / 0.75)
    assert 240 < kept.sum() < 360


def test_what_is_drawn_is_one_array() -> None:
    found = result(DROPPED, normal(20), random=np.random.default_rng(0))
    np.testing.assert_array_equal(found, np.stack([found[0]] * 3))
    twice = """
        use std.nn.{dropout}
        diagram f(X: [m]) -> [m] {
          D = dropout[0.5](X)
          return D - D
        }
    """
    assert not result(twice, normal(20), random=np.random.default_rng(0)).any()


@pytest.mark.parametrize(("p", "expected"), [("0", 1.0), ("1", 0.0)])
def test_dropout_at_its_ends(p: str, expected: float) -> None:
    text = DROPPED.replace("0.25", p)
    assert (result(text, np.ones(5), random=np.random.default_rng(0)) == expected).all()


def test_a_module_draws_only_in_training() -> None:
    import torch

    checked = diagram(DROPPED)
    request = Request(CheckedProgram(Source("t", ""), (checked,)), checked)
    module = ReferenceBackend().module(request)
    x = torch.randn(50, dtype=torch.float64)
    assert torch.equal(module(x)[0], x)
    module.train()
    torch.manual_seed(0)
    first = module(x)
    torch.manual_seed(0)
    assert torch.equal(module(x), first)
    assert not torch.equal(first[0], x)


# ---- operators of a user's own -------------------------------------------------------------------

OWN = "op spread[x, y]: [x] -> [y]\ndiagram f[y](X: [n x]) -> [n y] { return spread[x, y](X) }"


def test_an_operator_without_a_definition_is_an_error() -> None:
    checked = diagram(OWN)
    with pytest.raises(TargetError, match="nothing says what `op spread` computes"):
        result(checked, normal(2, 3), sizes={"y": 4})
    request = Request(CheckedProgram(Source("t", ""), (checked,)), checked)
    with pytest.raises(TargetError, match="`op spread`"):
        ReferenceBackend().module(request)


def test_an_operator_is_registered_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.reference import operators

    monkeypatch.setattr(operators, "_OPERATORS", dict(operators._OPERATORS))

    def spread(use: Use, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray]:
        ((size,),) = use.shapes
        return (np.full(size, inputs[0].sum()),)

    register("", "spread", spread)
    x = normal(2, 3)
    equal(result(OWN, x, sizes={"y": 4}), np.repeat(x.sum(1, keepdims=True), 4, 1))
    register("", "spread", lambda use, inputs: inputs)
    with pytest.raises(RuntimeError, match=r"`op spread` gave an array of \(3,\), not \(4,\)"):
        result(OWN, x, sizes={"y": 4})


def test_what_an_operator_requires_is_checked_where_it_is_used() -> None:
    text = """
        op halves[x, y]: [x] -> [y] { requires = size(x) == 2 * size(y), linear }
        diagram f[y](X: [x]) -> [y] { return halves[x, y](X) }
    """
    checked = diagram(text)
    (required,) = checked.requirements
    assert f"{required.left} {required.op} {required.right}" == "size(x) == 2*size(y)"
    with pytest.raises(ValueError, match=r"`f` requires size\(x\) == 2\*size\(y\)"):
        result(checked, normal(5), sizes={"y": 2})
