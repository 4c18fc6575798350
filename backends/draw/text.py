"""Text on its way into DOT and SVG: escaping, wrapping and ids. All of it may be anyone's text."""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ID_PARTS = {"'": "_prime", "_": "_"}
# What `wrapped` pays for a line, for a break (times the square of the brackets round it), for one
# that follows no comma, and for one that follows an equals sign.
_LINE, _INSIDE, _WORD, _EQUALS = 10, 16, 4, 30
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


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


def xml(text: str) -> str:
    """Text for XML, spaces at its ends kept."""
    return "".join(_NAMED.get(character, character) for character in map(_fit, text))


def html(text: str) -> str:
    """Text for an HTML-like label of DOT, spaces at its ends kept."""
    # A `]` that is alone in its element is a syntax error to Graphviz.
    return xml(text).replace("]", "&#93;")


def quoted(text: str) -> str:
    r"""A quoted string of DOT in which no escape (`\N`, `\G`, `\l`) has a meaning."""
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def quoted_lines(lines: tuple[str, ...]) -> str:
    r"""A quoted string of several lines."""
    return '"' + "\\n".join(quoted(line)[1:-1] for line in lines) + '"'


def identifier(text: str) -> str:
    """Text as a part of an SVG id: letters, digits and `_`; a prime is `_prime`, the rest `_`."""
    parts = (_ID_PARTS.get(c, c if c.isalnum() else "_") for c in clean(text))
    return "".join(parts).strip("_")


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Lines of at most `width` characters, broken where a reader would break a formula.

    A break outside of parentheses is better than one inside, one after a comma better than one
    after a word; few lines of about one length are better than many. A word is cut only where
    it is longer than a line.
    """
    pieces = [piece for word in clean(text).split(" ") for piece in _pieces(word, width)]
    # best[i] is the least cost of the pieces before i in whole lines, and where the last begins.
    best: list[tuple[int, int]] = [(0, 0)]
    depths = _depths(pieces)
    for end in range(1, len(pieces) + 1):
        length = -1
        found: list[tuple[int, int]] = []
        for start in range(end - 1, -1, -1):
            length += 1 + len(pieces[start])
            if length > width and found:
                break
            cost = best[start][0] + _LINE + (width - length) ** 2 // width
            if start:
                cost += _INSIDE * depths[start - 1] ** 2 + _break_after(pieces[start - 1])
            found.append((cost, start))
        best.append(min(found))
    lines: list[str] = []
    end = len(pieces)
    while end:
        start = best[end][1]
        lines.append(" ".join(pieces[start:end]))
        end = start
    return tuple(reversed(lines))


def _break_after(piece: str) -> int:
    """What a break costs after a piece: nothing after a comma, much after an equals sign."""
    if piece == "=":
        return _EQUALS
    # A line begins with an operator rather than ends with one.
    is_operator = len(piece) == 1 and not piece.isalnum()
    return 0 if piece.endswith(",") else _WORD * (1 + 2 * is_operator)


def _depths(pieces: list[str]) -> list[int]:
    """How many brackets are open after each piece."""
    depths: list[int] = []
    depth = 0
    for piece in pieces:
        depth += sum(piece.count(c) for c in "([") - sum(piece.count(c) for c in ")]")
        depths.append(max(depth, 0))
    return depths


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
