"""What is not written and yet there: types of wires, sizes of axes, axes that calls repeat over."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.lsp.workspace import Analysis, Document, Workspace
from ncdlang.records import record
from ncdlang.semantics.memory import Outcome
from ncdlang.semantics.program import Invoke, walk
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree


@record
class Hint:
    """A text that is shown at an offset; `is_type` tells types from other remarks."""

    offset: int
    text: str
    is_type: bool
    told: str


def hints(workspace: Workspace, document: Document, start: int, end: int) -> list[Hint]:
    """The hints in a range of a document, in order."""
    analysis = workspace.analysis(document)
    if analysis is None:
        return []
    found: list[Hint] = []
    for declared in workspace.parsed(document.source).file.declarations:
        if isinstance(declared, tree.Diagram) and _touches(declared.span, start, end):
            outcome = analysis.outcome(declared.name.text)
            if outcome is not None:
                found += _of_statements(declared.body or (), outcome, set())
                found += _lifted(analysis, outcome)
    unique = {(hint.offset, hint.text): hint for hint in found if start <= hint.offset <= end}
    return [unique[key] for key in sorted(unique)]


def _touches(span: Span, start: int, end: int) -> bool:
    return span.start <= end and start <= span.end


def _of_statements(
    statements: tuple[tree.Statement, ...], outcome: Outcome, told: set[str]
) -> Iterator[Hint]:
    for statement in statements:
        match statement:
            case tree.Equation() | tree.Return():
                for target in statement.targets:
                    yield from _of_target(target, outcome, told)
            case tree.AxisStatement():
                for item in statement.items:
                    told.add(item.name.text)
                    if item.size is not None:
                        sizes = _size(item.name, item.span.end, outcome)
                        yield from (h for h in sizes if not _says(item.span, h.text))
            case tree.Block():
                yield from _of_statements(statement.body, outcome, told)
            case tree.Learn() | tree.Declaration() | tree.Assert():
                pass


def _of_target(target: tree.Target, outcome: Outcome, told: set[str]) -> Iterator[Hint]:
    """The type of a wire whose axes are not written, the sizes of axes that are new."""
    if target.brackets is None:
        entry = outcome.scope.local(target.name.text)
        if entry is not None and isinstance(entry[0], Wire):
            end = target.name.span.end
            yield Hint(end, f": {entry[0].type}", True, "the axes of this wire, as inferred")
        return
    for slot in target.brackets.slots:
        for item in slot.items:
            if isinstance(item, tree.Name) and item.text not in (*outcome.bound, *told):
                told.add(item.text)
                yield from _size(item, target.brackets.span.end, outcome)


def _size(name: tree.Name, offset: int, outcome: Outcome) -> Iterator[Hint]:
    entry = outcome.scope.local(name.text)
    if entry is not None and isinstance(entry[0], Axis) and entry[0].symbol is None:
        text = f"{name.text} = {entry[0].size}"
        yield Hint(offset, text, False, f"the size of {name.text}, as inferred")


def _says(written: Span, text: str) -> bool:
    """Whether a hint would repeat what is written, apart from white space."""
    return "".join(written.text.split()).endswith("".join(text.split()))


def _lifted(analysis: Analysis, outcome: Outcome) -> Iterator[Hint]:
    """Calls that are repeated over axes that the diagram called does not have."""
    if outcome.template is None:
        return
    for step in walk(outcome.template.checked.steps):
        if isinstance(step, Invoke) and step.lifted:
            axes = " ".join(map(str, step.lifted))
            end = analysis.moves.span(step.span).end
            told = f"{step.callee.name} is repeated over {axes}"
            yield Hint(end, f"over {axes}", False, told)
