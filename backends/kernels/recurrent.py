"""Recurrences and scatters under automatic differentiation.

Backward a scan is the reversed scan, and a scatter a gather.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncdlang.analysis.adjoint import NoGradient
from ncdlang.analysis.recurrences import Recurrence, adjoint
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array, Term, Terms
from ncdlang.semantics.types import Axis

from .library import Evaluator
from .runner import Arrays, Call, Launcher

if TYPE_CHECKING:
    import torch


class Reversed:
    """The backward pass of a recurrence: its cotangents are the same scan the other way round."""

    def __init__(self, recurrence: Recurrence, launcher: Launcher) -> None:
        self.array = array = recurrence.array
        self.recurrence = recurrence
        self.given = Array(f"d{array.name}", array.axes, array.kind, (), "cotangent")
        self.adjoint = adjoint(recurrence, self.given)
        self.launcher = Launcher(self.adjoint, f"{launcher.name}_backward", {})

    def run(self, launcher: Launcher, arrays: Arrays, call: Call, limits: dict[str, int]) -> None:
        """Run the kernel as one differentiable operation."""
        tracked(self, self.recurrence.inputs, launcher, arrays, call, limits)

    def gradients(
        self, made: torch.Tensor, grad: torch.Tensor, inputs: Arrays, call: Call
    ) -> dict[Array, torch.Tensor]:
        """The gradients of the inputs that have one, from that of what was `made`."""
        own: Arrays = {**inputs, self.given: grad.contiguous()}
        self.launcher.run(own, call, {})
        offset = own[self.adjoint.array]
        factor = offset * _before(made, self.recurrence)
        step, axes = self.recurrence, self.array.axes
        terms = [(step.factor, axes), (step.offset, axes)]
        return pulled(terms, [factor, offset], inputs, step.terms, call)


def terms_over(
    arrays: Arrays, recurrence: Recurrence, call: Call, shape: torch.Size
) -> tuple[torch.Tensor, torch.Tensor]:
    """The factor and the offset of every step, in f32 at least."""
    evaluator = Evaluator(recurrence.terms, arrays, call.sizes, call.dtype, call.device, exact=True)
    axes = recurrence.array.axes
    parts = (evaluator.run(term, axes) for term in (recurrence.factor, recurrence.offset))
    factor, offset = (part.to(evaluator.wide).expand(shape) for part in parts)
    return factor, offset


def _before(made: torch.Tensor, recurrence: Recurrence) -> torch.Tensor:
    """The state that each step started from: 0 at the first."""
    import torch

    dim = 1 + recurrence.array.axes.index(recurrence.axis)
    count = made.shape[dim]
    if not count:
        return made
    first = torch.zeros_like(made.narrow(dim, 0, 1))
    if recurrence.reverse:
        return torch.cat([made.narrow(dim, 1, count - 1), first], dim)
    return torch.cat([first, made.narrow(dim, 0, count - 1)], dim)


def by_library(recurrence: Recurrence, arrays: Arrays, call: Call) -> torch.Tensor:
    """The states without a kernel: steps over 1, 2, 4, ... positions composed at once."""
    import torch

    shape = torch.Size(
        [call.lifted, *(axis.size.evaluate(call.sizes) for axis in recurrence.array.axes)]
    )
    factor, offset = terms_over(arrays, recurrence, call, shape)
    dim = 1 + recurrence.array.axes.index(recurrence.axis)
    if recurrence.reverse:
        factor, offset = factor.flip(dim), offset.flip(dim)
    count, lag = shape[dim], 1
    while lag < count:
        head, tail = (0, lag), (lag, count - lag)
        earlier = offset.narrow(dim, 0, count - lag), factor.narrow(dim, 0, count - lag)
        moved = offset.narrow(dim, *tail) + factor.narrow(dim, *tail) * earlier[0]
        offset = torch.cat([offset.narrow(dim, *head), moved], dim)
        product = factor.narrow(dim, *tail) * earlier[1]
        factor = torch.cat([factor.narrow(dim, *head), product], dim)
        lag *= 2
    made = offset.flip(dim) if recurrence.reverse else offset
    return made.to(call.format(recurrence.array))


def tracked(
    backward: Reversed | Gathered,
    inputs: tuple[Array, ...],
    launcher: Launcher,
    arrays: Arrays,
    call: Call,
    limits: dict[str, int],
) -> None:
    """Run a kernel as one differentiable operation."""
    import torch

    array = backward.array

    class Operation(torch.autograd.Function):
        """The step, as PyTorch differentiates it."""

        @staticmethod
        def forward(ctx: Any, *tensors: torch.Tensor) -> Any:
            own: Arrays = dict(zip(inputs, tensors, strict=True))
            launcher.run(own, call, limits)
            ctx.save_for_backward(own[array], *tensors)
            return own[array]

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> Any:
            made, *tensors = ctx.saved_tensors
            own: Arrays = dict(zip(inputs, tensors, strict=True))
            found = backward.gradients(made, grads[0], own, call)
            return tuple(found.get(array) for array in inputs)

    apply: Any = Operation.apply
    arrays[array] = apply(*(arrays[array] for array in inputs))


class Gathered:
    """The backward pass of a scatter that adds: a source has the gradient of its place."""

    def __init__(self, scattered: Scattered) -> None:
        if scattered.op != "+=" and (scattered.op != "=" or scattered.base is not None):
            raise NoGradient(f"a scatter by {scattered.op} is left to PyTorch")
        self.scattered = scattered
        self.array = array = scattered.array
        self.given = Array(f"d{array.name}", array.axes, array.kind, (), "cotangent")

    def run(self, launcher: Launcher, arrays: Arrays, call: Call, limits: dict[str, int]) -> None:
        """Run the kernel as one differentiable operation."""
        tracked(self, self.scattered.inputs, launcher, arrays, call, limits)

    def gradients(
        self, _: torch.Tensor, grad: torch.Tensor, inputs: Arrays, call: Call
    ) -> dict[Array, torch.Tensor]:
        """The gradients of the inputs that have one."""
        step = self.scattered
        place = step.terms.load(self.given, step.indices)
        own: Arrays = {**inputs, self.given: grad.contiguous()}
        values = Evaluator(step.terms, own, call.sizes, call.dtype, call.device, exact=True)
        given = [values.run(place, step.axes)]
        terms = [(step.source, step.axes)]
        if step.base is not None:
            given.append(grad)
            terms.append((step.base, self.array.axes))
        return pulled(terms, given, inputs, step.terms, call)


def pulled(
    terms: list[tuple[Term, tuple[Axis, ...]]],
    given: list[torch.Tensor],
    inputs: Arrays,
    within: Terms,
    call: Call,
) -> dict[Array, torch.Tensor]:
    """The gradients of the arrays that terms read, from those of the terms over their axes."""
    import torch

    leaves = {a: t.detach().requires_grad_() for a, t in inputs.items() if t.requires_grad}
    with torch.enable_grad():
        own = {**inputs, **leaves}
        values = Evaluator(within, own, call.sizes, call.dtype, call.device, exact=True)
        parts = [
            values.run(term, axes).to(values.wide).expand(each.shape)
            for (term, axes), each in zip(terms, given, strict=True)
        ]
    pairs = [(p, g.to(p.dtype)) for p, g in zip(parts, given, strict=True) if p.requires_grad]
    found = torch.autograd.grad(
        [part for part, _ in pairs],
        list(leaves.values()),
        [each for _, each in pairs],
        allow_unused=True,
    )
    return {a: g for a, g in zip(leaves, found, strict=True) if g is not None}
