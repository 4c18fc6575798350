"""The outline of a file, and what the files of the editor declare."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.lsp.bodies import Kind
from ncdlang.lsp.describing import header_of
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.source import Span
from ncdlang.syntax import tree


@record
class Entry:
    """One line of an outline: its name, the place of all of it and that of its name."""

    name: str
    kind: Kind
    detail: str
    span: Span
    place: Span
    parts: tuple[Entry, ...] = ()


def outline(workspace: Workspace, document: Document) -> tuple[Entry, ...]:
    """What a file declares, in the order of its text."""
    declarations = workspace.parsed(document.source).file.declarations
    return tuple(entry for declared in declarations for entry in _entries(declared))


def search(workspace: Workspace, query: str) -> Iterator[tuple[Document, Entry]]:
    """The declarations of all files whose names have the letters of a query, in order."""
    documents = [each for each in workspace.documents.values() if not each.is_large]
    for path in workspace.paths():
        found = workspace.document(path)
        if found is not None and found not in documents:
            documents.append(found)
    for document in documents:
        for entry in outline(workspace, document):
            if _matches(entry.name, query):
                yield document, entry


def _matches(name: str, query: str) -> bool:
    letters = iter(name.casefold())
    return all(letter in letters for letter in query.casefold() if not letter.isspace())


def _entries(declared: tree.Declared) -> Iterator[Entry]:
    match declared:
        case tree.Diagram():
            detail = header_of(declared).removeprefix("diagram").strip()
            parts = tuple(_parts(declared.body or ()))
            detail = detail.removeprefix(declared.name.text)
            yield Entry(
                declared.name.text, "diagram", detail, declared.span, declared.name.span, parts
            )
        case tree.Op():
            detail = header_of(declared).removeprefix("op").strip()
            detail = detail.removeprefix(declared.name.text)
            yield Entry(declared.name.text, "op", detail, declared.span, declared.name.span)
        case tree.Const():
            detail = f"= {declared.value.span.text}"
            yield Entry(declared.name.text, "const", detail, declared.span, declared.name.span)
        case tree.Config():
            detail = ", ".join(name.text for name, _ in declared.settings)
            yield Entry(declared.name.text, "config", detail, declared.span, declared.name.span)
        case tree.AxisStatement():
            for item in declared.items:
                yield _axis(item)
        case tree.Use() | tree.Assert():
            pass


def _axis(item: tree.AxisItem) -> Entry:
    detail = f"= {item.size.span.text}" if item.size is not None else ""
    return Entry(item.name.text, "axis", detail, item.span, item.name.span)


def _parts(statements: tuple[tree.Statement, ...]) -> Iterator[Entry]:
    for statement in statements:
        match statement:
            case tree.Learn():
                is_type = isinstance(statement.spec, (tree.ArrayTypeExpr, tree.TupleTypeExpr))
                kind: Kind = "wire" if is_type else "instance"
                detail = " ".join(statement.spec.span.text.split())
                for name in statement.names:
                    yield Entry(name.text, kind, detail, statement.span, name.span)
            case tree.Block():
                title = statement.title
                parts = tuple(_parts(statement.body))
                yield Entry(title.value or "block", "module", "", statement.span, title.span, parts)
            case tree.Equation() | tree.Return():
                for target in statement.targets:
                    if target.name.text != "_":
                        detail = target.brackets.span.text if target.brackets is not None else ""
                        yield Entry(
                            target.name.text, "wire", detail, statement.span, target.name.span
                        )
            case tree.AxisStatement():
                yield from map(_axis, statement.items)
            case tree.Declaration():
                detail = statement.type.span.text
                yield Entry(
                    statement.name.text, "wire", detail, statement.span, statement.name.span
                )
            case tree.Assert():
                pass
