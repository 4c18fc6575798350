"""The worst place of an index at sizes that are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from ncdlang.records import record
from ncdlang.semantics.formulas import AtLeastZero, Formula, holds, rewrite
from ncdlang.semantics.size import Quotient, Size, Symbol, constant
from ncdlang.semantics.types import Axis, Gathered

_ENUMERATED = 1024


@record
class Violation:
    """Index variables at which the position leaves `0 .. size - 1`."""

    index: dict[Symbol, int]
    value: int
    size: int


class Violations:
    """An index, its array's size, and the variables with the sizes that they stay below."""

    def __init__(
        self,
        position: Size,
        size: Size,
        variables: Sequence[tuple[Axis | Gathered, Symbol, Size | None]],
        conditions: Sequence[Formula],
    ) -> None:
        self.position, self.size = position, size
        self.variables, self.conditions = variables, conditions
        self.has_unbounded = any(extent is None for _, _, extent in variables)
        self.is_exact = not (self.has_unbounded or conditions or self._has_floors())

    def worst(self, sizes: dict[Symbol, int]) -> Violation | None:
        """The largest index that is too large, else the least that is negative, else None."""
        try:
            limits = [
                extent.evaluate(sizes) for _, _, extent in self.variables if extent is not None
            ]
            size = self.size.evaluate(sizes)
            if min(limits, default=1) <= 0:
                return None
            values = {symbol: constant(value) for symbol, value in sizes.items()}
            position = self.position.substitute(values)
            conditions = [rewrite(c, lambda s: s.substitute(values)) for c in self.conditions]
        except ZeroDivisionError:
            return None
        box = dict(zip((symbol for _, symbol, _ in self.variables), limits, strict=True))
        for largest in (True, False):
            index = self._extreme(position, conditions, box, largest=largest)
            if index is not None:
                value = position.evaluate(index)
                if value >= size if largest else value < 0:
                    return Violation(index, value, size)
        return None

    def lowest(self, sizes: dict[Symbol, int]) -> int | None:
        """The least value of the position, None if there is no index at all."""
        limits = {
            s: extent.evaluate(sizes) for _, s, extent in self.variables if extent is not None
        }
        values = {symbol: constant(value) for symbol, value in sizes.items()}
        position = self.position.substitute(values)
        index = self._extreme(position, [], limits, largest=False)
        return None if index is None else position.evaluate(index)

    def _has_floors(self) -> bool:
        indices = {symbol for _, symbol, _ in self.variables}
        return any(
            isinstance(atom, Quotient) and indices & Size.of(atom).symbols()
            for monomial, _ in self.position.terms
            for atom, _ in monomial
        )

    def _extreme(
        self,
        position: Size,
        conditions: Sequence[Formula],
        box: dict[Symbol, int],
        *,
        largest: bool,
    ) -> dict[Symbol, int] | None:
        if self.is_exact:
            return _corner(position, box, largest=largest)
        if prod(box.values()) <= _ENUMERATED:
            return _enumerated(position, conditions, box, largest=largest)
        return _asked(position, conditions, box, largest=largest)


def _corner(position: Size, box: dict[Symbol, int], *, largest: bool) -> dict[Symbol, int]:
    slopes = {monomial[0][0]: c for monomial, c in position.terms if monomial}
    return {
        symbol: limit - 1 if (slopes.get(symbol, 0) > 0) == largest and symbol in slopes else 0
        for symbol, limit in box.items()
    }


def _enumerated(
    position: Size, conditions: Sequence[Formula], box: dict[Symbol, int], *, largest: bool
) -> dict[Symbol, int] | None:
    best: dict[Symbol, int] | None = None
    best_value = 0
    for values in product(*(range(limit) for limit in box.values())):
        index = dict(zip(box, values, strict=True))
        value = position.evaluate(index) * (1 if largest else -1)
        if (best is None or value > best_value) and all(holds(c, index) for c in conditions):
            best, best_value = index, value
    return best


def _asked(
    position: Size, conditions: Sequence[Formula], box: dict[Symbol, int], *, largest: bool
) -> dict[Symbol, int] | None:
    from ncdlang.semantics.presburger import NotPresburgerError, Points, RunawayError

    inside = [AtLeastZero(constant(limit - 1) - Size.of(symbol)) for symbol, limit in box.items()]
    try:
        points = Points(tuple(box), (*inside, *conditions), measure=position)
        return points.extreme(largest=largest)
    except (NotPresburgerError, RunawayError):
        return None
