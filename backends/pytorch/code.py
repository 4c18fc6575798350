"""Pieces of Python text that know how tightly they bind."""

from __future__ import annotations

import math
from typing import NamedTuple

CONDITIONAL, OR, AND, NOT, COMPARE, BIT_OR, BIT_AND, SUM, PRODUCT, UNARY, POWER, ATOM = range(12)


class Code(NamedTuple):
    """An expression. `level` is the binding strength of its outermost operator."""

    text: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """The text, in parentheses unless it binds at least as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"

    def method(self, call: str) -> Code:
        """`expression.call`, where `call` is written with its parentheses."""
        return Code(f"{self.at(ATOM)}.{call}")

    def index(self, items: str) -> Code:
        """`expression[items]`."""
        return Code(f"{self.at(ATOM)}[{items}]")


def infix(operator: str, level: int, left: Code, right: Code) -> Code:
    """A left-associative binary operator."""
    return Code(f"{left.at(level)} {operator} {right.at(level + 1)}", level)


def call(function: str, *arguments: str) -> Code:
    """A function call."""
    return Code(f"{function}({', '.join(arguments)})")


def number(value: float | int | bool, whole: bool = False) -> Code:
    """A literal. With `whole`, a real that is a small whole number is written without its `.0`."""
    if isinstance(value, bool):
        return Code(repr(value))
    if value < 0 or (value == 0 and math.copysign(1, value) < 0):
        return Code(f"-{number(-value, whole).text}", UNARY)
    if isinstance(value, float):
        if math.isnan(value):
            return Code("math.nan")
        if math.isinf(value):
            return Code("math.inf")
        if value == math.pi:
            return Code("math.pi")
        if whole and value.is_integer() and value < 2**31:
            return Code(str(int(value)))
        short = f"{value:g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
        return Code(short if float(short) == value and "e" in short else repr(value))
    return Code(repr(value))


def listed(items: list[str]) -> str:
    """A tuple of one or more items, the brackets left off where there is only one."""
    return items[0] if len(items) == 1 else f"({', '.join(items)})"
