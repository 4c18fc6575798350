"""Commands above a diagram: draw it, explain its kernels, predict its cost."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.semantics.binding import is_complete
from ncdlang.source import Span
from ncdlang.syntax import tree

COMMANDS = ("draw", "explain", "cost")
"""The client runs them, with the address of the file and the name of the diagram."""


@record
class Lens:
    """A command for the diagram whose name stands at a place."""

    span: Span
    command: str
    diagram: str


def lenses(workspace: Workspace, document: Document) -> Iterator[Lens]:
    """The commands of every diagram that stands for itself."""
    for declared in workspace.parsed(document.source).file.declarations:
        if isinstance(declared, tree.Diagram) and is_complete(declared):
            for command in COMMANDS:
                yield Lens(declared.name.span, command, declared.name.text)
