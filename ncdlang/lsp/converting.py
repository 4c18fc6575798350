"""From the answers of the features to the values of the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsprotocol import types

from ncdlang.diagnostics import Diagnostic
from ncdlang.lsp.bodies import Kind
from ncdlang.lsp.completion import Completion, Item, ItemKind
from ncdlang.lsp.symbols import Entry
from ncdlang.lsp.tokens import MODIFIERS, TYPES, Token
from ncdlang.lsp.workspace import Workspace
from ncdlang.source import Source, Span

_ITEM_KINDS: dict[ItemKind, types.CompletionItemKind] = {
    "keyword": types.CompletionItemKind.Keyword,
    "type": types.CompletionItemKind.TypeParameter,
    "function": types.CompletionItemKind.Function,
    "word": types.CompletionItemKind.EnumMember,
    "axis": types.CompletionItemKind.TypeParameter,
    "wire": types.CompletionItemKind.Variable,
    "parameter": types.CompletionItemKind.Variable,
    "setting": types.CompletionItemKind.Property,
    "const": types.CompletionItemKind.Constant,
    "diagram": types.CompletionItemKind.Function,
    "op": types.CompletionItemKind.Operator,
    "module": types.CompletionItemKind.Module,
    "config": types.CompletionItemKind.Property,
    "instance": types.CompletionItemKind.Field,
}
_SYMBOL_KINDS: dict[Kind, types.SymbolKind] = {
    "axis": types.SymbolKind.TypeParameter,
    "wire": types.SymbolKind.Variable,
    "parameter": types.SymbolKind.Variable,
    "setting": types.SymbolKind.Property,
    "const": types.SymbolKind.Constant,
    "diagram": types.SymbolKind.Function,
    "op": types.SymbolKind.Operator,
    "module": types.SymbolKind.Namespace,
    "config": types.SymbolKind.Struct,
    "instance": types.SymbolKind.Field,
}


def position(workspace: Workspace, source: Source, offset: int) -> types.Position:
    """An offset as a place."""
    line, character = workspace.lines(source).point(offset)
    return types.Position(line, character)


def range_of(workspace: Workspace, span: Span) -> types.Range:
    """A span as a range."""
    return types.Range(
        position(workspace, span.source, span.start), position(workspace, span.source, span.end)
    )


def location(workspace: Workspace, span: Span) -> types.Location:
    """A span with the address of its file."""
    return types.Location(workspace.uri_of(span.source.name), range_of(workspace, span))


def text_edits(
    workspace: Workspace, edits: Iterable[tuple[Span, str]]
) -> list[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit]:
    """Changes of one text."""
    return [types.TextEdit(range_of(workspace, span), text) for span, text in edits]


def diagnostic(workspace: Workspace, found: Diagnostic) -> types.Diagnostic:
    """A finding; its notes and its help are further lines of its message."""
    lines = [f"{found.message} ({found.label})" if found.label else found.message]
    lines += [f"note: {note}" for note in found.notes]
    lines += [f"help: {found.help}"] if found.help else []
    is_error = found.severity == "error"
    return types.Diagnostic(
        range=range_of(workspace, found.span),
        message="\n".join(lines),
        severity=types.DiagnosticSeverity.Error if is_error else types.DiagnosticSeverity.Warning,
        code=found.code,
        source="ncdc",
        related_information=[
            types.DiagnosticRelatedInformation(location(workspace, label.span), label.text)
            for label in found.labels
        ]
        or None,
    )


def unchecked(characters: int, most: int) -> types.Diagnostic:
    """What is told of a document that is too long to be checked while somebody types."""
    start = types.Position(0, 0)
    return types.Diagnostic(
        range=types.Range(start, start),
        message=f"this file is not checked here: it has {characters:,} characters, more than "
        f"{most:,}\nhelp: `ncdc check` checks it; smaller files are checked while you type",
        severity=types.DiagnosticSeverity.Warning,
        source="ncdc",
    )


def completion(workspace: Workspace, uri: str, made: Completion) -> types.CompletionList:
    """Proposals; what is said of each is asked for later."""
    where = range_of(workspace, made.span)
    items = [_item(item, where, uri) for item in made.items]
    return types.CompletionList(is_incomplete=False, items=items)


def _item(item: Item, where: types.Range, uri: str) -> types.CompletionItem:
    return types.CompletionItem(
        label=item.label,
        kind=_ITEM_KINDS[item.kind],
        detail=item.detail or None,
        sort_text=f"{item.rank}{item.label}",
        filter_text=item.label.removesuffix(" = "),
        text_edit=types.TextEdit(where, item.text or item.label),
        data={"uri": uri, "name": item.label.removesuffix(" = "), "path": item.path},
    )


def document_symbol(workspace: Workspace, entry: Entry) -> types.DocumentSymbol:
    """An entry of an outline."""
    return types.DocumentSymbol(
        name=entry.name,
        detail=entry.detail,
        kind=_SYMBOL_KINDS[entry.kind],
        range=range_of(workspace, entry.span.to(entry.place)),
        selection_range=range_of(workspace, entry.place),
        children=[document_symbol(workspace, part) for part in entry.parts],
    )


def workspace_symbol(workspace: Workspace, entry: Entry) -> types.WorkspaceSymbol:
    """An entry with its place."""
    return types.WorkspaceSymbol(
        name=entry.name,
        kind=_SYMBOL_KINDS[entry.kind],
        location=location(workspace, entry.place),
    )


def token_data(workspace: Workspace, source: Source, found: Sequence[Token]) -> list[int]:
    """Tokens as five numbers each, their places told from those before them."""
    lines = workspace.lines(source)
    data: list[int] = []
    line, character = 0, 0
    for token in found:
        at, start = lines.point(token.span.start)
        end = lines.point(token.span.end)[1]
        bits = sum(1 << MODIFIERS.index(modifier) for modifier in token.modifiers)
        begin = start - character if at == line else start
        data += (at - line, begin, end - start, TYPES.index(token.type), bits)
        line, character = at, start
    return data
