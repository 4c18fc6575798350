"""The gradient of a step over rows: again one over the same rows.

The folds of the forward pass are saved, one number a row; cotangents run over what is held whole.
"""

from __future__ import annotations

import math
import random

from ncdlang.analysis.adjoint import Gradient, NoGradient, Reverse
from ncdlang.analysis.proof import POINTS, TOLERANCE, Point, length_for
from ncdlang.analysis.steps import Output, Region, Rows
from ncdlang.analysis.terms import Term, ordered
from ncdlang.records import replace


def rows_gradient(step: Rows) -> Gradient:
    """The gradient of a step over rows. Raises NoGradient."""
    if not all(_is_steady(step, output.written) for output in step.outputs):
        raise NoGradient("a result depends on a maximum, which has no derivative everywhere")
    outputs = tuple(replace(output, term=output.written) for output in step.outputs)
    groups = (*step.batch, *step.rows)
    region = Region(step.terms, (), groups, step.barrier, outputs, step.folds, {})
    return _Rows(region, step.terms).run()


def with_saved(step: Rows, further: tuple[Output, ...]) -> Rows:
    """A step that makes further arrays, of folds that it has."""
    return replace(step, outputs=(*step.outputs, *further))


class _Rows(Reverse):
    """A backward pass in which no gradient has a form of its own: rows are held whole."""

    def _is_short(self, leaf: Term) -> bool:
        del leaf
        return False


def _is_steady(step: Rows, term: Term) -> bool:
    """Whether a result stays the same when the extrema in it are moved."""
    extrema = [fold for fold in step.folds if fold.kind != "sum"]
    if not extrema:
        return True
    seen, length = False, length_for(term)
    for seed in range(POINTS):
        generator = random.Random(seed)
        at = {axis: generator.randrange(length) for axis in ordered(term)}
        values: list[float] = []
        for shift in (0.0, 0.6):
            point = Point(seed, length=length)
            point.fixed = dict.fromkeys(extrema, 0.3 + shift)
            values.append(float(point.value(term, at)))
        if not all(map(math.isfinite, values)):
            continue
        if abs(values[0] - values[1]) > TOLERANCE * 10 * (1 + abs(values[0])):
            return False
        seen = True
    return seen
