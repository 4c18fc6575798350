"""Pulls out of a fold what is known only when another fold over the same axes is finished.

A summand that uses a finished fold r streams exactly when it is a sum of products `c(r) * h(x)`:
the fold is then `sum of c(r) * fold(h)`, with plain folds only (the normaliser lemma of
arXiv 2505.09326 at rank one, its affine version for layer norm at higher rank). A maximum may
stay inside, as a running one, if the ratio of the summand at two of its values does not contain
x: that ratio corrects the accumulator (arXiv 2412.03317, section 2.4).
"""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.terms import Term, Terms, is_number
from ncdlang.records import record
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]
Late = Callable[[Term], bool]

MAX_PARTS = 64


class Refusal(Exception):
    """A fold can't be streamed; `term` is the expression that stands in the way."""

    def __init__(self, reason: str, term: Term) -> None:
        super().__init__(reason)
        self.reason = reason
        self.term = term


@record(eq=False)
class Part:
    """One product: `outer`, which does not vary along the streamed axes, and `inner`."""

    outer: Term
    inner: Term


def under_condition(terms: Terms, term: Term) -> Term:
    """Drop choices that an enclosing choice by the same condition has made."""
    memo: dict[Term, Term] = {}

    def visit(now: Term) -> Term:
        if now not in memo:
            args = now.args
            if now.op == "select":
                condition, then, otherwise = args
                args = (
                    condition,
                    _decided(terms, then, condition, True),
                    _decided(terms, otherwise, condition, False),
                )
            memo[now] = terms.rebuilt(now, tuple(visit(arg) for arg in args))
        return memo[now]

    return visit(term)


def _decided(terms: Terms, term: Term, condition: Term, holds: bool) -> Term:
    def image(now: Term) -> Term | None:
        if now.op == "select" and now.args[0] is condition:
            return _decided(terms, now.args[1 if holds else 2], condition, holds)
        if now.op == "fold" and not condition.axes.isdisjoint(now.bound):
            return now
        return None

    return terms.map(term, image)


