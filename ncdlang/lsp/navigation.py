"""Where a name is defined, and everywhere that it is used, across files."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.lsp.bodies import Occurrence, Symbol
from ncdlang.lsp.hover import word_at
from ncdlang.lsp.names import FileNames
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.source import Span


def symbol_at(workspace: Workspace, document: Document, offset: int) -> Occurrence | None:
    """The name at an offset and what it refers to; names of the prelude too."""
    found = workspace.names(document).at(offset)
    if found is not None:
        return found
    word = word_at(document, offset)
    prelude = workspace.prelude(document)
    symbol = prelude.symbols.get(word.text) if word is not None and prelude is not None else None
    return Occurrence(word, symbol) if word is not None and symbol is not None else None


def definition(workspace: Workspace, document: Document, offset: int) -> Span | None:
    """Where the name at an offset is defined; at an alias what it stands for."""
    found = symbol_at(workspace, document, offset)
    if found is None:
        return None
    names = workspace.names(document)
    if found.defines or found.symbol.kind == "module":
        return names.target(found.symbol).span
    return found.symbol.span


def references(
    workspace: Workspace, document: Document, offset: int, *, with_definition: bool = True
) -> list[Span]:
    """Every place that names what the name at an offset does."""
    found = symbol_at(workspace, document, offset)
    if found is None:
        return []
    return [
        each.span
        for _, each in occurrences(workspace, document, found.symbol)
        if with_definition or not each.defines
    ]


def highlights(workspace: Workspace, document: Document, offset: int) -> list[Occurrence]:
    """The places in a document that name what the name at an offset does."""
    found = symbol_at(workspace, document, offset)
    return _in(workspace.names(document), found.symbol) if found is not None else []


def occurrences(
    workspace: Workspace, document: Document, symbol: Symbol
) -> Iterator[tuple[Document, Occurrence]]:
    """Every place that names a symbol, with its document: this one first."""
    yield from ((document, each) for each in _in(workspace.names(document), symbol))
    for other in workspace.others(document):
        if symbol.name in other.source.text:
            yield from ((other, each) for each in _in(workspace.names(other), symbol))


def _in(names: FileNames, symbol: Symbol) -> list[Occurrence]:
    seen: dict[tuple[int, int], Occurrence] = {}
    for each in names.occurrences:
        if each.symbol == symbol:
            key = each.span.start, each.span.end
            if key not in seen or each.defines:
                seen[key] = each
    return [seen[key] for key in sorted(seen)]
