"""Which part of the streamed axis a tile of rows visits, and where its masks need no test.

Where a mask is false every fold of the region gains nothing: sums 0, maxima -inf. The indices
at which an affine mask can be true for some row of a tile form a range, and those at which it is
true for every row another one inside of it. Both are worked out here in closed form and verified by
isl; tiles outside of the first are never visited, those within the second do without the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ncdlang.analysis.affine import Line, line
from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import COMPARISONS, Term, Terms, is_number, ordered, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis

# Comparisons of order, and what they are with their sides exchanged.
MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
BELOW = ("lt", "le")
NOTHING = {"sum": "zero", "max": "low", "min": "high"}


@record(eq=False)
class Range:
    """A range of streamed indices, from `start` up to but without `stop`; None where open.

    The ends are terms over the batch axes, in which a maximum or minimum over the rows is one over
    the rows of the tile.
    """

    start: Term | None
    stop: Term | None

    @property
    def is_open(self) -> bool:
        """Whether it is the whole axis."""
        return self.start is None and self.stop is None


@record(eq=False)
class Certain:
    """The range in which conditions hold for every row, but for what `rests` says of each."""

    span: Range
    rests: Mapping[Term, Term]


OPEN = Range(None, None)


def visible(region: Region) -> Range | None:
    """The range that a tile of rows visits; None if that is the whole streamed axis."""
    ends = _ends(region)
    if ends is None:
        return None
    total = OPEN
    for condition in deciding(region.folds):
        total = ends.both(total, ends.possible(condition))
    if total.is_open:
        return None
    from ncdlang.analysis.visible_proof import none_outside

    return total if none_outside(region, total, deciding(region.folds)) else None


def certain(region: Region) -> Certain | None:
    """The range in which every row of a tile sees everything; None if no mask has one."""
    ends = _ends(region)
    if ends is None:
        return None
    total = OPEN
    rests: dict[Term, Term] = {}
    for condition in conditions(region.folds):
        found = ends.certain(condition)
        if found is not None:
            total = ends.both(total, found[0])
            rests[condition] = found[1]
    if not rests:
        return None
    from ncdlang.analysis.visible_proof import all_inside

    made = Certain(total, rests)
    return made if all_inside(region, made) else None


def _ends(region: Region) -> _Ends | None:
    if len(region.stream) != 1 or any(axis.parts for axis in region.stream):
        return None
    return _Ends(region.terms, region.stream[0], frozenset(region.rows), frozenset(region.batch))


def conditions(folds: Iterable[Term]) -> list[Term]:
    """The conditions of choices that vary along the streamed axes, outer ones first."""
    found: dict[Term, None] = {}
    for fold in folds:
        for term in subterms(fold.args[0]):
            if term.op == "select" and not term.args[0].axes.isdisjoint(fold.bound):
                found[term.args[0]] = None
    return list(found)


def deciding(folds: Iterable[Term]) -> list[Term]:
    """The conditions without which no fold gains anything."""
    folds = tuple(folds)
    return [
        condition
        for condition in conditions(folds[:1])
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
        self, terms: Terms, stream: Axis, rows: frozenset[Axis], batch: frozenset[Axis]
    ) -> None:
        self.terms = terms
        self.stream = stream
        self.rows = rows
        self.batch = batch

    def possible(self, condition: Term) -> Range:
        """The range in which a condition holds for some row."""
        condition = self._split(condition)
        args = condition.args
        if condition.op == "and":
            return self.both(self.possible(args[0]), self.possible(args[1]))
        if condition.op == "or":
            return self._either(self.possible(args[0]), self.possible(args[1]))
        return self._comparison(condition, "max") or OPEN

    def certain(self, condition: Term) -> tuple[Range, Term] | None:
        """A range in which a condition is what the second part says; None if it has none."""
        condition = self._split(condition)
        args, apply = condition.args, self.terms.apply
        if condition.op in ("and", "or"):
            left, right = self.certain(args[0]), self.certain(args[1])
            if left is None or right is None:
                found, rest = (left, args[1]) if left else (right, args[0])
                return found and (found[0], apply(condition.op, found[1], rest))
            if condition.op == "and":
                return self.both(left[0], right[0]), apply("and", left[1], right[1])
            if not _is_true(left[1]) or not _is_true(right[1]):
                return left[0], apply("or", left[1], args[1])
            return self._either_side(left[0], right[0]), left[1]
        if condition.op == "eq":
            return None
        found = self._comparison(condition, "min")
        return (found, self.terms.number(True)) if found and not found.is_open else None

    def _split(self, condition: Term) -> Term:
        """A comparison with an absolute value, maximum or minimum as those of what it is made of.

        abs(a) < b is a < b and -a < b; max(a, b) > c is a > c or b > c.
        """
        if condition.op not in MIRRORED:
            return condition
        left, right = condition.args
        for op, most, other in ((condition.op, left, right), (MIRRORED[condition.op], right, left)):
            while most.op == "real":
                most = most.args[0]
            if most.op not in ("abs", "max", "min") or self.stream not in most.axes:
                continue
            args = most.args
            if most.op == "abs":
                args = (args[0], self.terms.apply("neg", args[0]))
            sides = (self.terms.apply(op, arg, other) for arg in args)
            return self.terms.apply("and" if (most.op != "min") == (op in BELOW) else "or", *sides)
        return condition

    def _comparison(self, condition: Term, end: str) -> Range | None:
        """Where a comparison holds for the row that is most (`max`) or least (`min`) in favour."""
        if condition.op not in COMPARISONS or condition.op == "ne":
            return None
        left, right = (
            line(self.terms, arg, self.stream, self.rows, self.batch) for arg in condition.args
        )
        if left is None or right is None:
            return None
        up, down = right.less(self.terms, left), left.less(self.terms, right)
        if up is None or down is None:
            return None
        match condition.op:
            case "le":
                return self._atom(up, 0, end)
            case "lt":
                return self._atom(up, -1, end)
            case "ge":
                return self._atom(down, 0, end)
            case "gt":
                return self._atom(down, -1, end)
            case _:
                return self.both(self._atom(up, 0, end), self._atom(down, 0, end))

    def both(self, left: Range, right: Range) -> Range:
        """The range of both conditions together."""
        return Range(
            self._joined("max", left.start, right.start),
            self._joined("min", left.stop, right.stop),
        )

    def _either(self, left: Range, right: Range) -> Range:
        """The smallest range that has both."""

        def end(op: str, a: Term | None, b: Term | None) -> Term | None:
            return None if a is None or b is None else self.terms.apply(op, a, b)

        return Range(end("min", left.start, right.start), end("max", left.stop, right.stop))

    def _either_side(self, left: Range, right: Range) -> Range:
        """A range within both: all of them if they are open to the same side, else the first."""
        if (left.start is None) != (right.start is None):
            return left
        if (left.stop is None) != (right.stop is None):
            return left
        return (
            left if left.start is not None and left.stop is not None else self._either(left, right)
        )

    def _joined(self, op: str, left: Term | None, right: Term | None) -> Term | None:
        if left is None or right is None:
            return left or right
        return self.terms.apply(op, left, right)

    def _atom(self, form: Line, slack: int, end: str) -> Range:
        """Where `form + slack >= 0` holds for the row with the greatest or the least rest."""
        apply, number = self.terms.apply, self.terms.number
        if form.step == 0:
            return OPEN
        step, divisor = abs(form.step), number(form.divisor)
        if form.step < 0:
            most = self._parts_of(self._extreme(form, end, slack + step), step)
            return Range(None, apply("sub", apply("mul", most, divisor), form.shift))
        opposite = "min" if end == "max" else "max"
        least = self._extreme(form.times(self.terms, -1), opposite, step - 1 - slack)
        start = apply("mul", self._parts_of(least, step), divisor)
        return Range(apply("sub", start, form.shift), None)

    def _parts_of(self, whole: Term, step: int) -> Term:
        number = self.terms.number(step)
        return whole if step == 1 else self.terms.apply("floordiv", whole, number)

    def _extreme(self, form: Line, end: str, slack: int) -> Term:
        """The greatest or least value in a tile of everything but the streamed index."""
        rest = self.terms.apply("add", form.rest, self.terms.number(slack))
        if form.rows is None:
            return rest
        axes = tuple(axis for axis in ordered(form.rows) if axis in self.rows)
        return self.terms.apply("add", self.terms.fold(end, axes, form.rows), rest)


def _is_true(term: Term) -> bool:
    return term.op == "number" and term.data is True
