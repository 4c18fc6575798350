"""Tiles and warps of a kernel for the sizes of a call."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ncdlang.analysis.accumulated import MOST, WIDEST
from ncdlang.analysis.plan import Region
from ncdlang.analysis.roles import inner_folds
from ncdlang.analysis.steps import Rows
from ncdlang.analysis.terms import Term, is_fold, outermost, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .row_tiles import tiles_for
from .source import Kernel
from .survivors import ROWS
from .tiles import Dim

SMALLEST = 16
# Arrays with an entry for each of a tile, and arrays of the size of a result after the loop, beyond
# which a kernel has smaller tiles.
MOST_TILED = 2
MOST_FINISHING = 3
# Matrices of accumulators in a kernel: those that outputs share a kernel for are no more.
MOST_KEPT = MOST // WIDEST
# Rows of a tile that are folded and nothing else, one for each warp.
FOLDED_ROWS = 4
WIDE_INNER = 64

Row = tuple[int, int, int, int, int]
"""Rows, streamed indices, columns, warps and stages."""

# What kernels take by how many registers they need (`needs`).
TILES: dict[str, tuple[Row, ...]] = {
    "sm_90": (
        (128, 64, 128, 8, 2),
        (128, 64, 128, 8, 2),
        (128, 32, 128, 8, 2),
        (128, 32, 128, 8, 2),
        (128, 32, 128, 8, 2),
        (128, 16, 128, 8, 2),
        (64, 64, 64, 8, 2),
        (64, 16, 128, 8, 2),
    ),
    "sm_80": (
        (64, 64, 128, 8, 2),
        (64, 64, 128, 8, 2),
        (64, 32, 128, 8, 2),
        (64, 32, 128, 8, 2),
        (64, 32, 128, 8, 2),
        (64, 16, 128, 8, 2),
        (64, 32, 64, 8, 2),
        (32, 32, 128, 8, 2),
    ),
    "f32": (
        (64, 32, 64, 4, 2),
        (64, 16, 64, 4, 2),
        (64, 16, 64, 4, 2),
        (32, 32, 64, 4, 2),
        (32, 16, 64, 4, 2),
        (32, 16, 64, 4, 2),
        (32, 16, 64, 4, 2),
        (32, 16, 64, 4, 2),
    ),
}

# What kernels take whose operands are too long for those, longest first.
SHORTER: dict[str, tuple[Row, ...]] = {
    "sm_90": ((128, 16, 128, 8, 2), (64, 32, 128, 8, 2), (64, 16, 128, 8, 2)),
    "sm_80": ((64, 16, 128, 8, 2), (32, 32, 128, 8, 2), (32, 16, 128, 4, 2)),
    "f32": ((32, 32, 64, 4, 2), (32, 16, 64, 4, 2), (16, 16, 64, 4, 2)),
}

# Bytes of shared memory for a program. Kernels in f32 have to run on both GPUs.
SHARED = {"sm_90": 232_448, "sm_80": 166_912, "f32": 166_912}

# What takes registers of its own for each entry of a tile.
FUNCTIONS = ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sigmoid", "erf")

# The tiles of a kernel depend on the longest axis that one tile holds whole: up to which length.
LENGTHS = (128, 256)


# Steps or sources, and lanes, of recurrences and scatters. Those that meet at one place are few.
SCANNED = {"step": 64, "meeting": 32, "lane": 64}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Tile sizes by the name of their constant, and how many warps and stages."""

    blocks: tuple[tuple[str, int], ...]
    warps: int
    stages: int


def power(count: int) -> int:
    """The smallest power of two that is not less."""
    return 1 << max(count - 1, 0).bit_length()


def length(dim: Dim, sizes: dict[Symbol, int]) -> int:
    """How many indices a dimension has."""
    return product(axis.size for axis in dim.axes).evaluate(sizes)


