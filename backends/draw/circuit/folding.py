"""Which operations a circuit draws as one: elementwise functions with what nobody named in them.

Contractions, reductions, reindexings and calls are drawn each on its own, so only scalars,
indices and elementwise steps are folded, into the elementwise step that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.ir.diagram import Contraction, Edge, Iota, Library, Number, Operand, Pointwise
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.types import Wire

from ..groups import Group, wires_read
from ..notation import is_own_index

# How many operations one pictogram may word.
_MOST = 12


def circuit_groups(edges: Sequence[Edge], results: set[Wire]) -> list[Group]:
    """The operations that are drawn, in the order of the edges; `results` are read elsewhere."""
    readers: dict[Wire, list[tuple[Edge, bool]]] = {}
    for edge in edges:
        for wire, as_index in wires_read(edge):
            readers.setdefault(wire, []).append((edge, as_index))
    foldable = _foldable(edges, results)
    roots: dict[Edge, tuple[Edge, ...]] = {}
    folded: dict[Edge, dict[Wire, Edge]] = {}
    for edge in reversed(edges):
        into: tuple[Edge, ...] = ()
        made = edge.outputs[0].wire if edge.outputs else None
        if made in foldable and made is not None:
            into = _owners(edge, made, readers.get(made, []), roots, foldable[made])
        if made is not None:
            for root in into:
                folded[root][made] = edge
        roots[edge] = into or (edge,)
        if not into:
            folded[edge] = {}
    return [Group(edge, folded[edge]) for edge in edges if edge in folded]


def is_elementwise(edge: Edge) -> bool:
    """Whether an operation acts on each entry by itself, without parameters."""
    operator = edge.operator
    if isinstance(operator, Library):
        return operator.callee.is_elementwise and operator.instance is None
    return isinstance(operator, Pointwise)


def is_plain(operand: Operand) -> bool:
    """Whether every tiled axis of an operand is read by its own index."""
    axes = operand.wire.type.axes
    tiled = [axis for axis, target in zip(axes, operand.weave, strict=True) if not target]
    return all(
        index.axis is axis or (not axis.parts and is_own_index(index, axis))
        for index, axis in zip(operand.reindexing, tiled, strict=True)
    )


def _foldable(edges: Sequence[Edge], results: set[Wire]) -> dict[Wire, bool]:
    """Wires that may be folded into their readers, and whether each is a constant."""
    weights: dict[Wire, int] = {}
    found: dict[Wire, bool] = {}
    for edge in edges:
        if len(edge.outputs) != 1 or not _may_fold(edge):
            continue
        wire = edge.outputs[0].wire
        if wire in results or not is_anonymous(wire):
            continue
        read = [operand.wire for operand in edge.inputs]
        weight = 1 + sum(weights.get(source, 0) for source in read)
        if weight <= _MOST:
            weights[wire] = weight
            found[wire] = all(found.get(source, False) for source in read)
    return found


def _may_fold(edge: Edge) -> bool:
    if isinstance(edge.operator, (Number, Iota)):
        return True
    return is_elementwise(edge) and all(is_plain(operand) for operand in edge.inputs)


def _owners(
    edge: Edge,
    made: Wire,
    readers: list[tuple[Edge, bool]],
    roots: dict[Edge, tuple[Edge, ...]],
    is_constant: bool,
) -> tuple[Edge, ...]:
    """What an operation is folded into; nothing where it must be drawn itself."""
    for reader, as_index in readers:
        takes = is_elementwise(reader) or (
            is_constant and isinstance(reader.operator, Contraction) and not made.type.axes
        )
        if as_index or not takes or not _reads_plainly(reader, made):
            return ()
    into = tuple(dict.fromkeys(root for reader, _ in readers for root in roots[reader]))
    if is_constant or (len(into) == 1 and into[0].blocks == edge.blocks):
        return into
    return ()


def _reads_plainly(reader: Edge, wire: Wire) -> bool:
    return all(is_plain(operand) for operand in reader.inputs if operand.wire is wire)
