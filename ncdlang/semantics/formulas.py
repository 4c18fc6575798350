"""Conditions on sizes and indices in one form: `polynomial >= 0` joined by and, or.

Index variables stand in the polynomials as symbols of their own; `Variables` keeps the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias, assert_never

from ncdlang.records import record
from ncdlang.semantics.facts import Facts
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Constant,
    Contract,
    Expression,
    IndexValue,
    Read,
    Reduce,
    Select,
    SizeValue,
)
from ncdlang.semantics.size import ZERO, Quotient, Size, Symbol, constant
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, Mod

# ---- formulas ----------------------------------------------------------------------------------


@record
class AtLeastZero:
    """`size >= 0`."""

    size: Size


@record
class Zero:
    """`size == 0`."""

    size: Size


@record
class All:
    """Every part holds; true for none."""

    parts: tuple[Formula, ...]


@record
class Some:
    """At least one part holds; false for none."""

    parts: tuple[Formula, ...]


Formula: TypeAlias = AtLeastZero | Zero | All | Some

TRUE = All(())
FALSE = Some(())


def relation(left: Size, op: str, right: Size) -> Formula:
    """`left op right` as a formula over integers."""
    match op:
        case "==":
            return Zero(left - right)
        case "!=":
            difference = left - right
            if right == ZERO and all(c >= 0 for _, c in left.terms):
                return AtLeastZero(difference - 1)
            return Some((AtLeastZero(difference - 1), AtLeastZero(-difference - 1)))
        case "<=":
            return AtLeastZero(right - left)
        case "<":
            return AtLeastZero(right - left - 1)
        case ">=":
            return AtLeastZero(left - right)
        case ">":
            return AtLeastZero(left - right - 1)
        case _:
            raise ValueError(f"{op} is no comparison")


NEGATED: Mapping[str, str] = {"==": "!=", "!=": "==", "<=": ">", ">": "<=", "<": ">=", ">=": "<"}


def known(facts: Facts, formulas: Iterable[Formula]) -> tuple[Formula, ...]:
    """The facts that bear on the formulas: those that share an unknown, directly or by others."""
    reached = set(symbols_of(formulas))
    waiting = [(fact, fact[0].symbols() | fact[2].symbols()) for fact in facts.relations]
    kept: list[Formula] = []
    while True:
        near = [item for item in waiting if not (item[1] and reached.isdisjoint(item[1]))]
        if not near:
            return tuple(kept)
        waiting = [item for item in waiting if item not in near]
        for fact, symbols in near:
            reached |= symbols
            kept.append(relation(*fact))


def conjuncts(formulas: Iterable[Formula]) -> Iterator[AtLeastZero | Zero]:
    """The atoms that hold whenever all the formulas do, those below an `or` left out."""
    for formula in formulas:
        match formula:
            case AtLeastZero() | Zero():
                yield formula
            case All():
                yield from conjuncts(formula.parts)
            case Some():
                if len(formula.parts) == 1:
                    yield from conjuncts(formula.parts)
            case _:
                assert_never(formula)


def atoms(formula: Formula) -> Iterator[AtLeastZero | Zero]:
    """Every atom, wherever it stands."""
    match formula:
        case AtLeastZero() | Zero():
            yield formula
        case All() | Some():
            for part in formula.parts:
                yield from atoms(part)
        case _:
            assert_never(formula)


def rewrite(formula: Formula, change: Callable[[Size], Size]) -> Formula:
    """The formula with every polynomial changed."""
    match formula:
        case AtLeastZero():
            return AtLeastZero(change(formula.size))
        case Zero():
            return Zero(change(formula.size))
        case All():
            return All(tuple(rewrite(part, change) for part in formula.parts))
        case Some():
            return Some(tuple(rewrite(part, change) for part in formula.parts))
        case _:
            assert_never(formula)


def symbols_of(formulas: Iterable[Formula]) -> tuple[Symbol, ...]:
    """The unknowns of the formulas in order of first occurrence."""
    found: dict[Symbol, None] = {}
    for formula in formulas:
        for atom in atoms(formula):
            found.update(dict.fromkeys(ordered_symbols(atom.size)))
    return tuple(found)


def ordered_symbols(size: Size) -> Iterator[Symbol]:
    """The unknowns of a size as they stand in it."""
    for monomial, _ in size.terms:
        for atom, _ in monomial:
            if isinstance(atom, Symbol):
                yield atom
            else:
                yield from ordered_symbols(atom.numerator)
                yield from ordered_symbols(atom.denominator)


def holds(formula: Formula, values: Mapping[Symbol, int]) -> bool:
    """Whether the formula is true at these values; ZeroDivisionError where it means nothing."""
    match formula:
        case AtLeastZero():
            return formula.size.evaluate(values) >= 0
        case Zero():
            return formula.size.evaluate(values) == 0
        case All():
            return all(holds(part, values) for part in formula.parts)
        case Some():
            return any(holds(part, values) for part in formula.parts)
        case _:
            assert_never(formula)


def defined(formulas: Iterable[Formula]) -> tuple[Formula, ...]:
    """The formulas, and that no symbolic divisor in them is 0: nothing is claimed where one is."""
    formulas = tuple(formulas)
    found: dict[Size, None] = {}
    for formula in formulas:
        for atom in atoms(formula):
            found.update(dict.fromkeys(_divisors(atom.size)))
    return (*formulas, *(relation(divisor, "!=", ZERO) for divisor in found))


def _divisors(size: Size) -> Iterator[Size]:
    for monomial, _ in size.terms:
        for atom, _ in monomial:
            if isinstance(atom, Quotient):
                yield from _divisors(atom.numerator)
                yield from _divisors(atom.denominator)
                if atom.denominator.value is None:
                    yield atom.denominator


# ---- index variables --------------------------------------------------------------------------


class Variables:
    """The index variables of one question, each with the symbol that stands for it.

    A composite axis of which a part occurs too is written by its parts, row-major; `parts` are
    the axes that occur.
    """

    def __init__(self, tag: str = "", start: int = 0, split: frozenset[Axis] = frozenset()) -> None:
        self._tag = tag
        self._next = start
        self._split = split
        self.symbols: dict[Axis | Gathered, Symbol] = {}

    def symbol(self, variable: Axis | Gathered) -> Symbol:
        """The symbol of an axis or a gathered value."""
        found = self.symbols.get(variable)
        if found is None:
            self._next -= 1
            name = variable.name if isinstance(variable, Axis) else variable.wire.name
            found = self.symbols[variable] = Symbol(f"{name}{self._tag}", self._next)
        return found

    def axis(self, axis: Axis) -> Size:
        """The index along an axis as a polynomial."""
        if not axis.parts or not (self._split & set(axis.atoms)):
            return Size.of(self.symbol(axis))
        index = ZERO
        for part in axis.parts:
            index = index * part.size + self.axis(part)
        return index

    def polynomial(self, index: Affine) -> Size:
        """The value of a coordinate as a polynomial over sizes and index symbols."""
        total = index.constant
        for variable, coefficient in index.terms:
            match variable:
                case Axis():
                    value = self.axis(variable)
                case Gathered():
                    value = Size.of(self.symbol(variable))
                case Floor():
                    value = self.polynomial(variable.numerator) // variable.divisor
                case Mod():
                    value = self.polynomial(variable.numerator) % variable.divisor
                case _:
                    assert_never(variable)
            total = total + coefficient * value
        return total

    def box(self) -> tuple[AtLeastZero, ...]:
        """That every index lies along its axis; naturals without a bound are only at least 0."""
        box: list[AtLeastZero] = []
        for variable, symbol in self.symbols.items():
            size = extent(variable)
            if size is not None:
                box.append(AtLeastZero(size - 1 - Size.of(symbol)))
        return tuple(box)


def extent(variable: Axis | Gathered) -> Size | None:
    """The size that the variable stays below, None for a natural without a bound."""
    return variable.size if isinstance(variable, Axis) else variable.wire.type.kind.bound


def split_axes(axes: Iterable[Axis]) -> frozenset[Axis]:
    """The axes that are parts of a composite axis among them, occurring on their own as well."""
    present = set(axes)
    inner = {atom for axis in present if axis.parts for atom in axis.atoms}
    return frozenset(inner & present)


# ---- conditions of the language ---------------------------------------------------------------

_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def condition(expression: Expression, truth: bool, variables: Variables) -> Formula:
    """What follows for integers when the condition is `truth`; what is not affine says nothing."""
    if isinstance(expression, Constant):
        return TRUE if bool(expression.value) is truth else FALSE
    if not isinstance(expression, Apply):
        return TRUE
    match expression.op:
        case "not":
            return condition(expression.arguments[0], not truth, variables)
        case "and" | "or":
            parts = tuple(condition(part, truth, variables) for part in expression.arguments)
            return All(parts) if (expression.op == "and") is truth else Some(parts)
        case op if op in _COMPARED:
            left, right = (number(argument, variables) for argument in expression.arguments)
            if left is None or right is None:
                return TRUE
            comparison = _COMPARED[op]
            return relation(left, comparison if truth else NEGATED[comparison], right)
        case _:
            return TRUE


def guard_axes(expression: Expression) -> Iterator[Axis]:
    """The axes whose index a condition looks at."""
    match expression:
        case IndexValue():
            yield expression.axis
        case Apply():
            for argument in expression.arguments:
                yield from guard_axes(argument)
        case Read():
            for index in expression.indices:
                yield from index.axes()
        case Constant() | SizeValue() | Select() | Contract() | Reduce() | ApplyDiagram():
            return
        case _:
            assert_never(expression)


def number(expression: Expression, variables: Variables) -> Size | None:
    """An integer expression as a polynomial that is linear in the indices, else None."""
    match expression:
        case Constant():
            value = expression.value
            return constant(int(value)) if float(value).is_integer() else None
        case SizeValue():
            return expression.size
        case IndexValue():
            return variables.axis(expression.axis)
        case Read():
            if expression.kind.name != "natural":
                return None
            return Size.of(variables.symbol(Gathered(expression.wire, expression.indices)))
        case Apply():
            return _applied(expression, variables)
        case Select() | Contract() | Reduce() | ApplyDiagram():
            return None
        case _:
            assert_never(expression)


def _applied(expression: Apply, variables: Variables) -> Size | None:
    arguments = [number(argument, variables) for argument in expression.arguments]
    if any(argument is None for argument in arguments):
        return None
    match expression.op, [argument for argument in arguments if argument is not None]:
        case "real", [value]:
            return value
        case "neg", [value]:
            return -value
        case "add", [left, right]:
            return left + right
        case "sub", [left, right]:
            return left - right
        case "mul", [left, right]:
            indices = set(variables.symbols.values())
            if left.symbols() & indices and right.symbols() & indices:
                return None
            return left * right
        case "floordiv", [left, right]:
            return left // right if (right.value or 0) > 0 else None
        case "mod", [left, right]:
            return left % right if (right.value or 0) > 0 else None
        case _:
            return None