def choose(
    kernel: Kernel,
    sizes: dict[Symbol, int],
    target: str = "f32",
    limits: dict[str, int] | None = None,
    row: Row | None = None,
) -> Schedule:
    """A schedule: tiles as large as `row` says, the default one without, whole inner dimensions.

    `target` is one of `TILES`; `limits` replaces its tiles by the role of the dimension.
    """
    if isinstance(kernel.region, Rows):
        return _rows_schedule(kernel, sizes)
    lengths = [power(length(dim, sizes)) for dim in whole(kernel)]
    longest = LENGTHS[0] if max(lengths, default=0) <= LENGTHS[0] else LENGTHS[1]
    found = row or (rows_of(kernel, target, longest) or (TILES[target][needs(kernel)],))[0]
    rows, streamed, columns, warps, stages = found
    most = {"row": rows, "stream": streamed, "column": columns, "wide": WIDE_INNER, **SCANNED}
    most |= limits or {}
    blocks: list[tuple[str, int]] = []
    for dim in kernel.dims:
        if not dim.axes:
            continue
        role = "wide" if dim in kernel.wide else dim.role
        wanted = max(power(length(dim, sizes)), SMALLEST)
        blocks.append((dim.block, wanted if is_whole(kernel, dim) else min(wanted, most[role])))
    return Schedule(tuple(blocks), warps, stages)


def _rows_schedule(kernel: Kernel, sizes: dict[Symbol, int]) -> Schedule:
    """The schedule of a kernel over whole rows, by their length."""
    table = tiles_for(kernel)
    block = max(power(length(kernel.stream, sizes)), SMALLEST)
    block = block if block in table else max(table)
    count, warps = table[block]
    blocks = [(kernel.stream.block, block)]
    if kernel.rows.axes:
        rows = max(power(length(kernel.rows, sizes)), SMALLEST)
        blocks.insert(0, (kernel.rows.block, min(rows, count)))
    return Schedule(tuple(blocks), warps, 1)


def kind_of(kernel: Kernel) -> tuple[int, int] | None:
    """How many matrices of accumulators and inner products a kernel has.

    None for scans and scatters, of which those that add atomically must not run twice.
    """
    if not isinstance(kernel.region, Region):
        return None
    rows, streamed = set(kernel.rows.axes), frozenset(kernel.region.stream)
    columns = {axis for dim in kernel.columns for axis in dim.axes}
    folds = kernel.region.folds
    inner = dict.fromkeys(i for f in folds for i in inner_folds(f.args[0], streamed))
    return sum(1 for f in folds if f.axes & rows and f.axes & columns), len(inner)


def needs(kernel: Kernel) -> int:
    """How many more registers a kernel needs than others: which row of `TILES` it takes.

    | 7 | two matrices or more, indices of several streamed axes, and functions or comparisons |
    | 6 | results are made of many arrays of their own size, all of them at once |
    | 5 | many matrices; or two with much else for each row or entry of a tile |
    | 4 | matrices, and much else for each entry, or more than two inner products |
    | 3 | several matrices, inner axes of several kinds, or many arrays read for each tile |
    | 2 | the same with one matrix, where whole numbers are compared |
    | 1 | one matrix with inner products |
    | 0 | all others |
    """
    kind = kind_of(kernel)
    if kind is None:
        return 0
    if _finishing(kernel) > MOST_FINISHING:
        return 6
    (matrices, inner), tiled = kind, _tiled(kernel)
    if matrices < 2 and len(kernel.inner) < 2 and tiled <= MOST_TILED:
        return int(matrices > 0 and inner > 0)
    compares = inner > 0 and _compares(kernel)
    works_more, is_split = _functions(kernel) > 1, len(kernel.stream.axes) > 1
    has_more = inner > 0 and (tiled > 0 or is_split or works_more)
    is_tight = has_more or compares or inner > 3 or tiled > MOST_TILED
    if matrices > 1 and inner > 0 and is_split and (works_more or compares):
        return 7
    if matrices > 2 or (matrices == 2 and (is_tight or (inner > 0 and _sums_rows(kernel)))):
        return 5
    if matrices > 0 and (has_more or inner > 2):
        return 4
    return 2 if matrices == 1 and compares else 3


