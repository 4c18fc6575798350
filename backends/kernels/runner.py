"""The steps of a plan: kernels for its regions, the library for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ncdlang.analysis.plan import RESIDENT, Library, Output, Region, Step
from ncdlang.analysis.terms import Array, Term, Terms, reads, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .expressions import Unsupported
from .source import Kernel, write_kernel


class Launcher:
    """One region and its kernel."""

    def __init__(self, region: Region, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region = region
        self.name = name
        self.kernel: Kernel = write_kernel(region, name, wide_axes(region, sizes))

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that the region reads."""
        made = {output.array for output in self.region.outputs}
        return tuple(a for a in reads(*(o.term for o in self.region.outputs)) if a not in made)


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
            if isinstance(step, Region):
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
        return "\n\n".join(launcher.kernel.text for launcher in self.launchers.values())


def pieces(step: Step) -> list[tuple[Array, Term]]:
    """What a step makes, and of which terms."""
    if isinstance(step, Library):
        return [(step.array, step.term)]
    return [(output.array, output.term) for output in step.outputs]


def label(region: Region) -> str:
    """What people call a kernel: the arrays that it makes."""
    return ", ".join(str(output.array) for output in region.outputs)


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
