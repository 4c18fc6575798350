"""Elementwise primitives in Triton, each on texts that broadcast.

Those that Triton has in no form that is exact near 0 are functions of their own (`functions`).
"""

from __future__ import annotations

import re

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
    "log1p": "_log1p({0})",
    "expm1": "_expm1({0})",
    "sqrt": "tl.sqrt({0})",
    "rsqrt": "tl.rsqrt({0})",
    "sin": "tl.sin({0})",
    "cos": "tl.cos({0})",
    "tan": "(tl.sin({0}) / tl.cos({0}))",
    "tanh": "_tanh({0})",
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
    "still": "{0}",
}

# Kernels' variables have no leading underscore.
FUNCTIONS: dict[str, str] = {
    # Cephes, tanhf.c: the odd polynomial holds to one unit in the last place below 0.625.
    "_tanh": """@triton.jit
def _tanh(x):
    z = x * x
    near = ((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z
    near = ((near + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x
    far = 1.0 - 2.0 * tl.sigmoid(-2.0 * tl.abs(x))
    return tl.where(tl.abs(x) < 0.625, near, tl.where(x < 0.0, -far, far))


""",
    "_expm1": """@triton.jit
def _expm1(x):
    half = _tanh(tl.minimum(tl.maximum(0.5 * x, -0.5), 0.5))
    return tl.where(tl.abs(x) < 1.0, 2.0 * half / (1.0 - half), tl.exp(x) - 1.0)


""",
    # Kahan: what rounding 1 + x adds to x stands in both logarithm and divisor.
    "_log1p": """@triton.jit
def _log1p(x):
    one = 1.0 + x
    moved = tl.where((one == 1.0) | (tl.abs(one) > 3e38), 1.0, one - 1.0)
    near = tl.log(one) * (tl.where(tl.abs(one) > 3e38, 1.0, x) / moved)
    return tl.where(one == 1.0, x, near)


""",
}

SUPPORTED = frozenset(INFIX) | frozenset(CALLS) | {"div", "neg", "pow", "real", "cast"}

# What these mean for integers is not what Triton makes of them.
REAL_ARGUMENTS = frozenset(CALLS) - {"abs", "max", "min", "select", "mod", "floordiv", "not"}


def functions(text: str) -> tuple[str, ...]:
    """The functions that a kernel calls, after those that they call."""
    wanted = [name for name in FUNCTIONS if re.search(rf"\b{name}\(", text)]
    every = text + "".join(FUNCTIONS[name] for name in wanted)
    return tuple(body for name, body in FUNCTIONS.items() if re.search(rf"\b{name}\(", every))


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
