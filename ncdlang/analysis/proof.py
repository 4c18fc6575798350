"""Confirms by numbers what was derived by rules, and simplifies what is shown of it.

A derived form is used only when it agrees with the equations that it was derived from, at random
values and small sizes, in float64.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from ncdlang.analysis.terms import Array, Term, ordered, subterms
from ncdlang.semantics.types import Axis

LENGTH = 3
# Terms of more axes are looked at with two indices each.
WIDE = 7
POINTS = 6
# Conditions may hide a result at many of them, which is infinite there: others are tried instead.
MOST_POINTS = 60
TOLERANCE = 1e-9

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.nan,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "max": max,
    "min": min,
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "pow": lambda a, b: a**b if a > 0 or b == int(b) else math.nan,
}
_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda a: -a,
    "not": lambda a: not a,
    "real": float,
    "cast": float,
    "still": float,
    "abs": abs,
    "sign": lambda a: (a > 0) - (a < 0),
    "exp": math.exp,
    "log": lambda a: math.log(a) if a else -math.inf,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "rsqrt": lambda a: 1 / math.sqrt(a),
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "erf": math.erf,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
}


class Point:
    """Values of everything that terms read: axes have `length` indices, or as `lengths` says."""

    def __init__(
        self, seed: int, lengths: Mapping[Axis, int] | None = None, length: int = LENGTH
    ) -> None:
        self.seed = seed
        self.length = length
        self.lengths = lengths or {}
        self.fixed: dict[Term, float] = {}
        self._order: dict[Array, int] = {}

    def value(self, term: Term, at: Mapping[Axis, int]) -> Any:
        """The value of a term at an index of its axes, NaN where it has none."""
        try:
            return self._value(term, at, {})
        except (ValueError, ZeroDivisionError, OverflowError):
            return math.nan

    def _value(self, term: Term, at: Mapping[Axis, int], memo: dict[Any, Any]) -> Any:
        if term in self.fixed:
            return self.fixed[term]
        key = (term, tuple(at[axis] for axis in sorted(term.axes, key=id)))
        if key not in memo:
            memo[key] = self._made(term, at, memo)
        return memo[key]

    def _made(self, term: Term, at: Mapping[Axis, int], memo: dict[Any, Any]) -> Any:
        match term.op:
            case "number":
                return term.data
            case "size":
                return term.data.evaluate(dict.fromkeys(term.data.symbols(), self.length))
            case "index":
                return at[term.data]
            case "load":
                where = tuple(self._value(arg, at, memo) for arg in term.args)
                return self._entry(term, where)
            case "fold":
                return self._fold(term, at, memo)
            case "select":
                condition, then, otherwise = term.args
                chosen = then if self._value(condition, at, memo) else otherwise
                return self._value(chosen, at, memo)
            case op if op in _BINARY:
                return _BINARY[op](*(self._value(arg, at, memo) for arg in term.args))
            case op:
                return _UNARY[op](self._value(term.args[0], at, memo))

    def _entry(self, term: Term, where: tuple[Any, ...]) -> Any:
        order = self._order.setdefault(term.data, len(self._order))
        generator = random.Random(f"{self.seed} {order} {where}")
        match term.data.kind.name:
            case "natural" | "integer":
                return generator.randrange(self.length)
            case "boolean":
                return generator.random() < 0.5
            case _:
                return generator.uniform(-1.5, 1.5)

    def _fold(self, term: Term, at: Mapping[Axis, int], memo: dict[Any, Any]) -> Any:
        values = [
            self._value(term.args[0], {**at, **dict(zip(term.bound, where, strict=True))}, memo)
            for where in product(*(range(self.lengths.get(a, self.length)) for a in term.bound))
        ]
        folds: dict[str, Callable[[list[Any]], Any]] = {
            "sum": math.fsum,
            "max": max,
            "min": min,
            "prod": math.prod,
            "any": any,
            "all": all,
            "argmax": lambda v: v.index(max(v)),
            "argmin": lambda v: v.index(min(v)),
        }
        return folds[term.kind](values)


def length_for(*terms: Term) -> int:
    """How many indices axes have when terms are tried: few enough for the widest of them."""
    return LENGTH if all(len(t.axes) <= WIDE for t in subterms(*terms)) else 2


def holds(tried: Callable[[int], bool | float]) -> bool:
    """Whether what is `tried` holds at random points, by their seeds.

    A point may tell nothing, which is NaN; one at least has to. Infinity asks for another point.
    """
    seen, count = False, 0
    for seed in range(MOST_POINTS):
        found = tried(seed)
        if found is False:
            return False
        seen = seen or found is True
        count += found != math.inf
        if count == POINTS:
            break
    return seen


def agrees(left: Term, right: Term, lengths: Mapping[Axis, int] | None = None) -> bool:
    """Whether two terms have the same values at random points, and are finite at one at least."""
    length = length_for(left, right)
    axes = dict.fromkeys((*ordered(left), *ordered(right)))

    def tried(seed: int) -> bool | float:
        point, generator = Point(seed, lengths, length), random.Random(seed)
        at = {axis: generator.randrange(length) for axis in axes}
        first, second = point.value(left, at), point.value(right, at)
        if not (math.isfinite(first) and math.isfinite(second)):
            return math.inf if math.isinf(first) and first == second else math.nan
        return abs(first - second) <= TOLERANCE * (1 + abs(first))

    return holds(tried)


def grows(body: Term, growth: Term, extrema: list[Term]) -> bool:
    """Whether body(m') / body(m) is growth(m') / growth(m) at random points."""

    def tried(seed: int) -> bool | float:
        generator = random.Random(seed)
        at = {a: generator.randrange(LENGTH) for a in ordered(body)}
        values: list[tuple[Any, Any]] = []
        for shift in (0.0, 0.7):
            point = Point(seed)
            point.fixed = dict.fromkeys(extrema, 0.3 + shift)
            values.append((point.value(body, at), point.value(growth, at)))
        (old, before), (new, after) = values
        if not all(math.isfinite(v) for v in (old, before, new, after)):
            return math.nan
        return abs(new * before - old * after) <= TOLERANCE * (1 + abs(old * after))

    return holds(tried)


def ratio(
    body: Term,
    streamed: frozenset[Axis],
    words: Callable[[Term], str],
    old: str = "m",
    new: str = "m'",
) -> str:
    """`body` at a new maximum over that at the old one, simplified by sympy: `exp(m - m')`.

    `words` writes what else is in it. Its order does not depend on names.
    """
    import sympy  # pyright: ignore[reportMissingTypeStubs]

    algebra: Any = sympy
    known: dict[Term, Any] = {}

    def expression(term: Term, maximum: Any) -> Any:
        has = any(t.op == "fold" and frozenset(t.bound) == streamed for t in subterms(term))
        if term.op == "number":
            return algebra.nsimplify(term.data, rational=True)
        if not has:
            return known.setdefault(term, algebra.Symbol(f"s{len(known)}", real=True))
        if term.op in ("fold", "select") and term.axes.isdisjoint(streamed):
            return maximum
        args = [expression(arg, maximum) for arg in term.args]
        if term.op == "select":
            return args[1] if term.args[2].op == "number" else args[2]
        operations: dict[str, Callable[..., Any]] = {
            "add": _BINARY["add"],
            "sub": _BINARY["sub"],
            "mul": _BINARY["mul"],
            "div": _quotient,
            "neg": _UNARY["neg"],
            "pow": _power,
            "exp": algebra.exp,
        }
        operation = operations.get(term.op)
        return operation(*args) if operation else algebra.Function(term.op)(*args)

    after, before = algebra.Symbol("m'", real=True), algebra.Symbol("m", real=True)
    quotient = algebra.simplify(expression(body, after) / expression(body, before))
    written = {str(symbol): words(term) for term, symbol in known.items()}
    written |= {"m": old, "m'": new}
    return re.sub(r"\b(m|s\d+)\b'?", lambda found: written[found[0]], str(quotient))


def _quotient(left: Any, right: Any) -> Any:
    return left / right


def _power(base: Any, exponent: Any) -> Any:
    return base**exponent
