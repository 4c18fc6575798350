"""Cuts a text into tokens: one regular expression made of the grammar's terminals.

Nothing is dropped silently. Text that no terminal matches is reported and, where the intention is
plain (`**`, `:=`, a typographic quote), read as the token that was meant.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize

from ncdlang.diagnostics import Diagnostic
from ncdlang.source import Source, Span
from ncdlang.syntax import mistakes
from ncdlang.syntax.tables import NOT_A_TOKEN, Tables


class Tokens:
    """Tokens as parallel lists: kind, start and end of each. The last one is `$END`.

    `renamed` has the NFC form of the names that are written otherwise, by their start; `docs` the
    documentation above the token that starts at an offset; `flaws` the places already reported.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.kinds: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.comments: list[Span] = []
        self.docs: dict[int, str] = {}
        self.renamed: dict[int, str] = {}
        self.findings: list[Diagnostic] = []
        self.broken: list[Span] = []

    @staticmethod
    def like(raw: Tokens) -> Tokens:
        """No tokens yet, with all else of `raw` shared."""
        made = Tokens(raw.source)
        made.comments, made.docs, made.renamed = raw.comments, raw.docs, raw.renamed
        made.findings, made.broken = raw.findings, raw.broken
        return made

    def span(self, index: int) -> Span:
        """The place of one token."""
        return Span(self.source, self.starts[index], self.ends[index])

    def text(self, index: int) -> str:
        """The text of one token."""
        return self.source.text[self.starts[index] : self.ends[index]]

    def add(self, kind: int, start: int, end: int) -> None:
        """Append a token."""
        self.kinds.append(kind)
        self.starts.append(start)
        self.ends.append(end)


class Lexicon(NamedTuple):
    """The regular expression, and what each of its groups means.

    `kinds[group]` is a terminal's number, or `-1 - n` for the nth pattern of mistakes. `literals`
    are the texts of the terminals that have just one, and `words` those of the keywords.
    """

    pattern: re.Pattern[str]
    kinds: tuple[int, ...]
    names: dict[str, int]
    literals: dict[int, str]
    words: frozenset[str]


def make_lexicon(made: Tables) -> Lexicon:
    """The lexicon for given tables. Patterns of mistakes come first: none matches a correct text
    where a terminal is meant."""
    blank = dict(made.patterns)["BLANK"]
    names = {name: number for number, name in enumerate(made.terminals)}
    groups = [(-1 - place, pattern) for place, pattern in enumerate(mistakes.PATTERNS)]
    late = groups[mistakes.EARLY :]
    terminals = [(names[name], pattern) for name, pattern in made.patterns if name != "BLANK"]
    ordered = [*groups[: mistakes.EARLY], *terminals, *late]
    alternatives = "|".join(f"({pattern})" for _, pattern in ordered)
    pattern = re.compile(rf"(?:{blank})?+(?:{alternatives}|\Z)")
    literals = {names[name]: text for name, text in _literals(made).items()}
    words = frozenset(text for text in literals.values() if text.isalpha())
    return Lexicon(pattern, (0, *(kind for kind, _ in ordered)), names, literals, words)


def _literals(made: Tables) -> dict[str, str]:
    """The texts of punctuation, and of words, whose patterns go on with a look-ahead."""
    plain = {name: re.sub(r"\\(.)", r"\1", text.partition("(?")[0]) for name, text in made.patterns}
    patterned = ("NAME", "NUMBER", "STRING", *NOT_A_TOKEN)
    return {name: text for name, text in plain.items() if name not in patterned}


def scan(source: Source, words: Lexicon) -> Tokens:
    """All tokens of a text, line ends included, comments and blanks aside."""
    tokens = Tokens(source)
    text = source.text
    add_kind, add_start, add_end = tokens.kinds.append, tokens.starts.append, tokens.ends.append
    kind_of = words.kinds
    comment, ordinary = words.names["COMMENT"], len(NOT_A_TOKEN)
    for match in words.pattern.finditer(text, 1 if text.startswith("\ufeff") else 0):
        group = match.lastindex
        if group is None:
            break
        kind = kind_of[group]
        start, end = match.span(group)
        if kind >= ordinary:
            add_kind(kind)
            add_start(start)
            add_end(end)
        elif kind == comment:
            _comment(tokens, start, end, words.names["_NEWLINE"])
        else:
            mistakes.read(tokens, words.names, -1 - kind, start, end)
    tokens.docs = {
        tokens.starts[i]: text for i, text in tokens.docs.items() if i < len(tokens.starts)
    }
    tokens.add(0, len(text), len(text))
    if not text.isascii():
        _normalise_names(tokens, words.names["NAME"])
    return tokens


def _comment(tokens: Tokens, start: int, end: int, newline: int) -> None:
    """Keep a comment; one that starts with `##` on a line of its own documents the next token.

    The line end after it is the next token, so what it documents comes one later; if that is
    another line end, the line below is blank or a plain comment and nothing is documented.
    """
    tokens.comments.append(Span(tokens.source, start, end))
    text = tokens.source.text[start:end]
    index = len(tokens.kinds)
    if not text.startswith("##") or (index and tokens.kinds[-1] != newline):
        return
    line = text[2:].rstrip("\r").removeprefix(" ")
    above = tokens.docs.pop(index, None)
    tokens.docs[index + 1] = line if above is None else f"{above}\n{line}"


def _normalise_names(tokens: Tokens, name: int) -> None:
    for index, kind in enumerate(tokens.kinds):
        if kind == name:
            text = tokens.text(index)
            if text.isascii():
                continue
            normal = normalize("NFC", text)
            if normal != text:
                tokens.renamed[tokens.starts[index]] = normal
            if not normal.rstrip("'").isidentifier():
                mistakes.report_odd_name(tokens, tokens.span(index), normal)
