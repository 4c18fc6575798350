"""What could be written at the cursor: axes, wires, diagrams, modules, entries of brackets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from ncdlang.lsp.bodies import Kind, Symbol
from ncdlang.lsp.context import Context, Opened, context_at
from ncdlang.lsp.describing import builtin, declaration_of, describe, header_of, meaning_of, typed
from ncdlang.lsp.names import FileNames
from ncdlang.lsp.workspace import MOST_FILES, Analysis, Document, Workspace, path_of
from ncdlang.project import LIBRARY, Project
from ncdlang.records import record
from ncdlang.resources import stdlib_root
from ncdlang.semantics.expressions import BUILTIN_NUMBERS
from ncdlang.semantics.matching import LearnedUse
from ncdlang.semantics.names import BUILTIN_NAMES
from ncdlang.semantics.primitives import STAGES
from ncdlang.semantics.remedies import use_of
from ncdlang.semantics.scope import DeclaredWire
from ncdlang.semantics.statements import INITIALISERS, STRUCTURES
from ncdlang.semantics.types import FORMATS, Axis, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

ItemKind: TypeAlias = Literal["keyword", "type", "function", "word"] | Kind

PATIENCE = 0.05
"""How many seconds a completion waits for a check before it answers by the one before."""

FILE_WORDS = ("use", "axis", "const", "config", "op", "diagram", "assert")
BODY_WORDS = ("learn", "block", "return", "axis", "assert")
_OPERATORS = ("size", "not", "and", "or")


@record
class Item:
    """One proposal: what is written, and what is said of it. `rank` orders them; `path` is the
    module that is to be used for it."""

    label: str
    kind: ItemKind
    detail: str = ""
    rank: int = 5
    text: str = ""
    symbol: Symbol | None = None
    path: str = ""


@record
class Completion:
    """Proposals for the text of a span."""

    span: Span
    items: tuple[Item, ...]


def complete(workspace: Workspace, document: Document, offset: int) -> Completion:
    """What could stand at an offset in place of the word that is begun there."""
    context = context_at(document.source.text, offset)
    if context.in_text:
        return Completion(Span(document.source, offset, offset), ())
    start = context.start + context.word.rfind(".") + 1
    maker = _Completer(workspace, document, context, offset)
    unique = {item.label: item for item in reversed(list(maker.items()))}
    ordered = sorted(unique.values(), key=lambda item: (item.rank, item.label))
    return Completion(Span(document.source, start, offset), tuple(ordered))


def documentation(workspace: Workspace, document: Document, name: str) -> str:
    """What is said of a proposal when it is looked at, in Markdown."""
    for names in (workspace.names(document), workspace.prelude(document)):
        symbol = names.symbols.get(name) if names is not None else None
        if names is not None and symbol is not None:
            return describe(names, symbol, workspace.analyses.get(document.uri))
    return builtin(name) or ""


def missing_use(
    workspace: Workspace, document: Document, path: str, name: str
) -> tuple[tuple[Span, str], ...]:
    """The changes that bring a diagram of the library into a file whose text was checked."""
    analysis = workspace.analyses.get(document.uri)
    if analysis is None or analysis.source is not document.source or not path:
        return ()
    return use_of(analysis.module, tuple(path.split(".")), [name]).edits


class _Completer:
    """Collects the proposals for one place."""

    def __init__(
        self, workspace: Workspace, document: Document, context: Context, offset: int
    ) -> None:
        self._workspace = workspace
        self._document = document
        self._context = context
        self._offset = offset
        self._names = workspace.names(document)
        self._owner = _owner(self._names, offset)

    def items(self) -> Iterator[Item]:
        """The proposals, the likelier before others of the same name."""
        context, inner = self._context, self._context.inner
        if context.keyword == "use" or (
            inner is not None and inner.bracket == "{" and self._in_use()
        ):
            yield from self._use()
        elif "." in context.word:
            yield from self._of_module(context.word.partition(".")[0].strip())
        elif inner is not None and inner.bracket == "[":
            yield from self._in_brackets(inner)
        elif inner is not None and inner.bracket == "(" and self._is_signature():
            yield from self._types(after_colon=inner.is_after_colon)
        elif inner is not None and inner.bracket == "{" and self._in_config():
            yield from self._settings()
        elif context.line.strip() == "":
            yield from self._statement()
        elif context.line.rstrip().endswith(":") and context.keyword == "learn":
            yield from self._types(after_colon=True)
            yield from self._values()
        elif context.line.rstrip().endswith(":") and context.keyword == "axis":
            yield from (Item(word, "word") for word in STRUCTURES)
        elif context.line.rstrip().endswith("~"):
            yield from (Item(word, "function") for word in (*INITIALISERS, "frozen"))
        else:
            yield from self._values()

    # ---- where ----

    def _in_use(self) -> bool:
        return self._first_word() == "use"

    def _in_config(self) -> bool:
        return self._first_word() == "config" and len(self._context.opened) == 1

    def _is_signature(self) -> bool:
        return self._first_word() in ("diagram", "op") and len(self._context.opened) == 1

    def _first_word(self) -> str:
        text = self._document.source.text[: self._context.start]
        words = [line.split(maxsplit=1)[0] for line in text.split("\n") if line[:1].isalpha()]
        return words[-1] if words else ""

    # ---- what ----

    def _statement(self) -> Iterator[Item]:
        if self._context.inner is None:
            yield from (Item(word, "keyword", rank=1) for word in FILE_WORDS)
            return
        yield from (Item(word, "keyword", rank=3) for word in BODY_WORDS)
        yield from self._local(("wire", "parameter"))

    def _values(self) -> Iterator[Item]:
        yield from self._local(("wire", "parameter", "instance", "setting", "axis"))
        yield from self._of_file()
        yield from self._of_prelude()
        yield from (Item(word, "function", builtin(word) or "", 7) for word in BUILTIN_NAMES)
        yield from (Item(word, "const", rank=8) for word in BUILTIN_NUMBERS)
        yield from (Item(word, "function", builtin(word) or "", 7) for word in (*STAGES, "cast"))
        yield from (Item(word, "keyword", rank=8) for word in _OPERATORS)
        yield from self._of_library()

    def _types(self, *, after_colon: bool) -> Iterator[Item]:
        if after_colon:
            yield from (Item(word, "type", text=f"{word}[", rank=2) for word in FORMATS)
            yield from (Item(word, "type", text=f"{word}[", rank=2) for word in ("B", "C"))
            yield Item("N", "type", "N(v)[n]: naturals below size(v)", 2, "N(")

    def _settings(self) -> Iterator[Item]:
        found = [s for s in self._names.symbols.values() if s.kind in ("axis", "const")]
        found += [
            symbol
            for _, table in self._names.locals()
            for symbol in table.values()
            if symbol.kind in ("axis", "setting")
        ]
        for symbol in found:
            yield Item(
                symbol.name, symbol.kind, symbol.owner and f"of {symbol.owner}", 2, symbol=symbol
            )

    def _in_brackets(self, inner: Opened) -> Iterator[Item]:
        callee = self._names.callee(inner.head, self._owner) or self._prelude_callee(inner.head)
        if callee is not None:
            yield from self._entries(*callee)
        yield from self._axes()
        if inner.head and callee is None:
            yield from self._local(("wire", "parameter", "setting"))
        yield from (s for s in self._of_file() if s.kind == "const")
        yield Item("size", "keyword", "size(k)", 6, "size(")

    def _prelude_callee(self, name: str) -> tuple[FileNames, str] | None:
        prelude = self._workspace.prelude(self._document)
        return prelude.callee(name, "") if prelude is not None else None

    def _entries(self, names: FileNames, diagram: str) -> Iterator[Item]:
        """What the brackets of a diagram bind."""
        declared = declaration_of(names, diagram)
        formals = declared.formals if declared is not None else None
        listed: set[str] = set()
        for entry in (*formals.entries, *(formals.arrow or ())) if formals is not None else ():
            listed.add(entry.name.text)
            if isinstance(entry.name, tree.Name):
                default = f" = {entry.default.span.text}" if entry.default is not None else ""
                kind = "setting" if entry.is_const else "axis"
                detail = f"{kind} {entry.name.text}{default} of {diagram}"
                label = f"{entry.name.text} = "
                yield Item(label, kind, detail, 2, label)
        for name, symbol in names.local(diagram).items():
            if symbol.kind == "axis" and name not in listed and declared is not None:
                if symbol.span.end <= header_end(declared):
                    yield Item(f"{name} = ", "axis", f"axis {name} of {diagram}", 3, f"{name} = ")

    def _axes(self) -> Iterator[Item]:
        yield from self._local(("axis",), rank=1)
        for symbol in self._names.symbols.values():
            if symbol.kind == "axis":
                yield Item(symbol.name, "axis", self._detail(symbol), 2, symbol=symbol)

    def _local(self, kinds: Iterable[Kind], rank: int = 2) -> Iterator[Item]:
        for symbol in self._names.local(self._owner).values():
            is_typed = symbol.span.start <= self._context.start < symbol.span.end
            if symbol.kind in kinds and not is_typed:
                order = rank + (symbol.kind == "axis" and "wire" in kinds)
                yield Item(symbol.name, symbol.kind, self._detail(symbol), order, symbol=symbol)

    def _of_file(self) -> Iterator[Item]:
        for symbol in self._names.symbols.values():
            if symbol.name == self._owner or symbol.kind == "config":
                continue
            name = symbol.name
            if symbol.kind == "module" and not name:
                continue
            yield Item(name, symbol.kind, self._detail(symbol), 4, symbol=symbol)
        for alias in self._names.modules:
            yield Item(alias, "module", "module", 5, f"{alias}.")

    def _of_prelude(self) -> Iterator[Item]:
        prelude = self._workspace.prelude(self._document)
        for declared in prelude.file.declarations if prelude is not None else ():
            if isinstance(declared, (tree.Diagram, tree.Op)):
                yield Item(declared.name.text, "function", header_of(declared), 6)

    def _of_library(self) -> Iterator[Item]:
        """Diagrams of the standard library that no `use` brings in yet."""
        for path in _library_modules():
            if path[-1] == "prelude":
                continue
            module = self._module(path)
            for symbol in module.symbols.values() if module is not None else ():
                if module is not None and symbol.kind in ("diagram", "op"):
                    if symbol.file == module.source.name and symbol.name not in self._names.symbols:
                        name = ".".join(path)
                        yield Item(symbol.name, "diagram", f"use {name}", 9, "", symbol, name)

    def _of_module(self, alias: str) -> Iterator[Item]:
        module = self._names.modules.get(alias)
        yield from self._exports(module)

    def _exports(self, module: FileNames | None) -> Iterator[Item]:
        for symbol in module.symbols.values() if module is not None else ():
            if module is not None and symbol.name and symbol.file == module.source.name:
                declared = declaration_of(module, symbol.name)
                detail = header_of(declared) if declared is not None else symbol.kind
                yield Item(symbol.name, symbol.kind, detail, 2, symbol=symbol)

    def _module(self, path: tuple[str, ...]) -> FileNames | None:
        return self._workspace.module(self._document, path)

    # ---- modules ----

    def _use(self) -> Iterator[Item]:
        """The parts of a path after `use`, or the names in its braces."""
        text = self._document.source.text
        begin = text.rfind("use", 0, self._offset)
        written = text[begin + len("use") : self._offset]
        if "{" in written:
            path = tuple(filter(None, (p.strip() for p in written.partition("{")[0].split("."))))
            yield from self._exports(self._module(path))
            return
        done = [part.strip() for part in written.split(".")[:-1]]
        for path in self._modules():
            if list(path[: len(done)]) == done and len(path) > len(done):
                is_last = len(path) == len(done) + 1
                yield Item(path[len(done)], "module", ".".join(path) if is_last else "", 2)

    def _modules(self) -> Iterator[tuple[str, ...]]:
        """The dotted names of all modules that can be used here."""
        yield from _library_modules()
        folders = list(self._workspace.include)
        if path_of(self._document.uri) is not None:
            folders.insert(0, os.path.dirname(self._document.name))
        for folder in folders:
            for path in Project().files(folder, MOST_FILES):
                if os.path.realpath(path) != os.path.realpath(self._document.name):
                    relative = os.path.relpath(path, folder).removesuffix(".ncd")
                    parts = tuple(relative.split(os.sep))
                    if all(part.replace("'", "").isidentifier() for part in parts):
                        yield parts

    # ---- details ----

    def _detail(self, symbol: Symbol) -> str:
        """The type of a proposal, short."""
        if symbol.kind in ("diagram", "op"):
            found = self._names.callee(symbol.name, "")
            declared = declaration_of(*found) if found is not None else None
            return header_of(declared) if declared is not None else ""
        match meaning_of(self._analysis(), symbol):
            case Axis() as axis:
                return "" if axis.symbol is not None else f"= {axis.size}"
            case Wire() as wire:
                return typed(wire.type)
            case DeclaredWire() as declared:
                return typed(declared.wire.type)
            case LearnedUse() as use:
                return f"learned {use.opened.callee.name}"
            case int() | float() as number:
                return f"= {number}"
            case _:
                return symbol.kind

    def _analysis(self) -> Analysis | None:
        return self._workspace.analysis(self._document, PATIENCE)


def header_end(declared: tree.Diagram | tree.Op) -> int:
    """Where the header of a declaration ends."""
    return declared.header.end if isinstance(declared, tree.Diagram) else declared.span.end


def _owner(names: FileNames, offset: int) -> str:
    """The name of the diagram that an offset is in."""
    owner = ""
    for declared in names.file.declarations:
        if declared.span.start > offset:
            break
        is_diagram = isinstance(declared, (tree.Diagram, tree.Op))
        owner = declared.name.text if is_diagram else ""
        if is_diagram and declared.span.end < offset:
            between = names.source.text[declared.span.end : offset]
            owner = "" if between.strip() == "" and "\n" in between else owner
    return owner


def _library_modules() -> Iterator[tuple[str, ...]]:
    for path in sorted((stdlib_root() / LIBRARY).glob("*.ncd")):
        yield LIBRARY, path.stem
