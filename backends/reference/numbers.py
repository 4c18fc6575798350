"""Scalars: the elementwise primitives and reductions on single numbers.

Reals are `numpy.float64`, so that dividing by zero and overflow give what IEEE 754 says; naturals
and indices are Python's `int`, truth values its `bool`, complex numbers `numpy.complex128`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ncdlang.semantics.types import Kind

Number = Any
Operation = Callable[..., Number]

DTYPES: dict[str, type[np.generic]] = {
    "real": np.float64,
    "natural": np.int64,
    "integer": np.int64,
    "boolean": np.bool_,
    "complex": np.complex128,
}
_RANK = {"boolean": 0, "natural": 1, "integer": 1, "real": 2, "complex": 3}


def _whole(value: Number) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


CONVERT: dict[str, Callable[[Number], Number]] = {
    "real": np.float64,
    "natural": _whole,
    "integer": _whole,
    "boolean": bool,
    "complex": np.complex128,
}


def common_kind(kinds: Iterable[Kind]) -> str:
    """The name of the kind in which values of these kinds meet."""
    return max((kind.name for kind in kinds), key=_RANK.__getitem__)


# ---- elementwise --------------------------------------------------------------------------------


def _divide_whole(operation: Operation, left: int, right: int) -> int:
    if right == 0:
        raise ValueError("a natural is divided by zero")
    return operation(left, right)


def _sign(value: Number) -> Number:
    return value / abs(value) if isinstance(value, complex) and value else np.sign(value)


def _error_function(value: Number) -> np.float64:
    return np.float64(math.erf(value))


_SHARED: dict[str, Operation] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "pow": operator.pow,
    "neg": operator.neg,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "not": operator.not_,
    "abs": abs,
}
_WHOLE: dict[str, Operation] = {
    "floordiv": lambda left, right: _divide_whole(operator.floordiv, left, right),
    "mod": lambda left, right: _divide_whole(operator.mod, left, right),
    "max": max,
    "min": min,
    "sign": lambda value: (value > 0) - (value < 0),
    "floor": operator.pos,
    "ceil": operator.pos,
    "round": operator.pos,
}
_REAL: dict[str, Operation] = {
    "div": operator.truediv,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "max": np.maximum,
    "min": np.minimum,
    "real": np.real,
    "sign": _sign,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "rsqrt": lambda value: 1 / np.sqrt(value),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "sigmoid": lambda value: 1 / (1 + np.exp(-value)),
    "erf": _error_function,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
}


def operation(op: str, kind: str) -> Operation:
    """The elementwise primitive `op` on arguments that all have this kind."""
    special = _REAL if _RANK[kind] > _RANK["integer"] else _WHOLE
    return special[op] if op in special else _SHARED[op]


def argument_kind(op: str, arguments: Iterable[Kind], result: Kind) -> str:
    """The kind that the arguments of a primitive take before it is applied."""
    kinds = list(arguments)
    if op == "not":
        return "boolean"
    if result.name in ("real", "complex"):
        kinds.append(result)
    elif result.name in ("natural", "integer"):
        kinds.append(Kind("integer"))
    return common_kind(kinds)


# ---- reductions ---------------------------------------------------------------------------------


class EmptyError(ValueError):
    """A reduction without an identity over nothing."""


def reduction(op: str, kind: Kind, initial: float | None) -> Callable[[Iterator[Number]], Number]:
    """The reduction `op` of values that all have the kind of its argument, in order."""
    match op:
        case "sum":
            return lambda values: _fold(operator.add, values, CONVERT[kind.name](0))
        case "prod":
            return lambda values: _fold(operator.mul, values, CONVERT[kind.name](1))
        case "any":
            return any
        case "all":
            return all
        case "norm":
            return _norm
        case "logsumexp":
            return _log_sum_exp
        case "mean":
            return _mean
        case "max" | "min":
            return lambda values: _extreme(op, kind, values, initial)
        case "argmax" | "argmin":
            return lambda values: _place(op, values)
        case _:
            raise ValueError(f"`{op}` is no reduction")


def _fold(combine: Operation, values: Iterator[Number], start: Number) -> Number:
    total = start
    for value in values:
        total = combine(total, value)
    return total


def _norm(values: Iterator[Number]) -> Number:
    return np.sqrt(_fold(operator.add, (abs(value) ** 2 for value in values), np.float64(0)))


def _mean(values: Iterator[Number]) -> Number:
    entries = list(values)
    if not entries:
        raise EmptyError
    return _fold(operator.add, iter(entries), CONVERT["real"](0)) / len(entries)


def _log_sum_exp(values: Iterator[Number]) -> Number:
    entries = list(values)
    top = _fold(np.maximum, iter(entries), np.float64(-np.inf))
    if not np.isfinite(top):
        return top
    return top + np.log(_fold(operator.add, (np.exp(e - top) for e in entries), np.float64(0)))


def _extreme(op: str, kind: Kind, values: Iterator[Number], initial: float | None) -> Number:
    first = next(values, None) if initial is None else CONVERT[kind.name](initial)
    if first is None:
        raise EmptyError
    return _fold(operation(op, kind.name), values, first)


def _place(op: str, values: Iterator[Number]) -> int:
    """Where the extreme is first; a value that is no number counts as the extreme."""
    better: Operation = operator.gt if op == "argmax" else operator.lt
    best, place = next(values, None), 0
    if best is None:
        raise EmptyError
    for position, value in enumerate(values, 1):
        if best != best:
            break
        if better(value, best) or value != value:
            best, place = value, position
    return place
