"""Do two index tuples have the same image? Injective index maps and disjoint writes.

Gathered naturals may hold anything below their bound: two different places of one array are two
free values, the same place is the same value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from ncdlang.semantics.bounds import contradictory
from ncdlang.semantics.facts import NO_FACTS, Collision, Facts, Unknown, giving_up
from ncdlang.semantics.formulas import (
    All,
    AtLeastZero,
    Formula,
    Some,
    Variables,
    Zero,
    defined,
    extent,
    known,
    relation,
    rewrite,
    split_axes,
    symbols_of,
)
from ncdlang.semantics.positivity import System, is_positive_form
from ncdlang.semantics.search import small_sizes
from ncdlang.semantics.size import ONE, ZERO, Size, Symbol, constant
from ncdlang.semantics.types import Affine, Axis, Gathered, Wire
from ncdlang.semantics.uniqueness import looked_up

_SEARCHED = 100
_ENUMERATED = 256
_SECOND = -100_000
NO_TABLES: Mapping[Wire, int] = {}


@giving_up(Unknown())
def find_collision(
    indices: Sequence[Affine],
    axes: Sequence[Axis],
    facts: Facts = NO_FACTS,
    unique: Mapping[Wire, int] = NO_TABLES,
) -> Collision | Unknown | None:
    """Two different index tuples over `axes` that `indices` send to the same place.

    Along the axes of `unique` a wire holds nothing twice. None if the map is proved injective at
    all sizes that satisfy the facts.
    """
    if determined_axes(indices, axes, facts, unique).issuperset(axes):
        return None
    first, second = _Side(indices, axes, ""), _Side(indices, axes, "'", _SECOND)
    found = _tried(first, facts)
    if found is not None:
        return found
    earlier = _lexicographically_less(first.places, second.places)
    return _meeting(first, second, (earlier, *_differing(first, second, unique)), facts)


@giving_up(Unknown())
def disjoint(
    indices_a: Sequence[Affine],
    axes_a: Sequence[Axis],
    indices_b: Sequence[Affine],
    axes_b: Sequence[Axis],
    facts: Facts = NO_FACTS,
) -> Collision | Unknown | None:
    """A place that both maps reach; None if their images are proved disjoint at all sizes."""
    first, second = _Side(indices_a, axes_a, ""), _Side(indices_b, axes_b, "'", _SECOND)
    asked = (*first.box, *second.box, *first.positions_hold, *second.positions_hold)
    system = System(defined((*asked, *known(facts, asked))))
    for left, right in zip(first.image, second.image, strict=True):
        if system.proves(left - right - 1) or system.proves(right - left - 1):
            return None
    return _meeting(first, second, (), facts)


class _Side:
    """One index map with its variables as symbols."""

    def __init__(
        self, indices: Sequence[Affine], axes: Sequence[Axis], tag: str, start: int = 0
    ) -> None:
        inner = [axis for index in indices for axis in index.axes()]
        self.variables = Variables(tag, start, split_axes([*axes, *inner]))
        self.axes = tuple(axes)
        self.places = tuple(self.variables.axis(axis) for axis in axes)
        self.image = tuple(self.variables.polynomial(index) for index in indices)
        self.sources = {
            variable: tuple(self.variables.polynomial(index) for index in variable.indices)
            for variable in tuple(self.variables.symbols)
            if isinstance(variable, Gathered)
        }
        self.box = self.variables.box()

    @property
    def positions_hold(self) -> tuple[Formula, ...]:
        """Trivial formulas that mention all unknowns of the image."""
        return tuple(Some((AtLeastZero(size), AtLeastZero(-size))) for size in self.image)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of the index variables."""
        return tuple(self.variables.symbols.values())

    def at(self, point: dict[Symbol, int]) -> tuple[tuple[Axis, int], ...]:
        """The index along each axis at a point."""
        places = zip(self.axes, self.places, strict=True)
        return tuple((axis, place.evaluate(point)) for axis, place in places)


# ---- injectivity without a solver -------------------------------------------------------------


