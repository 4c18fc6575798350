"""The steps of a plan: kernels for its regions, the library for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ncdlang.analysis.plan import RESIDENT, Library, Output, Region, Step, arrays_of, terms_of
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array, Term, Terms, reads, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .expressions import Unsupported
from .scans import write_scan
from .scatters import write_scatter, write_sorted
from .source import Kernel, write_kernel

Kerneled = Region | Recurrence | Scattered


class Launcher:
    """One region, recurrence or scatter and its kernel; `sorted` is the other one of a scatter."""

    def __init__(self, region: Kerneled, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region: Kerneled = region
        self.name = name
        self.sorted: Kernel | None = None
        match region:
            case Recurrence():
                self.kernel: Kernel = write_scan(region, name)
            case Scattered():
                self.kernel = write_scatter(region, name)
                self.sorted = write_sorted(region, f"{name}_sorted") if region.collides else None
            case Region():
                self.kernel = write_kernel(region, name, wide_axes(region, sizes))

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Its kernels."""
        return (self.kernel,) if self.sorted is None else (self.kernel, self.sorted)

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the region reads."""
        made = arrays_of(self.region)
        return tuple(a for a in reads(*terms_of(self.region)) if a not in made)


@dataclass(slots=True, eq=False)
class Program:
    """Steps in order, with a launcher for each region that has a kernel."""

    terms: Terms
    steps: tuple[Step, ...]
    sizes: Mapping[Symbol, int]
    prefix: str = "kernel"
    launchers: dict[Step, Launcher] = field(default_factory=dict[Step, Launcher])

    def __post_init__(self) -> None:
        for step in self.steps:
            if not isinstance(step, Library):
                try:
                    name = f"{self.prefix}_{len(self.launchers) + 1}"
                    self.launchers[step] = Launcher(step, name, self.sizes)
                except Unsupported:
                    continue

    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return tuple(label(launcher.region) for launcher in self.launchers.values())

    def source(self) -> str:
        """The text of all kernels."""
        return "\n\n".join(k.text for each in self.launchers.values() for k in each.kernels)


def pieces(step: Region | Library) -> list[tuple[Array, Term]]:
    """What a step makes, and of which terms."""
    if isinstance(step, Library):
        return [(step.array, step.term)]
    return [(output.array, output.term) for output in step.outputs]


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
