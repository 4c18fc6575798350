"""Decides which line ends end statements, and balances brackets.

After this pass every bracket is closed by its own kind, so the parser and its recovery can
count on it; a bracket that had to be added or dropped is reported in `bracket_errors.py`.
"""

from __future__ import annotations

from types import ModuleType

from ncdlang.records import record
from ncdlang.syntax import closers
from ncdlang.syntax.lexer import Lexicon, Tokens

MAX_NESTING = 100  # how deep brackets may nest; later passes recurse over the tree

_OPERATORS = (
    "COMPOSE BESIDE OR AND EQUALS DIFFERS AT_MOST AT_LEAST LESS GREATER PLUS MINUS TIMES DIVIDE"
    " FLOOR_DIVIDE MODULO POWER"
)
_SPLIT_ASSIGNS = "MAX_ASSIGN MIN_ASSIGN"
_ASSIGNS = "EQUAL ADD_ASSIGN MULTIPLY_ASSIGN"
_FILE_ONLY = "_USE _CONFIG _OP _DIAGRAM _CONST"
_PAIRS = (("LPAR", "RPAR"), ("LSQB", "RSQB"), ("LBRACE", "RBRACE"))


@record(eq=False)
class Kinds:
    """The terminals that this pass tells apart, by number.

    A line goes on after one of `continues` and when the next one starts with one of `leads`.
    `operators` are those of them that need an operand in any case. A `max=` that starts a line
    starts a statement, so `words` has it too. `starters` are keywords that start a statement,
    `file_only` those that can't stand in a body. `attention` is for the loop.
    """

    names: dict[str, int]
    closer: dict[int, int]
    closers: frozenset[int]
    continues: frozenset[int]
    leads: frozenset[int]
    operators: frozenset[int]
    assigns: frozenset[int]
    operand_ends: frozenset[int]
    file_only: frozenset[int]
    starters: frozenset[int]
    words: frozenset[int]
    values: frozenset[int]
    before_setting: frozenset[int]
    attention: frozenset[int]


def make_kinds(words: Lexicon) -> Kinds:
    """The kinds for a lexicon."""
    number = words.names

    def group(names: str) -> frozenset[int]:
        return frozenset(number[name] for name in names.split())

    closer = {number[a]: number[b] for a, b in _PAIRS}
    closers = frozenset(closer.values())
    leads = group(f"{_OPERATORS} {_ASSIGNS} ARROW TILDE")
    return Kinds(
        names=number,
        closer=closer,
        closers=closers,
        continues=leads | group(f"{_SPLIT_ASSIGNS} COMMA COLON DOT NOT"),
        leads=leads,
        operators=group(f"{_OPERATORS} {_ASSIGNS} {_SPLIT_ASSIGNS} NOT"),
        assigns=group(f"{_ASSIGNS} {_SPLIT_ASSIGNS}"),
        operand_ends=group("NAME NUMBER STRING RPAR RSQB DOTS"),
        file_only=group(_FILE_ONLY),
        starters=group(f"{_FILE_ONLY} _LEARN _RETURN _ASSERT _AXIS"),
        words=group(f"NAME {_SPLIT_ASSIGNS}"),
        values=group("NAME NUMBER STRING"),
        before_setting=group("LSQB COMMA ARROW _CONST"),
        attention=frozenset(closer) | closers | group(f"{_SPLIT_ASSIGNS} EQUAL ARROW"),
    )


def _errors() -> ModuleType:
    """The module of reports, which most texts don't need."""
    from ncdlang.syntax import bracket_errors

    return bracket_errors


def arrange(raw: Tokens, kinds: Kinds) -> Tokens:
    """The tokens that the parser sees."""
    return Layout(raw, kinds).run()


@record
class Open:
    """An open bracket: its terminal and place, whether it opens a body, the indentation of its
    line, and the token at which the statement around it starts. One that `is_extra` has been
    reported, and neither it nor its closer is put out."""

    kind: int
    start: int
    end: int
    is_body: bool
    indent: int
    head: int
    is_extra: bool = False