def _compares(kernel: Kernel) -> bool:
    """Whether whole numbers are read for each row or streamed index, or one of two tests passes.

    Those have 64 bits; what both tests of a mask have to pass is mostly known for a whole tile.
    """
    region = kernel.region
    assert isinstance(region, Region)
    tiled = {*kernel.rows.axes, *region.stream}
    arrays = kernel.arguments.arrays
    if any(a.kind.name in ("natural", "integer") and tiled & set(a.axes) for a in arrays):
        return True
    every = subterms(*(fold.args[0] for fold in region.folds))
    return any(term.op == "or" and tiled & term.axes for term in every)


def _sums_rows(kernel: Kernel) -> bool:
    """Whether something is summed up for each row besides matrices and what follows an extremum."""
    region = kernel.region
    assert isinstance(region, Region)
    rows, columns = set(kernel.rows.axes), {axis for dim in kernel.columns for axis in dim.axes}
    sums = [fold for fold in region.folds if fold.axes & rows and not fold.axes & columns]
    return bool(sums) and not region.growth


def _functions(kernel: Kernel) -> int:
    """How many functions, such as exp, are taken of entries of tiles."""
    region = kernel.region
    assert isinstance(region, Region)
    rows, streamed = frozenset(kernel.rows.axes), frozenset(region.stream)
    every = subterms(*(fold.args[0] for fold in region.folds))
    return len({t.op for t in every if t.op in FUNCTIONS and t.axes & rows and t.axes & streamed})


def _tiled(kernel: Kernel) -> int:
    """How many arrays have rows and the streamed axis, and so an entry for each of a tile."""
    region = kernel.region
    if not isinstance(region, Region):
        return 0
    rows, streamed = frozenset(kernel.rows.axes), frozenset(region.stream)
    arrays = (frozenset(array.axes) for array in kernel.arguments.arrays)
    return sum(1 for axes in arrays if axes & rows and axes & streamed)


def _finishing(kernel: Kernel) -> int:
    """How many arrays with rows and columns are there after the loop, all of them at once.

    Those are what is read then, and results that are worked out of it.
    """
    region = kernel.region
    assert isinstance(region, Region)
    rows, columns = set(region.rows), {axis for dim in kernel.columns for axis in dim.axes}
    read: set[Term] = set()
    for output in region.outputs:
        read.update(outermost(output.term, lambda t: is_fold(t) or t.op == "load"))
    found = [term for term in read if not is_fold(term)]
    found += [output.term for output in region.outputs if not is_fold(output.term)] if found else []
    return sum(1 for term in found if term.axes & rows and term.axes & columns)


def _folds_rows(kernel: Kernel) -> bool:
    """Whether a kernel takes folds alone, without products, of rows that lie along memory.

    It waits for memory only: many programs with long tiles of few rows keep that busy.
    """
    region = kernel.region
    if not isinstance(region, Region) or kernel.columns or kernel.inner or not kernel.rows.axes:
        return False
    rows, streamed = frozenset(kernel.rows.axes), frozenset(region.stream)
    every = [array.axes for array in kernel.arguments.arrays]
    tiled = [axes for axes in every if streamed <= frozenset(axes) and rows & frozenset(axes)]
    return bool(tiled) and all(axes[-1] in streamed for axes in tiled)


