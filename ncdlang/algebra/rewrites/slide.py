"""Yoneda sliding: a reindexing moves through a broadcasted operation, either way (WWM, Thm. 2).

`slide-in` reads first and computes on what was read; `slide-out` computes on the whole arrays and
reads from the result. Sliding out computes entries that may never be read, so operators stay that
can be infinite or undefined there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site, full_places, reindex_operands
from ncdlang.algebra.strides import Places, read_through, substitute
from ncdlang.ir.diagram import Contraction, Edge, Graph, Operand, Pointwise, Reduction, Reindex
from ncdlang.ir.lower import SINGULAR, SINGULAR_REDUCTIONS
from ncdlang.records import replace
from ncdlang.semantics.types import Wire, plain_index

_DETERMINISTIC = (Pointwise, Contraction, Reduction)


def slid_in(graph: Graph) -> Iterator[tuple[Patch, Edge, Edge]]:
    """Reindexings of what an operation made that is read only there, slid in front of it."""
    makers = graph.makers()
    uses = _uses(graph)
    for edge in graph.edges:
        if not isinstance(edge.operator, Reindex):
            continue
        outer = edge.inputs[0]
        maker = makers.get(outer.wire)
        if maker is None or uses[outer.wire] != 1:
            continue
        if not isinstance(maker.operator, _DETERMINISTIC) or not maker.degree:
            continue
        if outer.wire.type.kind != edge.outputs[0].wire.type.kind:
            continue
        new = _read_first(edge, maker)
        if new is not None:
            what = f"`{edge.outputs[0].wire.spelling}` is read before `{outer.wire.spelling}`"
            yield Patch(what, edge.span, {maker: (), edge: new}), edge, maker


def _read_first(edge: Edge, maker: Edge) -> tuple[Edge, ...] | None:
    """The maker's operation for the reindexing's degree, on inputs that are read there."""
    outer = edge.inputs[0]
    values = read_through(outer.wire.type.axes, outer.reindexing)
    operator = maker.operator
    if values is None or not isinstance(edge.operator, Reindex):
        return None
    bound = operator.axes if isinstance(operator, Contraction | Reduction) else ()
    if not set(bound).isdisjoint(edge.degree):
        return None
    site = Site.of(maker)
    before: list[Edge] = []
    operands: list[Operand] = []
    for operand in maker.inputs:
        places = tuple(substitute(place, values) for place in full_places(operand))
        guarded = edge.operator.guarded and places != full_places(operand)
        made, read = site.operand(operand.wire, places, bound, guarded)
        before += made
        operands.append(read)
    output = edge.outputs[0]
    moved = Edge(operator, edge.degree, tuple(operands), (output,), edge.span, edge.blocks)
    return (*before, moved)


def slid_out(graph: Graph) -> Iterator[tuple[Patch, Edge, Edge]]:
    """Operations on what a reindexing read, carried out before it; other operands are numbers."""
    makers = graph.makers()
    for edge in graph.edges:
        operator = edge.operator
        if not isinstance(operator, _DETERMINISTIC) or _is_singular(edge):
            continue
        varying = [i for i, operand in enumerate(edge.inputs) if operand.wire.type.axes]
        if len(varying) != 1:
            continue
        position = varying[0]
        operand = edge.inputs[position]
        maker = makers.get(operand.wire)
        if maker is None or not isinstance(maker.operator, Reindex) or maker.operator.guarded:
            continue
        new = _compute_first(edge, position, maker)
        if new is not None:
            source = maker.inputs[0].wire
            what = f"`{edge.outputs[0].wire.spelling}` is computed from `{source.spelling}`"
            yield Patch(what, edge.span, {edge: new}, needed=(maker,)), maker, edge


def _is_singular(edge: Edge) -> bool:
    operator = edge.operator
    if isinstance(operator, Pointwise):
        return operator.name in SINGULAR or operator.name in ("floordiv", "mod")
    return isinstance(operator, Reduction) and operator.name in SINGULAR_REDUCTIONS


def _compute_first(edge: Edge, position: int, maker: Edge) -> tuple[Edge, ...] | None:
    """The operation on the whole source, then the reindexing of its result."""
    inner, operand = maker.inputs[0], edge.inputs[position]
    source = inner.wire
    values = read_through(operand.wire.type.axes, full_places(operand))
    if values is None or source.type.kind != operand.wire.type.kind:
        return None
    pairs = zip(operand.wire.type.axes, operand.weave, strict=True)
    targets = {axis for axis, is_target in pairs if is_target}
    places: Places = tuple(substitute(place, values) for place in inner.reindexing)
    weave = tuple(
        place.axis is axis and axis in targets
        for axis, place in zip(source.type.axes, places, strict=True)
    )
    tiled = [
        (axis, place)
        for axis, place, is_target in zip(source.type.axes, places, weave, strict=True)
        if not is_target
    ]
    if sum(weave) != len(targets):
        return None
    if any(not targets.isdisjoint(place.axes()) for _, place in tiled):
        return None
    site = Site.of(edge)
    # Axes of its own, so that none is bound and repeated at once.
    axes = tuple(axis for axis, _ in tiled)
    if any(axis.parts for axis in axes) or not targets.isdisjoint(axes):
        return None
    wire = site.wire(axes, edge.outputs[0].wire.type.kind)
    operands = tuple(
        Operand(source, weave, tuple(map(plain_index, axes))) if i == position else given
        for i, given in enumerate(edge.inputs)
    )
    computed = site.edge(edge.operator, axes, operands, wire)
    read = tuple(place for _, place in tiled)
    moved = replace(edge, operator=Reindex(), inputs=reindex_operands(wire, read))
    return (computed, moved)


def _uses(graph: Graph) -> Counter[Wire]:
    uses = Counter[Wire](graph.outputs)
    uses.update(operand.wire for edge in graph.edges for operand in edge.inputs)
    return uses


def _in(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    for patch, _, _ in slid_in(graph):
        yield patch


def _out(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    for patch, _, _ in slid_out(graph):
        yield patch


LAW = "Yoneda sliding (WWM, Thm. 2): [X, eta] ; [f, P] = [f, Q] ; [Y, eta], for deterministic f"

SLIDE_IN = Rewrite("slide-in", "read first, then compute on what was read", LAW, _in)
SLIDE_OUT = Rewrite("slide-out", "compute on whole arrays, then read", LAW, _out)
