"""Gathers as kernels in Triton's interpreter, with their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from kernel_judge import TOLERANCE, judged

import ncdlang
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan

# What is read, its slice and index axes.
READS = {
    "embedding": (
        """(T: N(v)[t], E: [v m], s: [m], P: [t m]) -> [t m] {
  return Y[t m] = E[T[t], m] * s[m] + P[t, m]
}""",
        ("m", "t"),
    ),
    "rows": ("(T: N(v)[t], E: [v m]) -> [t m] { return Y[t m] = E[T[t], m] }", ("m", "t")),
    "batched": (
        "(T: N(v)[b t], E: [b v m]) -> [b t m] { return Y[b t m] = tanh(E[b, T[b t], m]) }",
        ("m", "b t"),
    ),
    "entangled": (
        "(T: N(v)[t m], E: [v m]) -> [t m] { return Y[t m] = E[T[t m], m] }",
        ("", "t m"),
    ),
    "two_tables": (
        """(T: N(v)[t], J: N(b)[t], E: [v m], A: [m b]) -> [t m] {
  return Y[t m] = E[T[t], m] * A[m, J[t]]
}""",
        ("m", "t"),
    ),
    "twice": (
        """(I: N(v)[t], J: N(v)[t], E: [v m]) -> [t m] {
  return Y[t m] = E[I[t], m] * sigmoid(E[J[t], m])
}""",
        ("m", "t"),
    ),
    "turned": (
        "(T: N(v)[t], E: [v m]) -> [m t] { return Y[m t] = relu(E[T[t], m]) }",
        ("m", "t"),
    ),
    "numbers": ("(T: N(v)[t], e: [v]) -> [t] { return Y[t] = 2 * e[T[t]] }", ("", "t")),
    "masked": (
        """(T: N(v)[t], E: [v m]) -> [t m] {
  return Y[t m] = where(t >= 2, E[T[t - 2], m], 0)
}""",
        ("m", "t"),
    ),
    "beside_a_sum": (
        """(T: N(v)[t], E: [v m], X: [t k], W: [m k]) -> [t m] {
  return Y[t m] = relu(X[t k] * W[m k]) + E[T[t], m]
}""",
        ("m", "t"),
    ),
    "of_a_place": (
        """(T: N(v)[t], J: N(t)[n], E: [v m]) -> [n m] {
  return Y[n m] = E[T[J[n]], m]
}""",
        ("m", "n"),
    ),
}
SIZES = {"t": 47, "m": 19, "v": 11, "b": 3, "k": 5, "n": 30, "q": 21, "x": 34, "e": 7, "w": 40}
DTYPES = list(TOLERANCE)[: 3 if os.environ.get("NCDLANG_FULL") else 2]


@pytest.fixture(params=[False, True])
def deterministic(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(request.param)
    torch.set_float32_matmul_precision("highest")
    yield request.param
    torch.use_deterministic_algorithms(before)


# What is sorted backwards is a scatter, which has tests of its own.
MOST = READS if os.environ.get("NCDLANG_FULL") else ("embedding", "batched", "twice")


CASES = [(name, False) for name in READS] + [(name, True) for name in MOST]


@pytest.mark.parametrize(("name", "deterministic"), CASES, indirect=["deterministic"])
def test_gathers_are_right(name: str, deterministic: bool) -> None:
    dtypes = DTYPES if name == "embedding" or os.environ.get("NCDLANG_FULL") else DTYPES[:1]
    for dtype in dtypes:
        assert "Y" in judged(f"diagram {name}{READS[name][0]}", name, SIZES, dtype)


@pytest.mark.parametrize("name", READS)
def test_classes_of_axes(name: str) -> None:
    diagram = ncdlang.loads(f"diagram {name}{READS[name][0]}").program.diagram(name)
    assert diagram is not None
    (step,) = (s for s in make_plan(open_diagram(diagram)).steps if isinstance(s, Gathered))
    found = [" ".join(a.name for a in axes) for axes in (dict(step.lanes), step.indexed)]
    assert tuple(found) == READS[name][1]


def test_lifted_indices_share_the_gradient_of_a_table(deterministic: bool) -> None:
    text = f"diagram f{READS['rows'][0]}"
    assert judged(text, "f", SIZES, torch.float32, lead=3) == ("Y",)


def test_no_atomics_without_collisions() -> None:
    library = ncdlang.loads(f"diagram f{READS['rows'][0]}")
    assert "tl.atomic" in library.source("f", backend="triton")
    text = "diagram f(T: N(v)[t m], E: [v t m]) -> [t m] { return Y[t m] = E[T[t m], t, m] }"
    assert "tl.atomic" not in ncdlang.loads(text).source("f", backend="triton")


ATTENTION = """diagram f(Q: [q k], K: [n k], V: [n e], J: N(n)[x]) -> [q e] {
  S[q x] = Q[q k] * K[J[x], k] / sqrt(size(k))
  P = softmax[x](S)
  return O[q e] = P[q x] * V[J[x], e]
}
"""
BIASED = """diagram f(Q: [q k], K: [x k], V: [x e], B: [w], J: N(w)[q x]) -> [q e] {
  S[q x] = Q[q k] * K[x k] + B[J[q x]]
  P = softmax[x](S)
  return O[q e] = P[q x] * V[x e]
}
"""


@pytest.mark.parametrize("text", [ATTENTION, BIASED], ids=["keys", "a bias"])
def test_gradients_of_reads_inside_a_region(text: str, deterministic: bool) -> None:
    for dtype in DTYPES:
        assert judged(text, "f", SIZES, dtype) == ("O",)
    source = ncdlang.loads(text).source("f", backend="triton")
    assert "its gradient is left to PyTorch" not in source
    assert "backward" in source


def test_reads_at_indices_are_compiled() -> None:
    """With a part of each row that is no kernel: a pick between kernels is traced as it stands."""
    text = """diagram f(X: [n m], W: [v m], a: [n], S: N(n)[e], T: N(n)[e], Y: N(v)[e]) -> [] {
  L[n v] = X[n m] * W[v m]
  s[e] = tanh(a[S[e]] + a[T[e]])
  return z[] = mean[e](s[e] * L[S[e], Y[e]]) + mean[n](logsumexp[v](L[n v]))
}"""
    derived = ncdlang.loads(text).module("f", backend="triton", derived="true")
    torch.manual_seed(0)
    inputs = [torch.randn(5, 3), torch.randn(7, 3), torch.randn(5)]
    inputs += [torch.randint(5, (9,)), torch.randint(5, (9,)), torch.randint(7, (9,))]
    wanted = derived(*inputs)
    compiled = torch.compile(derived, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), wanted)
