"""A diagram as a circuit: its scene, and the text that Graphviz draws it from."""

from __future__ import annotations

from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram

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


def draw_scene(diagram: CheckedDiagram, options: Options, notation: Notation) -> Scene:
    """The geometry of a circuit."""
    return _scene(diagram, options, notation, Ids())


def draw(diagram: CheckedDiagram, options: Options, notation: Notation) -> Sheet:
    """The circuit as DOT for `neato -n2`, with the groups and titles of its elements."""
    ids = Ids()
    scene = _scene(diagram, options, notation, ids)
    paint = colours(options.theme)
    return write(scene, diagram.name, paint, options.font, ids)


def _scene(diagram: CheckedDiagram, options: Options, notation: Notation, ids: Ids) -> Scene:
    def frame(inner: Circuit) -> Scene:
        width = max(options.width - _MARGINS, _NARROWEST) if options.width else 0.0
        return lay_out(inner, options.font, is_frame=True, width=width)

    pictograms = Pictograms(ids, options.font)
    context = Context(options, ids, pictograms, frame)
    whole = circuit(lower(diagram), context, notation)
    return lay_out(whole, options.font, is_frame=False, width=options.width)
