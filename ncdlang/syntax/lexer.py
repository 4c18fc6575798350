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
    """The regular expression, and what its groups mean.

    Group 1 matches words and group 2 punctuation: `by_text` has the kinds of those that are
    terminals. A word that is none is a name, punctuation that is none a mistake. `kinds` has the
    kinds of the groups after them, -1 for mistakes. `literals` are the texts of the terminals
    that have just one, and `words` those of the keywords.
    """

    pattern: re.Pattern[str]
    by_text: dict[str, int]
    kinds: tuple[int, ...]
    names: dict[str, int]
    literals: dict[int, str]
    words: frozenset[str]


def make_lexicon(made: Tables) -> Lexicon:
    """The lexicon for given tables.

    A regular expression tries the alternatives of one group much faster than groups one by one,
    hence few groups. Some mistakes are tried before punctuation: none of them is correct anywhere.
    """
    names = {name: number for number, name in enumerate(made.terminals)}
    patterns = dict(made.patterns)
    literals = _literals(made)
    words = [patterns[name] for name, _ in made.patterns if _is_word(literals.get(name, "a"), name)]
    marks = [patterns[name] for name, text in literals.items() if not _is_word(text, name)]
    patterned = ("NUMBER", "STRING", "COMMENT", "_NEWLINE")
    groups = [
        "|".join(words),
        "|".join((*mistakes.PATTERNS[: mistakes.EARLY], *marks)),
        *(patterns[name] for name in patterned),
        "|".join(mistakes.PATTERNS[mistakes.EARLY :]),
    ]
    alternatives = "|".join(f"({group})" for group in groups)
    return Lexicon(
        pattern=re.compile(rf"(?:{patterns['BLANK']})?+(?:{alternatives}|\Z)"),
        by_text={text: names[name] for name, text in literals.items()},
        kinds=(-1, -1, -1, *(names[name] for name in patterned), -1),
        names=names,
        literals={names[name]: text for name, text in literals.items()},
        words=frozenset(text for text in literals.values() if text.isalpha()),
    )


def _is_word(text: str, name: str) -> bool:
    """Whether a terminal is found where a name could start."""
    return name == "NAME" or (text[0].isalpha() and name not in _PATTERNED)


_PATTERNED = ("NUMBER", "STRING", "_NEWLINE", *NOT_A_TOKEN)


def _literals(made: Tables) -> dict[str, str]:
    """The texts of the terminals that have one, in matching order. The patterns of words go on
    with a look-ahead."""
    return {
        name: re.sub(r"\\(.)", r"\1", pattern.partition("(?")[0])
        for name, pattern in made.patterns
        if name != "NAME" and name not in _PATTERNED
    }


def scan(source: Source, words: Lexicon) -> Tokens:
    """All tokens of a text, line ends included, comments and blanks aside."""
    tokens = Tokens(source)
    text = source.text
    add_kind, add_start, add_end = tokens.kinds.append, tokens.starts.append, tokens.ends.append
    kind_of, kind_of_text = words.kinds, words.by_text.get
    name, comment = words.names["NAME"], words.names["COMMENT"]
    for match in words.pattern.finditer(text, 1 if text.startswith("\ufeff") else 0):
        group = match.lastindex
        if group is None:
            break
        start, end = match.span(group)
        if group == 1:
            kind = kind_of_text(text[start:end], name)
        elif group == 2:
            kind = kind_of_text(text[start:end], -1)
        else:
            kind = kind_of[group]
        if kind > comment:
            add_kind(kind)
            add_start(start)
            add_end(end)
        elif kind == comment:
            _comment(tokens, start, end, words.names["_NEWLINE"])
        else:
            mistakes.read(tokens, words.names, start, end)
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
