"""The primitives that are true operators: elementwise functions and reductions.

Everything else (softmax, norms, activations) is defined by equations in the standard library.
A backend gives each name here its own implementation.
"""

from __future__ import annotations

# name -> number of arguments. Infix operators appear under their names.
ELEMENTWISE: dict[str, int] = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "pow": 2,
    "floordiv": 2,
    "mod": 2,
    "neg": 1,
    "eq": 2,
    "ne": 2,
    "lt": 2,
    "le": 2,
    "gt": 2,
    "ge": 2,
    "and": 2,
    "or": 2,
    "not": 1,
    "max": 2,
    "min": 2,
    "real": 1,
    "cast": 1,
    "abs": 1,
    "sign": 1,
    "exp": 1,
    "log": 1,
    "log1p": 1,
    "expm1": 1,
    "sqrt": 1,
    "rsqrt": 1,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "tanh": 1,
    "sigmoid": 1,
    "erf": 1,
    "floor": 1,
    "ceil": 1,
    "round": 1,
}

INFIX: dict[str, str] = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "^": "pow",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "and": "and",
    "or": "or",
}

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
LOGICAL = frozenset({"and", "or", "not"})

# Functions of one or two arguments that a file calls by name: `exp(x)`, `max(a, b)`.
# What `ncdlang.semantics.stages` implements.
STAGES = ("id", "route", "einsum", "scale")
FUNCTIONS: frozenset[str] = (
    frozenset(ELEMENTWISE) - frozenset(INFIX.values()) - {"neg", "not", "cast"}
)

# name -> whether it has an identity, so that an empty axis is allowed.
REDUCTIONS: dict[str, bool] = {
    "sum": True,
    "prod": True,
    "any": True,
    "all": True,
    "norm": True,
    "logsumexp": True,
    "max": False,
    "min": False,
    "mean": False,
    "argmax": False,
    "argmin": False,
}
