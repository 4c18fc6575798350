"""Text on its way into DOT and SVG: escaping, wrapping and ids. All of it may be anyone's text."""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# `]` alone in an element is a syntax error to the HTML-like labels of Graphviz.
_NAMED = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    "[": "&#91;",
    "]": "&#93;",
}


def clean(text: str) -> str:
    """One line that XML and UTF-8 can hold.

    White space becomes one space; control characters, lone surrogates and marks that turn the
    direction of text become replacement characters.
    """
    return " ".join("".join(map(_fit, text)).split())


def _fit(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cs", "Cn"):
        return _REPLACEMENT
    is_turn = character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return _REPLACEMENT if is_turn else character


def html(text: str) -> str:
    """Text for an HTML-like label of DOT and for XML, spaces at its ends kept."""
    return "".join(_NAMED.get(character, character) for character in map(_fit, text))


def quoted(text: str) -> str:
    r"""A quoted string of DOT in which no escape (`\N`, `\G`, `\l`) has a meaning."""
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted_lines(lines: tuple[str, ...]) -> str:
    r"""A quoted string of several lines."""
    return '"' + "\\n".join(quoted(line)[1:-1] for line in lines) + '"'


def identifier(text: str) -> str:
    """Text as a part of an SVG id: letters, digits, `_`; a prime is `-prime`, the rest `-`."""
    parts: list[str] = []
    for character in text:
        if character.isalnum() or character == "_":
            parts.append(character)
        elif character == "'":
            parts.append("-prime")
        elif parts and parts[-1] != "-":
            parts.append("-")
    return "".join(parts).strip("-")


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Lines of about `width` characters, broken at spaces, in words only if they are longer."""
    lines: list[str] = []
    line = ""
    for word in clean(text).split(" "):
        for piece in _pieces(word, width):
            if line and len(line) + 1 + len(piece) > width:
                lines.append(line)
                line = piece
            else:
                line = f"{line} {piece}" if line else piece
    return (*lines, line)


def _pieces(word: str, width: int) -> list[str]:
    """A word, cut where it is longer than a line; a cut leaves no combining mark alone."""
    pieces: list[str] = []
    while len(word) > width:
        cut = width
        while cut > 1 and unicodedata.combining(word[cut]):
            cut -= 1
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]
