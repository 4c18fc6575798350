"""A checked diagram at known sizes, made ready to be evaluated step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from ncdlang.semantics.program import CheckedDiagram, Define, Invoke, walk
from ncdlang.semantics.types import Axis, Wire

from .expressions import Formulas
from .numbers import DTYPES, Number
from .solving import Shape, SizeError, Sizes, check_requirements, missing, solve

Parameters = Mapping[str, np.ndarray]
Step = Callable[[Parameters, str], None]


class Plans:
    """Makes the plan of a diagram once for each choice of its sizes."""

    def __init__(self) -> None:
        self._plans: dict[tuple[CheckedDiagram, frozenset[tuple[object, int]]], Plan] = {}

    def plan(self, diagram: CheckedDiagram, sizes: Sizes) -> Plan:
        """The plan of a diagram at these sizes. Raises SizeError for sizes that it forbids."""
        key = (diagram, frozenset(sizes.items()))
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = Plan(diagram, sizes, self)
        return found


class Plan:
    """The steps of one diagram as closures over its arrays."""

    def __init__(self, diagram: CheckedDiagram, sizes: Sizes, plans: Plans) -> None:
        unknown = missing(sizes, diagram.unknowns)
        if unknown:
            raise SizeError(f"{unknown} of `{diagram.name}` is not known: no input gives it")
        check_requirements(diagram, sizes)
        self.diagram = diagram
        self._plans = plans
        self._cells: dict[Wire, np.ndarray] = {}
        self._formulas = Formulas(sizes, self._cells, self._scalar)
        self._steps = [
            self._define(step) if isinstance(step, Define) else self._invoke(step)
            for step in walk(diagram.steps)
        ]

    def run(
        self, inputs: Sequence[np.ndarray], parameters: Parameters, prefix: str
    ) -> tuple[np.ndarray, ...]:
        """The results. Inputs have exactly the axes of the signature.

        The diagram's own parameters are those whose names begin with `prefix`.
        """
        cells = self._cells
        cells.clear()
        cells.update(zip(self.diagram.parameters, inputs, strict=True))
        for learned in self.diagram.learned:
            name = f"{prefix}{learned.wire.name}"
            cells[learned.wire] = _parameter(
                parameters, name, learned.wire, self._formulas.shape(learned.wire)
            )
        for step in self._steps:
            step(parameters, prefix)
        return tuple(cells[wire] for wire in self.diagram.results)

    def _scalar(self, callee: CheckedDiagram) -> Callable[[Sequence[Number]], Number]:
        plan = self._plans.plan(callee, {})

        def function(arguments: Sequence[Number]) -> Number:
            return plan.run([np.asarray(argument) for argument in arguments], {}, "")[0][()]

        return function

    # -- equations --------------------------------------------------------------------------------

    def _define(self, step: Define) -> Step:
        formulas = self._formulas
        wire = step.wire
        value = formulas.value(step.expression, wire.type.kind.name)
        places = formulas.places(wire.type.axes)
        extents = [extent for _, extent in places]
        shape, dtype = formulas.shape(wire), DTYPES[wire.type.kind.name]

        def define(parameters: Parameters, prefix: str) -> None:
            del parameters, prefix
            array = np.empty(extents, dtype)
            index = formulas.index()
            for point in product(*map(range, extents)):
                for (place, _), position in zip(places, point, strict=True):
                    index[place] = position
                array[point] = value(index)
            self._cells[wire] = array.reshape(shape)

        return define

    # -- calls ------------------------------------------------------------------------------------

    def _invoke(self, step: Invoke) -> Step:
        formulas = self._formulas
        slicers = [
            _Slicer(wire, weave, step.lifted, formal)
            for wire, weave, formal in zip(
                step.arguments, step.argument_weaves, step.callee.parameters, strict=True
            )
        ]
        writers = [
            _Slicer(wire, weave, step.lifted, formal)
            for wire, weave, formal in zip(
                step.results, step.result_weaves, step.callee.results, strict=True
            )
        ]
        plan = self._plans.plan(step.callee, self._callee_sizes(step, slicers))
        shapes = [formulas.shape(wire) for wire in step.results]
        dtypes = [DTYPES[wire.type.kind.name] for wire in step.results]
        lifted = [formulas.extent(axis) for axis in step.lifted]
        inner = f"{step.instance.name}." if step.instance is not None else ""

        def invoke(parameters: Parameters, prefix: str) -> None:
            cells = self._cells
            arguments = [cells[wire] for wire in step.arguments]
            made = [np.empty(s, d) for s, d in zip(shapes, dtypes, strict=True)]
            for point in product(*map(range, lifted)):
                slices = [s.slice(a, point) for s, a in zip(slicers, arguments, strict=True)]
                results = plan.run(slices, parameters, prefix + inner)
                for writer, array, result in zip(writers, made, results, strict=True):
                    _assign(writer.slice(array, point), result, writer.wire)
            cells.update(zip(step.results, made, strict=True))

        return invoke

    def _callee_sizes(self, step: Invoke, slicers: Sequence[_Slicer]) -> Sizes:
        sizes = self._formulas.sizes
        known = {symbol: size.evaluate(sizes) for symbol, size in step.binding}
        shapes = [
            Shape(formal, slicer.shape(self._formulas.shape(slicer.wire)))
            for slicer, formal in zip(slicers, step.callee.parameters, strict=True)
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

    def slice(self, array: np.ndarray, point: Sequence[int]) -> np.ndarray:
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


def _parameter(parameters: Parameters, name: str, wire: Wire, shape: tuple[int, ...]) -> np.ndarray:
    array = parameters.get(name)
    if array is None:
        raise ValueError(f"the parameter `{name}` is missing")
    if array.shape != shape:
        raise SizeError(f"the parameter `{name}`: {wire.type} has shape {array.shape}, not {shape}")
    return array
