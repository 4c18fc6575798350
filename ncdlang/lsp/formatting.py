"""The text as `ncdc fmt` writes it, as changes of whole lines."""

from __future__ import annotations

from difflib import SequenceMatcher

from ncdlang.lsp.workspace import Document
from ncdlang.source import Span
from ncdlang.syntax.format import Unfaithful, format_file
from ncdlang.syntax.parser import parse


def formatted(
    document: Document, start: int | None = None, end: int | None = None
) -> list[tuple[Span, str]]:
    """The changes that format a text, or those that touch a range of it; none for a text with
    syntax errors."""
    source = document.source
    parsed = parse(source)
    if parsed.diagnostics:
        return []
    try:
        text = format_file(source, parsed)
    except Unfaithful:
        return []
    changes = _changes(document, text)
    if start is None or end is None:
        return changes
    return [(span, new) for span, new in changes if span.start < end and start <= span.end]


def _changes(document: Document, text: str) -> list[tuple[Span, str]]:
    """The runs of lines that differ."""
    source = document.source
    old, new = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    found: list[tuple[Span, str]] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for what, first, last, begin, stop in matcher.get_opcodes():
        if what != "equal":
            span = Span(source, starts[first], starts[last])
            found.append((span, "".join(new[begin:stop])))
    return found
