"""Elementwise primitives in Triton, each on texts that broadcast."""

from __future__ import annotations

from collections.abc import Callable

INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "&",
    "or": "|",
}

CALLS: dict[str, str] = {
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "log1p": "tl.log(1.0 + {0})",
    "expm1": "(tl.exp({0}) - 1.0)",
    "sqrt": "tl.sqrt({0})",
    "rsqrt": "tl.rsqrt({0})",
    "sin": "tl.sin({0})",
    "cos": "tl.cos({0})",
    "tan": "(tl.sin({0}) / tl.cos({0}))",
    "tanh": "(2.0 * tl.sigmoid(2.0 * {0}) - 1.0)",
    "sigmoid": "tl.sigmoid({0})",
    "erf": "tl.erf({0})",
    "floor": "tl.floor({0})",
    "ceil": "tl.ceil({0})",
    "abs": "tl.abs({0})",
    "sign": "(({0} > 0).to(tl.float32) - ({0} < 0).to(tl.float32))",
    "max": "tl.maximum({0}, {1})",
    "min": "tl.minimum({0}, {1})",
    "select": "tl.where({0}, {1}, {2})",
    "mod": "((({0} % {1}) + {1}) % {1})",
    "floordiv": "(({0} - ((({0} % {1}) + {1}) % {1})) // {1})",
    "not": "({0} == 0)",
}

SUPPORTED = frozenset(INFIX) | frozenset(CALLS) | {"div", "neg", "pow", "real", "cast"}

# What these mean for integers is not what Triton makes of them.
REAL_ARGUMENTS = frozenset(CALLS) - {"abs", "max", "min", "select", "mod", "floordiv", "not"}

Write = Callable[[str], str]


def number(value: float | int | bool) -> str:
    """A constant as a person writes it."""
    if isinstance(value, bool):
        return "True" if value else "False"
    if value in (float("inf"), float("-inf")):
        return f'float("{"-" if value < 0 else ""}inf")'
    return repr(value)


def power(base: str, exponent: float | int | None, text: str) -> str:
    """A power: small whole exponents are products."""
    if exponent is not None and exponent == int(exponent) and 0 < abs(exponent) <= 8:
        product = " * ".join([base] * int(abs(exponent)))
        return f"({product})" if exponent > 0 else f"(1.0 / ({product}))"
    if exponent == 0.5:
        return f"tl.sqrt({base})"
    if exponent == -0.5:
        return f"tl.rsqrt({base})"
    return f"tl.exp({text} * tl.log({base}))"
