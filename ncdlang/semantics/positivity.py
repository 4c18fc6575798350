"""Proofs that a polynomial in non-negative unknowns is non-negative, without a solver.

Every hypothesis `h >= 0` that can be solved for an unknown is (`x := t + rest` with a new
`t >= 0`), a floor division is replaced by quotient and remainder, and what is to be proved is
accepted when all its coefficients are non-negative after that. Sound, not complete: a refusal
means nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from ncdlang.semantics.formulas import AtLeastZero, Formula, Zero, conjuncts
from ncdlang.semantics.size import ZERO, Atom, Monomial, Quotient, Size, Symbol, constant

_ROUNDS = 60
_STEPS = 60
_TERMS = 40


def is_positive_form(size: Size) -> bool:
    """Whether all coefficients are non-negative, so that the size is at all values."""
    return all(c >= 0 for _, c in size.terms)


class System:
    """Hypotheses, solved as far as they can be.

    `images` gives every solved unknown as a polynomial in the others, all of which are
    non-negative; `rest` are the hypotheses that could not be solved.
    """

    def __init__(self, hypotheses: Iterable[Formula]) -> None:
        self.images: dict[Symbol, Size] = {}
        self.rest: list[Size] = []
        self._equal: list[Size] = []
        self._quotients: dict[Quotient, Size] = {}
        self._fresh = 0
        atoms = list(conjuncts(hypotheses))
        for atom in [a for a in atoms if not _has_quotient(a.size)]:
            self._assume(atom)
        self._solve()
        for atom in [a for a in atoms if _has_quotient(a.size)]:
            self._assume(atom)
            self._solve()

    def proves(self, goal: Size) -> bool:
        """Whether the hypotheses are seen to imply `goal >= 0`."""
        if is_positive_form(goal) and not _has_quotient(goal):
            return True
        return self._shown(self.translate(goal))

    def translate(self, size: Size) -> Size:
        """The size in the unknowns that are left."""
        size = self._without_quotients(size)
        self._solve()
        return size.substitute(self.images)

    # -- solving ----------------------------------------------------------------------------------

    def _assume(self, atom: AtLeastZero | Zero) -> None:
        size = self._without_quotients(atom.size).substitute(self.images)
        (self._equal if isinstance(atom, Zero) else self.rest).append(size)

    def _new(self) -> Size:
        self._fresh += 1
        return Size.of(Symbol("~", -self._fresh))

    def _solve(self) -> None:
        for _ in range(_ROUNDS):
            if not (self._use_equality() or self._use_bound()):
                return

    def _replace(self, symbol: Symbol, image: Size) -> None:
        step = {symbol: image}
        self.images = {key: value.substitute(step) for key, value in self.images.items()}
        self.images[symbol] = image
        self._equal = [size.substitute(step) for size in self._equal]
        self.rest = [size.substitute(step) for size in self.rest]

    def _use_equality(self) -> bool:
        if not self._equal:
            return False
        equation = self._equal.pop()
        if not equation.terms:
            return True
        solutions = [
            (symbol, Size.of(symbol) - equation * c)
            for symbol, c in _linear(equation)
            if abs(c) == 1
        ]
        solutions.sort(key=lambda solution: not is_positive_form(solution[1]))
        if solutions:
            symbol, image = solutions[0]
            self._replace(symbol, image)
            if not is_positive_form(image):
                self.rest.append(image)
        else:
            self.rest += [equation, -equation]
        return True

    def _use_bound(self) -> bool:
        for position, bound in enumerate(self.rest):
            if is_positive_form(bound):
                del self.rest[position]
                return True
            for symbol, c in _linear(bound):
                rest = Size.of(symbol) - bound
                if c == 1 and is_positive_form(rest):
                    del self.rest[position]
                    self._replace(symbol, rest + self._new())
                    return True
            shifts = _least_values(bound)
            if shifts:
                for symbol, least in shifts:
                    self._replace(symbol, self._new() + least)
                return True
        return False

    def _without_quotients(self, size: Size) -> Size:
        if not _has_quotient(size):
            return size
        total = ZERO
        for monomial, c in size.terms:
            term = constant(c)
            for atom, power in monomial:
                factor = Size.of(atom) if isinstance(atom, Symbol) else self._quotient(atom)
                for _ in range(power):
                    term = term * factor
            total = total + term
        return total

    def _quotient(self, atom: Quotient) -> Size:
        known = self._quotients.get(atom)
        if known is not None:
            return known.substitute(self.images)
        numerator = self._without_quotients(atom.numerator).substitute(self.images)
        divisor = self._without_quotients(atom.denominator).substitute(self.images)
        quotient = self._new()
        if not self._shown(numerator):
            quotient = quotient - self._new()
        self._quotients[atom] = quotient
        if is_positive_form(divisor):
            remainder = self._new()
            self.rest += [divisor - 1, divisor - 1 - remainder]
            self._equal.append(numerator - divisor * quotient - remainder)
            self._solve()
        return quotient.substitute(self.images)

    # -- proving ----------------------------------------------------------------------------------

    def _shown(self, goal: Size) -> bool:
        """Search, breadth first, for something smaller than the goal without a minus sign."""
        seen = {goal}
        waiting = deque([goal])
        while waiting and len(seen) <= _STEPS:
            candidate = waiting.popleft()
            if is_positive_form(candidate):
                return True
            for hypothesis in self.rest:
                for smaller in _lowered(candidate, hypothesis):
                    if smaller not in seen and len(smaller.terms) <= _TERMS:
                        seen.add(smaller)
                        waiting.append(smaller)
        return any(is_positive_form(candidate) for candidate in waiting)


def _has_quotient(size: Size) -> bool:
    return any(isinstance(atom, Quotient) for monomial, _ in size.terms for atom, _ in monomial)


def _linear(size: Size) -> list[tuple[Symbol, int]]:
    """The symbols that occur in one term only, there alone, with their coefficients."""
    found: list[tuple[Symbol, int]] = []
    for monomial, c in size.terms:
        if len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], Symbol):
            symbol = monomial[0][0]
            if not any(symbol in dict(other) for other, _ in size.terms if other is not monomial):
                found.append((symbol, c))
    return found


def _least_values(bound: Size) -> list[tuple[Symbol, int]]:
    """For `c*monomial >= n` with positive n: what its unknowns are at least."""
    if len(bound.terms) != 2 or bound.terms[1][0] or bound.terms[1][1] >= 0:
        return []
    (monomial, c), (_, minus) = bound.terms
    if c <= 0 or not all(isinstance(atom, Symbol) for atom, _ in monomial):
        return []
    single = len(monomial) == 1 and monomial[0][1] == 1
    least = -(minus // c) if single else 1
    return [(atom, least) for atom, _ in monomial if isinstance(atom, Symbol)]


def _lowered(goal: Size, hypothesis: Size) -> Iterator[Size]:
    """Polynomials that are at most `goal` because `hypothesis >= 0`."""
    for symbol, c in _linear(hypothesis):
        if c != -1:
            continue
        slope = _coefficient(goal, symbol)
        if slope is not None and slope.terms and is_positive_form(-slope):
            yield goal.substitute({symbol: hypothesis + Size.of(symbol)})
    for monomial, c in goal.terms:
        if c >= 0:
            continue
        for other, d in hypothesis.terms:
            factor = _quotient_monomial(monomial, other)
            if d < 0 and factor is not None:
                yield goal - hypothesis * Size({factor: -(c // -d)})


def _coefficient(size: Size, symbol: Symbol) -> Size | None:
    """The coefficient of a symbol in which the size is linear, else None."""
    terms: dict[Monomial, int] = {}
    for monomial, c in size.terms:
        powers: dict[Atom, int] = dict(monomial)
        power = powers.pop(symbol, 0)
        if power > 1:
            return None
        if power:
            terms[tuple(powers.items())] = c
    return Size(terms)


def _quotient_monomial(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    powers = dict(monomial)
    for atom, power in divisor:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple((atom, power) for atom, power in powers.items() if power)