@giving_up(frozenset[Axis]())
def determined_axes(
    indices: Sequence[Affine],
    axes: Sequence[Axis],
    facts: Facts = NO_FACTS,
    unique: Mapping[Wire, int] = NO_TABLES,
) -> frozenset[Axis]:
    """The axes that can be read off the image: different places along them never meet.

    They are found coordinate by coordinate (mixed radix, in which a natural below its bound is a
    digit like any other), then where a coordinate is read from a wire that holds nothing twice
    along an axis (`unique`, see `uniqueness`).
    """
    side = _Side([index for index in indices if _has_digits(index)], axes, "")
    asked = (*side.box, *side.positions_hold)
    system = System(defined((*asked, *known(facts, asked))))
    bounds = {symbol: extent(variable) for variable, symbol in side.variables.symbols.items()}
    extents = {symbol: size for symbol, size in bounds.items() if size is not None}
    missing = {symbol for symbol, size in extents.items() if not system.proves(ONE - size)}
    progress = True
    while missing and progress:
        progress = False
        for position in side.image:
            steps = _steps(position, missing)
            if steps and _is_mixed_radix(steps, extents, system, ZERO):
                missing -= {symbol for symbol, _ in steps}
                progress = True
    lacking = {v for v, symbol in side.variables.symbols.items() if symbol in missing}
    found = frozenset(axis for axis in axes if lacking.isdisjoint(axis.atoms))
    while not found.issuperset(more := looked_up(indices, found, unique)):
        found |= more
    return found


def _has_digits(index: Affine) -> bool:
    """Whether all that it varies with is an axis or a natural with a bound."""
    return all(
        isinstance(variable, (Axis, Gathered)) and extent(variable) is not None
        for variable, _ in index.terms
    )


def _steps(position: Size, missing: set[Symbol]) -> list[tuple[Symbol, Size]] | None:
    """The undetermined variables of a coordinate with the absolute value of their strides."""
    steps: list[tuple[Symbol, Size]] = []
    for symbol in sorted(missing & position.symbols()):
        stride = position.substitute({symbol: ONE}) - position.substitute({symbol: ZERO})
        if is_positive_form(-stride):
            stride = -stride
        if not is_positive_form(stride) or missing & stride.symbols():
            return None
        steps.append((symbol, stride))
    return steps


def _is_mixed_radix(
    steps: Sequence[tuple[Symbol, Size]], extents: dict[Symbol, Size], system: System, span: Size
) -> bool:
    """Whether, in some order, every stride is larger than all that smaller ones reach."""
    if not steps:
        return True
    for position, (symbol, stride) in enumerate(steps):
        if system.proves(stride - 1 - span):
            others = [*steps[:position], *steps[position + 1 :]]
            reach = span + stride * (extents[symbol] - 1)
            if _is_mixed_radix(others, extents, system, reach):
                return True
    return False


def _tried(side: _Side, facts: Facts) -> Collision | None:
    """A collision at small sizes, found by going through all indices."""
    if side.sources:
        return None
    asked = (*side.box, *side.positions_hold)
    conditions = defined((*asked, *known(facts, asked)))
    sizes = tuple(s for s in symbols_of(conditions) if s not in set(side.symbols))
    alone = [f for f in conditions if set(side.symbols).isdisjoint(symbols_of((f,)))]
    extents = [axis.size for axis in side.variables.symbols if isinstance(axis, Axis)]
    nonempty = [AtLeastZero(size - 1) for size in extents]
    for values in small_sizes(sizes, (*alone, *nonempty), _SEARCHED):
        limits = [size.evaluate(values) for size in extents]
        if prod(limits) <= _ENUMERATED:
            found = _repeated(side, values, limits)
            if found is not None:
                return found
    return None


def _repeated(side: _Side, sizes: dict[Symbol, int], limits: Sequence[int]) -> Collision | None:
    seen: dict[tuple[int, ...], dict[Symbol, int]] = {}
    for index in product(*map(range, limits)):
        point = sizes | dict(zip(side.symbols, index, strict=True))
        image = tuple(position.evaluate(point) for position in side.image)
        if image in seen:
            return Collision(tuple(sizes.items()), side.at(seen[image]), side.at(point), image)
        seen[image] = point
    return None


# ---- the exact question -----------------------------------------------------------------------


def _lexicographically_less(first: Sequence[Size], second: Sequence[Size]) -> Formula:
    cases: list[Formula] = []
    for depth in range(len(first)):
        equal = [Zero(a - b) for a, b in zip(first[:depth], second[:depth], strict=True)]
        cases.append(All((*equal, relation(first[depth], "<", second[depth]))))
    return Some(tuple(cases))


