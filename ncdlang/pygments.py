"""The Pygments lexer `ncd`, for Sphinx, Jupyter and everything else that colours with Pygments.

It interprets the TextMate grammar that editors use, so that both colour a program alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, TypeAlias

from pygments import token
from pygments.lexer import Lexer

from ncdlang.resources import highlighting_text

_TOKENS = {
    "comment": token.Comment.Single,
    "comment.line.documentation": token.String.Doc,
    "constant.character.escape": token.String.Escape,
    "constant.language": token.Keyword.Constant,
    "constant.numeric": token.Number,
    "entity.name.function": token.Name.Function,
    "entity.name.namespace": token.Name.Namespace,
    "entity.name.type": token.Name.Class,
    "entity.name.type.axis": token.Name.Attribute,
    "keyword": token.Keyword,
    "keyword.control.import": token.Keyword.Namespace,
    "keyword.operator": token.Operator,
    "keyword.operator.logical": token.Operator.Word,
    "punctuation": token.Punctuation,
    "storage.modifier": token.Keyword.Pseudo,
    "storage.type": token.Keyword.Declaration,
    "string": token.String.Double,
    "support.function": token.Name.Builtin,
    "support.type": token.Keyword.Type,
    "variable": token.Name.Variable,
    "variable.other.constant": token.Name.Constant,
    "variable.other.wire": token.Name,
    "variable.parameter.setting": token.Name.Property,
}
"""Token types by scope; the longest one that a scope starts with counts."""

Piece: TypeAlias = tuple[int, Any, str]
Captures: TypeAlias = tuple[tuple[int, str], ...]


class NcdLexer(Lexer):
    """Colours neural circuit diagrams."""

    name = "NCD"
    aliases: ClassVar[Sequence[str]] = ["ncd"]
    filenames: ClassVar[Sequence[str]] = ["*.ncd"]
    mimetypes: ClassVar[Sequence[str]] = ["text/x-ncd"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[Piece]:
        """Pieces of the text with their places and token types; together they are the text."""
        return _pieces(text, _grammar().root)


class _Rule:
    """One rule of the grammar. A region goes on to its `end`, and `inside` applies in it."""

    def __init__(self, given: dict[str, Any], grammar: _Grammar) -> None:
        self._given, self._grammar = given, grammar
        self.scope: str = given.get("name", "")
        self.start = re.compile(given.get("match") or given.get("begin", ""), re.MULTILINE)
        self.end = re.compile(given["end"], re.MULTILINE) if "end" in given else None
        self.captures = _captures(given.get("captures") or given.get("beginCaptures", {}))
        self.end_captures = _captures(given.get("endCaptures", {}))

    @cached_property
    def inside(self) -> tuple[_Rule, ...]:
        """The rules of a region; found when it is entered, for rules refer to each other."""
        return self._grammar.rules(self._given["patterns"])


class _Grammar:
    """The rules by the names of their sets."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._sets: dict[str, tuple[_Rule, ...]] = {}
        self.root = _Rule(given, self)

    def rules(self, given: Sequence[dict[str, Any]]) -> tuple[_Rule, ...]:
        """Rules with included sets put in."""
        found: list[_Rule] = []
        for rule in given:
            found.extend(
                self._set(rule["include"][1:]) if "include" in rule else [_Rule(rule, self)]
            )
        return tuple(found)

    def _set(self, name: str) -> tuple[_Rule, ...]:
        if name not in self._sets:
            self._sets[name] = self.rules(self._given["repository"][name]["patterns"])
        return self._sets[name]


@cache
def _grammar() -> _Grammar:
    return _Grammar(json.loads(highlighting_text()))


def _captures(given: dict[str, dict[str, str]]) -> Captures:
    return tuple((int(group), each["name"]) for group, each in given.items())


# ---- pieces ---------------------------------------------------------------------------------


def _pieces(text: str, root: _Rule) -> Iterator[Piece]:
    stack = [root]
    place = plain = 0
    while place < len(text):
        top = stack[-1]
        rule: _Rule | None = None
        match = top.end.match(text, place) if top.end is not None else None
        if match is None:
            rule, match = _first(text, place, top.inside)
        if match is None:
            place += 1
            continue
        if plain < place:
            yield plain, token_of(top.scope, text[plain:place]), text[plain:place]
        if rule is None:
            yield from _coloured(match, top.scope, top.end_captures)
            stack.pop()
        else:
            yield from _coloured(match, rule.scope or top.scope, rule.captures)
            stack.extend([rule] if rule.end is not None else [])
        place = plain = match.end()
    if plain < place:
        yield plain, token_of(stack[-1].scope, text[plain:]), text[plain:]


def _first(
    text: str, place: int, rules: Sequence[_Rule]
) -> tuple[_Rule | None, re.Match[str] | None]:
    """The first rule that matches here, and not just the empty text."""
    for rule in rules:
        match = rule.start.match(text, place)
        if match is not None and match.end() > place:
            return rule, match
    return None, None


def _coloured(match: re.Match[str], scope: str, captures: Captures) -> Iterator[Piece]:
    """The pieces of a match: its groups, and what is between them."""
    text, place = match.string, match.start()
    spans = [(*match.span(group), inner) for group, inner in captures]
    for start, end, inner in (*spans, (match.end(), match.end(), scope)):
        if start > place:
            yield place, token_of(scope, text[place:start]), text[place:start]
        if end > start:
            yield start, token_of(inner, text[start:end]), text[start:end]
        place = end


def token_of(scope: str, text: str) -> Any:
    """The token type of a scope; `text` tells blanks from what the grammar does not know."""
    parts = scope.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    found = next((_TOKENS[name] for name in names if name in _TOKENS), None)
    return found or (token.Whitespace if text.isspace() else token.Error)
