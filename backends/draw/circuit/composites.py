"""Composite axes that an operation makes of their parts: a hexagon flattens them."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.semantics.types import ArrayType, Axis, Wire

from .pictograms import Pictograms
from .sheet import DATUM, Inlet, Key, Outlet, Sheet, Spec, has_datum, through


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
