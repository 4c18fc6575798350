"""`ncdc lsp`: the protocol around the features. Whatever goes wrong in one request is logged, and
the server goes on."""

from __future__ import annotations

import functools
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, BinaryIO, TypeVar, cast

from lsprotocol import types
from pygls.capabilities import ServerCapabilitiesBuilder
from pygls.exceptions import FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer

from ncdlang.diagnostics import Diagnostic
from ncdlang.lsp import converting as to
from ncdlang.lsp.lifetime import end_with
from ncdlang.lsp.positions import Encoding
from ncdlang.lsp.protocol import Protocol
from ncdlang.lsp.publishing import Publisher
from ncdlang.lsp.workspace import MOST_TEXT, Document, Workspace, path_of

REQUEST_FAILED = types.LSPErrorCodes.RequestFailed.value

T = TypeVar("T")
Handler = Callable[[Any], Awaitable[T]]


class Server(LanguageServer):
    """The server of one editor. `include` are the `-I` folders of the command line."""

    def __init__(self, include: Sequence[str] = ()) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "ncdc", version("ncdlang"), protocol_cls=Protocol
        )
        self.files = Workspace()
        self.publisher = Publisher(self.files, self._publish, self.note)
        self._include = tuple(include)

    # ---- documents -----------------------------------------------------------------------------

    def begin(self, params: types.InitializeParams) -> None:
        """What the editor says of itself: its folders, its settings, how it counts characters."""
        end_with(params.process_id)
        chosen = ServerCapabilitiesBuilder.choose_position_encoding(params.capabilities)
        name = chosen.value if isinstance(chosen, types.PositionEncodingKind) else chosen
        self.files.encoding = cast(Encoding, name)
        folders = [folder.uri for folder in params.workspace_folders or ()]
        if not folders and params.root_uri:
            folders = [params.root_uri]
        self.files.folders = [path for uri in folders if (path := path_of(uri)) is not None]
        self.use_settings(params.initialization_options)

    def use_settings(self, given: object) -> None:
        """Take `include` from settings, itself or below `ncd`. Anything else is ignored."""
        settings = mapping(given)
        settings = mapping(settings.get("ncd")) or settings
        listed = settings.get("include")
        listed = cast("list[object]", listed) if isinstance(listed, list) else []
        named = (each for each in listed if isinstance(each, str) and "\0" not in each)
        folders = [*self._include, *named]
        base = self.files.folders[0] if self.files.folders else os.curdir
        self.files.include = tuple(
            os.path.realpath(os.path.join(base, os.path.expanduser(each))) for each in folders
        )
        self.files.disk_changed()

    def document(self, uri: str) -> Document | None:
        """The document of an address."""
        return self.files.document(uri)

    def offset(self, document: Document, place: types.Position) -> int:
        """A place of a document as an offset."""
        return self.files.lines(document.source).offset(place.line, place.character)

    def apply(self, document: Document, changes: Sequence[Any], version: int | None) -> None:
        """Apply the changes of an edit, one after the other."""
        for change in changes:
            text = document.source.text
            if isinstance(change, types.TextDocumentContentChangePartial):
                start = self.offset(document, change.range.start)
                end = max(start, self.offset(document, change.range.end))
                text = text[:start] + change.text + text[end:]
            else:
                text = cast(str, change.text)
            self.files.change(document, text, version)

    # ---- what the editor is told ---------------------------------------------------------------

    def _publish(self, uri: str, version: int | None, found: list[Diagnostic]) -> None:
        document = self.files.documents.get(uri)
        if document is not None and document.is_large:
            told = [to.unchecked(len(document.source.text), MOST_TEXT)]
        else:
            told = [to.diagnostic(self.files, each) for each in found]
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=told)
        )

    def note(self, message: str) -> None:
        """Write a line to the editor's log."""
        if os.environ.get("NCDLANG_DEBUG"):
            logging.getLogger(__name__).exception("in detail")
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A message that can't be read, or a failure in pygls: logged, and no window is opened."""
        if source is FeatureRequestError:
            return
        if isinstance(error, JsonRpcException):
            self.note(f"the message can't be answered: {error}".split("\n")[0])
        else:
            self.note(f"internal error: {type(error).__name__}: {error}".split("\n")[0])


def refused(message: str) -> JsonRpcException:
    """The answer to a request that can't be granted; the editor shows the message."""
    return JsonRpcException(message, REQUEST_FAILED)


def mapping(value: object) -> Mapping[str, object]:
    """The fields of a value of the protocol that has no type; none if it is no mapping."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value)
    fields: object = getattr(value, "_asdict", None)
    return cast("Callable[[], dict[str, object]]", fields)() if callable(fields) else {}


def guarded(server: Server, handler: Handler[T]) -> Handler[T | None]:
    """A handler that answers nothing, and writes a line to the log, where it would fail."""

    @functools.wraps(handler)
    async def safe(params: Any) -> T | None:
        try:
            return await handler(params)
        except JsonRpcException:
            raise
        except Exception as error:
            server.note(f"internal error: {type(error).__name__}: {error}".split("\n")[0])
            return None

    return safe


def serve(output: BinaryIO, include: Sequence[str] = ()) -> None:
    """Serve one editor until it says goodbye; messages come from standard input."""
    from ncdlang.lsp.handlers import register

    # What pygls has to say of failures is said by `Server.note`, in one line.
    logging.getLogger("pygls").addHandler(logging.NullHandler())
    logging.getLogger("pygls").propagate = False
    server = Server(include)
    register(server)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    server.start_io(stdout=output)
