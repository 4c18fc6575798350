"""A token that can't come where it stands, and questions about the text around it."""

from __future__ import annotations

from ncdlang.records import record
from ncdlang.source import Span
from ncdlang.syntax import wording
from ncdlang.syntax.language import Language
from ncdlang.syntax.lexer import Tokens
from ncdlang.syntax.tables import Sample

_LOOKAHEAD = 3
"""How many tokens have to go well after a change for the change to be plausible."""

_STATEMENT = 64
"""How many tokens the left side of an equation may have to be recognised."""


@record(eq=False)
class Mistake:
    """A wrong token: its index, the first token of its statement, the parser's states before it,
    and all kinds of tokens that could have come instead."""

    language: Language
    tokens: Tokens
    index: int
    begin: int
    states: tuple[int, ...]
    accepted: frozenset[int]
    in_file: bool

    # ---- the token ----

    @property
    def kind(self) -> int:
        """The kind of the wrong token."""
        return self.tokens.kinds[self.index]

    @property
    def terminal(self) -> str:
        """The name of that kind in the grammar."""
        return self.language.tables.terminals[self.kind]

    @property
    def text(self) -> str:
        """The text of the wrong token."""
        return self.tokens.text(self.index)

    @property
    def span(self) -> Span:
        """The place of the wrong token."""
        return self.tokens.span(self.index)

    @property
    def found(self) -> str:
        """The wrong token in the words of a message."""
        return wording.found(self.language.lexicon, self.tokens, self.index)

    @property
    def previous(self) -> int:
        """The kind of the token before it; 0 at the start of the text."""
        return self.tokens.kinds[self.index - 1] if self.index else 0

    @property
    def gap(self) -> Span:
        """What stands between the token before and the wrong one."""
        start = self.tokens.ends[self.index - 1] if self.index else 0
        return Span(self.tokens.source, start, self.tokens.starts[self.index])

    # ---- the text around it ----

    def accepts(self, terminal: str) -> bool:
        """Whether a terminal could have come."""
        return self.language.lexicon.names[terminal] in self.accepted

    def is_kind(self, terminals: str) -> bool:
        """Whether the wrong token is one of some terminals."""
        return self.kind in self._numbers(terminals)

    def starts_line(self) -> bool:
        """Whether a line ends, or the text begins, right before the wrong token."""
        return not self.index or "\n" in self.gap.text or self.previous == self._brace()

    def heads_with_operand(self) -> bool:
        """Whether the statement starts as an equation does: with no keyword."""
        head = self.tokens.kinds[self.begin]
        return head in self._numbers("NAME NUMBER LPAR MINUS STRING _SIZE")

    def next_is(self, terminals: str) -> bool:
        """Whether the token after the wrong one is one of some terminals."""
        kinds = self.tokens.kinds
        return self.index + 1 < len(kinds) and kinds[self.index + 1] in self._numbers(terminals)

    def follows(self, *terminals: str) -> bool:
        """Whether certain tokens stand before the wrong one, none of them of another statement."""
        first = self.index - len(terminals)
        names = self.language.lexicon.names
        return first >= self.begin and self.tokens.kinds[first : self.index] == [
            names[name] for name in terminals
        ]

    def last_of(self, terminals: str) -> int | None:
        """The last token of some kinds in the statement, outside brackets closed since."""
        wanted, kinds = self._numbers(terminals), self.language.kinds
        depth = 0
        for index in range(self.index - 1, self.begin - 1, -1):
            kind = self.tokens.kinds[index]
            depth += (kind in kinds.closers) - (kind in kinds.closer)
            if depth < 0:
                return None
            if depth == 0 and kind in wanted:
                return index
        return None

    def innermost_but_one(self) -> str:
        """The second innermost bracket that is open, as the terminal that opens it."""
        closer = self.language.kinds.closer
        open_brackets: list[int] = []
        for kind in self.tokens.kinds[self.begin : self.index]:
            if kind in closer:
                open_brackets.append(kind)
            elif kind in self.language.kinds.closers and open_brackets:
                open_brackets.pop()
        return self.language.tables.terminals[open_brackets[-2]] if open_brackets[1:] else ""

    def indentation(self) -> str:
        """The blanks before the line of the wrong token."""
        source = self.tokens.source
        line = source.line_text(source.line_of(self.tokens.starts[self.begin]))
        return line[: len(line) - len(line.lstrip())]

    # ---- what it may have been meant to be ----

    def fits(self, kind: int, skip: int = 0) -> bool:
        """Whether the text goes on well after a token of another kind, put before the wrong one
        or, with `skip` 1, instead of it."""
        automaton, kinds = self.language.automaton, self.tokens.kinds
        states = list(self.states)
        if kind not in self.accepted or not automaton.advance(states, kind):
            return False
        first = self.index + skip
        for place in range(first, min(first + _LOOKAHEAD, len(kinds))):
            if not automaton.advance(states, kinds[place]):
                return False
            if kinds[place] in self._numbers("_NEWLINE RBRACE"):
                break
        return True

    def is_keyword(self) -> bool:
        """Whether the wrong token is a keyword."""
        return self.text in self.language.lexicon.words

    def is_keyword_as_name(self) -> bool:
        """Whether the wrong token is a keyword where a name would do."""
        lexicon = self.language.lexicon
        if not self.is_keyword() or "\n" in self.gap.text:
            return False
        return self.fits(lexicon.names["NAME"], skip=1)

    def starts_statement(self) -> bool:
        """Whether the wrong token starts a new statement, and only a line end is missing."""
        automaton, kinds = self.language.automaton, self.tokens.kinds
        states = list(self.states)
        newline = self.language.lexicon.names["_NEWLINE"]
        if newline not in self.accepted or not automaton.advance(states, newline):
            return False
        if not self.is_kind("NAME"):
            starters = self.language.kinds.starters | self._numbers("_BLOCK")
            return self.kind in starters and automaton.advance(states, self.kind)
        if self.tokens.kinds[self.begin] == self.language.lexicon.names["_AXIS"]:
            return False  # `axis h k = 3` lacks a comma
        layout = self.language.kinds
        ends = self._numbers("$END _NEWLINE RBRACE")
        decided = layout.assigns | self._numbers("COLON")
        depth = 0
        for place in range(self.index, min(self.index + _STATEMENT, len(kinds))):
            kind = kinds[place]
            if kind in ends or not automaton.advance(states, kind):
                return False
            if depth == 0 and kind in decided:
                return True
            depth += (kind in layout.closer) - (kind in layout.closers)
        return False

    # ---- samples ----

    def keys(self, *, any_token: bool = True) -> tuple[str, ...]:
        """What is compared with samples, the closest likeness first: the state and the token; then
        the tokens to choose from and the token before, with and without the wrong token, first in
        a statement of this kind, then in any. `any_token=False` is for samples that speak of the
        wrong token.

        A state says what is wrong only if it asks for a certain token: where a rule is complete,
        as after any `]`, the same state is reached in many places.
        """
        row = self.language.automaton.rows[self.states[-1]]
        head = self.tokens.kinds[self.begin]
        choice = f"{self.previous} of " + " ".join(map(str, sorted(self.accepted)))
        keys: list[str] = []
        if all(action >= 0 for action in row.values()):
            keys.append(f"state {self.states[-1]}: {self.kind}")
        for prefix in (f"{head} ", ""):
            keys.append(f"{prefix}{choice}: {self.kind}")
            if any_token:
                keys.append(f"{prefix}{choice}")
        return tuple(keys)

    def sample(self) -> Sample | None:
        """The sample of a mistake that this one is like."""
        tables = self.language.tables
        for key in self.keys():
            place = tables.likeness.get(key)
            if place is not None:
                return tables.samples[place]
        return None

    def _numbers(self, terminals: str) -> frozenset[int]:
        names = self.language.lexicon.names
        return frozenset(names[name] for name in terminals.split())

    def _brace(self) -> int:
        return self.language.lexicon.names["LBRACE"]
