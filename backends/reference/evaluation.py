"""The entry for NumPy arrays: sizes off the shapes, leading batch axes, kinds of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import Wire

from .numbers import DTYPES
from .plan import Plan, Plans
from .solving import Shape, Sizes, solve
from .steps import Parameters

_ACCEPTED = {"real": "fiu", "natural": "iu", "integer": "iu", "boolean": "b", "complex": "cf"}
_NAMED = {"natural": "naturals", "boolean": "truth values", "complex": "complex numbers"}


def evaluate(
    diagram: CheckedDiagram,
    inputs: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    random: np.random.Generator | None = None,
) -> dict[str, np.ndarray]:
    """The results of a diagram by name, as float64, int64, bool or complex128.

    Inputs have the axes of the signature, in order, and may have further leading ones, which are
    aligned from the right and broadcast. Parameters go by their names in the file, those of an
    instance with its name before (`Lq.weight`). `sizes` gives sizes of axes by name that no array
    gives. Random operators draw from `random`, and those that keep state write into the float64
    arrays of `parameters`; without it they are in eval mode. Raises ValueError for sizes that
    contradict each other or break a requirement, for an index from an array that leaves its axis,
    for a natural that is not below its bound and for a reduction of nothing; TargetError for an
    `op` that nothing is registered for.
    """
    names = [wire.name for wire in diagram.parameters]
    if sorted(names) != sorted(inputs):
        given = ", ".join(f"`{name}`" for name in inputs) or "none"
        wanted = ", ".join(f"`{name}`" for name in names) or "none"
        raise ValueError(f"`{diagram.name}` takes the inputs {wanted}, not {given}")
    arrays = [inputs[name] for name in names]
    results = run(diagram, arrays, parameters or {}, sizes or {}, random)
    return dict(zip((wire.name for wire in diagram.results), results, strict=True))


def run(
    diagram: CheckedDiagram,
    inputs: Sequence[np.ndarray],
    parameters: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    random: np.random.Generator | None = None,
) -> tuple[np.ndarray, ...]:
    """As `evaluate`, with inputs and results in order."""
    arrays = [_converted(w, a) for w, a in zip(diagram.parameters, inputs, strict=True)]
    weights = {name: np.asarray(array) for name, array in parameters.items()}
    weights = {
        name: array.astype(np.float64, copy=False) if array.dtype.kind == "f" else array
        for name, array in weights.items()
    }
    shapes = [_own_shape(w, a) for w, a in zip(diagram.parameters, arrays, strict=True)]
    shapes += _learned_shapes(diagram, weights)
    known = solve(diagram, shapes, sizes)
    with np.errstate(all="ignore"):
        return _batched(Plans(random).plan(diagram, known), arrays, weights, known)


def _batched(
    plan: Plan, arrays: Sequence[np.ndarray], parameters: Parameters, sizes: Sizes
) -> tuple[np.ndarray, ...]:
    """One evaluation for each index of the leading axes."""
    diagram = plan.diagram
    ranks = [len(wire.type.axes) for wire in diagram.parameters]
    leading = [array.shape[: array.ndim - rank] for array, rank in zip(arrays, ranks, strict=True)]
    try:
        batch = np.broadcast_shapes(*leading)
    except ValueError:
        told = ", ".join(str(shape) for shape in leading)
        raise ValueError(f"the leading axes of the inputs do not broadcast: {told}") from None
    if batch and diagram.is_stateful:
        raise ValueError(f"`{diagram.name}` keeps state: its inputs have no further leading axes")
    spread = [
        np.broadcast_to(array, batch + array.shape[array.ndim - rank :])
        for array, rank in zip(arrays, ranks, strict=True)
    ]
    kinds = [DTYPES[wire.type.kind.name] for wire in diagram.results]
    shapes = [
        tuple(axis.size.evaluate(sizes) for axis in wire.type.axes) for wire in diagram.results
    ]
    results = [np.empty(batch + s, kind) for s, kind in zip(shapes, kinds, strict=True)]
    for point in np.ndindex(*batch):
        made = plan.run([array[point] for array in spread], parameters, "")
        for result, one in zip(results, made, strict=True):
            result[point] = one
    return tuple(results)


def _converted(wire: Wire, array: np.ndarray) -> np.ndarray:
    given = np.asarray(array)
    kind = wire.type.kind.name
    if given.dtype.kind not in _ACCEPTED[kind]:
        raise ValueError(
            f"`{wire.name}` takes {_NAMED.get(kind, 'real numbers')}, not an array of {given.dtype}"
        )
    return given.astype(DTYPES[kind])


def _own_shape(wire: Wire, array: np.ndarray) -> Shape:
    rank = len(wire.type.axes)
    if array.ndim < rank:
        raise ValueError(
            f"`{wire.name}: {wire.type}` needs {rank} axes, the array has {array.ndim}"
        )
    return Shape(wire, array.shape[array.ndim - rank :])


def _learned_shapes(diagram: CheckedDiagram, parameters: Parameters) -> Iterator[Shape]:
    """The shapes of the diagram's own raw parameters."""
    for learned in diagram.learned:
        array = parameters.get(learned.wire.name)
        if array is not None and array.ndim == len(learned.wire.type.axes):
            yield Shape(learned.wire, array.shape)
