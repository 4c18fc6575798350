"""The LALR automaton: the tables in the form that the parser runs on, and dry runs on states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ncdlang.records import record
from ncdlang.syntax.tables import Rule, Tables

Pick: TypeAlias = Callable[[list[Any]], list[Any]]


@record(eq=False)
class Automaton:
    """`picks[rule]` gets an action's arguments from the values of a right side, None for all.

    `follow` remembers, for (state, symbol, token after it), the state after the symbol and all
    the unit rules that the token decides, which are most of the steps in an expression.
    `statement_states` are the states in which a statement, or a declaration, may start.
    """

    rows: tuple[dict[int, int], ...]
    rules: tuple[Rule, ...]
    picks: tuple[Pick | None, ...]
    start: int
    end: int
    terminal_count: int
    follow: dict[int, int]
    statement_states: frozenset[int]
    file_states: frozenset[int]

    def after_units(self, state: int, symbol: int, lookahead: int) -> int:
        """The state after `symbol`, and after the unit rules that apply to it."""
        row = self.rows[state]
        reached = row[symbol]
        while True:
            action = self.rows[reached].get(lookahead, 0)
            if action >= 0 or not self.rules[-1 - action].unit:
                return reached
            reached = row[self.rules[-1 - action].symbol]

    def advance(self, states: list[int], kind: int) -> bool:
        """Shift a token on a stack of states, after the reductions it asks for; False if it can't
        come next (then the stack is spoilt)."""
        while True:
            action = self.rows[states[-1]].get(kind)
            if action is None:
                return kind == 0 and states[-1] == self.end
            if action >= 0:
                states.append(action)
                return True
            rule = self.rules[-1 - action]
            if rule.length:
                del states[-rule.length :]
            states.append(self.rows[states[-1]][rule.symbol])

    def accepts(self, states: Sequence[int], kind: int) -> bool:
        """Whether a token can come next. Looks at the stack without copying it."""
        depth = len(states)
        above: list[int] = []
        while True:
            top = above[-1] if above else states[depth - 1]
            action = self.rows[top].get(kind)
            if action is None:
                return kind == 0 and top == self.end
            if action >= 0:
                return True
            rule = self.rules[-1 - action]
            kept = len(above) - rule.length
            if kept < 0:
                depth += kept
            del above[max(kept, 0) :]
            top = above[-1] if above else states[depth - 1]
            above.append(self.rows[top][rule.symbol])

    def accepted(self, states: Sequence[int]) -> frozenset[int]:
        """All tokens that can come next."""
        offered = (kind for kind in self.rows[states[-1]] if kind < self.terminal_count)
        found = {kind for kind in offered if self.accepts(states, kind)}
        if states[-1] == self.end:
            found.add(0)
        return frozenset(found)


def make_automaton(tables: Tables) -> Automaton:
    """The automaton for given tables."""
    statement = tables.symbols.index("statement")
    declaration = tables.symbols.index("declaration")
    in_body = frozenset(state for state, row in enumerate(tables.rows) if statement in row)
    in_file = frozenset(state for state, row in enumerate(tables.rows) if declaration in row)
    return Automaton(
        rows=tables.rows,
        rules=tables.rules,
        picks=tuple(_pick(rule) for rule in tables.rules),
        start=tables.start,
        end=tables.end,
        terminal_count=len(tables.terminals),
        follow={},
        statement_states=in_body | in_file,
        file_states=in_file,
    )


def _pick(rule: Rule) -> Pick | None:
    parts, absent = rule.parts, rule.absent
    places = [place for place, _, _ in parts]
    plain = not absent and not any(splice or gap for _, splice, gap in parts)
    if plain and places == list(range(rule.length)):
        return None
    if plain and len(places) == 1:
        only = places[0]
        return lambda values: [values[only]]
    if plain:
        return lambda values: [values[place] for place in places]
    if parts and parts[0][1] and not parts[0][2]:
        first = places[0]
        if len(parts) == 2 and not parts[1][1] and not parts[1][2] and not absent:
            return _appending(first, places[1])
        return lambda values: _extend(values[first], values, parts[1:], absent)
    return lambda values: _extend([], values, parts, absent)


def _appending(first: int, item: int) -> Pick:
    """For a list and one more item, by far the most frequent case."""

    def pick(values: list[Any]) -> list[Any]:
        out: list[Any] = values[first]
        out.append(values[item])
        return out

    return pick


def _extend(
    out: list[Any], values: list[Any], parts: tuple[tuple[int, bool, int], ...], absent: int
) -> list[Any]:
    """Add the parts to `out`: a new list, or one that a rule made and nobody else holds."""
    for place, splice, gap in parts:
        if gap:
            out.extend([None] * gap)
        if splice:
            out.extend(values[place])
        else:
            out.append(values[place])
    if absent:
        out.extend([None] * absent)
    return out
