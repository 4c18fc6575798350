"""Rows of only -inf, of which softmax is 0."""

from __future__ import annotations

import math

from ncdlang.ir.diagram import (
    Contraction,
    Graph,
    Library,
    Number,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Wire


def may_be_empty(graph: Graph, wire: Wire) -> bool:
    """Whether a whole row of the wire may be -inf, as far as constants and inputs tell.

    Sums of products of finite numbers are finite, so a contraction is taken to be.
    """
    makers = graph.makers()
    known: dict[Wire, bool] = {}

    def empty(current: Wire) -> bool:
        if current not in known:
            known[current] = made_empty(current)
        return known[current]

    def made_empty(current: Wire) -> bool:
        edge = makers.get(current)
        if edge is None:
            learned = {p.wire: p.frozen for p in graph.learned}
            return learned.get(current, True) and current.type.kind.name == "real"
        match edge.operator:
            case Number(value=value):
                return not isinstance(value, Size) and math.isinf(value)
            case Contraction():
                return False
            case Pointwise(name="log"):
                return True
            case Pointwise() | Reindex() | Reduction():
                return any(empty(operand.wire) for operand in edge.inputs)
            case Library():
                return current.type.kind.name == "real" and edge.operator.instance is None
            case Scattering() | Scan():
                return current.type.kind.name == "real"
            case _:
                return False

    return empty(wire)
