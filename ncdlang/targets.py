"""What a backend is, and how backends are found (entry-point group `ncdlang.backends`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ncdlang.records import field, record
from ncdlang.semantics.program import CheckedDiagram, CheckedProgram

if TYPE_CHECKING:
    from torch import nn

GROUP = "ncdlang.backends"


@record
class Artifact:
    """What a backend made: text or bytes, and the ending of a file that would hold it.

    `notes` are what its user ought to know of how it was made.
    """

    content: str | bytes
    suffix: str
    notes: tuple[str, ...] = ()


@record
class Request:
    """What to make an artifact of.

    `sizes` gives sizes of axes by name; `settings` gives numbers of consts; `options` are the
    backend's own (`style`, `format`, ...), as text.
    """

    program: CheckedProgram
    diagram: CheckedDiagram
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    dtype: str = "f32"
    options: Mapping[str, str] = field(default_factory=dict[str, str])


class TargetError(Exception):
    """A backend can't make what was asked for; the message is for the user."""


class Backend(Protocol):
    """A way to turn a checked diagram into something. `emit` raises TargetError."""

    name: str

    def emit(self, request: Request) -> Artifact:
        """Make the artifact."""
        ...


class ModuleBackend(Backend, Protocol):
    """A backend that makes runnable modules."""

    def module(self, request: Request) -> nn.Module:
        """A `torch.nn.Module` of the diagram. Raises TargetError, also where a size is missing."""
        ...


def backend(name: str) -> Any:
    """The backend registered under `name`. Raises TargetError where there is none."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP, name=name):
        return entry.load()()
    raise TargetError(f"there is no backend `{name}`; installed: {', '.join(backends()) or 'none'}")


def backends() -> tuple[str, ...]:
    """Names of all registered backends, sorted."""
    from importlib.metadata import entry_points

    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))
