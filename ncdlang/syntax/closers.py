"""Which bracket a closer of the wrong kind was meant for, and where the layout of the text shows
that one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncdlang.syntax.layout import Layout, Open

_REACH = 100
"""How many tokens of the rest of a line are looked at."""


def is_meant_for(layout: Layout, top: Open, closer: int, index: int) -> bool:
    """Whether a closer that fits no open bracket was meant for the innermost one: `(a]`."""
    brace = layout.kinds.names["LBRACE"]
    if top.kind == brace or closer == layout.kinds.closer[brace]:
        return False
    kind = layout.kinds.closer[top.kind]
    return not _closes(layout, kind, index, _open_on_line(layout, kind, index))


def is_needed_later(layout: Layout, closer: int, index: int) -> bool:
    """Whether the brackets that a closer could close beyond the innermost one, which is of another
    kind, are all closed by the rest of the line: then it stands for the closer of the innermost
    one, as in `f(A: [x))`."""
    kinds = layout.kinds
    brace = kinds.names["LBRACE"]
    if closer == kinds.closer[brace] or layout.open[-1].kind == brace:
        return False
    return _closes(layout, closer, index, _open_on_line(layout, closer, index))


def _open_on_line(layout: Layout, closer: int, index: int) -> int:
    """How many brackets of a kind are open in this line."""
    text, end = layout.raw.source.text, layout.raw.starts[index]
    return sum(
        layout.kinds.closer[opened.kind] == closer and "\n" not in text[opened.start : end]
        for opened in layout.open
    )


def _closes(layout: Layout, closer: int, index: int, count: int) -> bool:
    """Whether the rest of the line has `count` closers of a kind that it has no openers for."""
    kinds, raw = layout.kinds, layout.raw.kinds
    depth = 0
    for kind in raw[index + 1 : index + 1 + _REACH]:
        if kind == kinds.names["_NEWLINE"] or count <= 0:
            break
        if kind in kinds.closer:
            depth += 1
        elif depth and kind in kinds.closers:
            depth -= 1
        elif kind == closer:
            count -= 1
    return count <= 0


def misses_brace(layout: Layout, index: int, kind: int, above: int) -> bool:
    """Whether the line at a token stands outside the innermost block, by its indentation and that
    of the line `above`, and one `}` too few follows before the next diagram."""
    if len(layout.open) < 2 or kind in layout.kinds.closers:
        return False
    top = layout.open[-1]
    if not top.is_body or top.is_extra or top is layout.balanced:
        return False
    if not layout.indent <= top.indent < above or layout.out.kinds[-1] in layout.kinds.continues:
        return False
    is_missing = _depth_at_diagram(layout, index) > 0
    layout.balanced = None if is_missing else top
    return is_missing


def _depth_at_diagram(layout: Layout, index: int) -> int:
    """How many braces are open where the next diagram, or the end of the file, comes."""
    kinds, raw, brace = layout.kinds, layout.raw.kinds, layout.kinds.names["LBRACE"]
    depth = sum(opened.kind == brace for opened in layout.open)
    while raw[index] and raw[index] != kinds.names["_DIAGRAM"]:
        depth += (raw[index] == brace) - (raw[index] == kinds.closer[brace])
        index += 1
    return depth


def statement_indent(layout: Layout) -> int:
    """The indentation of the line that the current statement starts on."""
    if layout.head >= len(layout.out.kinds):
        return layout.indent
    start = layout.out.starts[layout.head]
    return start - (layout.out.source.text.rfind("\n", 0, start) + 1)
