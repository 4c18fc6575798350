"""Sums that differ in factors which do not vary along the stream have one accumulator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kernel_judge import judged, small_tiles
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.steps import Region
from ncdlang.analysis.terms import Term, Terms, number_kind, parts
from ncdlang.semantics.program import CheckedDiagram

DATA = Path(__file__).parent / "data" / "kernels.ncd"
# Two norms, one of what the other made, before a product of matrices.
NORMS = """
use std.nn.{rms_norm, linear}
diagram norms[w](X: [t m], Y: [t m]) -> [t w] {
  learn n, o: rms_norm[m]
  learn U: linear[m -> w]
  A[t m] = n(X) + Y[t m]
  return U(o(A))
}
"""
# A running maximum corrects the sum, the factors of rows stand outside.
TWICE = """
diagram twice(Q: [q k], K: [x k], V: [x e], a: [q], b: [q]) -> [q e] {
  S[q x] = Q[q k] * K[x k]
  P = softmax[x](where(x <= q, S, -inf))
  A[q e] = sum[x](a[q] * P[q x] * V[x e])
  B[q e] = sum[x](P[q x] * V[x e] * b[q])
  return O[q e] = exp(A) * B
}
"""
# A count is a whole number, and not the sum that a factor of the row made real.
COUNTS = """
diagram counts(X: [t m], a: [t]) -> [t] {
  A[t] = sum[m](where(X[t m] > 0, 1, 0))
  B[t] = sum[m](where(X[t m] > 0, 1, 0) * a[t])
  s[t] = sum[m](X[t m] * X[t m])
  return Y[t] = A[t] * B[t] / (1 + s[t])
}
"""


def regions(diagram: CheckedDiagram) -> list[tuple[str, Region]]:
    """The regions of a diagram and of its gradient."""
    sizes = dict.fromkeys(diagram.unknowns, 64)
    runner = Runner(make_plan(open_diagram(diagram), sizes, "written"), sizes)
    found: list[tuple[str, Region]] = []
    for step, launcher in runner.program.launchers.items():
        backward = runner.backward(step)
        launchers = [launcher, *(backward.program.launchers.values() if backward else ())]
        steps = [each.kernel.region for each in launchers]
        found += [(diagram.name, region) for region in steps if isinstance(region, Region)]
    return found


def only(text: str) -> CheckedDiagram:
    (found,) = (d for d in ncdlang.loads(text).program.diagrams)
    return found


def moving(terms: Terms, fold: Term) -> tuple[int, ...]:
    """The factors of a sum that vary along its axes."""
    factors = parts(terms, fold.args[0])
    return tuple(sorted(terms.rank(f) for f in factors if not f.axes.isdisjoint(fold.bound)))


def test_no_region_sums_up_a_product_twice() -> None:
    programs = [*ncdlang.load(DATA).program.diagrams, only(NORMS), only(TWICE)]
    seen = 0
    for name, region in (each for diagram in programs for each in regions(diagram)):
        sums = [fold for fold in region.folds if fold.kind == "sum"]
        keys = [(moving(region.terms, f), f.axes & set(region.rows)) for f in sums]
        assert len(set(keys)) == len(keys), (name, region.outputs[0].array)
        seen += len(keys) > 1
    assert seen > 20


@pytest.mark.parametrize("width", [1, 5, 24])
def test_nested_norms(width: int) -> None:
    """Three sums of squares, one of products and two matrices."""
    forward = regions(only(NORMS))[0][1]
    assert len(forward.folds) == 6
    with small_tiles():
        judged(NORMS, "norms", {"t": 19, "m": 21, "w": width}, torch.float32, factor=2)


def test_a_running_maximum_stays_inside() -> None:
    forward = regions(only(TWICE))[0][1]
    (total,) = (f for f in forward.folds if f.kind == "sum" and len(f.axes) == 2)
    assert total in forward.growth
    with small_tiles():
        judged(TWICE, "twice", {"q": 19, "x": 21, "k": 5, "e": 7}, torch.float32, factor=2)


def test_counts_stay_whole() -> None:
    ((_, region),) = regions(only(COUNTS))
    assert [number_kind(fold) for fold in region.folds] == ["integer", "real", "real"]
    with small_tiles():
        judged(COUNTS, "counts", {"t": 19, "m": 21}, torch.float32)
