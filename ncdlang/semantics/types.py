"""Axes, array types, wires and index maps: what a checked program is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ncdlang.records import field, record
from ncdlang.semantics.size import ONE, ZERO, Size, Symbol
from ncdlang.source import Span


@record(eq=False)
class Axis:
    """A named axis. Two axes are the same only if they are the same object.

    `parts` is set for a composite axis `(h k)`, flattened row-major. A `derived` axis is the
    result axis of a call that has a size but no name in the caller; `name` is then a hint. An axis
    that is declared by the size of another (`axis y = size(x)`) is the `same` kind of tokens.
    """

    name: str
    size: Size
    parts: tuple[Axis, ...] = ()
    derived: bool = False
    structure: str | None = None
    same: Axis | None = None

    @property
    def atoms(self) -> tuple[Axis, ...]:
        """The axes it is made of, itself if it is no composite."""
        return tuple(atom for part in self.parts for atom in part.atoms) if self.parts else (self,)

    @property
    def symbol(self) -> Symbol | None:
        """The unknown that its size is, if its size is just an unknown."""
        if len(self.size.terms) == 1:
            monomial, c = self.size.terms[0]
            if c == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                atom = monomial[0][0]
                return atom if isinstance(atom, Symbol) else None
        return None

    def __str__(self) -> str:
        return "(" + " ".join(map(str, self.parts)) + ")" if self.parts else self.name

    def __repr__(self) -> str:
        return f"Axis({self}: {self.size})"


@record
class Kind:
    """What the entries of an array are.

    `name` is `real`, `natural`, `boolean`, `complex`, or `integer` (the value of an axis index
    or of a whole number, which becomes real or natural where needed). `format` is the declared
    number format of reals (`bf16`), None for the one the module is built with. `bound` is the
    size that naturals stay below and `bound_axis` the axis it belongs to.
    """

    name: str
    format: str | None = None
    bound: Size | None = None
    bound_axis: Axis | None = None

    def __str__(self) -> str:
        if self.name == "natural":
            inner = self.bound_axis or self.bound
            return f"N({inner})" if inner is not None else "N"
        letters = {"real": self.format or "", "boolean": "B", "complex": "C", "integer": "integer "}
        return letters[self.name]


FORMATS = ("f64", "f32", "bf16", "f16", "f8e4m3", "f8e5m2")

REAL = Kind("real")
BOOLEAN = Kind("boolean")
COMPLEX = Kind("complex")
INTEGER = Kind("integer")


@record
class ArrayType:
    """An array: its axes in order, and what its entries are."""

    axes: tuple[Axis, ...]
    kind: Kind = REAL

    def __str__(self) -> str:
        separator = ", " if any(axis.parts for axis in self.axes) else " "
        return f"{self.kind}[{separator.join(str(axis) for axis in self.axes)}]"


@record(eq=False)
class Wire:
    """A named array. Names that the compiler makes begin with `_`."""

    name: str
    type: ArrayType
    span: Span = field(repr=False)

    @property
    def spelling(self) -> str:
        """What a person calls it: its name, or the text that makes it if it has none."""
        return " ".join(self.span.text.split())[:40] if self.name.startswith("_") else self.name

    def __str__(self) -> str:
        return f"{self.name}: {self.type}"


@record
class Floor:
    """`numerator // divisor` inside an index; the divisor is a positive integer."""

    numerator: Affine
    divisor: int


@record
class Mod:
    """`numerator % divisor` inside an index; the divisor is a positive integer."""

    numerator: Affine
    divisor: int


@record
class Gathered:
    """An index that is read from an array of naturals: `tok[n]` in `E[tok[n], m]`."""

    wire: Wire
    indices: tuple[Affine, ...]


IndexVariable: TypeAlias = Axis | Floor | Mod | Gathered


@record
class Affine:
    """One coordinate of a morphism of the axis-stride category (WWM, Def. 8).

    The value at an index is `constant + sum(coefficient * variable)`; a variable is an axis
    or, beyond the paper, a quasi-affine or gathered value. No coefficient is zero and no
    variable occurs twice. `partial` marks an axis, or a token of another axis, that was not
    written plainly (`n + 0`): it need not fit the axis that it indexes, only stay inside.
    """

    constant: Size
    terms: tuple[tuple[IndexVariable, Size], ...] = ()
    partial: bool = False

    @property
    def axis(self) -> Axis | None:
        """The axis, if this coordinate is a plain axis index."""
        if len(self.terms) == 1 and self.constant == ZERO and not self.partial:
            variable, coefficient = self.terms[0]
            if isinstance(variable, Axis) and coefficient.value == 1:
                return variable
        return None

    def axes(self) -> tuple[Axis, ...]:
        """Every axis that the coordinate depends on, in order of first occurrence."""
        found: dict[Axis, None] = {}
        for variable, _ in self.terms:
            match variable:
                case Axis():
                    found[variable] = None
                case Floor() | Mod():
                    found.update(dict.fromkeys(variable.numerator.axes()))
                case Gathered():
                    for index in variable.indices:
                        found.update(dict.fromkeys(index.axes()))
        return tuple(found)

    def __str__(self) -> str:
        if len(self.terms) == 1 and self.constant == ZERO and self.terms[0][1] == ONE:
            variable = self.terms[0][0]
            if isinstance(variable, (Floor, Mod)):
                return _division_text(variable)
        terms = [_term_text(variable, coefficient) for variable, coefficient in self.terms]
        if self.constant != ZERO or self.partial or not terms:
            constant = str(self.constant)
            last = (constant.startswith("-"), constant.removeprefix("-"))
            # `size(i) - 1 - i` begins with what is positive.
            first = bool(terms) and terms[0][0] and not last[0]
            terms = [last, *terms] if first else [*terms, last]
        text = ("-" if terms[0][0] else "") + terms[0][1]
        return text + "".join(f" {'-' if minus else '+'} {term}" for minus, term in terms[1:])


def _term_text(variable: IndexVariable, coefficient: Size) -> tuple[bool, str]:
    """Whether a term is subtracted, and its text without the sign."""
    number = coefficient.value
    name = _variable_text(variable)
    if number is not None:
        return number < 0, name if abs(number) == 1 else f"{abs(number)}*{name}"
    if len(coefficient.terms) > 1 or " // " in str(coefficient):
        return False, f"({coefficient})*{name}"
    text = str(coefficient)
    return text.startswith("-"), f"{text.removeprefix('-')}*{name}"


def _division_text(variable: Floor | Mod) -> str:
    numerator = variable.numerator
    text = str(numerator) if numerator.axis is not None else f"({numerator})"
    return f"{text} {'//' if isinstance(variable, Floor) else '%'} {variable.divisor}"


def _variable_text(variable: IndexVariable) -> str:
    match variable:
        case Axis():
            return str(variable)
        case Floor() | Mod():
            return f"({_division_text(variable)})"
        case Gathered():
            inner = [str(index) for index in variable.indices]
            plain = all(index.axis is not None for index in variable.indices)
            return f"{variable.wire.name}[{(' ' if plain else ', ').join(inner)}]"


def gathered(indices: Iterable[Affine]) -> Iterator[Gathered]:
    """The reads of arrays of naturals inside coordinates, outer ones first."""
    for index in indices:
        for variable, _ in index.terms:
            match variable:
                case Gathered():
                    yield variable
                    yield from gathered(variable.indices)
                case Floor() | Mod():
                    yield from gathered((variable.numerator,))
                case Axis():
                    pass


def plain_index(axis: Axis) -> Affine:
    """The coordinate that is just the axis."""
    return Affine(ZERO, ((axis, ONE),))
