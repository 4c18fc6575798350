"""Places as editors count them: lines, and code units of an agreed encoding within a line."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["utf-8", "utf-16", "utf-32"]
Point: TypeAlias = tuple[int, int]
"""A 0-based line and a 0-based character in it."""

_LINE_END = re.compile(r"\r\n|\n|\r")


class Lines:
    """The lines of a text. An editor ends them at `\\n`, `\\r\\n` and `\\r`."""

    def __init__(self, text: str, encoding: Encoding = "utf-16") -> None:
        self.text = text
        self._encoding: Encoding = encoding
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self._is_ascii = text.isascii()

    def point(self, offset: int) -> Point:
        """The line and character of an offset in code points."""
        line = bisect_right(self._starts, offset) - 1
        start = self._starts[line]
        if self._is_ascii:
            return line, offset - start
        return line, _units(self.text[start:offset], self._encoding)

    def offset(self, line: int, character: int) -> int:
        """The offset of a place; one beyond a line or the text is its end."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self.text)
        start = self._starts[line]
        end = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.text)
        content = self.text[start:end].rstrip("\r\n")
        if self._is_ascii:
            return start + min(max(character, 0), len(content))
        return start + _code_points(content, character, self._encoding)


def _units(text: str, encoding: Encoding) -> int:
    match encoding:
        case "utf-8":
            return len(text.encode("utf-8", "surrogatepass"))
        case "utf-16":
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        case "utf-32":
            return len(text)


def _code_points(line: str, units: int, encoding: Encoding) -> int:
    """How many code points the first units are; one that is cut in two does not count."""
    if encoding == "utf-32" or units <= 0:
        return min(max(units, 0), len(line))
    seen = 0
    for count, character in enumerate(line):
        seen += _units(character, encoding)
        if seen > units:
            return count
    return len(line)
