"""The cost of regions: what the model of `cost` says of the axes and arrays of a diagram."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

from ncdlang.analysis.cost import Block, Choice, Key, Problem, bound, flops, optimum, repeats
from ncdlang.analysis.devices import WIDTHS, Device
from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.plan import RESIDENT
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.roles import inner_folds
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.steps import Library, Region, Rows, Step, arrays_of, terms_of
from ncdlang.analysis.terms import Array, Term, ordered, reads, subterms
from ncdlang.analysis.visited import visited
from ncdlang.records import record
from ncdlang.semantics.size import Symbol
from ncdlang.semantics.types import Axis

LATTICE = 16
SINGLE = 4
# Two steps `a h + b` compose with two products and a sum.
SCAN_STEP = 3


@record(eq=False)
class StepCost:
    """What a step costs on a device: bytes moved, operations, and the least time in seconds.

    `tiles` are the best tiles of a region, by axis, and `memory` the bytes that they take.
    `share` is that of the tiles which the region visits, less than 1 under a mask.
    """

    transfers: float
    flops: float
    seconds: float
    limit: str
    tiles: Mapping[Axis, int]
    memory: int
    programs: int
    share: float = 1.0


def unknown_sizes(step: Step, sizes: Mapping[Symbol, int]) -> tuple[str, ...]:
    """The sizes that a cost needs and that nothing gives."""
    needed = {s for axis in _axes(step) for s in axis.size.symbols()}
    missing = sorted(needed - sizes.keys(), key=lambda symbol: symbol.uid)
    return tuple(dict.fromkeys(symbol.name for symbol in missing))


def step_cost(step: Step, sizes: Mapping[Symbol, int], device: Device, dtype: str) -> StepCost:
    """The cost of a step whose sizes are all known."""
    if not isinstance(step, Region):
        return _plain_cost(step, sizes, device, dtype)
    problem = region_problem(step, sizes, dtype)
    choice = best_tiles(problem, step, device)
    share = visited(step, sizes, choice.tiles)
    work = float(flops(problem, choice.tiles) * share)
    moved = float(choice.transfers - _unseen(problem, choice.tiles) * (1 - share))
    seconds, limit = bound(work, moved, device.rate(dtype), device.bandwidth)
    tiles = {axis: tile for axis, tile in choice.tiles.items() if isinstance(axis, Axis)}
    programs = prod(
        -(-problem.sizes[axis] // max(tiles.get(axis, problem.sizes[axis]), 1))
        for axis in problem.grouped
    )
    return StepCost(moved, work, seconds, limit, tiles, choice.memory, programs, float(share))


def _unseen(problem: Problem, tiles: Mapping[Key, int]) -> Fraction:
    """The bytes of what is read along the streamed axis, were all of its tiles visited."""
    return sum(
        (
            problem.size(block) * repeats(problem, block.axes, tiles)
            for block in problem.inputs
            if any(axis in problem.streamed for axis in block.axes)
        ),
        Fraction(),
    )


def best_tiles(problem: Problem, region: Region, device: Device) -> Choice:
    """The tiles that move least within the shared memory of a thread block."""
    fixed: dict[Key, int] = dict.fromkeys(region.batch, 1)
    columns = [axis for output in region.outputs for axis in output.columns]
    tiled = (*columns, *region.rows)
    steps: dict[Key, int] = {axis: max(min(LATTICE, problem.sizes[axis]), 1) for axis in tiled}
    fixed |= {axis: min(problem.sizes[axis], 64) for axis in region.stream}
    fixed |= {axis: problem.sizes[axis] for axis in columns if problem.sizes[axis] <= RESIDENT}
    given = {*problem.grouped, *region.stream}
    # Inner products over what no tile holds whole are taken piece by piece.
    fixed |= {a: 64 for a, size in problem.sizes.items() if a not in given and size > RESIDENT}
    found = optimum(problem, device.shared, steps, fixed)
    if found is None:
        least = {**fixed, **{a: s for a, s in steps.items() if a not in fixed}}
        least |= {axis: min(LATTICE, problem.sizes[axis]) for axis in region.stream}
        found = optimum(problem, 1 << 62, {}, least)
    assert found is not None
    return found


def region_problem(region: Region, sizes: Mapping[Symbol, int], dtype: str) -> Problem:
    """A region as the cost model sees it."""
    made = {output.array for output in region.outputs}
    terms = [output.term for output in region.outputs]
    inputs = tuple(
        Block(str(array), _read_axes(array, terms), _width(array, dtype))
        for array in reads(*terms)
        if array not in made
    )
    outputs = tuple(
        Block(str(o.array), o.array.axes, _width(o.array, dtype)) for o in region.outputs
    )
    columns = dict.fromkeys(axis for output in region.outputs for axis in output.columns)
    streamed = frozenset(region.stream)
    inner = dict.fromkeys(i for f in region.folds for i in inner_folds(f.args[0], streamed))
    live = [Block("sum", tuple(fold.axes), SINGLE) for fold in region.folds]
    live += [Block("scores", tuple(fold.axes), SINGLE) for fold in inner]
    grouped = (*region.batch, *region.rows, *columns)
    axes = {*grouped, *region.stream, *(a for b in (*inputs, *outputs) for a in b.axes)}
    axes |= {axis for fold in inner for axis in (*fold.axes, *fold.bound)}
    lengths = {axis: axis.size.evaluate(sizes) for axis in axes if isinstance(axis, Axis)}
    return Problem(
        inputs,
        outputs,
        lengths,
        grouped,
        region.stream,
        tuple(live),
        tuple(_work(term) for term in (*inner, *region.folds)),
        2,
    )


def _work(fold: Term) -> tuple[int, tuple[Axis, ...]]:
    """Operations of a fold: two for each entry of a product, one for each of another sum."""
    count = 2 if fold.args[0].op == "mul" else 1
    return count, tuple(fold.axes | frozenset(fold.bound))


def _read_axes(array: Array, terms: list[Term]) -> tuple[Axis, ...]:
    """The axes along which reads of an array vary."""
    found: dict[Axis, None] = {}
    for term in subterms(*terms):
        if term.op == "load" and term.data is array:
            for arg in term.args:
                found.update(dict.fromkeys(ordered(arg)))
    return tuple(found)


def _width(array: Array, dtype: str) -> int:
    if array.kind.name == "boolean":
        return 1
    return 8 if array.kind.name in ("natural", "integer") else WIDTHS[dtype]


def _axes(step: Step) -> set[Axis]:
    found: set[Axis] = set()
    for term in subterms(*terms_of(step)):
        if term.op == "load":
            found |= set(term.data.axes)
        found |= term.axes | set(term.bound)
    return found


def _plain_cost(
    step: Rows | Library | Recurrence | Scattered | Gathered | Grouped | Foreign,
    sizes: Mapping[Symbol, int],
    device: Device,
    dtype: str,
) -> StepCost:
    """Every array is read or written once; products of matrices run at the peak rate."""
    moved = 0.0
    for array in (*reads(*terms_of(step)), *arrays_of(step)):
        entries = prod(axis.size.evaluate(sizes) for axis in array.axes)
        moved += entries * _width(array, dtype)
    work = 0.0
    for term in subterms(*terms_of(step)):
        if term.op == "fold":
            count, axes = _work(term)
            work += count * prod(axis.size.evaluate(sizes) for axis in axes)
    if isinstance(step, Recurrence):
        work += SCAN_STEP * prod(axis.size.evaluate(sizes) for axis in step.array.axes)
    seconds, limit = bound(work, moved, device.rate(dtype), device.bandwidth)
    return StepCost(moved, work, seconds, limit, {}, 0, 0)
