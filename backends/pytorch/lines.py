"""Statements as lines of at most 100 columns, broken at brackets as formatters do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

from ncdlang.ir.diagram import Block

from .names import comment

INDENT = " " * 8
WIDTH = 100
_OPEN, _CLOSE = "([{", ")]}"
_STEP = "    "
_LOOSEST_FIRST = (
    (" if ", " else "),
    (" == ", " != ", " < ", " <= ", " > ", " >= "),
    (" | ",),
    (" & ",),
    (" + ", " - "),
    (" * ", " / ", " // ", " % "),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A statement of a method, the blocks that it stands in, and how deep in loops it stands."""

    text: str
    comment: str
    blocks: tuple[Block, ...] = ()
    depth: int = 0


def listing(lines: Iterable[Line]) -> list[str]:
    """The statements as text, with a comment where a block begins."""
    text: list[str] = []
    inside: tuple[Block, ...] = ()
    for line in lines:
        indent = INDENT + _STEP * line.depth
        text += [f"{indent}# {comment(b.title)}" for b in line.blocks if b not in inside]
        inside = line.blocks or inside
        text += statement(line.text, indent, line.comment)
    return text


def statement(text: str, indent: str, comment: str = "") -> list[str]:
    """The lines of one statement; its comment stands behind it, or above it for lack of room."""
    line = indent + text
    remark = f"  # {comment}" if comment else ""
    if len(line) + len(remark) <= WIDTH:
        return [line + remark]
    room = WIDTH - len(indent) - len("# ")
    above = [
        f"{indent}# {part}"
        for part in wrap(comment, room, break_long_words=False, break_on_hyphens=False)
    ]
    if len(line) <= WIDTH:
        return [*above, line]
    return [*above, *_broken(text, indent)]


def _broken(text: str, indent: str) -> list[str]:
    if len(indent) + len(text) <= WIDTH:
        return [indent + text]
    bracket = _last_bracket(text)
    if bracket is None:
        return _parenthesised(text, indent)
    start, end = bracket
    inner = text[start + 1 : end]
    parts = split_top(inner, ",")
    if len(parts) == 1 and not _is_call(text, start):
        body = _operators(parts[0], indent + _STEP)
    else:
        items = [part.strip() + "," for part in parts if part.strip()]
        if len(parts) == 1 and " for " in _outside(inner):
            items = [inner.strip()]  # no comma may follow a generator
        body = [line for item in items for line in _broken(item, indent + _STEP)]
    return [indent + text[: start + 1], *body, indent + text[end:]]


def _outside(text: str) -> str:
    """The text without what stands in brackets."""
    return "".join(text[position] for position in _top_level(text))


def _is_call(text: str, start: int) -> bool:
    return start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_])")


def _parenthesised(text: str, indent: str) -> list[str]:
    """`name = a + b` with its value in parentheses, one term a line."""
    trailing = "," if text.endswith(",") else ""
    value = text.removesuffix(",")
    for head in ("return ", *_assignment(value)):
        if value.startswith(head):
            body = _operators(value[len(head) :], indent + _STEP)
            return [f"{indent}{head}(", *body, f"{indent}){trailing}"]
    lines = _operators(value, indent)
    return [*lines[:-1], lines[-1] + trailing]


def _assignment(text: str) -> list[str]:
    """`name = ` of a statement, or `name=` of an argument."""
    argument = re.match(r"\w+=(?!=)", text)
    if argument:
        return [argument.group()]
    parts = split_top(text, " = ")
    return [f"{parts[0]} = "] if len(parts) > 1 else []


def _operators(text: str, indent: str) -> list[str]:
    """Break in front of the loosest operators."""
    for signs in (
        (" if ", " else "),
        (" | ",),
        (" & ",),
        (" + ", " - "),
        (" * ", " / ", " // ", " % "),
    ):
        pieces = _pieces(text, signs)
        if len(pieces) > 1:
            return [line for piece in pieces for line in _broken(piece, indent)]
    return _broken(text, indent) if _last_bracket(text) else [indent + text]


def _pieces(text: str, signs: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    start = 0
    for position in _top_level(text):
        if position and any(text.startswith(sign, position) for sign in signs):
            found.append(text[start:position])
            start = position + 1
    return [*found, text[start:]]


def split_top(text: str, separator: str) -> list[str]:
    """Split at a separator that no bracket and no string holds."""
    found: list[str] = []
    start = 0
    for position in _top_level(text):
        if position >= start and text.startswith(separator, position):
            found.append(text[start:position])
            start = position + len(separator)
    return [*found, text[start:]]


def _top_level(text: str) -> list[int]:
    """The positions outside all brackets and strings."""
    found: list[int] = []
    depth = 0
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            position = _string_end(text, position)
            continue
        if character in _CLOSE:
            depth -= 1
        elif character in _OPEN:
            depth += 1
        elif depth == 0:
            found.append(position)
        position += 1
    return found


def _string_end(text: str, start: int) -> int:
    position = start + 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1


def _last_bracket(text: str) -> tuple[int, int] | None:
    """The largest bracket that only a short tail follows: `F.linear(...)`, `x[...].sum(-1)`."""
    pairs: list[tuple[int, int]] = []
    opened: list[int] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            position = _string_end(text, position)
            continue
        if character in _OPEN:
            opened.append(position)
        elif character in _CLOSE:
            start = opened.pop()
            if not opened:
                pairs.append((start, position))
        position += 1
    if len(split_operators(text)) > 1 or not pairs:
        return None
    longest = max(pairs, key=lambda pair: pair[1] - pair[0])
    return longest if longest[1] - longest[0] > 2 else None


def split_operators(text: str) -> list[str]:
    """The operands of the outermost binary operators of a statement's value."""
    value = split_top(text.removeprefix("return "), " = ")[-1]
    signs = (
        " if ",
        " else ",
        " | ",
        " & ",
        " + ",
        " - ",
        " * ",
        " / ",
        " // ",
        " % ",
        " < ",
        " <= ",
    )
    return _pieces(value, signs)
