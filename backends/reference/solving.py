"""Sizes: what the shapes of arrays, given numbers and defaults say of a diagram's unknowns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ncdlang.semantics.program import CheckedDiagram, Requirement
from ncdlang.semantics.size import Size, Symbol, constant
from ncdlang.semantics.types import Wire

Sizes = dict[Symbol, int]

_HOLDS = {
    "==": int.__eq__,
    "!=": int.__ne__,
    "<=": int.__le__,
    "<": int.__lt__,
    ">=": int.__ge__,
    ">": int.__gt__,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """An array that is there for a wire; `shape` has one number for each axis of the wire."""

    wire: Wire
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Equation:
    """`size` is `length` at a place of the inputs, or because the diagram requires it."""

    size: Size
    length: int
    place: str
    is_required: bool = False


class SizeError(ValueError):
    """Sizes that contradict each other or a requirement, or one that nothing gives."""


def solve(
    diagram: CheckedDiagram,
    shapes: Iterable[Shape],
    given: Mapping[str, int],
    known: Mapping[Symbol, int] | None = None,
) -> Sizes:
    """The unknown sizes of a diagram, as far as anything gives them.

    In this order: `known` by symbol, `given` by the name of the axis, the shapes (which have to
    agree with all that), the defaults of free axes, what the diagram requires. Raises SizeError.
    """
    sizes: Sizes = dict(known or {})
    for symbol in diagram.unknowns:
        if symbol.name in given:
            sizes.setdefault(symbol, given[symbol.name])
    equations = [
        _Equation(axis.size, length, f"axis `{axis}` of `{shape.wire.name}`")
        for shape in shapes
        for axis, length in zip(shape.wire.type.axes, shape.shape, strict=True)
    ]
    sources: dict[Symbol, str] = {}
    _use_equations(equations, sizes, sources)
    for free in diagram.free:
        symbol, default = free.axis.symbol, free.default
        if symbol is not None and default is not None and default.symbols() <= sizes.keys():
            sizes.setdefault(symbol, default.evaluate(sizes))
    required = [
        _Equation(needed.left - needed.right, 0, needed.reason, is_required=True)
        for needed in diagram.requirements
        if needed.op == "=="
    ]
    _use_equations([*required, *equations], sizes, sources)
    for equation in equations:
        _check(equation, sizes, sources)
    return sizes


def _check(equation: _Equation, sizes: Sizes, sources: Mapping[Symbol, str]) -> None:
    symbols = equation.size.symbols()
    if symbols <= sizes.keys() and equation.size.evaluate(sizes) != equation.length:
        origins = dict.fromkeys(sources[symbol] for symbol in symbols if symbol in sources)
        told = f" ({', '.join(origins)})" if origins else ""
        fixed = equation.size.value
        wanted = f"not {fixed}" if fixed is not None else f"but {_explained(equation.size, sizes)}"
        raise SizeError(f"{equation.place} has size {equation.length}, {wanted}{told}")


def missing(sizes: Mapping[Symbol, int], needed: Iterable[Symbol]) -> str:
    """The needed sizes that are not known, as `size(h), size(k)`; empty if there are none."""
    return ", ".join(f"size({symbol.name})" for symbol in needed if symbol not in sizes)


def check_requirements(diagram: CheckedDiagram, sizes: Mapping[Symbol, int]) -> None:
    """Raise SizeError for the first requirement that these sizes break."""
    for requirement in diagram.requirements:
        if not _is_met(requirement, sizes):
            sides = [requirement.left, requirement.right]
            told = " and ".join(_explained(side, sizes) for side in sides if side.value is None)
            raise SizeError(
                f"`{diagram.name}` requires {requirement.left} {requirement.op} "
                f"{requirement.right} ({requirement.reason}), but {told}"
            )


def _is_met(requirement: Requirement, sizes: Mapping[Symbol, int]) -> bool:
    try:
        left, right = requirement.left.evaluate(sizes), requirement.right.evaluate(sizes)
    except ZeroDivisionError:
        return False
    return bool(_HOLDS[requirement.op](left, right))


def _explained(size: Size, sizes: Mapping[Symbol, int]) -> str:
    try:
        return f"{size} is {size.evaluate(sizes)}"
    except ZeroDivisionError:
        return f"{size} divides by zero"


def _use_equations(
    equations: Sequence[_Equation], sizes: Sizes, sources: dict[Symbol, str]
) -> None:
    """Solve equations with one unknown until nothing more follows."""
    progress = True
    while progress:
        progress = False
        for equation in equations:
            unknown = equation.size.symbols() - sizes.keys()
            if len(unknown) == 1:
                (symbol,) = unknown
                value = _solved(equation, symbol, sizes)
                if value is not None:
                    sizes[symbol] = value
                    sources[symbol] = equation.place
                    progress = True


def _solved(equation: _Equation, symbol: Symbol, sizes: Sizes) -> int | None:
    """The value at which the equation holds, None where it is not linear in the symbol.

    Where it divides by a size of 0 it tells nothing either.
    """
    try:
        size = equation.size.substitute({known: constant(value) for known, value in sizes.items()})
    except ZeroDivisionError:
        return None
    powers = {monomial: c for monomial, c in size.terms if monomial}
    slope = powers.get(((symbol, 1),), 0)
    if not slope or len(powers) > 1:
        return None
    value, remainder = divmod(equation.length - size.constant_term, slope)
    if remainder or value < 0:
        told = f"{equation.place} has size {equation.length}, which {equation.size} is"
        if equation.is_required:
            told = f"{equation.place}: {equation.size} is 0"
        raise SizeError(f"{told} for no size({symbol.name})")
    return value
