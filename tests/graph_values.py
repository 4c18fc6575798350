"""Evaluates a graph in float64 by the definition of a broadcasted operation (WWM, Def. 13).

It is no backend: it is how the tests know that a rewritten graph means what it did. Calls are
opened as they stand, with the axes that they are lifted over as a batch in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np
from ncdlang.backends.reference.numbers import DTYPES, argument_kind, operation, reduction
from ncdlang.backends.reference.operators import Use, operator_of
from ncdlang.backends.reference.solving import Shape, solve

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
    Result,
    Scan,
    Scattering,
)
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, IndexVariable, Mod, Wire

Array = np.ndarray
COMBINE = {"+=": "add", "*=": "mul", "max=": "max", "min=": "min"}


def graph_values(
    graph: Graph,
    inputs: Sequence[Array],
    parameters: Mapping[str, Array] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Array, ...]:
    """The results of a graph on arrays with exactly the axes of its signature, in eval mode."""
    weights = dict(parameters or {})
    shapes = [Shape(w, a.shape) for w, a in zip(graph.inputs, inputs, strict=True)]
    shapes += [Shape(p.wire, weights[p.wire.name].shape) for p in graph.learned]
    known = solve(graph.diagram, shapes, sizes or {})
    with np.errstate(all="ignore"):
        values = Values(known, 1, weights, "", {})
        batched = [np.asarray(a)[None] for a in inputs]
        return tuple(a[0] for a in values.run(graph, batched))


@dataclass
class Values:
    """One evaluation at known sizes: every array has the batch as its first axis."""

    sizes: Mapping[Symbol, int]
    batch: int
    parameters: Mapping[str, Array]
    prefix: str
    graphs: dict[CheckedDiagram, Graph]
    arrays: dict[Wire, Array] = field(default_factory=dict)
    ranges: dict[Axis, Array] = field(default_factory=dict)

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        for wire, array in zip(graph.inputs, inputs, strict=True):
            self.arrays[wire] = array.astype(DTYPES[wire.type.kind.name])
        for learned in graph.learned:
            array = np.asarray(self.parameters[self.prefix + learned.wire.name])
            assert array.shape == self.shape(learned.wire)
            self.arrays[learned.wire] = np.broadcast_to(array[None], (self.batch, *array.shape))
        for edge in graph.edges:
            self.edge(edge)
        return [self.arrays[wire] for wire in graph.outputs]

    # ---- axes and places -----------------------------------------------------------------------

    def extent(self, axis: Axis) -> int:
        return axis.size.evaluate(self.sizes)

    def shape(self, wire: Wire) -> tuple[int, ...]:
        return tuple(self.extent(axis) for axis in wire.type.axes)

    def range(self, axis: Axis) -> Array:
        return self.ranges.get(axis, np.arange(self.extent(axis)))

    def index(self, axis: Axis, degree: Sequence[Axis]) -> Array:
        """The index along an axis, for every index of the batch and the degree."""
        if axis not in degree:
            total = np.zeros((1,) * (len(degree) + 1), np.int64)
            assert axis.parts, f"{axis} is no axis of the degree"
            for part in axis.parts:
                total = total * self.extent(part) + self.index(part, degree)
            return total
        shape = [1] * (len(degree) + 1)
        shape[1 + list(degree).index(axis)] = -1
        return self.range(axis).reshape(shape)

    def place(self, place: Affine, degree: Sequence[Axis]) -> Array:
        total = np.full((1,) * (len(degree) + 1), place.constant.evaluate(self.sizes))
        for variable, coefficient in place.terms:
            total = total + coefficient.evaluate(self.sizes) * self.variable(variable, degree)
        return total

    def variable(self, variable: IndexVariable, degree: Sequence[Axis]) -> Array:
        match variable:
            case Axis():
                return self.index(variable, degree)
            case Floor():
                return self.place(variable.numerator, degree) // variable.divisor
            case Mod():
                return self.place(variable.numerator, degree) % variable.divisor
            case Gathered():
                return self.at(variable.wire, variable.indices, degree, True)

    def at(
        self, wire: Wire, places: Sequence[Affine], degree: Sequence[Axis], guarded: bool
    ) -> Array:
        """A wire, all tiled, at places for every index of the degree."""
        array = self.arrays[wire]
        found = [
            self.checked(array.shape[1 + i], self.place(p, degree), guarded)
            for i, p in enumerate(places)
        ]
        batch = np.arange(array.shape[0]).reshape([-1] + [1] * len(degree))
        if array.size == 0:
            whole = (self.batch, *(len(self.range(a)) for a in degree))
            return np.zeros(whole, array.dtype)
        return array[(batch, *found)]

    def checked(self, extent: int, place: Array, guarded: bool) -> Array:
        if guarded:
            return np.clip(place, 0, max(extent - 1, 0))
        if place.size and (place.min() < 0 or place.max() >= extent):
            raise ValueError(f"an index reaches {place.min()} .. {place.max()} of {extent}")
        return place

    def operand(self, operand: Operand, degree: Sequence[Axis], guarded: bool = False) -> Array:
        """The slices of an operand: batch, degree, then the targets in the wire's order."""
        array = self.arrays[operand.wire]
        tiled = [1 + i for i, target in enumerate(operand.weave) if not target]
        targets = [1 + i for i, target in enumerate(operand.weave) if target]
        array = array.transpose(0, *tiled, *targets)
        places = [
            self.checked(array.shape[1 + i], self.place(p, degree), guarded)
            for i, p in enumerate(operand.reindexing)
        ]
        whole = (self.batch, *(len(self.range(a)) for a in degree))
        if 0 in whole or (array.size == 0 and tiled):
            return np.zeros((*whole, *array.shape[1 + len(tiled) :]), array.dtype)
        batch = np.arange(array.shape[0]).reshape([-1] + [1] * len(degree))
        slices = array[(batch, *places)]
        return np.broadcast_to(slices, (*whole, *array.shape[1 + len(tiled) :]))

    # ---- operations ----------------------------------------------------------------------------

    def edge(self, edge: Edge) -> None:
        match edge.operator:
            case Scan():
                self.scan(edge.operator)
            case Library():
                self.library(edge, edge.operator)
            case Scattering():
                self.scatter(edge, edge.operator)
            case _:
                degree = [atom for axis in edge.degree for atom in axis.atoms]
                self.give(edge.outputs[0], self.value(edge, degree), degree)

    def give(self, result: Result, value: Array, degree: Sequence[Axis]) -> None:
        """Keep an output, given with the batch, the degree and its targets in order."""
        axes = [
            (axis, is_target)
            for axis, is_target in zip(result.wire.type.axes, result.weave, strict=True)
        ]
        order: list[int] = [0]
        fixed: dict[int, Array] = {}
        target = 1 + len(degree)
        for position, (axis, is_target) in enumerate(axes):
            if is_target:
                order.append(target)
                target += 1
                continue
            order += [1 + list(degree).index(atom) for atom in axis.atoms]
            known = [self.ranges[a] for a in axis.atoms if a in self.ranges]
            if known:
                assert len(axis.atoms) == 1
                fixed[1 + position] = known[0]
        kind = DTYPES[result.wire.type.kind.name]
        value = value.transpose(order)
        shape = (self.batch, *self.shape(result.wire))
        if not fixed:
            self.arrays[result.wire] = value.reshape(shape).astype(kind)
            return
        held = self.arrays.setdefault(result.wire, np.zeros(shape, kind))
        if not held.flags.writeable:
            held = self.arrays[result.wire] = held.copy()
        at = tuple(fixed[i][0] if i in fixed else slice(None) for i in range(held.ndim))
        small = value.squeeze(tuple(fixed)) if not any(a.parts for a, _ in axes) else value
        held[at] = small.reshape(held[at].shape)

    def value(self, edge: Edge, degree: list[Axis]) -> Array:
        operator, wire = edge.operator, edge.outputs[0].wire
        shape = (self.batch, *(len(self.range(a)) for a in degree))
        match operator:
            case Number():
                value = operator.value
                number = value.evaluate(self.sizes) if isinstance(value, Size) else value
                return np.full(shape, number)
            case Iota():
                (axis,) = edge.degree
                return np.broadcast_to(self.index(axis, degree), shape)
            case Reindex():
                return self.operand(edge.inputs[0], degree, operator.guarded)
            case Pointwise():
                return self.pointwise(operator, edge, degree)
            case Contraction():
                return self.contraction(operator, edge, degree)
            case Reduction():
                return self.reduction(operator, edge, degree)
            case _:
                raise AssertionError(operator)
        del wire

    def pointwise(self, operator: Pointwise, edge: Edge, degree: list[Axis]) -> Array:
        values = [self.operand(operand, degree) for operand in edge.inputs]
        kind = edge.outputs[0].wire.type.kind
        if operator.name == "select":
            return np.where(values[0], values[1], values[2])
        if operator.name == "cast":
            return values[0]
        kinds = [operand.wire.type.kind for operand in edge.inputs]
        if operator.name in ("and", "or", "not"):
            return {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}[
                operator.name
            ](*values)
        common = argument_kind(operator.name, kinds, kind)
        apply = operation(operator.name, common)
        values = [value.astype(DTYPES[common]) for value in values]
        if operator.name in ("max", "min") and common in ("natural", "integer"):
            return (np.maximum if operator.name == "max" else np.minimum)(*values)
        if operator.name == "erf" or common in ("natural", "integer"):
            return np.vectorize(apply, otypes=[DTYPES[kind.name]])(*values)
        return apply(*values)

    def contraction(self, operator: Contraction, edge: Edge, degree: list[Axis]) -> Array:
        axes = list(operator.axes)
        kind = DTYPES[edge.outputs[0].wire.type.kind.name]
        labels = list(range(1 + len(degree)))
        arguments: list[Any] = []
        for operand in edge.inputs:
            own = [axes.index(axis) for axis in targets_of(operand)]
            arguments += [
                self.operand(operand, degree).astype(kind),
                [*labels, *(1 + len(degree) + k for k in own)],
            ]
        read = {axis for operand in edge.inputs for axis in targets_of(operand)}
        total = np.einsum(*arguments, labels)
        return total * prod(self.extent(axis) for axis in axes if axis not in read)

    def reduction(self, operator: Reduction, edge: Edge, degree: list[Axis]) -> Array:
        (operand,) = edge.inputs
        value = self.operand(operand, degree)
        own = list(targets_of(operand))
        lead = 1 + len(degree)
        order = [*range(lead), *(lead + own.index(axis) for axis in operator.axes)]
        value = value.transpose(order)
        flat = value.reshape(*value.shape[:lead], -1)
        kind = operand.wire.type.kind
        if operator.name in ("sum", "prod", "mean"):
            if operator.name == "mean" and not flat.shape[-1]:
                raise ValueError("mean of nothing")
            wanted = DTYPES[edge.outputs[0].wire.type.kind.name]
            return getattr(np, operator.name)(flat.astype(wanted), axis=-1)
        reduce = reduction(operator.name, kind, operator.initial)
        rows = flat.reshape(prod(flat.shape[:lead]), flat.shape[-1])
        found = [reduce(iter(list(row))) for row in rows]
        dtype = DTYPES[edge.outputs[0].wire.type.kind.name]
        return np.array(found, dtype).reshape(flat.shape[:lead])

    # ---- scatters, scans, calls ----------------------------------------------------------------

    def scatter(self, edge: Edge, operator: Scattering) -> None:
        degree = [atom for axis in edge.degree for atom in axis.atoms]
        wire = edge.outputs[0].wire
        kind = wire.type.kind
        source = self.operand(edge.inputs[0], degree)
        if operator.is_first:
            start: Any = {"*=": 1, "max=": -np.inf, "min=": np.inf}.get(operator.op, 0)
            if kind.name != "real" and operator.op in ("max=", "min="):
                bound = kind.bound.evaluate(self.sizes) if kind.bound is not None else 1
                start = max(bound - 1, 0) if operator.op == "min=" else 0
            into = np.full((self.batch, *self.shape(wire)), start, DTYPES[kind.name])
        else:
            into = self.arrays[edge.inputs[1].wire].copy()
        places = [np.broadcast_to(self.place(p, degree), source.shape) for p in operator.indices]
        combine = COMBINE.get(operator.op)
        apply = operation(combine, kind.name) if combine else lambda _, new: new
        for at in product(*map(range, source.shape)):
            entry = (at[0], *(place[at] for place in places))
            assert all(e >= 0 for e in entry)
            into[entry] = apply(into[entry], source[at])
        self.arrays[wire] = into

    def scan(self, scan: Scan) -> None:
        assert not scan.axis.parts, "scans along flattened axes are not evaluated here"
        positions = range(self.extent(scan.axis))
        made = [result.wire for edge in scan.edges for result in edge.outputs]
        for wire in made:
            shape = (self.batch, *self.shape(wire))
            self.arrays[wire] = np.zeros(shape, DTYPES[wire.type.kind.name])
        for position in reversed(positions) if scan.reverse else positions:
            self.ranges[scan.axis] = np.array([position])
            for edge in scan.edges:
                self.edge(edge)
        self.ranges.pop(scan.axis, None)

    def library(self, edge: Edge, operator: Library) -> None:
        callee = operator.callee
        degree = [atom for axis in edge.degree for atom in axis.atoms]
        lead = [self.batch, *(len(self.range(axis)) for axis in degree)]
        inputs: list[Array] = []
        for operand, targets, formal in zip(
            edge.inputs, operator.input_targets, callee.parameters, strict=True
        ):
            value = self.operand(operand, degree)
            order = [len(lead) + targets.index(axis) for axis in formal.type.axes]
            value = value.transpose([*range(len(lead)), *order])
            inputs.append(value.reshape(prod(lead), *value.shape[len(lead) :]))
        known = {symbol: size.evaluate(self.sizes) for symbol, size in operator.binding}
        shapes = [Shape(w, a.shape[1:]) for w, a in zip(callee.parameters, inputs, strict=True)]
        known = solve(callee, shapes, {}, known)
        if callee.primitive:
            results = self.primitive(callee, inputs, known)
        else:
            inner = f"{operator.instance.name}." if operator.instance is not None else ""
            values = Values(known, prod(lead), self.parameters, self.prefix + inner, self.graphs)
            if callee not in self.graphs:
                self.graphs[callee] = lower(callee)
            results = values.run(self.graphs[callee], inputs)
        for result, targets, formal, value in zip(
            edge.outputs, operator.output_targets, callee.results, results, strict=True
        ):
            order = [1 + formal.type.axes.index(axis) for axis in targets]
            value = value.transpose([0, *order])
            self.give(result, value.reshape(*lead, *value.shape[1:]), degree)

    def primitive(
        self, callee: CheckedDiagram, inputs: Sequence[Array], sizes: Mapping[Symbol, int]
    ) -> list[Array]:
        shapes = tuple(
            tuple(a.size.evaluate(sizes) for a in wire.type.axes) for wire in callee.results
        )
        use = Use(callee.name, dict(callee.settings), shapes, None)
        apply = operator_of(callee)
        rows = [apply(use, [array[i] for array in inputs]) for i in range(inputs[0].shape[0])]
        return [np.stack([np.asarray(row[j]) for row in rows]) for j in range(len(shapes))]


def targets_of(operand: Operand) -> tuple[Axis, ...]:
    """The axes of an operand that its operator sees, in the order of the wire."""
    pairs = zip(operand.wire.type.axes, operand.weave, strict=True)
    return tuple(axis for axis, is_target in pairs if is_target)
