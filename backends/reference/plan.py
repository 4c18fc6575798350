"""A checked diagram at known sizes, made ready to be evaluated step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

import numpy as np

from ncdlang.semantics.program import (
    BlockStep,
    CheckedDiagram,
    Define,
    Invoke,
    Recurrence,
    Scatter,
    Step,
)
from ncdlang.semantics.types import Wire

from .calls import Call
from .expressions import Cells, Formulas
from .formats import nearest
from .numbers import DTYPES, Number
from .operators import Use, operator_of
from .solving import SizeError, Sizes, check_requirements, missing
from .steps import Equation, Parameters, Part, Run, recurrence, scatter, whole

Action = Callable[[Run], None]


class Plans:
    """Makes the plan of a diagram once for each choice of its sizes.

    `random` is where random operators draw from; without it all operators are in eval mode.
    """

    def __init__(self, random: np.random.Generator | None = None) -> None:
        self.random = random
        self._plans: dict[tuple[CheckedDiagram, frozenset[tuple[object, int]]], Plan] = {}

    def plan(self, diagram: CheckedDiagram, sizes: Sizes) -> Plan:
        """The plan of a diagram at these sizes. Raises SizeError for sizes that it forbids."""
        key = (diagram, frozenset(sizes.items()))
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = Plan(diagram, sizes, self)
        return found

    def known(self) -> Iterator[tuple[CheckedDiagram, Sizes]]:
        """The diagrams that there are plans of, with their sizes."""
        for plan in self._plans.values():
            yield plan.diagram, plan.sizes


class Plan:
    """The steps of one diagram as closures over its arrays."""

    def __init__(self, diagram: CheckedDiagram, sizes: Sizes, plans: Plans) -> None:
        unknown = missing(sizes, diagram.unknowns)
        if unknown:
            raise SizeError(f"{unknown} of `{diagram.name}` is not known: no input gives it")
        check_requirements(diagram, sizes)
        self.diagram = diagram
        self.sizes = sizes
        self._plans = plans
        self._cells: Cells = {}
        self._formulas = Formulas(sizes, self._cells, self._scalar, plans.random is not None)
        self._steps = (
            [self._operator()] if diagram.primitive else list(self._actions(diagram.steps))
        )

    def run(
        self, inputs: Sequence[np.ndarray], parameters: Parameters, prefix: str
    ) -> tuple[np.ndarray, ...]:
        """The results. Inputs have exactly the axes of the signature.

        The diagram's own parameters are those whose names begin with `prefix`.
        """
        cells = self._cells
        cells.clear()
        self._formulas.drawn.clear()
        for wire, array in zip(self.diagram.parameters, inputs, strict=True):
            cells[wire] = nearest(array, wire.type.kind)
        for learned in self.diagram.learned:
            wire = learned.wire
            array = _parameter(parameters, f"{prefix}{wire.name}", wire, self._formulas.shape(wire))
            cells[wire] = nearest(array, wire.type.kind)
        for step in self._steps:
            step(Run(cells, parameters, prefix))
        return tuple(cells[wire][...] for wire in self.diagram.results)

    def _scalar(self, callee: CheckedDiagram) -> Callable[[Sequence[Number]], Number]:
        plan = self._plans.plan(callee, {})

        def function(arguments: Sequence[Number]) -> Number:
            return plan.run([np.asarray(argument) for argument in arguments], {}, "")[0][()]

        return function

    def _actions(self, steps: Sequence[Step]) -> Iterator[Action]:
        formulas = self._formulas
        for step in steps:
            match step:
                case BlockStep():
                    yield from self._actions(step.steps)
                case Define() | Invoke():
                    yield whole(self._part(step), formulas)
                case Scatter():
                    yield scatter(formulas, step)
                case Recurrence():
                    parts = [self._part(inner) for inner in step.steps]
                    yield recurrence(formulas, step.axis, step.reverse, parts)
                case _:
                    assert_never(step)

    def _part(self, step: Define | Invoke) -> Part:
        if isinstance(step, Define):
            return Equation(self._formulas, step)
        return Call(self._formulas, step, self._plans)

    def _operator(self) -> Action:
        """The one step of a primitive diagram: what is registered for it."""
        diagram, formulas = self.diagram, self._formulas
        operator = operator_of(diagram)
        shapes = tuple(formulas.shape(wire) for wire in diagram.results)
        use = Use(diagram.name, dict(diagram.settings), shapes, self._plans.random)

        def operate(run: Run) -> None:
            made = operator(use, [run.cells[wire][...] for wire in diagram.parameters])
            for wire, shape, array in zip(diagram.results, shapes, made, strict=True):
                if array.shape != shape:
                    raise RuntimeError(
                        f"`op {diagram.name}` gave an array of {array.shape}, not {shape}"
                    )
                converted = array.astype(DTYPES[wire.type.kind.name])
                run.cells[wire] = nearest(converted, wire.type.kind)

        return operate


def _parameter(parameters: Parameters, name: str, wire: Wire, shape: tuple[int, ...]) -> np.ndarray:
    array = parameters.get(name)
    if array is None:
        raise ValueError(f"the parameter `{name}` is missing")
    if array.shape != shape:
        raise SizeError(f"the parameter `{name}`: {wire.type} has shape {array.shape}, not {shape}")
    return array
