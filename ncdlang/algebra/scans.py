"""Rewriting inside recurrences.

The operations of a scan are a graph of their own, evaluated for one index along its axis after
another. What reads the scan's own wires at that index only is rewritten there as it would be
outside, for every index alike. What reads other entries of them stays; it may only be removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ncdlang.algebra.opening import scan_edge
from ncdlang.algebra.patches import Extents, Patch, Rewrite, patched
from ncdlang.ir.diagram import Edge, Graph, Operand, Scan
from ncdlang.records import replace
from ncdlang.semantics.types import Axis, Wire


def scans(graph: Graph) -> Iterator[tuple[Edge, Scan]]:
    """The recurrences of a graph along a single axis, those inside others left out."""
    for edge in graph.edges:
        if isinstance(edge.operator, Scan) and not edge.operator.axis.parts:
            yield edge, edge.operator


def body(graph: Graph, edge: Edge, scan: Scan) -> Graph:
    """The operations of a scan as a graph.

    Its outputs are the wires that are read outside, or inside before they are made.
    """
    made = made_by(scan.edges)
    wanted = dict.fromkeys(graph.outputs)
    wanted.update((o.wire, None) for other in graph.edges for o in other.inputs)
    seen: set[Wire] = set()
    for inner in scan.edges:
        wanted.update((o.wire, None) for o in inner.inputs if o.wire not in seen)
        seen.update(result.wire for result in inner.outputs)
    read = tuple(operand.wire for operand in edge.inputs)
    learned = tuple(each for each in graph.learned if each.wire in read)
    fixed = {each.wire for each in learned}
    inputs = tuple(wire for wire in read if wire not in fixed)
    outputs = tuple(wire for wire in wanted if wire in made)
    return Graph(graph.name, graph.diagram, inputs, outputs, learned, scan.edges)


def made_by(edges: Iterable[Edge]) -> set[Wire]:
    """The wires that operations make."""
    return {result.wire for edge in edges for result in edge.outputs}


def inner_patches(inside: Graph, scan: Scan, rule: Rewrite, extents: Extents) -> Iterator[Patch]:
    """The patches of a scan's body that keep to one index along its axis."""
    made = made_by(scan.edges)
    for patch in rule.patches(inside, extents):
        new = [each for edges in patch.replaced.values() for each in edges]
        known = made | made_by(new)
        changed = [old for old, edges in patch.replaced.items() if edges]
        if all(_keeps_to(each, scan.axis, known) for each in (*changed, *new)):
            yield patch


def entered(edge: Edge, scan: Scan, inside: Graph, patches: Sequence[Patch]) -> Patch:
    """Patches of a scan's body as one of the graph that the scan is in."""
    renamed = {old: new for patch in patches for old, new in patch.renamed.items()}
    changed = replace(scan, edges=patched(inside, patches).edges)
    first = patches[0]
    return Patch(first.what, first.span, {edge: (scan_edge(edge, changed),)}, renamed)


def _keeps_to(edge: Edge, axis: Axis, made: set[Wire]) -> bool:
    """Whether an operation uses and makes the entries of one index along an axis at a time."""
    axes = [own for result in edge.outputs for own in result.wire.type.axes]
    if any(own.parts and axis in own.atoms for own in axes):
        return False
    return all(_reads_here(operand, axis) for operand in edge.inputs if operand.wire in made)


def _reads_here(operand: Operand, axis: Axis) -> bool:
    """Whether a wire of a scan is read at the scan's own index, if it has one."""
    places = iter(operand.reindexing)
    for own, is_target in zip(operand.wire.type.axes, operand.weave, strict=True):
        place = None if is_target else next(places)
        if axis in own.atoms and (place is None or place.axis is not axis or own is not axis):
            return False
    return True
