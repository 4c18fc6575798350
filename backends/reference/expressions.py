"""Expressions as closures: each gives the value of an expression at one index.

The index is a list with one place for each axis; an expression that binds axes writes theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, assert_never

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
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, IndexVariable, Kind, Mod, Wire

from .formats import nearest
from .numbers import (
    CONVERT,
    EmptyError,
    Number,
    argument_kind,
    common_kind,
    operation,
    reduction,
)
from .solving import Sizes

if TYPE_CHECKING:
    from ncdlang.semantics.program import CheckedDiagram

Index = list[int]
Value = Callable[[Index], Number]
Position = Callable[[Index], int]
Scalar = Callable[["CheckedDiagram"], Callable[[Sequence[Number]], Number]]


class Array(Protocol):
    """What can be read at an index: an array, or one that a recurrence computes now."""

    def __getitem__(self, at: Any, /) -> Any:
        """An entry or a slice."""
        ...


Cells = dict[Wire, Array]


class Formulas:
    """Makes closures for the expressions of one diagram at known sizes.

    `cells` holds the arrays of all wires when a closure is called. `scalar` makes a function of
    an elementwise diagram. With `draws` an elementwise diagram is applied once for each index of
    its arguments, however often its value is used: what it draws is one array. `drawn` holds that.
    """

    def __init__(self, sizes: Sizes, cells: Cells, scalar: Scalar, draws: bool = False) -> None:
        self.sizes = sizes
        self.cells = cells
        self.drawn: dict[tuple[object, ...], Number] = {}
        self._scalar = scalar
        self._draws = draws
        self._places: dict[Axis, int] = {}

    def extent(self, axis: Axis) -> int:
        """The size of an axis as a number."""
        return axis.size.evaluate(self.sizes)

    def shape(self, wire: Wire) -> tuple[int, ...]:
        """The shape of a wire's array."""
        return tuple(self.extent(axis) for axis in wire.type.axes)

    def places(self, axes: Sequence[Axis]) -> list[tuple[int, int]]:
        """Place in the index and size of every axis, composite ones by their parts."""
        atoms = [atom for axis in axes for atom in axis.atoms]
        return [(self._place(atom), self.extent(atom)) for atom in atoms]

    def index(self) -> Index:
        """A fresh index, with a place for each axis that was met so far."""
        return [0] * len(self._places)

    def _place(self, atom: Axis) -> int:
        return self._places.setdefault(atom, len(self._places))

    # -- values -----------------------------------------------------------------------------------

    def value(self, expression: Expression, kind: str | None = None) -> Value:
        """The value of an expression, as a number of the given kind or else its own."""
        own = self._value(expression)
        wanted = kind or expression.kind.name
        if wanted == expression.kind.name and not isinstance(expression, Constant | SizeValue):
            return own
        convert = CONVERT[wanted]
        if isinstance(expression, Constant | SizeValue):
            number = convert(own([]))
            return lambda _: number
        return lambda index: convert(own(index))

    def _value(self, expression: Expression) -> Value:
        match expression:
            case Constant():
                return lambda _: expression.value
            case SizeValue():
                size = expression.size.evaluate(self.sizes)
                return lambda _: size
            case IndexValue():
                return self._axis(expression.axis)
            case Read():
                return self._read(expression)
            case Apply():
                return self._apply(expression)
            case ApplyDiagram():
                return self._apply_diagram(expression)
            case Select():
                return self._select(expression)
            case Contract():
                return self._contract(expression)
            case Reduce():
                return self._reduce(expression)
            case _:
                assert_never(expression)

    def _apply(self, expression: Apply) -> Value:
        if expression.op in ("and", "or"):
            return self._junction(expression)
        if expression.op == "cast":
            value, form = self.value(expression.arguments[0], "real"), expression.kind
            return lambda index: nearest(value(index), form)
        kind = argument_kind(
            expression.op, (argument.kind for argument in expression.arguments), expression.kind
        )
        apply = operation(expression.op, kind)
        convert = CONVERT[expression.kind.name]
        values = [self.value(argument, kind) for argument in expression.arguments]
        if len(values) == 1:
            (only,) = values
            return lambda index: convert(apply(only(index)))
        left, right = values
        return lambda index: convert(apply(left(index), right(index)))

    def _junction(self, expression: Apply) -> Value:
        left, right = (self.value(argument, "boolean") for argument in expression.arguments)
        if expression.op == "and":
            return lambda index: left(index) and right(index)
        return lambda index: left(index) or right(index)

    def _apply_diagram(self, expression: ApplyDiagram) -> Value:
        function = self._scalar(expression.callee)
        values = [
            self.value(argument, parameter.type.kind.name)
            for argument, parameter in zip(
                expression.arguments, expression.callee.parameters, strict=True
            )
        ]
        convert = CONVERT[expression.kind.name]

        def applied(index: Index) -> Number:
            return convert(function([value(index) for value in values]))

        return self._once(expression, applied) if self._draws else applied

    def _once(self, expression: Expression, value: Value) -> Value:
        """The value with what it was at an index remembered."""
        places = [place for place, _ in self.places(expression.axes)]
        drawn = self.drawn

        def remembered(index: Index) -> Number:
            key = (expression, *(index[place] for place in places))
            if key not in drawn:
                drawn[key] = value(index)
            return drawn[key]

        return remembered

    def _select(self, expression: Select) -> Value:
        kind = expression.kind.name
        condition = self.value(expression.condition, "boolean")
        then, otherwise = self.value(expression.then, kind), self.value(expression.otherwise, kind)
        return lambda index: then(index) if condition(index) else otherwise(index)

    def _contract(self, expression: Contract) -> Value:
        kind = expression.kind.name
        factors = [self.value(factor, kind) for factor in expression.factors]
        walk = self._walk(expression.bound)
        zero = CONVERT[kind](0)
        first, *others = factors

        def total(index: Index) -> Number:
            result = zero
            for inner in walk(index):
                term = first(inner)
                for factor in others:
                    term = term * factor(inner)
                result = result + term
            return result

        return total

    def _reduce(self, expression: Reduce) -> Value:
        kind = _reduced_kind(expression)
        body = self.value(expression.body, kind.name)
        walk = self._walk(expression.bound)
        reduce = reduction(expression.op, kind, expression.initial)
        convert = CONVERT[expression.kind.name]
        axes = " ".join(map(str, expression.bound))

        def reduced(index: Index) -> Number:
            try:
                return convert(reduce(body(inner) for inner in walk(index)))
            except EmptyError:
                raise ValueError(
                    f"`{expression.op}[{axes}]` needs a non-empty axis ({expression.span!r})"
                ) from None

        return reduced

    def _walk(self, bound: Sequence[Axis]) -> Callable[[Index], Iterator[Index]]:
        """The indices that extend a given one by the bound axes, in row-major order."""
        places = self.places(bound)
        ranges = [range(extent) for _, extent in places]

        def walk(index: Index) -> Iterator[Index]:
            inner = index.copy()
            for point in product(*ranges):
                for (place, _), position in zip(places, point, strict=True):
                    inner[place] = position
                yield inner

        return walk

    # -- indices ----------------------------------------------------------------------------------

    def _axis(self, axis: Axis) -> Position:
        """The index along an axis, row-major for a composite one."""
        if not axis.parts:
            place = self._place(axis)
            return lambda index: index[place]
        strides = [
            (self._place(atom), prod(self.extent(later) for later in axis.atoms[position + 1 :]))
            for position, atom in enumerate(axis.atoms)
        ]
        return lambda index: sum(index[place] * stride for place, stride in strides)

    def position(self, coordinate: Affine) -> Position:
        """The value of a coordinate of an index map."""
        axis = coordinate.axis
        if axis is not None:
            return self._axis(axis)
        start = coordinate.constant.evaluate(self.sizes)
        terms = [
            (self._variable(variable), coefficient.evaluate(self.sizes))
            for variable, coefficient in coordinate.terms
        ]
        return lambda index: start + sum(c * variable(index) for variable, c in terms)

    def _variable(self, variable: IndexVariable) -> Position:
        match variable:
            case Axis():
                return self._axis(variable)
            case Floor():
                numerator, divisor = self.position(variable.numerator), variable.divisor
                return lambda index: numerator(index) // divisor
            case Mod():
                numerator, divisor = self.position(variable.numerator), variable.divisor
                return lambda index: numerator(index) % divisor
            case Gathered():
                return self._entry(variable.wire, variable.indices, "natural", "")
            case _:
                assert_never(variable)

    def _read(self, expression: Read) -> Value:
        wire = expression.wire
        kind = wire.type.kind.name
        return self._entry(wire, expression.indices, kind, f" ({expression.span!r})")

    def place_in(
        self, wire: Wire, indices: Sequence[Affine], where: str
    ) -> Callable[[Index], tuple[int, ...]]:
        """The place of a wire's array that its indices denote, checked to be inside."""
        positions = self._positions(wire, indices, where)
        return lambda index: tuple(at(index) for at in positions)

    def _positions(self, wire: Wire, indices: Sequence[Affine], where: str) -> list[Position]:
        return [
            self._checked(wire, place, coordinate, where)
            for place, coordinate in enumerate(indices)
        ]

    def _entry(self, wire: Wire, indices: Sequence[Affine], kind: str, where: str) -> Value:
        positions = self._positions(wire, indices, where)
        cells, convert = self.cells, CONVERT[kind]
        if kind in ("real", "complex"):  # NumPy's own scalars already
            match positions:
                case [only]:
                    return lambda index: cells[wire][only(index)]
                case [row, column]:
                    return lambda index: cells[wire][row(index), column(index)]
                case _:
                    return lambda index: cells[wire][tuple(at(index) for at in positions)]
        return lambda index: convert(cells[wire][tuple(at(index) for at in positions)])

    def _checked(self, wire: Wire, place: int, coordinate: Affine, where: str) -> Position:
        """A coordinate that raises if it leaves axis `place` of the wire."""
        position = self.position(coordinate)
        array_axis = wire.type.axes[place]
        extent = self.extent(array_axis)
        if coordinate.axis is not None and self.extent(coordinate.axis) == extent:
            return position
        gathers = any(isinstance(variable, Gathered) for variable, _ in coordinate.terms)

        def inside(index: Index) -> int:
            value = position(index)
            if 0 <= value < extent:
                return value
            raise self._outside(wire, coordinate, array_axis, value, index, where, gathers)

        return inside

    def _outside(
        self,
        wire: Wire,
        coordinate: Affine,
        axis: Axis,
        value: int,
        index: Index,
        where: str,
        gathers: bool,
    ) -> Exception:
        axes = [atom for each in coordinate.axes() for atom in each.atoms]
        at = ", ".join(f"{atom} = {index[self._place(atom)]}" for atom in axes)
        text = (
            f"index `{coordinate}` is {value}{f' at {at}' if at else ''}, but axis `{axis}` of "
            f"`{wire.name}` has size {self.extent(axis)}{where}"
        )
        return ValueError(text) if gathers else RuntimeError(f"a proved index is wrong: {text}")


def _reduced_kind(expression: Reduce) -> Kind:
    """The kind in which the values of a reduction meet."""
    body, result = expression.body.kind, expression.kind
    match expression.op:
        case "any" | "all":
            return Kind("boolean")
        case "argmax" | "argmin":
            return body
        case "norm":
            return Kind(common_kind((body, Kind("real"))))
        case _:
            return Kind(common_kind((body, result)))
