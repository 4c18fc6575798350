"""The outlines of pictograms, and where wires meet them."""

from __future__ import annotations

import math
from dataclasses import replace

from .metrics import ASCENT, text_box, text_width
from .model import Box, Picture
from .pictograms import LINE, SUBSCRIPT, SYMBOL, TITLE, WORDS
from .scene import Label, Outline, Paint, Point

TITLE_ROW = 24.0
"""The height of a frame's title."""

_SLANT = 9.0
_CUT = 12.0
_PAINTS: dict[str, Paint] = {
    "box": "box",
    "pill": "pill",
    "cut": "learned",
    "house": "learned",
    "circle": "norm",
    "vee": "norm",
    "triangle": "triangle",
    "hexagon": "reindex",
    "pentagon": "reindex",
    "tail": "reindex",
    "sign": "none",
    "block": "block",
    "call": "call",
    "scan": "call",
    "brackets": "call",
}
STIFF = frozenset({"circle", "vee", "sign", "block", "call", "scan", "brackets"})
"""Pictograms that don't grow with the number of their wires."""

FRAMES = frozenset({"block", "call", "scan", "brackets"})


def edge(picture: Picture, box: Box, y: float, *, is_left: bool) -> float:
    """Where a wire at height y meets a pictogram from one side."""
    middle, half = (box.top + box.bottom) / 2, (box.bottom - box.top) / 2
    away = min(abs(y - middle) / half, 1.0) if half else 0.0
    inset = 0.0
    match picture.shape:
        case "circle" | "vee":
            inset = (box.right - box.left) / 2 * (1 - math.sqrt(1 - away * away))
        case "triangle":
            inset = away * (box.right - box.left) if is_left else 0.0
        case "hexagon":
            inset = away * _SLANT
        case "pentagon" | "house":
            inset = 0.0 if is_left else away * _SLANT
        case "tail":
            inset = away * _SLANT if is_left else 0.0
        case "cut" if is_left:
            inset = max(0.0, y - (box.bottom - _CUT))
        case "bar":
            inset = (box.right - box.left) / 2 - 1.5
        case _:
            pass
    return box.left + inset if is_left else box.right - inset


def outlines(picture: Picture, box: Box) -> tuple[Outline, ...]:
    """The lines and areas of a pictogram in its box."""
    left, top, right, bottom = box
    middle = (top + bottom) / 2
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    match picture.shape:
        case "cut":
            cut = ((right, bottom), (left + _CUT, bottom), (left, bottom - _CUT))
            return (Outline((*corners[:2], *cut), "learned"),)
        case "house" | "pentagon":
            points = (
                (left, top), (right - _SLANT, top), (right, middle),
                (right - _SLANT, bottom), (left, bottom),
            )  # fmt: skip
            return (Outline(points, _PAINTS[picture.shape]),)
        case "tail":
            points = (
                (right, top), (left + _SLANT, top), (left, middle),
                (left + _SLANT, bottom), (right, bottom),
            )  # fmt: skip
            return (Outline(points, "reindex"),)
        case "hexagon":
            return (Outline(_hexagon(box), "reindex"),)
        case "triangle":
            return (Outline(((left, middle), (right, top), (right, bottom)), "triangle"),)
        case "circle":
            return (Outline(corners, "norm", is_round=True),)
        case "vee":
            return (Outline(corners, "norm", is_round=True), _vee(box))
        case "mask":
            return _mask(picture, box)
        case "bar":
            x = (left + right) / 2
            return (Outline(((x, top), (x, bottom)), "bar", is_open=True),)
        case "brackets":
            return (*_brackets(box),)
        case "box" if picture.is_bold:
            return (Outline(corners, "learned"),)
        case shape:
            return (Outline(corners, _PAINTS[shape]),)


def texts(picture: Picture, box: Box, font: str) -> tuple[Label, ...]:
    """The words of a pictogram, in the middle of its box, or the title of a frame."""
    middle = (box.top + box.bottom) / 2
    if picture.shape in FRAMES:
        return _title(picture, box, font)
    if picture.shape == "sign":
        # The ink of a sign is smaller than its line.
        return (replace(_centred(picture.text, box, middle + 5.5, 20, font, picture.id), box=box),)
    if picture.shape == "vee":
        return ()
    if picture.subscript or picture.shape in ("cut", "house"):
        return _lettered(picture, box, font)
    if picture.text:
        return (_centred(picture.text, box, middle + 0.33 * 15, 15, font, picture.id),)
    lines = picture.lines
    step = WORDS * LINE
    first = middle - step * (len(lines) - 1) / 2 + 0.33 * WORDS
    return tuple(
        _centred(line, box, first + step * number, WORDS, font, picture.id, picture.is_bold)
        for number, line in enumerate(lines)
    )


