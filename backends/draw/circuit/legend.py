"""What the colours and tiles of an overlay mean, and what the kernels do: lines below a drawing."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.analysis.levels import GROUPED, STREAMED, Kernel, Levels
from ncdlang.semantics.types import Axis

from ..notation import Notation
from ..text import wrapped
from .metrics import text_box, text_width
from .model import Level
from .pictograms import WORDS
from .scene import Label, Scene, Wire

_LEAST, _SHORTEST = 420.0, 120.0
_SAMPLE, _ROW, _APART, _GAP = 30.0, 20.0, 26.0, 24.0
_LEVELS: tuple[tuple[Level, str], ...] = (
    ("", "global memory"),
    ("shared", "shared memory, a tile at a time"),
    ("registers", "registers"),
)


def with_legend(
    scene: Scene, levels: Levels, notation: Notation, machine: str, font: str, width: float
) -> Scene:
    """The scene with a legend below it; `machine` is what its tiles are for.

    Lines are about as long as the scene is wide, or the `width` that was asked for.
    """
    whole = Scene(scene.width, scene.height + _APART)
    whole.shapes, whole.wires, whole.labels = scene.shapes, scene.wires, list(scene.labels)
    x = 0.0
    for level, text in _LEVELS:
        y = whole.height + _ROW / 2
        third = _SAMPLE / 3
        points = ((x, y), (x + third, y), (x + 2 * third, y), (x + _SAMPLE, y))
        whole.wires.append(Wire(f"legend.{level or 'global'}", text, points, "legend", level))
        x = _say(whole, text, x + _SAMPLE + 6, font) + _GAP
        if width and x > width / 2:
            x, whole.height = 0.0, whole.height + _ROW
    whole.height += _ROW if x else 0.0
    longest = max(width or max(scene.width, _LEAST), _SHORTEST)
    for text in _lines(levels, notation, machine):
        for line in wrapped(text, int(longest / text_width("n", WORDS, "roman", font))):
            _say(whole, line, 0.0, font)
            whole.height += _ROW
    return whole


def _say(whole: Scene, text: str, x: float, font: str) -> float:
    """Add a line of text in the row that comes next; where it ends."""
    baseline = whole.height + _ROW / 2 + 0.33 * WORDS
    at = text_box(text, x, baseline, WORDS, "roman", font)
    whole.labels.append(Label(text, x, baseline, WORDS, "roman", at, "muted"))
    whole.width = max(whole.width, at.right)
    return at.right


def _lines(levels: Levels, notation: Notation, machine: str) -> Iterator[str]:
    if not levels.kernels:
        yield "no part of it streams: all is left to the library"
        return
    for number, kernel in enumerate(levels.kernels, 1):
        made = ", ".join(
            f"{output.array}[{' '.join(notation.axis(axis) for axis in output.array.axes)}]"
            for output in kernel.region.outputs
        )
        yield f"kernel {number} makes {made}: {'; '.join(_roles(kernel, notation))}"
    yield f"{GROUPED}: grouped, one tile a program; {STREAMED}: streamed, tile after tile"
    if any(t.length is not None and t.length > 1 for k in levels.kernels for t in k.tiles.values()):
        yield f"the tiles are for {machine}"


def _roles(kernel: Kernel, notation: Notation) -> Iterator[str]:
    """What a kernel does with its axes."""

    def named(axes: tuple[Axis, ...]) -> str:
        return " ".join(notation.axis(axis) for axis in axes)

    region = kernel.region
    if region.batch:
        yield f"one index of {named(region.batch)} a program"
    if region.rows:
        yield f"rows of {named(region.rows)} grouped"
    columns = dict.fromkeys(axis for output in region.outputs for axis in output.columns)
    parts = tuple(axis for axis in columns if axis in kernel.tiles)
    if parts:
        yield f"columns of {named(parts)} grouped"
    whole = tuple(axis for axis in columns if axis not in kernel.tiles)
    if whole:
        yield f"{named(whole)} whole"
    yield f"{named(region.stream)} streamed"
