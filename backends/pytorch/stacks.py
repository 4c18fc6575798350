"""Copies of one layer applied one after the other: a stack that becomes a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ncdlang.ir.diagram import Edge, Graph, Library
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Wire

from .operators import operand_targets, result_axes


def find_stacks(
    graph: Graph, live: Sequence[Edge], uses: Mapping[Wire, int]
) -> dict[Edge, list[Edge]]:
    """Whole stacks `name.0`, `name.1`, ... that run in order, by their first call."""
    copies: dict[str, int] = {}
    for instance in graph.diagram.instances:
        stem, dot, _ = instance.name.partition(".")
        if dot:
            copies[stem] = copies.get(stem, 0) + 1
    found: dict[Edge, list[Edge]] = {}
    for stem, count in copies.items():
        edges = [edge for edge in live if _stem(edge) == stem]
        names = [_name(edge) for edge in edges]
        if names != [f"{stem}.{i}" for i in range(count)] or count < 2:
            continue
        if all(_feeds(graph, uses, first, second) for first, second in pairwise(edges)):
            found[edges[0]] = edges
    return found


def _name(edge: Edge) -> str:
    operator = edge.operator
    if isinstance(operator, Library) and operator.instance is not None:
        return operator.instance.name
    return ""


def _stem(edge: Edge) -> str:
    return _name(edge).partition(".")[0]


def _free_sizes(edge: Edge) -> list[Size]:
    """What the free axes of a call's diagram are bound to."""
    assert isinstance(edge.operator, Library)
    bound = dict(edge.operator.binding)
    free = [symbol for each in edge.operator.callee.free for symbol in each.axis.size.symbols()]
    return [bound[symbol] for symbol in free if symbol in bound]


def _feeds(graph: Graph, uses: Mapping[Wire, int], first: Edge, second: Edge) -> bool:
    """Whether all that comes of the first call is the first argument of the second."""
    if len(first.outputs) != 1 or not second.inputs or first.degree != second.degree:
        return False
    wire = first.outputs[0].wire
    if _free_sizes(first) != _free_sizes(second):
        return False
    if second.inputs[0].wire is not wire or first.inputs[1:] != second.inputs[1:]:
        return False
    if uses.get(wire, 0) != 1 or wire in graph.outputs or first.blocks != second.blocks:
        return False
    return result_axes(first, 0) == (*second.degree, *operand_targets(second, 0))
