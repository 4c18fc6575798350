"""Copies of one layer applied one after the other, as `layer^6` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ncdlang.ir.diagram import Edge, Graph, Library
from ncdlang.semantics.types import Wire

from ..groups import wires_read


@dataclass(frozen=True, slots=True)
class Repeat:
    """Calls of one diagram, each of which takes what the one before gives."""

    edges: tuple[Edge, ...]


def repeats(graph: Graph, edges: Sequence[Edge]) -> dict[Edge, Repeat]:
    """The runs of copies among the operations, by their first; they come of one place."""
    count: dict[Wire, int] = {}
    for edge in graph.edges:
        for wire, _ in wires_read(edge):
            count[wire] = count.get(wire, 0) + 1
    for wire in graph.outputs:
        count[wire] = count.get(wire, 0) + 1
    makers = {result.wire: edge for edge in edges for result in edge.outputs}
    follows: dict[Edge, Edge] = {}
    for edge in edges:
        before = makers.get(edge.inputs[0].wire) if edge.inputs else None
        if before is not None and _feeds(before, edge, count):
            follows[before] = edge
    later = set(follows.values())
    found: dict[Edge, Repeat] = {}
    for edge in edges:
        if edge in follows and edge not in later:
            run = [edge]
            while run[-1] in follows:
                run.append(follows[run[-1]])
            found[edge] = Repeat(tuple(run))
    return found


def _feeds(first: Edge, second: Edge, count: dict[Wire, int]) -> bool:
    """Whether the second is a copy of the first and alone reads its only result."""
    one, two = first.operator, second.operator
    if not isinstance(one, Library) or not isinstance(two, Library):
        return False
    is_copy = (
        one.callee is two.callee
        and first.span == second.span
        and (one.instance is None) == (two.instance is None)
        and first.blocks == second.blocks
        and first.degree == second.degree
        and first.inputs[1:] == second.inputs[1:]
    )
    return (
        is_copy
        and not one.callee.is_elementwise
        and len(first.outputs) == 1
        and count.get(first.outputs[0].wire, 0) == 1
        and first.outputs[0].weave == second.inputs[0].weave
    )
