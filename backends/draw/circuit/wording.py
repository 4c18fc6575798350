"""The short words that ride on a wire: a function's name, `÷ √k`, `where x > 0`."""

from __future__ import annotations

import re

from ncdlang.ir.diagram import Edge, Pointwise
from ncdlang.semantics.types import Wire

from ..groups import Group
from ..notation import DOT, MINUS, Notation
from ..phrases import Read, phrase
from .sheet import shown

SIGNS = {
    "add": "+",
    "sub": "\N{MINUS SIGN}",
    "mul": "\N{MULTIPLICATION SIGN}",
    "div": "\N{DIVISION SIGN}",
    "eq": "=",
    "ne": "\N{NOT EQUAL TO}",
    "lt": "<",
    "le": "\N{LESS-THAN OR EQUAL TO}",
    "gt": ">",
    "ge": "\N{GREATER-THAN OR EQUAL TO}",
}
COMMUTATIVE = frozenset({"add", "mul", "eq", "ne", "and", "or", "max", "min"})
_APPLIED = {"/": SIGNS["div"], DOT: SIGNS["mul"]}
_BLANK = "\N{WHITE SQUARE}"
_SIGNED = re.compile(rf"(\+|{SIGNS['sub']}|/|{DOT}|{SIGNS['le']}|{SIGNS['ge']}|<|>|=) (.+)")


def nothing(_: Wire) -> str:
    """No wire is told by the call that made it."""
    return ""


def riding(group: Group, notation: Notation) -> tuple[str, dict[Wire, str]]:
    """The words of an elementwise operation, and what they call its inputs where it has several.

    An input that stands alone is left out: `÷ √k`.
    """
    words = phrase(group, notation, nothing)
    text = words.text
    if len(words.reads) != 1:
        return text, {read.wire: read.mark or shown(read.wire) for read in words.reads}
    (read,) = words.reads
    return _without(text, read).replace(read.mark or text, _BLANK if read.mark else text), {}


def _without(text: str, read: Read) -> str:
    name = read.mark or read.wire.name
    if text == name:
        # Integers that become reals are told by nothing else.
        return "real"
    if text == f"{MINUS}{name}":
        return MINUS
    if len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", text)) != 1:
        return text
    if text.endswith(f"({name})") and text.count("(") == 1:
        return text.removesuffix(f"({name})")
    found = _SIGNED.fullmatch(text.removeprefix(f"{name} ")) if text.startswith(name) else None
    if found is None:
        return text
    return f"{_APPLIED.get(found[1], found[1])} {found[2]}"


def factor(edge: Edge, group: Group, notation: Notation) -> str:
    """The words of a constant factor: `× 2`, `÷ √k`."""
    text = phrase(Group(edge, group.folded), notation, nothing).text
    if text.startswith("1 / "):
        return f"{SIGNS['div']} {text.removeprefix('1 / ')}"
    return f"{SIGNS['mul']} {text}"


def sign(edge: Edge) -> str:
    """The sign of an elementwise operation of two arrays, "" where it has none."""
    operator = edge.operator
    return SIGNS.get(operator.name, "") if isinstance(operator, Pointwise) else ""
