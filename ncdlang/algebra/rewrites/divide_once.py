"""Dividing once: a quotient by an array that lacks axes is a product with its reciprocal.

The reciprocal is computed for each of the divisor's own entries, and the product can be merged
with contractions, which a quotient can't.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site
from ncdlang.ir.diagram import Edge, Graph, Number, Operand, Pointwise
from ncdlang.records import replace
from ncdlang.semantics.types import plain_index


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    makers = graph.makers()
    for edge in graph.edges:
        if not (isinstance(edge.operator, Pointwise) and edge.operator.name == "div"):
            continue
        kind = edge.outputs[0].wire.type.kind
        above, below = edge.inputs
        maker = makers.get(above.wire)
        if kind.name != "real" or {above.wire.type.kind, below.wire.type.kind} != {kind}:
            continue
        is_number = maker is not None and isinstance(maker.operator, Number)
        if is_number or extents.entries(below.wire.type.axes) >= extents.entries(edge.degree):
            continue
        what = f"`{edge.outputs[0].wire.spelling}`: reciprocal of `{below.wire.spelling}`"
        yield Patch(what, edge.span, {edge: _reciprocal(edge, above, below)})


def _reciprocal(edge: Edge, above: Operand, below: Operand) -> tuple[Edge, ...]:
    site = Site.of(edge)
    axes, kind = below.wire.type.axes, below.wire.type.kind
    atoms = tuple(atom for axis in axes for atom in axis.atoms)
    one, inverse = site.wire((), kind), site.wire(axes, kind)
    whole = Operand(below.wire, (False,) * len(axes), tuple(map(plain_index, axes)))
    read = Operand(inverse, below.weave, below.reindexing)
    return (
        site.edge(Number(1.0), (), (), one),
        site.edge(Pointwise("div"), atoms, (Operand(one, (), ()), whole), inverse),
        replace(edge, operator=Pointwise("mul"), inputs=(above, read)),
    )


DIVIDE_ONCE = Rewrite(
    "divide-once",
    "multiply by reciprocals instead of dividing again and again",
    "a / c = a (1 / c), and Yoneda sliding of the reciprocal",
    _patches,
)
