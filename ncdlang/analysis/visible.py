"""Which part of the streamed axis a tile of rows has to visit.

Where a mask is false every fold of the region gains nothing: sums 0, maxima -inf. The indices
at which an affine mask can be true for some row of a tile form a range, whose ends are worked
out here in closed form and verified by isl; tiles outside of it are never visited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ncdlang.analysis.linear import Linear, difference, linear
from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import COMPARISONS, Term, Terms, is_number, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis

NOTHING = {"sum": "zero", "max": "low", "min": "high"}


@record(eq=False)
class Span:
    """A range of streamed indices, from `start` up to but without `stop`; None where open.

    The ends are terms over the batch axes and the axes of `lowest` and `highest`, which stand
    for the least and the greatest index of a tile along an axis of the rows.
    """

    start: Term | None
    stop: Term | None


@record(eq=False)
class Visible:
    """The range that a tile visits, with the axes that stand for the ends of its rows."""

    span: Span
    lowest: dict[Axis, Axis]
    highest: dict[Axis, Axis]


OPEN = Span(None, None)


def visible(region: Region) -> Visible | None:
    """The range that a tile of rows visits; None if that is the whole streamed axis."""
    if len(region.stream) != 1 or any(axis.parts for axis in region.stream):
        return None
    ends = _Ends(region.terms, region.stream[0], region.rows, region.batch)
    total = OPEN
    for condition in deciding(region.folds):
        total = ends.both(total, ends.of(condition))
    if total.start is None and total.stop is None:
        return None
    found = Visible(total, ends.lowest, ends.highest)
    return found if _is_verified(region, found) else None


def deciding(folds: Iterable[Term]) -> list[Term]:
    """The conditions without which no fold gains anything."""
    folds = tuple(folds)
    found: dict[Term, None] = {}
    for fold in folds[:1]:
        for term in subterms(fold.args[0]):
            if term.op == "select" and not term.args[0].axes.isdisjoint(fold.bound):
                found[term.args[0]] = None
    return [
        condition
        for condition in found
        if all(without(f.args[0], condition) == NOTHING.get(f.kind) for f in folds)
    ]


def without(term: Term, condition: Term) -> str:
    """What a term is where the condition is false: `zero`, `low` (-inf), `high` or ""."""
    memo: dict[Term, str] = {}

    def visit(now: Term) -> str:
        if now not in memo:
            memo[now] = _nothing(now, condition, visit)
        return memo[now]

    return visit(term)


def _nothing(now: Term, condition: Term, visit: Callable[[Term], str]) -> str:
    args = now.args
    match now.op:
        case "select" if args[0] is condition:
            return visit(args[2])
        case "select":
            then, otherwise = visit(args[1]), visit(args[2])
            return then if then == otherwise else ""
        case "number":
            known: dict[float, str] = {0.0: "zero", float("-inf"): "low", float("inf"): "high"}
            return known.get(float(now.data), "")
        case "mul":
            return "zero" if "zero" in (visit(args[0]), visit(args[1])) else ""
        case "div" | "abs" | "sqrt" | "tanh" | "sign":
            return "zero" if visit(args[0]) == "zero" else ""
        case "real" | "cast":
            return visit(args[0])
        case "neg":
            inner = visit(args[0])
            return "high" if inner == "low" else "low" if inner == "high" else inner
        case "pow":
            is_positive = is_number(args[1]) and args[1].data > 0
            return "zero" if is_positive and visit(args[0]) == "zero" else ""
        case "add" | "sub":
            left, right = visit(args[0]), visit(args[1])
            if left == right == "zero":
                return "zero"
            return left if left in ("low", "high") and right in ("", "zero") else ""
        case "exp" | "sigmoid":
            return "zero" if visit(args[0]) == "low" else ""
        case "fold" if now.kind == "sum":
            return "zero" if visit(args[0]) == "zero" else ""
        case _:
            return ""


class _Ends:
    """Ranges of conditions, in closed form."""

    def __init__(
        self, terms: Terms, stream: Axis, rows: tuple[Axis, ...], batch: tuple[Axis, ...]
    ) -> None:
        self.terms = terms
        self.stream = stream
        self.batch = batch
        self.lowest = {axis: Axis(f"{axis.name}_low", axis.size) for axis in rows}
        self.highest = {axis: Axis(f"{axis.name}_high", axis.size) for axis in rows}

    def of(self, condition: Term) -> Span:
        """The range in which a condition may hold."""
        args = condition.args
        if condition.op == "and":
            return self.both(self.of(args[0]), self.of(args[1]))
        if condition.op == "or":
            return self.either(self.of(args[0]), self.of(args[1]))
        if condition.op not in COMPARISONS or condition.op == "ne":
            return OPEN
        left, right = linear(self.terms, args[0]), linear(self.terms, args[1])
        if left is None or right is None:
            return OPEN
        up = difference(self.terms, right, left)
        match condition.op:
            case "le":
                return self._atom(up, 0)
            case "lt":
                return self._atom(up, -1)
            case "ge":
                return self._atom(difference(self.terms, left, right), 0)
            case "gt":
                return self._atom(difference(self.terms, left, right), -1)
            case _:
                down = difference(self.terms, left, right)
                return self.both(self._atom(up, 0), self._atom(down, 0))

    def both(self, left: Span, right: Span) -> Span:
        """The range of both conditions together."""
        return Span(
            self._joined("max", left.start, right.start),
            self._joined("min", left.stop, right.stop),
        )

    def either(self, left: Span, right: Span) -> Span:
        """The smallest range that has both."""

        def end(op: str, a: Term | None, b: Term | None) -> Term | None:
            return None if a is None or b is None else self.terms.apply(op, a, b)

        return Span(end("min", left.start, right.start), end("max", left.stop, right.stop))

    def _joined(self, op: str, left: Term | None, right: Term | None) -> Term | None:
        if left is None or right is None:
            return left or right
        return self.terms.apply(op, left, right)

    def _atom(self, form: Linear, slack: int) -> Span:
        """Where `form + slack >= 0` may hold for some row of the tile."""
        apply, number = self.terms.apply, self.terms.number
        step = form.coefficients.get(self.stream, 0)
        others = {a: c for a, c in form.coefficients.items() if a is not self.stream}
        known = all(a in self.lowest or a in self.batch for a in others)
        if abs(step) != 1 or not known:
            return OPEN
        # The greatest value of everything but the streamed index.
        greatest = apply("add", form.rest, number(slack))
        for axis, c in others.items():
            ends = self.highest if c > 0 else self.lowest
            index = self.terms.index(ends.get(axis, axis))
            scaled = apply("neg", index) if c == -1 else apply("mul", index, number(c))
            greatest = apply("add", greatest, scaled)
        if step < 0:
            return Span(None, apply("add", greatest, number(1)))
        return Span(apply("neg", greatest), None)


# ---- verification -------------------------------------------------------------------------------


def _is_verified(region: Region, found: Visible) -> bool:
    """Whether isl proves that nothing outside of the range is ever visible."""
    import islpy

    writer = _Isl(region, found)
    outside = [f"x < {writer.text(found.span.start)}"] if found.span.start else []
    outside += [f"x >= {writer.text(found.span.stop)}"] if found.span.stop else []
    conditions = [writer.condition(c) for c in deciding(region.folds)]
    box = [f"0 <= x < {writer.text(region.terms.size(region.stream[0].size))}"]
    for axis, name in writer.axes.items():
        box.append(f"0 <= {name} < {writer.text(region.terms.size(axis.size))}")
        if axis in found.lowest:
            low, high = (writer.ends[e[axis]] for e in (found.lowest, found.highest))
            box.append(f"{low} <= {name} <= {high}")
    parameters = [*writer.sizes.values(), *writer.ends.values()]
    parameters += [name for axis, name in writer.axes.items() if axis in region.batch]
    points = ["x", *(n for a, n in writer.axes.items() if a not in region.batch)]
    text = (
        f"[{', '.join(parameters)}] -> {{ [{', '.join(points)}] : "
        f"{' and '.join([*box, *conditions])} and ({' or '.join(outside)}) }}"
    )
    return bool(islpy.Set(text).is_empty())


class _Isl:
    """Conditions as isl reads them; what is not affine counts as true."""

    def __init__(self, region: Region, found: Visible) -> None:
        self.stream = region.stream[0]
        self.terms = region.terms
        self.sizes: dict[Any, str] = {}
        self.ends: dict[Axis, str] = {}
        self.axes: dict[Axis, str] = {}
        for position, axis in enumerate((*region.rows, *region.batch)):
            self.axes[axis] = f"i{position}"
        for position, axis in enumerate((*found.lowest.values(), *found.highest.values())):
            self.ends[axis] = f"e{position}"

    def text(self, term: Term) -> str:
        """A whole number."""
        args = term.args
        match term.op:
            case "number":
                return str(term.data)
            case "index":
                if term.data is self.stream:
                    return "x"
                return self.ends.get(term.data) or self.axes[term.data]
            case "size":
                return self.sizes.setdefault(term.data, f"n{len(self.sizes)}")
            case "max" | "min":
                return f"{term.op}({self.text(args[0])}, {self.text(args[1])})"
            case "add" | "sub":
                sign = "+" if term.op == "add" else "-"
                return f"({self.text(args[0])} {sign} {self.text(args[1])})"
            case "neg":
                return f"(0 - {self.text(args[0])})"
            case "mul":
                number, other = args if args[0].op == "number" else args[::-1]
                return f"({self.text(number)} * {self.text(other)})"
            case _:
                return self.text(args[0])

    def condition(self, term: Term) -> str:
        """A truth value."""
        args = term.args
        if term.op in ("and", "or"):
            return f"({self.condition(args[0])} {term.op} {self.condition(args[1])})"
        signs = {"le": "<=", "lt": "<", "ge": ">=", "gt": ">", "eq": "="}
        if term.op not in signs:
            return "true"
        for arg in args:
            form = linear(self.terms, arg)
            if form is None or not form.coefficients.keys() <= {self.stream, *self.axes}:
                return "true"
        return f"{self.text(args[0])} {signs[term.op]} {self.text(args[1])}"
