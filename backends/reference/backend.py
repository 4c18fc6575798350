"""The backend that the registry finds under `reference`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.semantics.program import Claim
from ncdlang.semantics.text import render_checked
from ncdlang.targets import Artifact, Request

if TYPE_CHECKING:
    from torch import nn


class ReferenceBackend:
    """Evaluates checked diagrams by their definition."""

    name = "reference"
    options: tuple[str, ...] = ()

    def emit(self, request: Request) -> Artifact:
        """What is evaluated: the checked diagram as text."""
        return Artifact(render_checked(request.diagram), ".txt")

    def module(self, request: Request) -> nn.Module:
        """A module with the parameters of the diagram, in eval mode until `train()` is called.

        Its results are float64 (int64, bool, complex128) and carry no gradient. Raises
        TargetError for a size that a parameter's shape needs and nothing gives, and for an `op`
        that nothing is registered for.
        """
        from .module import reference_module

        return reference_module(request)

    def counterexample(self, claim: Claim) -> str | None:
        """Numbers for which a symmetry does not hold, in words; None where none was found."""
        from .symmetry import counterexample

        return counterexample(claim)
