"""Sizes as Python: the polynomials of the checker as expressions over plain integers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ncdlang.semantics.program import CheckedDiagram, Requirement
from ncdlang.semantics.size import Atom, Monomial, Quotient, Size, Symbol, constant
from ncdlang.semantics.types import Axis, Wire

from .code import ATOM, POWER, PRODUCT, SUM, UNARY, Code, infix


def size_code(size: Size, name: Callable[[Symbol], Code], as_made: bool = False) -> Code:
    """The size as an expression, with `name` giving the expression of an unknown.

    Unknowns are in the order of their names, or in that in which they were made.
    """
    result: Code | None = None
    terms = size.as_made if as_made else size.terms
    for monomial, coefficient in sorted(terms, key=lambda term: (not term[0], term[1] < 0)):
        term = _term(monomial, abs(coefficient), name)
        if result is None:
            result = Code(f"-{term.at(UNARY)}", UNARY) if coefficient < 0 else term
        else:
            result = infix("-" if coefficient < 0 else "+", SUM, result, term)
    return result or Code("0")


def compared(left: Size, right: Size) -> tuple[Size, Size]:
    """Both sides of a comparison with every term moved to where it is positive."""
    terms = (left - right).terms
    return (
        Size({monomial: c for monomial, c in terms if c > 0}),
        Size({monomial: -c for monomial, c in terms if c < 0}),
    )


def _term(monomial: Monomial, magnitude: int, name: Callable[[Symbol], Code]) -> Code:
    factors = [_power(_atom(atom, name), power) for atom, power in monomial]
    if magnitude != 1 or not factors:
        factors.insert(0, Code(str(magnitude)))
    result = factors[0]
    for factor in factors[1:]:
        result = infix("*", PRODUCT, result, factor)
    return result


def _power(code: Code, power: int) -> Code:
    return code if power == 1 else Code(f"{code.at(ATOM)}**{power}", POWER)


def _atom(atom: Atom, name: Callable[[Symbol], Code]) -> Code:
    if isinstance(atom, Quotient):
        return infix(
            "//", PRODUCT, size_code(atom.numerator, name), size_code(atom.denominator, name)
        )
    return name(atom)


# ---- reading sizes off inputs -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Axis `axis` of an input, counted from the right: `wire.shape[position]`."""

    wire: Wire
    axis: Axis
    position: int


@dataclass(frozen=True, slots=True)
class Solution:
    """An unknown that an input gives: `(place - rest) // factor`, which must leave no remainder.

    Where a requirement of the diagram gives it instead, it is `-rest // factor`.
    """

    symbol: Symbol
    place: Place | Requirement
    factor: Size
    rest: Size


@dataclass(frozen=True, slots=True)
class Layout:
    """How the unknown sizes of a diagram become known.

    `built` are given when the module is built, `solved` are read off the inputs in this order,
    and `equations` are places whose size must agree with sizes that are known by then.
    """

    built: tuple[Symbol, ...]
    solved: tuple[Solution, ...]
    equations: tuple[Place, ...]


def layout(diagram: CheckedDiagram, built: Iterable[Symbol]) -> Layout:
    """Decide which unknowns inputs give; what they can't give has to be built in."""
    places = [
        Place(wire, axis, position - len(wire.type.axes))
        for wire in diagram.parameters
        for position, axis in enumerate(wire.type.axes)
    ]
    wanted = dict.fromkeys((*diagram.unknowns, *(s for p in places for s in _symbols(p.axis.size))))
    fixed = set(built)
    required = [r for r in diagram.requirements if r.op == "=="]
    while True:
        solved = _solve(places, required, fixed)
        known = fixed | {solution.symbol for solution in solved}
        missing = [symbol for symbol in wanted if symbol not in known]
        if not missing:
            break
        fixed.add(missing[0])
    given = [s.place for s in solved if isinstance(s.place, Place)]
    used = {(place.wire, place.position) for place in given}
    equations = tuple(p for p in places if (p.wire, p.position) not in used)
    ordered = [s for s in wanted if s in fixed] + _sorted(fixed - set(wanted))
    return Layout(tuple(ordered), tuple(solved), equations)


def _sorted(symbols: Iterable[Symbol]) -> list[Symbol]:
    return sorted(symbols, key=lambda symbol: (symbol.name, symbol.uid))


def _symbols(size: Size) -> list[Symbol]:
    return _sorted(size.symbols())


def _solve(places: list[Place], required: list[Requirement], built: set[Symbol]) -> list[Solution]:
    """Solve one unknown after the other: plain sizes first, then what is required.

    A composite axis comes last: it tells nothing where another factor is 0.
    """
    known = set(built)
    solved: list[Solution] = []
    plain = [place for place in places if place.axis.symbol is not None]
    given = [*plain, *required, *(place for place in places if place.axis.symbol is None)]
    while True:
        for place in given:
            solution = _isolate(place, known)
            if solution is not None:
                solved.append(solution)
                known.add(solution.symbol)
                break
        else:
            return solved


def _isolate(place: Place | Requirement, known: set[Symbol]) -> Solution | None:
    """The one unknown of the place's size, if that is linear in it."""
    size = place.axis.size if isinstance(place, Place) else place.left - place.right
    found = isolated(size, known)
    if found is None:
        return None
    symbol, factor, rest = found
    if isinstance(place, Requirement) and all(coefficient < 0 for _, coefficient in factor.terms):
        factor, rest = -factor, -rest
    return Solution(symbol, place, factor, rest)


def isolated(size: Size, known: Collection[Symbol]) -> tuple[Symbol, Size, Size] | None:
    """The one unknown of a size that is linear in it: the size is `factor * unknown + rest`."""
    unknown = size.symbols() - frozenset(known)
    if len(unknown) != 1:
        return None
    (symbol,) = unknown
    factor, rest = constant(0), constant(0)
    for monomial, coefficient in size.terms:
        powers = dict(monomial)
        power = powers.pop(symbol, 0)
        term = Size({tuple(powers.items()): coefficient})
        if power > 1 or symbol in term.symbols():
            return None
        factor, rest = (factor + term, rest) if power else (factor, rest + term)
    return symbol, factor, rest
