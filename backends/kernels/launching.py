"""The text that launches a kernel: its tiles, its grid, its arguments."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ncdlang.analysis.steps import Rows
from ncdlang.semantics.size import Size, product

from ..pytorch.names import quoted
from .row_tiles import table_lines
from .schedule import LENGTHS, TILES, cut, rows_of, tiles_of, whole
from .source import Kernel
from .tiles import Dim
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
        """The largest tiles for each target and length of what a tile holds whole."""
        if isinstance(self.kernel.region, Rows):
            return table_lines(self.kernel)
        lengths = LENGTHS if whole(self.kernel) else LENGTHS[:1]
        named = ", ".join((*(dim.block for dim in cut(self.kernel)), "warps, stages"))
        lines = [f"{self.table} = {{  # {named}"]
        for target, longest in itertools.product(TILES, lengths):
            found = dict.fromkeys(
                tiles_of(self.kernel, row) for row in rows_of(self.kernel, target, longest)
            )
            told = "".join(f"{row}, " for row in found).rstrip()
            lines.append(f'    ("{target}", {longest}): ({told}),')
        return [*lines, "}"]

    @staticmethod
    def tables(kernels: list[Kernel]) -> frozenset[str]:
        """The names of kernels, and of their tables."""
        names = [kernel.name for kernel in kernels]
        return frozenset((*names, *(name.upper() for name in names)))

    def launch(self, function: Function, like: str) -> list[str]:
        """The lines that launch it on the arrays of a function."""
        kernel = self.kernel
        arrays = "".join(f"{function.array(array)}, " for array in kernel.arguments.arrays)
        sizes = "".join(f"{self.sizes.text(size)}, " for size in kernel.arguments.sizes)
        return [
            "_launch(",
            f"    {kernel.name},",
            f"    {self.table},",
            f"    {self.programs()},",
            f"    ({arrays.rstrip()}),",
            f"    ({sizes.rstrip()}),",
            f"    cut={self.lengths_cut()},",
            f"    whole={self.lengths_whole()},",
            f"    like={like},",
            ")",
        ]

    def lengths_cut(self) -> str:
        """The lengths of the dimensions that are cut into tiles, by their constants."""
        return self._lengths(cut(self.kernel))

    def lengths_whole(self) -> str:
        """The lengths of the dimensions that a tile holds whole, by their constants."""
        return self._lengths(whole(self.kernel))

    def _lengths(self, dims: list[Dim]) -> str:
        return f"{{{', '.join(f'{quoted(dim.block)}: {self._length(dim)}' for dim in dims)}}}"

    def programs(self) -> str:
        """A function of the tiles: how many programs run."""
        kernel, used = self.kernel, list[str]()
        count = ["lift", *(_factor(self.sizes.text(axis.size)) for axis in kernel.batch)]
        tiled = [kernel.rows] if kernel.rows.axes else []
        tiled += kernel.columns if len(kernel.columns) == 1 else ()
        for dim in tiled:
            used.append(dim.block)
            tiles = f"-(-{_factor(self._length(dim))} // {dim.block})"
            count.append(f"max({tiles}, 1)" if kernel.is_always_made(dim) else tiles)
        return f"lambda {', '.join((*used, '**_'))}: {' * '.join(count)}"

    @property
    def is_short(self) -> bool:
        """Whether some target has no tiles for it where what a tile holds whole is long."""
        held, longest = whole(self.kernel), LENGTHS[-1]
        if isinstance(self.kernel.region, Rows):
            return False
        return bool(held) and not all(rows_of(self.kernel, each, longest) for each in TILES)

    def held(self) -> list[str]:
        """What has to be short for the kernel: dimensions that a tile holds whole."""
        return [self.sizes.text(size) for size in self.held_sizes()]

    def held_sizes(self) -> list[Size]:
        """The same as sizes."""
        return [product(axis.size for axis in dim.axes) for dim in whole(self.kernel)]


def _factor(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
