"""What an editor shows of the name under the mouse."""

from __future__ import annotations

from ncdlang.lsp.describing import builtin, describe
from ncdlang.lsp.workspace import Document, Workspace
from ncdlang.records import record
from ncdlang.semantics.expressions import BUILTIN_NUMBERS
from ncdlang.semantics.names import BUILTIN_NAMES
from ncdlang.semantics.primitives import STAGES
from ncdlang.source import Source, Span
from ncdlang.syntax.language import language
from ncdlang.syntax.lexer import scan

_WORDS = frozenset((*BUILTIN_NAMES, *BUILTIN_NUMBERS, *STAGES, "cast"))


@record
class Hover:
    """A place and what is said of it, in Markdown."""

    span: Span
    text: str


def hover(workspace: Workspace, document: Document, offset: int) -> Hover | None:
    """What is known of the name at an offset; None where there is none."""
    names = workspace.names(document)
    found = names.at(offset)
    if found is not None:
        analysis = workspace.analysis(document)
        return Hover(found.span, describe(names, found.symbol, analysis))
    word = word_at(document, offset)
    if word is None:
        return None
    prelude = workspace.prelude(document)
    symbol = prelude.symbols.get(word.text) if prelude is not None else None
    if prelude is not None and symbol is not None:
        return Hover(word, describe(prelude, symbol, None))
    told = builtin(word.text) if word.text in _WORDS else None
    return Hover(word, told) if told is not None else None


def word_at(document: Document, offset: int) -> Span | None:
    """The word at an offset, or right before it; None in comments and strings."""
    text = document.source.text
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    tokens = scan(Source("", line), language().lexicon)
    for index in range(len(tokens.kinds) - 1):
        first, last = tokens.starts[index] + start, tokens.ends[index] + start
        if first <= offset <= last and (
            line[first - start].isalpha() or line[first - start] == "_"
        ):
            return Span(document.source, first, last)
    return None
