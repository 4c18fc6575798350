"""Regions under automatic differentiation: kernels forward, derived kernels backward."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.adjoint import STATISTIC, Gradient, NoGradient, gradient
from ncdlang.analysis.plan import Plan, Planner, Region
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
        self.results = planner.run(roots, short)
        self.program = Program(region.terms, tuple(planner.steps), sizes, f"{name}_backward")


class Runner:
    """The kernels of a diagram for sizes of one class, forward and backward."""

    def __init__(self, plan: Plan, sizes: Mapping[Symbol, int]) -> None:
        self.plan = plan
        self.sizes = sizes
        self.program = Program(plan.opened.terms, plan.steps, sizes)
        self._backwards: dict[Region, Backward | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels in order, named after what they make."""
        return self.program.names()

    def backward(self, region: Region) -> Backward | None:
        """The backward pass of a region, None where it is left to PyTorch."""
        if region not in self._backwards:
            name = self.program.launchers[region].kernel.name
            try:
                self._backwards[region] = Backward(region, name, self.sizes)
            except (NoGradient, Unsupported):
                self._backwards[region] = None
        return self._backwards[region]
