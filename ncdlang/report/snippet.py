"""The lines of one source with marks under them: carets, labels, bars for long spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ncdlang.records import record
from ncdlang.report.columns import Line, cut, shown, visible, window
from ncdlang.report.paint import Painter, Row, Style
from ncdlang.source import Source, Span


@record
class Mark:
    """A span of one source with its label. Offsets count code points within a line."""

    first: int
    start: int
    last: int
    end: int
    text: str
    style: Style
    primary: bool

    @property
    def is_long(self) -> bool:
        """Whether it covers more than one line."""
        return self.last > self.first

    @property
    def stroke(self) -> str:
        """What it is underlined with."""
        return "^" if self.primary else "-"


def mark(span: Span, text: str, style: Style, primary: bool) -> Mark:
    """The mark of a span; the end of a line that the span ends with does not count."""
    source, start = span.source, min(span.start, len(span.source.text))
    end = max(start, min(span.end, len(source.text)))
    if "\n" in source.text[start:end]:
        end = start + max(1, len(source.text[start:end].rstrip()))
    last = source.line_of(end - 1 if end > start else start)
    return Mark(
        source.line_of(start),
        source.column_of(start) - 1,
        last,
        end - source.line_starts[last - 1],
        visible(" ".join(text.split("\n"))),
        style,
        primary,
    )


class Snippet:
    """Renders marked lines of one source. `gutter` is the width of the line numbers."""

    def __init__(self, source: Source, marks: Iterable[Mark], gutter: int, width: int) -> None:
        marks = tuple(marks)
        self._source = source
        self._short = [m for m in marks if not m.is_long]
        self._long = _with_depths([m for m in marks if m.is_long])
        self._margin = 2 * (max((depth for _, depth in self._long), default=-1) + 1)
        self._gutter = gutter
        self._limit = max(20, width - gutter - 3 - self._margin)
        self._bars: dict[int, Style] = {}

    def render(self, paint: Painter) -> Iterator[str]:
        """The rows of the snippet."""
        before = 0
        for number in self._numbers():
            if before and number > before + 1:
                yield paint("...", "gutter")
            before = number
            line = shown(self._source.line_text(number))
            first, *under = self._rows(number, line)
            yield f"{self._gutter_text(str(number), paint)} {first.render(paint)}".rstrip()
            for row in under:
                yield f"{self._gutter_text('', paint)} {row.render(paint)}".rstrip()

    def _gutter_text(self, number: str, paint: Painter) -> str:
        return paint(f"{number:>{self._gutter}} |", "gutter")

    def _numbers(self) -> list[int]:
        """The lines to show: those that a mark touches, and lone lines between them."""
        wanted = {m.first for m in self._short}
        for m, _ in self._long:
            wanted |= {m.first, m.last}
            if m.last - m.first <= 4:
                wanted.update(range(m.first, m.last))
        wanted |= {number - 1 for number in wanted if number - 2 in wanted}
        return sorted(wanted)

    def _rows(self, number: int, line: Line) -> Iterator[Row]:
        short = [m for m in self._short if m.first == number]
        begun = [(m, depth) for m, depth in self._long if m.first == number]
        ended = [(m, depth) for m, depth in self._long if m.last == number]
        view = _View(line, self._margin, self._limit, _touched(short, begun, ended, line))
        row = self._row()
        for m, depth in begun:
            if not self._source.line_text(number)[: m.start].strip():
                row.put(2 * depth, "/", m.style)
                self._bars[depth] = m.style
        row.put(self._margin, view.text, "")
        yield row
        yield from self._short_rows(short, view)
        for m, depth in begun:
            if depth not in self._bars:
                yield self._hook(m, depth, view.column(m.start))
                self._bars[depth] = m.style
        for m, depth in ended:
            row = self._hook(m, depth, view.column(m.end - 1))
            row.put(view.column(m.end - 1) + 2, m.text, m.style)
            yield row
            del self._bars[depth]

    def _row(self) -> Row:
        row = Row()
        for depth, style in self._bars.items():
            row.put(2 * depth, "|", style)
        return row

    def _hook(self, m: Mark, depth: int, column: int) -> Row:
        """The line from the margin to an end of a long mark."""
        row = Row()
        row.put(2 * depth + 1, "_" * (column - 2 * depth - 1) + m.stroke, m.style)
        for bar, style in self._bars.items():
            row.put(2 * bar, "|", style)
        return row

    def _short_rows(self, marks: list[Mark], view: _View) -> Iterator[Row]:
        if not marks:
            return
        row = self._row()
        for m in sorted(marks, key=lambda m: m.primary):
            start, end = view.columns(m)
            row.put(start, m.stroke * (end - start), m.style)
        last = max(marks, key=lambda m: (view.columns(m)[1], m.primary))
        row.put(view.columns(last)[1] + 1, last.text, last.style)
        yield row
        hanging = sorted(
            (m for m in marks if m is not last and m.text), key=lambda m: m.start, reverse=True
        )
        for done in range(len(hanging)):
            if done == 0:
                yield self._hung(hanging, view)
            row = self._hung(hanging[done + 1 :], view)
            row.put(view.columns(hanging[done])[0], hanging[done].text, hanging[done].style)
            yield row

    def _hung(self, marks: list[Mark], view: _View) -> Row:
        row = self._row()
        for m in marks:
            row.put(view.columns(m)[0], "|", m.style)
        return row


class _View:
    """The part of a line that is shown, and where its offsets come to lie."""

    def __init__(self, line: Line, margin: int, limit: int, touched: tuple[int, int]) -> None:
        self._line = line
        self._margin = margin
        self._start, self._end = window(line, *touched, limit)
        self.text = cut(line, self._start, self._end)

    def column(self, offset: int) -> int:
        """The column of an offset in the row, moved to the edge if it is not shown."""
        column = self._line.column(offset)
        if self._end < self._line.starts[-1]:
            column = min(column, self._end)
        return self._margin + max(column, self._start) - self._start

    def columns(self, m: Mark) -> tuple[int, int]:
        """The columns of a mark within the line; at least one."""
        start = self.column(m.start)
        return start, max(start + 1, self.column(m.end))


def _touched(
    short: list[Mark], begun: list[tuple[Mark, int]], ended: list[tuple[Mark, int]], line: Line
) -> tuple[int, int]:
    offsets = [offset for m in short for offset in (m.start, m.end)]
    offsets += [m.start for m, _ in begun] + [m.end for m, _ in ended]
    return line.column(min(offsets, default=0)), line.column(max(offsets, default=0))


def _with_depths(marks: list[Mark]) -> list[tuple[Mark, int]]:
    """Each long mark with the lowest place in the margin that no other one needs there."""
    placed: list[tuple[Mark, int]] = []
    for m in sorted(marks, key=lambda m: (m.first, -m.last)):
        taken = {depth for other, depth in placed if other.last >= m.first}
        placed.append((m, next(d for d in range(len(marks)) if d not in taken)))
    return placed
