"""Whole numbers that are affine in one streamed axis."""

from __future__ import annotations

from ncdlang.analysis.terms import Term, Terms, is_fold, is_number, number_kind, outermost
from ncdlang.records import record
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


@record(eq=False)
class Line:
    """`step * ((x + shift) // divisor) + rows + rest` of a streamed index x.

    `rows` varies along the rows (None: 0), `rest` and `shift` along batch axes at most.
    """

    step: int
    divisor: int
    shift: Term
    rows: Term | None
    rest: Term

    def less(self, terms: Terms, other: Line) -> Line | None:
        """The difference; None if both vary along x in different ways."""
        return self.plus(terms, other.times(terms, -1))

    def times(self, terms: Terms, factor: int) -> Line:
        """The product with a whole number."""
        rows = _scaled(terms, self.rows, factor) if self.rows is not None else None
        rest = _scaled(terms, self.rest, factor)
        return Line(self.step * factor, self.divisor, self.shift, rows, rest)

    def plus(self, terms: Terms, other: Line) -> Line | None:
        """The sum; None if both vary along x in different ways."""
        if self.step and other.step and not self._runs_like(other):
            return None
        first = self if self.step else other
        rows = self.rows or other.rows
        if self.rows is not None and other.rows is not None:
            rows = terms.apply("add", self.rows, other.rows)
        rest = terms.apply("add", self.rest, other.rest)
        return Line(self.step + other.step, first.divisor, first.shift, rows, rest)

    def _runs_like(self, other: Line) -> bool:
        return self.divisor == other.divisor and self.shift is other.shift


def line(terms: Terms, term: Term, stream: Axis, rows: Axes, batch: Axes) -> Line | None:
    """A term of whole numbers as a `Line`; None if it is none."""
    zero = terms.number(0)
    args = term.args
    if term.op == "real":
        return line(terms, args[0], stream, rows, batch)
    if stream not in term.axes and term.op not in ("add", "sub", "neg", "mul"):
        return _still(terms, term, rows, batch)
    match term.op:
        case "index":
            return Line(1, 1, zero, None, zero)
        case "neg":
            inner = line(terms, args[0], stream, rows, batch)
            return inner.times(terms, -1) if inner else None
        case "add" | "sub":
            left, right = (line(terms, arg, stream, rows, batch) for arg in args)
            if left is None or right is None:
                return None
            return left.plus(terms, right) if term.op == "add" else left.less(terms, right)
        case "mul":
            for first, second in (args, args[::-1]):
                inner = line(terms, first, stream, rows, batch)
                if inner is not None and is_number(second) and float(second.data).is_integer():
                    return inner.times(terms, int(second.data))
            return _still(terms, term, rows, batch) if stream not in term.axes else None
        case "floordiv" if is_number(args[1]) and args[1].data >= 1:
            inner = line(terms, args[0], stream, rows, batch)
            if inner is None or (inner.step, inner.divisor) != (1, 1) or inner.rows is not None:
                return None
            return Line(1, int(args[1].data), inner.rest, None, zero)
        case _:
            return None


def _still(terms: Terms, term: Term, rows: Axes, batch: Axes) -> Line | None:
    """What does not vary along the streamed axis: any whole number over rows and batch axes."""
    zero = terms.number(0)
    if is_number(term) and float(term.data).is_integer():
        return Line(0, 1, zero, None, terms.number(int(term.data)))
    if number_kind(term) != "integer" or not term.axes <= rows | batch:
        return None
    if outermost(term, is_fold):
        return None
    if term.axes & rows:
        return Line(0, 1, zero, term, zero)
    return Line(0, 1, zero, None, term)


def _scaled(terms: Terms, term: Term, factor: int) -> Term:
    if factor == 1:
        return term
    if factor == -1 and term.op != "number":
        return terms.apply("neg", term)
    return terms.apply("mul", term, terms.number(factor))
