"""Folding: an operation reads an array through its own reindexing instead of a copy of it.

That is also how a read whose indices are more than axes becomes part of its operation; `unfold`
is the way back, for a backend that reads by plain axes only.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site, full_places, plain_operand
from ncdlang.algebra.strides import read_through, substitute
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Library,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
    Scattering,
)
from ncdlang.records import replace
from ncdlang.semantics.types import Axis


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    makers = graph.makers()
    for edge in graph.edges:
        readable = (Pointwise, Contraction, Reduction, Scattering)
        if not isinstance(edge.operator, readable):
            continue
        for position, operand in enumerate(edge.inputs):
            maker = makers.get(operand.wire)
            if maker is None or not isinstance(maker.operator, Reindex):
                continue
            if isinstance(edge.operator, Scattering) and position:
                continue
            folded = _folded(operand, maker)
            if folded is not None:
                inputs = (*edge.inputs[:position], folded, *edge.inputs[position + 1 :])
                what = f"`{edge.outputs[0].wire.spelling}` reads `{folded.wire.spelling}`"
                patch = {edge: (replace(edge, inputs=inputs),)}
                yield Patch(what, edge.span, patch, needed=(maker,))
                break


def _folded(operand: Operand, maker: Edge) -> Operand | None:
    """The operand as a read of what its reindexing reads, None where a weave can't say that."""
    inner = maker.inputs[0]
    is_guarded = isinstance(maker.operator, Reindex) and maker.operator.guarded
    if is_guarded or len(maker.inputs) > 1 or inner.wire.type.kind != operand.wire.type.kind:
        return None
    values = read_through(operand.wire.type.axes, full_places(operand))
    if values is None:
        return None
    places = tuple(substitute(place, values) for place in inner.reindexing)
    pairs = zip(operand.wire.type.axes, operand.weave, strict=True)
    targets = {axis for axis, is_target in pairs if is_target}
    extra, folded = Site.of(maker).operand(inner.wire, places, targets)
    kept = sum(folded.weave)
    return None if extra or kept != len(targets) else folded


FOLD_REINDEXING = Rewrite(
    "fold-reindexing",
    "let operations read arrays through reindexings of their own",
    "a broadcasted operation reindexes its inputs: [X, eta] ; f_theta = f_(theta ; eta)",
    _patches,
)


def _unfolding(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    for edge in graph.edges:
        if isinstance(edge.operator, Reindex | Library):
            continue
        before: list[Edge] = []
        inputs: list[Operand] = []
        for position, operand in enumerate(edge.inputs):
            if _is_plain(operand) or (position and isinstance(edge.operator, Scattering)):
                inputs.append(operand)
                continue
            made, read = _copied(edge, operand)
            before.append(made)
            inputs.append(read)
        if before:
            what = f"`{edge.outputs[0].wire.spelling}` reads by plain axes"
            changed = replace(edge, inputs=tuple(inputs))
            yield Patch(what, edge.span, {edge: (*before, changed)})


def _is_plain(operand: Operand) -> bool:
    axes = [place.axis for place in operand.reindexing]
    return None not in axes and len(set(axes)) == len(axes)


def _copied(edge: Edge, operand: Operand) -> tuple[Edge, Operand]:
    """A reindexing of an operand's wire, and the operand that reads it by plain axes."""
    places = full_places(operand)
    targets = [a for a, t in zip(operand.wire.type.axes, operand.weave, strict=True) if t]
    used: dict[Axis, None] = {}
    for place in places:
        used.update(dict.fromkeys(place.axes()))
    made = Site.of(edge).reindex(operand.wire, places, tuple(used))
    return made, plain_operand(made.outputs[0].wire, targets)


UNFOLD = Rewrite(
    "unfold",
    "give reads by more than plain axes reindexings of their own",
    "a broadcasted operation reindexes its inputs: f_(theta ; eta) = [X, eta] ; f_theta",
    _unfolding,
)
