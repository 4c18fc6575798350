"""The surface tree as text: an indented dump, one node on a line, for `ncdc ir --stage tree`."""

from __future__ import annotations

from typing import Any, cast

from ncdlang.records import compared_fields, fields
from ncdlang.source import Span
from ncdlang.syntax import tree

_INDENT = "  "


def render_tree(file: tree.File, *, spans: bool = False) -> str:
    """The tree of a file, fields in the order of their declaration, ending in a line end.

    `spans` adds the place of every node as `@line:column`. Absent fields and empty texts are
    left out; an empty list is shown, because `[->]` is not `[]`.
    """
    lines: list[str] = []
    # A stack instead of recursion: an expression may be nested deeper than Python's own stack.
    pending: list[tuple[int, str, object]] = [(0, "", file)]
    while pending:
        depth, prefix, value = pending.pop()
        lines.append((_INDENT * depth + prefix + _header(value, spans)).rstrip(" "))
        pending.extend(reversed([(depth + 1, name, child) for name, child in _children(value)]))
    return "\n".join(lines) + "\n"


def _header(value: object, spans: bool) -> str:
    """The line of a value: a node's class with its plain fields."""
    if isinstance(value, tuple):
        return ""
    if not fields(value):
        return _plain(value)
    parts = [type(value).__name__]
    plain = [(name, field) for name, field in _fields(value) if not _is_nested(field)]
    if len(plain) == 1 and plain[0][0] in ("text", "value"):
        parts.append(_plain(plain[0][1]))
    else:
        parts.extend(f"{name}={_plain(field)}" for name, field in plain)
    place = getattr(value, "span", None)
    if spans and isinstance(place, Span):
        parts.append(f"@{place.line}:{place.column}")
    return " ".join(parts)


def _children(value: object) -> list[tuple[str, object]]:
    """The nested values below a value, each with what is printed before it."""
    if isinstance(value, tuple):
        return [("- ", item) for item in cast("tuple[object, ...]", value)]
    if not fields(value):
        return []
    return [(f"{name}: ", field) for name, field in _fields(value) if _is_nested(field)]


def _fields(node: Any) -> list[tuple[str, object]]:
    """The fields that hold something, places excluded."""
    found: list[tuple[str, object]] = []
    for name in compared_fields(node):
        value: object = getattr(node, name)
        if value is not None and value != "":
            found.append((name, value))
    return found


def _is_nested(value: object) -> bool:
    return value != () and (isinstance(value, tuple) or bool(fields(value)))


def _plain(value: object) -> str:
    """A name, number or text on one line, with every control character escaped."""
    if isinstance(value, str):
        body = "".join(_escaped(character) for character in value)
        return f'"{body}"'
    return str(value)


def _escaped(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    return character if character.isprintable() else ascii(character)[1:-1]
