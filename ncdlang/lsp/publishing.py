"""Keeps findings in the editor up to date: checks what changed, a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter

from ncdlang.diagnostics import Diagnostic
from ncdlang.lsp.workspace import Analysis, Document, Workspace
from ncdlang.semantics.memory import Moves
from ncdlang.source import Source, Span

Publish = Callable[[str, int | None, list[Diagnostic]], None]
Log = Callable[[str], None]

SLICE = 0.01
"""For how many seconds a check goes on before requests get their turn."""

SOON = 0.07
"""After how many seconds the mistakes of syntax are told before the check is done."""


class Publisher:
    """Checks documents in turn, those that changed last first."""

    def __init__(self, workspace: Workspace, publish: Publish, log: Log) -> None:
        self._workspace = workspace
        self._publish = publish
        self._log = log
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, dict[str, tuple[Diagnostic, ...]]] = {}

    def changed(self, uri: str) -> None:
        """A document is to be checked, and after it those that use it."""
        self._wait(uri)
        document = self._workspace.documents.get(uri)
        if document is not None:
            for other in self._workspace.dependents(document.name):
                if other != uri and other not in self._waiting:
                    self._waiting.insert(0, other)
        self._start()

    def all_changed(self) -> None:
        """Every open document is to be checked."""
        for uri in self._workspace.documents:
            if uri not in self._waiting:
                self._waiting.insert(0, uri)
        self._start()

    def closed(self, uri: str) -> None:
        """What was found by checking a document for itself is not told any more."""
        if uri in self._waiting:
            self._waiting.remove(uri)
        before = self._told.pop(uri, {})
        for other in {uri, *before}:
            self._send(other)

    def _wait(self, uri: str) -> None:
        if uri in self._waiting:
            self._waiting.remove(uri)
        self._waiting.append(uri)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while self._waiting:
            uri = self._waiting.pop()
            document = self._workspace.documents.get(uri)
            try:
                if document is not None and document.is_large:
                    self._told.pop(uri, None)
                    self._send(uri)
                elif document is not None and not self._workspace.is_library(document):
                    await self._check(document)
            except Exception as error:
                self._log(f"internal error: {type(error).__name__}: {error}".split("\n")[0])

    async def _check(self, document: Document) -> None:
        """Check a document and tell what was found."""
        begun, source, is_told = perf_counter(), document.source, False
        before = self._workspace.analyses.get(document.uri)
        while True:
            until = perf_counter() + SLICE
            analysis = None
            while analysis is None and perf_counter() < until:
                analysis = self._workspace.advance(document)
            if analysis is not None:
                self._tell(document, analysis)
                return
            await asyncio.sleep(0)
            if document.source is not source:
                begun, source, is_told = perf_counter(), document.source, False
            if self._workspace.documents.get(document.uri) is not document or document.is_large:
                return
            if not is_told and before is not None and perf_counter() - begun > SOON:
                is_told = True
                self._tell_soon(document, before)

    def _tell(self, document: Document, analysis: Analysis) -> None:
        found: dict[str, list[Diagnostic]] = {document.uri: []}
        for each in analysis.diagnostics:
            found.setdefault(self._workspace.uri_of(each.span.source.name), []).append(each)
        before = self._told.get(document.uri, {})
        self._told[document.uri] = {uri: tuple(each) for uri, each in found.items()}
        for uri in {**before, **found}:
            self._send(uri)

    def _tell_soon(self, document: Document, before: Analysis) -> None:
        """The mistakes of syntax that are there now, and what was found before, where it is now."""
        source = document.source
        syntax = self._workspace.parsed(source).diagnostics
        moves = unchanged(before.source, source)
        kept = [
            moves.finding(each)
            for each in before.diagnostics
            if each.span.source is before.source and not each.code.startswith("NCD1")
        ]
        still = [each for each in kept if each.span.source is source]
        shown = self._told.get(document.uri, {}).get(document.uri, ())
        if _messages(shown) == _messages((*syntax, *still)):
            return  # the editor moves what it shows with the text
        self._told.setdefault(document.uri, {})[document.uri] = (*syntax, *still)
        self._send(document.uri)

    def _send(self, uri: str) -> None:
        """Tell all that is known of a file: by its own check, and by those of the files that use it
        as it is now."""
        document = self._workspace.documents.get(uri)
        everyone = [each for told in self._told.values() for each in told.get(uri, ())]
        if document is not None:
            own = self._told.get(uri, {}).get(uri, ())
            others = (each for each in everyone if each.span.source is document.source)
            everyone = [*own, *others]
        unique = {(d.code, d.span.start, d.span.end, d.message): d for d in everyone}
        version = document.version if document is not None else None
        self._publish(uri, version, list(unique.values()))


def _messages(found: Iterable[Diagnostic]) -> list[tuple[str, str]]:
    return sorted((each.code, each.message) for each in found)


def unchanged(old: Source, new: Source) -> Moves:
    """Where the places before and after the change from one text to another are."""
    moves = Moves()
    a, b = old.text, new.text
    most = min(len(a), len(b))
    first = next((i for i in range(most) if a[i] != b[i]), most)
    last = next((i for i in range(most - first) if a[-1 - i] != b[-1 - i]), most - first)
    moves.add(Span(old, 0, first), Span(new, 0, first))
    moves.add(Span(old, len(a) - last, len(a)), Span(new, len(b) - last, len(b)))
    return moves
