"""Regions under automatic differentiation: kernels forward, derived kernels backward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.adjoint import (
    STATISTIC,
    Gradient,
    NoGradient,
    Root,
    gradient,
    step_gradient,
)
from ncdlang.analysis.gathers import written_back
from ncdlang.analysis.plan import Planner
from ncdlang.analysis.row_gradient import rows_gradient, with_picked, with_saved
from ncdlang.analysis.rows import pointwise, together, with_columns
from ncdlang.analysis.split import PARTS
from ncdlang.analysis.steps import Library, Plan, Region, Rows, Step, terms_of
from ncdlang.analysis.terms import Array, reads
from ncdlang.semantics.size import Symbol

from .expressions import Unsupported
from .launch import HEADER
from .runner import Arrays, Call, Launcher, Program, label, pieces, with_outputs
from .source import Kernel

if TYPE_CHECKING:
    import torch


class Backward:
    """The backward pass of one region: what forward has to keep, and the kernels."""

    def __init__(self, region: Region | Rows, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region = region
        if isinstance(region, Rows):
            self.gradient: Gradient = rows_gradient(region)
            kept = with_saved(region, self.gradient.saved)
        else:
            self.gradient = gradient(region)
            kept = with_outputs(region, self.gradient.saved)
        self.gradient = with_picked(region.terms, self.gradient)
        self.forward = Launcher(kept, f"{name}_kept", sizes)
        planner = Planner(region.terms, sizes, STATISTIC)
        # What is still to be summed, or was summed down to a few entries, stays in f32.
        short = frozenset(f"d{r.array}" for r in self.gradient.roots if r.rest or len(r.axes) < 2)
        for array in self.gradient.statistics:
            planner.make(array)
        self.results = planned(planner, self.gradient, short)
        rows = together(pointwise(region.terms, planner.steps))
        steps = tuple(with_columns(region.terms, rows, self.results))
        self.program = Program(region.terms, steps, sizes, f"{name}_backward", exact=True)

    def gradients(self, arrays: Arrays, call: Call) -> dict[Array, torch.Tensor]:
        """The gradients of the arrays that the region reads, in their own shapes."""
        import torch

        run_steps(self.program, arrays, call, {})
        found: dict[Array, torch.Tensor] = {}
        for root, result in zip(self.gradient.roots, self.results, strict=True):
            made = arrays[result]
            for _ in root.rest:
                made = made.sum(1, dtype=torch.float64)
            # Composite axes come in parts.
            made = made.flatten(1).reshape(-1, *arrays[root.array].shape[1:])
            if arrays[root.array].shape[0] == 1 and made.shape[0] > 1:
                made = made.sum(0, keepdim=True)
            known = found.get(root.array)
            found[root.array] = made if known is None else known + made
        return found


def planned(planner: Planner, gradient: Gradient, short: frozenset[str]) -> tuple[Array, ...]:
    """Plan the gradients of arrays; those of reads at indices are scattered. One array a root."""
    scattered: dict[Root, Array] = {}
    for root in gradient.roots:
        if root.read is not None:
            name = f"d{root.array}"
            step = written_back(planner.terms, name, root.read, root.term)
            planner.add(step)
            scattered[root] = step.array
    others = [root for root in gradient.roots if root not in scattered]
    made = planner.run([(f"d{r.array}", (*r.rest, *r.axes), r.term) for r in others], short)
    found = scattered | dict(zip(others, made, strict=True))
    return tuple(found[root] for root in gradient.roots)


class StepBackward:
    """The backward pass of a recurrence, of a scatter or of a gather.

    That is a scan the other way round, a gather, or a scatter.

    It has what `Backward` has; nothing more than the result is kept for it.
    """

    def __init__(self, launcher: Launcher, sizes: Mapping[Symbol, int]) -> None:
        step = launcher.region
        assert not isinstance(step, Region | Rows)
        self.region = step
        self.forward = launcher
        self.gradient, scan = step_gradient(step)
        planner = Planner(step.terms, sizes, STATISTIC)
        if scan is not None:
            planner.add(scan)
        short = frozenset(f"d{root.array}" for root in self.gradient.roots)
        self.results = planned(planner, self.gradient, short)
        steps, name = tuple(planner.steps), f"{launcher.name}_backward"
        self.program = Program(step.terms, steps, sizes, name)


AnyBackward = Backward | StepBackward


def kernels_of(launcher: Launcher, backward: AnyBackward | None) -> list[Kernel]:
    """All kernels that a step and its gradient launch, each once."""
    found = [*launcher.kernels]
    if backward is not None:
        found += [k for k in backward.forward.kernels if k not in found]
        found += [k for each in backward.program.launchers.values() for k in each.kernels]
    return found


class Runner:
    """The kernels of a diagram for sizes of one class, forward and backward."""

    def __init__(self, plan: Plan, sizes: Mapping[Symbol, int]) -> None:
        self.plan = plan
        self.sizes = sizes
        self.program = Program(plan.opened.terms, plan.steps, sizes)
        self._backwards: dict[Step, AnyBackward | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return self.program.names()

    def backward(self, step: Step) -> AnyBackward | None:
        """The backward pass of a step, None where it is left to PyTorch."""
        if step not in self._backwards:
            launcher = self.program.launchers[step]
            try:
                if isinstance(step, Region | Rows):
                    self._backwards[step] = Backward(step, launcher.name, self.sizes)
                else:
                    self._backwards[step] = StepBackward(launcher, self.sizes)
            except (NoGradient, Unsupported):
                self._backwards[step] = None
        return self._backwards[step]

    def source(self, with_backward: bool = True) -> str:
        """The text of all kernels."""
        found: list[Kernel] = []
        for step, launcher in self.program.launchers.items():
            found += kernels_of(launcher, self.backward(step) if with_backward else None)
        calls = dict.fromkeys(each for kernel in found for each in kernel.calls)
        return HEADER + "".join(calls) + "\n\n".join(kernel.text for kernel in found)

    @property
    def is_stepwise(self) -> bool:
        """Whether it can run step by step: forward and backward by regions and the library."""
        backwards = [self.backward(region) for region in self.program.launchers]
        steps = [s for each in backwards if each is not None for s in each.program.steps]
        return all(isinstance(s, Region | Library | Rows) for s in (*self.plan.steps, *steps))

    def run(self, inputs: Arrays, call: Call) -> tuple[tuple[torch.Tensor, ...], tuple[str, ...]]:
        """The results with the lifted dimension in front, and the names of the kernels that ran."""
        arrays = dict(inputs)
        ran = run_steps(self.program, arrays, call, self._differentiable())
        return tuple(arrays[result] for result in self.plan.results), tuple(ran)

    def _differentiable(self) -> dict[Step, AnyBackward | None]:
        import torch

        if not torch.is_grad_enabled():
            return {}
        return {r: self.backward(r) for r in self.plan.regions if r in self.program.launchers}


def run_steps(
    program: Program, arrays: Arrays, call: Call, backwards: Mapping[Step, AnyBackward | None]
) -> list[str]:
    """Run all steps; regions in `backwards` so that gradients flow through them.

    Raises Unsupported for other steps, which only run in files.
    """
    ran: list[str] = []
    for step in program.steps:
        if isinstance(step, Rows):
            # These kernels only run in files.
            call.sizes.setdefault(PARTS, 1)
            program.evaluate([(o.array, o.written) for o in step.outputs], arrays, call)
            continue
        if not isinstance(step, Region | Library):
            raise Unsupported("only regions run step by step")
        launcher = program.launchers.get(step)
        if launcher is None:
            program.evaluate(pieces(step), arrays, call)
            continue
        needs = step in backwards and any(arrays[a].requires_grad for a in launcher.inputs)
        backward = backwards.get(step)
        if not needs:
            launcher.run(arrays, call, program.limits)
        elif not isinstance(backward, Backward):
            program.evaluate(pieces(step), arrays, call)
            continue
        else:
            tracked(backward, launcher.inputs, arrays, call, program.limits)
        ran.append(label(launcher.region))
    return ran


def tracked(
    backward: Backward,
    inputs: tuple[Array, ...],
    arrays: Arrays,
    call: Call,
    limits: dict[str, int],
) -> None:
    """Run a region's kernel as one differentiable operation."""
    import torch

    outputs = [output.array for output in backward.region.outputs]
    saved = [output.array for output in backward.gradient.saved]
    wanted = {a for step in backward.program.steps for a in reads(*terms_of(step))}

    class Operation(torch.autograd.Function):
        """The region, as PyTorch differentiates it."""

        @staticmethod
        def forward(ctx: Any, *tensors: torch.Tensor) -> Any:
            own: Arrays = dict(zip(inputs, tensors, strict=True))
            backward.forward.run(own, call, limits)
            kept = [a for a in (*inputs, *outputs, *saved) if a in wanted or a in inputs]
            ctx.kept = kept
            ctx.save_for_backward(*(own[array] for array in kept))
            return tuple(own[a] for a in outputs) if len(outputs) > 1 else own[outputs[0]]

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> Any:
            own: Arrays = dict(zip(ctx.kept, ctx.saved_tensors, strict=True))
            for array, grad in zip(backward.gradient.cotangents, grads, strict=True):
                own[array] = grad.contiguous()
            found = backward.gradients(own, call)
            return tuple(
                found[a].to(own[a].dtype) if a in found and own[a].requires_grad else None
                for a in inputs
            )

    apply: Any = Operation.apply
    made: Any = apply(*(arrays[array] for array in inputs))
    several: tuple[torch.Tensor, ...] = made if len(outputs) > 1 else (made,)
    arrays.update(zip(outputs, several, strict=True))
