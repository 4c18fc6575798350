"""The inferred size of an axis: the largest at which its indices stay inside ("valid")."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import assert_never

from ncdlang.semantics.facts import giving_up
from ncdlang.semantics.formulas import Variables, extent
from ncdlang.semantics.positivity import is_positive_form
from ncdlang.semantics.size import ZERO, Size
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, IndexVariable, Mod

_ENUMERATED = 4096


@giving_up(None)
def largest_size(uses: Sequence[tuple[Affine, Size]], axis: Axis) -> Size | None:
    """The largest size of `axis` that keeps every index inside its array.

    A use is an index and the size of the array axis that it indexes; `axis` occurs in it with an
    integer coefficient, alone or under a floor division. Other axes are taken to be non-empty.
    None if there is no closed form or two uses give different polynomials. The result may be
    negative where even one index would be too many.
    """
    found: Size | None = None
    for index, size in uses:
        largest = _largest(index, size, axis)
        if largest is None or (found is not None and found != largest):
            return None
        found = largest
    return found


def _largest(index: Affine, size: Size, axis: Axis) -> Size | None:
    carriers = [(v, c) for v, c in index.terms if axis in _axes_of(v)]
    if len(carriers) != 1 or (coefficient := carriers[0][1].value) is None:
        return None
    variable = carriers[0][0]
    rest = Affine(index.constant, tuple(term for term in index.terms if term[0] != variable))
    end = _extreme(rest, upper=coefficient > 0)
    if end is None or not _apart((*rest.terms, carriers[0])):
        return None
    # coefficient*variable <= size - 1 - end, or -coefficient*variable <= end.
    room = size - 1 - end if coefficient > 0 else end
    top = room // abs(coefficient)
    match variable:
        case Axis():
            return top + 1 if variable is axis else None
        case Floor():
            return _largest(variable.numerator, (top + 1) * variable.divisor, axis)
        case Mod() | Gathered():
            return None
        case _:
            assert_never(variable)


def _extreme(index: Affine, *, upper: bool) -> Size | None:
    """The largest or least value of an index whose variables are independent, None if unclear."""
    total = index.constant
    if not _apart(index.terms):
        return None
    for variable, coefficient in index.terms:
        if is_positive_form(coefficient):
            end = _end(variable, upper=upper)
        elif is_positive_form(-coefficient):
            end = _end(variable, upper=not upper)
        else:
            return None
        if end is None:
            return None
        total = total + coefficient * end
    return total


def _end(variable: IndexVariable, *, upper: bool) -> Size | None:
    match variable:
        case Axis() | Gathered():
            size = extent(variable)
            if not upper:
                return ZERO
            return None if size is None else size - 1
        case Floor():
            end = _extreme(variable.numerator, upper=upper)
            return None if end is None else end // variable.divisor
        case Mod():
            return _enumerated(variable, upper=upper)
        case _:
            assert_never(variable)


def _enumerated(variable: Mod, *, upper: bool) -> Size | None:
    """The end of a remainder, which has a closed form only if all is numbers."""
    table = Variables()
    position = table.polynomial(variable.numerator) % variable.divisor
    limits = [extent(v) for v in table.symbols]
    numbers = [limit.value for limit in limits if limit is not None and limit.value is not None]
    if len(numbers) < len(limits) or not 0 < prod(numbers) <= _ENUMERATED:
        return None
    if position.symbols() - set(table.symbols.values()):
        return None
    values = [
        position.evaluate(dict(zip(table.symbols.values(), point, strict=True)))
        for point in product(*map(range, numbers))
    ]
    return ZERO + (max(values) if upper else min(values))


def _apart(terms: Sequence[tuple[IndexVariable, Size]]) -> bool:
    """Whether no axis occurs in two of the terms, a composite axis and its parts included."""
    seen: set[Axis] = set()
    for variable, _ in terms:
        atoms = {atom for axis in _axes_of(variable) for atom in axis.atoms}
        if seen & atoms:
            return False
        seen |= atoms
    return True


def _axes_of(variable: IndexVariable) -> tuple[Axis, ...]:
    match variable:
        case Axis():
            return (variable,)
        case Floor() | Mod():
            return variable.numerator.axes()
        case Gathered():
            return tuple(axis for index in variable.indices for axis in index.axes())
        case _:
            assert_never(variable)
