"""Polynomials in what a graph reads: sums of products of powers, in one normal form.

Two expressions that differ by distributivity, the order of their factors, or by a mean that is
written as a sum divided by a size, are the same polynomial. A mean is linear and lets what does
not vary along its axes pass. Powers may be fractions; what has no such form is not represented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from ncdlang.semantics.size import Quotient, Size, Symbol
from ncdlang.semantics.types import Affine, Axis

from .reads import Reading

_MOST_TERMS = 12
_MOST_POWER = 4
_MOST_BITS = 4096
_MOST_LEVELS = 4


class Unrepresented(Exception):
    """An expression that is no polynomial, or too long a one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an array."""

    read: Reading


@dataclass(frozen=True, slots=True)
class Fold:
    """The `mean` or `logsumexp` of a product over axes, which it varies along."""

    name: str
    axes: frozenset[Axis]
    of: Monomial
    level: int


@dataclass(frozen=True, slots=True)
class Base:
    """A polynomial of several terms that a power is taken of."""

    of: Polynomial
    level: int


@dataclass(frozen=True, slots=True)
class Extent:
    """An unknown size."""

    of: Symbol | Quotient | Size


Atom: TypeAlias = Entry | Fold | Base | Extent
Monomial: TypeAlias = frozenset[tuple[Atom, Fraction]]
_ONE: Monomial = frozenset()


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of monomials, each with its coefficient, none of which is 0."""

    terms: frozenset[tuple[Monomial, Fraction]]

    def __add__(self, other: Polynomial) -> Polynomial:
        return collected([*self.terms, *other.terms])

    def __neg__(self) -> Polynomial:
        return self.times(Fraction(-1))

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        if len(self.terms) * len(other.terms) > _MOST_TERMS:
            raise Unrepresented
        found = NOTHING
        for left, c in self.terms:
            for right, d in other.terms:
                found += _product(left, right).times(c * d)
        return found

    def times(self, factor: Fraction) -> Polynomial:
        """The product with a number."""
        return collected((monomial, c * factor) for monomial, c in self.terms)

    @property
    def value(self) -> Fraction | None:
        """The number that it is, if it is one."""
        if not self.terms:
            return Fraction(0)
        ((monomial, c), *rest) = self.terms
        return c if not rest and monomial == _ONE else None

    def without(self, what: Monomial) -> tuple[Fraction, Polynomial]:
        """The coefficient of a monomial, and the polynomial without that term."""
        rest = [(monomial, c) for monomial, c in self.terms if monomial != what]
        return sum((c for m, c in self.terms if m == what), Fraction(0)), collected(rest)

    def axes(self) -> frozenset[Axis]:
        """The axes that it varies along."""
        return frozenset(axis for monomial, _ in self.terms for axis in axes_of(monomial))

    def substituted(self, places: Mapping[Axis, Affine]) -> Polynomial:
        """The same with coordinates for axes."""
        found = NOTHING
        for monomial, c in self.terms:
            product = number(1)
            for atom, power in monomial:
                product *= single(_substituted(atom, places), power)
            found += product.times(c)
        return found

    def __pow__(self, exponent: Fraction) -> Polynomial:
        whole = exponent.denominator == 1
        if not self.terms or abs(exponent) > _MOST_POWER:
            raise Unrepresented
        if whole and exponent >= 0:
            return math.prod([self] * exponent.numerator, start=number(1))
        if len(self.terms) == 1:
            ((monomial, c),) = self.terms
            if whole or (c == 1 and all(isinstance(a, (Base, Extent)) for a, _ in monomial)):
                powers = {atom: power * exponent for atom, power in monomial}
                factor = c**exponent.numerator if whole else Fraction(1)
                return collected([(_monomial(powers), factor)])
        return single(_base(self), exponent)


def collected(terms: Iterable[tuple[Monomial, Fraction]]) -> Polynomial:
    """The sum of terms, like ones put together."""
    found: dict[Monomial, Fraction] = {}
    for monomial, c in terms:
        found[monomial] = found.get(monomial, Fraction(0)) + c
    bits = (c.numerator.bit_length() + c.denominator.bit_length() for c in found.values())
    if len(found) > _MOST_TERMS or any(size > _MOST_BITS for size in bits):
        raise Unrepresented
    return Polynomial(frozenset((monomial, c) for monomial, c in found.items() if c))


