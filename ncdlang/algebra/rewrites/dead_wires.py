"""Dead wires: an operation whose results nobody reads is removed, a random one too."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.opening import every
from ncdlang.algebra.patches import Extents, Patch, Rewrite
from ncdlang.ir.diagram import Edge, Graph, Library
from ncdlang.semantics.types import Wire


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    wanted: set[Wire] = set(graph.outputs)
    for edge in reversed(graph.edges):
        if _keeps_state(edge) or any(result.wire in wanted for result in edge.outputs):
            wanted.update(operand.wire for operand in edge.inputs)
            continue
        names = ", ".join(f"`{result.wire.spelling}`" for result in edge.outputs)
        yield Patch(f"{names}: nobody reads it", edge.span, {edge: ()})


def _keeps_state(edge: Edge) -> bool:
    """Whether an operation does more than give its results."""
    return any(
        isinstance(inner.operator, Library) and inner.operator.callee.is_stateful
        for inner in every((edge,))
    )


DEAD_WIRES = Rewrite(
    "dead-wires",
    "remove operations whose results nobody reads",
    "naturality of dropping: f ; drop = drop",
    _patches,
)
