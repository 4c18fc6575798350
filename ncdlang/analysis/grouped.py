"""Products of matrices one of which is read at indices: `Y[t f] = X[t m] * W[E[t], f, m]`.

The places that `W` is read at depend neither on what is summed over nor on the columns f. Rows of
the same place then share one matrix: sorted by their places they are *groups* of unequal length,
and a tile of rows is multiplied by the matrix of each group that it has rows of. An axis that both
sides share groups rows, too. Sums over axes that places depend on (the j of `G[t j] * X[t m] *
W[E[t j], f, m]`) come afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce

from ncdlang.analysis.gathers import gathers, places
from ncdlang.analysis.reductions import copied
from ncdlang.analysis.terms import Array, Term, Terms, number_kind, ordered, parts, reads
from ncdlang.records import record
from ncdlang.semantics.types import Axis


@record(eq=False)
class Grouped:
    """`array = sum[bound](left * right)`, with the groups in `right` that `keys` tells of a row.

    `keys` has the axis of each group in `right`, and the place along it as a term over the rows.
    `left` is a term over rows and bound axes, `right` one over groups, bound axes and columns;
    `body` is the product as it was written.
    """

    terms: Terms
    array: Array
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    bound: tuple[Axis, ...]
    keys: tuple[tuple[Axis, Term], ...]
    left: Term
    right: Term
    body: Term

    @property
    def listed(self) -> tuple[Axis, ...]:
        """The axes of the list that is sorted by places: the rows."""
        return self.rows

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that it reads."""
        return tuple(reads(*self.parts))

    @property
    def parts(self) -> tuple[Term, ...]:
        """The terms that it works with."""
        return (self.written, self.left, self.right, *(index for _, index in self.keys))

    @property
    def written(self) -> Term:
        """The sum as it was written."""
        return self.terms.fold("sum", self.bound, self.body)


def inner_product(terms: Terms, fold: Term) -> tuple[Term, Term] | None:
    """A sum with a grouped product in it: what is made of the product, and the product.

    None where there is no such product.
    """
    if fold.kind != "sum" or number_kind(fold) != "real":
        return None
    factors = parts(terms, fold.args[0])
    indexed = _indexed(factors)
    moving = tuple(axis for axis in fold.bound if axis not in indexed)
    inside = [factor for factor in factors if not factor.axes.isdisjoint(moving)]
    if not moving or not any(_has_columns(f, indexed, frozenset(fold.bound)) for f in inside):
        return None
    if len(inside) < 2:
        return None
    product = terms.fold("sum", moving, _times(terms, inside))
    if grouped(terms, Array("", ordered(product)), product) is None:
        return None
    outside = [factor for factor in factors if factor.axes.isdisjoint(moving)]
    later = tuple(axis for axis in fold.bound if axis in indexed)
    return terms.fold("sum", later, _times(terms, [*outside, product])), product


def grouped(terms: Terms, array: Array, fold: Term) -> Grouped | None:
    """The grouped product that an array is, None where it is none."""
    if fold.kind != "sum" or array.kind.name != "real":
        return None
    factors, bound = parts(terms, fold.args[0]), frozenset(fold.bound)
    indexed = _indexed(factors)
    right = [factor for factor in factors if _has_columns(factor, indexed, bound)]
    left = [factor for factor in factors if factor not in right]
    if not left or not right or not bound.isdisjoint(indexed):
        return None
    if not any(factor.axes & indexed for factor in left):
        # All rows need the matrices of all places: they are read once, for one plain product.
        return None
    first = _times(terms, left)
    second, keys = _by_group(terms, _times(terms, right), indexed | (first.axes - bound))
    made = frozenset(axis for axis, _ in keys)
    columns = second.axes - made - bound
    rows = tuple(axis for axis in array.axes if axis not in columns)
    fits = columns and bound <= first.axes and bound <= second.axes
    if not fits or not columns <= set(array.axes) or fold.axes != frozenset(array.axes):
        return None
    return Grouped(
        terms,
        array,
        rows,
        tuple(axis for axis in array.axes if axis in columns),
        fold.bound,
        keys,
        first,
        second,
        fold.args[0],
    )


def _indexed(factors: Iterable[Term]) -> frozenset[Axis]:
    """The axes that places depend on."""
    reads_at = [read for factor in factors for read in gathers(factor)]
    return frozenset(axis for read in reads_at for place in places(read) for axis in place.axes)


def _has_columns(factor: Term, indexed: frozenset[Axis], bound: frozenset[Axis]) -> bool:
    """Whether a factor is read at places and has axes that neither they nor sums depend on."""
    return bool(gathers(factor)) and not factor.axes <= indexed | bound


def _by_group(
    terms: Terms, factor: Term, rows: frozenset[Axis]
) -> tuple[Term, tuple[tuple[Axis, Term], ...]]:
    """A factor with an axis for each of its places, and for each further axis of the rows."""
    keys: dict[Term, Axis] = {}

    def image(now: Term) -> Term | None:
        told = places(now) if now.op == "load" and now.data.kind.name == "real" else []
        if not told:
            return None
        arguments: list[Term] = []
        for axis, arg in zip(now.data.axes, now.args, strict=True):
            if arg in told:
                arg = terms.index(keys.setdefault(arg, copied(axis)))
            arguments.append(terms.map(arg, image))
        return terms.load(now.data, tuple(arguments))

    made = terms.map(factor, image)
    shared = {axis: copied(axis) for axis in ordered(made) if axis in rows}
    made = terms.substitute(made, {axis: terms.index(own) for axis, own in shared.items()})
    found = [(axis, place) for place, axis in keys.items()]
    return made, (*found, *((own, terms.index(axis)) for axis, own in shared.items()))


def _times(terms: Terms, factors: list[Term]) -> Term:
    return reduce(partial(terms.apply, "mul"), factors)
