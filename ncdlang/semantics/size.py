"""Sizes: polynomials with integer coefficients over named unknowns, in normal form.

Two sizes are equal exactly when their normal forms are, so `==` decides equality of polynomials.
Floor division by something that does not divide becomes an atom of its own; `%` is expressed by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

MAX_WEIGHT = 10_000


class TooComplexError(ArithmeticError):
    """A polynomial has grown beyond what can be worked with."""


class Symbol(NamedTuple):
    """An unknown size: that of the axis `name`. `uid` tells symbols of one name apart."""

    name: str
    uid: int


class Quotient(NamedTuple):
    """The atom `numerator // denominator` (floor), where no simpler form exists."""

    numerator: Size
    denominator: Size

    @property
    def name(self) -> str:
        """How the atom is printed and ordered."""
        return f"{_wrapped(self.numerator)} // {_wrapped(self.denominator)}"


Atom: TypeAlias = Symbol | Quotient
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]


def _atom_key(atom: Atom) -> tuple[int, str, int]:
    if isinstance(atom, Symbol):
        return (0, atom.name, atom.uid)
    return (1, atom.name, 0)


@lru_cache(maxsize=10_000)
def _monomial_key(monomial: Monomial) -> tuple[int, tuple[tuple[int, str, int], ...]]:
    degree = sum(power for _, power in monomial)
    return (-degree, tuple(_atom_key(atom) for atom, power in monomial for _ in range(power)))


def _multiply_monomials(left: Monomial, right: Monomial) -> Monomial:
    if not left:
        return right
    if not right:
        return left
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: _atom_key(item[0])))


class Size:
    """An immutable polynomial. Make one with `constant`, `Size.of` and the operators."""

    __slots__ = ("_hash", "terms", "weight")

    terms: tuple[tuple[Monomial, int], ...]
    weight: int
    """How much there is to write: the number of unknowns and terms, nested ones included."""

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = [(monomial, c) for monomial, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=lambda item: _monomial_key(item[0]))
        self.terms = tuple(kept)
        self.weight = _weight(self.terms)
        self._hash = hash(self.terms)

    @staticmethod
    def of(atom: Atom) -> Size:
        """The size that is one atom."""
        return Size({((atom, 1),): 1})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Size | int) -> Size:
        right = other if isinstance(other, Size) else constant(other)
        if not right.terms:
            return self
        if not self.terms:
            return right
        terms = dict(self.terms)
        for monomial, c in right.terms:
            terms[monomial] = terms.get(monomial, 0) + c
        return Size(terms)

    def __neg__(self) -> Size:
        return self._scaled(-1)

    def __sub__(self, other: Size | int) -> Size:
        right = other if isinstance(other, Size) else constant(other)
        if not right.terms:
            return self
        terms = dict(self.terms)
        for monomial, c in right.terms:
            terms[monomial] = terms.get(monomial, 0) - c
        return Size(terms)

    def _scaled(self, factor: int) -> Size:
        """The product with a number that is not 0, which keeps the order of the terms."""
        scaled = Size.__new__(Size)
        scaled.terms = tuple((monomial, c * factor) for monomial, c in self.terms)
        scaled.weight = self.weight
        scaled._hash = hash(scaled.terms)
        return scaled

    def __mul__(self, other: Size | int) -> Size:
        right = other if isinstance(other, Size) else constant(other)
        for size, number in ((self, right.value), (right, self.value)):
            if number is not None:
                return size if number == 1 else size._scaled(number) if number else ZERO
        if self.weight * right.weight > MAX_WEIGHT:
            raise TooComplexError
        terms: dict[Monomial, int] = {}
        for left_monomial, left_c in self.terms:
            for right_monomial, right_c in right.terms:
                monomial = _multiply_monomials(left_monomial, right_monomial)
                terms[monomial] = terms.get(monomial, 0) + left_c * right_c
        return Size(terms)

    def __floordiv__(self, other: Size | int) -> Size:
        """Floor division; raises ZeroDivisionError for a divisor that is the constant 0."""
        divisor = other if isinstance(other, Size) else constant(other)
        return _floor_divide(self, divisor)

    def __mod__(self, other: Size | int) -> Size:
        """The remainder with the sign of the divisor, as in Python."""
        divisor = other if isinstance(other, Size) else constant(other)
        return self - divisor * (self // divisor)

    @property
    def value(self) -> int | None:
        """The number, if there is no unknown in it."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def constant_term(self) -> int:
        """The coefficient of 1."""
        for monomial, c in self.terms:
            if not monomial:
                return c
        return 0

    def symbols(self) -> frozenset[Symbol]:
        """Every unknown in it, those inside floor divisions included."""
        found: set[Symbol] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                if isinstance(atom, Symbol):
                    found.add(atom)
                else:
                    found |= atom.numerator.symbols() | atom.denominator.symbols()
        return frozenset(found)

    def substitute(self, values: Mapping[Symbol, Size]) -> Size:
        """Replace unknowns. Raises ZeroDivisionError if a divisor becomes 0."""
        if not self.terms or not values or self.symbols().isdisjoint(values):
            return self
        return self.map_atoms(lambda symbol: values.get(symbol) or _as_zero(values, symbol))

    def map_atoms(self, image: Callable[[Symbol], Size]) -> Size:
        """Rebuild the polynomial with each unknown replaced by its image."""
        result = constant(0)
        for monomial, c in self.terms:
            product = constant(c)
            for atom, power in monomial:
                if isinstance(atom, Symbol):
                    factor = image(atom)
                else:
                    factor = atom.numerator.map_atoms(image) // atom.denominator.map_atoms(image)
                for _ in range(power):
                    product = product * factor
            result = result + product
        return result

    def evaluate(self, values: Mapping[Symbol, int]) -> int:
        """The number at the given values of all unknowns. KeyError if one is missing."""
        total = 0
        for monomial, c in self.terms:
            for atom, power in monomial:
                if isinstance(atom, Symbol):
                    c *= values[atom] ** power
                else:
                    c *= (
                        atom.numerator.evaluate(values) // atom.denominator.evaluate(values)
                    ) ** power
            total += c
        return total

    @property
    def as_made(self) -> list[tuple[Monomial, int]]:
        """The terms, with unknowns in the order in which they were made: names don't matter."""

        def place(atom: Atom) -> list[int]:
            return sorted(symbol.uid for symbol in Size.of(atom).symbols())

        def places(term: tuple[Monomial, int]) -> tuple[int, list[list[int]]]:
            monomial, _ = term
            return -sum(power for _, power in monomial), [place(atom) for atom, _ in monomial]

        terms = [(tuple(sorted(m, key=lambda item: place(item[0]))), c) for m, c in self.terms]
        return sorted(terms, key=places)

    def render(self, name: Callable[[Symbol], str], as_made: bool = False) -> str:
        """The polynomial as text, with `name` deciding how an unknown is written.

        Unknowns are in the order of their names, or in that in which they were made.
        """
        if not self.terms:
            return "0"
        text, terms = "", self.as_made if as_made else self.terms
        # Positive terms lead and the number is last: `size(x) - size(j) + 1`.
        for monomial, c in sorted(terms, key=lambda term: (not term[0], term[1] < 0)):
            factors = [_render_atom(atom, name) for atom, power in monomial for _ in range(power)]
            if len(factors) > 1 or (factors and (abs(c) != 1 or (c < 0 and not text))):
                factors = [f"({f})" if " // " in f else f for f in factors]
            magnitude = abs(c)
            if magnitude != 1 or not factors:
                factors.insert(0, str(magnitude))
            term = "*".join(factors)
            if not text:
                text = f"-{term}" if c < 0 else term
            else:
                text += f" - {term}" if c < 0 else f" + {term}"
        return text

    def __str__(self) -> str:
        return self.render(lambda symbol: f"size({symbol.name})")

    def __repr__(self) -> str:
        return f"Size({self})"


