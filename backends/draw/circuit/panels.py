"""Several scenes on one sheet, each in a panel with a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ids import Ids
from .model import Box, Picture
from .outlines import TITLE_ROW, outlines, texts, title_width
from .scene import Scene, Shape

_MARGIN, _APART = 14.0, 16.0
# Panels stand side by side up to this width where none is asked for.
_WIDE = 2000.0


@dataclass(frozen=True, slots=True)
class Panel:
    """A scene with its title, and what hovering over it tells."""

    title: str
    told: str
    scene: Scene


MARGINS = 2 * _MARGIN
"""How much wider a panel is than its scene."""


def side_by_side(panels: Sequence[Panel], font: str, ids: Ids, width: float = 0.0) -> Scene:
    """The panels from left to right, in several rows where they would be wider than `width`."""
    whole = Scene()
    x = y = bottom = 0.0
    for panel in panels:
        shape = _panel(panel, font, ids)
        wide, high = shape.box.right, shape.box.bottom
        if x and x + wide > (width or _WIDE):
            x, y = 0.0, bottom + _APART
        box = Box(x, y, x + wide, y + high)
        whole.shapes.append(_shape(panel, shape.id, box, font))
        whole.place(panel.scene, x + _MARGIN, y + TITLE_ROW + 4)
        whole.width, bottom = max(whole.width, x + wide), max(bottom, y + high)
        x += wide + _APART
    whole.height = bottom
    return whole


def _panel(panel: Panel, font: str, ids: Ids) -> Shape:
    """The outline of a panel at the origin, as large as its scene and its title need."""
    picture = Picture("block", "", "", panel.title)
    wide = max(panel.scene.width + MARGINS, title_width(picture, font))
    box = Box(0, 0, wide, panel.scene.height + TITLE_ROW + 4 + _MARGIN)
    return _shape(panel, ids.new("stage", panel.title.partition(":")[0]), box, font)


def _shape(panel: Panel, id_: str, box: Box, font: str) -> Shape:
    picture = Picture("block", id_, panel.told or panel.title, panel.title)
    lines = outlines(picture, box)
    words = texts(picture, box, font)
    return Shape(id_, picture.title, box, lines, words, is_frame=True)
