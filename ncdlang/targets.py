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
    """A way to turn a checked diagram into something. `emit` raises TargetError.

    A backend may have `options`, a tuple of names: no others are then passed to it. One that has
    no such attribute is given them all, and checks them.
    """

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


def refuse_unknown(found: Any, options: Mapping[str, str]) -> None:
    """Raises TargetError for an option that a backend does not have, and says what it has."""
    known: tuple[str, ...] | None = getattr(found, "options", None)
    for name in options:
        if known is None or name in known:
            continue
        others = (each for each in backends() if name in getattr(backend(each), "options", ()))
        owners = " or ".join(f"`{each}`" for each in others)
        if owners:
            raise TargetError(f"`{name}` needs the backend {owners}")
        has = f"the options are {', '.join(known)}" if known else "it has no options"
        raise TargetError(f"the backend `{found.name}` has no option `{name}`; {has}")


def backends() -> tuple[str, ...]:
    """Names of all registered backends, sorted."""
    from importlib.metadata import entry_points

    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))
