"""Reads at indices: `Y[t m] = E[T[t], m] * s[m]`, by the classes of their axes.

An axis of the result that a gathered array is read along as it is, and on which no place depends,
is a *slice*: one program moves a tile of it. One that places depend on is an *index* axis, and all
others are *groups* (see `scatter`). No two entries of a result are written to the same place, so
that all axes can be grouped.
"""

from __future__ import annotations

from ncdlang.analysis.recurrences import STATISTIC
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array, Term, Terms, number_kind, ordered, reads, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis


@record(eq=False)
class Gathered:
    """`array = source`, a pointwise term over the axes of the array that reads at indices.

    It has the parts that a scatter has, which writes every entry once.
    """

    terms: Terms
    array: Array
    source: Term
    op: str = "="
    base: Term | None = None
    collides: bool = False

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the result."""
        return self.array.axes

    @property
    def indices(self) -> tuple[Term, ...]:
        """Where the entries of the result are written: in order."""
        return tuple(map(self.terms.index, self.array.axes))

    @property
    def parts(self) -> tuple[Term, ...]:
        """The terms that it works with."""
        return (self.source,)

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that it reads."""
        return tuple(reads(self.source))

    @property
    def indexed(self) -> tuple[Axis, ...]:
        """The axes that places depend on."""
        found = {a for read in gathers(self.source) for place in places(read) for a in place.axes}
        return tuple(axis for axis in self.array.axes if axis in found)

    @property
    def lanes(self) -> tuple[tuple[Axis, Axis], ...]:
        """The slice axes, each twice, as a scatter has them."""
        slices = {
            arg.data for read in gathers(self.source) for arg in read.args if arg.op == "index"
        }
        slices -= set(self.indexed)
        return tuple((axis, axis) for axis in self.array.axes if axis in slices)

    @property
    def listed(self) -> tuple[Axis, ...]:
        """The index axes and those that are only grouped."""
        lanes = {axis for axis, _ in self.lanes}
        return tuple(axis for axis in self.array.axes if axis not in lanes)

    @property
    def keys(self) -> tuple[tuple[Axis, Term], ...]:
        """The axes of the result that are no slices, with themselves as places."""
        return tuple((axis, self.terms.index(axis)) for axis in self.listed)


def places(read: Term) -> list[Term]:
    """The coordinates of a read that other arrays tell."""
    return [arg for arg in read.args if any(term.op == "load" for term in subterms(arg))]


def gathers(term: Term) -> list[Term]:
    """The reads of real arrays at places that other arrays tell, in a term but in none of its
    folds, each once."""
    found: dict[Term, None] = {}
    seen: set[Term] = set()

    def visit(now: Term) -> None:
        if now in seen or now.op == "fold":
            return
        seen.add(now)
        if now.op == "load" and now.data.kind.name == "real" and places(now):
            found[now] = None
        for arg in now.args:
            visit(arg)

    visit(term)
    return list(found)


def is_gather(array: Array, term: Term) -> bool:
    """Whether an array of real numbers is read out of others at indices."""
    is_real = array.kind.name == "real" and number_kind(term) == "real"
    return is_real and bool(array.axes) and bool(gathers(term))


def written_back(terms: Terms, name: str, read: Term, found: Term) -> Scattered:
    """The adjoint of a read: what is `found` for it, added up where it was read.

    No two sources meet if each of their axes is a coordinate of the place.
    """
    axes = tuple(dict.fromkeys(axis for term in (read, found) for axis in ordered(term)))
    copied = {index.data for index in read.args if index.op == "index"}
    array = Array(name, read.data.axes, STATISTIC, (), "made")
    collides = not copied.issuperset(axes)
    return Scattered(terms, array, "+=", axes, read.args, found, None, collides, read.data)
