"""The files of an editor: what is open, what is on the disk, and what a check of it found.

An open buffer stands for its file, saved or not. Files are found and read as `ncdc` does it, so
nothing outside of a file's folder and the `-I` folders is read for it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from time import perf_counter
from urllib.parse import quote, unquote, urlsplit

from ncdlang.diagnostics import Diagnostic
from ncdlang.lsp.names import FileNames
from ncdlang.lsp.positions import Encoding, Lines
from ncdlang.project import LIBRARY, Project, ProjectError
from ncdlang.records import record
from ncdlang.resources import stdlib_root
from ncdlang.semantics.binding import InstanceKey
from ncdlang.semantics.check import check_steps
from ncdlang.semantics.compilation import Compilation
from ncdlang.semantics.memory import Memory, Moves, Outcome
from ncdlang.semantics.module import ModuleChecker
from ncdlang.semantics.program import CheckedProgram
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed, parse, parse_library

MOST_FILES = 1000
"""How many files of the folders are searched for a name."""

MOST_TEXT = 1_000_000
"""How many characters a document may have: a longer one would keep the editor waiting."""


class Document:
    """An open text: `version` is the editor's number of it."""

    def __init__(self, uri: str, text: str, version: int | None) -> None:
        self.uri = uri
        self.version = version
        self.name = _name_of(uri)
        self.source = Source(self.name, text)

    @property
    def is_large(self) -> bool:
        """Whether the text is too long to be looked at while somebody types."""
        return len(self.source.text) > MOST_TEXT

    def change(self, text: str, version: int | None) -> None:
        """The text is now another."""
        self.version = version
        self.source = Source(self.name, text)


@record(eq=False)
class Analysis:
    """What a check of one text found, in it and in the files that it uses."""

    source: Source
    module: ModuleChecker
    program: CheckedProgram
    diagnostics: tuple[Diagnostic, ...]
    moves: Moves
    files: frozenset[str]
    turn: int

    def outcome(self, diagram: str) -> Outcome | None:
        """What came of checking a diagram as it is declared, or as it is first used."""
        starts = [
            d.span.start
            for d in self.module.tree.declarations
            if isinstance(d, tree.Diagram) and d.name.text == diagram
        ]
        if not starts:
            return None
        found = self.module.outcomes.get((starts[0], InstanceKey()))
        others = (each for (start, _), each in self.module.outcomes.items() if start == starts[0])
        return found or next(others, None)


Steps = Generator[None, None, Analysis]


