"""The gradient of a step over rows: again one over the same rows.

The folds of the forward pass are saved, one number a row; cotangents run over what is held whole.
"""

from __future__ import annotations

import math
import random

from ncdlang.analysis.adjoint import Gradient, NoGradient, Reverse, Root
from ncdlang.analysis.proof import TOLERANCE, Point, holds, length_for
from ncdlang.analysis.steps import Output, Region, Rows
from ncdlang.analysis.terms import Term, Terms, ordered
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


def with_picked(terms: Terms, found: Gradient) -> Gradient:
    """The gradient with reads at one place of each row, as `L[n, T[n]]`, part of that of the rows.

    It is where the axis is that place: nothing is scattered into an array of its own.
    """
    roots = list(found.roots)
    for root in found.roots:
        if root.read is None:
            continue
        for place, whole in enumerate(roots):
            term = _picked(terms, root, whole)
            if term is not None:
                roots[place] = replace(whole, term=terms.apply("add", whole.term, term))
                roots.remove(root)
                break
    return replace(found, roots=tuple(roots))


def _picked(terms: Terms, root: Root, whole: Root) -> Term | None:
    """The gradient of a read at places over the axes of a whole one, None where it has others."""
    if root.read is None or whole.read is not None or whole.array is not root.array or whole.rest:
        return None
    if len(whole.axes) != len(root.read.args):
        return None
    pairs = list(zip(whole.axes, root.read.args, strict=True))
    places = [(axis, arg) for axis, arg in pairs if arg is not terms.index(axis)]
    known = frozenset(axis for axis, arg in pairs if arg is terms.index(axis))
    if len(places) != 1 or not places[0][1].axes | root.term.axes <= known:
        return None
    is_there = terms.apply("eq", terms.index(places[0][0]), places[0][1])
    return terms.apply("select", is_there, root.term, terms.number(0.0))


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
    length = length_for(term)

    def tried(seed: int) -> bool | float:
        generator = random.Random(seed)
        at = {axis: generator.randrange(length) for axis in ordered(term)}
        values: list[float] = []
        for shift in (0.0, 0.6):
            point = Point(seed, length=length)
            point.fixed = dict.fromkeys(extrema, 0.3 + shift)
            values.append(float(point.value(term, at)))
        if not all(map(math.isfinite, values)):
            return math.nan
        return abs(values[0] - values[1]) <= TOLERANCE * 10 * (1 + abs(values[0]))

    return holds(tried)
