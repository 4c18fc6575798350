"""The pictograms of operations: their shapes, texts and sizes."""

from __future__ import annotations

import math
import re

from ncdlang.ir.diagram import Edge, Library
from ncdlang.semantics.program import CheckedDiagram

from ..calls import call_title
from ..text import clean, wrapped
from .ids import Ids
from .metrics import text_width
from .model import Picture

SYMBOL, SUBSCRIPT, WORDS, TITLE = 22.0, 14.0, 14.0, 13.0
"""Font sizes: of a box's letter, its subscript, other words, and titles of frames."""

LINE = 1.2
"""The distance of lines, in font sizes."""

_NORMS = {"rms_norm": "V", "layer_norm": "LN", "instance_norm": "IN", "group_norm": "GN"}
_LINEAR = {"linear": "L", "affine": "A", "embedding": "E"}
_WIDEST = 22


class Pictograms:
    """Makes pictures with ids of their own. `font` is what texts are set in."""

    def __init__(self, ids: Ids, font: str) -> None:
        self.ids = ids
        self.font = font

    def sign(self, text: str, title: str, *at: str) -> Picture:
        """The sign where a dashed line ends."""
        return Picture("sign", self.ids.new(*at), title, text, width=14, height=14)

    def pill(self, text: str, title: str, *at: str) -> Picture:
        """Words that ride on a wire."""
        lines = wrapped(text, _WIDEST)
        width = max(self._width(line) for line in lines) + 14
        height = max(18.0, 1.0 + len(lines) * WORDS * LINE)
        return Picture("pill", self.ids.new(*at), title, width=width, height=height, lines=lines)

    def box(self, text: str, title: str, *at: str, is_bold: bool = False) -> Picture:
        """A labelled box, for an operation without a pictogram of its own."""
        lines = wrapped(text, _WIDEST)
        width = max(self._width(line, is_bold) for line in lines) + 16
        height = math.ceil(len(lines) * WORDS * LINE + 10)
        return Picture(
            "box", self.ids.new(*at), title, width=max(width, 30), height=height, lines=lines,
            is_bold=is_bold,
        )  # fmt: skip

    def hexagon(self, text: str, title: str, *at: str) -> Picture:
        """A reindexing that is more than a rearrangement."""
        width = self._width(text) + 26
        return Picture("hexagon", self.ids.new(*at), title, width=width, height=20, lines=(text,))

    def pentagon(self, text: str, title: str, *at: str, back: bool = False) -> Picture:
        """An index or a slice, which points along the wire (against it for a scatter)."""
        width = self._width(text) + 22
        shape = "tail" if back else "pentagon"
        return Picture(shape, self.ids.new(*at), title, width=width, height=20, lines=(text,))

    def bar(self, title: str, *at: str) -> Picture:
        """Where a plain sum ends a wire."""
        return Picture("bar", self.ids.new(*at), title, width=10, height=18)

    def call(self, edge: Edge, operator: Library, title: str, *at: str) -> Picture:
        """The pictogram of a call that stays closed."""
        callee = operator.callee
        name = operator.instance.name if operator.instance is not None else ""
        if callee.library == "std.prelude" and callee.name == "softmax":
            return Picture("triangle", self.ids.new(*at), title, width=28, height=38)
        if callee.library == "std.nn" and callee.name in _LINEAR:
            return self._learned(callee, name, title, *at)
        if callee.library == "std.nn" and callee.name in _NORMS:
            mark = _NORMS[callee.name]
            shape = "vee" if mark == "V" else "circle"
            return Picture(shape, self.ids.new(*at), title, mark, width=40, height=40, is_bold=True)
        is_learned = operator.instance is not None and callee.is_learned
        return self.box(call_title(edge, operator), title, *at, is_bold=is_learned)

    def _learned(self, callee: CheckedDiagram, name: str, title: str, *at: str) -> Picture:
        letter, subscript = _letter(callee.name, name)
        width = text_width(letter, SYMBOL, "bold", self.font)
        width += text_width(subscript, SUBSCRIPT, "italic", self.font)
        shape = "house" if callee.name == "embedding" else "cut"
        width += 30 if shape == "house" else 20
        return Picture(
            shape, self.ids.new(*at), title, letter, subscript, max(width, 42), 40, is_bold=True
        )

    def _width(self, text: str, is_bold: bool = False) -> float:
        return text_width(text, WORDS, "bold" if is_bold else "roman", self.font)


def _letter(callee: str, instance: str) -> tuple[str, str]:
    """`Lq` is an L with the subscript q; another name is the subscript itself."""
    name = clean(instance)
    letter = _LINEAR[callee]
    own = re.fullmatch(rf"{callee}(?:_(\d+))?", name)
    if own:
        return letter, own[1] or ""
    if len(name) == 1 and name.isupper():
        return name, ""
    short = re.fullmatch(r"([A-Z])_?(\w{1,5}'*)", name)
    return (short[1], short[2]) if short else (letter, name)
