"""What the operators that are declared by `op` compute, keyed by library and name.

An operator gets the slices that it sees, each with the axes of its formal type in order, and
gives one array for each result. Everything else of a diagram is evaluated from its equations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    CheckedDiagram,
    Contract,
    Define,
    Expression,
    Invoke,
    Reduce,
    Scatter,
    Select,
    walk,
)
from ncdlang.targets import TargetError


@dataclass(frozen=True, slots=True)
class Use:
    """What an operator is told: its settings, the shapes of its results, where chance comes from.

    `random` is None in eval mode. In training an operator that keeps state writes into its last
    input.
    """

    name: str
    settings: Mapping[str, float | int]
    shapes: tuple[tuple[int, ...], ...]
    random: np.random.Generator | None


Operator = Callable[[Use, Sequence[np.ndarray]], Sequence[np.ndarray]]


def register(library: str, name: str, operator: Operator) -> None:
    """Say what an `op` computes; `library` is "" for one that a user's own file declares."""
    _OPERATORS[library, name] = operator


def operator_of(diagram: CheckedDiagram) -> Operator:
    """What a primitive diagram computes. Raises TargetError where nothing is registered."""
    found = _OPERATORS.get((diagram.library, diagram.name))
    if found is None:
        raise TargetError(
            f"nothing says what `op {diagram.name}` computes: register it for the reference backend"
        )
    return found


def check_operators(diagram: CheckedDiagram) -> None:
    """Raise TargetError if a diagram uses a primitive that nothing is registered for."""
    seen: set[CheckedDiagram] = set()
    pending = [diagram]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current.primitive:
            operator_of(current)
        pending.extend(_callees(current))


def _callees(diagram: CheckedDiagram) -> Iterator[CheckedDiagram]:
    for step in walk(diagram.steps):
        match step:
            case Invoke():
                yield step.callee
            case Define():
                yield from _applied(step.expression)
            case Scatter():
                for write in step.writes:
                    yield from _applied(write.expression)


def _applied(expression: Expression) -> Iterator[CheckedDiagram]:
    match expression:
        case Apply() | ApplyDiagram():
            if isinstance(expression, ApplyDiagram):
                yield expression.callee
            parts = expression.arguments
        case Select():
            parts = (expression.condition, expression.then, expression.otherwise)
        case Contract():
            parts = expression.factors
        case Reduce():
            parts = (expression.body,)
        case _:
            parts = ()
    for part in parts:
        yield from _applied(part)


# ---- the standard library -----------------------------------------------------------------------


def _argsort(values: np.ndarray) -> np.ndarray:
    """Places in ascending order, equal values in the order of their places, NaN last."""
    return np.argsort(values, kind="stable")


def _sort(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    del use
    (values,) = inputs
    return (values[_argsort(values)],)


def _places(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    del use
    (values,) = inputs
    return (_argsort(values),)


def _top_k(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    (values,) = inputs
    (count,) = use.shapes[0]
    # Backwards twice: descending, with equal values still in the order of their places.
    largest = values.size - 1 - _argsort(values[::-1])[::-1][:count]
    return values[largest], largest


def _dropout(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    (values,) = inputs
    p = use.settings["p"]
    if not 0 <= p <= 1:
        raise ValueError(f"`{use.name}` takes a probability, not p = {p}")
    if use.random is None:
        return (values,)
    kept = use.random.random(values.shape) >= p
    return (np.where(kept, values / (1 - p) if p < 1 else 0.0, 0.0),)


def _detach(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    del use
    return inputs


def _running(use: Use, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    now, seen, average = inputs
    if use.random is None:
        return (average.copy(),)
    momentum = use.settings["momentum"]
    average[...] = (1 - momentum) * average + momentum * seen
    return (now,)


_OPERATORS: dict[tuple[str, str], Operator] = {
    ("std.prelude", "sort"): _sort,
    ("std.prelude", "argsort"): _places,
    ("std.prelude", "top_k"): _top_k,
    ("std.prelude", "detach"): _detach,
    ("std.nn", "dropout"): _dropout,
    ("std.nn", "running"): _running,
}
