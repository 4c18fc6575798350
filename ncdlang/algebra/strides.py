"""Index maps as morphisms of the axis-stride category: composition and flattened axes.

A morphism is a tuple of coordinates over some axes (WWM, Def. 8). Composition is substitution;
a composite axis is the row-major sum of its parts, and back where that can be proved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ncdlang.semantics.size import ONE, ZERO, Size, constant, product
from ncdlang.semantics.types import (
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    plain_index,
)

Places = tuple[Affine, ...]
Substitution = Mapping[Axis, Affine]


def spread(axis: Axis) -> Affine:
    """The index along an axis by its parts: `size(k)*h + k` for `(h k)`."""
    if not axis.parts:
        return plain_index(axis)
    atoms = axis.atoms
    strides = (product(a.size for a in atoms[i + 1 :]) for i in range(len(atoms)))
    return Affine(
        ZERO, tuple((a, s) for a, s in zip(atoms, strides, strict=True) if s != ZERO), False
    )


def combine(constant_: Size, terms: Sequence[tuple[IndexVariable, Size]]) -> Affine:
    """A coordinate from terms in which a variable may occur twice."""
    found: dict[IndexVariable, Size] = {}
    for variable, coefficient in terms:
        before = found.get(variable)
        found[variable] = coefficient if before is None else before + coefficient
    return Affine(constant_, tuple((v, c) for v, c in found.items() if c != ZERO))


def substitute(place: Affine, values: Substitution) -> Affine:
    """The coordinate with axes replaced: the composite with the map `values`."""
    axis = place.axis
    if axis is not None and not axis.parts:
        return values.get(axis, place)
    total = place.constant
    terms: list[tuple[IndexVariable, Size]] = []
    for variable, coefficient in place.terms:
        image = _image(variable, values)
        total = total + image.constant * coefficient
        terms += [(v, c * coefficient) for v, c in image.terms]
    return combine(total, terms)


def _image(variable: IndexVariable, values: Substitution) -> Affine:
    match variable:
        case Axis():
            if variable in values:
                return values[variable]
            if variable.parts:
                return substitute(spread(variable), values)
            return plain_index(variable)
        case Floor():
            return divided(substitute(variable.numerator, values), variable.divisor)[0]
        case Mod():
            return divided(substitute(variable.numerator, values), variable.divisor)[1]
        case Gathered():
            inner = tuple(substitute(place, values) for place in variable.indices)
            return Affine(ZERO, ((Gathered(variable.wire, inner), ONE),))


def divided(place: Affine, divisor: int) -> tuple[Affine, Affine]:
    """`place // divisor` and `place % divisor`, simplified where that is exact."""
    whole, rest = _split(place, constant(divisor))
    if _is_below(rest, constant(divisor)):
        return whole, rest
    quotient = Affine(ZERO, ((Floor(rest, divisor), ONE),))
    above = combine(whole.constant, (*whole.terms, *quotient.terms))
    return above, Affine(ZERO, ((Mod(rest, divisor), ONE),))


def _split(place: Affine, divisor: Size) -> tuple[Affine, Affine]:
    """`whole` and `rest` with `place == divisor * whole + rest`."""
    whole: list[tuple[IndexVariable, Size]] = []
    rest: list[tuple[IndexVariable, Size]] = []
    terms = [
        pair
        for variable, c in place.terms
        for pair in (
            [(a, s * c) for a, s in spread(variable).terms]
            if isinstance(variable, Axis)
            else [(variable, c)]
        )
    ]
    for variable, coefficient in terms:
        exact = quotient(coefficient, divisor)
        if exact is None:
            rest.append((variable, coefficient))
        else:
            whole.append((variable, exact))
    start = place.constant // divisor
    left = place.constant - divisor * start
    if left.value is None:
        start, left = ZERO, place.constant
    return combine(start, whole), combine(left, rest)


def quotient(size: Size, divisor: Size) -> Size | None:
    """The exact quotient as a polynomial, None where there is none."""
    if divisor == ZERO:
        return None
    found = size // divisor
    return found if found * divisor == size else None


def _is_below(place: Affine, bound: Size) -> bool:
    """Whether a coordinate is known to lie in 0 .. bound - 1."""
    greatest = place.constant
    for variable, coefficient in place.terms:
        number = coefficient.value
        if not isinstance(variable, Axis) or number is None or number < 0:
            return False
        if coefficient == ONE and len(place.terms) == 1 and place.constant == ZERO:
            return variable.size == bound or _numbers_below(variable.size - 1, bound)
        greatest = greatest + coefficient * (variable.size - 1)
    return _numbers_below(greatest, bound)


def _numbers_below(greatest: Size, bound: Size) -> bool:
    top, limit = greatest.value, bound.value
    return top is not None and limit is not None and 0 <= top < limit


def parts_of(place: Affine, axis: Axis) -> Places | None:
    """The coordinates of a composite axis's parts at `place`, None where that can't be said."""
    atoms = axis.atoms
    given = place.axis
    if given is not None and len(given.atoms) == len(atoms):
        if all(a.size == b.size for a, b in zip(given.atoms, atoms, strict=True)):
            return tuple(plain_index(atom) for atom in given.atoms)
    found: list[Affine] = []
    for atom in reversed(atoms[1:]):
        whole, rest = _split(place, atom.size)
        if not _is_below(rest, atom.size):
            divisor = atom.size.value
            if divisor is None or divisor <= 0:
                return None
            whole, rest = divided(place, divisor)
        found.append(rest)
        place = whole
    found.append(place)
    return tuple(reversed(found))


def read_through(axes: Sequence[Axis], places: Sequence[Affine]) -> dict[Axis, Affine] | None:
    """Which coordinate each atom of the axes has where the axes are read at `places`.

    None where a flattened axis is read at a coordinate that does not say its parts.
    """
    values: dict[Axis, Affine] = {}
    for axis, place in zip(axes, places, strict=True):
        if not axis.parts:
            values[axis] = place
            continue
        inner = parts_of(place, axis)
        if inner is None:
            return None
        values.update(zip(axis.atoms, inner, strict=True))
    return values


def axes_of(place: Affine) -> Iterator[Axis]:
    """Every axis that a coordinate depends on, those inside divisions and gathers included."""
    for variable, _ in place.terms:
        match variable:
            case Axis():
                yield variable
            case Floor() | Mod():
                yield from axes_of(variable.numerator)
            case Gathered():
                for inner in variable.indices:
                    yield from axes_of(inner)
