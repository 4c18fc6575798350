"""The kind of every name, keyword, number and text of a file, for its colours."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.lsp.bodies import Kind
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.semantics.names import BUILTIN_NAMES
from ncdlang.semantics.primitives import STAGES
from ncdlang.semantics.types import FORMATS
from ncdlang.source import Span
from ncdlang.syntax.language import language
from ncdlang.syntax.lexer import scan

TYPES = (
    *("namespace", "type", "typeParameter", "parameter", "variable", "property", "function"),
    *("enumMember", "keyword", "number", "string", "comment"),
)
MODIFIERS = ("declaration", "readonly", "defaultLibrary")

_TYPE_OF: dict[Kind, str] = {
    "axis": "typeParameter",
    "wire": "variable",
    "parameter": "parameter",
    "setting": "property",
    "const": "enumMember",
    "diagram": "function",
    "op": "function",
    "module": "namespace",
    "config": "property",
    "instance": "function",
}
_BUILTIN = frozenset((*BUILTIN_NAMES, *STAGES, "cast"))


@record
class Token:
    """A place, the type of what stands there and its modifiers; it does not span lines."""

    span: Span
    type: str
    modifiers: tuple[str, ...] = ()


def tokens(workspace: Workspace, document: Document) -> list[Token]:
    """The tokens of a text in order, without those that overlap others."""
    found = {token.span.start: token for token in _lexical(document)}
    names = workspace.names(document)
    for each in sorted(names.occurrences, key=lambda o: (o.span.start, -o.span.end)):
        modifiers = ("declaration",) if each.defines else ()
        if each.symbol.kind == "const":
            modifiers = (*modifiers, "readonly")
        if each.symbol.file.startswith("<std>"):
            modifiers = (*modifiers, "defaultLibrary")
        if "\n" not in each.span.text:
            found[each.span.start] = Token(each.span, _TYPE_OF[each.symbol.kind], modifiers)
    ordered: list[Token] = []
    for start in sorted(found):
        if not ordered or ordered[-1].span.end <= start:
            ordered.append(found[start])
    return ordered


def _lexical(document: Document) -> Iterator[Token]:
    """What the text alone tells: keywords, numbers, strings, comments and built-in names."""
    words = language().lexicon
    scanned = scan(document.source, words)
    kinds = {words.names["NUMBER"]: "number", words.names["STRING"]: "string"}
    name = words.names["NAME"]
    for index, kind in enumerate(scanned.kinds[:-1]):
        if kind in kinds:
            yield Token(scanned.span(index), kinds[kind])
            continue
        text = scanned.text(index)
        if kind != name:
            if text.isalpha():
                yield Token(scanned.span(index), "keyword")
        elif text in _BUILTIN:
            yield Token(scanned.span(index), "function", ("defaultLibrary",))
        elif text in ("inf", "pi"):
            yield Token(scanned.span(index), "enumMember", ("readonly", "defaultLibrary"))
        elif text in FORMATS:
            yield Token(scanned.span(index), "type", ("defaultLibrary",))
    for span in scanned.comments:
        yield Token(span, "comment")
