"""The backend that draws."""

from __future__ import annotations

from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram, signature
from ncdlang.semantics.size import Size, Symbol, constant
from ncdlang.targets import Artifact, Request

from .circuit.drawing import draw, draw_stages, draw_streams, written
from .circuit.gv import grouped
from .circuit.stages import stages
from .dataflow import dataflow
from .dot import dot_text, tooltips
from .notation import Notation
from .options import Options, parse_options
from .palette import palette
from .render import render


class DrawBackend:
    """Draws a diagram. Options are those of `Options`, as text."""

    name = "draw"

    def emit(self, request: Request) -> Artifact:
        """The drawing in the format that was asked for, SVG if none was.

        Raises TargetError for bad options, GraphvizMissing (with the DOT text) where SVG, PDF
        or PNG is asked for and there is no Graphviz.
        """
        options = parse_options(request.options)
        notation = Notation(options.labels, _known(request, options))
        if options.style == "circuit":
            return self._circuit(request, options, notation)
        picture = dataflow(request.diagram, options, notation)
        gv = dot_text(picture, palette(options.theme))
        if options.format == "gv":
            return Artifact(gv, ".gv")
        return _artifact(render(gv, options.format, tooltips(picture)), options)

    def _circuit(self, request: Request, options: Options, notation: Notation) -> Artifact:
        diagram, sizes = request.diagram, request.sizes
        if options.rewrite:
            graph, opens = lower(diagram), options.opens_library
            made = stages(graph, options.rewrite, sizes, is_opened=opens)
            drawn = draw_stages(made, options, notation)
        elif options.streams:
            drawn = draw_streams(diagram, sizes, options, notation)
        else:
            drawn = draw(lower(diagram), options, notation)
        sheet = written(drawn, diagram.name, options)
        if options.format == "gv":
            return Artifact(sheet.text, ".gv", drawn.notes)
        content = render(sheet.text, options.format, sheet.titles, is_placed=True)
        if options.format == "svg":
            content = grouped(content, sheet.groups, signature(request.diagram))
        return _artifact(content, options, drawn.notes)


def _artifact(content: bytes, options: Options, notes: tuple[str, ...] = ()) -> Artifact:
    text_or_bytes = content.decode() if options.format == "svg" else content
    return Artifact(text_or_bytes, f".{options.format}", notes)


def _known(request: Request, options: Options) -> dict[Symbol, Size]:
    """The sizes that a drawing may show: those given, else the defaults of free axes."""
    if options.labels == "names":
        return {}
    known = _defaults(request.diagram)
    for symbol in request.diagram.unknowns:
        if symbol.name in request.sizes:
            known[symbol] = constant(request.sizes[symbol.name])
    # A default may be made of other axes: `k = size(m) // size(h)`.
    return {symbol: size.substitute(known) for symbol, size in known.items()}


def _defaults(diagram: CheckedDiagram) -> dict[Symbol, Size]:
    return {
        free.axis.symbol: free.default
        for free in diagram.free
        if free.axis.symbol is not None and free.default is not None
    }
