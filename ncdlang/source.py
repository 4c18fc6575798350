"""Source texts and the places in them: whatever points into a file is a `Span`."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple


class Source:
    """One text with a name. Two sources are the same only if they are the same object.

    A file of the standard library `is_library`: it is the same object in every run of a process.
    """

    def __init__(self, name: str, text: str, *, is_library: bool = False) -> None:
        self.name = name
        self.text = text
        self.is_library = is_library

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offsets in code points at which the lines begin."""
        starts = [0]
        position = self.text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = self.text.find("\n", position + 1)
        return tuple(starts)

    def line_of(self, offset: int) -> int:
        """1-based number of the line that holds `offset`."""
        return bisect_right(self.line_starts, offset)

    def column_of(self, offset: int) -> int:
        """1-based column of `offset`, in code points."""
        return offset - self.line_starts[self.line_of(offset) - 1] + 1

    def utf16_column_of(self, offset: int) -> int:
        """0-based column of `offset` in UTF-16 code units, as editors count."""
        start = self.line_starts[self.line_of(offset) - 1]
        return len(self.text[start:offset].encode("utf-16-le")) // 2

    def line_text(self, line: int) -> str:
        """The text of a 1-based line, without its line end."""
        start = self.line_starts[line - 1]
        end = self.line_starts[line] - 1 if line < len(self.line_starts) else len(self.text)
        return self.text[start:end].removesuffix("\r")


class Span(NamedTuple):
    """A range of code points `start <= offset < end` of one source."""

    source: Source
    start: int
    end: int

    @property
    def file(self) -> str:
        """Name of the source."""
        return self.source.name

    @property
    def line(self) -> int:
        """1-based line of the start."""
        return self.source.line_of(self.start)

    @property
    def column(self) -> int:
        """1-based column of the start, in code points."""
        return self.source.column_of(self.start)

    @property
    def text(self) -> str:
        """The text that the span covers."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.start, max(self.end, other.end))

    def lines(self) -> Span:
        """The whole lines that the span is on, without the last line end."""
        text = self.source.text
        end = text.find("\n", self.end)
        return Span(
            self.source, text.rfind("\n", 0, self.start) + 1, end if end >= 0 else len(text)
        )

    def __repr__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
