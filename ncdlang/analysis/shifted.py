"""Differences to a first entry, where a result depends on nothing but differences.

A sum over streamed axes that was pulled apart into several loses the digits that they have in
common: the variance of large numbers that are nearly equal is one, as the mean of squares less
the square of the mean. Where an array occurs only in differences, such as that to its mean, a
shift of all its entries along these axes changes nothing, and each becomes its difference to the
first one.
"""

from __future__ import annotations

from fractions import Fraction

from ncdlang.analysis.terms import Term, Terms, is_number, subterms
from ncdlang.records import record
from ncdlang.semantics.size import ONE, Size, product
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


def shifted(terms: Terms, term: Term, streamed: Axes, rows: Axes) -> Term | None:
    """The term with reads taken from their first entry; None if it depends on any such shift.

    `rows` are the axes of the statistics, whose sums are those that cancel. The first entry is
    `still`: the result does not depend on it, so it has no gradient.
    """
    images: dict[Term, Term] = {}
    found: list[_Moved] = []
    first = {axis: terms.number(0) for axis in streamed}
    for read in _moving(term, streamed, rows):
        moved = _Moved(read, streamed)
        if moved.stays(term):
            start = terms.apply("still", terms.substitute(read, first))
            images[read] = terms.apply("sub", read, start)
            found.append(moved)
    return _replaced(terms, term, images, found) if images else None


def _replaced(terms: Terms, term: Term, images: dict[Term, Term], found: list[_Moved]) -> Term:
    """The term with other reads; what keeps its value keeps its name."""
    made: dict[Term, Term] = {}
    for now in subterms(term):
        made[now] = images.get(now) or terms.rebuilt(now, tuple(made[arg] for arg in now.args))
        if now in terms.names and all(moved.stays(now) for moved in found):
            terms.keep_name(made[now], now)
    return made[term]


def _moving(term: Term, streamed: Axes, rows: Axes) -> list[Term]:
    """The reads of real arrays along the streamed axes and rows, and nothing else."""
    return [
        read
        for read in subterms(term)
        if read.op == "load"
        and read.data.kind.name == "real"
        and not read.axes.isdisjoint(streamed)
        and read.axes & rows == read.axes - streamed != frozenset()
    ]


@record
class Amount:
    """A number made of sizes: `factor * above / below`."""

    factor: Fraction
    above: Size = ONE
    below: Size = ONE


_NONE = Amount(Fraction(0))


class _Moved:
    """By how much terms grow when the entries of one array along some axes do, by 1 each.

    An amount is None where it is no number, or not known.
    """

    def __init__(self, read: Term, streamed: Axes) -> None:
        self.read = read
        self.streamed = streamed
        self.memo: dict[Term, Amount | None] = {}

    def stays(self, term: Term) -> bool:
        """Whether a term does not grow at all."""
        found = self.of(term)
        return found is not None and not found.factor

    def of(self, term: Term) -> Amount | None:
        if term not in self.memo:
            self.memo[term] = self._made(term)
        return self.memo[term]

    def _made(self, term: Term) -> Amount | None:
        if term is self.read:
            return Amount(Fraction(1))
        args = [self.of(arg) for arg in term.args]
        if term.op == "load" and term.data is self.read.data:
            return None
        if all(arg is not None and not arg.factor for arg in args):
            return _NONE
        match term.op:
            case "add" | "sub":
                return _sum(args[0], args[1], 1 if term.op == "add" else -1)
            case "neg":
                return _sum(_NONE, args[0], -1)
            case "real" | "cast":
                return args[0]
            case "mul":
                pairs = zip(args, reversed(term.args), strict=True)
                return next((_times(a, _constant(b)) for a, b in pairs if a and a.factor), None)
            case "div":
                return _over(args[0], _constant(term.args[1]))
            case "fold":
                length = product(axis.size for axis in term.bound)
                known = _length(length) if term.kind == "sum" else Amount(Fraction(1))
                return _times(args[0], known) if term.kind in ("sum", "max", "min") else None
            case _:
                return None


def _constant(term: Term) -> Amount | None:
    """A term that is made of numbers and sizes alone."""
    match term.op:
        case "number" if is_number(term) and abs(term.data) < 1e300:
            return Amount(Fraction(term.data))
        case "size":
            return _length(term.data)
        case "real" | "cast":
            return _constant(term.args[0])
        case "mul":
            return _times(_constant(term.args[0]), _constant(term.args[1]))
        case "div":
            return _over(_constant(term.args[0]), _constant(term.args[1]))
        case _:
            return None


def _length(size: Size) -> Amount:
    value = size.value
    return Amount(Fraction(1), size) if value is None else Amount(Fraction(value))


def _sum(left: Amount | None, right: Amount | None, sign: int) -> Amount | None:
    if left is None or right is None:
        return None
    if not right.factor:
        return left
    if not left.factor:
        return Amount(sign * right.factor, right.above, right.below)
    if (left.above, left.below) != (right.above, right.below):
        return None
    total = left.factor + sign * right.factor
    return Amount(total, left.above, left.below) if total else _NONE


def _times(left: Amount | None, right: Amount | None) -> Amount | None:
    if left is None or right is None:
        return None
    factor = left.factor * right.factor
    return _reduced(factor, left.above * right.above, left.below * right.below)


def _over(left: Amount | None, right: Amount | None) -> Amount | None:
    if left is None or right is None or not right.factor:
        return None
    factor = left.factor / right.factor
    return _reduced(factor, left.above * right.below, left.below * right.above)


def _reduced(factor: Fraction, above: Size, below: Size) -> Amount:
    return Amount(factor) if above == below else Amount(factor, above, below)
