"""The parser's tables: plain data that Lark computes from the grammar and a cache file keeps."""

from __future__ import annotations

from typing import Any

from ncdlang import resources
from ncdlang.records import fields, record

FORMAT = 2
"""Raise it whenever `Tables`, or how it or the keys of `likeness` are computed, changes: then old
cache files are ignored."""

NOT_A_TOKEN = ("$END", "COMMENT", "BLANK")
"""Terminals that the lexer never hands on as ordinary tokens; they have the lowest numbers."""


@record
class Rule:
    """One production. `symbol` is the number of its left side.

    `parts` says what the action gets: (place on the right side, splice it, how many absent
    optional parts stand before it); `absent` is how many of those follow the last part.
    A `unit` rule has no action of its own: its only part is its value.
    """

    symbol: int
    length: int
    action: str
    unit: bool
    parts: tuple[tuple[int, bool, int], ...]
    absent: int


@record
class Sample:
    """What to say about a mistake of one kind; texts may hold `{found}` and `{previous}`."""

    code: str
    message: str
    label: str
    help: str
    insert: str
    replace: str


@record
class Tables:
    """LALR(1) tables over numbered symbols: terminals first, then the other symbols.

    `rows[state]` maps a symbol to the state that follows it, or to `-1 - rule` where a rule is
    to be reduced. `patterns` holds the terminals' regular expressions in matching order,
    `likeness` which sample a mistake is like, by its keys.
    """

    terminals: tuple[str, ...]
    symbols: tuple[str, ...]
    patterns: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    rows: tuple[dict[int, int], ...]
    start: int
    end: int
    samples: tuple[Sample, ...]
    likeness: dict[str, int]

    def kind(self, name: str) -> int:
        """The number of a terminal."""
        return self.terminals.index(name)


def to_data(tables: Tables) -> dict[str, Any]:
    """Tables as JSON data."""
    data = {name: getattr(tables, name) for name in fields(tables)}
    data["rules"] = [_values(rule) for rule in tables.rules]
    data["rows"] = [[part for pair in row.items() for part in pair] for row in tables.rows]
    data["samples"] = [_values(sample) for sample in tables.samples]
    return data


def _values(value: Rule | Sample) -> list[Any]:
    return [getattr(value, name) for name in fields(value)]


def from_data(data: dict[str, Any]) -> Tables:
    """The inverse of `to_data`; raises KeyError, TypeError or ValueError on anything else."""
    return Tables(
        terminals=tuple(data["terminals"]),
        symbols=tuple(data["symbols"]),
        patterns=tuple((name, pattern) for name, pattern in data["patterns"]),
        rules=tuple(
            Rule(symbol, length, action, unit, tuple((a, b, c) for a, b, c in parts), absent)
            for symbol, length, action, unit, parts, absent in data["rules"]
        ),
        rows=tuple(dict(zip(row[::2], row[1::2], strict=True)) for row in data["rows"]),
        start=data["start"],
        end=data["end"],
        samples=tuple(Sample(*sample) for sample in data["samples"]),
        likeness=data["likeness"],
    )


def load_tables() -> Tables:
    """The tables of the language, from the cache if it has them."""
    from ncdlang.syntax import cache as store

    key = store.Key(FORMAT, resources.grammar_text(), resources.syntax_errors_text())
    found = store.load(key)
    if found is not None:
        try:
            return from_data(found)
        except (KeyError, TypeError, ValueError):
            pass
    from ncdlang.syntax.generate import generate

    made = generate(key.grammar, key.errors)
    store.save(key, to_data(made))
    return made
