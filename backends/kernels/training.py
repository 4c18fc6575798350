"""Regions under automatic differentiation: kernels forward, derived kernels backward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.adjoint import STATISTIC, Gradient, NoGradient, gradient
from ncdlang.analysis.plan import Plan, Planner, Region, Step
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array, reads
from ncdlang.semantics.size import Symbol

from .expressions import Unsupported
from .launch import HEADER
from .library import Evaluator
from .recurrent import Gathered, Reversed, by_library
from .runner import Arrays, Call, Kerneled, Launcher, Program, label, pieces, with_outputs
from .scans import THEN
from .scattering import by_library as scattered

if TYPE_CHECKING:
    import torch


class Backward:
    """The backward pass of one region: what forward has to keep, and the kernels."""

    def __init__(self, region: Region, name: str, sizes: Mapping[Symbol, int]) -> None:
        self.region = region
        self.gradient: Gradient = gradient(region)
        kept = with_outputs(region, self.gradient.saved)
        self.forward = Launcher(kept, f"{name}_kept", sizes)
        planner = Planner(region.terms, sizes, STATISTIC)
        roots = [
            (f"d{root.array}", (*root.rest, *root.axes), root.term) for root in self.gradient.roots
        ]
        # What is still to be summed, or was summed down to a few entries, stays in f32.
        short = frozenset(f"d{r.array}" for r in self.gradient.roots if r.rest or len(r.axes) < 2)
        for array in self.gradient.statistics:
            planner.make(array)
        self.results = planner.run(roots, short)
        self.program = Program(
            region.terms, tuple(planner.steps), sizes, f"{name}_backward", exact=True
        )

    def gradients(self, arrays: Arrays, call: Call) -> dict[Array, torch.Tensor]:
        """The gradients of the arrays that the region reads, in their own shapes."""
        import torch

        run_steps(self.program, arrays, call, {})
        found: dict[Array, torch.Tensor] = {}
        for root, result in zip(self.gradient.roots, self.results, strict=True):
            made = arrays[result]
            for _ in root.rest:
                made = made.sum(1, dtype=torch.float64)
            if arrays[root.array].shape[0] == 1 and made.shape[0] > 1:
                made = made.sum(0, keepdim=True)
            made = made.reshape(made.shape[0], *arrays[root.array].shape[1:])
            known = found.get(root.array)
            found[root.array] = made if known is None else known + made
        return found


class Runner:
    """The kernels of a diagram for sizes of one class, forward and backward."""

    def __init__(self, plan: Plan, sizes: Mapping[Symbol, int]) -> None:
        self.plan = plan
        self.sizes = sizes
        self.program = Program(plan.opened.terms, plan.steps, sizes)
        self._backwards: dict[Step, Backward | Reversed | Gathered | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return self.program.names()

    def backward(self, step: Kerneled) -> Backward | Reversed | Gathered | None:
        """The backward pass of a step, None where it is left to PyTorch."""
        if step not in self._backwards:
            launcher = self.program.launchers[step]
            try:
                if isinstance(step, Recurrence):
                    self._backwards[step] = Reversed(step, launcher)
                elif isinstance(step, Scattered):
                    self._backwards[step] = Gathered(step)
                else:
                    self._backwards[step] = Backward(step, launcher.name, self.sizes)
            except (NoGradient, Unsupported):
                self._backwards[step] = None
        return self._backwards[step]

    def source(self, with_backward: bool = True) -> str:
        """The text of all kernels."""
        texts = [self.program.source()]
        for launcher in self.program.launchers.values() if with_backward else ():
            match self.backward(launcher.region):
                case Backward() as backward:
                    texts.append(backward.forward.kernel.text)
                    texts.append(backward.program.source())
                case Reversed() as backward:
                    texts.append(backward.launcher.kernel.text)
                case Gathered() | None:
                    pass
        first, *rest = "\n\n".join(text for text in texts if text).split(THEN)
        return HEADER + first + (THEN if rest else "") + "".join(rest)

    def run(self, inputs: Arrays, call: Call) -> tuple[tuple[torch.Tensor, ...], tuple[str, ...]]:
        """The results with the lifted dimension in front, and the names of the kernels that ran."""
        arrays = dict(inputs)
        ran = run_steps(self.program, arrays, call, self._differentiable())
        return tuple(arrays[result] for result in self.plan.results), tuple(ran)

    def _differentiable(self) -> dict[Step, Backward | Reversed | Gathered | None]:
        import torch

        if not torch.is_grad_enabled():
            return {}
        return {step: self.backward(own.region) for step, own in self.program.launchers.items()}


def run_steps(
    program: Program,
    arrays: Arrays,
    call: Call,
    backwards: Mapping[Step, Backward | Reversed | Gathered | None],
) -> list[str]:
    """Run all steps; those in `backwards` so that gradients flow through them."""
    ran: list[str] = []
    for step in program.steps:
        launcher, backward = program.launchers.get(step), backwards.get(step)
        needs = launcher is not None and any(arrays[a].requires_grad for a in launcher.inputs)
        needs = needs and step in backwards
        if launcher is None or (needs and backward is None):
            by_calls(program, step, arrays, call)
            continue
        if isinstance(backward, Reversed | Gathered) and needs:
            backward.run(launcher, arrays, call, program.limits)
        elif needs and isinstance(backward, Backward):
            tracked(backward, launcher.inputs, arrays, call, program.limits)
        else:
            launcher.run(arrays, call, program.limits)
        ran.append(label(launcher.region))
    return ran


def by_calls(program: Program, step: Step, arrays: Arrays, call: Call) -> None:
    """What a step makes, by PyTorch's operators."""
    if isinstance(step, Recurrence):
        arrays[step.array] = by_library(step, arrays, call)
    elif isinstance(step, Scattered):
        values = Evaluator(step.terms, arrays, call.sizes, call.dtype, call.device)
        arrays[step.array] = scattered(step, values, call.lifted).to(call.format(step.array))
    else:
        program.evaluate(pieces(step), arrays, call)


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
    wanted = dict.fromkeys((*reads(*(r.term for r in backward.gradient.roots)),))

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
