"""Computes the parser's tables with Lark. The only module that imports Lark, and it is slow:
it runs once, then the cache has its result.
"""

from __future__ import annotations

from typing import Any, cast

from ncdlang.syntax.tables import NOT_A_TOKEN, Rule, Tables


def generate(grammar: str, errors: str) -> Tables:
    """The tables of a grammar, with the samples of mistakes located in them."""
    tables = tables_of_grammar(grammar)
    if not errors:
        return tables
    from ncdlang.syntax.samples import locate_samples

    return locate_samples(tables, errors)


def tables_of_grammar(grammar: str) -> Tables:
    """The tables alone."""
    from lark import Lark

    lark: Any = Lark(grammar, parser="lalr", lexer="basic", start="file", maybe_placeholders=True)
    table = lark.parser.parser._parse_table
    terminals = _terminal_names(lark)
    rules = list(lark.rules)
    others = list(dict.fromkeys(rule.origin.name for rule in rules))
    symbols = [*terminals, *others]
    number = {symbol: place for place, symbol in enumerate(symbols)}
    rule_number = {id(rule): place for place, rule in enumerate(rules)}
    rows: list[dict[int, int]] = []
    for state in range(len(table.states)):
        row: dict[int, int] = {}
        for symbol, (action, argument) in table.states[state].items():
            shifts = action.name == "Shift"
            row[number[symbol]] = argument if shifts else -1 - rule_number[id(argument)]
        rows.append(row)
    return Tables(
        terminals=tuple(terminals),
        symbols=tuple(symbols),
        patterns=tuple(_patterns(lark)),
        rules=tuple(_rule(rule, number) for rule in rules),
        rows=tuple(rows),
        start=table.start_states["file"],
        end=table.end_states["file"],
        samples=(),
        likeness={},
    )


def _terminal_names(lark: Any) -> list[str]:
    names = [terminal.name for terminal in lark.terminals]
    return [*NOT_A_TOKEN, *(name for name in names if name not in NOT_A_TOKEN)]


def _patterns(lark: Any) -> list[tuple[str, str]]:
    """Regular expressions in the order in which Lark's own lexer would try them."""
    return [
        (terminal.name, terminal.pattern.to_regexp()) for terminal in lark.parser.lexer.terminals
    ]


def _rule(rule: Any, number: dict[str, int]) -> Rule:
    """How Lark would shape the children of a rule, for our own builder."""
    name = cast(str, rule.origin.name)
    parts: list[tuple[int, bool, int]] = []
    gaps = _gaps(rule)
    absent = 0
    for place, symbol in enumerate(rule.expansion):
        absent += gaps[place]
        if not (symbol.is_term and symbol.filter_out):
            splice = not symbol.is_term and symbol.name.startswith("_")
            parts.append((place, splice, absent))
            absent = 0
    absent += gaps[-1]
    is_list = name.startswith("_")
    unit = (
        bool(rule.options.expand1)
        and rule.alias is None
        and len(rule.expansion) == len(parts) == 1
        and not is_list
    )
    action = "" if is_list else cast(str, rule.alias or name)
    return Rule(number[name], len(rule.expansion), action, unit, tuple(parts), absent)


def _gaps(rule: Any) -> list[int]:
    """How many absent optional parts stand before each symbol and after the last."""
    flags = rule.options.empty_indices
    if not flags:
        return [0] * (len(rule.expansion) + 1)
    return [len(run) for run in "".join("1" if flag else "0" for flag in flags).split("0")]
