"""Common subterms: of two operations that compute the same one is kept. Never random ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

from ncdlang.algebra.opening import is_random
from ncdlang.algebra.patches import Extents, Patch, Rewrite
from ncdlang.ir.diagram import Contraction, Edge, Graph, Operand, Pointwise, Scan
from ncdlang.semantics.types import Wire

_COMMUTATIVE = frozenset({"add", "mul", "max", "min", "eq", "ne", "and", "or"})


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    first: dict[Hashable, Edge] = {}
    for edge in graph.edges:
        if isinstance(edge.operator, Scan) or is_random(edge):
            continue
        kept = first.setdefault(_key(edge), edge)
        if kept is not edge:
            pairs = zip(edge.outputs, kept.outputs, strict=True)
            renamed: dict[Wire, Wire] = {mine.wire: its.wire for mine, its in pairs}
            what = ", ".join(f"`{a.spelling}` is `{b.spelling}`" for a, b in renamed.items())
            yield Patch(what, edge.span, {edge: ()}, renamed, (kept,))


def _key(edge: Edge) -> Hashable:
    operator = edge.operator
    inputs: Hashable = edge.inputs
    if isinstance(operator, Contraction) or (
        isinstance(operator, Pointwise) and operator.name in _COMMUTATIVE
    ):
        counted: Counter[Operand] = Counter(edge.inputs)
        inputs = frozenset(counted.items())
    shown = tuple((result.wire.type, result.weave) for result in edge.outputs)
    return (type(operator), operator, frozenset(edge.degree), inputs, shown)


COMMON_SUBTERMS = Rewrite(
    "common-subterms",
    "compute equal operations once",
    "naturality of copying, for deterministic f: f ; copy = copy ; (f | f)",
    _patches,
)
