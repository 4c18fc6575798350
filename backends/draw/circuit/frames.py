"""What crosses the sides of a frame: where, and in which order it had best.

A frame is laid out before what is round it, so a sketch of what is round it comes first: a frame in
it is a box that arrays enter and leave in any order. The order that they get there is what the
inside of the frame is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ncdlang.ir.diagram import Edge, Graph, Library
from ncdlang.semantics.types import Wire

from .keys import Datum, Made, Target
from .layers import columns
from .model import Circuit, Element, Picture
from .order import order_rows
from .sheet import Key, has_datum

Strand = tuple[int, int]
"""A strand at an end of a circuit: the number of its array, and its own in that."""

Order = tuple[Sequence[Strand], Sequence[Strand]]
"""The strands that enter and those that leave, from the top."""

UNORDERED: Order = ((), ())


@dataclass(frozen=True, slots=True)
class Sides:
    """The strands at the two ends of a frame's circuit, by their keys outside of it."""

    ins: dict[Key, Strand]
    outs: dict[Key, Strand]

    def places(self, inner: Circuit) -> tuple[dict[Key, float], dict[Key, float]]:
        """How far down the wires cross the sides of a frame that is laid out."""
        ins = {key: inner.inputs[array][place].y for key, (array, place) in self.ins.items()}
        outs = {key: inner.outputs[array][place].y for key, (array, place) in self.outs.items()}
        return ins, outs

    def order(self, element: Element) -> Order:
        """The order in which the strands enter and leave a frame's sketch."""
        ins = [self.ins[port.strand.key] for bundle in element.ins for port in bundle]
        outs = [self.outs[port.strand.key] for bundle in element.outs for port in bundle]
        return ins, outs


def whole_sides(inputs: Sequence[int], outputs: Sequence[int]) -> Sides:
    """Of arrays of so many strands, all of which enter or leave."""
    return Sides(
        {Target(a, i): (a, i) for a, count in enumerate(inputs) for i in range(count)},
        {Made(a, i): (a, i) for a, count in enumerate(outputs) for i in range(count)},
    )


def called_sides(edge: Edge, operator: Library, graph: Graph) -> Sides:
    """Of a call that is opened: its targets and datatypes enter, the strands of its formal axes."""
    ins: dict[Key, Strand] = {}
    for number, (formal, operand) in enumerate(zip(graph.inputs, edge.inputs, strict=True)):
        places = [place for place, target in enumerate(operand.weave) if target]
        for place, axis in zip(places, operator.input_targets[number], strict=True):
            ins[Target(number, place)] = (number, formal.type.axes.index(axis))
        if _have_datum(operand.wire, formal):
            ins[Datum("in", number)] = (number, len(formal.type.axes))
    outs: dict[Key, Strand] = {}
    for number, (formal, result) in enumerate(zip(graph.outputs, edge.outputs, strict=True)):
        places = [place for place, target in enumerate(result.weave) if target]
        for place, axis in zip(places, operator.output_targets[number], strict=True):
            outs[Made(number, place)] = (number, formal.type.axes.index(axis))
        if _have_datum(result.wire, formal):
            outs[Datum("out", number)] = (number, len(formal.type.axes))
    return Sides(ins, outs)


def _have_datum(*wires: Wire) -> bool:
    return all(has_datum(wire.type) for wire in wires)


def sketched_orders(
    sketch: Circuit, frames: Iterable[tuple[Picture, Sides]], variant: int
) -> list[Order]:
    """For each frame of a sketch the order in which wires had best cross its sides."""
    wanted = dict(frames)
    if not wanted:
        return []
    found = columns(sketch)
    order_rows(found, sketch.wanted, variant)
    elements = {
        element.picture: element
        for nodes in found.nodes
        for node in nodes
        for part in node.parts
        for element in part.elements
        if element.picture in wanted
    }
    return [sides.order(elements[picture]) for picture, sides in wanted.items()]