def _weight(terms: tuple[tuple[Monomial, int], ...]) -> int:
    total = len(terms)
    for monomial, _ in terms:
        for atom, power in monomial:
            if isinstance(atom, Symbol):
                total += power
            else:
                total += power * (atom.numerator.weight + atom.denominator.weight)
    if total > MAX_WEIGHT:
        raise TooComplexError
    return total


def _as_zero(values: Mapping[Symbol, Size], symbol: Symbol) -> Size:
    return values[symbol] if symbol in values else Size.of(symbol)


@lru_cache(maxsize=1000)
def constant(value: int) -> Size:
    """The size that is a number."""
    return Size({(): value})


ZERO = constant(0)
ONE = constant(1)


def product(sizes: Iterable[Size]) -> Size:
    """The product, 1 for none."""
    result = ONE
    for size in sizes:
        result = result * size
    return result


def _render_atom(atom: Atom, name: Callable[[Symbol], str]) -> str:
    if isinstance(atom, Symbol):
        return name(atom)
    numerator = atom.numerator.render(name)
    denominator = atom.denominator.render(name)
    if len(atom.numerator.terms) > 1:
        numerator = f"({numerator})"
    if _is_compound(atom.denominator):
        denominator = f"({denominator})"
    return f"{numerator} // {denominator}"


def _is_compound(size: Size) -> bool:
    if len(size.terms) != 1:
        return True
    monomial, c = size.terms[0]
    return sum(p for _, p in monomial) + (abs(c) != 1 and bool(monomial)) > 1


def _wrapped(size: Size) -> str:
    text = str(size)
    return f"({text})" if len(size.terms) > 1 else text


def _divide_term(
    monomial: Monomial, c: int, divisor: tuple[Monomial, int]
) -> tuple[Monomial, int] | None:
    """The exact quotient of one term by one term, or None."""
    powers = dict(monomial)
    for atom, power in divisor[0]:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    if c % divisor[1]:
        return None
    kept = tuple((atom, power) for atom, power in powers.items() if power)
    return kept, c // divisor[1]


def _floor_divide(numerator: Size, divisor: Size) -> Size:
    if divisor.value == 0:
        raise ZeroDivisionError
    if numerator.value is not None and divisor.value is not None:
        return constant(numerator.value // divisor.value)
    if numerator == divisor:
        return ONE
    if len(divisor.terms) != 1:
        return Size.of(Quotient(numerator, divisor))
    # Terms that the divisor divides leave the floor: (a*c + r) // c is a + r // c.
    whole: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, c in numerator.terms:
        exact = _divide_term(monomial, c, divisor.terms[0])
        if exact is not None:
            whole[exact[0]] = whole.get(exact[0], 0) + exact[1]
        elif not monomial and divisor.value is not None:
            # A constant splits too, so that the remainder lies in [0, c).
            whole[()] = whole.get((), 0) + c // divisor.value
            if c % divisor.value:
                rest[()] = c % divisor.value
        else:
            rest[monomial] = c
    remainder = Size(rest)
    if not remainder.terms:
        return Size(whole)
    if remainder.value is not None and divisor.value is not None and divisor.value > 0:
        return Size(whole) + remainder.value // divisor.value
    return Size(whole) + Size.of(Quotient(remainder, divisor))
