"""Exact reasoning on index maps: does an index stay inside, for all sizes?

Polynomials are tried first (`positivity`), small sizes for a counterexample next, and isl
(`presburger`) where guards or floor divisions need it. What none of them decides is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.records import record
from ncdlang.semantics.extents import largest_size
from ncdlang.semantics.facts import (
    NO_FACTS,
    Comparison,
    Facts,
    Inside,
    Outside,
    Unknown,
    Verdict,
)
from ncdlang.semantics.formulas import (
    NEGATED,
    TRUE,
    All,
    AtLeastZero,
    Formula,
    Some,
    Variables,
    Zero,
    condition,
    defined,
    extent,
    guard_axes,
    holds,
    known,
    relation,
    rewrite,
    split_axes,
    symbols_of,
)
from ncdlang.semantics.positivity import System
from ncdlang.semantics.program import Expression
from ncdlang.semantics.search import small_sizes
from ncdlang.semantics.size import ZERO, Size, Symbol
from ncdlang.semantics.types import Affine, Axis
from ncdlang.semantics.violation import Violations

__all__ = [
    "Facts",
    "Inside",
    "Outside",
    "Unknown",
    "Verdict",
    "contradictory",
    "decide",
    "largest_size",
    "prove_at_least",
    "prove_inside",
]

_CORNERS = 4000
_WITNESSES = 200


def prove_inside(
    index: Affine,
    size: Size,
    guards: Sequence[tuple[Expression, bool]] = (),
    facts: Facts = NO_FACTS,
) -> Verdict:
    """Whether `0 <= index < size` wherever the guards hold, for all sizes that satisfy the facts.

    Every axis of the index ranges over its own size, a gathered natural over its bound. A guard
    is a condition and whether it holds or its negation does; what is not affine in it is ignored.
    """
    axis = index.axis
    if axis is not None and axis.size == size:
        return Inside()
    return _Question(index, size, guards, facts).answer()


def prove_at_least(
    index: Affine,
    least: int,
    guards: Sequence[tuple[Expression, bool]] = (),
    facts: Facts = NO_FACTS,
) -> bool:
    """Whether `index >= least` is proved, in the sense of `prove_inside`.

    A read `H[t - d]` goes strictly earlier along t if `t - (t - d)` is at least 1.
    """
    question = _Question(index, ZERO, guards, facts)
    goal = question.position - least
    if System(question.formulas).proves(goal):
        return True
    return contradictory((*question.formulas, AtLeastZero(-goal - 1)))


def decide(left: Size, op: Comparison, right: Size, facts: Facts = NO_FACTS) -> bool | None:
    """True if `left op right` holds at all sizes that satisfy the facts, False if at none.

    Sizes are integers of at least 0. None if it depends on them, or could not be found out.
    """
    goal, failure = relation(left, op, right), relation(left, NEGATED[op], right)
    if (left - right).value is not None:
        return holds(goal, {})
    conditions = defined((goal, *known(facts, (goal,))))[1:]
    system = System(conditions)
    if _implied(system, goal):
        return True
    if _implied(system, failure):
        return False
    if _undecided(goal, conditions):
        return None
    if contradictory((*conditions, failure)):
        return True
    return False if contradictory((*conditions, goal)) else None


def contradictory(formulas: Sequence[Formula]) -> bool:
    """Whether isl proves that no sizes and indices satisfy all the formulas.

    Products of unknowns count as unknowns of their own: False then means nothing.
    """
    from ncdlang.semantics.presburger import NotPresburgerError, Points, RunawayError, is_linear

    try:
        if is_linear(formulas):
            return Points(symbols_of(formulas), formulas).is_empty()
        system = System(formulas)
        solved = [rewrite(formula, system.translate) for formula in formulas]
        solved = [rewrite(formula, system.translate) for formula in solved]
        solved += [AtLeastZero(size) for size in system.rest]
        return Points(symbols_of(solved), solved, products=True).is_empty()
    except (NotPresburgerError, RunawayError):
        return False


def _implied(system: System, goal: Formula) -> bool:
    match goal:
        case AtLeastZero():
            return system.proves(goal.size)
        case Zero():
            return system.proves(goal.size) and system.proves(-goal.size)
        case All():
            return all(_implied(system, part) for part in goal.parts)
        case Some():
            return any(_implied(system, part) for part in goal.parts)


def _undecided(goal: Formula, conditions: Sequence[Formula]) -> bool:
    """Whether small sizes show that the goal holds at some sizes and fails at others."""
    symbols = symbols_of((goal, *conditions))
    seen: set[bool] = set()
    for sizes in small_sizes(symbols, conditions, _WITNESSES):
        seen.add(holds(goal, sizes))
        if len(seen) == 2:
            return True
    return False


def _is_telling(limit: Size, axis: Axis) -> bool:
    """Whether a limit is possible, and not in terms of the size that it limits."""
    possible = limit.value is None or limit.value > 0
    return possible and limit.symbols().isdisjoint(axis.size.symbols())


def _is_absurd(formula: Formula) -> bool:
    """Whether the formula has no unknowns and is false."""
    return not symbols_of((formula,)) and not holds(formula, {})


@record
class _Sides:
    """Which of the two bounds is proved."""

    below: bool
    above: bool


class _Question:
    """One call of `prove_inside`, with index variables as symbols."""

    def __init__(
        self,
        index: Affine,
        size: Size,
        guards: Sequence[tuple[Expression, bool]],
        facts: Facts,
    ) -> None:
        axes = [*index.axes(), *(axis for guard, _ in guards for axis in guard_axes(guard))]
        self.index, self.size = index, size
        self.variables = Variables(split=split_axes(axes))
        self.position = self.variables.polynomial(index)
        conditions = tuple(condition(guard, truth, self.variables) for guard, truth in guards)
        self.conditions = tuple(c for c in conditions if c != TRUE)
        self.violation = Some((AtLeastZero(-self.position - 1), AtLeastZero(self.position - size)))
        asked = (self.violation, *self.variables.box(), *self.conditions)
        everything = defined((*asked, *known(facts, asked)))
        self.formulas = everything[1:]
        indices = set(self.variables.symbols.values())
        self.sizes = tuple(s for s in symbols_of(everything) if s not in indices)
        self.violations = Violations(
            self.position,
            size,
            tuple((v, s, extent(v)) for v, s in self.variables.symbols.items()),
            self.conditions,
        )

    def answer(self) -> Verdict:
        """The verdict, by the cheapest means that gives one."""
        if any(_is_absurd(formula) for formula in self.formulas):
            return Inside()
        if not self.sizes and self.violations.is_exact:
            return self._verdict({}) or Inside()
        system = System(self.formulas)
        sides = _Sides(system.proves(self.position), system.proves(self.size - 1 - self.position))
        if sides.below and sides.above:
            return Inside()
        if self.violations.is_exact:
            found = self._search(sides)
            if found is not None:
                return found
        return self._asked(sides)

    def _asked(self, sides: _Sides) -> Verdict:
        from ncdlang.semantics.presburger import RunawayError, is_linear

        constraints = (*self.formulas, self.violation)
        if contradictory(constraints):
            return Inside()
        if self.violations.has_unbounded:
            return Unknown()
        try:
            found = self._least(constraints, sides) if is_linear(constraints) else None
        except RunawayError:
            found = None
        if found is None and not self.violations.is_exact:
            found = self._search(sides)
        return found or Unknown()

    def _least(self, constraints: Sequence[Formula], sides: _Sides) -> Outside | None:
        """The counterexample with the least sizes, all positive if there is one."""
        from ncdlang.semantics.presburger import Points

        symbols = (*self.sizes, *self.variables.symbols.values())
        positive = tuple(AtLeastZero(Size.of(symbol) - 1) for symbol in self.sizes)
        for extra in (positive, ()):
            point = Points(symbols, (*constraints, *extra)).least()
            if point is not None:
                return self._verdict({s: point[s] for s in self.sizes}, sides)
        return None

    def _search(self, sides: _Sides) -> Outside | None:
        if self.violations.has_unbounded:
            return None
        budget = _CORNERS if self.violations.is_exact else _WITNESSES
        for sizes in small_sizes(self.sizes, self._size_conditions(), budget):
            found = self._verdict(sizes, sides)
            if found is not None:
                return found
        return None

    def _size_conditions(self) -> tuple[Formula, ...]:
        """What holds of the sizes alone, and that no axis is empty."""
        indices = set(self.variables.symbols.values())
        alone = [f for f in self.formulas if indices.isdisjoint(symbols_of((f,)))]
        extents = [extent(variable) for variable in self.variables.symbols]
        return (*alone, *(AtLeastZero(size - 1) for size in extents if size is not None))

    def _verdict(self, sizes: dict[Symbol, int], sides: _Sides | None = None) -> Outside | None:
        found = self.violations.worst(sizes)
        if found is None:
            return None
        limits = self._limits(found.value, sides)
        index = tuple((v, found.index[s]) for v, s in self.variables.symbols.items())
        return Outside(tuple(sizes.items()), index, found.value, found.size, limits)

    def _limits(self, value: int, sides: _Sides | None) -> tuple[tuple[Axis, Size], ...]:
        """Sizes that would mend the index, where only one of its ends is wrong."""
        low = self.violations.lowest({}) if sides is None else None
        below = sides.below if sides is not None else low is not None and low >= 0
        above = sides.above if sides is not None else value < 0
        if self.conditions or below == above:
            return ()
        limits: list[tuple[Axis, Size]] = []
        for variable, coefficient in self.index.terms:
            number = coefficient.value
            if isinstance(variable, Axis) and number and (number > 0) == below:
                limit = largest_size(((self.index, self.size),), variable)
                if limit is not None and _is_telling(limit, variable):
                    limits.append((variable, limit))
        return tuple(limits)
