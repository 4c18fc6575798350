"""Masks: `where(condition, S, constant)` whose condition is about indices alone.

The condition is evaluated index by index, and the entries that it takes away become polygons.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ncdlang.ir.diagram import Edge, Iota, Number, Pointwise
from ncdlang.semantics.size import Quotient, Size, Symbol, constant
from ncdlang.semantics.types import Axis, Wire

from ..groups import Group

Value = float | int | bool
Polygon = tuple[tuple[float, float], ...]

# How many rows and columns of the square are evaluated.
_FINE = 40
# A mask that takes less away, or leaves less, would not be seen for what it is.
_LEAST = 0.05
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "le": operator.le,
    "lt": operator.lt,
    "ge": operator.ge,
    "gt": operator.gt,
    "eq": operator.eq,
    "ne": operator.ne,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": operator.not_,
    "neg": operator.neg,
    "abs": abs,
    "max": max,
    "min": min,
    "real": float,
    "div": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Mask:
    """The axes of a mask, rows first, and what it takes away as polygons in the unit square."""

    axes: tuple[Axis, ...]
    polygons: tuple[Polygon, ...]


def mask(group: Group, wire: Wire) -> Mask | None:
    """The mask that an elementwise operation on one wire is, if it is one of at most two axes."""
    root = group.root
    if not (isinstance(root.operator, Pointwise) and root.operator.name == "select"):
        return None
    condition, then, otherwise = (operand.wire for operand in root.inputs)
    folded = group.folded
    if condition not in folded or (then is wire) == (otherwise is wire):
        return None
    other = otherwise if then is wire else then
    if other not in folded or folded[other].degree:
        return None
    edge = folded[condition]
    axes = edge.degree
    if not 1 <= len(axes) <= 2 or not _is_of_indices(edge, folded, wire):
        return None
    rows, columns = (None, axes[0]) if len(axes) == 1 else axes
    keeps = then is wire
    try:
        runs = _taken(edge, folded, rows, columns, keeps)
    except (ArithmeticError, TypeError, ValueError, KeyError):
        return None
    share = sum(end - start for row in runs for start, end in row) / _FINE**2
    if not _LEAST <= share <= 1 - _LEAST:
        return None
    return Mask(axes, _polygons(runs))


def _is_of_indices(edge: Edge, folded: Mapping[Wire, Edge], wire: Wire) -> bool:
    """Whether a condition reads no array."""
    if isinstance(edge.operator, (Number, Iota)):
        return True
    if not isinstance(edge.operator, Pointwise) or edge.operator.name not in _FUNCTIONS:
        return False
    return all(
        operand.wire is not wire
        and operand.wire in folded
        and _is_of_indices(folded[operand.wire], folded, wire)
        for operand in edge.inputs
    )


def _taken(
    edge: Edge, folded: Mapping[Wire, Edge], rows: Axis | None, columns: Axis, keeps: bool
) -> list[list[tuple[int, int]]]:
    """What is taken away of every row."""
    size = max(_FINE, 3 * _largest(edge, folded))
    at = [place * size // _FINE for place in range(_FINE)]

    def is_taken(row: int, column: int) -> bool:
        indices = {columns: at[column]} | ({rows: at[row]} if rows is not None else {})
        return bool(_value(edge, folded, indices, size)) != keeps

    return [_runs([is_taken(row, column) for column in range(_FINE)]) for row in range(_FINE)]


def _largest(edge: Edge, folded: Mapping[Wire, Edge]) -> int:
    """The largest number in a condition: a band must fit into the square."""
    if isinstance(edge.operator, Number):
        value = edge.operator.value
        return math.ceil(abs(value)) if isinstance(value, (int, float)) else 0
    return max((_largest(folded[o.wire], folded) for o in edge.inputs), default=0)


def _value(
    edge: Edge, folded: Mapping[Wire, Edge], indices: Mapping[Axis, int], size: int
) -> Value:
    match edge.operator:
        case Number(value=Size() as value):
            return _number(value, size)
        case Number(value=value):
            assert not isinstance(value, Size)
            return value
        case Iota():
            return indices[edge.degree[0]]
        case Pointwise(name=name):
            values = [_value(folded[o.wire], folded, indices, size) for o in edge.inputs]
            return _FUNCTIONS[name](*values)
        case _:
            raise ValueError


def _number(value: Size, size: int) -> int:
    """A size, with every unknown as large as the square."""
    symbols = {
        atom: constant(size)
        for monomial, _ in value.terms
        for atom, _ in monomial
        if isinstance(atom, Symbol)
    }
    if any(isinstance(a, Quotient) for monomial, _ in value.terms for a, _ in monomial):
        raise ValueError
    found = value.substitute(symbols).value
    if found is None:
        raise ValueError
    return found


def _runs(row: list[bool]) -> list[tuple[int, int]]:
    """Where a row is taken, as half-open intervals."""
    runs: list[tuple[int, int]] = []
    for column, taken in enumerate(row):
        if not taken:
            continue
        if runs and runs[-1][1] == column:
            runs[-1] = (runs[-1][0], column + 1)
        else:
            runs.append((column, column + 1))
    return runs


def _polygons(rows: list[list[tuple[int, int]]]) -> tuple[Polygon, ...]:
    """Runs of following rows that overlap, one each, as polygons; stairs become slopes."""
    open_: list[list[tuple[int, int, int]]] = []
    closed: list[list[tuple[int, int, int]]] = []
    for row, runs in enumerate(rows):
        going: list[list[tuple[int, int, int]]] = []
        for start, end in runs:
            before = next((c for c in open_ if c[-1][1] <= end and start <= c[-1][2]), None)
            if before is not None:
                open_.remove(before)
                going.append([*before, (row, start, end)])
            else:
                going.append([(row, start, end)])
        closed += open_
        open_ = going
    return tuple(_outline(chain) for chain in (*closed, *open_))


def _outline(chain: list[tuple[int, int, int]]) -> Polygon:
    """The outline of a chain of runs, through the middles of its steps."""
    left: list[tuple[float, float]] = []
    right: list[tuple[float, float]] = []
    for row, start, end in chain:
        left += [(start, row), (start, row + 1)]
        right += [(end, row), (end, row + 1)]
    points = _smooth(right) + _smooth(left)[::-1]
    return tuple((x / _FINE, y / _FINE) for x, y in points)


def _smooth(side: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A side with its points on one line left out: the first and last of each slope stay."""
    middles = [side[0]]
    middles += [((a[0] + b[0]) / 2, a[1]) for a, b in zip(side[1::2], side[2::2], strict=False)]
    middles.append(side[-1])
    kept = middles[:1]
    for before, here, after in zip(middles, middles[1:], middles[2:], strict=False):
        turn = (here[0] - before[0]) * (after[1] - here[1]) - (after[0] - here[0]) * (
            here[1] - before[1]
        )
        if turn:
            kept.append(here)
    return [*kept, middles[-1]]
