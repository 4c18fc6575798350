"""Columns: copies get their forks, every node its column, long wires a place in each column.

A column is the depth of composition. Operations stand as early as they can, parameters, constants
and forks as late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .model import Array, Circuit, Cup, Element, Link, Node, Part, Port, Strand, Use


@dataclass(slots=True, eq=False)
class Columns:
    """Nodes by column; `links[i]` and `cups[i]` lie between columns i and i + 1."""

    nodes: list[list[Node]]
    links: list[list[Link]]
    cups: list[list[Cup]]


def columns(circuit: Circuit) -> Columns:
    """Divide a circuit into columns."""
    nodes, arrays = list(circuit.nodes), list(circuit.arrays)
    _assign(circuit, nodes, arrays)
    for array in list(arrays):
        _fork(array, nodes, arrays)
    count = _assign(circuit, nodes, arrays)
    layers: list[list[Node]] = [[] for _ in range(count)]
    for node in nodes:
        layers[node.layer].append(node)
    found = Columns(layers, [[] for _ in layers], [[] for _ in layers])
    for array in arrays:
        for use in array.uses:
            _route(array, use, found)
    for cup in circuit.cups:
        found.cups[cup.ports[0].part.node.layer].append(cup)
    return found


# ---- forks --------------------------------------------------------------------------------------


def _fork(array: Array, nodes: list[Node], arrays: list[Array]) -> None:
    """Split an array that is read more than once, first what is read first."""
    if len(array.uses) < 2:
        return
    uses = sorted(array.uses, key=lambda use: use.node.layer)
    early = [use for use in uses if use.node.layer == uses[0].node.layer]
    late = uses[len(early) :]
    dots = _dots(array, nodes, arrays)
    if late and len(uses) > 2:
        for group in (early, late):
            if len(group) == 1:
                dots.uses += group
                continue
            dots.uses.append(_entering(dots, group, nodes, arrays))
    else:
        dots.uses += uses


def _entering(dots: Array, group: list[Use], nodes: list[Node], arrays: list[Array]) -> Use:
    """A fork of their own for some of the readers, after another fork."""
    held = Array(dots.name, dots.title, dots.node, dots.strands, dots.ports, group)
    _fork(held, nodes, arrays)
    return held.uses[0]


def _dots(array: Array, nodes: list[Node], arrays: list[Array]) -> Array:
    """The fork of an array; its strands leave it once for each reader."""
    ins = [_copy(port, strand) for port, strand in zip(array.ports, array.strands, strict=True)]
    outs = [_copy(port, strand) for port, strand in zip(array.ports, array.strands, strict=True)]
    for port in outs:
        port.is_dot = True
    part = Part([Element([[a]], [[b]]) for a, b in zip(ins, outs, strict=True)], is_free=True)
    node = Node([part], is_pass=True)
    node.layer = array.node.layer + 1
    nodes.append(node)
    made = Array(array.name, array.title, node, array.strands, outs)
    array.uses = [Use(node, list(ins))]
    arrays.append(made)
    return made


def _copy(port: Port, strand: Strand) -> Port:
    return Port(strand, port.array, port.title)


# ---- columns ------------------------------------------------------------------------------------


def _assign(circuit: Circuit, nodes: Sequence[Node], arrays: Sequence[Array]) -> int:
    """Give every node its column; how many there are."""
    after: dict[Node, list[Node]] = {node: [] for node in nodes}
    before: dict[Node, list[Node]] = {node: [] for node in nodes}
    for array in arrays:
        for use in array.uses:
            after[array.node].append(use.node)
            before[use.node].append(array.node)
    order = _sorted(nodes, after, before)
    source, sink = circuit.source, circuit.sink
    for node in order:
        first = 0 if node is source else 1
        node.layer = max((b.layer + 1 for b in before[node]), default=first)
        node.layer = max(node.layer, first)
    inner = [node.layer for node in nodes if node is not sink]
    sink.layer = max(inner, default=0) + 1
    for node in reversed(order):
        is_late = node.is_pass or not before[node]
        if node is not source and node is not sink and is_late and after[node]:
            node.layer = min(other.layer for other in after[node]) - 1
    return sink.layer + 1


def _sorted(
    nodes: Sequence[Node], after: dict[Node, list[Node]], before: dict[Node, list[Node]]
) -> list[Node]:
    """The nodes so that each follows all that it reads."""
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    found: list[Node] = []
    while ready:
        node = ready.pop(0)
        found.append(node)
        for other in after[node]:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return found


# ---- links --------------------------------------------------------------------------------------


def _route(array: Array, use: Use, found: Columns) -> None:
    """Link an array to its reader, through a place in every column between."""
    wanted = [
        (tail, head) for tail, head in zip(array.ports, use.heads, strict=True) if head is not None
    ]
    if not wanted:
        return
    tails = [tail for tail, _ in wanted]
    for layer in range(array.node.layer + 1, use.node.layer):
        ins = [_copy(port, port.strand) for port in tails]
        outs = [_copy(port, port.strand) for port in tails]
        part = Part([Element([[a]], [[b]]) for a, b in zip(ins, outs, strict=True)], is_free=True)
        node = Node([part], is_pass=True)
        node.layer = layer
        found.nodes[layer].append(node)
        found.links[layer - 1] += map(Link, tails, ins)
        tails = outs
    heads = [head for _, head in wanted]
    found.links[use.node.layer - 1] += map(Link, tails, heads)
