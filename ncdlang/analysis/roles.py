"""Which axes of a region are groups, and how: batches, rows and columns of its tiles.

Every axis of a result can be grouped (arXiv 2412.03317, section 2.3). An axis that both sides of
a product carry is a *batch*: one program works at one index of it. Of the others, those of the
side that the statistics belong to are *rows* and those of the other side *columns*, so that each
product is one of matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.analysis.terms import Term, outermost, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


@record
class Roles:
    """The axes of a region. `rows` may be empty, then `columns` are not."""

    batch: Axes
    rows: Axes
    columns: Axes


def factors(term: Term) -> list[Term]:
    """The factors of a product, those under a quotient by what is no product included."""
    if term.op == "mul":
        return [f for arg in term.args for f in factors(arg)]
    if term.op == "div":
        return [*factors(term.args[0]), *(d for d in term.args[1:])]
    if term.op in ("neg", "real", "cast"):
        return factors(term.args[0])
    return [term]


def summands(term: Term) -> list[Term]:
    """The terms of a sum."""
    if term.op in ("add", "sub"):
        return [s for arg in term.args for s in summands(arg)]
    return [term]


def maximal(sets: Iterable[Axes]) -> list[Axes]:
    """The sets that are in no other one, each once."""
    kept: list[Axes] = []
    for found in sets:
        if any(found <= other for other in kept):
            continue
        kept = [other for other in kept if not other < found]
        kept.append(found)
    return kept


def sides(product: Term, streamed: Axes, outer: Axes) -> list[Axes]:
    """The axes of the result that the factors carry which vary along the streamed axes."""
    varying = [f for f in factors(product) if not f.axes.isdisjoint(streamed)]
    return maximal(frozenset(f.axes & outer) for f in varying)


def statistics(folds: Iterable[Term], streamed: Axes) -> Axes:
    """The axes of folds over the streamed axes that other such folds wait for."""
    found: set[Axis] = set()
    for fold in folds:
        for inner in subterms(fold.args[0]):
            if inner.op == "fold" and frozenset(inner.bound) == streamed:
                found |= inner.axes
    return frozenset(found)


def inner_folds(term: Term, streamed: Axes) -> list[Term]:
    """The outermost folds of a summand that are not over the streamed axes."""
    return outermost(term, lambda t: t.op == "fold" and frozenset(t.bound) != streamed)


def shared_sides(fold: Term, streamed: Axes, outer: Axes) -> Axes:
    """The axes of the result that both sides of an inner product carry."""
    still: set[Axis] = set()
    moving: set[Axis] = set()
    for factor in factors(fold.args[0]):
        if factor.axes.isdisjoint(fold.bound):
            continue
        side = still if factor.axes.isdisjoint(streamed) else moving
        side.update((factor.axes & outer) - frozenset(fold.bound))
    return frozenset(still & moving)


LINEAR = ("add", "sub", "mul", "neg", "real", "cast")


def streams_apart(folds: Iterable[Term], streamed: Axes, rows: Axes) -> frozenset[Term]:
    """The inner folds of plain sums over the streamed axes that stream better by themselves.

    Inside, what they sum over would be written to memory for all rows: the scores of an attention
    before its projection. They are those that only sums follow, and those with a running extremum.
    """
    found: set[Term] = set()
    every = tuple(folds)
    if any(_waits(fold, streamed) for fold in every):
        return frozenset()
    for fold in every:
        plain = _linear(fold.args[0]) if all(f.kind == "sum" for f in every) else set[Term]()
        for inner in inner_folds(fold.args[0], streamed):
            bound = frozenset(inner.bound)
            deeper = [t for t in subterms(inner.args[0]) if t.op == "fold"]
            long = [t for t in deeper if t.axes & bound and t.axes & (rows | streamed)]
            is_maximal = any(t.kind in ("max", "min") and t.bound == inner.bound for t in deeper)
            is_linear = inner in plain and any(t.axes & rows for t in long)
            if long and (is_linear or is_maximal):
                found.add(inner)
    return frozenset(found)


def _waits(fold: Term, streamed: Axes) -> bool:
    """Whether a fold reads another one over the same axes."""
    return any(t.op == "fold" and frozenset(t.bound) == streamed for t in subterms(fold.args[0]))


def _linear(term: Term) -> set[Term]:
    """The terms in which a term is linear, each for itself."""
    if term.op == "div":
        return {term} | _linear(term.args[0])
    if term.op not in LINEAR:
        return {term}
    return {term}.union(*map(_linear, term.args))


def find_roles(
    folds: list[Term], waiting: Axes, inner: list[Term], streamed: Axes, order: tuple[Axis, ...]
) -> Roles:
    """The roles of the axes of a result in `order`, whose value is made of `folds`."""
    outer = frozenset(order)
    batch: set[Axis] = set()
    clusters: list[Axes] = []
    products = [s for fold in folds for s in summands(fold.args[0])]
    for product in products:
        found = sides(product, streamed, outer)
        shared = {a for a in outer if sum(a in side for side in found) > 1}
        batch |= shared
        clusters += found
    for fold in inner:
        batch |= shared_sides(fold, streamed, outer)
    for axis in list(batch):
        # An axis is a batch only if every product can do with one index of it at a time.
        if all(axis not in cluster for cluster in clusters):
            batch.discard(axis)
    rest = [c - batch for c in maximal(c - batch for c in clusters) if c - batch]
    if not rest:
        return Roles(frozenset(), frozenset(batch), frozenset()) if batch else _alone(outer)
    rows = _rows(rest, waiting - batch, inner, order)
    columns = frozenset(outer - batch - rows)
    return Roles(frozenset(batch), rows, columns)


def _alone(outer: Axes) -> Roles:
    return Roles(frozenset(), outer, frozenset())


def _rows(clusters: list[Axes], waiting: Axes, inner: list[Term], order: tuple[Axis, ...]) -> Axes:
    """The clusters that carry statistics or inner products, else the first one."""
    carried = frozenset[Axis]().union(waiting, *(fold.axes for fold in inner if not waiting))
    chosen = [cluster for cluster in clusters if cluster & carried]
    if not chosen or len(chosen) == len(clusters) > 1:
        ranked = sorted(clusters, key=lambda c: min(order.index(axis) for axis in c))
        chosen = [c for c in chosen if c & waiting] or ranked[:1]
    return frozenset[Axis]().union(*chosen)
