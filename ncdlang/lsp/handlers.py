"""What the server does with each message of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from ncdlang.lsp import actions as fixes
from ncdlang.lsp import completion as completing
from ncdlang.lsp import converting as to
from ncdlang.lsp import navigation, symbols
from ncdlang.lsp import rename as renaming
from ncdlang.lsp.drawing import drawing
from ncdlang.lsp.folding import folds
from ncdlang.lsp.formatting import formatted
from ncdlang.lsp.hints import hints
from ncdlang.lsp.hover import hover
from ncdlang.lsp.lenses import lenses
from ncdlang.lsp.server import Handler, Server, guarded, mapping, refused
from ncdlang.lsp.signatures import signature
from ncdlang.lsp.tokens import MODIFIERS, TYPES, tokens
from ncdlang.lsp.workspace import Document, path_of
from ncdlang.source import Span

T = TypeVar("T")

FIX_ALL = "source.fixAll.ncd"
COMMANDS = {"draw": "ncd.showDrawing", "explain": "ncd.explain", "cost": "ncd.cost"}
TITLES = {"draw": "Draw", "explain": "Explain", "cost": "Cost"}


def register(server: Server) -> None:
    """Make a server answer all messages."""
    _documents(server)
    _Requests(server).register()


def _documents(server: Server) -> None:
    """Messages that tell of documents and files; they are handled in the order they come in."""

    def initialize(params: types.InitializeParams) -> None:
        server.begin(params)

    def initialized(params: types.InitializedParams) -> None:
        del params
        _watch(server)

    def opened(params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        server.files.open(item.uri, item.text, item.version)
        server.publisher.changed(item.uri)
        server.publisher.all_changed()

    def changed(params: types.DidChangeTextDocumentParams) -> None:
        document = server.files.documents.get(params.text_document.uri)
        if document is not None:
            server.apply(document, params.content_changes, params.text_document.version)
            server.publisher.changed(document.uri)

    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.files.close(params.text_document.uri)
        server.publisher.closed(params.text_document.uri)
        server.publisher.all_changed()

    def files_changed(
        params: types.DidSaveTextDocumentParams | types.DidChangeWatchedFilesParams,
    ) -> None:
        del params
        server.files.disk_changed()
        server.publisher.all_changed()

    def settings_changed(params: types.DidChangeConfigurationParams) -> None:
        server.use_settings(params.settings)
        server.publisher.all_changed()

    def folders_changed(params: types.DidChangeWorkspaceFoldersParams) -> None:
        removed = {path_of(folder.uri) for folder in params.event.removed}
        added = [path_of(folder.uri) for folder in params.event.added]
        kept = [folder for folder in server.files.folders if folder not in removed]
        server.files.folders = [*kept, *(folder for folder in added if folder is not None)]

    told: dict[str, Callable[[Any], None]] = {
        types.INITIALIZE: initialize,
        types.INITIALIZED: initialized,
        types.TEXT_DOCUMENT_DID_OPEN: opened,
        types.TEXT_DOCUMENT_DID_CHANGE: changed,
        types.TEXT_DOCUMENT_DID_CLOSE: closed,
        types.TEXT_DOCUMENT_DID_SAVE: files_changed,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES: files_changed,
        types.WORKSPACE_DID_CHANGE_CONFIGURATION: settings_changed,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: folders_changed,
    }
    for name, handler in told.items():
        server.feature(name)(handler)


def _watch(server: Server) -> None:
    """Ask the editor to tell of files that change on the disk, if it can be asked."""
    workspace = server.client_capabilities.workspace
    watched = workspace.did_change_watched_files if workspace is not None else None
    if watched is None or not watched.dynamic_registration:
        return
    options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher("**/*.ncd")])
    name = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
    server.client_register_capability(
        types.RegistrationParams([types.Registration("ncd-files", name, options)])
    )


class _Requests:
    """The requests. Each waits for the check of its document, and can be cancelled until then."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.files = server.files

    def register(self) -> None:
        """Register all of them with what they offer."""
        brackets = ["[", "(", ",", ".", "{", " ", ":"]
        legend = types.SemanticTokensLegend(list(TYPES), list(MODIFIERS))
        fixing = [types.CodeActionKind.QuickFix, FIX_ALL]
        offered: list[tuple[str, Handler[Any], Any]] = [
            (types.TEXT_DOCUMENT_HOVER, self.hover, None),
            (types.TEXT_DOCUMENT_INLAY_HINT, self.hints, None),
            (
                types.TEXT_DOCUMENT_COMPLETION,
                self.completion,
                types.CompletionOptions(trigger_characters=brackets[:5], resolve_provider=True),
            ),
            (types.COMPLETION_ITEM_RESOLVE, self.resolved, None),
            (
                types.TEXT_DOCUMENT_SIGNATURE_HELP,
                self.signature,
                types.SignatureHelpOptions(trigger_characters=["(", "[", ","]),
            ),
            (types.TEXT_DOCUMENT_DEFINITION, self.definition, None),
            (types.TEXT_DOCUMENT_REFERENCES, self.references, None),
            (types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, self.highlights, None),
            (types.TEXT_DOCUMENT_PREPARE_RENAME, self.renameable, None),
            (types.TEXT_DOCUMENT_RENAME, self.rename, types.RenameOptions(prepare_provider=True)),
            (types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, self.outline, None),
            (types.WORKSPACE_SYMBOL, self.search, None),
            (types.TEXT_DOCUMENT_FOLDING_RANGE, self.folds, None),
            (types.TEXT_DOCUMENT_FORMATTING, self.format, None),
            (types.TEXT_DOCUMENT_RANGE_FORMATTING, self.format_range, None),
            (types.TEXT_DOCUMENT_CODE_ACTION, self.actions, types.CodeActionOptions(fixing)),
            (types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, self.tokens, legend),
            (types.TEXT_DOCUMENT_CODE_LENS, self.lenses, types.CodeLensOptions()),
            ("ncd/drawing", self.drawing, None),
        ]
        for name, handler, options in offered:
            self.server.feature(name, options)(guarded(self.server, handler))

    async def _ready(self, uri: str) -> Document | None:
        """The document of an address, once its text is checked."""
        document = self.files.document(uri)
        if document is None or uri not in self.files.documents:
            return document
        while not document.is_large and self.files.advance(document) is None:
            await asyncio.sleep(0)
        return self.files.document(uri)

    def _at(self, document: Document, params: Any) -> int:
        return self.server.offset(document, params.position)

    # ---- reading ----

    async def hover(self, params: types.HoverParams) -> types.Hover | None:
        """What the name at a place is."""
        document = await self._ready(params.text_document.uri)
        found = hover(self.files, document, self._at(document, params)) if document else None
        if found is None:
            return None
        text = types.MarkupContent(types.MarkupKind.Markdown, found.text)
        return types.Hover(text, to.range_of(self.files, found.span))

    async def hints(self, params: types.InlayHintParams) -> list[types.InlayHint]:
        """Types, sizes and lifted axes that are not written."""
        document = await self._ready(params.text_document.uri)
        if document is None:
            return []
        start, end = (
            self.server.offset(document, place) for place in (params.range.start, params.range.end)
        )
        return [
            types.InlayHint(
                to.position(self.files, document.source, hint.offset),
                hint.text,
                types.InlayHintKind.Type if hint.is_type else None,
                tooltip=hint.told,
                padding_left=not hint.is_type,
            )
            for hint in hints(self.files, document, start, end)
        ]

    async def completion(self, params: types.CompletionParams) -> types.CompletionList | None:
        """What could be written at a place. It does not wait long for a check."""
        uri = params.text_document.uri
        document = self.files.document(uri)
        if document is None:
            return None
        made = completing.complete(self.files, document, self._at(document, params))
        return to.completion(self.files, uri, made)

    async def resolved(self, item: types.CompletionItem) -> types.CompletionItem:
        """A proposal with its documentation."""
        data = mapping(item.data)
        document = self.files.document(str(data.get("uri")))
        name = str(data.get("name"))
        if document is None:
            return item
        path = str(data.get("path") or "")
        uses = completing.missing_use(self.files, document, path, name)
        item.additional_text_edits = [
            types.TextEdit(to.range_of(self.files, span), text) for span, text in uses
        ]
        text = completing.documentation(self.files, document, name)
        if text:
            item.documentation = types.MarkupContent(types.MarkupKind.Markdown, text)
        return item

    async def signature(self, params: types.SignatureHelpParams) -> types.SignatureHelp | None:
        """The header of the diagram that is being called."""
        document = self.files.document(params.text_document.uri)
        found = signature(self.files, document, self._at(document, params)) if document else None
        if found is None:
            return None
        doc = types.MarkupContent(types.MarkupKind.Markdown, found.doc) if found.doc else None
        parts = [
            types.ParameterInformation(found.header[first:last]) for first, last in found.parts
        ]
        made = types.SignatureInformation(found.header, doc, parts, found.active)
        return types.SignatureHelp([made], 0, found.active)

    async def definition(self, params: types.DefinitionParams) -> types.Location | None:
        """Where a name is defined."""
        document = self.files.document(params.text_document.uri)
        if document is None:
            return None
        found = navigation.definition(self.files, document, self._at(document, params))
        return to.location(self.files, found) if found is not None else None

    async def references(self, params: types.ReferenceParams) -> list[types.Location]:
        """Everywhere that a name is used."""
        document = self.files.document(params.text_document.uri)
        if document is None:
            return []
        found = navigation.references(
            self.files,
            document,
            self._at(document, params),
            with_definition=params.context.include_declaration,
        )
        return [to.location(self.files, span) for span in found]

    async def highlights(
        self, params: types.DocumentHighlightParams
    ) -> list[types.DocumentHighlight]:
        """The uses of a name in its own document."""
        document = self.files.document(params.text_document.uri)
        if document is None:
            return []
        found = navigation.highlights(self.files, document, self._at(document, params))
        return [
            types.DocumentHighlight(
                to.range_of(self.files, each.span),
                types.DocumentHighlightKind.Write
                if each.defines
                else types.DocumentHighlightKind.Read,
            )
            for each in found
        ]

    async def outline(self, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        """What a document declares."""
        document = self.files.document(params.text_document.uri)
        found = symbols.outline(self.files, document) if document is not None else ()
        return [to.document_symbol(self.files, entry) for entry in found]

    async def search(self, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
        """Declarations of all files by the letters of their names."""
        found = symbols.search(self.files, params.query)
        return [to.workspace_symbol(self.files, entry) for _, entry in found]

    async def folds(self, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
        """What can be folded away."""
        document = self.files.document(params.text_document.uri)
        found = folds(self.files, document) if document is not None else []
        return [
            types.FoldingRange(first, last, kind=types.FoldingRangeKind(kind))
            for first, last, kind in found
        ]

    async def tokens(self, params: types.SemanticTokensParams) -> types.SemanticTokens | None:
        """The kinds of all words."""
        document = self.files.document(params.text_document.uri)
        if document is None:
            return None
        found = tokens(self.files, document)
        return types.SemanticTokens(to.token_data(self.files, document.source, found))

    async def lenses(self, params: types.CodeLensParams) -> list[types.CodeLens]:
        """Commands above the diagrams."""
        uri = params.text_document.uri
        document = self.files.document(uri)
        found = lenses(self.files, document) if document is not None else ()
        return [
            types.CodeLens(
                to.range_of(self.files, lens.span),
                types.Command(
                    TITLES[lens.command],
                    COMMANDS[lens.command],
                    arguments=[{"uri": uri, "diagram": lens.diagram}],
                ),
            )
            for lens in found
        ]

    async def drawing(self, params: Any) -> dict[str, str] | None:
        """The drawing of the diagram at a place, as SVG."""
        try:
            place = types.Position(int(params.position.line), int(params.position.character))
            uri = str(params.textDocument.uri)
        except (AttributeError, TypeError, ValueError) as error:
            raise JsonRpcInvalidParams("it wants `textDocument` and `position`") from error
        document = await self._ready(uri)
        if document is None:
            return None
        theme = getattr(params, "theme", None)
        options = {"theme": theme} if theme in ("light", "dark") else {}
        found = drawing(self.files, document, self.server.offset(document, place), options)
        return {"svg": found.svg, "title": found.diagram} if found is not None else None

    # ---- changing ----

    async def renameable(self, params: types.PrepareRenameParams) -> types.Range:
        """The name at a place, if it can be changed."""
        document = self._open(params.text_document.uri)
        try:
            found = renaming.renameable(self.files, document, self._at(document, params))
        except renaming.RenameError as error:
            raise refused(str(error)) from error
        return to.range_of(self.files, found)

    async def rename(self, params: types.RenameParams) -> types.WorkspaceEdit:
        """Another name wherever it is named."""
        await self._ready(params.text_document.uri)
        document = self._open(params.text_document.uri)
        try:
            name, places = renaming.rename(
                self.files, document, self._at(document, params), params.new_name
            )
        except renaming.RenameError as error:
            raise refused(str(error)) from error
        made: dict[str, list[tuple[Span, str]]] = {}
        for where, span in places:
            made.setdefault(where.uri, []).append((span, name))
        return self._edit(made)

    def _open(self, uri: str) -> Document:
        document = self.files.document(uri)
        if document is None:
            raise refused("the file can't be read")
        return document

    def _edit(self, changes: dict[str, list[tuple[Span, str]]]) -> types.WorkspaceEdit:
        """Changes of documents; of the version that they were made for, where the editor can."""
        workspace = self.server.client_capabilities.workspace
        told = workspace.workspace_edit if workspace is not None else None
        edits = {uri: to.text_edits(self.files, each) for uri, each in changes.items()}
        if told is None or not told.document_changes:
            plain = {
                uri: [e for e in each if isinstance(e, types.TextEdit)]
                for uri, each in edits.items()
            }
            return types.WorkspaceEdit(changes=plain)
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(uri, self._version(uri)), each
                )
                for uri, each in edits.items()
            ]
        )

    def _version(self, uri: str) -> int | None:
        document = self.files.documents.get(uri)
        return document.version if document is not None else None

    async def format(self, params: types.DocumentFormattingParams) -> list[Any]:
        """The text as `ncdc fmt` writes it."""
        document = self.files.document(params.text_document.uri)
        return to.text_edits(self.files, formatted(document)) if document is not None else []

    async def format_range(self, params: types.DocumentRangeFormattingParams) -> list[Any]:
        """The same for a part of it."""
        document = self.files.document(params.text_document.uri)
        if document is None:
            return []
        start = self.server.offset(document, params.range.start)
        end = self.server.offset(document, params.range.end)
        return to.text_edits(self.files, formatted(document, start, end))

    async def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """Fixes of the findings in a range, and of all findings where that is asked for."""
        document = await self._ready(params.text_document.uri)
        if document is None:
            return []
        only = [str(kind) for kind in params.context.only or ()]
        made: list[types.CodeAction] = []
        if not only or any(types.CodeActionKind.QuickFix.value.startswith(k) for k in only):
            start = self.server.offset(document, params.range.start)
            end = self.server.offset(document, params.range.end)
            made += [
                types.CodeAction(
                    action.title,
                    types.CodeActionKind.QuickFix,
                    diagnostics=[to.diagnostic(self.files, action.found)],
                    is_preferred=action.is_safe,
                    edit=self._edit({document.uri: list(action.edits)}),
                )
                for action in fixes.quick_fixes(self.files, document, start, end)
            ]
        if any(FIX_ALL.startswith(kind) for kind in only):
            made += self._fix_all(document)
        return made

    def _fix_all(self, document: Document) -> list[types.CodeAction]:
        text = fixes.fix_all(self.files, document)
        if text is None:
            return []
        whole = Span(document.source, 0, len(document.source.text))
        edit = self._edit({document.uri: [(whole, text)]})
        return [types.CodeAction("Apply all fixes", FIX_ALL, edit=edit)]