def _meeting(
    first: _Side, second: _Side, extra: Sequence[Formula], facts: Facts
) -> Collision | Unknown | None:
    """A pair of index tuples with one image for which `extra` holds."""
    from ncdlang.semantics.presburger import RunawayError, is_linear

    equal = [Zero(a - b) for a, b in zip(first.image, second.image, strict=True)]
    asked = (*equal, *extra, *_same_contents(first, second), *first.box, *second.box)
    mentioned = (*asked, *first.positions_hold, *second.positions_hold)
    constraints = defined((*asked, *known(facts, mentioned)))
    if contradictory(constraints):
        return None
    indices = (*first.symbols, *second.symbols)
    sizes = tuple(s for s in symbols_of((*constraints, *mentioned)) if s not in set(indices))
    try:
        if is_linear(constraints):
            return _least(constraints, sizes, first, second) or Unknown()
        return _searched(constraints, sizes, first, second) or Unknown()
    except RunawayError:
        return Unknown()


def _same_contents(first: _Side, second: _Side) -> list[Formula]:
    """One place of a gathered array holds one value."""
    formulas: list[Formula] = []
    sides = (first, second)
    reads = [(side, variable) for side in sides for variable in side.sources]
    for position, (side, variable) in enumerate(reads):
        for other_side, other in reads[position + 1 :]:
            if variable.wire is not other.wire:
                continue
            pairs = zip(side.sources[variable], other_side.sources[other], strict=True)
            differ = [relation(a, "!=", b) for a, b in pairs]
            here = Size.of(side.variables.symbol(variable))
            there = Size.of(other_side.variables.symbol(other))
            formulas.append(Some((*differ, Zero(here - there))))
    return formulas


def _differing(first: _Side, second: _Side, unique: Mapping[Wire, int]) -> list[Formula]:
    """Different places along an axis of a wire that holds nothing twice along it."""
    formulas: list[Formula] = []
    for variable in first.sources:
        for other in second.sources:
            if variable.wire is other.wire and variable.wire in unique:
                position = unique[variable.wire]
                pairs = list(zip(first.sources[variable], second.sources[other], strict=True))
                apart = [relation(a, "!=", b) for i, (a, b) in enumerate(pairs) if i != position]
                left, right = pairs[position]
                here = Size.of(first.variables.symbol(variable))
                there = Size.of(second.variables.symbol(other))
                contents = relation(here, "!=", there)
                formulas.append(Some((*apart, Zero(left - right), contents)))
    return formulas


def _least(
    constraints: Sequence[Formula], sizes: tuple[Symbol, ...], first: _Side, second: _Side
) -> Collision | None:
    from ncdlang.semantics.presburger import Points

    positive = tuple(AtLeastZero(Size.of(symbol) - 1) for symbol in sizes)
    for also in (positive, ()):
        points = Points((*sizes, *first.symbols, *second.symbols), (*constraints, *also))
        point = points.least()
        if point is not None:
            return _collision(point, sizes, first, second)
    return None


def _searched(
    constraints: Sequence[Formula], sizes: tuple[Symbol, ...], first: _Side, second: _Side
) -> Collision | None:
    from ncdlang.semantics.presburger import Points

    indices = {*first.symbols, *second.symbols}
    alone = [f for f in constraints if indices.isdisjoint(symbols_of((f,)))]
    for values in small_sizes(sizes, alone, _SEARCHED):
        images = {symbol: constant(value) for symbol, value in values.items()}
        try:
            at = _substituted(constraints, images)
        except ZeroDivisionError:
            continue
        point = Points((*first.symbols, *second.symbols), at).least()
        if point is not None:
            return _collision(values | point, sizes, first, second)
    return None


def _substituted(formulas: Sequence[Formula], images: dict[Symbol, Size]) -> list[Formula]:
    return [rewrite(formula, lambda size: size.substitute(images)) for formula in formulas]


def _collision(
    point: dict[Symbol, int], sizes: tuple[Symbol, ...], first: _Side, second: _Side
) -> Collision:
    return Collision(
        tuple((symbol, point[symbol]) for symbol in sizes),
        first.at(point),
        second.at(point),
        tuple(position.evaluate(point) for position in first.image),
    )
