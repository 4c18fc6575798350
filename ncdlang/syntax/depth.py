"""How deep a tree is, so that no later pass meets one that it can't recurse over."""

from __future__ import annotations

from functools import cache
from typing import cast

from ncdlang.records import fields
from ncdlang.syntax import tree

MAX_DEPTH = 100
"""How deep a statement's tree may be."""


def deepest(item: tree.Statement | tree.Declared) -> int:
    """The greatest number of nodes on a path through a statement.

    Bodies are left out: their statements are measured on their own, and brackets nest less deep
    than this limit anyway. A short text is not measured, for each level takes a character.
    """
    if item.span.end - item.span.start <= MAX_DEPTH:
        return 0
    greatest = 0
    pending: list[tuple[int, object]] = [(1, item)]
    while pending:
        depth, node = pending.pop()
        if isinstance(node, tuple):
            parts = cast(tuple[object, ...], node)
            pending.extend((depth, part) for part in parts if not isinstance(part, str))
        else:
            greatest = max(greatest, depth)
            pending.extend((depth + 1, getattr(node, name)) for name in _parts(node.__class__))
    return greatest


@cache
def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a node that may hold nodes."""
    plain = {"span", "header", "op_span", "text", "value", "doc", "op"}
    if kind in (tree.Equation, tree.Const):
        plain.remove("value")
    if kind in (tree.Diagram, tree.Block):
        plain.add("body")
    return tuple(name for name in fields(kind) if name not in plain)
