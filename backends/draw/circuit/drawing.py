"""A graph as a circuit: its scene, and the text that Graphviz draws it from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.levels import Levels, find_levels
from ncdlang.analysis.opening import Opaque
from ncdlang.ir.diagram import Graph
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.targets import TargetError

from ..notation import Notation
from ..options import Options
from .build import Context, circuit
from .colours import colours
from .fitting import Drawn, fitted
from .gv import Sheet, write
from .ids import Ids
from .legend import with_legend
from .model import Circuit
from .paint import lay_out
from .panels import MARGINS, Panel, side_by_side
from .pictograms import Pictograms
from .scene import Scene
from .stages import Stage

# What is outside of a frame, at least, and the least width that its inside is broken at.
_MARGINS, _NARROWEST = 60.0, 100.0
# What the tiles of kernels are worked out for.
_DEVICE, _DTYPE = "h200", "bf16"

Lowered = Callable[[CheckedDiagram], Graph]


def written(drawn: Drawn, name: str, options: Options) -> Sheet:
    """A drawing as DOT for `neato -n2`, with the groups and titles of its elements."""
    return write(drawn.scene, name, colours(options.theme), options.font, drawn.ids)


def draw(graph: Graph, options: Options, notation: Notation) -> Drawn:
    """A graph as a circuit: of a diagram that is lowered, or a derived one."""

    def make(depth: int, width: float, variant: int) -> Drawn:
        ids = Ids()
        inside = replace(options, width=width)
        return Drawn(_scene(graph, inside, depth, notation, ids, variant), ids)

    return fitted(make, options)


def draw_stages(stages: Sequence[Stage], options: Options, notation: Notation) -> Drawn:
    """The stages of a rewrite, each in a panel."""

    def make(depth: int, width: float, variant: int) -> Drawn:
        ids = Ids()
        inside = replace(options, width=max(width - MARGINS, _NARROWEST) if width else 0.0)
        panels = [
            Panel(each.title, each.told, _scene(each.graph, inside, depth, notation, ids, variant))
            for each in stages
        ]
        return Drawn(side_by_side(panels, options.font, ids, width), ids)

    return fitted(make, options, len(stages))


def draw_streams(
    diagram: CheckedDiagram, sizes: Mapping[str, int], options: Options, notation: Notation
) -> Drawn:
    """A diagram with what its kernels group and stream, and which memory holds what.

    Raises TargetError for one that has no kernels.
    """
    graphs: dict[CheckedDiagram, Graph] = {}

    def lowered(each: CheckedDiagram) -> Graph:
        if each not in graphs:
            graphs[each] = lower(each)
        return graphs[each]

    known = {s: sizes[s.name] for s in diagram.unknowns if s.name in sizes}
    device = DEVICES[_DEVICE]
    try:
        levels = find_levels(diagram, known, device, _DTYPE, lowered)
    except Opaque as opaque:
        place = f"{opaque.span.file}:{opaque.span.line}:{opaque.span.column}"
        raise TargetError(f"{diagram.name} has no kernels: {opaque.what} ({place})") from None
    machine = f"{device.name} in {_DTYPE}"

    def make(depth: int, width: float, variant: int) -> Drawn:
        ids, graph = Ids(), lowered(diagram)
        inside = replace(options, width=width)
        scene = _scene(graph, inside, depth, notation, ids, variant, levels, lowered)
        return Drawn(with_legend(scene, levels, notation, machine, options.font, width), ids)

    return fitted(make, options)


def _scene(
    graph: Graph,
    options: Options,
    depth: int,
    notation: Notation,
    ids: Ids,
    variant: int,
    levels: Levels | None = None,
    lowered: Lowered = lower,
) -> Scene:
    def room(frames: int) -> float:
        left = options.width - frames * _MARGINS
        return max(left, _NARROWEST) if options.width else 0.0

    def frame(inner: Circuit, frames: int) -> Scene:
        return lay_out(inner, options.font, is_frame=True, width=room(frames), variant=variant)

    context = Context(options, ids, Pictograms(ids, options.font), frame, lowered, variant)
    whole = circuit(graph, context, notation, depth, levels)
    return lay_out(whole, options.font, is_frame=False, width=room(0), variant=variant)
