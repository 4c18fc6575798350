"""Small forms of random programs that PyTorch and the reference once disagreed on."""

from __future__ import annotations

import pytest
import torch
from torch_judge import Case, judge, judged, program

import ncdlang

LEARNED = (
    "use std.nn.{{affine}}\ndiagram f(X: [u]) -> [u] {{\n  learn s: {}\n  return s(s(X))\n}}\n"
)
PIPELINES = {
    "affine[u -> u] >> tanh": 2,
    "affine[u -> u] >> tanh >> affine[u -> u]": 4,
    "(affine[u -> u] >> tanh >> affine[u -> u])^2": 8,
    "(affine[u -> u]^2)^2": 8,
    "((affine[u -> u] >> tanh)^2)^1": 4,
}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_learned_pipelines(pipeline: str) -> None:
    """Each diagram in one has parameters of its own, and copies of copies are counted through."""
    text = LEARNED.format(pipeline)
    judge(Case(text, {}, built={"u": 2}))
    assert len(judged(program(text), "f", {"u": 2})[0].state_dict()) == PIPELINES[pipeline]


def test_a_write_at_one_place_that_an_input_chooses() -> None:
    text = """diagram f(X: [d], Y: [], T: N(d)[]) -> [d] {
      Z: [d]
      Z[d] += X[d]
      Z[T[]] max= Y
      return Z
    }"""
    judge(Case(text, {"d": 4}))


def test_a_first_state_that_has_no_axes() -> None:
    """The condition of a branch brings its axes to the operations inside it."""
    text = """diagram f(X: [], Y: [w p]) -> [w p] {
      return P[w p] = tanh(where(p + 1 < size(p), P[w, p + 1], sin(gelu_tanh(X))) + Y[w p])
    }"""
    judge(Case(text, {"w": 2, "p": 3}))
    judge(Case(text, {"w": 1, "p": 0}))


def test_a_recurrence_from_the_magnitude_of_a_complex_number() -> None:
    text = """diagram f(X: [y], Z: C[]) -> ([y], C[y]) {
      P[y] = X[y] + where(y > 0, P[y - 1], abs(Z[]))
      Q[y] = where(y > 0, Q[y - 1], exp(Z[])) * X[y]
      return P, Q
    }"""
    assert program(text).diagram("f") is not None


@pytest.mark.parametrize("bound", ["t = 2", "t = i", "t = j"])
def test_a_learned_diagram_whose_free_axis_no_parameter_has(bound: str) -> None:
    text = f"""use std.nn.{{rms_norm}}
    diagram g[n, t = 3](R: [n]) -> [n] {{
      W = rms_norm[n](R)
      return Y[n] = sum[t](W[n] + t)
    }}
    diagram f[j = 2](X: [n], Z: [i]) -> ([n], [n]) {{
      learn L: g[n, {bound}]^3
      return g[n, {bound}](X), L(X)
    }}"""
    judge(Case(text, {"n": 3, "i": 2, "j": 2}, built={"n": 3}))


def test_long_lists_of_modules_are_broken_well() -> None:
    text = """use std.nn.{linear}
    diagram f(X: [m]) -> [n] {
      axis u = 1
      B[n] = mean[u](X[3*n + 2*u])
      learn S: (linear[n -> n] >> tanh >> linear[n -> n])^3
      return S(B)
    }"""
    judge(Case(text, {"m": 7}, built={"m": 7}))


def test_a_number_of_a_condition_without_axes() -> None:
    text = """diagram f(X: [n]) -> [n] {
      B[] = not (2 > size(n))
      return Y[n] = real(B[]) - X[n]
    }"""
    judge(Case(text, {"n": 1}))
    judge(Case(text, {"n": 3}))


def test_a_learned_diagram_that_nothing_uses() -> None:
    text = """use std.nn.{rms_norm}
    diagram g[n, t = 3](R: [n]) -> [n] { return sum[t](rms_norm[n](R) + t) }
    diagram f(X: [n]) -> [n] {
      W = g[n](X)
      return 2 * X
    }"""
    judge(Case(text, {"n": 3}, built={"n": 3}))


@pytest.mark.parametrize(
    ("required", "wrong"), [("2 * size(y) == size(x)", 3), ("size(y) + 1 == size(x)", 0)]
)
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_a_size_that_only_a_requirement_gives(required: str, wrong: int, backend: str) -> None:
    text = f"""diagram f(X: [x], A: [(z y), x]) -> [y] {{
      assert {required}
      return Y[y] = sum[z x](A[(z y), x] * X[x])
    }}"""
    module = ncdlang.loads(text).module(backend=backend, dtype="f64")
    found = module(torch.ones(2).double(), torch.arange(6.0).double().reshape(3, 2))
    assert found.tolist() == [15.0]
    with pytest.raises(ValueError, match="asserted: "):
        module(torch.ones(wrong).double(), torch.ones(3, wrong).double())


def test_an_axis_of_no_entries_gives_the_size_of_its_factors_by_what_is_required() -> None:
    text = """diagram f(X: [x], A: [(z y), x]) -> [y] {
      assert 2 * size(y) == size(x)
      assert size(z) == size(x)
      return Y[y] = sum[z x](A[(z y), x] * X[x])
    }"""
    judge(Case(text, {"x": 4, "y": 2, "z": 4}))
    judge(Case(text, {"x": 0, "y": 0, "z": 0}))
