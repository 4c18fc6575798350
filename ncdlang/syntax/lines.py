"""The lines that the formatter has written, with their comments, and what is aligned in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ncdlang.records import record
from ncdlang.syntax.pieces import Assign, Comment, Gap, Piece, Word

INDENT = 2


@record(eq=False)
class Line:
    """One line: its code, indentation included, and the comment after it."""

    text: str
    comment: Comment | None = None


@record(eq=False)
class Break:
    """A line end that is still to be written: the indentation after it, and how many empty lines
    may stand `above` what comes first and `between` the comments and the token after them."""

    indent: int
    above: int = 0
    between: int = 0


class Page:
    """Lines as they grow. What separates two tokens waits until the second is known: a comment
    before that goes first."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.indent = 0
        self._text = ""
        self._comment: Comment | None = None
        self._begun = False
        self._pending: Break | bool = False

    @property
    def column(self) -> int:
        """Where the next token would start."""
        if isinstance(self._pending, Break):
            return INDENT * self._pending.indent
        return len(self._text) + self._pending

    @property
    def is_closing(self) -> bool:
        """Whether the line has only closing brackets so far."""
        return not self._text.strip(" )]}")

    def space(self) -> None:
        """Put a space before the next token."""
        self._pending = True

    def end(self, indent: int, above: int = 0, between: int = 0) -> None:
        """End the line before the next token."""
        self._pending = Break(indent, above, between)

    def put(self, word: Word, text: str, indent: int) -> None:
        """Write a token, or a piece that starts with it; `indent` is for what follows a comment
        in the middle of a statement."""
        self._separate(word.gap, indent + 1)
        self._text += text

    def add(self, text: str) -> None:
        """Write what is no token of the text, right after the last one."""
        self._text += text

    def finish(self, gap: Gap, indent: int, between: int) -> None:
        """Write the comments at the end of a body, or of the file, and end the line."""
        if gap.comments:
            self.end(indent, between if self.lines or self._begun else 0, between)
            self._write_comments(gap)
        self._pending = False
        self._finish_line()

    def close(self, word: Word, indent: int) -> None:
        """Write a closing bracket on a line of its own; comments before it belong to the list."""
        if word.gap.comments:
            self.end(indent + 1, 1, 1)
            self._write_comments(word.gap)
        self._begin_line(indent)
        self._pending = False
        self._text += word.text

    def _separate(self, gap: Gap, indent: int) -> None:
        if gap.comments:
            if not isinstance(self._pending, Break):
                self.end(indent)
            self._write_comments(gap)
        if isinstance(self._pending, Break):
            self._write_blanks(min(gap.blanks, self._pending.above))
            self._begin_line(self._pending.indent)
        elif self._pending:
            self._text += " "
        self._pending = False

    def _write_comments(self, gap: Gap) -> None:
        """The comments before a token; then what comes is below them."""
        pending = self._pending
        assert isinstance(pending, Break)
        above = pending.above
        for comment in gap.comments:
            if not comment.is_own and self._begun and self._comment is None and self._text.strip():
                self._comment = comment
                continue
            self._finish_line()
            self._write_blanks(min(comment.blanks, above))
            self.lines.append(Line(" " * (INDENT * pending.indent) + comment.text))
            above = pending.between
        self._pending = Break(pending.indent, above, pending.between)

    def _write_blanks(self, count: int) -> None:
        if count:
            self._finish_line()
            self.lines.extend(Line("") for _ in range(count))

    def _begin_line(self, indent: int) -> None:
        self._finish_line()
        self._begun = True
        self.indent = indent
        self._text = " " * (INDENT * indent)

    def _finish_line(self) -> None:
        if self._begun:
            self.lines.append(Line(self._text, self._comment))
        self._begun = False
        self._text = ""
        self._comment = None


# ---- alignment ------------------------------------------------------------------------------


def paddings(statements: Sequence[Piece]) -> list[int]:
    """How many spaces more each statement needs before its `=`, to stay aligned with the
    statements next to it as the author had them: the `=` in one column, set off by spaces."""
    assigns = [_assign_of(statement) for statement in statements]
    found = [0] * len(statements)
    start = 0
    while start < len(assigns):
        end = start + 1
        while end < len(assigns) and _are_level(assigns[end - 1], assigns[end]):
            end += 1
        run = [each for each in assigns[start:end] if each is not None]
        if len(run) > 1 and any(each.op.gap.width > 1 for each in run):
            widest = max(_width(each) for each in run)
            found[start:end] = [widest - _width(each) for each in run]
        start = end
    return found


def _assign_of(statement: Piece) -> Assign | None:
    """The assignment that a statement is, if its `=` stands in the statement's first line."""
    if not isinstance(statement, Assign) or statement.leads or statement.left.is_spread:
        return None
    is_on_line = statement.op.line == statement.first.line and not statement.op.gap.comments
    return statement if is_on_line else None


def _are_level(above: Assign | None, below: Assign | None) -> bool:
    if above is None or below is None:
        return False
    gap = below.first.gap
    is_adjacent = not gap.blanks and not any(comment.blanks for comment in gap.comments)
    return is_adjacent and gap.breaks and above.op.column == below.op.column


def _width(each: Assign) -> int:
    return len(each.left.text) + len(each.op.text)


def render(lines: Sequence[Line]) -> str:
    """The text of lines. Comments after code stay as far from it as they were, at least two
    spaces; those that stood in one column in adjacent lines stay in one."""
    written: list[str] = []
    for _, group in groupby(lines, lambda line: line.comment and line.comment.column):
        run = list(group)
        widest = max(len(line.text) for line in run)
        gaps = [line.comment.gap for line in run if line.comment]
        is_aligned = len(run) > 1 and max(gaps, default=0) > 2
        column = widest + max(2, min(gaps)) if is_aligned else 0
        for line in run:
            if line.comment is None:
                written.append(line.text)
                continue
            start = column or len(line.text) + max(2, line.comment.gap)
            written.append(line.text.ljust(start) + line.comment.text)
    return "".join(f"{line}\n" for line in written)
