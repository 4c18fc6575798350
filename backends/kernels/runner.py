"""Runs the steps of a plan: kernels for its regions, the library for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.plan import RESIDENT
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.steps import Library, Output, Region, Rows, Step, arrays_of, terms_of
from ncdlang.analysis.terms import Array, Term, Terms, reads, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .expressions import Unsupported
from .grouped import write_grouped, write_grouped_sum
from .launch import HEADER, compiled, launch
from .library import Evaluator
from .rows import write_held, write_sweeps
from .scans import write_scan
from .scatters import write_gather, write_scatter, write_sorted
from .schedule import choose
from .source import Kernel, write_kernel

if TYPE_CHECKING:
    import torch

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


Kerneled = Region | Rows | Recurrence | Scattered | Gathered | Grouped


class Launcher:
    """One step and its kernel; `sorted` is the other one of a scatter, `sweeps` that of long rows.

    The kernel of a region is compiled when it is first run.
    """

    def __init__(self, region: Kerneled, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region: Kerneled = region
        self.name = name
        self.sorted: Kernel | None = None
        self.sweeps: Kernel | None = None
        match region:
            case Recurrence():
                self.kernel: Kernel = write_scan(region, name)
            case Gathered():
                self.kernel = write_gather(region, name)
            case Grouped():
                self.kernel = write_grouped(region, name)
            case Scattered():
                product = write_grouped_sum(region, name)
                self.kernel = product or write_scatter(region, name)
                if region.collides and product is None:
                    self.sorted = write_sorted(region, f"{name}_sorted")
            case Rows():
                self.kernel = write_held(region, name)
                self.sweeps = write_sweeps(region, f"{name}_sweeps")
            case Region():
                self.kernel = write_kernel(region, name, wide_axes(region, sizes))
        self._variants: dict[frozenset[Axis], tuple[Kernel, Any]] = {}

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Its kernels."""
        return tuple(k for k in (self.kernel, self.sorted, self.sweeps) if k is not None)

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the region reads."""
        made = arrays_of(self.region)
        return tuple(a for a in reads(*terms_of(self.region)) if a not in made)

    def _variant(self, region: Region, wide: frozenset[Axis]) -> tuple[Kernel, Any]:
        """The kernel whose inner products over the axes of `wide` are loops."""
        if wide not in self._variants:
            kernel = write_kernel(region, self.name, wide)
            self._variants[wide] = (
                kernel,
                compiled(HEADER + "".join(kernel.calls) + kernel.text, kernel.name),
            )
        return self._variants[wide]

    def run(self, arrays: Arrays, call: Call, limits: dict[str, int]) -> None:
        """Run the kernel of a region; what it makes is put into `arrays`."""
        import torch

        region = self.region
        assert isinstance(region, Region)
        kernel, function = self._variant(region, wide_axes(region, call.sizes))
        for output in region.outputs:
            shape = [axis.size.evaluate(call.sizes) for axis in output.array.axes]
            dtype = call.format(output.array)
            made = torch.empty([call.lifted, *shape], dtype=dtype, device=call.device)
            arrays[output.array] = made
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
            if not isinstance(step, Library | Foreign):
                try:
                    name = f"{self.prefix}_{len(self.launchers) + 1}"
                    self.launchers[step] = Launcher(step, name, self.sizes)
                except Unsupported:
                    continue

    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return tuple(label(launcher.region) for launcher in self.launchers.values())

    def evaluate(self, outputs: list[tuple[Array, Term]], arrays: Arrays, call: Call) -> None:
        """Make arrays of terms by library calls."""
        evaluator = Evaluator(self.terms, arrays, call.sizes, call.dtype, call.device, self.exact)
        for array, term in outputs:
            made = evaluator.run(term, array.axes)
            arrays[array] = made.to(call.format(array)) if made.is_floating_point() else made


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


def wide_axes(region: Region, sizes: Mapping[Symbol, int]) -> frozenset[Axis]:
    """The axes of inner products that no tile holds whole."""
    found: set[Axis] = set()
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
