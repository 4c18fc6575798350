"""Merging reindexings: a reindexing of a reindexing is one, by the composite of their maps."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site
from ncdlang.algebra.patches import reindex_operands as operands
from ncdlang.algebra.strides import read_through, substitute
from ncdlang.ir.diagram import Graph, Reindex
from ncdlang.records import replace


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    makers = graph.makers()
    for edge in graph.edges:
        if not isinstance(edge.operator, Reindex):
            continue
        outer = edge.inputs[0]
        maker = makers.get(outer.wire)
        if maker is None or not isinstance(maker.operator, Reindex):
            continue
        inner = maker.inputs[0]
        if outer.wire.type.kind != inner.wire.type.kind:
            continue
        values = read_through(outer.wire.type.axes, outer.reindexing)
        if values is None:
            continue
        places = tuple(substitute(place, values) for place in inner.reindexing)
        guarded = edge.operator.guarded or maker.operator.guarded
        merged = replace(edge, operator=Reindex(guarded), inputs=operands(inner.wire, places))
        what = f"`{edge.outputs[0].wire.spelling}` reads `{inner.wire.spelling}` directly"
        yield Patch(what, Site.of(edge).span, {edge: (merged,)}, needed=(maker,))


MERGE_REINDEXINGS = Rewrite(
    "merge-reindexings",
    "make one reindexing of two in a row",
    "reindexing is contravariant: [X, eta] ; [X, theta] = [X, theta ; eta]",
    _patches,
)
