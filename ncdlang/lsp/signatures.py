"""The signature of the diagram whose parentheses or brackets the cursor is in."""

from __future__ import annotations

from ncdlang.lsp.context import context_at
from ncdlang.lsp.describing import declaration_of, header_of
from ncdlang.lsp.names import FileNames
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.source import Span
from ncdlang.syntax import tree


@record
class Signature:
    """A header, its documentation, the parts that can be given (as ranges of the header's text)
    and which of them stands at the cursor."""

    header: str
    doc: str
    parts: tuple[tuple[int, int], ...]
    active: int


def signature(workspace: Workspace, document: Document, offset: int) -> Signature | None:
    """The signature that is being filled in at an offset."""
    context = context_at(document.source.text, offset)
    names = workspace.names(document)
    owner = _owner(names, offset)
    for opened in reversed(context.opened):
        if not opened.head or opened.bracket == "{":
            continue
        found = names.callee(opened.head, owner) or _learned(names, owner, opened.head)
        if found is None:
            prelude = workspace.prelude(document)
            found = prelude.callee(opened.head, "") if prelude is not None else None
        declared = declaration_of(*found) if found is not None else None
        if declared is not None:
            parts = _arguments(declared) if opened.bracket == "(" else _formals(declared)
            return _made(declared, parts, opened.entries)
    return None


def _owner(names: FileNames, offset: int) -> str:
    before = [
        d for d in names.file.declarations if isinstance(d, tree.Diagram) and d.span.start <= offset
    ]
    return before[-1].name.text if before else ""


def _learned(names: FileNames, owner: str, name: str) -> tuple[FileNames, str] | None:
    """The diagram that a learned instance is one of."""
    symbol = names.find(name, owner)
    if symbol is None or symbol.kind != "instance":
        return None
    for declared in names.file.declarations:
        if isinstance(declared, tree.Diagram) and declared.name.text == owner:
            for learn in _learns(declared.body or ()):
                if any(each.text == name for each in learn.names):
                    head = _head(learn.spec)
                    return names.callee(head, owner) if head is not None else None
    return None


def _learns(statements: tuple[tree.Statement, ...]) -> list[tree.Learn]:
    found: list[tree.Learn] = []
    for statement in statements:
        if isinstance(statement, tree.Learn):
            found.append(statement)
        elif isinstance(statement, tree.Block):
            found += _learns(statement.body)
    return found


def _head(spec: tree.TypeExpr | tree.Expr) -> str | None:
    while isinstance(spec, (tree.Bracketed, tree.Binary, tree.Group)):
        match spec:
            case tree.Bracketed():
                spec = spec.head
            case tree.Binary():
                spec = spec.left
            case tree.Group():
                spec = spec.inner
    return spec.text if isinstance(spec, tree.Name) else None


def _arguments(declared: tree.Diagram | tree.Op) -> tuple[Span, ...]:
    return tuple(each.span for each in declared.parameters)


def _formals(declared: tree.Diagram | tree.Op) -> tuple[Span, ...]:
    formals = declared.formals
    if formals is None:
        return ()
    return tuple(entry.span for entry in (*formals.entries, *(formals.arrow or ())))


def _made(declared: tree.Diagram | tree.Op, parts: tuple[Span, ...], active: int) -> Signature:
    header = header_of(declared)
    ranges: list[tuple[int, int]] = []
    start = 0
    for part in parts:
        text = " ".join(part.text.split())
        place = header.find(text, start)
        if place >= 0:
            ranges.append((place, place + len(text)))
            start = place + len(text)
    return Signature(header, declared.doc, tuple(ranges), min(active, max(len(ranges) - 1, 0)))
