"""Merging contractions: a factor that is itself a product, and read only here, is multiplied out.

Elementwise products and sums count as contractions. Order is lost on purpose: what is cheapest
is found again by `order-contractions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site
from ncdlang.algebra.products import emit, inlined, product_of
from ncdlang.ir.diagram import Graph, Reindex
from ncdlang.semantics.types import Wire

MAX_FACTORS = 24


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    makers = graph.makers()
    uses = Counter[Wire](graph.outputs)
    uses.update(operand.wire for edge in graph.edges for operand in edge.inputs)
    for edge in graph.edges:
        product = product_of(edge)
        if product is None or any(axis.parts for axis in edge.degree):
            continue
        for position, factor in enumerate(product.factors):
            maker = makers.get(factor.wire)
            if maker is None or uses[factor.wire] != 1:
                continue
            inner = product_of(maker)
            if inner is None or not (product.bound or inner.bound):
                continue
            merged = inlined(product, position, inner, factor.wire)
            if merged is None or len(merged.factors) > MAX_FACTORS:
                continue
            new = emit(Site.of(edge), merged, edge.degree, edge.outputs[0].wire)
            if any(isinstance(each.operator, Reindex) for each in new[:-1]):
                continue
            names = f"`{edge.outputs[0].wire.spelling}` takes in `{factor.wire.spelling}`"
            yield Patch(names, edge.span, {maker: (), edge: new})
            break


MERGE_CONTRACTIONS = Rewrite(
    "merge-contractions",
    "multiply out the factors of a contraction that are contractions",
    "distributivity: sum_x (sum_k a b) c = sum_xk a b c",
    _patches,
)
