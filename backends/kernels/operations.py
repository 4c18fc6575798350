"""Regions as operations that PyTorch knows, written as text.

A region becomes a registered operation: kernels where they run, else what the library makes of
the same terms, with what `torch.compile` and `torch.export` have to know of it, and its gradient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ncdlang.analysis.adjoint import Root
from ncdlang.analysis.plan import Output, Region, Step
from ncdlang.analysis.terms import Array, Term, Terms, reads
from ncdlang.semantics.size import Size, Symbol, product

from ..pytorch.names import Scope, comment, local_scope
from ..pytorch.sizes import Code, size_code
from .helpers import NAMES
from .library import TorchWriter, sizes_of
from .runner import Launcher, Program, pieces
from .schedule import TILES, is_whole, tiles_of
from .source import Kernel
from .tiles import Dim
from .training import Backward

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
    def tables(launcher: Launcher, backward: Backward | None) -> frozenset[str]:
        """The names of the kernels of a region, and of their tables."""
        names = [launcher.kernel.name]
        if backward is not None:
            names.append(backward.forward.kernel.name)
            names += [each.kernel.name for each in backward.program.launchers.values()]
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


# ---- regions ------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Operation:
    """One region: its operation, and that of its gradient where that is derived."""

    name: str
    label: str
    launcher: Launcher
    backward: Backward | None
    sizes: Sizes
    taken: frozenset[str]
    namespace: str

    @property
    def region(self) -> Region:
        """The region with what it keeps."""
        return self.backward.forward.region if self.backward else self.launcher.region

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the operation takes."""
        return self.launcher.inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What the operation makes; the last ones are kept for its gradient."""
        return self.region.outputs

    @property
    def results(self) -> tuple[Array, ...]:
        """What the region makes for others."""
        return tuple(output.array for output in self.launcher.region.outputs)

    def kernels(self) -> list[Kernel]:
        """All kernels that the operation and its gradient launch."""
        found = [self.launcher.kernel]
        if self.backward is not None:
            found.append(self.backward.forward.kernel)
            found += [each.kernel for each in self.backward.program.launchers.values()]
        return found

    def size_names(self) -> list[str]:
        """The sizes that the operation and its gradient take."""
        terms: list[Term] = [o.term for o in self.region.outputs]
        arrays: list[Array] = [*self.inputs, *(o.array for o in self.region.outputs)]
        if self.backward is not None:
            for step in self.backward.program.steps:
                for array, term in pieces(step):
                    terms.append(term)
                    arrays += [array, *reads(term)]
        found = sizes_of(*terms) | {axis.size for array in arrays for axis in array.axes}
        for kernel in self.kernels():
            found |= set(kernel.arguments.sizes)
        return self.sizes.listed(found)

    def text(self) -> list[str]:
        """The lines of the operation."""
        lines = [*self._empty(), "", "", *self._eager(), "", "", *self._registered(), "", ""]
        lines += [f"{self.name}.register_fake(_{self.name}_empty)"]
        if self.backward is not None:
            lines += ["", "", *_Gradient(self, self.backward).text()]
        return lines

    # ---- parts -----------------------------------------------------------------------------------

    def _function(self) -> Function:
        return Function(self.sizes, self.taken)

    def head(self, name: str, function: Function, arrays: Iterable[Array], keep: bool) -> list[str]:
        """The `def` of a function of arrays and sizes."""
        arguments = [f"{function.array(array)}: Tensor" for array in arrays]
        arguments += [f"{size}: int" for size in self.size_names()]
        arguments += ["keep: bool"] if keep else []
        returned = "tuple[Tensor, ...]"
        return [f"def {name}(", *(f"    {a}," for a in arguments), f") -> {returned}:"]

    def opening(self, function: Function, arrays: tuple[Array, ...]) -> list[str]:
        """The formats, and how many lifted indices there are."""
        like = anchor(arrays)
        assert like is not None
        name = function.array(like)
        every = ", ".join(function.array(array) for array in arrays)
        return [f"dtype, wide, lift = {name}.dtype, _wide({name}), _lift({every})"]

    def _empty(self) -> list[str]:
        """Room for what the operation makes."""
        function = self._function()
        lines = self.head(f"_{self.name}_empty", function, self.inputs, True)
        body = [f'"""Room for {comment(self.label)}."""', *self.opening(function, self.inputs)]
        like = anchor(self.inputs)
        assert like is not None
        made: list[str] = []
        for output in self.outputs:
            room = room_for(output.array, function, function.array(like))
            if output.array not in self.results:
                none = f"{function.array(like)}.new_empty(0, dtype={format_of(output.array)})"
                room = f"{room} if keep else {none}"
            name = function.array(output.array)
            body.append(f"{name} = {room}")
            made.append(name)
        body.append(f"return {', '.join(made)}{',' if len(made) == 1 else ''}")
        return [*lines, *(f"    {line}" for line in body)]

    def _eager(self) -> list[str]:
        """What the library makes of the same terms."""
        function = self._function()
        lines = self.head(f"_{self.name}_eager", function, self.inputs, True)
        body = [
            f'"""{comment(self.label)} by PyTorch."""',
            *self.opening(function, self.inputs),
        ]
        like = anchor(self.inputs)
        assert like is not None
        writer = function.writer(self.region.terms, function.array(like), False)
        body += self._written(writer, function, kept=False)
        if self.backward is not None:
            body += ["if not keep:"]
            none = [
                f"{function.array(like)}.new_empty(0, dtype={format_of(o.array)})"
                for o in self.outputs
                if o.array not in self.results
            ]
            made = [*(function.array(array) for array in self.results), *none]
            body.append(f"    return {', '.join(made)},")
        body += self._written(writer, function, kept=True)
        made = [function.array(output.array) for output in self.outputs]
        body.append(f"return {', '.join(made)},")
        return [*lines, *(f"    {line}" for line in body)]

    def _written(self, writer: TorchWriter, function: Function, kept: bool) -> list[str]:
        start = len(writer.lines)
        for output in self.outputs:
            if (output.array not in self.results) == kept:
                name = function.array(output.array)
                dtype = format_of(output.array)
                made = writer.whole(output.term, output.array.axes, dtype)
                writer.lines.append(f"{name} = {made}")
        return writer.lines[start:]

    def _registered(self) -> list[str]:
        function = self._function()
        lines = [*self.decorator(self.name, self.inputs, len(self.outputs), True)]
        lines += self.head(self.name, function, self.inputs, True)
        given = [function.array(array) for array in self.inputs]
        own = f"_owned(made, {', '.join(given)})"
        every = [*given, *self.size_names(), "keep"]
        like = anchor(self.inputs)
        assert like is not None
        body = [
            f'"""{comment(self.label)}; with `keep` also what its gradient needs."""',
            f"if not _fits({', '.join(given)}):",
            f"    made = _{self.name}_eager({', '.join(every)})",
            f"    return {self.returned(own, len(self.outputs))}",
            *self.opening(function, self.inputs),
        ]
        made = ", ".join(function.array(output.array) for output in self.outputs)
        body.append(f"{made}, = made = _{self.name}_empty({', '.join(every)})")
        last = function.array(like)
        if self.backward is not None:
            body.append("if keep:")
            kept = Launch(self.backward.forward.kernel, self.sizes).launch(function, last)
            body += [f"    {line}" for line in kept]
            body.append(f"    return {self.returned('made', len(self.outputs))}")
        body += Launch(self.launcher.kernel, self.sizes).launch(function, last)
        body.append(f"return {self.returned('made', len(self.outputs))}")
        return [*lines, *(f"    {line}" for line in body)]

    @staticmethod
    def returned(made: str, count: int) -> str:
        """What an operation returns: an operation with one result returns no tuple."""
        return f"{made}[0]" if count == 1 else made

    def decorator(self, name: str, arrays: tuple[Array, ...], count: int, keep: bool) -> list[str]:
        """What registers a function. The names of arguments mean nothing to PyTorch."""
        arguments = [f"Tensor a{i}" for i in range(len(arrays))]
        arguments += [f"SymInt n{i}" for i in range(len(self.size_names()))]
        arguments += ["bool keep"] if keep else []
        returned = "Tensor" if count == 1 else f"({', '.join(['Tensor'] * count)})"
        return [
            "@torch.library.custom_op(",
            f'    "{self.namespace}::{name}",',
            "    mutates_args=(),",
            f'    schema="({", ".join(arguments)}) -> {returned}",',
            ")",
        ]


def room_for(array: Array, function: Function, like: str) -> str:
    """An array that is to be filled."""
    shape = ", ".join(["lift", *(function.sizes.text(axis.size) for axis in array.axes)])
    return f"{like}.new_empty({shape}, dtype={format_of(array)})"


# ---- gradients ----------------------------------------------------------------------------------


class _Gradient:
    """The operation that differentiates another one."""

    def __init__(self, operation: Operation, backward: Backward) -> None:
        self.operation = operation
        self.backward = backward
        self.name = f"{operation.name}_backward"
        wanted = {a for root in backward.gradient.roots for a in reads(root.term)}
        made = [output.array for output in operation.outputs]
        self.kept = tuple(array for array in made if array in wanted)
        self.floats = tuple(
            i
            for i, array in enumerate(operation.inputs)
            if any(root.array is array for root in backward.gradient.roots)
        )

    @property
    def arrays(self) -> tuple[Array, ...]:
        """What the operation takes."""
        return (*self.backward.gradient.cotangents, *self.operation.inputs, *self.kept)

    def text(self) -> list[str]:
        outputs = [output.array for output in self.operation.outputs]
        kept = ", ".join(str(outputs.index(array)) for array in self.kept)
        listed = ", ".join(map(str, self.floats))
        count, results = len(self.operation.inputs), len(self.operation.results)
        return [
            *self._registered(),
            "",
            "",
            *self._fake(),
            "",
            "",
            f"{self.name}.register_fake(_{self.name}_empty)",
            f"_no_second({self.name})",
            "_differentiate(",
            f"    {self.operation.name},",
            f"    {self.name},",
            f"    count={count},",
            f"    outer={results},",
            f"    kept=({kept}{',' if len(self.kept) == 1 else ''}),",
            f"    floats=({listed}{',' if len(self.floats) == 1 else ''}),",
            ")",
        ]

    def _function(self) -> Function:
        function = Function(self.operation.sizes, self.operation.taken)
        for array in self.arrays:
            function.array(array)
        return function

    def _opening(self, function: Function) -> list[str]:
        return self.operation.opening(function, (*self.operation.inputs, *self.arrays))

    def _fake(self) -> list[str]:
        function = self._function()
        lines = self.operation.head(f"_{self.name}_empty", function, self.arrays, False)
        made = [
            f"{name}.new_empty({name}.shape)"
            for name in (function.array(self.operation.inputs[i]) for i in self.floats)
        ]
        returned = ", ".join(made) if len(made) == 1 else f"({', '.join(made)})"
        told = f'"""Room for the gradients of {comment(self.operation.label)}."""'
        return [*lines, f"    {told}", f"    return {returned}"]

    def _registered(self) -> list[str]:
        function, operation = self._function(), self.operation
        lines = operation.decorator(self.name, self.arrays, len(self.floats), False)
        lines += operation.head(self.name, function, self.arrays, False)
        given = ", ".join(function.array(array) for array in self.arrays)
        inputs = ", ".join(function.array(array) for array in operation.inputs)
        body = [
            f'"""The gradients of {comment(operation.label)}."""',
            *self._opening(function),
            f"fits = _fits({inputs})",
        ]
        like = anchor((*operation.inputs, *self.arrays))
        assert like is not None
        body += write_steps(self.backward.program, function, function.array(like), True)
        made: list[str] = []
        for i in self.floats:
            array = operation.inputs[i]
            parts = [
                (root, result)
                for root, result in zip(
                    self.backward.gradient.roots, self.backward.results, strict=True
                )
                if root.array is array
            ]
            made.append(self._summed(array, parts, function))
        body.append(f"made = ({', '.join(made)},)")
        body.append(f"return {operation.returned(f'_owned(made, {given})', len(made))}")
        return [*lines, *(f"    {line}" for line in body)]

    def _summed(self, array: Array, found: list[tuple[Root, Array]], function: Function) -> str:
        name = function.array(array)
        texts: list[str] = []
        for root, result in found:
            part = function.array(result)
            for _ in root.rest:
                part = f"{part}.sum(1)"
            texts.append(part)
        return f"_grad_of({name}, {', '.join(texts)}).to({name}.dtype)"


def write_steps(
    program: Program, function: Function, like: str, exact: bool, guard: str = "fits"
) -> list[str]:
    """Steps in order: kernels where they run (`fits`), else the library."""
    lines: list[str] = []
    writer = function.writer(program.terms, like, exact)
    for step in program.steps:
        launcher = program.launchers.get(step)
        if launcher is not None:
            made = [output.array for output in launcher.region.outputs]
            lines.append(f"if {guard}:")
            for array in made:
                room = room_for(array, function, like)
                lines.append(f"    {function.array(array)} = {room}")
            launched = Launch(launcher.kernel, function.sizes).launch(function, like)
            lines += [f"    {line}" for line in launched]
            lines.append("else:")
            inner = function.writer(program.terms, like, exact)
            lines += [f"    {line}" for line in library_lines(step, inner, function)]
            continue
        lines += library_lines(step, writer, function)
    return lines


def library_lines(step: Step, writer: TorchWriter, function: Function) -> list[str]:
    """A step by PyTorch."""
    start = len(writer.lines)
    for array, term in pieces(step):
        made = writer.whole(term, array.axes, format_of(array))
        writer.lines.append(f"{function.array(array)} = {made}")
    return writer.lines[start:]
