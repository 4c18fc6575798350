"""The words of operations that are a box of their own without being calls: scatters and scans."""

from __future__ import annotations

from ncdlang.ir.diagram import Edge, Graph, Library, Scan, Scattering
from ncdlang.records import replace

from .notation import ELLIPSIS, Notation
from .text import clean

_LONGEST_NOTE = 160


def words(operator: Scattering | Scan, notation: Notation) -> tuple[str, str]:
    """The title of the box, and the note below it."""
    match operator:
        case Scattering():
            places = ", ".join(notation.affine(index) for index in operator.indices)
            return f"scatter {operator.op}", f"at [{places}]"
        case Scan():
            back = ", backwards" if operator.reverse else ""
            return f"scan along {notation.axis(operator.axis)}{back}", _equations(operator)


def _equations(scan: Scan) -> str:
    """The equations of a scan as they are written, without those that stand inside others."""
    spans = list(dict.fromkeys(edge.span for edge in scan.edges))
    outer = [
        span
        for span in spans
        if not any(o is not span and o.start <= span.start and span.end <= o.end for o in spans)
    ]
    text = "; ".join(dict.fromkeys(clean(span.text) for span in outer))
    return text if len(text) <= _LONGEST_NOTE else text[: _LONGEST_NOTE - 1] + ELLIPSIS


def is_learned(operator: Scattering | Scan) -> bool:
    """Whether an operation has parameters inside."""
    edges = operator.edges if isinstance(operator, Scan) else ()
    inner = (edge.operator for edge in edges)
    return any(isinstance(each, Library) and each.instance is not None for each in inner)


def told(edge: Edge, graph: Graph) -> Edge:
    """The operation with only those results that something reads."""
    read = {operand.wire for other in graph.edges for operand in other.inputs}
    read |= set(graph.outputs)
    return replace(edge, outputs=tuple(r for r in edge.outputs if r.wire in read))
