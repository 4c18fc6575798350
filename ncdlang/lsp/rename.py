"""Another name for something, wherever it is named; refused where that would change a meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from unicodedata import normalize

from ncdlang.fixing import edited
from ncdlang.lsp.bodies import Occurrence, Symbol
from ncdlang.lsp.navigation import occurrences, symbol_at
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.semantics.check import check_source
from ncdlang.semantics.names import BUILTIN_NAMES
from ncdlang.semantics.primitives import STAGES
from ncdlang.semantics.program import signature
from ncdlang.source import Span
from ncdlang.syntax.language import language

_NAME = re.compile(r"[^\W\d][\w\u0300-\u036f]*'*")
_RESERVED = frozenset((*BUILTIN_NAMES, *STAGES, "cast"))

Edits = list[tuple[Document, Span]]


class RenameError(Exception):
    """The name can't be changed, or not to that; the message says why."""


def renameable(workspace: Workspace, document: Document, offset: int) -> Span:
    """The name at an offset, if it can be changed. Raises RenameError."""
    return _found(workspace, document, offset).span


def rename(workspace: Workspace, document: Document, offset: int, name: str) -> tuple[str, Edits]:
    """The name as it is written, and the places to write it at. Raises RenameError."""
    symbol = _found(workspace, document, offset).symbol
    name = _valid(name)
    if name == symbol.name:
        return name, []
    places: Edits = [(where, each.span) for where, each in occurrences(workspace, document, symbol)]
    changed: dict[Document, Document] = {}
    for where in dict.fromkeys(where for where, _ in places):
        if workspace.is_library(where):
            raise RenameError(f"`{symbol.name}` belongs to the standard library")
        _check_unused(workspace, where, symbol, name)
        text = edited(where.source, ((span, name) for w, span in places if w is where))
        changed[where] = Document(where.uri, text, None)
    for where in changed:
        _check_meaning(workspace, where, changed, symbol.name, name)
        config = workspace.names(where).set_by(symbol) if where.name == symbol.file else ""
        if config:
            raise RenameError(f"config `{config}` sets the `{symbol.name}` of several diagrams")
    return name, places


def _found(workspace: Workspace, document: Document, offset: int) -> Occurrence:
    found = symbol_at(workspace, document, offset)
    if found is None:
        raise RenameError("there is no name here that can be changed")
    if found.symbol.file.startswith("<std>") or workspace.is_library(document):
        raise RenameError(
            f"`{found.symbol.name or found.span.text}` belongs to the standard library"
        )
    if found.symbol.kind == "module" and not found.symbol.name:
        raise RenameError("a module is named after its file")
    return found


def _valid(name: str) -> str:
    normal = normalize("NFC", name.strip())
    if not _NAME.fullmatch(normal) or not normal.rstrip("'").isidentifier() or normal == "_":
        raise RenameError(
            f"`{name}` is no name: a letter or `_`, then letters, digits and `_`, then any `'`"
        )
    if normal in language().lexicon.words:
        raise RenameError(f"`{normal}` is a keyword")
    if normal in _RESERVED or normal in ("inf", "pi"):
        raise RenameError(f"`{normal}` has a meaning of its own in every file")
    return normal


def _check_unused(workspace: Workspace, where: Document, symbol: Symbol, name: str) -> None:
    """What has the new name already, where the symbol can be seen, would be taken for it."""
    names = workspace.names(where)
    prelude = workspace.prelude(where)
    local = [t for owner, t in names.locals() if owner == symbol.owner or not symbol.owner]
    taken = name in names.symbols or any(name in table for table in local)
    if not taken and prelude is not None and name in prelude.symbols:
        taken = re.search(rf"(?<![\w.']){re.escape(name)}(?![\w'])", where.source.text) is not None
    if taken:
        raise RenameError(f"`{name}` means something else in {where.name} already")


def _check_meaning(
    workspace: Workspace,
    where: Document,
    changed: Mapping[Document, Document],
    old: str,
    name: str,
) -> None:
    """A free axis that is not bound is the caller's of the same name: where a diagram is tied to
    another like that, a new name would part them."""
    before = workspace.analysis(where)
    if before is None:
        return
    project = workspace.project_of(changed[where], changed.values())
    program, found = check_source(changed[where].source, project.find)
    word = re.compile(rf"(?<![\w']){re.escape(old)}(?![\w'])")
    known = {
        word.sub(name, each.name): word.sub(name, signature(each))
        for each in before.program.diagrams
    }
    for each in program.diagrams:
        if each.name in known and word.sub(name, signature(each)) != known[each.name]:
            raise RenameError(
                f"`{each.name}` leaves `{old}` open for its callers: bind it there first, "
                f"`[{old} = {old}]`"
            )
    if len(found) > len(before.diagnostics):
        raise RenameError(f"`{old}` can't be called `{name}`: {found[0].message}")