def _centred(
    text: str, box: Box, baseline: float, size: float, font: str, of: str, is_bold: bool = False
) -> Label:
    face = "bold" if is_bold else "roman"
    x = (box.left + box.right - text_width(text, size, face, font)) / 2
    return Label(
        text, x, baseline, size, face, text_box(text, x, baseline, size, face, font), of=of
    )


def _lettered(picture: Picture, box: Box, font: str) -> tuple[Label, ...]:
    """A bold letter with its subscript."""
    letter = text_width(picture.text, SYMBOL, "bold", font)
    under = text_width(picture.subscript, SUBSCRIPT, "italic", font)
    right = box.right - (_SLANT if picture.shape == "house" else 0)
    x = (box.left + right - letter - under) / 2
    baseline = (box.top + box.bottom) / 2 + 0.33 * SYMBOL
    at = text_box(picture.text, x, baseline, SYMBOL, "bold", font)
    found = [Label(picture.text, x, baseline, SYMBOL, "bold", at, of=picture.id)]
    if picture.subscript:
        low = baseline + 4
        at = text_box(picture.subscript, x + letter, low, SUBSCRIPT, "italic", font)
        of = picture.id
        found.append(Label(picture.subscript, x + letter, low, SUBSCRIPT, "italic", at, of=of))
    return tuple(found)


def _title(picture: Picture, box: Box, font: str) -> tuple[Label, ...]:
    """The title of a frame at its top, after the number of copies."""
    baseline = box.top + 6 + ASCENT * TITLE
    found: list[Label] = []
    x = box.left + 10
    if picture.subscript:
        count = f"{picture.subscript}\N{MULTIPLICATION SIGN}"
        at = text_box(count, x, baseline + 2, SYMBOL - 4, "bold", font)
        found.append(Label(count, x, baseline + 2, SYMBOL - 4, "bold", at, of=picture.id))
        x = at.right + 8
    if picture.text:
        face = "bold" if picture.shape == "block" else "roman"
        at = text_box(picture.text, x, baseline, TITLE, face, font)
        found.append(Label(picture.text, x, baseline, TITLE, face, at, "muted", of=picture.id))
    return tuple(found)


def title_width(picture: Picture, font: str) -> float:
    """How wide a frame has to be for its title."""
    labels = _title(picture, Box(0, 0, 0, 0), font)
    return max((label.box.right for label in labels), default=0.0) + 10


def _hexagon(box: Box) -> tuple[Point, ...]:
    left, top, right, bottom = box
    middle = (top + bottom) / 2
    return (
        (left, middle), (left + _SLANT, top), (right - _SLANT, top),
        (right, middle), (right - _SLANT, bottom), (left + _SLANT, bottom),
    )  # fmt: skip


def _vee(box: Box) -> Outline:
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    r = (box.right - box.left) / 2
    points = ((x - 0.5 * r, y - 0.62 * r), (x, y + 0.72 * r), (x + 0.5 * r, y - 0.62 * r))
    return Outline(points, "norm", is_open=True)


def _mask(picture: Picture, box: Box) -> tuple[Outline, ...]:
    width, height = box.right - box.left, box.bottom - box.top
    corners = (
        (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)
    )  # fmt: skip
    taken = tuple(
        Outline(tuple((box.left + x * width, box.top + y * height) for x, y in points), "masked")
        for points in picture.points
    )
    return (Outline(corners, "visible"), *taken, Outline((*corners, corners[0]), "bar", True))


def _brackets(box: Box) -> tuple[Outline, ...]:
    left, top, right, bottom = box
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    hook = 9.0
    return (
        Outline(corners, "call"),
        Outline(
            ((left + hook, top), (left, top), (left, bottom), (left + hook, bottom)),
            "bracket",
            True,
        ),
        Outline(
            ((right - hook, top), (right, top), (right, bottom), (right - hook, bottom)),
            "bracket",
            True,
        ),
    )
