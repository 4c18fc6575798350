"""One run of the automaton over the tokens of a text, building the tree as it goes."""

from __future__ import annotations

from typing import Any

from ncdlang.source import Span
from ncdlang.syntax import tree
from ncdlang.syntax.build import Action, Builder
from ncdlang.syntax.language import Language
from ncdlang.syntax.lexer import Tokens


def _only(args: list[Any], _start: int, _end: int) -> Any:
    return args[0]


def _all(args: list[Any], _start: int, _end: int) -> Any:
    return args


class Run:
    """The stacks of a parse: states, and for each symbol its value and its first token.

    The value of a name is a `Name`, of any other token its index, of a spliced rule a list.
    """

    def __init__(self, language: Language, tokens: Tokens) -> None:
        self.language = language
        self.machine = language.automaton
        self.tokens = tokens
        self.builder = Builder(tokens, language.lexicon.literals)
        self.name_kind = language.lexicon.names["NAME"]
        self.actions: list[Action] = [
            _only if rule.unit else self.builder.action(rule.action) if rule.action else _all
            for rule in self.machine.rules
        ]
        # A reduction is `-1 - rule` in the tables, so in reverse order it is its own index.
        self.reductions = [
            (rule.symbol, rule.length, pick, action)
            for rule, pick, action in zip(
                self.machine.rules, self.machine.picks, self.actions, strict=True
            )
        ][::-1]
        self.states = [self.machine.start]
        self.values: list[Any] = []
        self.begins: list[int] = []

    def drive(self, index: int) -> int:
        """Parse from a token on; the token that can't be parsed, or -1 at the end of the text.

        This is the hot loop: one turn for each shift and each reduction of a rule with an action.
        """
        machine, tokens = self.machine, self.tokens
        rows, reductions = machine.rows, self.reductions
        follow, name_kind = machine.follow, self.name_kind
        states, values, begins = self.states, self.values, self.begins
        kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
        source, text, renamed = tokens.source, tokens.source.text, tokens.renamed
        make_name, make_span = tree.Name, Span
        kind = kinds[index]
        state = states[-1]
        while True:
            action = rows[state].get(kind)
            if action is None:
                return -1 if kind == 0 and state == machine.end else index
            if action >= 0:
                start = starts[index]
                if kind == name_kind:
                    end = ends[index]
                    written = text[start:end]
                    if renamed:
                        written = renamed.get(start, written)
                    values.append(make_name(written, make_span(source, start, end)))
                else:
                    values.append(index)
                begins.append(index)
                symbol = kind
                index += 1
                kind = kinds[index]
            else:
                symbol, length, pick, act = reductions[action]
                if length:
                    first = begins[-length]
                    args = values[-length:]
                    del values[-length:], begins[-length:], states[-length:]
                else:
                    first, args = index, []
                if pick is not None:
                    args = pick(args)
                values.append(act(args, starts[first], ends[index - 1]))
                begins.append(first)
                state = states[-1]
            key = (state << 16) | (symbol << 8) | kind
            reached = follow.get(key)
            if reached is None:
                reached = follow[key] = machine.after_units(state, symbol, kind)
            states.append(reached)
            state = reached

    def feed(self, kind: int, index: int, value: Any, first: int | None = None) -> None:
        """Shift a token that is not in the text, right before the one at `index`. It must fit.

        `first` is the token that it counts as, if not that one.
        """
        machine, tokens = self.machine, self.tokens
        while True:
            action = machine.rows[self.states[-1]][kind]
            if action >= 0:
                self._push(action, value, index if first is None else first)
                return
            rule = machine.rules[-1 - action]
            args, begin = self._pop(rule.length, index)
            pick = machine.picks[-1 - action]
            if pick is not None:
                args = pick(args)
            made = self.actions[-1 - action](args, tokens.starts[begin], tokens.ends[index - 1])
            self._push(machine.rows[self.states[-1]][rule.symbol], made, begin)

    def feed_token(self, index: int) -> None:
        """Shift a token of the text, without the reductions that the token after it asks for."""
        self.feed(self.tokens.kinds[index], index, self._value(index))

    def cut(self, depth: int) -> None:
        """Forget all symbols above a depth."""
        del self.states[depth + 1 :], self.values[depth:], self.begins[depth:]

    def file(self) -> tree.File:
        """What was parsed, at the end of the text."""
        file: tree.File = self.values[-1]
        return file

    def _value(self, index: int) -> Any:
        if self.tokens.kinds[index] != self.name_kind:
            return index
        start = self.tokens.starts[index]
        written = self.tokens.renamed.get(start, self.tokens.text(index))
        return tree.Name(written, self.tokens.span(index))

    def _push(self, state: int, value: Any, first: int) -> None:
        self.states.append(state)
        self.values.append(value)
        self.begins.append(first)

    def _pop(self, length: int, index: int) -> tuple[list[Any], int]:
        if not length:
            return [], index
        args, first = self.values[-length:], self.begins[-length]
        del self.values[-length:], self.begins[-length:], self.states[-length:]
        return args, first
