"""Formats a text: one spacing, lines of at most 100 columns, and nothing else changed.

Only white space is written anew, and the commas that go with line ends. Every comment stays, and
so does what an author spread over lines: a body, a list that starts a new line after its bracket,
the entries of a config, an expression that goes on at an operator. A column of `=` or of comments
in adjacent lines stays a column.
"""

from __future__ import annotations

from ncdlang.source import Source
from ncdlang.syntax.language import language
from ncdlang.syntax.layout import arrange
from ncdlang.syntax.lexer import Tokens, scan
from ncdlang.syntax.lines import render
from ncdlang.syntax.outline import outline
from ncdlang.syntax.parser import Parsed, parse
from ncdlang.syntax.pieces import Comment, Gap, Word
from ncdlang.syntax.wrap import wrap


class Unfaithful(Exception):
    """The formatted text would not mean the same: a mistake of the formatter."""


def format_file(source: Source, parsed: Parsed) -> str:
    """The text of a file, formatted. Line ends stay those of the first line.

    `parsed` is what `parse(source)` gave; raises ValueError if it has diagnostics, and
    `Unfaithful` rather than give a text with another tree or other comments.
    """
    if parsed.diagnostics:
        raise ValueError("a text with syntax errors can't be formatted")
    made = language()
    tokens = arrange(scan(source, made.lexicon), made.kinds)
    *words, end = _words(source, tokens, made.tables.terminals)
    text = render(wrap(outline(words), end.gap))
    _verify(source, parsed, text)
    first_line, newline, _ = source.text.partition("\n")
    return text.replace("\n", "\r\n") if newline and first_line.endswith("\r") else text


def _words(source: Source, tokens: Tokens, terminals: tuple[str, ...]) -> list[Word]:
    """All tokens with what stands before them, the end of the text as the last."""
    text = source.text
    comments = iter(tokens.comments)
    comment = next(comments, None)
    words: list[Word] = []
    position = 1 if text.startswith("\ufeff") else 0
    for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True):
        held: list[Comment] = []
        while comment is not None and comment.start < start:
            held.append(_comment(source, position, comment.start, comment.end))
            position = comment.end
            comment = next(comments, None)
        line_ends = text.count("\n", position, start)
        gap = Gap(tuple(held), bool(line_ends or held), max(0, line_ends - 1), start - position)
        line = source.line_of(start)
        column = end - source.line_starts[line - 1]
        words.append(Word(terminals[kind], text[start:end], gap, line, column))
        position = end
    return words


def _comment(source: Source, position: int, start: int, end: int) -> Comment:
    text = source.text
    line_ends = text.count("\n", position, start)
    column = source.column_of(start) - 1
    is_own = line_ends > 0 or not text[start - column : start].strip("\ufeff \t\r\f")
    return Comment(
        text[start:end].rstrip(), is_own, start - position, column, max(0, line_ends - 1)
    )


def _verify(source: Source, parsed: Parsed, text: str) -> None:
    """Raise unless the text has the tree and the comments of the source.

    Blanks at the end of a line of documentation don't count: they are gone.
    """
    before, after = parsed, parse(Source(source.name, text))
    trimmed = "\n".join(line.rstrip() for line in source.text.split("\n"))
    if trimmed != source.text:
        before = parse(Source(source.name, trimmed))
    is_same = after.file == before.file and not after.diagnostics
    if not is_same or _comments(after) != _comments(before):
        raise Unfaithful(f"formatting would change what {source.name} means")


def _comments(parsed: Parsed) -> list[str]:
    return [comment.text for comment in parsed.file.comments]
