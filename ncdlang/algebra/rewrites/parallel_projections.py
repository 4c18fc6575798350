"""Parallel projections: contractions of one array with several weights become one contraction.

The weights are joined along the first axis that the array lacks, and the results are the parts of
the joint result. Joining costs nothing where the weights are learned: it can be done in advance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ncdlang.algebra.patches import (
    Extents,
    Patch,
    Rewrite,
    Site,
    plain_operand,
    reindex_operands,
)
from ncdlang.algebra.products import Factor, product_of
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Iota,
    Number,
    Operand,
    Pointwise,
    Reindex,
)
from ncdlang.records import record
from ncdlang.semantics.size import ONE, ZERO, Size
from ncdlang.semantics.types import BOOLEAN, INTEGER, Affine, Axis, Wire, plain_index


@record(eq=False)
class _Projection:
    """A contraction of a shared array with a weight; `out` are the weight's own axes."""

    edge: Edge
    shared: Operand
    weight: Factor
    bound: tuple[Axis, ...]
    out: tuple[Axis, ...]


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    outside = {learned.wire for learned in graph.learned} | set(graph.inputs)
    groups: dict[tuple[Operand, tuple[Axis, ...]], list[_Projection]] = {}
    for edge in graph.edges:
        for found in _projections(edge, outside):
            groups.setdefault((found.shared, found.bound), []).append(found)
    for group in groups.values():
        chosen = _fitting(group)
        if len(chosen) > 1:
            names = ", ".join(f"`{p.edge.outputs[0].wire.spelling}`" for p in chosen)
            replaced = _joined(chosen)
            yield Patch(f"{names} at once", chosen[0].edge.span, replaced)


def _projections(edge: Edge, outside: set[Wire]) -> Iterator[_Projection]:
    """The ways to see an operation as a contraction of an array with a weight."""
    product = product_of(edge) if isinstance(edge.operator, Contraction) else None
    if product is None or len(edge.inputs) != 2:
        return
    bound = set(product.bound)
    for i in (0, 1):
        shared, weight = product.factors[1 - i], product.factors[i]
        out = tuple(place.axis for place in weight.places if place.axis not in bound)
        axes = tuple(axis for axis in out if axis is not None and not axis.parts)
        rows = shared.axes() - bound
        is_weight = weight.wire in outside and len(axes) == len(out) and bool(axes)
        covers = weight.axes() >= bound and shared.axes() >= bound
        apart = rows.isdisjoint(axes) and len(set(axes)) == len(axes)
        plain = all(axis in rows or axis in axes for axis in edge.degree)
        if is_weight and covers and apart and plain and len(edge.degree) == len(rows) + len(axes):
            yield _Projection(edge, edge.inputs[1 - i], weight, product.bound, axes)


def _fitting(group: Sequence[_Projection]) -> list[_Projection]:
    """The projections that can be joined with the first: only their first axes differ in size."""
    first = group[0]
    rest = [axis.size for axis in first.out[1:]]
    kind = first.edge.outputs[0].wire.type.kind
    seen: set[Edge] = set()
    chosen: list[_Projection] = []
    for projection in group:
        fits = [axis.size for axis in projection.out[1:]] == rest
        same = projection.edge.outputs[0].wire.type.kind == kind
        if fits and same and projection.edge not in seen:
            seen.add(projection.edge)
            chosen.append(projection)
    return chosen


def _joined(group: Sequence[_Projection]) -> dict[Edge, tuple[Edge, ...]]:
    """One contraction with the joined weights, and its parts under their old names."""
    first = group[0]
    site = Site.of(first.edge)
    kind = first.edge.outputs[0].wire.type.kind
    offsets = [ZERO]
    for projection in group:
        offsets.append(offsets[-1] + projection.out[0].size)
    joint = Axis("+".join(dict.fromkeys(p.out[0].name for p in group)), offsets.pop())
    rest = first.out[1:]
    before, weight = _weights(site, group, offsets, joint, first.bound)
    rows = tuple(axis for axis in first.edge.degree if axis not in first.out)
    degree = (*rows, joint, *rest)
    wire = site.wire(degree, kind)
    inputs = (first.shared, plain_operand(weight, first.bound))
    multiplied = site.edge(Contraction(first.bound), degree, inputs, wire)
    replaced: dict[Edge, tuple[Edge, ...]] = {projection.edge: () for projection in group}
    parts: list[Edge] = []
    for projection, offset in zip(group, offsets, strict=True):
        own = Affine(offset, ((projection.out[0], ONE),))
        places = (*map(plain_index, rows), own, *map(plain_index, projection.out[1:]))
        output = projection.edge.outputs[0].wire
        degree = projection.edge.degree
        parts.append(site.edge(Reindex(), degree, reindex_operands(wire, places), output))
    return replaced | {first.edge: (*before, multiplied, *parts)}


def _weights(
    site: Site,
    group: Sequence[_Projection],
    offsets: Sequence[Size],
    joint: Axis,
    bound: tuple[Axis, ...],
) -> tuple[list[Edge], Wire]:
    """The weights one after another along the joint axis."""
    rest = group[0].out[1:]
    axes = (joint, *rest, *bound)
    atoms = tuple(atom for axis in axes for atom in axis.atoms)
    kind = group[0].weight.wire.type.kind
    edges: list[Edge] = []

    def read(projection: _Projection, offset: Size) -> Wire:
        values = {projection.out[0]: Affine(-offset, ((joint, ONE),))}
        for own, common in zip(projection.out[1:], rest, strict=True):
            values[own] = plain_index(common)
        moved = projection.weight.moved(values)
        edges.append(site.reindex(moved.wire, moved.places, axes, guarded=True))
        return edges[-1].outputs[0].wire

    current = read(group[-1], offsets[-1])
    index = site.wire((joint,), INTEGER)
    edges.append(site.edge(Iota(), (joint,), (), index))
    for i in range(len(group) - 2, -1, -1):
        part = read(group[i], offsets[i])
        number, condition = site.wire((), INTEGER), site.wire((joint,), BOOLEAN)
        edges.append(site.edge(Number(offsets[i + 1]), (), (), number))
        compared = (plain_operand(index), plain_operand(number))
        edges.append(site.edge(Pointwise("lt"), (joint,), compared, condition))
        chosen = tuple(map(plain_operand, (condition, part, current)))
        current = site.wire(axes, kind)
        edges.append(site.edge(Pointwise("select"), atoms, chosen, current))
    return edges, current


PARALLEL_PROJECTIONS = Rewrite(
    "parallel-projections",
    "contract an array once with several weights, joined",
    "bilinearity: X (A | B) = (X A | X B), and copying of deterministic terms",
    _patches,
)
