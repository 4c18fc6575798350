"""Runs the steps of a plan: kernels for its regions, the library for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.opening import Opened
from ncdlang.analysis.plan import RESIDENT, Library, Region, make_plan
from ncdlang.analysis.terms import Array, Term, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

from .expressions import Unsupported
from .launch import HEADER, compiled, launch
from .library import Evaluator
from .schedule import choose
from .source import Kernel, write_kernel

if TYPE_CHECKING:
    import torch

Arrays = dict[Array, "torch.Tensor"]


class Runner:
    """The kernels of a diagram for sizes of one class."""

    def __init__(self, opened: Opened, sizes: Mapping[Symbol, int]) -> None:
        self.plan = make_plan(opened, sizes)
        self.kernels: dict[Region, Kernel] = {}
        self.limits: dict[str, int] = {}
        self._functions: dict[Region, Any] = {}
        for region in self.plan.regions:
            name = f"kernel_{len(self.kernels) + 1}"
            try:
                self.kernels[region] = write_kernel(region, name, wide_axes(region, sizes))
            except Unsupported:
                continue

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return tuple(label(region) for region in self.kernels)

    @property
    def source(self) -> str:
        """The text of all kernels."""
        return HEADER + "\n\n".join(kernel.text for kernel in self.kernels.values())

    def run(
        self, inputs: Arrays, sizes: dict[Symbol, int], lifted: int, dtype: torch.dtype
    ) -> tuple[tuple[torch.Tensor, ...], tuple[str, ...]]:
        """The results with the lifted dimension in front, and the names of the kernels that ran."""
        arrays = dict(inputs)
        ran: list[str] = []
        for step in self.plan.steps:
            if isinstance(step, Region) and step in self.kernels:
                self._launch(step, arrays, sizes, lifted, dtype)
                ran.append(label(step))
            elif isinstance(step, Library):
                arrays[step.array] = self._evaluated(step.array, step.term, arrays, sizes, dtype)
            else:
                for output in step.outputs:
                    arrays[output.array] = self._evaluated(
                        output.array, output.term, arrays, sizes, dtype
                    )
        return tuple(arrays[result] for result in self.plan.results), tuple(ran)

    def _evaluated(
        self,
        array: Array,
        term: Term,
        arrays: Arrays,
        sizes: dict[Symbol, int],
        dtype: torch.dtype,
    ) -> torch.Tensor:
        device = next(iter(arrays.values())).device
        evaluator = Evaluator(self.plan.opened.terms, arrays, sizes, dtype, device)
        return evaluator.run(term, array.axes)

    def _launch(
        self,
        region: Region,
        arrays: Arrays,
        sizes: dict[Symbol, int],
        lifted: int,
        dtype: torch.dtype,
    ) -> None:
        kernel = self.kernels[region]
        if region not in self._functions:
            self._functions[region] = compiled(HEADER + kernel.text, kernel.name)
        for output in region.outputs:
            arrays[output.array] = empty(output.array, arrays, sizes, lifted, dtype)
        schedule = choose(kernel, sizes, self.limits)
        launch(kernel, self._functions[region], schedule, arrays, sizes, lifted, precision())


def empty(
    array: Array, arrays: Arrays, sizes: dict[Symbol, int], lifted: int, dtype: torch.dtype
) -> torch.Tensor:
    """Room for what a kernel makes."""
    import torch

    kinds = {"integer": torch.int64, "boolean": torch.bool}
    shape = [lifted, *(axis.size.evaluate(sizes) for axis in array.axes)]
    device = next(iter(arrays.values())).device
    return torch.empty(shape, dtype=kinds.get(array.kind.name, dtype), device=device)


def precision() -> str:
    """How kernels multiply matrices of f32, as PyTorch is told to."""
    import torch

    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def label(region: Region) -> str:
    """What people call a kernel: the arrays that it makes."""
    return ", ".join(str(output.array) for output in region.outputs)


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
