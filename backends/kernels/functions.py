"""What the functions of a file are written with: their variables, and launches of kernels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ncdlang.analysis.terms import Array, Terms
from ncdlang.semantics.size import Size, Symbol, product

from ..pytorch.names import Scope, local_scope
from ..pytorch.sizes import Code, size_code
from .helpers import NAMES
from .library import TorchWriter
from .runner import Launcher
from .schedule import TILES, is_whole, tiles_of
from .source import Kernel
from .tiles import Dim
from .training import AnyBackward

LETTERS = re.compile(r"[^0-9A-Za-z_]")


def plain(name: str) -> str:
    """A name in the letters that operations of PyTorch may have."""
    text = LETTERS.sub("_", name)
    return text if text[:1].isalpha() else f"x{text}"


@dataclass(eq=False, slots=True)
class Sizes:
    """The variables of unknown sizes, the same in all functions of a file."""

    names: dict[Symbol, str] = field(default_factory=dict[Symbol, str])
    scope: Scope = field(default_factory=lambda: local_scope(NAMES))

    def name(self, symbol: Symbol) -> str:
        """The variable of an unknown size."""
        if symbol not in self.names:
            self.names[symbol] = self.scope.claim(f"n_{plain(symbol.name)}")
        return self.names[symbol]

    def text(self, size: Size) -> str:
        """A size as an expression."""
        return size_code(size, lambda symbol: Code(self.name(symbol))).text

    def listed(self, sizes: Iterable[Size]) -> list[str]:
        """The variables that some sizes are made of, in order."""
        found = {symbol for size in sizes for symbol in size.symbols()}
        return [self.name(s) for s in sorted(found, key=lambda s: (s.name, s.uid))]


@dataclass(eq=False, slots=True)
class Function:
    """The variables of one function."""

    sizes: Sizes
    taken: frozenset[str]
    arrays: dict[Array, str] = field(default_factory=dict[Array, str])
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = local_scope({*NAMES, *self.taken, *self.sizes.names.values(), "self"})
        for name in ("dtype", "wide", "lift", "keep", "fits", "lead", "gradient"):
            self.scope.claim(name)

    def array(self, array: Array) -> str:
        """The variable of an array."""
        if array not in self.arrays:
            self.arrays[array] = self.scope.claim(plain(str(array)))
        return self.arrays[array]

    def writer(self, terms: Terms, like: str, exact: bool) -> TorchWriter:
        """A writer of terms into the function."""
        return TorchWriter(
            terms,
            _Arrays(self),
            self.sizes.text,
            lambda n: self.scope.claim_numbered(plain(n)),
            like,
            exact,
        )


class _Arrays(dict[Array, str]):
    """The variables of arrays, made when they are asked for."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, array: Array) -> str:
        return self.function.array(array)


def format_of(array: Array) -> str:
    """The format of an array that is made."""
    if array.kind.format == "f32":
        return "wide"
    kinds = {"integer": "torch.int64", "natural": "torch.int64", "boolean": "torch.bool"}
    return kinds.get(array.kind.name, "dtype")


def anchor(arrays: Iterable[Array]) -> Array | None:
    """An array in the format of the module."""
    real = [array for array in arrays if array.kind.name == "real"]
    return next((a for a in real if a.kind.format != "f32"), real[0] if real else None)


def kernels_of(launcher: Launcher, backward: AnyBackward | None) -> list[Kernel]:
    """All kernels that a step and its gradient launch, each once."""
    found = [*launcher.kernels]
    if backward is not None:
        found += [k for k in backward.forward.kernels if k not in found]
        found += [k for each in backward.program.launchers.values() for k in each.kernels]
    return found


# ---- kernels ------------------------------------------------------------------------------------


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
        tiled = [kernel.rows] if kernel.rows.axes else []
        tiled += kernel.columns if len(kernel.columns) == 1 else ()
        count += [f"-(-{_factor(self._length(dim))} // {blocks[dim]})" for dim in tiled]
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


def room_for(array: Array, function: Function, like: str) -> str:
    """An array that is to be filled."""
    shape = ", ".join(["lift", *(function.sizes.text(axis.size) for axis in array.axes)])
    return f"{like}.new_empty({shape}, dtype={format_of(array)})"
