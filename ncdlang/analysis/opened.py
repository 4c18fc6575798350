"""What an opened diagram is: a term for each result, and what has to be made before."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.keeping import Making
from ncdlang.analysis.terms import Array, Term, Terms
from ncdlang.ir.diagram import Graph
from ncdlang.records import record
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span


@record(eq=False)
class Opened:
    """A diagram as terms: one for each result, over the axes of the result's wire.

    `inputs` are in the order of the signature; `parameters` are those that are read.
    `made` are arrays that no single expression is, in order; later ones and the results read them.
    """

    terms: Terms
    results: tuple[tuple[Wire, Term], ...]
    inputs: tuple[Array, ...]
    parameters: tuple[Array, ...]
    inside: Mapping[Calls, Inside]
    made: tuple[Making, ...]


@record(eq=False)
class Inside:
    """One graph as it was opened: its wires that have terms, and what its axes stand for."""

    graph: Graph
    wires: Mapping[Wire, Term]
    axes: Mapping[Axis, Axis]


Calls = tuple[Wire, ...]
"""A way into calls, from the outside in, each by the first wire that it makes."""


class Opaque(Exception):
    """An operation that has no equations here."""

    def __init__(self, what: str, span: Span) -> None:
        super().__init__(what)
        self.what = what
        self.span = span
