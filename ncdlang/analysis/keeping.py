"""Wires that are kept as arrays while a diagram is opened, since many terms would copy them.

Two reads of a wire at other coordinates are two terms. Where what it holds is long, as after some
layers, copies of copies would be without end, and so would be the work that they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    is_fold,
    kind_of,
    ordered,
    outermost,
    reads,
    subterms,
)
from ncdlang.records import record
from ncdlang.semantics.types import Axis

MAX_COPIED = 32
# Sums in sums in sums: an attention is deeper, a norm and a projection are not.
MAX_NESTED = 3


@record(eq=False)
class Kept:
    """An array that holds a term, which its readers take at several coordinates."""

    array: Array

    @property
    def inputs(self) -> list[Array]:
        """The arrays that it is made of."""
        return reads(self.term)

    @property
    def term(self) -> Term:
        """What it holds."""
        assert self.array.made is not None
        return self.array.made


Making = Recurrence | Scattered | Foreign | Kept


class Keeping:
    """The arrays that are made on the way through a diagram, in order."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.steps: list[Making] = []
        self._kept: dict[Term, Term] = {}

    def at(self, name: str, term: Term, images: Mapping[Axis, Term]) -> Term:
        """A term with some axes replaced: a copy, or, of a long one, a read of what is kept."""
        if _is_costly(term, images) and _is_finished(term):
            term = self._read(name, term)
        return self.terms.substitute(term, images)

    def _read(self, name: str, term: Term) -> Term:
        found = self._kept.get(term)
        if found is None:
            array = Array(name, ordered(term), kind_of(term), (), "made", term)
            self.steps.append(Kept(array))
            found = self.terms.load(array, tuple(map(self.terms.index, array.axes)))
            self._kept[term] = found
        return found


def _is_costly(term: Term, images: Mapping[Axis, Term]) -> bool:
    """Whether a substitution makes many subterms anew, or work over again that is deeply nested.

    What still has the axis of a sum in it, as probabilities have, is not kept for that: it is
    part of a longer sum that streams.
    """
    changed = frozenset(a for a, i in images.items() if i.op != "index" or i.data is not a)
    if term.axes.isdisjoint(changed):
        return False
    anew, nested = 0, dict[Term, int]()
    for each in subterms(term):
        anew += not each.axes.isdisjoint(changed)
        inside = max((nested[arg] for arg in each.args), default=0)
        nested[each] = inside + (each.op == "fold")
    if anew > MAX_COPIED or nested[term] <= MAX_NESTED:
        return anew > MAX_COPIED
    return all(term.axes.isdisjoint(fold.bound) for fold in outermost(term, is_fold))


def _is_finished(term: Term) -> bool:
    """Whether a term holds no state of a recurrence, which is there only within a step."""
    return all(array.role != "state" for array in reads(term))
