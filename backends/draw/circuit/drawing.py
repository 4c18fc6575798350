"""A graph as a circuit: its scene, and the text that Graphviz draws it from."""

from __future__ import annotations

from ncdlang.ir.diagram import Graph

from ..notation import Notation
from ..options import Options
from .build import Context, circuit
from .colours import colours
from .gv import Sheet, write
from .ids import Ids
from .model import Circuit
from .paint import lay_out
from .pictograms import Pictograms
from .scene import Scene

# What is outside of a frame, at least, and the least width that its inside is broken at.
_MARGINS, _NARROWEST = 60.0, 100.0


def draw_scene(graph: Graph, options: Options, notation: Notation) -> Scene:
    """The geometry of a graph as a circuit: of a diagram that is lowered, or of a derived one."""
    return _scene(graph, options, notation, Ids())


def draw(graph: Graph, options: Options, notation: Notation) -> Sheet:
    """The circuit as DOT for `neato -n2`, with the groups and titles of its elements."""
    ids = Ids()
    scene = _scene(graph, options, notation, ids)
    return write(scene, graph.name, colours(options.theme), options.font, ids)


def _scene(graph: Graph, options: Options, notation: Notation, ids: Ids) -> Scene:
    def frame(inner: Circuit, frames: int) -> Scene:
        room = options.width - frames * _MARGINS
        width = max(room, _NARROWEST) if options.width else 0.0
        return lay_out(inner, options.font, is_frame=True, width=width)

    context = Context(options, ids, Pictograms(ids, options.font), frame)
    whole = circuit(graph, context, notation)
    return lay_out(whole, options.font, is_frame=False, width=options.width)
