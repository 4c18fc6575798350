"""Reading where it is cheapest: of a reindexing and an operation, that comes first which leaves
the operation the smaller array. Selections move in front of operations, repetitions behind."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite
from ncdlang.algebra.rewrites.slide import LAW, slid_in, slid_out
from ncdlang.ir.diagram import Graph


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    for patch, reading, operation in slid_in(graph):
        if extents.entries(reading.degree) < extents.entries(operation.degree):
            yield patch
    for patch, reading, _ in slid_out(graph):
        source = reading.inputs[0].wire.type.axes
        if extents.entries(source) < extents.entries(reading.degree):
            yield patch


SMALLEST_ARRAY = Rewrite(
    "smallest-array",
    "move reindexings to where the operations between them work on the smallest arrays",
    LAW,
    _patches,
)
