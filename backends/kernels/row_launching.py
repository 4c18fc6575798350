"""The text that launches kernels over whole rows: the one that holds them, or that sweeps."""

from __future__ import annotations

from ncdlang.analysis.split import PARTS
from ncdlang.analysis.steps import Rows, arrays_of
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis

from ..pytorch.names import quoted
from .row_tiles import table_of, tiles_for
from .runner import Launcher
from .source import Kernel
from .variables import Function, Sizes, room_for


def limit(launcher: Launcher, sizes: Sizes) -> str:
    """What holds where a kernel can take rows, "" where one takes rows of any length."""
    if not isinstance(launcher.region, Rows) or launcher.sweeps is not None:
        return ""
    length = _length(launcher.region.barrier, sizes)
    return f"{length} <= max({table_of(launcher.kernel)})"


def room_lines(launcher: Launcher, function: Function, like: str) -> list[str]:
    """The lines that make room for what a kernel makes, in parts where it adds up rows."""
    step = launcher.region
    assert isinstance(step, Rows)
    rooms = [
        f"{function.array(array)} = {room_for(array, function, like)}" for array in arrays_of(step)
    ]
    if step.part is None:
        return rooms
    sizes = function.sizes
    tables = [table_of(k) for k in (launcher.kernel, launcher.sweeps) if k is not None]
    rows, length = _length(step.rows, sizes), _length(step.barrier, sizes)
    others = " * ".join(["lift", *(_factor(sizes.text(axis.size)) for axis in step.batch)])
    given = f"{rows}, {length}, {others}, {like}, {', '.join(tables)}"
    return [f"{sizes.name(PARTS)} = _row_parts({given})", *rooms]


def one_part(step: object, function: Function) -> list[str]:
    """The lines that let PyTorch make sums over rows in one part."""
    if not isinstance(step, Rows) or step.part is None:
        return []
    return [f"{function.sizes.name(PARTS)} = 1"]


def rows_launch(launcher: Launcher, function: Function) -> list[str]:
    """The lines that run the kernel for the length of the rows."""
    step = launcher.region
    assert isinstance(step, Rows)
    held = _launch(launcher.kernel, step, function)
    if launcher.sweeps is None:
        return held
    length = _length(step.barrier, function.sizes)
    if length.isdigit():
        is_held = int(length) <= max(tiles_for(launcher.kernel))
        return held if is_held else _launch(launcher.sweeps, step, function)
    return [
        f"if {length} <= max({table_of(launcher.kernel)}):",
        *(f"    {line}" for line in held),
        "else:",
        *(f"    {line}" for line in _launch(launcher.sweeps, step, function)),
    ]


def _launch(kernel: Kernel, step: Rows, function: Function) -> list[str]:
    sizes = function.sizes
    arrays = "".join(f"{function.array(array)}, " for array in kernel.arguments.arrays)
    given = "".join(f"{sizes.text(size)}, " for size in kernel.arguments.sizes)
    count = ["lift", *(_factor(sizes.text(axis.size)) for axis in step.batch)]
    rows = _length(step.rows, sizes)
    named = {quoted(kernel.rows.block): rows} if step.rows else {}
    taken = ""
    if step.part is not None:
        count.append(sizes.name(PARTS))
    elif step.rows:
        taken = f"{kernel.rows.block}, "
        count.append(f"-(-{_factor(rows)} // {kernel.rows.block})")
    cut = ", ".join(f"{name}: {length}" for name, length in named.items())
    barrier = _length(step.barrier, sizes)
    return [
        "_launch_rows(",
        f"    {kernel.name},",
        f"    {table_of(kernel)},",
        f"    lambda {taken}**_: {' * '.join(count)},",
        f"    ({arrays.rstrip()}),",
        f"    ({given.rstrip()}),",
        f"    rows={{{cut}}},",
        f"    held={{{quoted(kernel.stream.block)}: {barrier}}},",
        ")",
    ]


def _length(axes: tuple[Axis, ...], sizes: Sizes) -> str:
    return sizes.text(product(axis.size for axis in axes))


def _factor(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
