"""Regions in parts: with few rows a program for each part of the streamed axis, and a merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.plan import Planner
from ncdlang.analysis.recurrences import STATISTIC
from ncdlang.analysis.split import PARTS, Split, split
from ncdlang.analysis.steps import Region, arrays_of
from ncdlang.analysis.terms import Array, Term, is_number
from ncdlang.analysis.visible import visible
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from ..pytorch.names import comment
from .expressions import Unsupported
from .launching import Launch
from .runner import Launcher, Program, wide_axes
from .schedule import choose, grid
from .source import Kernel, write_kernel
from .steps import library_lines
from .variables import Function, Sizes, room_for


@dataclass(eq=False, slots=True)
class Parts:
    """The kernel of the parts, what it makes, and the steps that merge that into `results`."""

    kernel: Kernel
    split: Split
    merge: Program
    results: tuple[Array, ...]

    @property
    def kernels(self) -> list[Kernel]:
        """The kernel of the parts, and those of the merge."""
        return [self.kernel, *(k for each in self.merge.launchers.values() for k in each.kernels)]


def parts_of(launcher: Launcher, sizes: Mapping[Symbol, int]) -> Parts | None:
    """The parts of a region's kernel; None where its rows are always many, or it has none."""
    if not isinstance(launcher.region, Region) or _are_many(launcher.kernel, sizes):
        return None
    return parts_of_few(launcher, sizes)


def parts_of_few(launcher: Launcher, sizes: Mapping[Symbol, int]) -> Parts | None:
    """The parts of a region's kernel as if its rows were few; None where it has none."""
    region = launcher.region
    if not isinstance(region, Region):
        return None
    found = split(region)
    planner = Planner(region.terms, sizes, STATISTIC)
    results = planner.run(list(found.results))
    try:
        name = f"{launcher.name}_parts"
        kernel = write_kernel(found.partial, name, wide_axes(region, sizes), found.part)
    except Unsupported:
        return None
    merge = Program(region.terms, tuple(planner.steps), sizes, f"{launcher.name}_merge")
    return Parts(kernel, found, merge, results)


def _are_many(kernel: Kernel, sizes: Mapping[Symbol, int]) -> bool:
    """Whether the programs of a kernel keep every device busy, of which sizes tell."""
    needed = {s for axis in kernel.batch for s in axis.size.symbols()}
    needed |= {s for dim in kernel.dims for axis in dim.axes for s in axis.size.symbols()}
    if not needed <= sizes.keys():
        return False
    known = dict(sizes)
    programs = grid(kernel, choose(kernel, known, "sm_90"), known, 1)
    return 2 * programs > max(device.processors for device in DEVICES.values())


def split_lines(
    parts: Parts, whole: Kernel, function: Function, like: str, given: str, further: list[str]
) -> list[str]:
    """The lines that run a region in parts where that pays, and return what it makes.

    `given` are the inputs of the operation, `further` what it returns besides.
    """
    sizes = function.sizes
    count = sizes.name(PARTS)
    launch = Launch(whole, sizes)
    stream = " ".join(axis.name for axis in parts.split.partial.stream)
    lines = [
        f"{count} = _parts(",
        f"    {launch.table},",
        f"    {launch.programs()},",
        f"    cut={launch.lengths_cut()},",
        f"    whole={launch.lengths_whole()},",
        f'    stream="{whole.stream.block}",',
        f"    like={like},",
        *(f"    {line}," for line in _seen(whole, sizes)),
        ")",
        f"if {count} > 1:  {comment(f'# few rows: {stream} in parts, whose states are merged')}",
    ]
    body: list[str] = []
    for output in parts.split.partial.outputs:
        room = room_for(output.array, function, like)
        body.append(f"{function.array(output.array)} = {room}")
    body += Launch(parts.kernel, sizes).launch(function, like)
    for step in parts.merge.steps:
        launcher = parts.merge.launchers.get(step)
        if launcher is None:
            writer = function.writer(parts.merge.terms, like, False)
            body += library_lines(step, writer, function)
            continue
        for array in arrays_of(step):
            body.append(f"{function.array(array)} = {room_for(array, function, like)}")
        body += Launch(launcher.kernel, sizes).launch(function, like)
    made = [*(function.array(array) for array in parts.results), *further]
    own = f"_owned(({', '.join(made)},), {given})"
    body.append(f"return {own}[0]" if len(made) == 1 else f"return {own}")
    return [*lines, *(f"    {line}" for line in body)]


def _seen(whole: Kernel, sizes: Sizes) -> list[str]:
    """The arguments that tell what a tile of rows visits, none where it is the whole axis."""
    region = whole.region
    found = visible(region) if isinstance(region, Region) and len(whole.rows.axes) == 1 else None
    if found is None:
        return []
    (row,), length = whole.rows.axes, product(axis.size for axis in whole.stream.axes)
    try:
        low = _ends(found.start, row, sizes)[0] if found.start else "0"
        high = _ends(found.stop, row, sizes)[1] if found.stop else sizes.text(length)
    except Unsupported:
        return []
    return [f'rows="{whole.rows.block}"', f"seen=lambda first, last: ({low}, {high})"]


def _ends(term: Term, row: Axis, sizes: Sizes) -> tuple[str, str]:
    """The least and the greatest value of a term over the rows from `first` to `last`.

    Of a batch it is that of the first index. Raises Unsupported for what only data tell.
    """
    match term.op:
        case "number":
            return (text := str(int(term.data))), text
        case "size":
            return (text := f"({sizes.text(term.data)})"), text
        case "index":
            return ("first", "last") if term.data is row else ("0", "0")
        case "fold" if term.kind in ("max", "min"):
            ends = _ends(term.args[0], row, sizes)
            return (ends[1], ends[1]) if term.kind == "max" else (ends[0], ends[0])
        case "real":
            return _ends(term.args[0], row, sizes)
        case "neg":
            low, high = _ends(term.args[0], row, sizes)
            return f"-{high}", f"-{low}"
        case "add" | "sub" | "max" | "min":
            (low, high), (least, most) = (_ends(arg, row, sizes) for arg in term.args)
            if term.op == "add":
                return f"({low} + {least})", f"({high} + {most})"
            if term.op == "sub":
                return f"({low} - {most})", f"({high} - {least})"
            return f"{term.op}({low}, {least})", f"{term.op}({high}, {most})"
        case "mul" | "floordiv" if is_number(term.args[1]) and term.args[1].data > 0:
            sign = "*" if term.op == "mul" else "//"
            low, high = _ends(term.args[0], row, sizes)
            return f"({low} {sign} {term.args[1].data})", f"({high} {sign} {term.args[1].data})"
        case _:
            raise Unsupported(f"{term.op} has no bounds")
