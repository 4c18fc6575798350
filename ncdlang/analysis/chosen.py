"""Choices whose branch that is not chosen gives no gradient, whoever differentiates them.

Automatic differentiation multiplies the gradient 0 of such a branch with derivatives in it, which
may be infinite. Where an operation may have one, its argument is chosen too, and else harmless.
"""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.terms import Term, Terms, number_kind, subterms
from ncdlang.semantics.types import Axis

# Operations that may be infinite or have an infinite derivative, by the argument that it is due to.
_STEEP = {"div": 1, "pow": 0, "log": 0, "log1p": 0, "sqrt": 0, "rsqrt": 0}
# Those that overflow, by an argument at which they do not.
_FLAT = {"exp": 0.0, "expm1": 0.0, "tan": 0.0}


def chosen(terms: Terms, term: Term) -> Term:
    """The same values, with gradients that are finite wherever the chosen branches have them."""
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            made = terms.rebuilt(now, tuple(visit(arg) for arg in now.args))
            memo[now] = _guarded(terms, made) if made.op == "select" else made
            terms.keep_name(memo[now], now)
        return memo[now]

    return visit(term)


def _guarded(terms: Terms, choice: Term) -> Term:
    condition, then, otherwise = choice.args
    axes = condition.axes
    branches = [
        _inside(terms, then, axes, lambda x, safe: terms.apply("select", condition, x, safe)),
        _inside(terms, otherwise, axes, lambda x, safe: terms.apply("select", condition, safe, x)),
    ]
    return terms.apply("select", condition, *branches)


def _inside(
    terms: Terms, branch: Term, axes: frozenset[Axis], choose: Callable[[Term, Term], Term]
) -> Term:
    """A branch whose steep operations work on what is chosen by a condition with these axes."""
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            memo[now] = made(now)
        return memo[now]

    def made(now: Term) -> Term:
        if now.op == "fold" and not axes.isdisjoint(now.bound):
            return now
        args = [visit(arg) for arg in now.args]
        if _is_steep(now, axes):
            place = _STEEP.get(now.op, 0)
            args[place] = choose(args[place], terms.number(_FLAT.get(now.op, 1.0)))
        return terms.rebuilt(now, tuple(args))

    return visit(branch)


def _is_steep(term: Term, axes: frozenset[Axis]) -> bool:
    """Whether an operation has to be kept from what the condition does not choose.

    What overflows does so entry by entry: where it lacks an axis it is not made larger for it.
    """
    if term.op not in _STEEP and not (term.op in _FLAT and axes <= term.axes):
        return False
    argument = term.args[_STEEP.get(term.op, 0)]
    return any(t.op == "load" and number_kind(t) == "real" for t in subterms(argument))
