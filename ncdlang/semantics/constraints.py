"""Equations between sizes, solved as they come in, each with where it came from."""

from __future__ import annotations

from typing import Literal

from ncdlang.records import record
from ncdlang.semantics.program import Requirement
from ncdlang.semantics.size import Size, Symbol
from ncdlang.source import Span

Relation = Literal["==", "!=", ">=", "<=", ">", "<"]


@record
class Origin:
    """Why two sizes are equal: a phrase in the file's names, and the place that says so."""

    left: Size
    right: Size
    reason: str
    span: Span


class Constraints:
    """What is known of the sizes of one diagram.

    Equations that have a lone unknown are solved for it; the rest, and inequalities, are kept as
    facts. `requirements` is what could not be decided: a caller or the emitted code checks it.
    `defaults` are the sizes of free axes that hold unless a use says otherwise.
    """

    def __init__(self) -> None:
        self.requirements: list[Requirement] = []
        self.defaults: dict[Symbol, Size] = {}
        self._solved: dict[Symbol, Size] = {}
        self._origins: list[Origin] = []
        self._facts: list[tuple[Size, Relation, Size]] = []

    def normal(self, size: Size) -> Size:
        """The size with every solved unknown replaced."""
        return size.substitute(self._solved)

    def with_defaults(self, size: Size) -> Size:
        """The size at the default sizes of the free axes."""
        return self.normal(self.normal(size).substitute(self.defaults))

    @property
    def facts(self) -> tuple[tuple[Size, Relation, Size], ...]:
        """The relations that no substitution expresses, in normal form."""
        return tuple((self.normal(a), op, self.normal(b)) for a, op, b in self._facts)

    @property
    def relations(self) -> tuple[tuple[Size, Relation, Size], ...]:
        """Everything that is known, solved equations included."""
        solved = _equations(self._solved)
        return (*solved, *self._facts)

    @property
    def relations_at_defaults(self) -> tuple[tuple[Size, Relation, Size], ...]:
        """The same with the defaults of the free axes."""
        return (*_equations(self.defaults), *self.relations)

    def assume(self, left: Size, op: Relation, right: Size) -> None:
        """Take a relation as given, without making it a requirement."""
        if op != "==" or not self._solve(self.normal(left - right)):
            self._facts.append((left, op, right))

    def equate(self, left: Size, right: Size, reason: str, span: Span) -> tuple[Origin, ...] | None:
        """Record that two sizes are equal.

        Returns None where that is possible; where it contradicts what is known, the equations
        that led there, this one last.
        """
        difference = self.normal(left - right)
        if not difference.terms:
            return None
        origin = Origin(left, right, reason, span)
        verdict = self.decide(left, "==", right)
        if verdict is True:
            return None
        if verdict is False or _only_of_nothing(difference):
            return (*self._chain(left - right), origin)
        at_defaults = self.with_defaults(left - right)
        if at_defaults.value not in (None, 0):
            return (*self._chain(left - right), origin)
        self.requirements.append(Requirement(left, "==", right, reason, span))
        if not self._solve(difference):
            self._facts.append((left, "==", right))
        self._origins.append(origin)
        return None

    def require(self, left: Size, op: Relation, right: Size, reason: str, span: Span) -> bool:
        """Demand a relation. False: it can't hold (at the defaults); else it is known from now."""
        verdict = self.decide(left, op, right)
        if verdict is True:
            return True
        if verdict is False:
            return False
        if self.defaults and self.decide_at_defaults(left, op, right) is False:
            return False
        self.requirements.append(Requirement(left, op, right, reason, span))
        self.assume(left, op, right)
        return True

    def decide(self, left: Size, op: Relation, right: Size) -> bool | None:
        """True if the relation holds for all sizes, False if for none, None if for some."""
        return self._decide(self.normal(left), op, self.normal(right))

    def decide_at_defaults(self, left: Size, op: Relation, right: Size) -> bool | None:
        """The same with free axes at their defaults."""
        return self._decide(self.with_defaults(left), op, self.with_defaults(right))

    def related(self, difference: Size) -> tuple[Requirement, ...]:
        """What was demanded of the unknowns of `difference`, or of others tied to them."""
        reached = set(difference.symbols())
        found: set[int] = set()
        grew = True
        while grew:
            grew = False
            for i, requirement in enumerate(self.requirements):
                symbols = requirement.left.symbols() | requirement.right.symbols()
                if i not in found and not reached.isdisjoint(symbols):
                    found.add(i)
                    reached |= symbols
                    grew = True
        return tuple(self.requirements[i] for i in sorted(found))

    def _decide(self, left: Size, op: Relation, right: Size) -> bool | None:
        difference = (left - right).value
        if difference is not None:
            return _holds(difference, op)
        from ncdlang.semantics.bounds import Facts, decide

        return decide(left, op, right, Facts(self.facts))

    def _solve(self, difference: Size) -> bool:
        """Use `difference == 0` to eliminate an unknown, the youngest that stands alone."""
        best: tuple[Symbol, int] | None = None
        for monomial, c in difference.terms:
            if abs(c) != 1 or len(monomial) != 1 or monomial[0][1] != 1:
                continue
            atom = monomial[0][0]
            if not isinstance(atom, Symbol):
                continue
            rest = difference - Size({monomial: c})
            if atom not in rest.symbols() and (best is None or atom.uid > best[0].uid):
                best = (atom, c)
        if best is None:
            return False
        symbol, c = best
        rest = difference - Size.of(symbol) * c
        solution = -rest if c == 1 else rest
        self._solved = {s: size.substitute({symbol: solution}) for s, size in self._solved.items()}
        self._solved[symbol] = solution
        return True

    def _chain(self, difference: Size) -> tuple[Origin, ...]:
        """The recorded equations that the unknowns of `difference` depend on, in order."""
        reached = set(difference.symbols())
        chain: set[int] = set()
        grew = True
        while grew:
            grew = False
            for i, origin in enumerate(self._origins):
                symbols = (origin.left - origin.right).symbols()
                if i not in chain and not reached.isdisjoint(symbols):
                    chain.add(i)
                    reached |= symbols
                    grew = True
        return tuple(self._origins[i] for i in sorted(chain))


def _only_of_nothing(difference: Size) -> bool:
    """Whether sizes differ wherever an axis has an entry: 3n and 2n are no sizes of one axis."""
    signs = {c > 0 for _, c in difference.terms}
    known = all(isinstance(a, Symbol) for monomial, _ in difference.terms for a, _ in monomial)
    return known and len(signs) == 1


def _equations(values: dict[Symbol, Size]) -> tuple[tuple[Size, Relation, Size], ...]:
    return tuple((Size.of(symbol), "==", size) for symbol, size in values.items())


def _holds(difference: int, op: Relation) -> bool:
    match op:
        case "==":
            return difference == 0
        case "!=":
            return difference != 0
        case ">=":
            return difference >= 0
        case "<=":
            return difference <= 0
        case ">":
            return difference > 0
        case "<":
            return difference < 0
