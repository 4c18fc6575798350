"""Cuts a text into tokens: one regular expression made of the grammar's terminals.

Nothing is dropped silently. Text that no terminal matches is reported and, where the intention is
plain (`**`, `:=`, a typographic quote), read as the token that was meant.
"""

from __future__ import annotations

import re
from unicodedata import normalize

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import record
from ncdlang.source import Source, Span
from ncdlang.syntax.tables import NOT_A_TOKEN, Tables

_WORD = r"[^\W\d][\w\u0300-\u036f]*'*"

MISTAKES = (
    rf"//(?:/[^\n]*|[ \t]*{_WORD}(?::(?!=)|\.?[ \t]+(?!(?:and|or)(?![\w'])){_WORD})[^\n]*)",
    r"/\*(?s:.*?)(?:\*/|\Z)",
    r'"""(?s:.*?)(?:"""|\Z)',
    r"\*\*|:=|===|=>|&&?|\|\||<>|!(?!=)|[-%^]=(?!=)|//?=(?!=)",
    r"[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+\w+|[0-9]+\.(?![0-9.])|\.[0-9]+(?:[eE][+-]?[0-9]+)?",
    r'"[^\n]*',
    r"'[^'\n]*'|(?<!\w)[‘’][^‘’\n]*[‘’]|[“”„«][^“”„«»\n]*[“”»]",
    r"\\[ \t]*\r?\n",
    r"(?s:.)",
)
"""What is no token but is often written; `lexical_errors.py` reads the matches, in this order."""

_EARLY = 5
"""How many of `MISTAKES` are tried before the terminals; the others only where none matches."""


class Tokens:
    """Tokens as parallel lists: kind, start and end of each. The last one is `$END`.

    `renamed` has the NFC form of the names that are written otherwise, by their start; `docs` the
    documentation above the token that starts at an offset; `broken` are regions whose tokens were
    guessed or left out. `has_odd_brace` says that a `}` is indented less than what it closes.
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
        self.has_odd_brace = False

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


@record(eq=False)
class Lexicon:
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
    literals = {name: _literal(pattern) for name, pattern in made.patterns if _is_literal(name)}
    words: list[str] = []
    marks: list[str] = []
    for name, pattern in made.patterns:
        if name == "NAME" or literals.get(name, "")[:1].isalpha():
            words.append(pattern)
        elif name in literals:
            marks.append(pattern)
    patterns = dict(made.patterns)
    groups = (
        "|".join(words),
        "|".join((*MISTAKES[:_EARLY], *marks)),
        *(patterns[name] for name in _PATTERNED),
        "|".join(MISTAKES[_EARLY:]),
    )
    alternatives = "|".join(f"({group})" for group in groups)
    return Lexicon(
        pattern=re.compile(rf"(?:{patterns['BLANK']})?+(?:{alternatives}|\Z)"),
        by_text={text: names[name] for name, text in literals.items()},
        kinds=(-1, -1, -1, *(names[name] for name in _PATTERNED), -1),
        names=names,
        literals={names[name]: text for name, text in literals.items()},
        words=frozenset(text for text in literals.values() if text.isalpha()),
    )


_PATTERNED = ("NUMBER", "STRING", "COMMENT", "_NEWLINE")


def _is_literal(name: str) -> bool:
    """Whether a terminal has only one text."""
    return name != "NAME" and name not in (*_PATTERNED, *NOT_A_TOKEN)


def _literal(pattern: str) -> str:
    """The text that a pattern stands for; those of words go on with a look-ahead."""
    return re.sub(r"\\(.)", r"\1", pattern.partition("(?")[0])


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
            _mistake(tokens, words, start, end)
    tokens.docs = {
        tokens.starts[i]: text for i, text in tokens.docs.items() if i < len(tokens.starts)
    }
    tokens.add(0, len(text), len(text))
    if not text.isascii():
        _normalise_names(tokens, words.names["NAME"])
    return tokens


def _mistake(tokens: Tokens, words: Lexicon, start: int, end: int) -> None:
    from ncdlang.syntax import lexical_errors  # most texts have none

    lexical_errors.read(tokens, words.names, start, end)


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
                from ncdlang.syntax import lexical_errors

                lexical_errors.report_odd_name(tokens, tokens.span(index), normal)
