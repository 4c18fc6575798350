"""Numbers that refute a symmetry: results before and after the inputs are moved along an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice, product
from math import prod

import numpy as np

from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    CheckedDiagram,
    Claim,
    Contract,
    Define,
    Expression,
    Invoke,
    Reduce,
    Scatter,
    Select,
    walk,
)
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis, Wire

from .evaluation import run
from .plan import Plans
from .solving import SizeError, Sizes, check_requirements, solve

_LARGEST = 40
_WORK = 30_000
_CHOICES = 200
_TRIED = 2
_TOLERANCE = 1e-6
_MOVED, _OTHERS = (4, 3, 5, 2, 8, 1), (2, 3, 1, 4, 6)

Arrays = Sequence[np.ndarray]
Move = Callable[[np.ndarray, Sequence[int]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Motion:
    """How inputs are moved, and what results have to be then; `told` says it in words."""

    inputs: Callable[[np.random.Generator], tuple[Arrays, Arrays]]
    before: Move
    after: Move
    told: str


def counterexample(claim: Claim) -> str | None:
    """Sizes and an entry at which the symmetry fails, in words; None where none was found."""
    diagram = claim.diagram
    moved = frozenset(claim.axes)
    if any(_is_ambiguous(wire, moved) for wire in (*diagram.parameters, *diagram.results)):
        return None
    for sizes in islice(_sizes(diagram, moved), _TRIED):
        for motion in _motions(claim, sizes):
            found = _failure(claim, sizes, motion)
            if found is not None:
                return found
    return None


def _is_ambiguous(wire: Wire, moved: frozenset[Axis]) -> bool:
    """Whether it is not plain how the group acts: on natural numbers, on part of an axis."""
    bound = wire.type.kind.bound
    own = {axis.size for axis in moved}
    parts = {atom for axis in wire.type.axes if axis.parts for atom in axis.atoms}
    return bound in own or any(axis not in wire.type.axes and axis in parts for axis in moved)


# ---- sizes --------------------------------------------------------------------------------------


def _sizes(diagram: CheckedDiagram, moved: frozenset[Axis]) -> Iterator[Sizes]:
    """Small sizes that the diagram allows and that make little work."""
    first = {symbol for axis in moved for symbol in axis.size.symbols()}
    choices = [_MOVED if symbol in first else _OTHERS for symbol in diagram.unknowns]
    for number, values in enumerate(product(*choices)):
        if number == _CHOICES:
            return
        sizes = dict(zip(diagram.unknowns, values, strict=True))
        try:
            check_requirements(diagram, sizes)
            extents = {axis.size.evaluate(sizes) for axis in moved}
            plans = Plans()
            plans.plan(diagram, sizes)
        except (SizeError, ZeroDivisionError, RecursionError):
            continue
        if len(extents) == 1 and max(extents) > 1 and _work(plans) <= _WORK:
            yield sizes


def _work(plans: Plans) -> int:
    """About how many numbers are evaluated."""
    own = calls = 1
    for diagram, sizes in plans.known():
        for wire in (*diagram.parameters, *(learned.wire for learned in diagram.learned)):
            own += _count(wire.type.axes, sizes)
        for step in walk(diagram.steps):
            match step:
                case Define():
                    own += _count((*step.wire.type.axes, *_bound(step.expression)), sizes)
                case Scatter():
                    own += _count(step.wire.type.axes, sizes)
                    for write in step.writes:
                        own += _count((*write.axes, *_bound(write.expression)), sizes)
                case Invoke():
                    own += sum(_count(wire.type.axes, sizes) for wire in step.results)
                    calls += _count(step.lifted, sizes)
    return own * calls


def _count(axes: Sequence[Axis], sizes: Sizes) -> int:
    return prod(max(axis.size.evaluate(sizes), 1) for axis in axes)


def _bound(value: Expression) -> Iterator[Axis]:
    match value:
        case Contract() | Reduce():
            yield from value.bound
            inner = value.factors if isinstance(value, Contract) else (value.body,)
        case Apply() | ApplyDiagram():
            inner = value.arguments
        case Select():
            inner = (value.condition, value.then, value.otherwise)
        case _:
            inner = ()
    for each in inner:
        yield from _bound(each)


# ---- moving -------------------------------------------------------------------------------------


def _motions(claim: Claim, sizes: Sizes) -> Iterator[Motion]:
    size = claim.axes[0].size.evaluate(sizes)
    name = claim.name
    if claim.group == "ordered":
        yield _shift(claim, sizes)
        return
    turned = [*range(1, size), 0]
    if claim.group == "set" and size > 2:
        swapped = [1, 0, *range(2, size)]
        yield _permutation(claim, sizes, swapped, f"{name} = 0 and {name} = 1 are exchanged")
    yield _permutation(claim, sizes, turned, f"every entry moves one place back along {name}")


def _permutation(claim: Claim, sizes: Sizes, places: list[int], told: str) -> Motion:
    def move(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        for axis in axes:
            array = array.take(places, axis)
        return array

    def inputs(random: np.random.Generator) -> tuple[Arrays, Arrays]:
        wires = claim.diagram.parameters
        arrays = [_random(wire, sizes, random) for wire in wires]
        moved = [move(a, _places(w, claim.axes)) for w, a in zip(wires, arrays, strict=True)]
        return arrays, moved

    return Motion(inputs, move, lambda array, _: array, told)


def _shift(claim: Claim, sizes: Sizes) -> Motion:
    """Two stretches of a long array, the second one entry further on; borders are left out."""

    def cut(array: np.ndarray, axes: Sequence[int], start: int, cut_off: int) -> np.ndarray:
        at = [slice(None)] * array.ndim
        for axis in axes:
            at[axis] = slice(start, array.shape[axis] - cut_off)
        return array[tuple(at)]

    def inputs(random: np.random.Generator) -> tuple[Arrays, Arrays]:
        here: list[np.ndarray] = []
        there: list[np.ndarray] = []
        for wire in claim.diagram.parameters:
            axes = _places(wire, claim.axes)
            long = _random(wire, sizes, random, axes)
            here.append(cut(long, axes, 0, 1))
            there.append(cut(long, axes, 1, 0))
        return here, there

    told = f"every entry moves from {claim.name} to {claim.name} - 1"
    return Motion(
        inputs, lambda a, axes: cut(a, axes, 1, 0), lambda a, axes: cut(a, axes, 0, 1), told
    )


def _places(wire: Wire, axes: Sequence[Axis]) -> list[int]:
    return [place for place, axis in enumerate(wire.type.axes) if axis in axes]


def _random(
    wire: Wire, sizes: Sizes, random: np.random.Generator, longer: Sequence[int] = ()
) -> np.ndarray:
    shape = [axis.size.evaluate(sizes) for axis in wire.type.axes]
    shape = [size + (place in longer) for place, size in enumerate(shape)]
    kind = wire.type.kind
    match kind.name:
        case "natural" | "integer":
            top = kind.bound.evaluate(sizes) if kind.bound is not None else 3
            return random.integers(0, max(top, 1), shape)
        case "boolean":
            return random.random(shape) < 0.5
        case "complex":
            return random.normal(size=shape) + 1j * random.normal(size=shape)
        case _:
            return random.uniform(0.2, 1.5, shape)


def _parameters(
    diagram: CheckedDiagram, sizes: Sizes, random: np.random.Generator, prefix: str = ""
) -> Iterator[tuple[str, np.ndarray]]:
    for learned in diagram.learned:
        yield f"{prefix}{learned.wire.name}", _random(learned.wire, sizes, random)
    for instance in diagram.instances:
        inner = {symbol: size.evaluate(sizes) for symbol, size in instance.binding}
        inner = solve(instance.callee, (), {}, inner)
        yield from _parameters(instance.callee, inner, random, f"{prefix}{instance.name}.")


# ---- comparing ----------------------------------------------------------------------------------


def _failure(claim: Claim, sizes: Sizes, motion: Motion) -> str | None:
    """Where the results are not what they have to be, however the group might act on them."""
    diagram = claim.diagram
    random = np.random.default_rng(0)
    try:
        weights = dict(_parameters(diagram, sizes, random))
        here, there = motion.inputs(random)
        given = _given(diagram, sizes)
        before, after = run(diagram, here, weights, given), run(diagram, there, weights, given)
    except (ValueError, ArithmeticError, LookupError, RecursionError):
        return None
    for wire, old, new in zip(diagram.results, before, after, strict=True):
        own = tuple(_places(wire, claim.axes)) if claim.word == "equivariant" else ()
        alike = [p for p, a in enumerate(wire.type.axes) if _may_move(a.size, claim, sizes)]
        further = _subsets([place for place in alike if place not in own])
        choices = [(*own, *more) for more in further] if claim.word == "equivariant" else [own]
        pairs = {axes: (motion.before(old, axes), motion.after(new, axes)) for axes in choices}
        if any(_is_close(wanted, found) for wanted, found in pairs.values()):
            continue
        return _told(wire, sizes, motion, *pairs[choices[0]])
    return None


def _given(diagram: CheckedDiagram, sizes: Sizes) -> Mapping[str, int]:
    return {symbol.name: sizes[symbol] for symbol in diagram.unknowns}


def _may_move(size: Size, claim: Claim, sizes: Sizes) -> bool:
    own = [axis.size for axis in claim.axes]
    if claim.group == "ordered":
        return any(size.symbols() & each.symbols() or size == each for each in own)
    return any(size.evaluate(sizes) == each.evaluate(sizes) for each in own)


def _subsets(places: Sequence[int]) -> list[tuple[int, ...]]:
    counts = range(len(places) + 1)
    return list(chain.from_iterable(combinations(places, count) for count in counts))


def _is_close(wanted: np.ndarray, found: np.ndarray) -> bool:
    return np.allclose(wanted, found, _TOLERANCE, _TOLERANCE, equal_nan=True)


def _told(wire: Wire, sizes: Sizes, motion: Motion, wanted: np.ndarray, found: np.ndarray) -> str:
    """`with size(x) = 4: when x = 0 and x = 1 are exchanged, Y[0, 1] becomes 0.5, not 0.25`."""
    same = np.isclose(wanted, found, _TOLERANCE, _TOLERANCE, equal_nan=True)
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    name = "the result" if wire.name.startswith("_") else f"`{wire.name}`"
    at = ", ".join(f"{axis} = {i}" for axis, i in zip(wire.type.axes, place, strict=True))
    chosen = ", ".join(f"size({symbol.name}) = {size}" for symbol, size in sizes.items())
    inputs = f"with {chosen} and random inputs" if chosen else "with random inputs"
    where = f" at {at}" if at else ""
    return (
        f"{inputs}: when {motion.told}, {name}{where} is {_number(found[place])}, "
        f"but must be {_number(wanted[place])}"
    )


def _number(value: np.generic) -> str:
    item = value.item()
    return f"{item:.4g}" if isinstance(item, (float, complex)) else str(item)
