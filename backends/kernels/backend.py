"""The Triton backend: kernels derived from the equations of a diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.targets import Artifact, Request, TargetError

from .dispatch import choice, tunes
from .expressions import Unsupported
from .file import write_file
from .module import triton_module
from .training import Runner

if TYPE_CHECKING:
    from torch import nn


class TritonBackend:
    """Writes the kernels of a diagram (`ncdc build --backend triton`), or runs them.

    The option `derived` is `true` for kernels wherever they can run, `false` for what PyTorch
    offers, and `auto` for what was measured to be faster. With `tune` a GPU measures tiles.
    """

    name = "triton"
    options = ("derived", "tune")

    def emit(self, request: Request) -> Artifact:
        """A file with a class that runs the kernels. Raises TargetError where there are none."""
        diagram = request.diagram
        choice(request)
        tunes(request)
        try:
            opened = open_diagram(diagram)
        except Opaque as opaque:
            raise TargetError(f"{diagram.name} has no kernels: {opaque.what}") from None
        sizes = {s: request.sizes[s.name] for s in diagram.unknowns if s.name in request.sizes}
        runner = Runner(make_plan(opened, sizes), sizes)
        if not runner.names:
            raise TargetError(f"{diagram.name} has no region that streams")
        try:
            return Artifact(write_file(request, runner).text, ".py")
        except Unsupported as found:
            if any(isinstance(step, Foreign) for step in runner.plan.steps):
                raise TargetError(f"{diagram.name} has no kernels: {found}") from None
            # The kernels alone, where no operation can be made of a step.
            return Artifact(runner.source(), ".py")

    def module(self, request: Request) -> nn.Module:
        """A module with the parameters of the PyTorch backend's, run by derived kernels."""
        return triton_module(request)
