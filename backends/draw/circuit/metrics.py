"""How wide text is, by a table of our own, so that a layout never depends on installed fonts.

The widths are those of the Times family, in thousandths of the font's size, which Liberation Serif
and Nimbus Roman share. A font of another family may be wider, so its text is given more room.
"""

from __future__ import annotations

from typing import Literal

from .model import Box

Face = Literal["roman", "italic", "bold"]

# From space to tilde.
_ROMAN = (
    "250 333 408 500 500 833 778 180 333 333 500 564 250 333 250 278 500 500 500 500 500 500 500 "
    "500 500 500 278 278 564 564 564 444 921 722 667 667 722 611 556 722 722 333 389 722 611 889 "
    "722 722 556 722 667 556 611 722 722 944 722 722 611 333 278 333 469 500 333 444 500 444 500 "
    "444 333 500 500 278 278 500 278 778 500 500 500 500 333 389 278 500 500 722 500 500 444 480 "
    "200 480 541"
)
_ITALIC = (
    "250 333 420 500 500 833 778 214 333 333 500 675 250 333 250 278 500 500 500 500 500 500 500 "
    "500 500 500 333 333 675 675 675 500 920 611 611 667 722 611 611 722 722 333 444 667 556 833 "
    "667 722 611 722 611 500 556 722 611 833 611 556 556 389 278 389 422 500 333 500 500 444 500 "
    "444 278 500 500 278 278 444 278 722 500 500 500 500 389 389 278 500 444 667 444 444 389 400 "
    "275 400 541"
)
_BOLD = (
    "250 333 555 500 500 1000 833 278 333 333 500 570 250 333 250 278 500 500 500 500 500 500 500 "
    "500 500 500 333 333 570 570 570 500 930 722 667 722 722 667 611 778 778 389 500 778 667 944 "
    "722 778 611 778 722 556 667 722 722 1000 722 722 667 333 278 333 581 500 333 500 556 444 556 "
    "444 333 500 556 278 333 556 278 833 556 500 556 556 444 389 333 556 500 722 500 500 444 394 "
    "220 394 520"
)
_WIDTHS = {
    "roman": tuple(map(int, _ROMAN.split())),
    "italic": tuple(map(int, _ITALIC.split())),
    "bold": tuple(map(int, _BOLD.split())),
}
# What formulas are made of besides; anything else is taken to be as wide as it is high.
_OTHERS = {
    "\N{MINUS SIGN}": 675,
    "\N{MIDDLE DOT}": 333,
    "\N{SQUARE ROOT}": 549,
    "\N{INFINITY}": 713,
    "\N{SUPERSCRIPT TWO}": 300,
    "\N{SUPERSCRIPT THREE}": 300,
    "\N{LESS-THAN OR EQUAL TO}": 549,
    "\N{GREATER-THAN OR EQUAL TO}": 549,
    "\N{NOT EQUAL TO}": 549,
    "\N{DIVISION SIGN}": 549,
    "\N{MULTIPLICATION SIGN}": 675,
}
# Greek letters, and Latin ones with accents.
_LETTER, _WIDE = 660, 1000
ASCENT, DESCENT = 0.70, 0.22
OWN_FONT = "Times"
_ANY_FONT = 1.25


def text_width(text: str, size: float, face: Face, font: str = OWN_FONT) -> float:
    """The width of a line of text."""
    widths = _WIDTHS[face]
    total = 0
    for character in text:
        code = ord(character)
        if 32 <= code < 127:
            total += widths[code - 32]
        else:
            total += _OTHERS.get(character, _LETTER if code < 0x500 else _WIDE)
    return total * size / 1000 * (1.0 if font == OWN_FONT else _ANY_FONT)


def text_box(
    text: str, x: float, baseline: float, size: float, face: Face, font: str = OWN_FONT
) -> Box:
    """The box of text that begins at x; y grows downwards."""
    width = text_width(text, size, face, font)
    return Box(x, baseline - ASCENT * size, x + width, baseline + DESCENT * size)
