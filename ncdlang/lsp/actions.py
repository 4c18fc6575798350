"""Changes that findings suggest: the fixes of `ncdc check --fix`, one by one or all."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.diagnostics import Diagnostic
from ncdlang.fixing import fix_source
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.semantics.check import check_source
from ncdlang.source import Source, Span


@record
class Action:
    """A change with its title, and the finding that it mends. A safe one is preferred."""

    title: str
    edits: tuple[tuple[Span, str], ...]
    is_safe: bool
    found: Diagnostic


def quick_fixes(workspace: Workspace, document: Document, start: int, end: int) -> Iterator[Action]:
    """The fixes of the findings that touch a range of a document."""
    analysis = workspace.analysis(document)
    for found in analysis.diagnostics if analysis is not None else ():
        fix, span = found.fix, found.span
        if span.source is document.source and span.start <= end and start <= span.end:
            if fix is not None and all(edit.source is document.source for edit, _ in fix.edits):
                yield Action(fix.title, fix.edits, fix.safe, found)


def fix_all(workspace: Workspace, document: Document) -> str | None:
    """The text with all its safe fixes applied; None if that changes nothing."""
    project = workspace.project_of(document)

    def check(source: Source) -> tuple[Diagnostic, ...]:
        return check_source(source, project.find)[1]

    fixed = fix_source(document.source, check)
    return fixed.source.text if fixed.applied else None
