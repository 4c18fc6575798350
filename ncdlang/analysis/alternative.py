"""A graph in which sums of polynomials are taken in another order, and what both graphs cost."""

from __future__ import annotations

from ncdlang.algebra.patches import Site
from ncdlang.analysis.associate import Association, associate, operations_of
from ncdlang.analysis.opening import open_graph
from ncdlang.analysis.operations import NoOperation, Operations
from ncdlang.analysis.terms import Term, subterms
from ncdlang.ir.diagram import Contraction, Edge, Graph, Reduction
from ncdlang.records import record, replace
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Wire


@record(eq=False)
class Alternative:
    """Another graph of the same diagram. `before` and `after` are polynomials of the sizes: the
    operations of the sums that only the first graph takes, and of those that only this one takes.
    """

    graph: Graph
    before: Size
    after: Size


def alternative(graph: Graph) -> Alternative | None:
    """The graph with its sums re-associated (`associate`), None if there is nothing to gain."""
    folds = [edge for edge in graph.edges if _is_sum(edge)]
    if len(folds) < 2:
        return None
    terms, meanings, arrays = open_graph(graph)
    found: dict[Wire, Association] = {}
    for edge in folds:
        wire = edge.outputs[0].wire
        association = associate(terms, meanings[wire])
        if association is not None:
            found[wire] = association
    if not found:
        return None
    writer = Operations(terms, arrays)
    edges: list[Edge] = []
    try:
        for edge in graph.edges:
            edges += _rewritten(edge, found, writer)
            _remember(edge, meanings, writer)
    except NoOperation:
        return None
    made = _live(replace(graph, edges=tuple(edges)))
    return _compared(graph, made, meanings, found)


def _is_sum(edge: Edge) -> bool:
    operator = edge.operator
    is_reduction = isinstance(operator, Reduction) and operator.name in ("sum", "mean", "norm")
    return isinstance(operator, Contraction) or is_reduction


def _remember(edge: Edge, meanings: dict[Wire, Term], writer: Operations) -> None:
    """What the results of an edge hold may be read from them."""
    for result in edge.outputs:
        axes, term = result.wire.type.axes, meanings[result.wire]
        if not any(axis.parts for axis in axes) and frozenset(axes) == term.axes:
            writer.remember(term, result.wire)


def _rewritten(edge: Edge, found: dict[Wire, Association], writer: Operations) -> tuple[Edge, ...]:
    association = found.get(edge.outputs[0].wire)
    if association is None:
        return (edge,)
    site = Site.of(edge)
    writer.copies(association.copies)
    before = [new for array in association.made for new in writer.tiles(array, site)]
    wire = edge.outputs[0].wire
    return (*before, *writer.write(association.term, wire, edge.degree, site))


def _live(graph: Graph) -> Graph:
    """The graph without what its results do not need."""
    needed = set(graph.outputs)
    kept: list[Edge] = []
    for edge in reversed(graph.edges):
        if any(result.wire in needed for result in edge.outputs):
            kept.append(edge)
            needed.update(operand.wire for operand in edge.inputs)
    return replace(graph, edges=tuple(reversed(kept)))


def _compared(
    old: Graph, new: Graph, meanings: dict[Wire, Term], found: dict[Wire, Association]
) -> Alternative | None:
    """What either graph takes that the other does not; None where nothing falls away."""
    makers = new.makers()
    taken = [found[wire] for wire in found if wire in makers]
    bodies = (array.made for each in taken for array in each.made)
    after = _folds(*(each.term for each in taken), *(body for body in bodies if body is not None))
    # What is still made for other reasons is no gain.
    still = {meanings[wire] for wire in makers if wire in meanings and wire not in found}
    lost = (
        meanings[wire] for edge in old.edges for wire in (edge.outputs[0].wire,) if wire in found
    )
    before = _folds(*lost) - still
    if not taken:
        return None
    return Alternative(
        new, operations_of(before - after), operations_of(after - before - _folds(*still))
    )


def _folds(*roots: Term) -> set[Term]:
    return {term for term in subterms(*roots) if term.op == "fold"}
