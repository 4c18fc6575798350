"""What to say about a token that can't come where it stands."""

from __future__ import annotations

from typing import NamedTuple

from ncdlang.diagnostics import Diagnostic
from ncdlang.syntax.language import Language
from ncdlang.syntax.lexer import Tokens

_LOOKAHEAD = 3
"""How many tokens have to go well after a change for the change to be plausible."""


class Mistake(NamedTuple):
    """A wrong token: its index, the first token of its statement, the parser's states before it,
    and all kinds of tokens that could have come instead."""

    language: Language
    tokens: Tokens
    index: int
    begin: int
    states: tuple[int, ...]
    accepted: frozenset[int]
    in_file: bool

    @property
    def kind(self) -> int:
        """The kind of the wrong token."""
        return self.tokens.kinds[self.index]

    @property
    def previous(self) -> int:
        """The kind of the token before it; 0 at the start of the text."""
        return self.tokens.kinds[self.index - 1] if self.index else 0

    def accepts(self, terminal: str) -> bool:
        """Whether a terminal could have come."""
        return self.language.lexicon.names[terminal] in self.accepted

    def is_kind(self, terminals: str) -> bool:
        """Whether the wrong token is one of some terminals."""
        return any(self.kind == self.language.lexicon.names[name] for name in terminals.split())

    def on_line_of_previous(self) -> bool:
        """Whether no line ends right before the wrong token."""
        if not self.index:
            return False
        between = self.tokens.source.text[
            self.tokens.ends[self.index - 1] : self.tokens.starts[self.index]
        ]
        return "\n" not in between

    def fits(self, kind: int, skip: int = 0) -> bool:
        """Whether the text goes on well after a token of another kind, put before the wrong one
        or, with `skip` 1, instead of it."""
        if kind not in self.accepted:
            return False
        states = list(self.states)
        self.language.automaton.advance(states, kind)
        kinds, index = self.tokens.kinds, self.index + skip
        for place in range(index, min(index + _LOOKAHEAD, len(kinds))):
            if not self.language.automaton.advance(states, kinds[place]):
                return False
            if kinds[place] == self.language.lexicon.names["_NEWLINE"]:
                break
        return True

    def is_keyword_as_name(self) -> bool:
        """Whether the wrong token is a keyword where a name would do."""
        text = self.tokens.text(self.index)
        is_keyword = text.isalpha() and not self.is_kind("NAME")
        name = self.language.lexicon.names["NAME"]
        return is_keyword and self.on_line_of_previous() and self.fits(name, skip=1)

    def starts_statement(self) -> bool:
        """Whether the wrong token starts a new statement, and only its line end is missing."""
        names, kinds = self.language.lexicon.names, self.tokens.kinds
        states = list(self.states)
        automaton = self.language.automaton
        if not self.accepts("_NEWLINE") or not automaton.advance(states, names["_NEWLINE"]):
            return False
        layout = self.language.kinds
        ends = (0, names["_NEWLINE"], names["RBRACE"])
        is_name = self.is_kind("NAME")
        for place in range(self.index, min(self.index + 64, len(kinds))):
            if kinds[place] in ends or not automaton.advance(states, kinds[place]):
                return False
            if not is_name or kinds[place] in layout.assigns or kinds[place] == names["COLON"]:
                return True
        return False


def explain(mistake: Mistake) -> Diagnostic:
    """The diagnostic of a wrong token."""
    span = mistake.tokens.span(mistake.index)
    return Diagnostic("NCD1001", f"unexpected {mistake.tokens.text(mistake.index)!r}", span)
