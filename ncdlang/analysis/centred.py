"""Gradients of slopes and temperatures: sums over rows of scores whose gradients cancel.

With C the gradient of a score, w its weight and g its derivative by a slope, that of the slope
is sum_x C[x] g[x]. Where a row of scores may be moved as a whole, as under softmax, sum_x C[x] is
0, and g may be taken from its mean: sum_x C[x] (g[x] - sum_y w[y] g[y] / sum_y w[y]). A rounded
statistic of the row moves C by a multiple of w, and sum_x w[x] (g[x] - mean) is 0: its error,
that times the mean of g before, is gone.
"""

from __future__ import annotations

import math
import random

from ncdlang.analysis.factored import spread
from ncdlang.analysis.proof import TOLERANCE, Point, holds, length_for
from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    added,
    is_number,
    number_kind,
    ordered,
    outermost,
    parts,
    plus,
    subterms,
    times,
)
from ncdlang.records import record
from ncdlang.semantics.types import BOOLEAN, Axis


@record
class Scores:
    """The axes along which sums of a region run, and what gradients of its scores are made of.

    `streamed` are the axes of a row, `others` those that rows and batches have; `given` are the
    cotangents of the results. `statistics` are sums over rows that are made before, to which
    more may be added.
    """

    terms: Terms
    streamed: tuple[Axis, ...]
    others: frozenset[Axis]
    given: frozenset[Array]
    statistics: dict[Term, Array | None]


def centred(rows: Scores, term: Term) -> Term:
    """A gradient with its sums over whole rows taken from the mean, where these sums cancel."""

    def image(now: Term) -> Term | None:
        if now.kind != "sum" or not frozenset(rows.streamed) <= frozenset(now.bound):
            return None
        sums = (_centred(rows, *each) for each in _flattened(rows, now).items())
        return plus(rows.terms, sums)

    return rows.terms.map(term, image)


def _flattened(rows: Scores, fold: Term) -> dict[tuple[Axis, ...], list[list[Term]]]:
    """The products that a sum adds up, by the axes they are summed over; no sums over rows in them.

    A sum over further rows, or heads, of what is shared by them is one sum over all of them.
    """
    terms = rows.terms
    found: dict[tuple[Axis, ...], list[list[Term]]] = {}
    for summand in added(terms, fold.args[0]):
        factors = parts(terms, summand)
        inner = next((f for f in factors if _shared(rows, f) is not None), None)
        if inner is None:
            found.setdefault(fold.bound, []).append(factors)
            continue
        shared = _shared(rows, inner)
        assert shared is not None
        others = [f for f in factors if f is not inner]
        bound, body = shared
        whole = times(terms, [*others, spread(terms, body)])
        wider = terms.fold("sum", (*fold.bound, *bound), whole)
        for axes, products in _flattened(rows, wider).items():
            found.setdefault(axes, []).extend(products)
    return found


def _shared(rows: Scores, factor: Term) -> tuple[tuple[Axis, ...], Term] | None:
    """The axes and the summand of a factor that is a sum over rows, or that or 0 by a choice."""
    if factor.kind == "sum" and frozenset(factor.bound) <= rows.others:
        return factor.bound, factor.args[0]
    if factor.op != "select":
        return None
    condition, then, otherwise = factor.args
    value, is_then = (then, True) if is_number(otherwise, 0) else (otherwise, False)
    inner = _shared(rows, value)
    if inner is None or not is_number(otherwise if is_then else then, 0):
        return None
    if not condition.axes.isdisjoint(inner[0]):
        return None
    zero = rows.terms.number(0.0)
    branches = (inner[1], zero) if is_then else (zero, inner[1])
    return inner[0], rows.terms.apply("select", condition, *branches)


def _centred(rows: Scores, bound: tuple[Axis, ...], products: list[list[Term]]) -> Term:
    """A sum of products; those that have the gradient of the same score are one product."""
    terms = rows.terms
    groups: dict[frozenset[Term], list[list[Term]]] = {}
    for factors in products:
        own = [f for f in factors if _is_weight(f) or _is_gradient(rows, f)]
        groups.setdefault(frozenset(own), []).append(factors)
    bodies: list[Term] = []
    for own, members in groups.items():
        # Factors in their order: how terms are written must not depend on addresses.
        gradient = [f for f in members[0] if f in own]
        others = [[f for f in factors if f not in own] for factors in members]
        slope = plus(terms, (times(terms, each) for each in others))
        weights = [f for f in gradient if _is_weight(f)]
        # A mean for each feature of a product of scores would be a product of matrices itself.
        is_scalar = slope.axes <= rows.others.union(rows.streamed)
        is_known = is_scalar and len(gradient) == len(own) > len(weights) > 0
        if is_known and _cancels(rows, gradient):
            slope = terms.apply("sub", slope, _mean(rows, weights, slope))
        bodies.append(times(terms, [slope, *gradient]))
    return terms.fold("sum", bound, plus(terms, bodies))


def _mean(rows: Scores, weights: list[Term], value: Term) -> Term:
    """The mean of a value over a row by weights, of statistics; 0 where there are none."""
    terms = rows.terms
    total, moment = (
        terms.fold("sum", rows.streamed, times(terms, [*weights, *more])) for more in ([], [value])
    )
    for fold in (total, moment):
        rows.statistics.setdefault(fold, None)
    zero = terms.number(0.0)
    mean = terms.apply("div", moment, total)
    return terms.apply("select", terms.apply("eq", total, zero), zero, mean)


def _is_weight(factor: Term) -> bool:
    """Whether a factor is never negative, and varies with a score: an exponential, or 0."""
    if factor.op == "select":
        return all(is_number(arg, 0) or _is_weight(arg) for arg in factor.args[1:])
    return factor.op == "exp"


def _is_gradient(rows: Scores, factor: Term) -> bool:
    """Whether a factor is made of the cotangents of results."""
    return any(t.op == "load" and t.data in rows.given for t in subterms(factor))


def _cancels(rows: Scores, gradient: list[Term]) -> bool:
    """Whether the gradient of a score is 0 when summed over a row, at random points."""
    body = times(rows.terms, gradient)
    return any(_vanishes(rows, each) for each in (body, _unmasked(rows, body)))


def _unmasked(rows: Scores, body: Term) -> Term:
    """A term with any masks in place of its own, which may hide all of a short row."""
    terms = rows.terms
    streamed = frozenset(rows.streamed)

    def is_mask(now: Term) -> bool:
        return number_kind(now) == "boolean" and not streamed.isdisjoint(now.axes)

    images: dict[Term, Term] = {}
    for condition in outermost(body, is_mask):
        axes = ordered(condition)
        array = Array(f"mask_{len(images)}", axes, BOOLEAN)
        images[condition] = terms.load(array, tuple(map(terms.index, axes)))
    return terms.replace(body, images)


def _vanishes(rows: Scores, body: Term) -> bool:
    """Whether a sum over a row is 0 at random points, at some of them of numbers that are not."""
    terms = rows.terms
    total = terms.fold("sum", rows.streamed, body)
    size = terms.fold("sum", rows.streamed, terms.apply("abs", body))
    length = length_for(total)

    def tried(seed: int) -> bool | float:
        point, generator = Point(seed, length=length), random.Random(seed)
        at = {axis: generator.randrange(length) for axis in ordered(total)}
        found, most = point.value(total, at), point.value(size, at)
        if not (math.isfinite(found) and math.isfinite(most)):
            return math.nan
        return False if abs(found) > TOLERANCE * most else most > TOLERANCE or math.nan

    return holds(tried)