class Layout:
    """One pass over the tokens. `open` are the open brackets; `head` is where, among the tokens
    put out, the current statement starts; `indent` is the indentation of the current line.
    `suspect` is the body that a `}`, by its indentation, was not meant for, and ends at
    `suspect_end`. `balanced` is a body that is known to be closed."""

    def __init__(self, raw: Tokens, kinds: Kinds) -> None:
        self.raw = raw
        self.kinds = kinds
        self.out = Tokens.like(raw)
        self.open: list[Open] = []
        self.head = 0
        self.indent = 0
        self.suspect: Open | None = None
        self.suspect_end = 0
        self.balanced: Open | None = None
        self.is_swallowed = False
        self.has_extra = False

    def run(self) -> Tokens:
        """Arrange everything. The loop keeps to the few things that most tokens need."""
        raw, out = self.raw, self.out
        attention, newline = self.kinds.attention, self.kinds.names["_NEWLINE"]
        kinds, starts, ends = raw.kinds, raw.starts, raw.ends
        add_kind, add_start, add_end = out.kinds.append, out.starts.append, out.ends.append
        fresh = True
        index, last = 0, len(kinds) - 1
        while index < last:
            kind = kinds[index]
            if kind == newline:
                fresh = True
                index += 1
                continue
            if fresh:
                fresh = False
                kind = self._line_start(index, kind)
            if kind in attention:
                index = self._bracket_or_assign(index, kind)
                continue
            if kind:
                add_kind(kind)
                add_start(starts[index])
                add_end(ends[index])
            index += 1
        self._end_of_file()
        return out

    # ---- line ends ----

    def _line_start(self, index: int, kind: int) -> int:
        """Decide what the line end before a token means; the kind that the token is to have."""
        kinds, out = self.kinds, self.out
        line_end = self.raw.ends[index - 1] if index else 0
        above, self.indent = self.indent, self.raw.starts[index] - line_end
        previous = out.kinds[-1] if out.kinds else 0
        if self.open and not self.open[-1].is_body and self._starts_statement(index, kind):
            self._close_until_body(kind)
            previous = out.kinds[-1]
        if kind in kinds.file_only and self._misses_brace():
            if not self.has_extra:
                _errors().report_open_bodies(out, self._unclosed_body(), self.raw.span(index))
            self._close(0)
            previous = out.kinds[-1]
        if closers.misses_brace(self, index, kind, above):
            _errors().report_open_bodies(out, (self.open[-1], out.ends[-1]), None)
            self._close(len(self.open) - 1)
            previous = out.kinds[-1]
        top = self.open[-1] if self.open else None
        if top is None or top.is_body:
            return self._statement_boundary(index, kind, previous, self.indent > above)
        if self._separates(kind, previous, top):
            out.add(kinds.names["COMMA"], out.ends[-1], out.ends[-1])
        return kind

    def _statement_boundary(self, index: int, kind: int, previous: int, indented: bool) -> int:
        kinds, out = self.kinds, self.out
        if kind in kinds.leads and out.kinds:
            return kind
        if previous in kinds.continues and not self._dangles(index, kind, previous):
            return kind
        if kind == kinds.names["LBRACE"] and self._awaits_brace():
            _errors().report_brace_on_next_line(out, self.raw.span(index))
            return kind
        if self._lacks_brace(kind, indented):
            _errors().report_missing_brace(out)
            is_body = self._opens_body(kinds.names["LBRACE"])
            self._push(kinds.names["LBRACE"], out.ends[-1], out.ends[-1], is_body=is_body)
            previous = kinds.names["LBRACE"]
            if not is_body:
                return kind
        if out.kinds and previous != kinds.names["LBRACE"] and kind not in kinds.closers:
            out.add(kinds.names["_NEWLINE"], out.ends[-1], out.ends[-1])
        self.head = len(out.kinds)
        return self._foreign_word(index) if kind == kinds.names["NAME"] else kind

    def _separates(self, kind: int, previous: int, top: Open) -> bool:
        """Whether a line end stands for a comma: between the entries of a config or an op."""
        names = self.kinds.names
        is_list = top.kind == names["LBRACE"] and self._head_kind() != names["_USE"]
        follows_entry = previous not in self.kinds.continues and previous != names["LBRACE"]
        return is_list and follows_entry and kind in self.kinds.words

    def _dangles(self, index: int, kind: int, previous: int) -> bool:
        """Whether the line before ends in an operator whose operand is missing, because a new
        statement starts here. In a correct text it never does."""
        if kind in self.kinds.starters:
            return True
        return previous in self.kinds.operators and self._looks_like_equation(index)

    def _starts_statement(self, index: int, kind: int) -> bool:
        """Whether the line that starts here can't belong to the bracket that is open: nowhere in
        brackets may an operand be followed by `A = ` or `A[i] = `."""
        kinds, top = self.kinds, self.open[-1]
        previous = self.out.kinds[-1]
        if kind in kinds.starters:
            return kind != kinds.names["_CONST"] or previous in kinds.operand_ends
        return (
            top.kind != kinds.names["LBRACE"]
            and previous in kinds.operand_ends
            and self.indent <= top.indent
            and self._looks_like_equation(index)
        )

    def _looks_like_equation(self, index: int) -> bool:
        """Whether the line starts with `A = `, `A[i] = ` or `A: `. Never looks beyond the line."""
        kinds, raw = self.kinds, self.raw.kinds
        if raw[index] != kinds.names["NAME"]:
            return False
        index += 1
        if raw[index] == kinds.names["LSQB"]:
            index = self._after_brackets(index)
        return raw[index] in kinds.assigns or raw[index] == kinds.names["COLON"]

    def _after_brackets(self, index: int) -> int:
        kinds, raw = self.kinds, self.raw.kinds
        depth = 0
        while raw[index] and raw[index] != kinds.names["_NEWLINE"]:
            depth += (raw[index] in kinds.closer) - (raw[index] in kinds.closers)
            index += 1
            if depth <= 0:
                break
        return index

    def _foreign_word(self, index: int) -> int:
        """The kind that the name at the start of a statement is to have: `def f(...)` is read as
        a diagram. 0 leaves the word out."""
        kinds, raw = self.kinds, self.raw
        if raw.kinds[index + 1] not in kinds.values:
            return kinds.names["NAME"]
        from ncdlang.syntax import lexical_errors

        word = lexical_errors.foreign_word(raw.text(index))
        if word is None:
            return kinds.names["NAME"]
        lexical_errors.report_foreign_word(raw, raw.span(index), word)
        return kinds.names.get(word.terminal, 0)

    # ---- bodies ----

    def _awaits_brace(self) -> bool:
        """Whether the statement before this line is a header that has no braces yet."""
        names, out = self.kinds.names, self.out
        headers = ("_DIAGRAM", "_BLOCK", "_CONFIG", "_OP")
        is_header = self._head_kind() in [names[name] for name in headers]
        return is_header and names["LBRACE"] not in out.kinds[self.head :]

    def _lacks_brace(self, kind: int, indented: bool) -> bool:
        """Whether this line belongs in braces whose `{` is missing."""
        kinds, names = self.kinds, self.kinds.names
        if self._is_block_without_brace():
            return indented
        if self._head_kind() in (names["_CONFIG"], names["_OP"]):
            return indented and kind == names["NAME"] and self._awaits_brace()
        if self.open or self._head_kind() != names["_DIAGRAM"]:
            return False
        in_body = kind in kinds.starters - kinds.file_only and self.indent > 0
        return (in_body or kind == names["NAME"]) and self._awaits_body()

    def _awaits_body(self) -> bool:
        """Whether the header before this line has parameters, and neither a body nor `=`."""
        kinds, out = self.kinds, self.out
        names = kinds.names
        depth = 0
        for kind in out.kinds[self.head :]:
            depth += (kind in kinds.closer) - (kind in kinds.closers)
            if kind == names["LBRACE"]:
                return False
            if depth == 0 and kind in (names["EQUAL"], names["COLON"]):
                return False
        return names["RPAR"] in out.kinds[self.head :]

    def _misses_brace(self) -> bool:
        """Whether a body is open although a line starts, outdented, with a declaration."""
        return bool(self.open) and self.open[0].is_body and self.indent <= self.open[0].indent

    def _unclosed_body(self) -> tuple[Open, int]:  # and where its `}` is missing
        opened = self.suspect or self.open[-1]
        return opened, self.suspect_end if self.suspect else self.out.ends[-1]

    # ---- brackets ----

    def _bracket_or_assign(self, index: int, kind: int) -> int:
        """Handle one of the tokens in `attention`; where to go on."""
        raw, kinds = self.raw, self.kinds
        start, end = raw.starts[index], raw.ends[index]
        if kind in kinds.closer:
            if kind == kinds.names["LBRACE"]:
                self._close_brackets()
                if self._opens_nothing():
                    self._push_extra(start, end)
                    return index + 1
            if len(self.open) >= MAX_NESTING:
                return self._too_deep(index)
            self._push(kind, start, end, is_body=self._opens_body(kind))
        elif kind in kinds.closers:
            self._closing(kind, start, end, index)
        elif kind == kinds.names["EQUAL"]:
            self._equal(start, end)
        elif kind == kinds.names["ARROW"]:
            if self._is_after_inputs():
                self._close_brackets()
            self.out.add(kind, start, end)
        else:
            self._reduction_assign(kind, start, end)
        return index + 1

    def _is_after_inputs(self) -> bool:
        """Whether `->` follows the inputs of a header whose `)` is missing."""
        names, out = self.kinds.names, self.out
        if len(self.open) != 1 or self.open[0].kind != names["LPAR"]:
            return False
        follows_type = out.kinds[-1] in (names["RSQB"], names["RPAR"], names["COMMA"])
        return follows_type and self._head_kind() in (names["_DIAGRAM"], names["_OP"])

    def _push(self, kind: int, start: int, end: int, *, is_body: bool) -> None:
        indent = closers.statement_indent(self) if is_body else self.indent
        self.open.append(Open(kind, start, end, is_body, indent, self.head))
        self.out.add(kind, start, end)
        if is_body:
            self.head = len(self.out.kinds)

    def _opens_nothing(self) -> bool:
        """Whether a `{` stands in a body where a statement should start."""
        in_body = bool(self.open) and self.open[-1].is_body
        return in_body and self.head == len(self.out.kinds)

    def _push_extra(self, start: int, end: int) -> None:
        kind = self.kinds.names["LBRACE"]
        self.open.append(Open(kind, start, end, True, self.indent, self.head, True))
        self.has_extra = True
        _errors().report_extra_brace(self.out, self.open[-1])

    def _opens_body(self, kind: int) -> bool:
        names = self.kinds.names
        if kind != names["LBRACE"] or (self.open and not self.open[-1].is_body):
            return False
        return self._head_kind() not in (names["_USE"], names["_CONFIG"], names["_OP"])

    def _head_kind(self) -> int:
        """The kind of the token that the current statement starts with; 0 before it is put out."""
        return self.out.kinds[self.head] if self.head < len(self.out.kinds) else 0

    def _closing(self, kind: int, start: int, end: int, index: int) -> None:
        out, names = self.out, self.kinds.names
        if kind == names["RBRACE"] and self._is_block_without_brace():
            _errors().report_missing_brace(out)
            self._push(names["LBRACE"], out.ends[-1], out.ends[-1], is_body=True)
        place = self._matching(kind)
        if place is None:
            top = self.open[-1] if self.open else None
            if top is None or not closers.is_meant_for(self, top, kind, index):
                _errors().report_stray_closer(out, self.raw.span(index))
                return
            kind, place = self._replaced(top, index), len(self.open) - 1
        elif place < len(self.open) - 1 and closers.is_needed_later(self, kind, index):
            kind, place = self._replaced(self.open[-1], index), len(self.open) - 1
        elif place < len(self.open) - 1:
            _errors().report_unclosed(out, self.open[-1])
            self._close(place + 1)
        opened = self.open.pop()
        if opened.is_body and self.indent < opened.indent:
            if self.suspect is None:
                self.suspect, self.suspect_end = opened, out.ends[-1]
                out.has_odd_brace = True
        self.head = opened.head
        if not opened.is_extra:
            out.add(kind, start, end)

    def _replaced(self, top: Open, index: int) -> int:
        """The closer that was meant where another one stands."""
        kind = self.kinds.closer[top.kind]
        is_round = kind == self.kinds.names["RPAR"]
        _errors().report_wrong_closer(self.out, top, self.raw.span(index), is_round)
        return kind

    def _is_block_without_brace(self) -> bool:
        names = self.kinds.names
        return self._head_kind() == names["_BLOCK"] and self.out.kinds[-1] == names["STRING"]

    def _matching(self, closer: int) -> int | None:
        """Which open bracket a closer closes. Only `}` reaches out of a body."""
        is_brace = closer == self.kinds.names["RBRACE"]
        for place in range(len(self.open) - 1, -1, -1):
            if self.kinds.closer[self.open[place].kind] == closer:
                return place
            if self.open[place].is_body and not is_brace:
                return None
        return None

    def _close(self, place: int) -> None:
        """Add closers until only `place` brackets are open."""
        here = self.out.ends[-1] if self.out.ends else 0
        while len(self.open) > place:
            opened = self.open.pop()
            if not opened.is_extra:
                self.out.add(self.kinds.closer[opened.kind], here, here)
            self.head = opened.head

    def _close_until_body(self, kind: int) -> None:
        """Close what can't go on in the line that starts here: brackets, and before a keyword
        the braces of a config too."""
        if kind not in self.kinds.starters:
            self._close_brackets()
            return
        place = len(self.open)
        while place and not self.open[place - 1].is_body:
            place -= 1
        _errors().report_unclosed(self.out, self.open[-1])
        self._close(place)

    def _close_brackets(self) -> None:
        """Close all brackets inside the innermost braces: what comes can't stand in them."""
        place = len(self.open)
        while place and self.open[place - 1].kind != self.kinds.names["LBRACE"]:
            place -= 1
        if place < len(self.open):
            _errors().report_unclosed(self.out, self.open[-1])
            self._close(place)

    def _too_deep(self, index: int) -> int:
        """Leave out a bracket that nests too deep, with all that is in it."""
        raw, kinds = self.raw, self.kinds
        first = index
        depth = 0
        while raw.kinds[index]:
            depth += (raw.kinds[index] in kinds.closer) - (raw.kinds[index] in kinds.closers)
            index += 1
            if depth == 0:
                break
        self.is_swallowed = not raw.kinds[index]
        _errors().report_too_deep(self.out, raw.span(first), raw.starts[index], MAX_NESTING)
        return index

    def _end_of_file(self) -> None:
        out = self.out
        end = len(out.source.text)
        if self.open and not self.is_swallowed and not self.has_extra:
            here = out.span(len(out.kinds) - 1)
            _errors().report_open_at_end(out, self._unclosed_body(), here)
        self._close(0)
        out.add(0, end, end)

    # ---- assignments ----

    def _equal(self, start: int, end: int) -> None:
        """`=` in brackets belongs to a setting; else the `]` of the left side is missing."""
        kinds, out = self.kinds, self.out
        names = kinds.names
        top = self.open[-1] if self.open else None
        if top is not None and top.kind == names["LSQB"] and self._heads_statement(top):
            before = out.kinds[-2]
            is_setting = before in self.kinds.before_setting
            if out.kinds[-1] != names["NAME"] or not is_setting:
                _errors().report_unclosed(out, top)
                self._close(len(self.open) - 1)
        out.add(names["EQUAL"], start, end)

    def _heads_statement(self, opened: Open) -> bool:
        """Whether a bracket is open right after the name that a statement starts with."""
        out, names = self.out, self.kinds.names
        head = self.head + (self._head_kind() == names["_RETURN"])
        return out.kinds[head] == names["NAME"] and out.starts[head + 1] == opened.start

    def _reduction_assign(self, kind: int, start: int, end: int) -> None:
        """`max=` is an operator after the left side of an equation, else a setting named max."""
        kinds, out = self.kinds, self.out
        previous = out.kinds[-1] if out.kinds else 0
        in_statement = not self.open or self.open[-1].is_body
        if in_statement and previous in kinds.operand_ends:
            out.add(kind, start, end)
            return
        out.add(kinds.names["NAME"], start, end - 1)
        self._equal(end - 1, end)
