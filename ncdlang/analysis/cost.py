"""The cost model of arXiv 2412.03317: transfers, memory, optimal tiles, exponents.

Axes are any hashable keys here, so that a textbook problem can be stated without a diagram.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Any, TypeAlias

from ncdlang.records import record

Key: TypeAlias = Any
Tiles: TypeAlias = Mapping[Key, int]


@record
class Block:
    """An array, or what is kept of one: its axes, and the bytes (or values) of an entry."""

    name: str
    axes: tuple[Key, ...]
    width: int = 1


@record
class Problem:
    """A region as the model sees it (section 2.2 of the paper).

    `grouped` axes are split into tiles that run apart, `streamed` ones are visited tile after
    tile. `live` is what else a tile keeps: accumulators and intermediate results.
    """

    inputs: tuple[Block, ...]
    outputs: tuple[Block, ...]
    sizes: Mapping[Key, int]
    grouped: tuple[Key, ...]
    streamed: tuple[Key, ...] = ()
    live: tuple[Block, ...] = ()
    work: tuple[tuple[int, tuple[Key, ...]], ...] = ()
    buffers: int = 1

    def size(self, block: Block) -> int:
        """Bytes of a whole array."""
        return block.width * prod(self.sizes[axis] for axis in block.axes)

    def tile(self, block: Block, tiles: Tiles) -> int:
        """Bytes of what a program holds of an array."""
        lengths = (min(tiles.get(axis, self.sizes[axis]), self.sizes[axis]) for axis in block.axes)
        return block.width * prod(lengths)


def repeats(problem: Problem, axes: Sequence[Key], tiles: Tiles) -> Fraction:
    """How often what has `axes` is read or worked out: once for each tile of the axes it lacks."""
    factor = Fraction(1)
    for axis in problem.grouped:
        if axis not in axes and axis in tiles:
            size = problem.sizes[axis]
            factor *= Fraction(size, max(min(tiles[axis], size), 1))
    return factor


def transfers(problem: Problem, tiles: Tiles) -> Fraction:
    """H: the bytes that move between the levels (section 2.3)."""
    read = sum(
        (problem.size(b) * repeats(problem, b.axes, tiles) for b in problem.inputs), Fraction()
    )
    return read + sum(problem.size(block) for block in problem.outputs)


def memory(problem: Problem, tiles: Tiles) -> int:
    """M: the bytes that a program holds at a time."""
    total = 0
    for block in problem.inputs:
        is_streamed = any(axis in problem.streamed for axis in block.axes)
        total += problem.tile(block, tiles) * (problem.buffers if is_streamed else 1)
    return total + sum(problem.tile(block, tiles) for block in (*problem.outputs, *problem.live))


def flops(problem: Problem, tiles: Tiles) -> Fraction:
    """The operations, those that every tile of an axis does anew included."""
    return sum(
        (
            count * prod(problem.sizes[a] for a in axes) * repeats(problem, axes, tiles)
            for count, axes in problem.work
        ),
        Fraction(),
    )


@record
class Choice:
    """Tiles with what they cost."""

    tiles: Mapping[Key, int]
    transfers: Fraction
    memory: int


def optimum(
    problem: Problem, capacity: int, steps: Mapping[Key, int], fixed: Tiles | None = None
) -> Choice | None:
    """The tiles, multiples of `steps`, that move least within a capacity; None if none fit.

    Transfers fall and memory grows with every tile, so the last axis takes the largest that fits.
    """
    free = [axis for axis in steps if axis not in (fixed or {})]
    best: list[Choice] = []

    def consider(tiles: dict[Key, int]) -> None:
        if memory(problem, tiles) > capacity:
            return
        moved = transfers(problem, tiles)
        if not best or (moved, -prod(tiles.values())) < (
            best[0].transfers,
            -prod(best[0].tiles.values()),
        ):
            best[:] = [Choice(dict(tiles), moved, memory(problem, tiles))]

    def search(position: int, tiles: dict[Key, int]) -> None:
        if position == len(free):
            consider(tiles)
            return
        axis = free[position]
        if position == len(free) - 1:
            largest = _largest(problem, capacity, axis, steps[axis], tiles)
            if largest:
                consider({**tiles, axis: largest})
            return
        for tile in _multiples(problem.sizes[axis], steps[axis]):
            if memory(problem, _least(free, steps, {**tiles, axis: tile})) > capacity:
                break
            search(position + 1, {**tiles, axis: tile})

    search(0, dict(fixed or {}))
    return best[0] if best else None


def _multiples(size: int, step: int) -> list[int]:
    return [step * i for i in range(1, max(size // step, 1) + 1)]


def _least(free: Sequence[Key], steps: Mapping[Key, int], tiles: dict[Key, int]) -> dict[Key, int]:
    return {**{axis: steps[axis] for axis in free}, **tiles}


def _largest(
    problem: Problem, capacity: int, axis: Key, step: int, tiles: dict[Key, int]
) -> int | None:
    low, high = 0, max(problem.sizes[axis] // step, 1)
    while low < high:
        middle = (low + high + 1) // 2
        fits = memory(problem, {**tiles, axis: middle * step}) <= capacity
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * step or None


def exponent(problem: Problem) -> Fraction:
    """beta: transfers fall as memory to the power -beta (section 2.5, by a linear program).

    With tiles g_a = M^y_a: the greatest t such that every input is read M^t times less often,
    while no tile is larger than M.
    """
    if all(set(problem.grouped) <= set(block.axes) for block in problem.inputs):
        return Fraction(0)
    import sympy  # pyright: ignore[reportMissingTypeStubs]
    from sympy.solvers import simplex  # pyright: ignore[reportMissingTypeStubs]

    algebra: Any = sympy
    solver: Any = simplex
    goal = algebra.Symbol("t")
    unknowns = {a: algebra.Symbol(f"y{i}") for i, a in enumerate(problem.grouped)}
    constraints = [goal <= 1, goal >= 0, *(unknown >= 0 for unknown in unknowns.values())]
    for block in problem.inputs:
        missing = [unknowns[a] for a in problem.grouped if a not in block.axes]
        if missing:
            constraints.append(goal <= sum(missing))
    for block in (*problem.inputs, *problem.outputs):
        own = [unknowns[a] for a in problem.grouped if a in block.axes]
        if own:
            constraints.append(sum(own) <= 1)
    return Fraction(str(solver.lpmax(goal, constraints)[0]))


# ---- levels -------------------------------------------------------------------------------------


@record
class Level:
    """One level of memory: what it holds, and the bandwidth of the one above it, in values."""

    capacity: float
    bandwidth: float


Terms = tuple[tuple[float, float], ...]
"""alpha and beta of each term of a closed form `sum alpha * M^-beta`."""


def closed(terms: Terms, capacity: float) -> float:
    """H* of a closed form at a capacity (section 2.5)."""
    return sum(alpha * capacity**-beta for alpha, beta in terms)


def hierarchy(terms: Terms, levels: Sequence[Level]) -> float:
    """The time of transfers through all levels, each at its own optimum."""
    return sum(closed(terms, level.capacity) / level.bandwidth for level in levels)


def quantised(beta: float, factor: float) -> float:
    """How much less time transfers take when every value is `factor` times shorter."""
    return factor ** (1 + beta)


def cross_transfer(terms: Terms, level: Level, between: float, children: int) -> float:
    """Time saved when `children` exchange what one of them has read (Theorem 3)."""
    step = 1 / level.bandwidth - 1 / between
    return step * sum(
        alpha * level.capacity**-beta * (1 - children**-beta) for alpha, beta in terms
    )


def bound(work: float, moved: float, rate: float, bandwidth: float) -> tuple[float, str]:
    """The least time in seconds, and what it is bound by: `compute` or `memory`."""
    compute, transfer = work / rate, moved / bandwidth
    return (compute, "compute") if compute >= transfer else (transfer, "memory")


def pipelined(stages: Sequence[tuple[float, float]]) -> float:
    """The rate of stages one after another: the sum of work over the sum of times."""
    return sum(work for work, _ in stages) / sum(work / rate for work, rate in stages)


def fitted(cost: Callable[[int], float], capacities: Sequence[int], base: float = 0.0) -> float:
    """The exponent that costs above `base` show between the first and the last capacity."""
    from math import log

    first, last = capacities[0], capacities[-1]
    return -log((cost(last) - base) / (cost(first) - base)) / log(last / first)
