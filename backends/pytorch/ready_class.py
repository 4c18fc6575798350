"""What a ready-made class is: a text that stands for a diagram of the standard library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis

from .code import number

Key = tuple[str, str]
Write = Callable[[Size], str]
Late = Callable[[CheckedDiagram], list[tuple[str, Size]]]
Fits = Callable[[CheckedDiagram], bool]


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """The class of a diagram: its text, and how an instance of it is built.

    `late` gives the sizes that `forward` takes as keyword arguments.
    """

    source: str
    arguments: Callable[[CheckedDiagram, Write], str]
    fits: Fits
    late: Late | None = None


def ends(diagram: CheckedDiagram) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """The axes of the first input and of the first result."""
    return diagram.parameters[0].type.axes, diagram.results[0].type.axes


def has(diagram: CheckedDiagram, *shapes: tuple[str, tuple[Axis, ...]]) -> bool:
    """One input, one result, and exactly these parameters, all of them plain reals."""
    found = [(p.wire.name, p.wire.type.axes) for p in diagram.learned if not p.frozen]
    wires = [*diagram.parameters, *diagram.results, *(p.wire for p in diagram.learned)]
    return (
        len(diagram.parameters) == len(diagram.results) == 1
        and found == list(shapes)
        and len(diagram.learned) == len(shapes)
        and not diagram.instances
        and all(wire.type.kind.name == "real" and not wire.type.kind.format for wire in wires)
    )


def shape_of(axes: tuple[Axis, ...], write: Write) -> str:
    """The sizes of axes as a tuple."""
    sizes = [write(axis.size) for axis in axes]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def weights(diagram: CheckedDiagram) -> tuple[str, ...]:
    """The names of the learned arrays, none where something has a number format of its own."""
    wires = [*diagram.parameters, *diagram.results, *(p.wire for p in diagram.learned)]
    if any(wire.type.kind.format for wire in wires):
        return ()
    return tuple(p.wire.name for p in diagram.learned)


def settings_of(diagram: CheckedDiagram) -> list[str]:
    """The settings as keyword arguments."""
    return [f"{name}={number(value).text}" for name, value in diagram.settings]
