"""The Triton backend: kernels derived from the equations of a diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.targets import Artifact, Request, TargetError

from .module import triton_module
from .training import Runner

if TYPE_CHECKING:
    from torch import nn


class TritonBackend:
    """Writes the kernels of a diagram (`ncdc build --backend triton`), or runs them."""

    name = "triton"

    def emit(self, request: Request) -> Artifact:
        """The source of the kernels. Raises TargetError where no region has one."""
        diagram = request.diagram
        try:
            opened = open_diagram(diagram)
        except Opaque as opaque:
            raise TargetError(f"{diagram.name} has no kernels: {opaque.what}") from None
        sizes = {s: request.sizes[s.name] for s in diagram.unknowns if s.name in request.sizes}
        runner = Runner(make_plan(opened, sizes), sizes)
        if not runner.names:
            raise TargetError(f"{diagram.name} has no region that streams")
        return Artifact(runner.source(), ".py")

    def module(self, request: Request) -> nn.Module:
        """A module with the parameters of the PyTorch backend's, run by derived kernels."""
        return triton_module(request)
