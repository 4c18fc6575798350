"""Differences to a first entry, where a result depends on nothing but differences.

A sum over streamed axes that was pulled apart into several loses the digits that they have in
common: the variance of large numbers that are nearly equal is one, as the mean of squares less
the square of the mean. Where the equations do not change when an array is shifted along these
axes, which random numbers decide, every read of it becomes its difference to the first one.
"""

from __future__ import annotations

from ncdlang.analysis.proof import agrees
from ncdlang.analysis.terms import Term, Terms, subterms
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


def shifted(terms: Terms, term: Term, streamed: Axes, rows: Axes) -> Term | None:
    """The term with reads taken from their first entry; None if it depends on any such shift.

    `rows` are the axes of the statistics, whose sums are those that cancel.
    The first entry is `still`: the result does not depend on it, so it has no gradient.
    """
    images: dict[Term, Term] = {}
    first = {axis: terms.number(0) for axis in streamed}
    for read in _moving(term, streamed, rows):
        start = terms.apply("still", terms.substitute(read, first))
        image = terms.apply("sub", read, start)
        if agrees(term, terms.replace(term, {read: image})):
            images[read] = image
    return terms.replace(term, images) if images else None


def _moving(term: Term, streamed: Axes, rows: Axes) -> list[Term]:
    """The reads of real arrays along the streamed axes and rows, and nothing else."""
    return [
        read
        for read in subterms(term)
        if read.op == "load"
        and read.data.kind.name == "real"
        and not read.axes.isdisjoint(streamed)
        and read.axes & rows == read.axes - streamed != frozenset()
    ]
