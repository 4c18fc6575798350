"""Tiles and warps of a kernel for the sizes of a call."""

from __future__ import annotations

from dataclasses import dataclass

from ncdlang.semantics.size import Symbol, product

from .source import Kernel
from .tiles import Dim

SMALLEST = 16
LIMITS = {"row": 64, "stream": 64, "column": 128, "inner": 256}
WIDE_INNER = 64


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
    kernel: Kernel, sizes: dict[Symbol, int], limits: dict[str, int] | None = None
) -> Schedule:
    """The default schedule: tiles as large as registers allow, whole inner dimensions."""
    most = LIMITS | (limits or {})
    blocks: list[tuple[str, int]] = []
    for dim in kernel.dims:
        if not dim.axes:
            continue
        wanted = max(power(length(dim, sizes)), SMALLEST)
        if dim in kernel.wide:
            wanted = min(wanted, most.get("wide", WIDE_INNER))
        elif dim.role == "column" and len(kernel.columns) > 1:
            wanted = max(wanted, SMALLEST)
        elif dim.role != "inner":
            wanted = min(wanted, most[dim.role])
        blocks.append((dim.block, wanted))
    return Schedule(tuple(blocks), 4, 2)


def grid(kernel: Kernel, schedule: Schedule, sizes: dict[Symbol, int], lifted: int) -> int:
    """How many programs run."""
    blocks = dict(schedule.blocks)
    count = lifted
    for axis in kernel.batch:
        count *= axis.size.evaluate(sizes)
    tiled = [kernel.rows] if kernel.rows.axes else []
    tiled += kernel.columns if len(kernel.columns) == 1 else ()
    for dim in tiled:
        count *= -(-length(dim, sizes) // blocks[dim.block])
    return count
