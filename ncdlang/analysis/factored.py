"""Sums and choices as products, so that the sides of a product of matrices show."""

from __future__ import annotations

from functools import partial, reduce

from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    is_number,
    number_kind,
    parts,
    subterms,
    times,
)
from ncdlang.semantics.types import Axis

WITHOUT_POLES = (
    frozenset({"number", "size", "index", "real", "cast", "add", "sub", "mul", "neg"})
    | {"abs", "sign", "max", "min", "select", "sin", "cos", "tanh", "sigmoid"}
    | {"erf", "still", "floor", "ceil", "round"}
)


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

    Only then do the sides of the product show. Entries of arrays are taken to be finite, and
    what has no poles of them.
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
    # A choice over axes of its own would make a side of the product an array of three axes.
    chosen = [
        f
        for f in factors
        if f.op != "load" and any(t.op == "load" for t in subterms(f))
        if f.axes <= condition.axes or f.axes >= condition.axes or not _is_finite(f)
    ]
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


def _is_finite(term: Term) -> bool:
    """Whether a term is finite wherever the entries that it reads are, and not very large."""
    return all(_has_no_pole(t) for t in subterms(term) if number_kind(t) == "real")


def _has_no_pole(term: Term) -> bool:
    match term.op:
        case "div":
            return _is_positive(term.args[1])
        case "sqrt" | "log":
            return _is_positive(term.args[0])
        case "exp" | "expm1":
            return _is_fixed(term)
        case "pow":
            return _is_whole(term.args[1]) or (_is_positive(term.args[0]) and _is_fixed(term))
        case "load":
            # An extremum of an empty row is saved as it is.
            return term.data.role != "saved"
        case "fold":
            return term.kind == "sum"
        case _:
            return term.op in WITHOUT_POLES


def _is_fixed(term: Term) -> bool:
    """Whether a term reads no entries: it grows with nothing but positions."""
    return not any(t.op == "load" for t in subterms(term))


def _is_whole(term: Term) -> bool:
    return term.op == "number" and term.data >= 0 and term.data == int(term.data)


def _is_positive(term: Term) -> bool:
    """Whether a term is more than 0, by how it is written."""
    match term.op:
        case "number":
            return term.data > 0
        case "size" | "exp":
            return True
        case "real" | "sqrt":
            return _is_positive(term.args[0])
        case "pow":
            return _is_positive(term.args[0])
        case "mul" | "div":
            return all(map(_is_positive, term.args))
        case "add":
            return any(map(_is_positive, term.args)) and all(map(_is_never_negative, term.args))
        case "max":
            return any(map(_is_positive, term.args))
        case _:
            return False


def _is_never_negative(term: Term) -> bool:
    match term.op:
        case "abs":
            return True
        case "number":
            return term.data >= 0
        case "pow":
            is_even = _is_whole(term.args[1]) and term.args[1].data % 2 == 0
            return is_even or _is_positive(term)
        case "mul" | "div" if term.args[0] is term.args[1]:
            return True
        case "mul" | "div" | "add":
            return all(map(_is_never_negative, term.args))
        case "fold" | "real" | "sqrt":
            return _is_never_negative(term.args[0])
        case _:
            return _is_positive(term)


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
