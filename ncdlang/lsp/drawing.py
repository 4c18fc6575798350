"""The drawing of the diagram under the cursor."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.api import Checked, NcdError, ask, request
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.syntax import tree


@record
class Drawn:
    """The drawing of a diagram as SVG text."""

    diagram: str
    svg: str


def drawing(
    workspace: Workspace, document: Document, offset: int, options: Mapping[str, str]
) -> Drawn | None:
    """The drawing of the diagram that an offset is in, else of the one before it.

    `options` are those of `ncdc draw`. None where there is no diagram, or it has mistakes.
    """
    name = diagram_at(workspace, document, offset)
    analysis = workspace.analysis(document)
    diagram = analysis.program.diagram(name) if analysis is not None and name else None
    if analysis is None or diagram is None:
        return None
    checked = Checked(analysis.program, analysis.diagnostics)
    wanted = request(checked, diagram, options={"style": "circuit", **options, "format": "svg"})
    try:
        content = ask("draw", "emit", wanted).content
    except NcdError:
        return None
    return Drawn(diagram.name, content.decode() if isinstance(content, bytes) else str(content))


def diagram_at(workspace: Workspace, document: Document, offset: int) -> str | None:
    """The name of the diagram that an offset is in, else of the last before it, else the first."""
    declarations = workspace.parsed(document.source).file.declarations
    diagrams = [each for each in declarations if isinstance(each, tree.Diagram)]
    before = [each for each in diagrams if each.span.start <= offset]
    chosen = before[-1] if before else (diagrams[0] if diagrams else None)
    return chosen.name.text if chosen is not None else None
