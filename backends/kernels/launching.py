"""The text that launches a kernel: its tiles, its grid, its arguments."""

from __future__ import annotations

from dataclasses import dataclass

from ncdlang.semantics.size import product

from .runner import Launcher
from .schedule import TILES, is_whole, tiles_of
from .source import Kernel
from .tiles import Dim
from .training import AnyBackward, kernels_of
from .variables import Function, Sizes


@dataclass(eq=False, slots=True)
class Launch:
    """Writes how a kernel is launched."""

    kernel: Kernel
    sizes: Sizes

    def _length(self, dim: Dim) -> str:
        return self.sizes.text(product(axis.size for axis in dim.axes))

    @property
    def table(self) -> str:
        """The name of the kernel's table of tiles."""
        return self.kernel.name.upper()

    def tiles(self) -> list[str]:
        """The largest tiles for each target."""
        rows: list[str] = []
        for target in TILES:
            entries = tiles_of(self.kernel, target)
            told = ", ".join(f'"{name}": {value}' for name, value in entries)
            rows.append(f'    "{target}": {{{told}}},')
        return [f"{self.table} = {{", *rows, "}"]

    @staticmethod
    def tables(launcher: Launcher, backward: AnyBackward | None) -> frozenset[str]:
        """The names of the kernels of a region, and of their tables."""
        names = [kernel.name for kernel in kernels_of(launcher, backward)]
        return frozenset((*names, *(name.upper() for name in names)))

    def launch(self, function: Function, like: str) -> list[str]:
        """The lines that launch it on the arrays of a function."""
        kernel = self.kernel
        arrays = [function.array(array) for array in kernel.arguments.arrays]
        sizes = [self.sizes.text(size) for size in kernel.arguments.sizes]
        name = function.scope.claim_numbered("tiles")
        lines = [f"{name} = {self.table}[_target({like})]"]
        blocks: dict[Dim, str] = {}
        for dim in kernel.dims:
            if not dim.axes:
                continue
            fit = f"_power({self._length(dim)})"
            if not is_whole(kernel, dim):
                fit = f'min({fit}, {name}["{dim.block}"])'
            blocks[dim] = function.scope.claim_numbered(dim.block)
            lines.append(f"{blocks[dim]} = {fit}")
        count = ["lift", *(_factor(self.sizes.text(axis.size)) for axis in kernel.batch)]
        if kernel.rows.axes:
            count.append(f"-(-{_factor(self._length(kernel.rows))} // {blocks[kernel.rows]})")
        if len(kernel.columns) == 1:
            (only,) = kernel.columns
            # What has no columns is made even where there are none.
            tiles = f"-(-{_factor(self._length(only))} // {blocks[only]})"
            count.append(f"max({tiles}, 1)" if only.role == "column" else tiles)
        lines.append(f"programs = {' * '.join(count)}")
        lines.append("_launch(")
        lines.append(f"    {kernel.name},")
        lines.append("    programs,")
        lines.append(f"    ({', '.join(arrays)},),")
        lines.append(f"    ({', '.join(sizes)},)," if sizes else "    (),")
        lines += [f"    {dim.block}={block}," for dim, block in blocks.items()]
        lines.append(f'    num_warps={name}["num_warps"],')
        lines.append(f'    num_stages={name}["num_stages"],')
        lines.append(")")
        return lines

    def held(self) -> list[str]:
        """What has to be short for the kernel: dimensions that a tile holds whole."""
        return [self._length(d) for d in self.kernel.dims if d.axes and is_whole(self.kernel, d)]


def _factor(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
