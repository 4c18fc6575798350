"""Goes on after a syntax error: mends it with one token, or leaves the statement out.

One statement gives one error. What is left out or guessed is a broken region, so that later
passes don't report what follows from it.
"""

from __future__ import annotations

from bisect import bisect_left

from ncdlang.diagnostics import Diagnostic, Label
from ncdlang.records import replace
from ncdlang.source import Span
from ncdlang.syntax import errors, tree
from ncdlang.syntax.mistake import Mistake
from ncdlang.syntax.run import Run

_MOST_MISTAKES = 100
"""How many mistakes are worth explaining."""

_INSERTED = ("ARROW", "EQUAL", "COLON", "COMMA", "DOT")
"""Tokens that are tried as missing, in this order. Brackets are balanced before parsing."""

_HEADER = ("_DIAGRAM", "NAME", "LPAR", "RPAR", "ARROW", "LSQB", "RSQB")
"""Stands for a diagram's header that can't be parsed, so that its body still is."""


class Recovery:
    """The errors of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.tokens = run.tokens
        self.machine = run.machine
        self.names = run.language.lexicon.names
        self.kinds = run.language.kinds
        self.flaws = sorted(
            place
            for finding in self.tokens.findings
            for place in (finding.span.start, *(label.span.start for label in finding.labels))
        )
        self.mistakes: list[Mistake] = []
        self._quiet = 0
        self._floor = 0
        self._mended = -1
        self._last = -1

    def recover(self, index: int) -> int:
        """Report the token at which a run stopped, mend the stacks; where to go on."""
        if index == self._last:
            return self._force(index)
        self._last = index
        begin, base = self._statement_start(index)
        is_reported = index < self._quiet or begin <= self._mended
        if base is not None and not is_reported:
            self._redo(begin, index, base)
        mistake = self._mistake(index, begin)
        if not is_reported and mistake.starts_statement():
            self._report(mistake, index)
            self._end_statement(index)
            return index
        end = self._statement_end(index, in_file=mistake.in_file)
        header = None if base is None else self._header_brace(mistake, end)
        if base is not None and mistake.in_file and header is None:
            end = self._skip_statements(end)
        if not is_reported:
            self._quiet = end if header is None else header
            self.tokens.broken.append(self._report(mistake, self._quiet))
            mended = self._mend(mistake, index)
            if mended is not None:
                return mended
        return self._skip(begin, base, header, end)

    def _skip(self, begin: int, base: int | None, header: int | None, end: int) -> int:
        """Leave a statement out; where to go on."""
        if base is None:
            return end
        self.run.cut(base)
        if header is None:
            return end
        self._stand_in(begin, header)
        return header

    # ---- where the statement starts and ends ----

    def _statement_start(self, index: int) -> tuple[int, int | None]:
        """The first token of the statement that an error is in, and the depth of the stacks before
        it; None where the statement was complete before the error."""
        names, kinds, run = self.names, self.tokens.kinds, self.run
        if index and kinds[index - 1] == names["RBRACE"]:
            return index, None
        boundaries = (names["_NEWLINE"], names["LBRACE"])
        begin = index
        while True:
            while begin > self._floor and kinds[begin - 1] not in boundaries:
                begin -= 1
            base = bisect_left(run.begins, begin)
            if run.states[base] in self.machine.statement_states:
                return begin, base
            if begin <= self._floor or kinds[begin - 1] == names["_NEWLINE"]:
                return index, None
            begin -= 1

    def _statement_end(self, index: int, *, in_file: bool) -> int:
        """The line end or the closing brace after the statement that a token is in."""
        names, kinds = self.names, self.tokens.kinds
        depth = 0
        while kinds[index]:
            kind = kinds[index]
            if depth <= 0 and kind == names["_NEWLINE"]:
                break
            if kind == names["RBRACE"]:
                if depth <= 0 and not in_file:
                    break
                depth -= 1
            depth += kind == names["LBRACE"]
            index += 1
        return index

    def _skip_statements(self, end: int) -> int:
        """Beyond all statements that stand outside a diagram: they have the same cause."""
        kinds = self.tokens.kinds
        while kinds[end] and not self._is_declaration(end + 1):
            end = self._statement_end(end + 1, in_file=True)
        return end

    def _is_declaration(self, index: int) -> bool:
        kind = self.tokens.kinds[index]
        return kind in self.kinds.file_only or kind in (self.names["_AXIS"], self.names["_ASSERT"])

    def _header_brace(self, mistake: Mistake, end: int) -> int | None:
        """The `{` of the diagram or block in whose header an error is."""
        names, kinds = self.names, self.tokens.kinds
        head = names["_DIAGRAM"] if mistake.in_file else names["_BLOCK"]
        if kinds[mistake.begin] != head:
            return None
        for place in range(mistake.index, end):
            if kinds[place] == names["LBRACE"]:
                return place
        return None

    # ---- what is wrong ----

    def _redo(self, begin: int, index: int, base: int) -> None:
        """Parse a statement again up to an error, without the reductions that the wrong token
        caused: they would hide what else could have come."""
        self.run.cut(base)
        for place in range(begin, index):
            self.run.feed_token(place)

    def _mistake(self, index: int, begin: int) -> Mistake:
        states = tuple(self.run.states)
        accepted = self.machine.accepted(states)
        in_file = not any(
            state in self.machine.statement_states - self.machine.file_states for state in states
        )
        return Mistake(self.run.language, self.tokens, index, begin, states, accepted, in_file)

    def _report(self, mistake: Mistake, end: int) -> Span:
        """Report a mistake, unless something in its statement is reported already; the region
        from the start of the statement to the token `end`."""
        self.mistakes.append(mistake)
        starts, ends = self.tokens.starts, self.tokens.ends
        last = max(ends[end - 1], ends[mistake.index])
        region = Span(self.tokens.source, starts[mistake.begin], last)
        if len(self.mistakes) <= _MOST_MISTAKES and not self._has_flaw(mistake.begin, end):
            found = errors.explain(mistake)
            if mistake.in_file and mistake.index == mistake.begin:
                found = self._with_closer(found, end)
            self.tokens.findings.append(found)
        return region

    def _with_closer(self, found: Diagnostic, end: int) -> Diagnostic:
        """What is said of statements outside a diagram, together with the `}` that closes nothing
        after them: it is the same mistake."""
        findings, kinds = self.tokens.findings, self.tokens.kinds
        last = self.tokens.starts[end + 1] if kinds[end] else self.tokens.starts[end]
        for other in findings:
            if other.code == "NCD1011" and found.span.start < other.span.start <= last:
                findings.remove(other)
                label = Label(other.span, other.message)
                return replace(found, labels=(*found.labels, label))
        return found

    def _has_flaw(self, begin: int, end: int) -> bool:
        """Whether something is reported already on the lines of a statement, from the token before
        it, or the start of its line, to the end of its last line."""
        tokens, text = self.tokens, self.tokens.source.text
        before = tokens.ends[begin - 1] if begin else 0
        first = max(before, text.rfind("\n", before, tokens.starts[begin]) + 1)
        last = text.find("\n", tokens.ends[end - 1] if end else 0)
        place = bisect_left(self.flaws, first)
        return place < len(self.flaws) and (last < 0 or self.flaws[place] <= last)

    # ---- going on ----

    def _end_statement(self, index: int) -> None:
        """Add the line end that is missing before a token."""
        self.run.feed(self.names["_NEWLINE"], index, index, index - 1)
        self._quiet, self._floor, self._mended = index, index, -1

    def _mend(self, mistake: Mistake, index: int) -> int | None:
        """Read a keyword as a name or add one token, if the text then goes on well. Where to go
        on; None if nothing helps."""
        names, tokens, run = self.names, self.tokens, self.run
        if mistake.is_keyword_as_name():
            run.feed(names["NAME"], index, tree.Name(tokens.text(index), tokens.span(index)))
            self._mended = index
            return index + 1
        if index == mistake.begin:
            return None
        for terminal in _INSERTED:
            if mistake.fits(names[terminal]):
                run.feed(names[terminal], index, -1 - names[terminal])
                self._mended = index
                return index
        return None

    def _stand_in(self, begin: int, brace: int) -> None:
        """Put an empty header on the stacks; the builder drops a diagram without a name."""
        names, tokens, run = self.names, self.tokens, self.run
        place = Span(tokens.source, tokens.starts[brace], tokens.starts[brace])
        if tokens.kinds[begin] == names["_BLOCK"]:
            run.feed(names["_BLOCK"], begin, begin)
            run.feed(names["STRING"], begin, begin)
            return
        for terminal in _HEADER:
            value = tree.Name("", place) if terminal == "NAME" else begin
            run.feed(names[terminal], begin, value)

    def _force(self, index: int) -> int:
        """Drop a token where nothing else helps, at the end of the text the open declaration: so
        every parse ends."""
        self._mended = index
        if self.tokens.kinds[index]:
            return index + 1
        states = self.run.states
        whole = (i for i, state in enumerate(states) if state in self.machine.file_states)
        self.run.cut(max(whole))
        return index
