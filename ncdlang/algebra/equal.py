"""Equality of diagrams up to structure, and where two diagrams differ first."""

from __future__ import annotations

from collections import Counter

from ncdlang.algebra.nodes import Node, Read
from ncdlang.algebra.normal import NormalForm, by_name, by_order, normal_form
from ncdlang.ir.diagram import Graph
from ncdlang.records import record
from ncdlang.semantics.types import Wire
from ncdlang.source import Span


@record
class Place:
    """One side of a difference: what stands there, and where in the source."""

    text: str
    span: Span


@record
class Difference:
    """Where two diagrams first differ, followed from their results towards their inputs."""

    message: str
    left: Place
    right: Place


def difference(left: Graph, right: Graph) -> Difference | None:
    """The first difference of two diagrams, None if they are equal up to structure.

    Axes and wires may have other names. Parameters correspond by their names where that makes
    the diagrams equal, else in their order.
    """
    named = normal_form(left, by_name), normal_form(right, by_name)
    found = _compare(*named)
    if found is None:
        return None
    ordered = normal_form(left, by_order), normal_form(right, by_order)
    other = _compare(*ordered)
    if other is None:
        return None
    names = [Counter(p.wire.name for p in form.graph.learned) for form in named]
    return found if names[0] == names[1] else other


def _compare(left: NormalForm, right: NormalForm) -> Difference | None:
    for what, mine, theirs, wires in (
        ("inputs", left.inputs, right.inputs, (left.graph.inputs, right.graph.inputs)),
        ("results", left.types, right.types, (left.graph.outputs, right.graph.outputs)),
    ):
        if len(mine) != len(theirs):
            return Difference(
                f"they have {len(mine)} and {len(theirs)} {what}",
                _diagram(left.graph),
                _diagram(right.graph),
            )
        for i, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            if one != other:
                message = f"the types of {what[:-1]} {i + 1} differ"
                return Difference(message, _typed(wires[0][i]), _typed(wires[1][i]))
    for i, (one, other) in enumerate(zip(left.outputs, right.outputs, strict=True)):
        if one == other:
            continue
        nodes = left.views[i].node, right.views[i].node
        if nodes[0].digest == nodes[1].digest:
            message = f"result {i + 1} has its axes at other places"
            return Difference(message, _place(nodes[0]), _place(nodes[1]))
        return _descend(*nodes)
    return None


def _diagram(graph: Graph) -> Place:
    return Place(f"`{graph.name}`", graph.diagram.span)


def _typed(wire: Wire) -> Place:
    return Place(f"`{wire}`", wire.span)


def _place(node: Node) -> Place:
    text = described(node)
    is_named = node.name and not node.operator.startswith("number")
    return Place(f"`{node.name}` = {text}" if is_named else node.name or text, node.span)


def described(node: Node, depth: int = 2) -> str:
    """A node in words: its operator, what it binds and what it reads."""
    name = node.operator.removesuffix("[]").removeprefix(".")
    bound = f"[{' '.join(axis.name for axis in node.bound)}]" if node.bound else ""
    if not node.reads:
        return name
    if not depth:
        return f"{name}{bound}(...)"
    reads = [
        ("1 / " if read.role == "-" and node.operator != "add" else read.role.strip("+0123456789"))
        + (read.node.name or described(read.node, depth - 1))
        for read in node.reads
    ]
    return f"{name}{bound}({', '.join(reads)})"


def _descend(left: Node, right: Node) -> Difference:
    """Follow the reads that differ for as long as everything else agrees."""
    while True:
        message = _own_difference(left, right)
        if message is None:
            pairs = _differing(left, right)
            if left.is_random and right.is_random:
                message = "they are different draws of a random operation"
            elif pairs is None:
                message = "they read different arrays"
            elif pairs[0].node.digest == pairs[1].node.digest:
                message = f"they read {_shown(pairs[0].node)} at different places"
            else:
                left, right = pairs[0].node, pairs[1].node
                continue
        return Difference(message, _place(left), _place(right))


def _shown(node: Node) -> str:
    return f"`{node.name}`" if node.name else described(node)


def _own_difference(left: Node, right: Node) -> str | None:
    """What differs about two operations themselves."""
    if left.operator != right.operator:
        return "the operations differ"
    if left.kind != right.kind:
        return "the kinds of their entries differ"
    if len(left.dims) != len(right.dims):
        return f"they have {len(left.dims)} and {len(right.dims)} axes"
    if len(left.bound) != len(right.bound):
        return f"they bind {len(left.bound)} and {len(right.bound)} axes"
    if len(left.reads) != len(right.reads):
        return f"they read {len(left.reads)} and {len(right.reads)} arrays"
    return None


def _differing(left: Node, right: Node) -> tuple[Read, Read] | None:
    """A pair of reads that differ, of operands that have no equal on the other side."""
    mine, theirs = list(left.reads), list(right.reads)
    for read in left.reads:
        same = next(
            (o for o in theirs if o.node.digest == read.node.digest and o.role == read.role), None
        )
        if same is not None:
            mine.remove(read)
            theirs.remove(same)
    if not mine:
        return (left.reads[0], right.reads[0]) if left.reads else None
    first = mine[0]
    alike = [other for other in theirs if other.role == first.role]
    alike.sort(key=lambda other: other.node.operator != first.node.operator)
    return (first, alike[0]) if alike else None
