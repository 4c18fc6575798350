"""Expressions rewritten: other axes, sizes and wires put in, bound axes kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from ncdlang.gradients.terms import (
    apply,
    children,
    free,
    index_number,
    is_atomic,
    multiplied,
    number,
    read,
    total,
)
from ncdlang.records import field, record, replace
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
from ncdlang.semantics.size import ONE, ZERO, Size, Symbol
from ncdlang.semantics.types import (
    INTEGER,
    REAL,
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
)
from ncdlang.source import Source, Span

_NOWHERE = Span(Source("", ""), 0, 0)

Moved = Callable[[Wire, tuple[Affine, ...]], tuple[Wire, tuple[Affine, ...]]]


def _stay(wire: Wire, indices: tuple[Affine, ...]) -> tuple[Wire, tuple[Affine, ...]]:
    return wire, indices


@record
class Change:
    """What is put for axes, for unknown sizes, and for reads of wires."""

    axes: Mapping[Axis, Affine] = field(default_factory=dict[Axis, Affine])
    sizes: Mapping[Symbol, Size] = field(default_factory=dict[Symbol, Size])
    moved: Moved = _stay

    def size(self, size: Size) -> Size:
        """A size after the change."""
        return size.substitute(self.sizes)

    def index(self, index: Affine) -> Affine:
        """A coordinate after the change."""
        constant = self.size(index.constant)
        terms: dict[IndexVariable, Size] = {}
        partial = index.partial
        for variable, coefficient in index.terms:
            factor = self.size(coefficient)
            put = self._variable(variable)
            constant = constant + factor * put.constant
            partial = partial or put.partial
            for inner, inner_factor in put.terms:
                terms[inner] = terms.get(inner, ZERO) + factor * inner_factor
        kept = tuple((variable, c) for variable, c in terms.items() if c != ZERO)
        return Affine(constant, kept, partial)

    def _variable(self, variable: IndexVariable) -> Affine:
        match variable:
            case Axis():
                return self.axes.get(variable) or Affine(ZERO, ((variable, ONE),))
            case Floor() | Mod():
                inner = replace(variable, numerator=self.index(variable.numerator))
                return Affine(ZERO, ((inner, ONE),))
            case Gathered():
                wire, indices = self.read(variable.wire, variable.indices)
                return Affine(ZERO, ((Gathered(wire, indices), ONE),))

    def read(self, wire: Wire, indices: tuple[Affine, ...]) -> tuple[Wire, tuple[Affine, ...]]:
        """A wire and the coordinates it is read at after the change."""
        return self.moved(wire, tuple(self.index(index) for index in indices))

    def bound(self, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """Bound axes after the change, which puts plain axes for them."""
        return tuple(
            put.axis or axis if (put := self.axes.get(axis)) is not None else axis for axis in axes
        )

    def expression(self, value: Expression) -> Expression:
        """An expression after the change."""
        match value:
            case Constant():
                return value
            case SizeValue():
                return SizeValue(self.size(value.size), value.kind)
            case IndexValue():
                put = self.axes.get(value.axis)
                if put is None:
                    return value
                if put.axis is not None:
                    return IndexValue(put.axis, value.kind, (put.axis,))
                return index_number(put, _NOWHERE)
            case Read():
                wire, indices = self.read(value.wire, value.indices)
                return read(wire, indices, value.span)
            case Apply():
                arguments = tuple(self.expression(a) for a in value.arguments)
                if value.kind.name in ("real", "boolean") and value.op not in ("cast", "real"):
                    return apply(value.op, *arguments, span=value.span)
                return Apply(value.op, arguments, value.kind, free(*arguments), value.span)
            case ApplyDiagram():
                arguments = tuple(self.expression(a) for a in value.arguments)
                return ApplyDiagram(
                    value.callee, arguments, value.kind, free(*arguments), value.span
                )
            case Select():
                return self._select(value)
            case Contract():
                bound = self.bound(value.bound)
                parts = tuple(self.expression(factor) for factor in value.factors)
                if not set(bound) <= set(free(*parts)):
                    return total(bound, multiplied(list(parts), value.span), value.span)
                kept = tuple(axis for axis in free(*parts) if axis not in bound)
                return Contract(bound, parts, value.kind, kept, value.span)
            case Reduce():
                bound = self.bound(value.bound)
                body = _with_axes(self.expression(value.body), bound, value.span)
                kept = tuple(axis for axis in free(body) if axis not in bound)
                return Reduce(value.op, bound, body, value.kind, kept, value.span, value.initial)
            case _:
                assert_never(value)

    def _select(self, value: Select) -> Expression:
        condition, then, otherwise = (self.expression(child) for child in children(value))
        if isinstance(condition, Constant):
            return then if condition.value else otherwise
        axes = free(condition, then, otherwise)
        return Select(condition, then, otherwise, value.kind, axes, value.span)


def _with_axes(value: Expression, axes: tuple[Axis, ...], span: Span) -> Expression:
    """The value with axes that a simpler form of it has lost, as a reduction needs them."""
    for axis in axes:
        if axis not in free(value):
            here = IndexValue(axis, INTEGER, (axis,))
            nothing = Apply("mul", (number(0), here), REAL, (axis,), span)
            value = Apply("add", (value, nothing), value.kind, (*free(value), axis), span)
    return value


def fresh(axis: Axis) -> Axis:
    """Another axis of the same name and size."""
    return Axis(axis.name, axis.size)


def renaming(pairs: Mapping[Axis, Axis]) -> Change:
    """The change that puts axes for axes."""
    return Change({old: Affine(ZERO, ((new, ONE),)) for old, new in pairs.items()})


def apart(value: Expression, taken: Iterable[Axis]) -> Expression:
    """The expression with bound axes renamed that are among `taken` or free in it."""
    return _apart(value, {*taken, *free(value)})


def _apart(value: Expression, taken: set[Axis]) -> Expression:
    if is_atomic(value):
        return value
    if isinstance(value, Contract | Reduce):
        clashing = {axis: fresh(axis) for axis in value.bound if axis in taken}
        if clashing:
            value = renaming(clashing).expression(value)
            assert isinstance(value, Contract | Reduce)
        taken = taken | set(value.bound)
    return rebuilt(value, tuple(_apart(child, taken) for child in children(value)))


def rebuilt(value: Expression, parts: tuple[Expression, ...]) -> Expression:
    """The expression with others in the place of its children."""
    match value:
        case Apply():
            return Apply(value.op, parts, value.kind, free(*parts), value.span)
        case ApplyDiagram():
            return ApplyDiagram(value.callee, parts, value.kind, free(*parts), value.span)
        case Select():
            condition, then, otherwise = parts
            return Select(condition, then, otherwise, value.kind, free(*parts), value.span)
        case Contract():
            kept = tuple(axis for axis in free(*parts) if axis not in value.bound)
            return Contract(value.bound, parts, value.kind, kept, value.span)
        case Reduce():
            kept = tuple(axis for axis in free(*parts) if axis not in value.bound)
            return Reduce(
                value.op, value.bound, parts[0], value.kind, kept, value.span, value.initial
            )
        case Constant() | SizeValue() | IndexValue() | Read():
            return value
        case _:
            assert_never(value)
