"""What the terminals are called in messages."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.syntax.lexer import Lexicon, Tokens

_CALLED = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "_NEWLINE": "the end of the line",
    "$END": "the end of the file",
}

_GROUPS = (
    ("an expression", "NAME NUMBER STRING LPAR _SIZE MINUS NOT _BLOCK"),
    ("an operator", "COMPOSE BESIDE OR AND PLUS MINUS TIMES DIVIDE FLOOR_DIVIDE MODULO POWER"),
    ("a comparison", "EQUALS DIFFERS AT_MOST AT_LEAST LESS GREATER"),
    ("an assignment", "ADD_ASSIGN MULTIPLY_ASSIGN MAX_ASSIGN MIN_ASSIGN"),
    ("a declaration", "_USE _CONFIG _OP _DIAGRAM _CONST _AXIS _ASSERT"),
    ("a statement", "_LEARN _RETURN _AXIS _ASSERT _BLOCK NAME"),
)
"""Sets of terminals that are named together when all of them are expected, in this order."""

_FIRST = (
    *("RPAR", "RSQB", "RBRACE", "EQUAL", "COLON"),
    *("ARROW", "COMMA", "LBRACE", "LPAR", "LSQB"),
)
_MOST = 4


def found(lexicon: Lexicon, tokens: Tokens, index: int) -> str:
    """The token at an index, as a message names what it found."""
    kind = tokens.kinds[index]
    text = tokens.text(index)
    if kind == 0:
        return _CALLED["$END"]
    if kind == lexicon.names["_NEWLINE"]:
        return _CALLED["_NEWLINE"]
    if kind == lexicon.names["STRING"]:
        return _CALLED["STRING"]
    if text in lexicon.words:
        return f"the keyword `{text}`"
    return f"`{text or lexicon.literals.get(kind, '')}`"


def expected(lexicon: Lexicon, kinds: Iterable[int]) -> str:
    """A set of terminals as an enumeration: "`]`, `,` or an operator"."""
    left = set(kinds)
    names = lexicon.names
    said: list[str] = []
    for words, members in _GROUPS:
        group = {names[name] for name in members.split()}
        if group <= left:
            said.append(words)
            left -= group
    first = [names[name] for name in _FIRST if names[name] in left]
    others = sorted(left - set(first), key=lambda kind: (kind == 0, kind))
    single = [_called(lexicon, kind) for kind in (*first, *others)]
    listed = [*single, *said] if len(single) <= _MOST else [*single[: _MOST - len(said)], *said]
    if len(listed) > 1:
        return f"{', '.join(listed[:-1])} or {listed[-1]}"
    return listed[0] if listed else "something else"


def _called(lexicon: Lexicon, kind: int) -> str:
    for name, number in lexicon.names.items():
        if number == kind and name in _CALLED:
            return _CALLED[name]
    text = lexicon.literals[kind]
    return f"the keyword `{text}`" if text in lexicon.words else f"`{text}`"
