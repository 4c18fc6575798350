"""Multiplies a summand out into monomials: products of what is free of inner sums over scores.

Two laws: distributivity, and that a power of a sum is a sum over copies of its axes,
`(sum_k Q[q k] K[x k])^2 = sum_{k k'} Q[q k] Q[q k'] K[x k] K[x k']`. A sum is opened only if it
ties an axis of the result to the streamed one; any other is a factor as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.analysis.roles import factors
from ncdlang.analysis.terms import Term, Terms, is_number, number_kind, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]

MAX_POWER = 4
MAX_MONOMIALS = 24
MAX_FACTORS = 12


class Unopened(Exception):
    """A summand is no polynomial in its inner sums, or one with too many monomials."""


@record(eq=False)
class Monomial:
    """The sum over `bound` of the product of `factors`."""

    bound: tuple[Axis, ...]
    factors: tuple[Term, ...]


def ties(fold: Term, streamed: Axes, outer: Axes) -> bool:
    """Whether a sum is an inner product of what has the streamed axes and what has an outer one."""
    if fold.op != "fold" or fold.kind != "sum" or fold.axes.isdisjoint(streamed):
        return False
    still: set[Axis] = set()
    moving: set[Axis] = set()
    for factor in factors(fold.args[0]):
        (still if factor.axes.isdisjoint(streamed) else moving).update(factor.axes & outer)
    return bool(still - moving)


class Expansion:
    """Multiplies out along some streamed axes. `outer` are the axes of the result.

    `copies` says of the axes of opened sums which axes they are copies of.
    """

    def __init__(self, terms: Terms, streamed: Axes, outer: Axes) -> None:
        self.terms = terms
        self.streamed = streamed
        self.outer = outer
        self.copies: dict[Axis, Axis] = {}
        self._known: dict[tuple[Term, Axes], bool] = {}

    def of(self, term: Term) -> list[Monomial]:
        """The monomials of a summand. Raises Unopened, also where there is nothing to open."""
        found = self._opened(term, self.outer)
        if len(found) > MAX_MONOMIALS or any(len(m.factors) > MAX_FACTORS for m in found):
            raise Unopened
        if not any(monomial.bound for monomial in found):
            raise Unopened
        return found

    def _has_tie(self, term: Term, outer: Axes) -> bool:
        """Whether an inner product that ties the axes together stands anywhere in a term."""
        key = (term, outer)
        if key not in self._known:
            self._known[key] = any(ties(each, self.streamed, outer) for each in subterms(term))
        return self._known[key]

    def _opened(self, term: Term, outer: Axes) -> list[Monomial]:
        args = term.args
        match term.op:
            case "mul":
                return self._product(self._opened(args[0], outer), self._opened(args[1], outer))
            case "div":
                one = self.terms.number(1.0)
                below = self._leaf(self.terms.apply("div", one, args[1]))
                return self._product(self._opened(args[0], outer), below)
            case "neg":
                minus = [Monomial((), (self.terms.number(-1.0),))]
                return self._product(minus, self._opened(args[0], outer))
            case "real" if number_kind(args[0]) == "real":
                return self._opened(args[0], outer)
            case _ if not self._has_tie(term, outer):
                return self._leaf(term)
            case "add":
                return self._opened(args[0], outer) + self._opened(args[1], outer)
            case "sub":
                negative = self.terms.apply("neg", args[1])
                return self._opened(args[0], outer) + self._opened(negative, outer)
            case "pow":
                return self._power(args[0], args[1], outer)
            case "select":
                return self._choice(term, outer)
            case "fold" if ties(term, self.streamed, outer):
                return self._sum(term, outer)
            case _:
                return self._leaf(term)

    def _leaf(self, term: Term) -> list[Monomial]:
        """A factor as it is."""
        return [Monomial((), () if is_number(term, 1) else (term,))]

    def _product(self, left: list[Monomial], right: list[Monomial]) -> list[Monomial]:
        if len(left) * len(right) > MAX_MONOMIALS:
            raise Unopened
        return [
            Monomial((*a.bound, *b.bound), (*a.factors, *b.factors)) for a in left for b in right
        ]

    def _power(self, base: Term, exponent: Term, outer: Axes) -> list[Monomial]:
        if exponent.op != "number" or exponent.data not in range(1, MAX_POWER + 1):
            raise Unopened
        made = self._opened(base, outer)
        for _ in range(int(exponent.data) - 1):
            # Opened anew each time, so that every copy has axes of its own.
            made = self._product(made, self._opened(base, outer))
        return made

    def _sum(self, fold: Term, outer: Axes) -> list[Monomial]:
        fresh = {axis: self._copy(axis) for axis in fold.bound}
        images = {axis: self.terms.index(new) for axis, new in fresh.items()}
        body = self.terms.substitute(fold.args[0], images)
        shared = self._shared(fold)
        inner = self._opened(body, outer - shared)
        return [Monomial((*fresh.values(), *m.bound), m.factors) for m in inner]

    def _copy(self, axis: Axis) -> Axis:
        """Another axis of the same size, with one more prime than the last copy."""
        original = self.copies.get(axis, axis)
        count = sum(1 for known in self.copies.values() if known is original)
        made = Axis(f"{original.name}{(chr(39) * (count + 1))}", axis.size)
        self.copies[made] = original
        return made

    def _shared(self, fold: Term) -> Axes:
        """The outer axes on both sides of an inner product: batches."""
        still, moving = Axes(), Axes()
        for factor in factors(fold.args[0]):
            if factor.axes.isdisjoint(self.streamed):
                still |= factor.axes
            else:
                moving |= factor.axes
        return still & moving

    def _choice(self, term: Term, outer: Axes) -> list[Monomial]:
        """A choice that does not tie the axes together is one of some factors."""
        condition, then, otherwise = term.args
        if not (condition.axes.isdisjoint(self.streamed) or condition.axes <= self.streamed):
            raise Unopened
        found: list[Monomial] = []
        for branch, value in ((True, then), (False, otherwise)):
            if not is_number(value, 0):
                found += [self.masked(m, condition, branch) for m in self._opened(value, outer)]
        return found

    def masked(self, monomial: Monomial, condition: Term, holds: bool) -> Monomial:
        """A monomial where a condition holds, 0 elsewhere.

        Every factor that has the axes is 0 where it is not chosen: it may be no number there.
        """
        zero = self.terms.number(0.0)

        def masked(factor: Term) -> Term:
            chosen = (factor, zero) if holds else (zero, factor)
            return self.terms.apply("select", condition, *chosen)

        inside = [bool(f.axes) and condition.axes <= f.axes for f in monomial.factors]
        made = tuple(
            masked(f) if own else f for f, own in zip(monomial.factors, inside, strict=True)
        )
        if not any(inside):
            made = (*made, masked(self.terms.number(1.0)))
        return Monomial(monomial.bound, made)


def axes_of(terms: Iterable[Term]) -> Axes:
    """The axes of some terms together."""
    return Axes().union(*(term.axes for term in terms))
