"""Regions under automatic differentiation: kernels forward, derived kernels backward."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.adjoint import STATISTIC, Gradient, NoGradient, gradient, step_gradient
from ncdlang.analysis.plan import Plan, Planner, Region, Step
from ncdlang.semantics.size import Symbol

from .expressions import Unsupported
from .runner import Launcher, Program, with_outputs


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
        self.program = Program(region.terms, tuple(planner.steps), sizes, f"{name}_backward")


class StepBackward:
    """The backward pass of a recurrence or of a scatter: a scan the other way round, or a gather.

    It has what `Backward` has; nothing more than the result is kept for it.
    """

    def __init__(self, launcher: Launcher, sizes: Mapping[Symbol, int]) -> None:
        step = launcher.region
        assert not isinstance(step, Region)
        self.region = step
        self.forward = launcher
        self.gradient, scan = step_gradient(step)
        planner = Planner(step.terms, sizes, STATISTIC)
        if scan is not None:
            planner.add(scan)
        roots = [(f"d{root.array}", root.axes, root.term) for root in self.gradient.roots]
        self.results = planner.run(roots, frozenset(name for name, _, _ in roots))
        steps, name = tuple(planner.steps), f"{launcher.name}_backward"
        self.program = Program(step.terms, steps, sizes, name)


AnyBackward = Backward | StepBackward


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
                if isinstance(step, Region):
                    self._backwards[step] = Backward(step, launcher.name, self.sizes)
                else:
                    self._backwards[step] = StepBackward(launcher, self.sizes)
            except (NoGradient, Unsupported):
                self._backwards[step] = None
        return self._backwards[step]
