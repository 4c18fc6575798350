"""What a graph costs: operations on numbers, and bytes that move to and from memory.

Every operation reads its operands and writes its result. A reindexing that is a view (each
coordinate of one axis at most) is free, any other is written out. A contraction of two is a
matrix product; an operand whose axes are not one batch, one outer and one contracted axis is
copied first. What depends on no input is computed in advance and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.algebra.patches import Extents
from ncdlang.algebra.products import product_of
from ncdlang.algebra.rewrites.matrix_product import kinds
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.records import record
from ncdlang.semantics.types import Axis, Wire

ENTRY = 4
"""Bytes of an entry."""

BALANCE = 100
"""Operations in the time of one byte, about that of an accelerator of 2020 and after."""

LAUNCH = 100_000
"""Operations on numbers in the time that it takes to start a kernel."""


@record
class Cost:
    """Operations on numbers, bytes moved, and how many kernels are started."""

    flops: int
    bytes: int
    launches: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops, self.bytes + other.bytes, self.launches + other.launches
        )

    @property
    def time(self) -> int:
        """One number to compare by, in operations."""
        return self.flops + BALANCE * self.bytes + LAUNCH * self.launches

    def __str__(self) -> str:
        return f"{self.flops:.3g} FLOPs, {self.bytes:.3g} bytes, {self.launches} operations"


FREE = Cost(0, 0, 0)


def cost(graph: Graph, extents: Extents) -> Cost:
    """The cost of a graph; calls are to be opened before."""
    total = FREE
    varying: set[Wire] = set(graph.inputs)
    for edge in graph.edges:
        if any(operand.wire in varying for operand in edge.inputs):
            varying.update(result.wire for result in edge.outputs)
            total += edge_cost(edge, extents)
    return total


def edge_cost(edge: Edge, extents: Extents) -> Cost:
    """The cost of one operation."""
    operator = edge.operator
    match operator:
        case Number() | Iota():
            return FREE
        case Reindex():
            return FREE if _is_view(edge) else Cost(0, 2 * _written(edge, extents), 1)
        case Contraction():
            flops = contraction_flops(edge, extents)
            pairs = max(1, len(edge.inputs) - 1)
            # Without an order every pair but the last is written out, over all axes.
            between = 2 * ENTRY * (pairs - 1) * extents.entries((*edge.degree, *operator.axes))
            moved = _moved(edge, extents) + _copied(edge, extents) + between
            return Cost(flops, moved, pairs)
        case Reduction():
            flops = extents.entries((*edge.degree, *operator.axes))
            return Cost(flops, _moved(edge, extents), 1)
        case Scan():
            total = sum((edge_cost(each, extents) for each in operator.edges), FREE)
            return Cost(total.flops, total.bytes, extents.size(operator.axis.size))
        case Pointwise() | Library() | Scattering():
            return Cost(extents.entries(edge.degree), _moved(edge, extents), 1)


def contraction_flops(edge: Edge, extents: Extents) -> int:
    """Multiplications and additions of a contraction, carried out all at once."""
    operator = edge.operator
    bound = operator.axes if isinstance(operator, Contraction) else ()
    steps = max(1, len(edge.inputs) - 1) + (1 if bound else 0)
    return steps * extents.entries((*edge.degree, *bound))


def _moved(edge: Edge, extents: Extents) -> int:
    read = {operand.wire for operand in edge.inputs}
    entries = sum(extents.entries(wire.type.axes) for wire in read)
    return ENTRY * entries + _written(edge, extents)


def _written(edge: Edge, extents: Extents) -> int:
    return ENTRY * sum(extents.entries(result.wire.type.axes) for result in edge.outputs)


def _is_view(edge: Edge) -> bool:
    """Whether a reindexing only says where to look: strides and offsets, nothing repeated."""
    seen: list[Axis] = []
    for place in edge.inputs[0].reindexing:
        if len(place.terms) > 1 or any(not isinstance(v, Axis) for v, _ in place.terms):
            return False
        seen += [v for v, _ in place.terms if isinstance(v, Axis)]
    atoms = [atom for axis in seen for atom in axis.atoms]
    return len(set(atoms)) == len(atoms) and edge.operator != Reindex(True)


def _copied(edge: Edge, extents: Extents) -> int:
    """Bytes of operands that are brought into the form of matrices first."""
    given = product_of(edge)
    if given is None or len(given.factors) != 2:
        return 0
    batch, rows, columns, bound = kinds(edge, given)
    total = 0
    for own, factor in zip((rows, columns), given.factors, strict=True):
        if _lies_apart(factor.axes(), (batch, own, bound)):
            total += 2 * ENTRY * extents.entries(factor.axes())
    return total


def _lies_apart(axes: Iterable[Axis], groups: tuple[tuple[Axis, ...], ...]) -> bool:
    """Whether axes of an operand that belong together are several."""
    own = set(axes)
    return any(sum(axis in own for axis in group) > 1 for group in groups[1:])
