"""The steps of a diagram as objects that fill arrays, whole or for one index along an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np

from ncdlang.semantics.program import Define, Scatter, Write
from ncdlang.semantics.types import Axis, Kind, Wire

from .expressions import Cells, Formulas, Index
from .formats import nearest, rounds
from .numbers import CONVERT, DTYPES, Number, operation

Parameters = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation: the arrays so far, the parameters, and how the names of own ones begin."""

    cells: Cells
    parameters: Parameters
    prefix: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The one index along an axis that a recurrence evaluates now."""

    axis: Axis
    position: int

    def digits(self, extents: Sequence[int]) -> dict[Axis, int]:
        """The index along each part of the axis, row-major."""
        atoms = self.axis.atoms
        return {
            atom: self.position // prod(extents[place + 1 :]) % extents[place]
            for place, atom in enumerate(atoms)
        }


class Part(Protocol):
    """A step that can be evaluated for one index along an axis of all its wires."""

    wires: tuple[Wire, ...]

    def fill(self, run: Run, arrays: Sequence[np.ndarray], fixed: Fixed | None) -> None:
        """Write the entries of `wires`, at all indices or only at the fixed one."""
        ...


def arrays_for(formulas: Formulas, wires: Sequence[Wire]) -> list[np.ndarray]:
    """An array for each wire, its entries not yet computed."""
    return [np.zeros(formulas.shape(wire), DTYPES[wire.type.kind.name]) for wire in wires]


def whole(part: Part, formulas: Formulas) -> Callable[[Run], None]:
    """The step by itself: all entries of its wires."""

    def evaluate(run: Run) -> None:
        arrays = arrays_for(formulas, part.wires)
        part.fill(run, arrays, None)
        run.cells.update(zip(part.wires, arrays, strict=True))

    return evaluate


class Equation:
    """`wire[axes] = expression`, one index after another."""

    def __init__(self, formulas: Formulas, step: Define) -> None:
        wire = step.wire
        self.wires = (wire,)
        self._formulas = formulas
        self._value = _held(formulas.value(step.expression, wire.type.kind.name), wire.type.kind)
        self._atoms = [atom for axis in wire.type.axes for atom in axis.atoms]
        self._places = formulas.places(wire.type.axes)

    def fill(self, run: Run, arrays: Sequence[np.ndarray], fixed: Fixed | None) -> None:
        """Write the wire's entries, at all indices or only at the fixed one."""
        del run
        extents = [extent for _, extent in self._places]
        entries = arrays[0].reshape(extents)
        index = self._formulas.index()
        for point in product(*self._ranges(extents, fixed)):
            for (place, _), position in zip(self._places, point, strict=True):
                index[place] = position
            entries[point] = self._value(index)

    def _ranges(self, extents: Sequence[int], fixed: Fixed | None) -> list[range]:
        ranges = [range(extent) for extent in extents]
        if fixed is not None:
            own = [self._formulas.extent(atom) for atom in fixed.axis.atoms]
            for atom, digit in fixed.digits(own).items():
                ranges[self._atoms.index(atom)] = range(digit, digit + 1)
        return ranges


def _held(value: Callable[[Index], Number], kind: Kind) -> Callable[[Index], Number]:
    """The value as an array of its kind holds it."""
    return (lambda index: nearest(value(index), kind)) if rounds(kind) else value


# ---- scatters -----------------------------------------------------------------------------------


def scatter(formulas: Formulas, step: Scatter) -> Callable[[Run], None]:
    """A declared wire: filled with the identity, then written by its equations in order."""
    wire = step.wire
    kind = wire.type.kind
    writes = [_write(formulas, wire, write) for write in step.writes]
    bound = kind.bound.evaluate(formulas.sizes) if kind.bound is not None else None
    start = _identity(step.writes[0].op, kind, bound)

    def evaluate(run: Run) -> None:
        array = np.full(formulas.shape(wire), start, DTYPES[kind.name])
        written = np.zeros(array.shape, np.bool_)
        for write in writes:
            write(array, written)
        if bound is not None and array.size and not 0 <= array.min() <= array.max() < bound:
            wrong = array.max() if array.max() >= bound else array.min()
            raise ValueError(f"`{wire}` would hold {wrong}, but its entries are below {bound}")
        run.cells[wire] = nearest(array, kind)

    return evaluate


def _identity(op: str, kind: Kind, bound: int | None) -> Number:
    """What combines with a value to just that value; that of naturals is a natural."""
    if op == "*=":
        return CONVERT[kind.name](1)
    if op not in ("max=", "min="):
        return CONVERT[kind.name](0)
    if kind.name == "real":
        return -np.inf if op == "max=" else np.inf
    return max(bound - 1, 0) if op == "min=" and bound is not None else 0


def _write(
    formulas: Formulas, wire: Wire, write: Write
) -> Callable[[np.ndarray, np.ndarray], None]:
    """One equation; `written` notes the places that a plain `=` has written."""
    kind = wire.type.kind.name
    value = formulas.value(write.expression, kind)
    at = formulas.place_in(wire, write.indices, f" ({write.span!r})")
    places = formulas.places(write.axes)
    combine = _COMBINE.get(write.op)
    apply = operation(combine, kind) if combine is not None else None

    def scattered(array: np.ndarray, written: np.ndarray) -> None:
        index = formulas.index()
        for point in product(*(range(extent) for _, extent in places)):
            for (place, _), position in zip(places, point, strict=True):
                index[place] = position
            entry, new = at(index), value(index)
            if apply is not None:
                array[entry] = apply(CONVERT[kind](array[entry]), new)
                continue
            if written[entry]:
                raise RuntimeError(f"a proved scatter is wrong: `{wire.name}` at {entry} twice")
            array[entry], written[entry] = new, True

    return scattered


_COMBINE = {"+=": "add", "*=": "mul", "max=": "max", "min=": "min"}


# ---- recurrences --------------------------------------------------------------------------------


class Growing:
    """An array of a recurrence while it is computed: what is not there yet can't be read."""

    def __init__(self, wire: Wire, axis: Axis, array: np.ndarray) -> None:
        self.array = array
        self._wire = wire
        self._place = wire.type.axes.index(axis)
        self._known = np.zeros(array.shape[self._place], np.bool_)

    def know(self, position: int) -> None:
        """Note that all entries at an index along the axis are computed."""
        self._known[position] = True

    def __getitem__(self, at: Any, /) -> np.ndarray:
        position = at[self._place] if isinstance(at, tuple) else at
        if not np.all(self._known[position]):
            raise RuntimeError(
                f"a proved recurrence is wrong: `{self._wire.name}` is read at {at} too early"
            )
        return self.array[at]


def recurrence(
    formulas: Formulas, axis: Axis, reverse: bool, parts: Sequence[Part]
) -> Callable[[Run], None]:
    """Equations that read each other earlier along an axis: one index after another."""

    def order() -> Iterator[int]:
        positions = range(formulas.extent(axis))
        return reversed(positions) if reverse else iter(positions)

    def evaluate(run: Run) -> None:
        growing: list[list[Growing]] = []
        for part in parts:
            arrays = arrays_for(formulas, part.wires)
            made = [Growing(w, axis, a) for w, a in zip(part.wires, arrays, strict=True)]
            run.cells.update(zip(part.wires, made, strict=True))
            growing.append(made)
        for position in order():
            for part, made in zip(parts, growing, strict=True):
                part.fill(run, [each.array for each in made], Fixed(axis, position))
                for each in made:
                    each.know(position)
        for part, made in zip(parts, growing, strict=True):
            run.cells.update(zip(part.wires, (each.array for each in made), strict=True))

    return evaluate
