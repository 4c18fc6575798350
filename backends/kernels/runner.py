"""Runs the steps of a plan: kernels for its regions, the library for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.plan import RESIDENT, Library, Output, Region, Step, arrays_of, terms_of
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.roles import factors
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array, Term, Terms, reads, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .expressions import Unsupported
from .launch import HEADER, compiled, launch
from .library import Evaluator
from .scans import write_scan
from .scattering import before, sorted_places
from .scatters import write_scatter, write_sorted
from .schedule import choose
from .source import Kernel, write_kernel

if TYPE_CHECKING:
    import torch

Kerneled = Region | Recurrence | Scattered
Arrays = dict[Array, "torch.Tensor"]


@dataclass(frozen=True, slots=True)
class Call:
    """What one call runs with: its sizes, how many lifted indices, the format of the module."""

    sizes: dict[Symbol, int]
    lifted: int
    dtype: torch.dtype
    device: torch.device

    def format(self, array: Array) -> torch.dtype:
        """The format of an array that is made."""
        import torch

        kinds = {"integer": torch.int64, "natural": torch.int64, "boolean": torch.bool}
        if array.kind.format == "f32":
            return torch.float32
        return kinds.get(array.kind.name, self.dtype)


class Launcher:
    """One region or recurrence and its kernel, which is compiled when it is first run."""

    def __init__(self, region: Kerneled, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region: Kerneled = region
        self.name = name
        self.kernel: Kernel = self._written(wide_axes(region, sizes))
        self._variants: dict[frozenset[Axis], tuple[Kernel, Any]] = {}

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the region reads."""
        made = arrays_of(self.region)
        return tuple(a for a in reads(*terms_of(self.region)) if a not in made)

    def _written(self, wide: frozenset[Axis]) -> Kernel:
        if isinstance(self.region, Recurrence):
            return write_scan(self.region, self.name)
        assert isinstance(self.region, Region)
        return write_kernel(self.region, self.name, wide)

    def _variant(self, wide: frozenset[Axis]) -> tuple[Kernel, Any]:
        """The kernel whose inner products over the axes of `wide` are loops."""
        if wide not in self._variants:
            kernel = self._written(wide)
            self._variants[wide] = kernel, compiled(HEADER + kernel.text, kernel.name)
        return self._variants[wide]

    def run(self, arrays: Arrays, call: Call, limits: dict[str, int]) -> None:
        """Run the kernel; what it makes is put into `arrays`."""
        import torch

        kernel, function = self._variant(wide_axes(self.region, call.sizes))
        for array in arrays_of(self.region):
            shape = [axis.size.evaluate(call.sizes) for axis in array.axes]
            dtype = call.format(array)
            arrays[array] = torch.empty([call.lifted, *shape], dtype=dtype, device=call.device)
        schedule = choose(kernel, call.sizes, target(call), limits)
        launch(
            kernel,
            function,
            schedule,
            arrays,
            call.sizes,
            call.lifted,
            precision(),
        )


class ScatterLauncher(Launcher):
    """A scatter and its two kernels: the one that writes at once, and the sorted one."""

    def __init__(self, scattered: Scattered, name: str) -> None:
        self.region = scattered
        self.name = name
        self.kernel = write_scatter(scattered, name)
        self.sorted = write_sorted(scattered, f"{name}_sorted")
        self._functions: dict[str, Any] = {}

    def run(self, arrays: Arrays, call: Call, limits: dict[str, int]) -> None:
        """Run the sorted kernel where sources meet and results have to be the same each time."""
        import torch

        scattered = self.region
        assert isinstance(scattered, Scattered)
        array = scattered.array
        values = Evaluator(scattered.terms, arrays, call.sizes, call.dtype, call.device)
        own, kernel = dict(arrays), self.kernel
        if scattered.collides and torch.are_deterministic_algorithms_enabled():
            kernel = self.sorted
            order, starts = (a for a in kernel.arguments.arrays if a.role == "order")
            own[order], own[starts] = sorted_places(scattered, values, call.lifted)
            shape = [axis.size.evaluate(call.sizes) for axis in array.axes]
            dtype = call.format(array)
            own[array] = torch.empty([call.lifted, *shape], dtype=dtype, device=call.device)
        else:
            start = before(scattered, values, call.lifted)
            # What is added up atomically is not rounded in between.
            dtype = torch.float32 if scattered.collides else call.format(array)
            own[array] = start.to(dtype).clone(memory_format=torch.contiguous_format)
        if kernel.name not in self._functions:
            self._functions[kernel.name] = compiled(HEADER + kernel.text, kernel.name)
        schedule = choose(kernel, call.sizes, target(call), limits)
        function = self._functions[kernel.name]
        launch(kernel, function, schedule, own, call.sizes, call.lifted, precision())
        arrays[array] = own[array].to(call.format(array))


