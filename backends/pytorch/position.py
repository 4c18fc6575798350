"""One position along an axis: what indices and conditions become where it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ncdlang.ir.diagram import Edge, Iota, Number, Pointwise
from ncdlang.semantics.size import Quotient, Size, Symbol, constant, product
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, IndexVariable, Mod, Wire

# Each says that it is at least 0.
Facts = tuple[Size, ...]
_ORDER = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


@dataclass(frozen=True, slots=True)
class Position:
    """The position `step` along an axis, and the index along each of its parts.

    The last part of a composite axis is what the others leave, so that its parts make up `step`
    again; the others have symbols of their own, in `divided` with how they follow from `step`.
    """

    axis: Axis
    step: Size
    indices: Mapping[Axis, Size]
    divided: tuple[tuple[Symbol, Size], ...]

    def dims(self, axes: Sequence[Axis]) -> list[int]:
        """The dimensions that run along the axis or a part of it."""
        return [i for i, axis in enumerate(axes) if axis in self.indices]

    def without(self, axes: Iterable[Axis]) -> tuple[Axis, ...]:
        """The other axes."""
        return tuple(axis for axis in axes if axis not in self.indices)

    def at(self, index: Affine, gather: Callable[[Gathered], IndexVariable]) -> Affine:
        """An index at this position; `gather` gives what is gathered there."""
        total = index.constant
        terms: dict[IndexVariable, Size] = {}
        for variable, coefficient in index.terms:
            value = self._variable(variable, gather)
            if isinstance(value, Size):
                total += coefficient * value
            else:
                terms[value] = terms.get(value, constant(0)) + coefficient
        kept = tuple((variable, size) for variable, size in terms.items() if size.terms)
        return Affine(total, kept, index.partial)

    def _variable(
        self, variable: IndexVariable, gather: Callable[[Gathered], IndexVariable]
    ) -> IndexVariable | Size:
        match variable:
            case Axis():
                return self.indices.get(variable, variable)
            case Floor() | Mod():
                inner = self.at(variable.numerator, gather)
                if inner.terms:
                    return type(variable)(inner, variable.divisor)
                divide = Size.__floordiv__ if isinstance(variable, Floor) else Size.__mod__
                return divide(inner.constant, variable.divisor)
            case Gathered():
                return gather(variable)


def position_along(axis: Axis, symbol: Symbol, new_symbol: Callable[[str], Symbol]) -> Position:
    """The position `symbol` along an axis."""
    step = Size.of(symbol)
    indices: dict[Axis, Size] = {axis: step}
    divided: list[tuple[Symbol, Size]] = []
    rest = step
    for i, atom in enumerate(axis.atoms[:-1]):
        inner = product(a.size for a in axis.atoms[i + 1 :])
        part = new_symbol(atom.name)
        above = step // inner
        divided.append((part, above if i == 0 else above % atom.size))
        indices[atom] = Size.of(part)
        rest -= Size.of(part) * inner
    indices[axis.atoms[-1]] = rest
    for part in _composites(axis):
        indices.setdefault(part, _row_major(part, indices))
    return Position(axis, step, indices, tuple(divided))


def _composites(axis: Axis) -> Iterator[Axis]:
    for part in axis.parts:
        yield part
        yield from _composites(part)


def _row_major(axis: Axis, indices: Mapping[Axis, Size]) -> Size:
    total = constant(0)
    for atom in axis.atoms:
        total = total * atom.size + indices[atom]
    return total


# ---- what conditions say ------------------------------------------------------------------------


class Conditions:
    """What is known of the position where a condition on it holds."""

    def __init__(self, position: Position, edges: Iterable[Edge]) -> None:
        self._position = position
        self._makers = {result.wire: edge for edge in edges for result in edge.outputs}

    def facts(self, wire: Wire, holds: bool) -> Facts:
        """What follows if the condition holds, or if it does not."""
        edge = self._makers.get(wire)
        if edge is None or not isinstance(edge.operator, Pointwise):
            return ()
        name, inputs = edge.operator.name, [operand.wire for operand in edge.inputs]
        if name == "not":
            return self.facts(inputs[0], not holds)
        if name == ("and" if holds else "or"):
            return (*self.facts(inputs[0], holds), *self.facts(inputs[1], holds))
        if name not in _ORDER:
            return ()
        left, right = (self.number(inner) for inner in inputs)
        if left is None or right is None:
            return ()
        match name if holds else _ORDER[name]:
            case "lt":
                return (right - left - 1,)
            case "le":
                return (right - left,)
            case "gt":
                return (left - right - 1,)
            case _:
                return (left - right,)

    def is_decided(self, wire: Wire, known: Facts) -> bool | None:
        """Whether a single comparison surely holds, or surely does not."""
        for holds in (True, False):
            found = self.facts(wire, holds)
            if len(found) == 1 and is_known(found[0], known):
                return holds
        return None

    def number(self, wire: Wire) -> Size | None:
        """An integer as a polynomial in the position and sizes."""
        edge = self._makers.get(wire)
        if edge is None:
            return None
        match edge.operator:
            case Iota():
                return self._position.indices.get(edge.degree[0])
            case Number(value=Size() as size):
                return size
            case Number(value=bool()):
                return None
            case Number(value=int() as value):
                return constant(value)
            case Pointwise(name="add" | "sub" | "mul" as name):
                left, right = (self.number(operand.wire) for operand in edge.inputs)
                if left is None or right is None:
                    return None
                return left + right if name == "add" else _combined(name, left, right)
            case Pointwise(name="neg"):
                inner = self.number(edge.inputs[0].wire)
                return -inner if inner is not None else None
            case _:
                return None


def _combined(name: str, left: Size, right: Size) -> Size:
    return left - right if name == "sub" else left * right


def is_known(size: Size, facts: Facts) -> bool:
    """Whether a size is at least 0 by these facts, as far as adding up to two of them tells."""
    sums = [constant(0), *facts, *(a + b for a, b in combinations(facts, 2))]
    return any(is_natural(size - total) for total in sums)


def is_natural(size: Size) -> bool:
    """Whether a polynomial in naturals is surely at least 0."""
    return all(
        coefficient >= 0 and all(_is_natural_atom(atom) for atom, _ in monomial)
        for monomial, coefficient in size.terms
    )


def _is_natural_atom(atom: Symbol | Quotient) -> bool:
    if isinstance(atom, Symbol):
        return True
    return is_natural(atom.numerator) and is_natural(atom.denominator)
