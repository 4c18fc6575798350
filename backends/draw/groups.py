"""Which operations one box stands for: an equation or a call, not each of its small steps.

A wire that nobody named is folded into the operation that reads it, so that a box is what the
author wrote. Reads only the graph; how a box is worded is left to `phrases`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ncdlang.ir.diagram import Edge, Graph, Library, Scan, Scattering
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.types import Wire, gathered

from .options import Detail

# How many operations one box may word, and how many a constant in `detail=ops`.
_MOST = {"equations": 60, "ops": 1}
_MOST_CONSTANT = {"equations": 60, "ops": 4}


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The operation `root` with the operations that are folded into it, by the wire they make."""

    root: Edge
    folded: Mapping[Wire, Edge]


def groups(graph: Graph, detail: Detail) -> tuple[Group, ...]:
    """The boxes of a graph, in the order of its edges."""
    foldable = _foldable(graph, detail)
    readers = _readers(graph)
    roots: dict[Edge, frozenset[Edge]] = {}
    folded: dict[Edge, dict[Wire, Edge]] = {}
    for edge in reversed(graph.edges):
        made = edge.outputs[0].wire if len(edge.outputs) == 1 else None
        into: frozenset[Edge] = frozenset()
        if made in foldable:
            into = _owners(edge, readers.get(made, []), roots, foldable[made])
        if made is not None and into:
            for root in into:
                folded[root][made] = edge
            roots[edge] = into
        else:
            roots[edge] = frozenset((edge,))
            folded[edge] = {}
    return tuple(Group(edge, folded[edge]) for edge in graph.edges if edge in folded)


def is_box(edge: Edge) -> bool:
    """Whether an operation is a box of its own: a scatter, a scan, or a call that is no function.

    A call that is elementwise and has no parameters is a function in the words of another box.
    """
    operator = edge.operator
    if isinstance(operator, (Scattering, Scan)):
        return True
    return isinstance(operator, Library) and (
        not operator.callee.is_elementwise or operator.instance is not None
    )


def wires_read(edge: Edge) -> Iterator[tuple[Wire, bool]]:
    """Every wire an operation reads, once for each read, and whether it is read as an index."""
    for operand in edge.inputs:
        yield operand.wire, False
        for index in operand.reindexing:
            for gather in gathered((index,)):
                yield gather.wire, True


def _readers(graph: Graph) -> dict[Wire, list[tuple[Edge, bool]]]:
    found: dict[Wire, list[tuple[Edge, bool]]] = {}
    for edge in graph.edges:
        for wire, as_index in wires_read(edge):
            found.setdefault(wire, []).append((edge, as_index))
    return found


def _foldable(graph: Graph, detail: Detail) -> dict[Wire, bool]:
    """Wires that may be folded into their readers, and whether each is a constant.

    A constant reads no array. The weight of a wire is the number of operations that its words
    would take; the limit keeps what is read twice from doubling over and over.
    """
    weights: dict[Wire, int] = {}
    found: dict[Wire, bool] = {}
    results = set(graph.outputs)
    for edge in graph.edges:
        if len(edge.outputs) != 1 or is_box(edge):
            continue
        wire = edge.outputs[0].wire
        if wire in results or not is_anonymous(wire):
            continue
        read = [(source, as_index) for source, as_index in wires_read(edge)]
        is_constant = all(found.get(source, False) and not as_index for source, as_index in read)
        weight = 1 + sum(weights.get(source, 0) for source, _ in read)
        most = _MOST_CONSTANT[detail] if is_constant else _MOST[detail]
        if weight <= most and (is_constant or detail == "equations"):
            weights[wire] = weight
            found[wire] = is_constant
    return found


def _owners(
    edge: Edge,
    readers: list[tuple[Edge, bool]],
    roots: Mapping[Edge, frozenset[Edge]],
    is_constant: bool,
) -> frozenset[Edge]:
    """The boxes that an operation is folded into; none where it must be a box itself."""
    if any(as_index or is_box(reader) for reader, as_index in readers):
        return frozenset()
    into = frozenset(root for reader, _ in readers for root in roots[reader])
    if is_constant or (len(into) == 1 and all(root.blocks == edge.blocks for root in into)):
        return into
    return frozenset()
