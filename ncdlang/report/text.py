"""Diagnostics for people: the message, the places in the source, notes, help and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.report.columns import cut, shown, visible, window
from ncdlang.report.paint import Painter, Style
from ncdlang.report.snippet import Mark, Snippet, mark
from ncdlang.source import Source, Span

WIDTH = 120
_SIGNS: dict[str, Style] = {"-": "removed", "+": "added", " ": ""}


def render(diagnostics: Iterable[Diagnostic], *, colour: bool = False, width: int = WIDTH) -> str:
    """All diagnostics, one blank line between them; "" for none. `width` trims long lines."""
    paint = Painter(colour)
    return "\n".join(render_one(d, paint, width) for d in diagnostics)


def render_one(diagnostic: Diagnostic, paint: Painter, width: int = WIDTH) -> str:
    """One diagnostic, ending in a line end."""
    return "".join(f"{line}\n" for line in _lines(diagnostic, paint, width))


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors and 1 warning`; "" for no findings."""
    severities = [d.severity for d in diagnostics]
    counts = [(severities.count(s), s) for s in ("error", "warning")]
    return " and ".join(f"{n} {s}{'s' if n > 1 else ''}" for n, s in counts if n)


def _lines(diagnostic: Diagnostic, paint: Painter, width: int) -> Iterator[str]:
    style: Style = diagnostic.severity
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", style)
    yield head + paint(f": {visible(diagnostic.message)}", "strong")
    groups = _groups(diagnostic)
    gutter = _gutter(groups, diagnostic.fix)
    bar = paint(f"{'':>{gutter}} |", "gutter")
    for number, (source, marks) in enumerate(groups):
        if number == 0:
            arrow, line, column = "-->", diagnostic.span.line, diagnostic.span.column
        else:
            arrow, line, column = ":::", marks[0].first, marks[0].start + 1
            yield bar
        place = f"{visible(source.name)}:{line}:{column}"
        yield f"{paint(' ' * gutter + arrow, 'gutter')} {place}"
        yield bar
        yield from Snippet(source, marks, gutter, width).render(paint)
    remarks = [("note", note) for note in diagnostic.notes]
    if diagnostic.help and not (diagnostic.fix and diagnostic.fix.title == diagnostic.help):
        remarks.append(("help", diagnostic.help))
    if remarks or diagnostic.fix:
        yield bar
    for kind, text in remarks:
        yield from _remark(kind, text, gutter, paint)
    if diagnostic.fix:
        yield from _fix(diagnostic.fix, gutter, width, paint)


def _groups(diagnostic: Diagnostic) -> list[tuple[Source, list[Mark]]]:
    """The marks of each source, that of the primary span first."""
    groups = {
        diagnostic.span.source: [
            mark(diagnostic.span, diagnostic.label, diagnostic.severity, primary=True)
        ]
    }
    for label in diagnostic.labels:
        marks = groups.setdefault(label.span.source, [])
        marks.append(mark(label.span, label.text, "secondary", primary=False))
    return list(groups.items())


def _gutter(groups: list[tuple[Source, list[Mark]]], fix: Fix | None) -> int:
    numbers = [m.last for _, marks in groups for m in marks]
    numbers += [span.source.line_of(span.end) for span, _ in fix.edits] if fix else []
    return len(str(max(numbers)))


def _remark(kind: str, text: str, gutter: int, paint: Painter) -> Iterator[str]:
    first, *rest = text.split("\n")
    indent = f"{'':>{gutter}} "
    yield f"{indent}{paint('=', 'gutter')} {paint(kind, 'strong')}: {visible(first)}"
    for line in rest:
        yield f"{indent}{'':{len(kind) + 4}}{visible(line)}".rstrip()


# ---- fixes --------------------------------------------------------------------------------------


def _fix(fix: Fix, gutter: int, width: int, paint: Painter) -> Iterator[str]:
    yield f"{paint('help', 'help')}: {visible(fix.title)}"
    bar = paint(f"{'':>{gutter}} |", "gutter")
    for hunk in _hunks(fix):
        yield bar
        first = hunk[0][0].line
        old, new = _changed(hunk)
        while old and new and old[0] == new[0]:
            del old[0], new[0]
            first += 1
        while old and new and old[-1] == new[-1]:
            del old[-1], new[-1]
        rows = [(number, "-", text) for number, text in enumerate(old, first)]
        rows += [(number, "+", text) for number, text in enumerate(new, first)]
        if not old:
            _add_context(rows, hunk[0][0].source, first, first + len(new))
        for number, sign, text in rows:
            style = _SIGNS[sign]
            prefix = f"{paint(f'{number:>{gutter}}', 'gutter')} {paint(sign, style)}"
            yield f"{prefix} {_trimmed(text, old, new, width - gutter - 3)}".rstrip()
    yield bar


def _add_context(rows: list[tuple[int, str, str]], source: Source, line: int, number: int) -> None:
    """Show where lines are added: above `line`, which has `number` then, or at the end."""
    if line <= len(source.line_starts):
        rows.append((number, " ", source.line_text(line)))
    else:
        rows.insert(0, (line - 1, " ", source.line_text(line - 1)))


def _trimmed(text: str, old: list[str], new: list[str], limit: int) -> str:
    """A line of a fix; of a very long one the part that changes."""
    same = 0
    if old and new:
        pairs = zip(old[0], new[0], strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    line = shown(text)
    low = line.column(min(same, len(text)))
    return cut(line, *window(line, low, low, max(20, limit)))


def _hunks(fix: Fix) -> list[list[tuple[Span, str]]]:
    """The edits of a fix, those of touching lines together."""
    hunks: list[list[tuple[Span, str]]] = []
    for span, text in sorted(fix.edits, key=lambda edit: (edit[0].file, edit[0].start)):
        if hunks:
            before = hunks[-1][-1][0]
            near = before.source.line_of(before.end) + 1 >= span.line
            if before.source is span.source and near:
                hunks[-1].append((span, text))
                continue
        hunks.append([(span, text)])
    return hunks


def _changed(hunk: list[tuple[Span, str]]) -> tuple[list[str], list[str]]:
    """The lines that a hunk touches, before and after."""
    source = hunk[0][0].source
    last = source.line_of(hunk[-1][0].end)
    start = source.line_starts[hunk[0][0].line - 1]
    end = source.line_starts[last] if last < len(source.line_starts) else len(source.text)
    after, position = "", start
    for span, text in hunk:
        after += source.text[position : span.start] + text
        position = span.end
    after += source.text[position:end]
    return _split(source.text[start:end]), _split(after)


def _split(text: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]
