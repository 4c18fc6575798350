"""Whole programs as people write them: all of their kernels run, and are right."""

from __future__ import annotations

import pytest
import torch
from kernel_judge import judged
from ncdlang.backends.kernels.training import Backward

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.steps import Region, arrays_of

# A program, its sizes, how many of its steps are kernels, and how many roundings of the values
# that it ends with are allowed.
PROGRAMS = {
    "low-rank keys": (
        """diagram f(X: [t m], D: [c m], U: [h k c], Uv: [h e c], W: [h k m], Y: [m h e]) -> [t m] {
  C[t c] = X[t m] * D[c m]
  axis x = size(t)
  Q[t h k] = X[t m] * W[h k m]
  K[x h k] = C[x c] * U[h k c]
  V[x h e] = C[x c] * Uv[h e c]
  S[h t x] = Q[t h k] * K[x h k] / sqrt(size(k))
  P = softmax[x](where(x <= t, S, -inf))
  O[t h e] = P[h t x] * V[x h e]
  return Z[t m] = O[t h e] * Y[m h e]
}""",
        {"t": 17, "m": 12, "c": 5, "h": 2, "k": 4, "e": 3},
        3,
        16,
    ),
    "image": (
        """diagram f(Q: [y x k], K: [v u k], V: [v u e], B: [y v], C: [x u]) -> [y x e] {
  S[y x v u] = Q[y x k] * K[v u k] / 3 + B[y v] + C[x u]
  P = softmax[v u](where(abs(y - v) + abs(x - u) < 4, S, -inf))
  return O[y x e] = P[y x v u] * V[v u e]
}""",
        {"y": 5, "x": 4, "v": 5, "u": 4, "k": 3, "e": 6},
        1,
        3,
    ),
    "sink and window": (
        """diagram f(Q: [q g h k], K: [x h k], V: [x h e], s: [g h]) -> [q g h e] {
  S[g h q x] = Q[q g h k] * K[x h k]
  M = where(x <= q and q - x < 9, S, -inf)
  m[g h q] = max(max[x](M), s[g h])
  E[g h q x] = exp(M - m[g h q])
  Z[g h q] = sum[x](E) + exp(s[g h] - m[g h q])
  return O[q g h e] = E[g h q x] / Z[g h q] * V[x h e]
}""",
        {"q": 21, "x": 21, "g": 2, "h": 2, "k": 4, "e": 3},
        1,
        3,
    ),
    "dilated": (
        """diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k]
  P = softmax[x](where(x <= q and (q - x) % 3 == 0 and q - x < 12, S, -inf))
  return O[q e] = P[q x] * V[x e]
}""",
        {"q": 37, "x": 37, "k": 5, "e": 3},
        1,
        3,
    ),
    "pooled": (
        """diagram f(Q: [q k], K: [x k], V: [x e]) -> ([e], [q], [e]) {
  S[q x] = Q[q k] * K[x k]
  P = softmax[x](S)
  O[q e] = P[q x] * V[x e]
  return mean[q](O), max[x](S), max[q](O)
}""",
        {"q": 3, "x": 23, "k": 5, "e": 30},
        1,
        3,
    ),
    "gated, sizes of one": (
        """diagram f(Q: [t k], K: [s k], V: [s e], G: [t e], W: [m e]) -> [t m] {
  S[t s] = Q[t k] * K[s k]
  P = softmax[s](S)
  O[t e] = sigmoid(G) * (P[t s] * V[s e])
  return Y[t m] = O[t e] * W[m e]
}""",
        {"t": 1, "k": 1, "s": 7, "e": 1, "m": 1},
        1,
        3,
    ),
    "weights of queries and keys": (
        """diagram f(Q: [q h k], K: [x h k], V: [x h e], u: [k], w: [k]) -> [q h e] {
  A[q h k] = tanh(Q[q h k] * u[k])
  B[x h k] = K[x h k] * w[k] / sqrt(mean[k](K[x h k]^2) + 1e-6)
  S[h q x] = A[q h k] * B[x h k]
  P = softmax[x](where(x <= q, S, -inf))
  return O[q h e] = P[h q x] * V[x h e]
}""",
        {"q": 19, "x": 19, "h": 2, "k": 5, "e": 3},
        1,
        3,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_of_whole_programs(name: str) -> None:
    torch.set_float32_matmul_precision("highest")
    text, sizes, kernels, factor = PROGRAMS[name]
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    plan = make_plan(open_diagram(diagram), order="written")
    assert sum(isinstance(step, Region) for step in plan.steps) == kernels
    judged(text, "f", sizes, torch.float32, factor=factor)


@pytest.mark.parametrize("name", ["pooled", "gated, sizes of one"])
def test_no_scores_are_written(name: str) -> None:
    diagram = ncdlang.loads(PROGRAMS[name][0]).program.diagram("f")
    assert diagram is not None
    plan = make_plan(open_diagram(diagram), order="written")
    (region,) = plan.regions
    scores = {*region.rows, *region.stream}
    assert not any(scores <= set(a.axes) for step in plan.steps for a in arrays_of(step))


ROTARY = """use std.position.{rotary}
diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  A = rotary[q, k](Q)
  B = rotary[x, k](K)
  S[q x] = A[q k] * B[x k]
  P = softmax[x](where(x <= q, S, -inf))
  return O[q e] = P[q x] * V[x e]
}"""


@pytest.mark.parametrize("text", [PROGRAMS["weights of queries and keys"][0], ROTARY])
def test_gradients_inside_of_scores_store_none(text: str) -> None:
    """That of a weight is made a row at a time, and a mask is on no function of a query."""
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    (region,) = make_plan(open_diagram(diagram), order="written").regions
    steps = Backward(region, "f", {}).program.steps
    left = [a for s in steps if not isinstance(s, Region) for a in arrays_of(s)]
    assert not {"dw", "du"} & set(map(str, left))
    scores = {*region.rows, *region.stream}
    assert not any(scores <= set(a.axes) for step in steps for a in arrays_of(step))


def test_wide_products_in_a_row_are_not_fused() -> None:
    """A tile holds no axis of columns that is longer than it."""
    text, sizes = PROGRAMS["low-rank keys"][:2]
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    for width, fused in ((64, True), (512, False)):
        known = {s: {**sizes, "k": width, "e": width}[s.name] for s in diagram.unknowns}
        plan = make_plan(open_diagram(diagram), known, order="written")
        names = {str(a) for region in plan.regions for a in arrays_of(region)}
        assert ("K" in names) == fused
