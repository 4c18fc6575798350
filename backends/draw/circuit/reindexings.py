"""Reindexings and scatters: which strands pass, and which go through a hexagon or a pentagon.

The coordinates of an index map and the axes that they mention fall into components. An axis that
is a coordinate by itself is a strand that passes, one that is two coordinates is a diagonal (a
dot), a coordinate without axes is an index (a pentagon), and the rest are hexagons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ncdlang.ir.diagram import Edge, Operand, Reindex, Result, Scattering
from ncdlang.semantics.size import ZERO
from ncdlang.semantics.types import (
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    Mod,
    Wire,
    plain_index,
)

from ..notation import MINUS, Notation, composite_coordinates
from .composites import flatten, made_composites, taken_apart, whole_inlet
from .keys import Datum
from .model import Picture
from .pictograms import Pictograms
from .sheet import DATUM, Inlet, Key, Outlet, Sheet, Spec, has_datum, through, typed


@dataclass(frozen=True, slots=True)
class Coordinate:
    """The key of an axis that is indexed: its place in an array that is read or written."""

    array: int
    place: int


@dataclass(slots=True, eq=False)
class _Component:
    """Coordinates with the axes that they mention, and the arrays that they gather from."""

    places: list[Coordinate] = field(default_factory=list[Coordinate])
    indices: list[Affine] = field(default_factory=list[Affine])
    axes: list[Axis] = field(default_factory=list[Axis])
    data: list[Key] = field(default_factory=list[Key])


def reindex(
    sheet: Sheet,
    pictograms: Pictograms,
    edge: Edge,
    at: tuple[str, ...],
    title: str,
) -> None:
    """A read of an array at other indices, and of arrays of naturals that it gathers from."""
    sources = edge.inputs[1:]
    operands = [edge.inputs[0], *(_plain(sheet, pictograms, each, at) for each in sources)]
    inlets = [_inlet(sheet, operand, position) for position, operand in enumerate(operands)]
    inlets = sheet.join(inlets)
    components = _components(operands, edge.degree, sources)
    _renamed(inlets, components)
    wire = edge.outputs[0].wire
    composite = made_composites(wire, edge.degree)
    if composite and _is_identity(components) and not has_datum(wire.type):
        flatten(sheet, pictograms, inlets[0], wire, composite, title, at)
        return
    specs = [_read(each, sheet.notation, pictograms, at, title) for each in components]
    outs = _datum_out(wire, inlets[0], specs)
    made = taken_apart(wire, composite) if composite else wire
    sheet.operation(inlets, specs, [Outlet(made, [*made.type.axes, *outs])])
    if composite:
        inlet = whole_inlet(sheet, made)
        flatten(sheet, pictograms, inlet, wire, composite, title, at)


def _datum_out(wire: Wire, inlet: Inlet, specs: list[Spec]) -> list[Key]:
    """The datatype of a result: it passes, or leaves the pictogram where the last axis ends."""
    if not has_datum(wire.type):
        return []
    outs: list[Key] = [Datum("out", 0)]
    own: list[Key] = [Datum("in", 0)] if Datum("in", 0) in inlet.keys else []
    ending = next((s for s in specs if s.picture is not None and not any(s.outs)), None)
    if own or ending is None:
        specs.append(Spec([own], [outs]))
    else:
        ending.outs.append(outs)
    return outs


def reindexed(
    sheet: Sheet, pictograms: Pictograms, operand: Operand, path: tuple[str, ...]
) -> Operand:
    """The operand of any operation with its index map drawn before it, so that it reads plainly."""
    wire = operand.wire
    own = [axis for axis, target in zip(wire.type.axes, operand.weave, strict=True) if target]
    degree = tuple(dict.fromkeys(a for index in operand.reindexing for a in index.axes()))
    coordinates = iter(operand.reindexing)
    indices = tuple(
        plain_index(axis) if target else next(coordinates)
        for axis, target in zip(wire.type.axes, operand.weave, strict=True)
    )
    made = Wire(wire.name, ArrayType((*degree, *own), wire.type.kind), wire.span)
    whole = Operand(wire, (False,) * len(indices), indices)
    gathers = [_gather(each) for index in indices for each in gathered(index)]
    result = Result(made, (False,) * len(made.type.axes))
    edge = Edge(Reindex(), (*degree, *own), (whole, *gathers), (result,), wire.span)
    reindex(sheet, pictograms, edge, (*path, wire.name, f"L{wire.span.line}", "read"), typed(made))
    weave = (*(False for _ in degree), *(True for _ in own))
    return Operand(made, weave, tuple(plain_index(axis) for axis in degree))


def scatter(
    sheet: Sheet,
    pictograms: Pictograms,
    edge: Edge,
    source: Inlet,
    at: tuple[str, ...],
    title: str,
) -> None:
    """A write of a source at indices, the mirror image of a read."""
    operator = edge.operator
    assert isinstance(operator, Scattering)
    wire = edge.outputs[0].wire
    sources = edge.inputs[1 if operator.is_first else 2 :]
    gathers = [_plain(sheet, pictograms, each, at) for each in sources]
    beside = [_inlet(sheet, each, number + 1) for number, each in enumerate(gathers)]
    for inlet, each in zip(beside, gathers, strict=True):
        inlet.keys[: len(each.reindexing)] = [index.axis for index in each.reindexing]
    inlets = sheet.join([source, *beside])
    target = Operand(wire, (False,) * len(operator.indices), operator.indices)
    components = _gathering(_components([target], edge.degree, sources))
    op = "" if operator.op == "=" else operator.op
    specs = [_write(c, sheet.notation, pictograms, at, title, op) for c in components]
    datum: list[Key] = [Datum("in", 0)] if Datum("in", 0) in source.keys else []
    outs: list[Key] = [Datum("out", 0)] if has_datum(wire.type) else []
    pictured = next((spec for spec in specs if spec.picture is not None), None)
    if datum and not outs and pictured is not None:
        pictured.ins.insert(0, datum)
    elif datum or outs:
        specs.append(Spec([datum], [outs]))
    keys: list[Key] = [Coordinate(0, place) for place in range(len(operator.indices))]
    if operator.is_first:
        sheet.operation(inlets, specs, [Outlet(wire, [*keys, *outs])])
        return
    into = sheet.made[edge.inputs[1].wire]
    written = Wire(wire.name, wire.type, wire.span)
    sheet.operation(inlets, specs, [Outlet(written, [*keys, *outs])])
    sign = pictograms.sign(operator.op, title, *at)
    own: list[Key] = [*wire.type.axes, *([DATUM] if outs else [])]
    both = sheet.join([Inlet(into, own), Inlet(sheet.made[written], own)], [sign])
    sheet.operation(both, [through(key) for key in own], [Outlet(wire, own)])


def is_rearrangement(edge: Edge) -> bool:
    """Whether a reindexing only permutes axes: its strands go on as they are."""
    axes = [index.axis for operand in edge.inputs for index in operand.reindexing]
    wire = edge.outputs[0].wire
    return (
        len(edge.inputs) == 1
        and None not in axes
        and len(set(axes)) == len(axes) == len(edge.degree)
        and all(axis in edge.degree for axis in wire.type.axes)
    )


def gathered(index: Affine) -> list[Gathered]:
    """The naturals that a coordinate reads."""
    found: list[Gathered] = []
    for variable, _ in index.terms:
        match variable:
            case Gathered():
                found.append(variable)
            case Floor() | Mod():
                found += gathered(variable.numerator)
            case Axis():
                pass
    return found


# ---- components ---------------------------------------------------------------------------------


def _components(
    operands: Sequence[Operand], degree: tuple[Axis, ...], sources: Sequence[Operand]
) -> list[_Component]:
    """The components, in the order of their first coordinate or axis.

    `sources` are the arrays of naturals that coordinates gather from, as they are read.
    """
    found: list[_Component] = []
    owner: dict[Key, _Component] = {}
    for number, operand in enumerate(operands):
        for place, index in enumerate(operand.reindexing):
            data = [_datum(each, sources) for each in gathered(index)]
            own = [a for axis in _direct(index) for a in _in_degree(axis, degree) if a in degree]
            merged = _Component([Coordinate(number, place)], [index], list(own), data)
            for other in dict.fromkeys(owner[k] for k in (*own, *data) if k in owner):
                merged = _union(other, merged)
                found.remove(other)
            found.append(merged)
            owner.update(dict.fromkeys((*merged.axes, *merged.data), merged))
    return [*found, *(_Component(axes=[axis]) for axis in degree if axis not in owner)]


def _gathering(components: Sequence[_Component]) -> list[_Component]:
    """Let axes that only the naturals of an index have end where these do."""
    found = [component for component in components if component.places]
    for component in components:
        if component.places:
            continue
        (axis,) = component.axes
        owner = next((c for c in found if any(axis in i.axes() for i in c.indices)), None)
        if owner is None:
            found.append(component)
        else:
            owner.axes.append(axis)
    return found


def _union(left: _Component, right: _Component) -> _Component:
    return _Component(
        left.places + right.places,
        left.indices + right.indices,
        list(dict.fromkeys(left.axes + right.axes)),
        list(dict.fromkeys(left.data + right.data)),
    )


def _datum(each: Gathered, sources: Sequence[Operand]) -> Key:
    """The datatype wire of the array that a coordinate gathers from."""
    for number, source in enumerate(sources):
        if source.wire is each.wire and source.reindexing == each.indices:
            return Datum("in", number + 1)
    raise AssertionError("the array that is gathered from is an operand")


def _direct(index: Affine) -> list[Axis]:
    """The axes that a coordinate mentions itself, those of what it gathers left out."""
    found: list[Axis] = []
    for variable, _ in index.terms:
        match variable:
            case Axis():
                found.append(variable)
            case Floor() | Mod():
                found += _direct(variable.numerator)
            case Gathered():
                pass
    return list(dict.fromkeys(found))


def _in_degree(axis: Axis, degree: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """An axis, or its parts where the degree has these."""
    return (axis,) if axis in degree else axis.atoms


def _is_identity(components: Sequence[_Component]) -> bool:
    return all(_is_strand(component) and len(component.places) == 1 for component in components)


def _is_strand(component: _Component) -> bool:
    """Whether all coordinates are one axis by itself."""
    return not component.data and all(index.axis in component.axes for index in component.indices)


def _read(
    component: _Component,
    notation: Notation,
    pictograms: Pictograms,
    at: tuple[str, ...],
    title: str,
) -> Spec:
    ins: list[Key] = [*component.places, *component.data]
    if not component.indices:
        return Spec([], [list(component.axes)])
    if _is_strand(component):
        return Spec([[component.axes[0]]], [[component.axes[0]]])
    return Spec([ins], [list(component.axes)], _picture(component, notation, pictograms, at, title))


def _write(
    component: _Component,
    notation: Notation,
    pictograms: Pictograms,
    at: tuple[str, ...],
    title: str,
    op: str,
) -> Spec:
    ins: list[Key] = [*component.axes, *component.data]
    outs: list[Key] = [place for place in component.places if place.array == 0]
    if not outs:
        return Spec([ins], [])
    if _is_strand(component) and len(component.places) == 1:
        return Spec([ins], [outs])
    picture = _picture(component, notation, pictograms, at, title, op)
    return Spec([ins], [outs], picture)


def _picture(
    component: _Component,
    notation: Notation,
    pictograms: Pictograms,
    at: tuple[str, ...],
    title: str,
    op: str | None = None,
) -> Picture:
    back = op is not None and bool(component.data)
    text = ", ".join(_map(index, notation) for index in component.indices)
    text = text.replace(f"+ {MINUS}", f"{MINUS} ")
    text = f"{op} {text}" if op else text
    if len(component.places) == 1 and (len(component.axes) < 2 - bool(component.data) or back):
        return pictograms.pentagon(text, title, *at, back=op is not None)
    return pictograms.hexagon(text, title, *at)


def _map(index: Affine, notation: Notation) -> str:
    """The map of a coordinate: `2i + j`, or the composite axis that it takes apart."""
    axes = index.axes()
    if len(axes) > 1 and index.constant == ZERO:
        composite = Axis("", axes[0].size, axes)
        if composite_coordinates(index, composite) is not None:
            return notation.axis(composite)
    return notation.affine(index)


# ---- inlets -------------------------------------------------------------------------------------


def _inlet(sheet: Sheet, operand: Operand, position: int) -> Inlet:
    array = sheet.made[operand.wire]
    keys: list[Key] = [Coordinate(position, place) for place in range(len(operand.reindexing))]
    if len(array.strands) > len(keys):
        keys.append(Datum("in", position))
    return Inlet(array, keys)


def _plain(sheet: Sheet, pictograms: Pictograms, operand: Operand, at: tuple[str, ...]) -> Operand:
    """An array of naturals, read along plain axes: askew reads are drawn before."""
    if all(index.axis is not None for index in operand.reindexing):
        return operand
    return reindexed(sheet, pictograms, operand, at)


def _gather(each: Gathered) -> Operand:
    return Operand(each.wire, (False,) * len(each.indices), each.indices)


def _renamed(inlets: Sequence[Inlet], components: Sequence[_Component]) -> None:
    """Let coordinates that pass by themselves enter under the key of their axis."""
    axes = {
        place: component.axes[0]
        for component in components
        if component.indices and _is_strand(component)
        for place in component.places
    }
    for inlet in inlets:
        inlet.keys = [
            axes.get(key, key) if isinstance(key, Coordinate) else key for key in inlet.keys
        ]
