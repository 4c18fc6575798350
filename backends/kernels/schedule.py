"""Tiles and warps of a kernel for the sizes of a call."""

from __future__ import annotations

from dataclasses import dataclass

from ncdlang.analysis.plan import Region
from ncdlang.semantics.size import Symbol, product

from .source import Kernel
from .tiles import Dim

SMALLEST = 16
WIDE_INNER = 64

# Rows, streamed indices, columns, warps and stages, for kernels that keep one matrix of
# accumulators and for those that keep several, found with the ahead-of-time gate.
TILES: dict[str, tuple[tuple[int, int, int, int, int], tuple[int, int, int, int, int]]] = {
    "sm_90": ((128, 64, 128, 8, 2), (128, 32, 128, 8, 2)),
    "sm_80": ((64, 64, 128, 4, 2), (64, 32, 128, 8, 2)),
    "f32": ((64, 32, 64, 4, 2), (32, 32, 64, 4, 2)),
}


# Steps or sources, and lanes, of recurrences and scatters.
SCANNED = {"step": 64, "lane": 64}


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
) -> Schedule:
    """The default schedule: tiles as large as registers allow, whole inner dimensions.

    `target` is one of `TILES`; `limits` replaces its tiles by the role of the dimension.
    """
    rows, streamed, columns, warps, stages = TILES[target][needs_more(kernel)]
    most = {"row": rows, "stream": streamed, "column": columns, "wide": WIDE_INNER, **SCANNED}
    most |= limits or {}
    blocks: list[tuple[str, int]] = []
    for dim in kernel.dims:
        if not dim.axes:
            continue
        role = "wide" if dim in kernel.wide else dim.role
        wanted = max(power(length(dim, sizes)), SMALLEST)
        whole = is_whole(kernel, dim)
        blocks.append((dim.block, wanted if whole else min(wanted, most[role])))
    return Schedule(tuple(blocks), warps, stages)


def needs_more(kernel: Kernel) -> bool:
    """Whether a kernel keeps more than one matrix, so that its other tiles have to be small."""
    if not isinstance(kernel.region, Region):
        return False
    rows = set(kernel.rows.axes)
    columns = {axis for dim in kernel.columns for axis in dim.axes}
    matrices = [f for f in kernel.region.folds if f.axes & rows and f.axes & columns]
    return len(matrices) > 1 or len(kernel.inner) > 1


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
        # What has no columns is made even where there are none.
        count *= max(tiles, 1) if dim.role == "column" else tiles
    return count


def is_whole(kernel: Kernel, dim: Dim) -> bool:
    """Whether a tile holds a dimension whole: inner ones, and columns of several kinds."""
    role = "wide" if dim in kernel.wide else dim.role
    return role == "inner" or (role == "column" and len(kernel.columns) > 1)


def tiles_of(kernel: Kernel, target: str) -> list[tuple[str, int]]:
    """The largest tiles of the dimensions that are cut, then `num_warps` and `num_stages`.

    `target` is one of `TILES`.
    """
    rows, streamed, columns, warps, stages = TILES[target][needs_more(kernel)]
    most = {"row": rows, "stream": streamed, "column": columns, "wide": WIDE_INNER, **SCANNED}
    found = [
        (dim.block, most["wide" if dim in kernel.wide else dim.role])
        for dim in kernel.dims
        if dim.axes and not is_whole(kernel, dim)
    ]
    return [*found, ("num_warps", warps), ("num_stages", stages)]
