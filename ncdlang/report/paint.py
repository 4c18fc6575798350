"""Rows of styled text, with or without ANSI colours."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ncdlang.report.columns import width

Style: TypeAlias = Literal[
    "", "error", "warning", "help", "gutter", "strong", "secondary", "removed", "added"
]

_ANSI: dict[Style, str] = {
    "": "",
    "error": "1;31",
    "warning": "1;33",
    "help": "1;36",
    "gutter": "1;34",
    "strong": "1",
    "secondary": "1;34",
    "removed": "31",
    "added": "32",
}


class Painter:
    """Puts colours round texts, or leaves them as they are."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, style: Style) -> str:
        """The text in its style."""
        code = _ANSI[style]
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code and text.strip() else text


class Row:
    """A row of columns that texts are put on, later ones over earlier ones."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, Style]] = []

    def put(self, column: int, text: str, style: Style) -> None:
        """Write `text` from `column` on. A wide character fills two columns."""
        for character in text:
            size = 1 if character.isascii() else width(character)
            self._reach(column + size)
            if size == 0 and column:
                before, its_style = self._cells[column - 1]
                self._cells[column - 1] = (before + character, its_style)
            else:
                filled: list[tuple[str, Style]] = [(character, style), ("", style)]
                self._cells[column : column + size] = filled[:size]
            column += size

    def _reach(self, end: int) -> None:
        empty: tuple[str, Style] = (" ", "")
        self._cells.extend([empty] * (end - len(self._cells)))

    def render(self, paint: Painter) -> str:
        """The row as text, without spaces at its end."""
        runs: list[tuple[str, Style]] = []
        for text, style in self._cells:
            if runs and runs[-1][1] == style:
                runs[-1] = (runs[-1][0] + text, style)
            else:
                runs.append((text, style))
        if runs and not runs[-1][1]:
            runs[-1] = (runs[-1][0].rstrip(), "")
        return "".join(paint(text, style) for text, style in runs)