@dataclass(slots=True, eq=False)
class Program:
    """Steps in order, with a launcher for each region that has a kernel."""

    terms: Terms
    steps: tuple[Step, ...]
    sizes: Mapping[Symbol, int]
    prefix: str = "kernel"
    exact: bool = False
    limits: dict[str, int] = field(default_factory=dict[str, int])
    launchers: dict[Step, Launcher] = field(default_factory=dict[Step, Launcher])

    def __post_init__(self) -> None:
        for step in self.steps:
            if not isinstance(step, Library):
                try:
                    name = f"{self.prefix}_{len(self.launchers) + 1}"
                    if isinstance(step, Scattered):
                        self.launchers[step] = ScatterLauncher(step, name)
                    else:
                        self.launchers[step] = Launcher(step, name, self.sizes)
                except Unsupported:
                    continue

    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return tuple(label(launcher.region) for launcher in self.launchers.values())

    def source(self) -> str:
        """The text of all kernels."""
        return "\n\n".join(each.text for each in self.kernels())

    def kernels(self) -> Iterator[Kernel]:
        """All kernels, both of each scatter."""
        for launcher in self.launchers.values():
            yield launcher.kernel
            if isinstance(launcher, ScatterLauncher):
                yield launcher.sorted

    def evaluate(self, outputs: list[tuple[Array, Term]], arrays: Arrays, call: Call) -> None:
        """Make arrays of terms by library calls.

        Where it is `exact`, what is worked out row by row of f32 is so in f64: a statistic of a
        row is as wrong for all of it, and gradients that cancel along the row show it.
        """
        import torch

        narrow = Evaluator(self.terms, arrays, call.sizes, call.dtype, call.device, self.exact)
        wide = replace(narrow, dtype=torch.float64, memo={})
        for array, term in outputs:
            is_wide = self.exact and call.dtype == torch.float32 and is_rowwise(term)
            made = (wide if is_wide else narrow).run(term, array.axes)
            arrays[array] = made.to(call.format(array)) if made.is_floating_point() else made


def is_rowwise(term: Term) -> bool:
    """Whether every sum in a term is of what has the axes of one factor."""
    for fold in subterms(term):
        if fold.op == "fold":
            found = [factor.axes for factor in factors(fold.args[0])]
            if frozenset().union(*found) not in found:
                return False
    return True


def pieces(step: Region | Library) -> list[tuple[Array, Term]]:
    """What a step makes, and of which terms."""
    if isinstance(step, Library):
        return [(step.array, step.term)]
    return [(output.array, output.term) for output in step.outputs]


def target(call: Call) -> str:
    """The row of the table of tiles for a call."""
    import torch

    if call.dtype not in (torch.bfloat16, torch.float16):
        return "f32"
    if call.device.type != "cuda":
        return "sm_80"
    return "sm_90" if torch.cuda.get_device_capability(call.device)[0] >= 9 else "sm_80"


def precision() -> str:
    """How kernels multiply matrices of f32, as PyTorch is told to."""
    import torch

    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def label(region: Kerneled) -> str:
    """What people call a kernel: the arrays that it makes."""
    return ", ".join(map(str, arrays_of(region)))


def with_outputs(region: Region, further: tuple[Output, ...]) -> Region:
    """A region that makes further arrays, of accumulators that it has."""
    return Region(
        region.terms,
        region.batch,
        region.rows,
        region.stream,
        (*region.outputs, *further),
        region.folds,
        region.growth,
    )


def wide_axes(region: Kerneled, sizes: Mapping[Symbol, int]) -> frozenset[Axis]:
    """The axes of inner products that no tile holds whole."""
    found: set[Axis] = set()
    if not isinstance(region, Region):
        return frozenset()
    streamed = frozenset(region.stream)
    for fold in region.folds:
        for term in subterms(fold.args[0]):
            if term.op != "fold" or frozenset(term.bound) == streamed:
                continue
            length = product(axis.size for axis in term.bound)
            known = length.symbols() <= sizes.keys()
            if known and length.evaluate(sizes) > RESIDENT:
                found |= set(term.bound)
    return frozenset(found)
