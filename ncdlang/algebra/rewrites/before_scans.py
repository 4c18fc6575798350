"""Before scans: what reads nothing that a recurrence makes is computed for all indices at once."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.opening import every, is_random, scan_edge
from ncdlang.algebra.patches import Extents, Patch, Rewrite
from ncdlang.algebra.scans import made_by, scans
from ncdlang.ir.diagram import Edge, Graph, Library
from ncdlang.records import replace


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    for edge, scan in scans(graph):
        within = made_by(scan.edges)
        before: list[Edge] = []
        for inner in scan.edges:
            read = {operand.wire for operand in inner.inputs}
            if read.isdisjoint(within) and _is_free(inner):
                before.append(inner)
                within -= made_by((inner,))
        if before:
            names = ", ".join(f"`{each.outputs[0].wire.spelling}`" for each in before)
            kept = tuple(inner for inner in scan.edges if inner not in before)
            changed = scan_edge(edge, replace(scan, edges=kept))
            what = f"{names} before the scan along `{scan.axis}`"
            yield Patch(what, before[0].span, {edge: (*before, changed)})


def _is_free(edge: Edge) -> bool:
    """Whether it does not matter when an operation is carried out."""
    if is_random(edge):
        return False
    return not any(
        isinstance(inner.operator, Library) and inner.operator.callee.is_stateful
        for inner in every((edge,))
    )


BEFORE_SCANS = Rewrite(
    "before-scans",
    "compute before a recurrence what reads nothing of it",
    "a scan repeats what does not depend on its state: scan (f ; g) = f ; scan g",
    _patches,
)
