"""A graph as a circuit: its scene, and the text that Graphviz draws it from."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.ir.diagram import Graph

from ..notation import Notation
from ..options import Options
from .build import Context, circuit
from .colours import colours
from .gv import Sheet, write
from .ids import Ids
from .model import Circuit
from .paint import lay_out
from .panels import MARGINS, Panel, side_by_side
from .pictograms import Pictograms
from .scene import Scene
from .stages import Stage

# What is outside of a frame, at least, and the least width that its inside is broken at.
_MARGINS, _NARROWEST = 60.0, 100.0


def draw_scene(graph: Graph, options: Options, notation: Notation) -> Scene:
    """The geometry of a graph as a circuit: of a diagram that is lowered, or of a derived one."""
    return _scene(graph, options, notation, Ids())


def stages_scene(stages: Sequence[Stage], options: Options, notation: Notation) -> Scene:
    """The geometry of the stages of a rewrite, each in a panel."""
    return _stages(stages, options, notation, Ids())


def draw(graph: Graph, options: Options, notation: Notation) -> Sheet:
    """The circuit as DOT for `neato -n2`, with the groups and titles of its elements."""
    ids = Ids()
    scene = _scene(graph, options, notation, ids)
    return write(scene, graph.name, colours(options.theme), options.font, ids)


def draw_stages(stages: Sequence[Stage], options: Options, notation: Notation) -> Sheet:
    """The stages of a rewrite on one sheet; see `draw`."""
    ids = Ids()
    scene = _stages(stages, options, notation, ids)
    return write(scene, stages[0].graph.name, colours(options.theme), options.font, ids)


def _stages(stages: Sequence[Stage], options: Options, notation: Notation, ids: Ids) -> Scene:
    panels = [
        Panel(stage.title, stage.told, _scene(stage.graph, options, notation, ids, MARGINS))
        for stage in stages
    ]
    return side_by_side(panels, options.font, ids, options.width)


def _scene(
    graph: Graph, options: Options, notation: Notation, ids: Ids, margins: float = 0.0
) -> Scene:
    def room(frames: int) -> float:
        left = options.width - margins - frames * _MARGINS
        return max(left, _NARROWEST) if options.width else 0.0

    def frame(inner: Circuit, frames: int) -> Scene:
        return lay_out(inner, options.font, is_frame=True, width=room(frames))

    context = Context(options, ids, Pictograms(ids, options.font), frame)
    whole = circuit(graph, context, notation)
    return lay_out(whole, options.font, is_frame=False, width=room(0))
