"""Which lines can be folded away: bodies, blocks, lists, runs of `use` and of comments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.source import Source, Span
from ncdlang.syntax import tree

Fold: TypeAlias = tuple[int, int, Literal["region", "imports", "comment"]]


def folds(workspace: Workspace, document: Document) -> list[Fold]:
    """The 0-based first and last lines of what can be folded."""
    source = document.source
    file = workspace.parsed(source).file
    found = {*_regions(file.declarations), *_imports(file.declarations), *_comments(source, file)}
    return sorted(fold for fold in found if fold[0] < fold[1])


def _lines(span: Span) -> tuple[int, int]:
    end = max(span.start, span.end - 1)
    return span.source.line_of(span.start) - 1, span.source.line_of(end) - 1


def _regions(declarations: tuple[tree.Declared, ...]) -> Iterator[Fold]:
    for declared in declarations:
        first, last = _lines(declared.span)
        # The line of the closing brace stays visible.
        yield first, last - declared.span.text.endswith("}"), "region"
        if isinstance(declared, tree.Diagram):
            yield from _blocks(declared.body or ())


def _blocks(statements: tuple[tree.Statement, ...]) -> Iterator[Fold]:
    for statement in statements:
        if isinstance(statement, tree.Block):
            first, last = _lines(statement.span)
            yield first, last - 1, "region"
            yield from _blocks(statement.body)


def _imports(declarations: tuple[tree.Declared, ...]) -> Iterator[Fold]:
    run: list[tree.Use] = []
    for declared in (*declarations, None):
        if isinstance(declared, tree.Use):
            run.append(declared)
            continue
        if len(run) > 1:
            yield _lines(run[0].span)[0], _lines(run[-1].span)[1], "imports"
        run = []


def _comments(source: Source, file: tree.File) -> Iterator[Fold]:
    """Runs of lines that are comments and nothing else."""
    alone = [
        source.line_of(span.start) - 1
        for span in file.comments
        if not source.text[source.text.rfind("\n", 0, span.start) + 1 : span.start].strip()
    ]
    first = 0
    for place in range(1, len(alone) + 1):
        if place == len(alone) or alone[place] != alone[place - 1] + 1:
            yield alone[first], alone[place - 1], "comment"
            first = place