def rows_of(kernel: Kernel, target: str, longest: int) -> tuple[Row, ...]:
    """The default tiles of a kernel, then the others that survived compiling for the target.

    `longest` is one of `LENGTHS`: up to the first one the default always survives, for more there
    may be none. A kind of kernel that was not compiled has the tiles of the next larger one.
    """
    default, kind = _default(kernel, target), kind_of(kernel)
    if _folds_rows(kernel):
        rows, streamed, columns, _, stages = default
        length = max(rows * streamed // FOLDED_ROWS**2, SMALLEST)
        return ((FOLDED_ROWS, length, columns, FOLDED_ROWS, stages),)
    known = [
        (matrices, inner)
        for name, matrices, inner, length in ROWS
        if (name, length) == (target, longest)
    ]
    larger = [k for k in known if kind is not None and k[0] >= kind[0] and k[1] >= kind[1]]
    if not larger:
        return _that_fits(kernel, target, longest, default)
    found = ROWS[target, *min(larger), longest]
    if longest == LENGTHS[0] or default in found:
        return (default, *(row for row in found if row != default))
    return found


def _default(kernel: Kernel, target: str) -> Row:
    """The default tiles where columns are short; fewer of them where there are many matrices."""
    rows, streamed, columns, warps, stages = TILES[target][needs(kernel)]
    kind = kind_of(kernel)
    if kind is not None and kind[0] > MOST_KEPT:
        # One result is made of all of them, which is why they are in one kernel.
        most = columns * MOST_KEPT // kind[0]
        columns = max(power(most + 1) // 2, SMALLEST)
    return rows, streamed, columns, warps, stages


def _that_fits(kernel: Kernel, target: str, longest: int, default: Row) -> tuple[Row, ...]:
    """The default tiles, or the longest ones that fit into memory: none where none do."""
    if not isinstance(kernel.region, Region):
        return (default,)
    rows, streamed, columns, _, _ = default
    fewer = [row for row in SHORTER[target] if row[0] <= rows and row[1] <= streamed]
    tried = [default, *((*row[:2], columns, *row[3:]) for row in fewer)]
    found = [row for row in tried if shared(kernel, target, row, longest) <= SHARED[target]]
    if longest == LENGTHS[0]:
        return tuple(found[:1] or tried[-1:])
    return tuple(found[:1])


def shared(kernel: Kernel, target: str, row: Row, longest: int) -> int:
    """The bytes of shared memory that tiles take, with axes of a length that are held whole.

    Those are the tiles that are read, as often as they are fetched ahead, and inner products as
    operands. Hopper multiplies out of this memory, so that a tile more of what streams has to stay.
    """
    region = kernel.region
    assert isinstance(region, Region)
    rows, streamed, columns, _, stages = row
    lengths = {"row": rows, "stream": streamed, "column": columns, "wide": WIDE_INNER}
    made = {output.array for output in region.outputs}
    width = 4 if target == "f32" else 2
    ahead = stages if target == "sm_90" else stages - 1
    kind = kind_of(kernel)
    assert kind is not None
    total = kind[1] * rows * streamed * width
    for array in kernel.arguments.arrays:
        over = [dim for dim in kernel.dims if not set(dim.axes).isdisjoint(array.axes)]
        if array in made or len(over) < 2:
            continue
        tile: dict[frozenset[Axis], int] = {}
        for dim in over:
            # Columns may be inner axes as well, of the same tile.
            role = "wide" if dim in kernel.wide else dim.role
            tile[frozenset(dim.axes)] = longest if is_whole(kernel, dim) else lengths[role]
        total += prod(tile.values()) * width * (ahead if kernel.stream in over else 1)
    return total


def grid(kernel: Kernel, schedule: Schedule, sizes: dict[Symbol, int], lifted: int) -> int:
    """How many programs run."""
    blocks = dict(schedule.blocks)
    count = lifted
    for axis in kernel.batch:
        count *= axis.size.evaluate(sizes)
    tiled = [kernel.rows] if kernel.rows.axes else []
    tiled += kernel.columns if len(kernel.columns) == 1 else ()
    for dim in tiled:
        tiles = -(-length(dim, sizes) // blocks[dim.block])
        count *= max(tiles, 1) if kernel.is_always_made(dim) else tiles
    return count


def is_whole(kernel: Kernel, dim: Dim) -> bool:
    """Whether a tile holds a dimension whole: inner ones, and columns of several kinds."""
    role = "wide" if dim in kernel.wide else dim.role
    return role == "inner" or (role == "column" and len(kernel.columns) > 1)


def tiles_of(kernel: Kernel, row: Row) -> tuple[int, ...]:
    """The largest tiles of the dimensions that are cut, then warps and stages."""
    rows, streamed, columns, warps, stages = row
    most = {"row": rows, "stream": streamed, "column": columns, "wide": WIDE_INNER, **SCANNED}
    found = (most["wide" if dim in kernel.wide else dim.role] for dim in cut(kernel))
    return *found, warps, stages


def cut(kernel: Kernel) -> list[Dim]:
    """The dimensions that are cut into tiles."""
    return [dim for dim in kernel.dims if dim.axes and not is_whole(kernel, dim)]


def whole(kernel: Kernel) -> list[Dim]:
    """The dimensions that one tile holds whole."""
    return [dim for dim in kernel.dims if dim.axes and is_whole(kernel, dim)]
