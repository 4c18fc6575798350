"""Composite axes: those that an operation makes of their parts, and those that it leaves whole.

A hexagon flattens the parts of an axis that is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.ir.diagram import Edge, Operand, Scan, Scattering
from ncdlang.records import replace
from ncdlang.semantics.types import Affine, ArrayType, Axis, Wire, plain_index

from ..notation import composite_coordinates
from .pictograms import Pictograms
from .sheet import DATUM, Inlet, Key, Outlet, Sheet, Spec, has_datum, through


def left_whole(edge: Edge) -> Edge:
    """The operation with composite axes in its degree that nothing in it takes apart."""
    if isinstance(edge.operator, (Scattering, Scan)):
        return edge
    tiled = (
        axis
        for each in (*edge.inputs, *edge.outputs)
        for axis, target in zip(each.wire.type.axes, each.weave, strict=True)
        if axis.parts and not target
    )
    for axis in dict.fromkeys(tiled):
        if set(axis.atoms) <= set(edge.degree) and _is_left_whole(edge, axis):
            first, *others = axis.atoms
            degree = tuple(axis if a is first else a for a in edge.degree if a not in others)
            inputs = tuple(_read_whole(operand, axis) for operand in edge.inputs)
            edge = replace(edge, degree=degree, inputs=inputs)
    return edge


def _is_left_whole(edge: Edge, axis: Axis) -> bool:
    """Whether the parts of an axis are in all arrays only as that axis."""
    atoms = set(axis.atoms)
    if any(
        axis not in result.wire.type.axes or not atoms.isdisjoint(result.wire.type.axes)
        for result in edge.outputs
    ):
        return False
    return all(
        atoms.isdisjoint(a for part in index.axes() for a in part.atoms) or _is_whole(index, axis)
        for operand in edge.inputs
        for index in operand.reindexing
    )


def _is_whole(index: Affine, axis: Axis) -> bool:
    found = composite_coordinates(index, axis)
    return index.axis is axis or found == {atom: plain_index(atom) for atom in axis.atoms}


def _read_whole(operand: Operand, axis: Axis) -> Operand:
    indices = tuple(plain_index(axis) if _is_whole(i, axis) else i for i in operand.reindexing)
    return replace(operand, reindexing=indices)


def made_composites(wire: Wire, degree: Sequence[Axis]) -> list[Axis]:
    """The composite axes of a result of which the degree has the parts."""
    return [axis for axis in wire.type.axes if axis.parts and axis not in degree]


def taken_apart(wire: Wire, composite: Sequence[Axis]) -> Wire:
    """The wire with the parts of composite axes in their places."""
    axes = [a for axis in wire.type.axes for a in (axis.atoms if axis in composite else (axis,))]
    return Wire(wire.name, ArrayType(tuple(axes), wire.type.kind), wire.span)


def whole_inlet(sheet: Sheet, wire: Wire) -> Inlet:
    """An array as it is, each strand under its own axis."""
    datum: list[Key] = [DATUM] if has_datum(wire.type) else []
    return Inlet(sheet.made[wire], [*wire.type.axes, *datum])


def flatten(
    sheet: Sheet,
    pictograms: Pictograms,
    inlet: Inlet,
    wire: Wire,
    composite: Sequence[Axis],
    title: str,
    at: tuple[str, ...],
) -> None:
    """Add the operation that joins the parts of composite axes, which gives the wire."""
    specs: list[Spec] = []
    for axis in wire.type.axes:
        if axis not in composite:
            specs.append(through(axis))
            continue
        picture = pictograms.hexagon(sheet.notation.axis(axis), title, *at, "flat")
        specs.append(Spec([list(axis.atoms)], [[axis]], picture))
    datum: list[Key] = [DATUM] if has_datum(wire.type) else []
    specs += map(through, datum)
    sheet.operation([inlet], specs, [Outlet(wire, [*wire.type.axes, *datum])])
