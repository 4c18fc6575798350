"""Sums and choices as products, so that the sides of a product of matrices show."""

from __future__ import annotations

from functools import partial, reduce

from ncdlang.analysis.terms import Array, Term, Terms, is_number, parts, subterms, times
from ncdlang.semantics.types import Axis


def inward(terms: Terms, term: Term) -> Term:
    """A sum times factors as the sum of the product."""
    factors = parts(terms, term)
    sums = [factor for factor in factors if factor.kind == "sum"]
    if len(sums) != 1 or term is sums[0]:
        return term
    others = [factor for factor in factors if factor is not sums[0]]
    body = reduce(partial(terms.apply, "mul"), others, sums[0].args[0])
    return terms.fold("sum", sums[0].bound, body)


def spread(terms: Terms, term: Term) -> Term:
    """Choices between a product and 0 as products: of the factors that may be infinite, chosen.

    Only then do the sides of the product show. Entries of arrays are taken to be finite.
    """
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            made = terms.rebuilt(now, tuple(visit(arg) for arg in now.args))
            memo[now] = _spread(terms, made)
        return memo[now]

    return visit(term)


def _spread(terms: Terms, term: Term) -> Term:
    if term.op != "select" or not any(is_number(arg, 0) for arg in term.args[1:]):
        return term
    condition, then, otherwise = term.args
    value = otherwise if is_number(then, 0) else then
    factors = parts(terms, value)
    if len(factors) < 2:
        return term
    chosen = [f for f in factors if f.op != "load" and any(t.op == "load" for t in subterms(f))]
    if not chosen:
        chosen = [max(factors, key=lambda f: len(f.axes & condition.axes))]
    made: Term | None = None
    for factor in factors:
        if factor in chosen:
            zero = terms.number(0.0)
            branches = (zero, factor) if value is otherwise else (factor, zero)
            factor = terms.apply("select", condition, *branches)
        made = factor if made is None else terms.apply("mul", made, factor)
    assert made is not None
    return made


def exchanged(
    terms: Terms,
    term: Term,
    streamed: frozenset[Axis],
    outer: frozenset[Axis],
    made: dict[Term, Array | None],
) -> Term:
    """Sums of an accumulator times something as sums over the streamed axes of such sums.

    These are added to `made`, if they are not there. Only those that have `outer` axes alone are:
    such a sum for each feature inside of scores would be a product of matrices.
    """
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            inner = now.kind == "sum" and streamed.isdisjoint((*now.bound, *now.axes))
            memo[now] = (inner and swapped(now)) or terms.rebuilt(now, tuple(map(visit, now.args)))
        return memo[now]

    def guarded(factor: Term) -> list[Term]:
        """A chosen accumulator as the accumulator and the choice."""
        if factor.op != "select" or not any(is_number(arg, 0) for arg in factor.args[1:]):
            return [factor]
        condition, *branches = factor.args
        at = 0 if is_number(branches[1], 0) else 1
        if branches[at].op != "fold":
            return [factor]
        units = [terms.number(float(i == at)) for i in range(2)]
        return [branches[at], terms.apply("select", condition, *units)]

    def swapped(now: Term) -> Term | None:
        factors = [g for f in parts(terms, now.args[0]) for g in guarded(f)]
        folds = [f for f in factors if f.kind == "sum" and frozenset(f.bound) == streamed]
        if len(folds) != 1:
            return None
        others = [f for f in factors if f is not folds[0]]
        inside = parts(terms, folds[0].args[0])
        bound = frozenset(now.bound)
        mixed = [f for f in (*inside, *others) if not f.axes.isdisjoint(bound)]
        along = [f for f in inside if f.axes.isdisjoint(bound)]
        outside = [f for f in others if f.axes.isdisjoint(bound)]
        body = times(terms, [*along, terms.fold("sum", now.bound, times(terms, mixed))])
        fold = terms.fold("sum", folds[0].bound, body)
        if not fold.axes <= outer:
            return None
        made.setdefault(fold, None)
        return times(terms, [*outside, fold])

    return visit(term)
