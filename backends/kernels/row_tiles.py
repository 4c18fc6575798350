"""Tiles of kernels over whole rows: as many entries for each thread as registers have room for."""

from __future__ import annotations

from ncdlang.analysis.steps import Rows

from .source import Kernel

HELD = "held"
"""The role of a dimension that a tile holds whole, of any length that its table has."""

WARPS = 4
MOST_WARPS = 32
# Programs that add up rows are few, so that there are few parts to add up afterwards.
SUMMING_WARPS = 16
MOST_ROWS = 128
# A thread of 32 warps has 64 registers, which is too few for more.
MOST_LIVE = 4
# Entries of a tile for each thread: where few arrays are read, and where many are.
LIGHT, HEAVY = 16, 8
FEW_ARRAYS = 2
# Rows that lie side by side in memory are read together, as are those that are summed up in parts.
TOGETHER = 16
SHORTEST = 16
# The longest rows that are held whole, and the longest tile of others.
LONGEST = 16384
SWEPT = 4096


def tiles_for(kernel: Kernel) -> dict[int, tuple[int, int]]:
    """By the length of rows in a tile, how many there are, and how many warps share them.

    For a kernel that sweeps it is the one tile that it takes, for longer rows as well.
    """
    step = kernel.region
    assert isinstance(step, Rows)
    each = _entries(kernel, step)
    least = TOGETHER if _is_across(step) else 1
    if kernel.stream.role != HELD:
        least = TOGETHER if step.part is not None else least
        warps = 2 * WARPS
        return {min(32 * warps * each // least, SWEPT): (least, warps)}
    fewest = WARPS if step.part is None else SUMMING_WARPS
    most = MOST_WARPS if _live(kernel, step) <= MOST_LIVE else SUMMING_WARPS
    found: dict[int, tuple[int, int]] = {}
    length = SHORTEST
    while least * length <= 32 * min(most * LIGHT, MOST_WARPS * each) and length <= LONGEST:
        rows = min(max(32 * fewest * each // length, least), MOST_ROWS)
        found[length] = (rows, min(max(rows * length // (32 * each), WARPS), most))
        length *= 2
    return found


def table_of(kernel: Kernel) -> str:
    """The name of a kernel's table of tiles."""
    return kernel.name.upper()


def table_lines(kernel: Kernel) -> list[str]:
    """The tiles of a kernel by the length of a row in them."""
    block = kernel.rows.block if kernel.rows.axes else "rows"
    rows = [f"    {length}: {tile}," for length, tile in tiles_for(kernel).items()]
    return [f"{table_of(kernel)} = {{  # {kernel.stream.block}: {block}, warps", *rows, "}"]


def _entries(kernel: Kernel, step: Rows) -> int:
    """How many entries of a tile a thread has."""
    return LIGHT if _live(kernel, step) <= FEW_ARRAYS else HEAVY


def _live(kernel: Kernel, step: Rows) -> int:
    """How many numbers a program keeps for each entry: of arrays, and twice of sums over rows."""
    axes = frozenset((*step.batch, *step.rows, *step.barrier))
    full = [array for array in kernel.arguments.arrays if frozenset(array.axes) == axes]
    return len(full) + 2 * sum(1 for output in step.outputs if output.columns)


def _is_across(step: Rows) -> bool:
    """Whether rows lie across memory: the last axis of what is written is not along them."""
    axes = frozenset((*step.rows, *step.barrier))
    full = [o.array for o in step.outputs if axes <= frozenset(o.array.axes)]
    return bool(full) and full[0].axes[-1] not in step.barrier