def number(value: Fraction | int) -> Polynomial:
    """A number."""
    return collected([(_ONE, Fraction(value))])


def single(atom: Atom, power: Fraction | int = 1) -> Polynomial:
    """A power of an atom. A whole positive power of a polynomial is multiplied out."""
    if isinstance(atom, Base) and power > 0 and Fraction(power).denominator == 1:
        return atom.of ** Fraction(power)
    return collected([(_monomial({atom: Fraction(power)}), Fraction(1))])


def extent(size: Size) -> Polynomial:
    """A size as a number; the factors of a product stand apart."""
    if size.value is not None:
        return number(size.value)
    if len(size.terms) != 1:
        return single(Extent(size))
    ((monomial, c),) = size.terms
    powers: dict[Atom, Fraction] = {Extent(atom): Fraction(power) for atom, power in monomial}
    return collected([(_monomial(powers), Fraction(c))])


def mean(of: Polynomial, axes: Iterable[Axis]) -> Polynomial:
    """The mean along axes."""
    bound = frozenset(axes)
    found = NOTHING
    for monomial, c in of.terms:
        varying = {atom: p for atom, p in monomial if not bound.isdisjoint(axes_of_atom(atom))}
        product = collected([(monomial - frozenset(varying.items()), c)])
        if varying:
            inner = _monomial(varying)
            product *= folded("mean", bound & axes_of(inner), inner)
        found += product
    return found


def folded(name: str, axes: frozenset[Axis], of: Monomial) -> Polynomial:
    """A fold of a product."""
    return single(Fold(name, axes, of, _level([of])))


def axes_of(monomial: Monomial) -> frozenset[Axis]:
    """The axes that a product varies along."""
    return frozenset(axis for atom, _ in monomial for axis in axes_of_atom(atom))


def axes_of_atom(atom: Atom) -> frozenset[Axis]:
    """The axes that a factor varies along."""
    match atom:
        case Entry(read):
            return frozenset(axis for entry in read.entries for axis in entry.axes())
        case Fold(_, axes, of):
            return axes_of(of) - axes
        case Base(of):
            return of.axes()
        case Extent():
            return frozenset()


NOTHING = Polynomial(frozenset())


def _base(of: Polynomial) -> Base:
    return Base(of, _level(monomial for monomial, _ in of.terms))


def _level(monomials: Iterable[Monomial]) -> int:
    """How deep folds and powers stand in each other; what is deep takes long to compare."""
    inner = (a.level for m in monomials for a, _ in m if isinstance(a, (Fold, Base)))
    level = 1 + max(inner, default=0)
    if level > _MOST_LEVELS:
        raise Unrepresented
    return level


def _monomial(powers: Mapping[Atom, Fraction]) -> Monomial:
    return frozenset((atom, power) for atom, power in powers.items() if power)


def _product(left: Monomial, right: Monomial) -> Polynomial:
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, Fraction(0)) + power
    opened = [atom for atom, power in powers.items() if isinstance(atom, Base) and _opens(power)]
    found = collected([(_monomial({a: p for a, p in powers.items() if a not in opened}), _UNIT)])
    for atom in opened:
        found *= single(atom, powers[atom])
    return found


_UNIT = Fraction(1)


def _opens(power: Fraction) -> bool:
    return power > 0 and power.denominator == 1


def _substituted(atom: Atom, places: Mapping[Axis, Affine]) -> Atom:
    match atom:
        case Entry(read):
            entries = tuple(_placed(entry, places) for entry in read.entries)
            return Entry(Reading(read.wire, entries, read.guarded))
        case Fold(name, axes, of):
            free = {axis: place for axis, place in places.items() if axis not in axes}
            if any(not axes.isdisjoint(place.axes()) for place in free.values()):
                raise Unrepresented
            ((inner, _),) = Polynomial(frozenset({(of, _UNIT)})).substituted(free).terms
            return Fold(name, axes, inner, _level([inner]))
        case Base(of):
            return _base(of.substituted(places))
        case Extent():
            return atom


def _placed(entry: Affine, places: Mapping[Axis, Affine]) -> Affine:
    axis = entry.axis
    if axis is not None and axis in places:
        return places[axis]
    if not places.keys().isdisjoint(entry.axes()):
        raise Unrepresented
    return entry