class Separation:
    """Separates summands along the streamed axes; `has_several` if one became several sums."""

    def __init__(self, terms: Terms, axes: Axes) -> None:
        self.terms = terms
        self.axes = axes
        self.has_several = False
        # Subterms are shared, and so is what they are split into.
        self._split_terms: dict[tuple[Term, Late], list[Part] | Refusal] = {}
        self._late_terms: dict[tuple[Term, Late], bool] = {}
        self._wider: dict[Axes, Separation] = {}

    # ---- a whole term ----------------------------------------------------------------------------

    def normalised(self, term: Term) -> Term:
        """The term with every fold over the axes free of finished sums. Raises Refusal."""
        memo: dict[Term, Term] = {}

        def visit(now: Term) -> Term:
            if now not in memo:
                made = self.terms.rebuilt(now, tuple(visit(arg) for arg in now.args))
                memo[now] = self._fold(made) if self._is_own(made) else made
                self.terms.keep_name(memo[now], now)
            return memo[now]

        return visit(term)

    def growth(self, fold: Term) -> Term | None:
        """How the summand of a fold grows with the running extrema in it: the factor g(m).

        None if there is none in it. Raises Refusal where the ratio g(m')/g(m) would contain x.
        """
        body = fold.args[0]
        if not self._has(body, self._is_extremum):
            return None
        if fold.kind != "sum":
            raise Refusal(f"a {fold.kind} is taken of what depends on a finished one", fold)
        parts = self.parts(body, self._is_extremum)
        if len(parts) != 1:
            raise Refusal(
                "the ratio at two values of the maximum depends on the streamed axis", body
            )
        return parts[0].outer

    def _fold(self, fold: Term) -> Term:
        body = fold.args[0]
        if not self._has(body, self._is_sum):
            return fold
        if fold.kind != "sum":
            raise Refusal(f"a {fold.kind} is taken of what depends on a finished one", fold)
        total: Term | None = None
        parts = self.parts(body, self._is_sum)
        self.has_several |= len(parts) > 1
        for part in parts:
            inner = self.terms.fold("sum", fold.bound, part.inner)
            made = self._times(part.outer, inner)
            total = made if total is None else self.terms.apply("add", total, made)
        assert total is not None
        return total

    # ---- summands --------------------------------------------------------------------------------

    def parts(self, term: Term, late: Late) -> list[Part]:
        """The term as a sum of products; the inner factors hold nothing late. Raises Refusal."""
        one = self.terms.number(1.0)
        if not self._has(term, late):
            return [Part(one, term)]
        if term.axes.isdisjoint(self.axes):
            return [Part(term, one)]
        known = self._split_terms.get((term, late))
        if known is None:
            try:
                known = self._collected(self._split(term, late), term)
            except Refusal as refusal:
                known = refusal
            self._split_terms[term, late] = known
        if isinstance(known, Refusal):
            raise known
        return known

    def _split(self, term: Term, late: Late) -> list[Part] | None:
        args = term.args
        match term.op:
            case "add" | "sub":
                right = self.parts(args[1], late)
                if term.op == "sub":
                    right = [Part(self._negative(p.outer), p.inner) for p in right]
                return self.parts(args[0], late) + right
            case "neg":
                return [Part(self._negative(p.outer), p.inner) for p in self.parts(args[0], late)]
            case "real" | "cast":
                return self.parts(args[0], late)
            case "mul":
                return self._product(self.parts(args[0], late), self.parts(args[1], late))
            case "div":
                return self._quotient(self.parts(args[0], late), self.parts(args[1], late))
            case "pow":
                return self._power(self.parts(args[0], late), args[1])
            case "abs" | "sign":
                part = self._single(args[0], late)
                return [Part(self._same(term.op, part.outer), self._same(term.op, part.inner))]
            case "exp":
                return [self._exponential(args[0], late)]
            case "select":
                return self._choice(term, late)
            case "fold":
                return self._through(term, late)
            case _:
                return None

    def _single(self, term: Term, late: Late) -> Part:
        parts = self.parts(term, late)
        if len(parts) != 1:
            raise Refusal("does not separate into a factor for each", term)
        return parts[0]

    def _product(self, left: list[Part], right: list[Part]) -> list[Part]:
        return [
            Part(self._times(a.outer, b.outer), self._times(a.inner, b.inner))
            for a in left
            for b in right
        ]

    def _quotient(self, left: list[Part], right: list[Part]) -> list[Part] | None:
        if len(right) != 1:
            return None
        below = right[0]
        return [
            Part(self._over(a.outer, below.outer), self._over(a.inner, below.inner)) for a in left
        ]

    def _power(self, base: list[Part], exponent: Term) -> list[Part] | None:
        if exponent.op != "number":
            return None
        if len(base) == 1:
            part = base[0]
            if exponent.data != int(exponent.data):
                return None
            apply = self.terms.apply
            return [Part(apply("pow", part.outer, exponent), apply("pow", part.inner, exponent))]
        if exponent.data not in (2, 3):
            return None
        made = base
        for _ in range(int(exponent.data) - 1):
            made = self._product(made, base)
        return made

    def _exponential(self, argument: Term, late: Late) -> Part:
        """A sum in the exponent is a product of exponentials."""
        outer: Term | None = None
        inner: Term | None = None
        for part in self.parts(argument, late):
            product = self._times(part.outer, part.inner)
            if product.axes.isdisjoint(self.axes):
                outer = product if outer is None else self.terms.apply("add", outer, product)
            elif self._has(part.outer, late):
                raise Refusal("does not separate into a factor for each", argument)
            else:
                inner = product if inner is None else self.terms.apply("add", inner, product)
        one = self.terms.number(1.0)
        exp = self.terms.apply
        return Part(exp("exp", outer) if outer else one, exp("exp", inner) if inner else one)

    def _choice(self, term: Term, late: Late) -> list[Part]:
        """A choice by a condition that is late is a factor outside; any other one stays inside."""
        condition, then, otherwise = term.args
        apply, zero = self.terms.apply, self.terms.number(0.0)
        is_outside = condition.axes.isdisjoint(self.axes)
        if not is_outside and self._has(condition, late):
            raise Refusal("a condition varies along the axis and waits for a finished fold", term)
        parts: list[Part] = []
        for branch, value in ((True, then), (False, otherwise)):
            if is_number(value, 0):
                continue
            for part in self.parts(value, late):
                if is_outside:
                    parts.append(Part(self._where(condition, branch, part.outer), part.inner))
                else:
                    chosen = (part.inner, zero) if branch else (zero, part.inner)
                    parts.append(Part(part.outer, apply("select", condition, *chosen)))
        return parts or [Part(zero, zero)]

    def _where(self, condition: Term, holds: bool, value: Term) -> Term:
        zero = self.terms.number(0.0)
        chosen = (value, zero) if holds else (zero, value)
        return self.terms.apply("select", condition, *chosen)

    def _through(self, fold: Term, late: Late) -> list[Part] | None:
        """A sum over other axes: what varies along neither goes out of both."""
        if fold.kind != "sum":
            return None
        axes = self.axes | frozenset(fold.bound)
        wider = self._wider.setdefault(axes, Separation(self.terms, axes))
        return [
            Part(part.outer, self.terms.fold("sum", fold.bound, part.inner))
            for part in wider.parts(fold.args[0], late)
        ]

    def _collected(self, parts: list[Part] | None, term: Term) -> list[Part]:
        """Parts with the same inner factor become one. Raises Refusal where there are none."""
        if parts is None:
            raise Refusal("does not separate into a factor for each", term)
        found: dict[Term, Term] = {}
        for part in parts:
            known = found.get(part.inner)
            joined = part.outer if known is None else self.terms.apply("add", known, part.outer)
            found[part.inner] = joined
        if len(found) > MAX_PARTS:
            raise Refusal(f"separates into more than {MAX_PARTS} products", term)
        return [Part(outer, inner) for inner, outer in found.items()]

    # ---- pieces ----------------------------------------------------------------------------------

    def _times(self, left: Term, right: Term) -> Term:
        for first, second in ((left, right), (right, left)):
            if first.op == "select" and is_number(first.args[1], 0) and second.op != "number":
                value = self._times(first.args[2], second)
                return self.terms.apply("select", first.args[0], first.args[1], value)
        return self.terms.apply("mul", left, right)

    def _over(self, left: Term, right: Term) -> Term:
        return self.terms.apply("div", left, right)

    def _negative(self, term: Term) -> Term:
        return self.terms.apply("neg", term)

    def _same(self, op: str, term: Term) -> Term:
        return term if is_number(term, 1) else self.terms.apply(op, term)

    def _has(self, term: Term, late: Late) -> bool:
        """Whether a finished fold that is late stands in the term."""
        found = self._late_terms.get((term, late))
        if found is None:
            found = late(term) or any(self._has(arg, late) for arg in term.args)
            self._late_terms[term, late] = found
        return found

    def _is_own(self, term: Term) -> bool:
        return term.op == "fold" and frozenset(term.bound) == self.axes

    def _is_extremum(self, term: Term) -> bool:
        return self._is_own(term) and term.kind in ("max", "min")

    def _is_sum(self, term: Term) -> bool:
        return self._is_own(term) and term.kind not in ("max", "min")