class Workspace:
    """All that the server knows of files. `encoding` is what the editor counts characters in."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self.include: tuple[str, ...] = ()
        self.folders: list[str] = []
        self.documents: dict[str, Document] = {}
        self.analyses: dict[str, Analysis] = {}
        self.turn = 0
        self._memory = Memory()
        self._running: dict[str, tuple[Source, int, Steps]] = {}
        self._lines: dict[str, tuple[Source, Lines]] = {}
        self._names: dict[str, tuple[Source, FileNames]] = {}
        self._named: dict[str, tuple[Source, int, FileNames]] = {}
        self._library = os.path.realpath(stdlib_root())

    # ---- documents -----------------------------------------------------------------------------

    def open(self, uri: str, text: str, version: int | None) -> Document:
        """A text was opened, or is there anew."""
        made = Document(uri, text, version)
        self.documents[uri] = made
        self.turn += 1
        return made

    def change(self, document: Document, text: str, version: int | None) -> None:
        """The text of an open document is another; so is what others mean that use it."""
        document.change(text, version)
        if len(self.documents) > 1:
            self.turn += 1

    def disk_changed(self) -> None:
        """Files that are not open may be others than they were."""
        self.turn += 1

    def close(self, uri: str) -> None:
        """A text was closed: from now on its file is what is on the disk."""
        self.documents.pop(uri, None)
        self._named.pop(uri, None)
        self.analyses.pop(uri, None)
        self._running.pop(uri, None)
        self.turn += 1

    def document(self, uri: str) -> Document | None:
        """The open document, or the file on the disk, of an address; none that is too large."""
        found = self.documents.get(uri)
        path = path_of(uri)
        if found is None and path is not None and self.may_read(path):
            try:
                found = Document(uri, Project().open(path).text, None)
            except ProjectError:
                return None
        return found if found is not None and not found.is_large else None

    def may_read(self, path: str) -> bool:
        """Whether a file that is not open belongs to the folders of the editor."""
        real = os.path.realpath(path)
        roots = [*self.folders, *self.include, self._library]
        roots += [os.path.dirname(d.name) for d in self.documents.values() if path_of(d.uri)]
        inside = (os.path.join(os.path.realpath(root), "") for root in roots)
        return path.endswith(".ncd") and real.startswith(tuple(inside))

    def is_library(self, document: Document) -> bool:
        """Whether a document is a file of the standard library: these are not checked alone."""
        return os.path.realpath(document.name).startswith(os.path.join(self._library, LIBRARY, ""))

    def project(self, changed: Iterable[Document] = ()) -> Project:
        """How files are found now, or would be after changes."""
        buffers = {
            os.path.realpath(each.name): each.source
            for each in (*self.documents.values(), *changed)
            if path_of(each.uri) is not None and not self.is_library(each)
        }
        return Project(self.include, buffers)

    def uri_of(self, name: str) -> str:
        """The address of a source by its name."""
        if name.startswith(f"<{LIBRARY}>/"):
            relative = name.removeprefix(f"<{LIBRARY}>/")
            return uri_of_path(os.path.join(self._library, LIBRARY, relative))
        for each in self.documents.values():
            if each.name == name:
                return each.uri
        real = os.path.realpath(name)
        for each in self.documents.values():
            if path_of(each.uri) is not None and os.path.realpath(each.name) == real:
                return each.uri
        return uri_of_path(os.path.abspath(name)) if path_of(name) is None else name

    def lines(self, source: Source) -> Lines:
        """The lines of a text as the editor counts them."""
        known = self._lines.get(source.name)
        if known is None or known[0] is not source:
            known = self._lines[source.name] = source, Lines(source.text, self.encoding)
        return known[1]

    # ---- checks --------------------------------------------------------------------------------

    def parsed(self, source: Source) -> Parsed:
        """The tree of a text."""
        if source.is_library:
            return parse_library(source)
        if source.name not in {each.name for each in self.documents.values()}:
            return parse(source)
        return self._memory.parsed(source)

    def steps(self, document: Document) -> Steps:
        """Check a document, with pauses; the analysis is what it returns."""
        source, turn = document.source, self.turn
        compilation = Compilation(self.project_of(document).find, {}, memory=self._memory)
        program, found = yield from check_steps(source, compilation)
        files = frozenset(compilation.modules)
        module = compilation.modules[source.name]
        made = Analysis(source, module, program, found, compilation.moves, files, turn)
        if self.documents.get(document.uri) is document:
            self.analyses[document.uri] = made
            self._forget()
        return made

    def project_of(self, document: Document, changed: Iterable[Document] = ()) -> Project:
        """A project that has read a document: modules are looked for beside it."""
        project = self.project(changed)
        if path_of(document.uri) is not None and not self.is_library(document):
            project.open(document.name)
        return project

    def advance(self, document: Document) -> Analysis | None:
        """Take one more step of a document's check; its analysis, once that is done."""
        known = self.analyses.get(document.uri)
        if known is not None and known.source is document.source and known.turn == self.turn:
            return known
        running = self._running.get(document.uri)
        if running is None or running[0] is not document.source or running[1] != self.turn:
            running = self._running[document.uri] = document.source, self.turn, self.steps(document)
        try:
            next(running[2])
        except StopIteration as done:
            self._running.pop(document.uri, None)
            made: Analysis = done.value
            return made
        except BaseException:
            self._running.pop(document.uri, None)
            raise
        return None

    def analysis(self, document: Document, patience: float | None = None) -> Analysis | None:
        """The analysis of a document's text; after so many seconds that of an earlier one."""
        until = perf_counter() + patience if patience is not None else None
        while (made := self.advance(document)) is None:
            known = self.analyses.get(document.uri)
            if known is not None and until is not None and perf_counter() > until:
                return known
        return made

    def dependents(self, name: str) -> Iterator[str]:
        """The open documents that use a file, by the last checks."""
        real = os.path.realpath(name)
        for uri, analysis in self.analyses.items():
            if any(os.path.realpath(file) == real for file in analysis.files):
                yield uri

    def _forget(self) -> None:
        names = {name for analysis in self.analyses.values() for name in analysis.files}
        self._memory.keep_only(names | {each.name for each in self.documents.values()})

    # ---- names ---------------------------------------------------------------------------------

    def names(self, document: Document) -> FileNames:
        """What the names of a document refer to."""
        known = self._named.get(document.uri)
        if known is None or known[0] is not document.source or known[1] != self.turn:
            names = self._names_of(document.source, self.project_of(document), set())
            known = self._named[document.uri] = document.source, self.turn, names
        return known[2]

    def _names_of(self, source: Source, project: Project, open_files: set[str]) -> FileNames:
        """The names of a file; a file that uses itself, through others too, has none of its own."""

        def resolve(importer: Source, path: tuple[str, ...]) -> FileNames | None:
            try:
                found = project.find(importer, path)
            except OSError:
                return None
            if found is None or found.name in open_files:
                return None
            return self._names_of(found, project, open_files)

        if source.is_library:
            known = self._names.get(source.name)
            if known is not None and known[0] is source:
                return known[1]
        open_files.add(source.name)
        made = FileNames(source, self.parsed(source), resolve)
        open_files.discard(source.name)
        if source.is_library:
            self._names[source.name] = source, made
        return made

    def module(self, document: Document, path: tuple[str, ...]) -> FileNames | None:
        """The names of the module that `use a.b` means in a document."""
        project = self.project_of(document)
        try:
            found = project.find(document.source, path)
        except OSError:
            return None
        return self._names_of(found, project, {document.source.name}) if found is not None else None

    def prelude(self, document: Document) -> FileNames | None:
        """The names that every file knows."""
        return self.module(document, ("std", "prelude"))

    def others(self, document: Document) -> Iterator[Document]:
        """The other documents and files that may name something of this one."""
        seen = {os.path.realpath(document.name)}
        for each in list(self.documents.values()):
            if os.path.realpath(each.name) not in seen:
                seen.add(os.path.realpath(each.name))
                if not each.is_large:
                    yield each
        for path in self._files(document):
            if os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                found = self.document(uri_of_path(path))
                if found is not None:
                    yield found

    def paths(self) -> Iterator[str]:
        """The addresses of the files in the folders of the editor."""
        project = Project()
        for root in dict.fromkeys(map(os.path.realpath, (*self.folders, *self.include))):
            yield from map(uri_of_path, project.files(root, MOST_FILES))

    def _files(self, document: Document) -> Iterable[str]:
        roots = [*self.folders, *self.include]
        if path_of(document.uri) is not None and not self.is_library(document):
            roots.append(os.path.dirname(document.name))
        project = Project()
        for root in dict.fromkeys(map(os.path.realpath, roots)):
            yield from project.files(root, MOST_FILES)


def _name_of(uri: str) -> str:
    """What messages call a document: its path, the folder without links; or its address."""
    path = path_of(uri)
    if path is None:
        return uri
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def path_of(uri: str) -> str | None:
    """The path of a file's address; None for a buffer that has no file, and for what is none."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = unquote(parts.path)
    if parts.scheme != "file" or "\0" in path:
        return None
    if len(path) > 2 and path[0] == "/" and path[2] == ":":  # a drive: /c:/models
        path = path[1:]
    return f"//{parts.netloc}{path}" if parts.netloc else path


def uri_of_path(path: str) -> str:
    """The address of a file."""
    path = path.replace(os.sep, "/")
    return f"file://{quote(path if path.startswith('/') else f'/{path}')}"
