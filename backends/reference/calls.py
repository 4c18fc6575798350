"""Calls: the callee is evaluated on the slices at every index of the lifted axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ncdlang.semantics.program import Invoke
from ncdlang.semantics.types import Axis, Wire

from .expressions import Array, Formulas
from .solving import Shape, Sizes, solve
from .steps import Fixed, Run

if TYPE_CHECKING:
    from .plan import Plans


class Call:
    """A call of a diagram, broadcast over the lifted axes."""

    def __init__(self, formulas: Formulas, step: Invoke, plans: Plans) -> None:
        self.wires = step.results
        self._step = step
        self._formulas = formulas
        self._slicers = [
            _Slicer(wire, weave, step.lifted, formal)
            for wire, weave, formal in zip(
                step.arguments, step.argument_weaves, step.callee.parameters, strict=True
            )
        ]
        self._writers = [
            _Slicer(wire, weave, step.lifted, formal)
            for wire, weave, formal in zip(
                step.results, step.result_weaves, step.callee.results, strict=True
            )
        ]
        self._plan = plans.plan(step.callee, self._callee_sizes())
        self._inner = f"{step.instance.name}." if step.instance is not None else ""

    def fill(self, run: Run, arrays: Sequence[np.ndarray], fixed: Fixed | None) -> None:
        """Write the results, at all lifted indices or only at the fixed one."""
        arguments = [run.cells[wire] for wire in self._step.arguments]
        for point in product(*self._ranges(fixed)):
            slices = [s.slice(a, point) for s, a in zip(self._slicers, arguments, strict=True)]
            results = self._plan.run(slices, run.parameters, run.prefix + self._inner)
            for writer, array, result in zip(self._writers, arrays, results, strict=True):
                _assign(writer.slice(array, point), result, writer.wire)

    def _ranges(self, fixed: Fixed | None) -> list[range]:
        lifted = self._step.lifted
        ranges = [range(self._formulas.extent(axis)) for axis in lifted]
        if fixed is not None:
            ranges[_find(lifted, fixed.axis)] = range(fixed.position, fixed.position + 1)
        return ranges

    def _callee_sizes(self) -> Sizes:
        step, formulas = self._step, self._formulas
        known = {symbol: size.evaluate(formulas.sizes) for symbol, size in step.binding}
        shapes = [
            Shape(formal, slicer.shape(formulas.shape(slicer.wire)))
            for slicer, formal in zip(self._slicers, step.callee.parameters, strict=True)
        ]
        return solve(step.callee, shapes, {}, known)


class _Slicer:
    """Cuts the slice of a callee's array out of the caller's, at an index of the lifted axes."""

    def __init__(
        self, wire: Wire, weave: Sequence[Axis | None], lifted: Sequence[Axis], formal: Wire
    ) -> None:
        self.wire = wire
        # For each axis of the wire: which lifted axis gives its index, None for a target.
        self._lifted = [
            None if target is not None else _find(lifted, axis)
            for axis, target in zip(wire.type.axes, weave, strict=True)
        ]
        targets = [target for target in weave if target is not None]
        self._order = [targets.index(axis) for axis in formal.type.axes]

    def slice(self, array: Array, point: Sequence[int]) -> np.ndarray:
        """The slice, a view, with its axes in the order of the formal type."""
        at = tuple(slice(None) if k is None else point[k] for k in self._lifted)
        return array[(*at, ...)].transpose(self._order)

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the slices of an array of this shape."""
        kept = [n for n, k in zip(shape, self._lifted, strict=True) if k is None]
        return tuple(kept[place] for place in self._order)


def _find(lifted: Sequence[Axis], axis: Axis) -> int:
    """The place of an axis among the lifted ones; a composite axis is known by its parts."""
    return next(k for k, each in enumerate(lifted) if each is axis or each.atoms == axis.atoms)


def _assign(target: np.ndarray, result: np.ndarray, wire: Wire) -> None:
    if target.shape != result.shape:
        raise RuntimeError(
            f"`{wire.name}` was checked to have slices of {target.shape}, not {result.shape}"
        )
    target[...] = result
