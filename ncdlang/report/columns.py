"""Texts as a terminal shows them: how wide they are, and with nothing in them that acts on it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

TAB = 4
ELLIPSIS = "..."
_JOINERS = "\u200c\u200d"  # parts of words in some scripts
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """The text with nothing in it that moves, reorders or hides what a terminal shows.

    Control characters become pictures of them, others their numbers; tabs become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible_character, text.replace("\t", " " * TAB)))


def _visible_character(character: str) -> str:
    import unicodedata

    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if unicodedata.category(character) in _HIDDEN and character not in _JOINERS:
        return f"<U+{code:04X}>"
    return character


def width(text: str) -> int:
    """How many columns the text takes: 2 for wide characters, 0 for combining ones."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


@lru_cache(maxsize=4096)
def _character_width(character: str) -> int:
    import unicodedata

    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


class Line(NamedTuple):
    """One line of a source as it is shown.

    `text` is what to print; the code point at offset i of the source line begins in column
    `starts[i]`, and `starts` has one more entry for the end of the line.
    """

    text: str
    starts: tuple[int, ...]

    def column(self, offset: int) -> int:
        """The column of an offset; one past the end counts on."""
        past = offset - (len(self.starts) - 1)
        return self.starts[-1] + past if past > 0 else self.starts[offset]


@lru_cache(maxsize=8)
def shown(text: str) -> Line:
    """A line of a source made fit to be shown."""
    if text.isascii() and text.isprintable():
        return Line(text, tuple(range(len(text) + 1)))
    cells: list[str] = []
    starts = [0]
    for character in text:
        if character == "\t":
            cell = " " * (TAB - starts[-1] % TAB)
        else:
            cell = _visible_character(character)
        cells.append(cell)
        starts.append(starts[-1] + width(cell))
    return Line("".join(cells), tuple(starts))


def window(line: Line, low: int, high: int, limit: int) -> tuple[int, int]:
    """The columns of a line to show so that `low` to `high` is in view: at most `limit`."""
    total = line.starts[-1]
    if total <= limit:
        return 0, total
    context = max(0, min(limit // 4, (limit - (high - low)) // 2))
    if high + context + len(ELLIPSIS) <= limit:
        return 0, limit
    start = max(0, low - context)
    return start, start + limit


def cut(line: Line, start: int, end: int) -> str:
    """The columns `start` to `end` of a line, with dots where something is left out."""
    if start == 0 and line.starts[-1] <= end:
        return line.text
    text = line.text[start:end] if line.text.isascii() else _columns_of(line.text, start, end)
    if start > 0:
        text = ELLIPSIS + _without_columns(text, len(ELLIPSIS))
    if line.starts[-1] > end:
        text = _first_columns(text, end - start - len(ELLIPSIS)) + ELLIPSIS
    return text


def _columns_of(text: str, start: int, end: int) -> str:
    """The characters in columns `start` to `end`, blanks for those that are only half inside."""
    cells: list[str] = []
    column = 0
    for character in text:
        if column > end:
            break
        size = width(character)
        if start <= column and column + size <= end:
            cells.append(character)
        elif start < column + size and column < end:
            cells.append(" " * (min(end, column + size) - max(start, column)))
        column += size
    return "".join(cells)


def _without_columns(text: str, count: int) -> str:
    column = 0
    for index, character in enumerate(text):
        if column >= count:
            return " " * (column - count) + text[index:]
        column += width(character)
    return ""


def _first_columns(text: str, count: int) -> str:
    column = 0
    for index, character in enumerate(text):
        size = width(character)
        if column + size > count:
            return text[:index] + " " * (count - column)
        column += size
    return text
