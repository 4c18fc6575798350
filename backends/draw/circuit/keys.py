"""Keys of the strands of an operation that are no axes of its degree, and marks of strands."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Level


@dataclass(frozen=True, slots=True)
class Mark:
    """What an overlay tells of a strand: the memory that holds it, and the tile taken of it."""

    level: Level = ""
    tile: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The key of a strand that an operator sees: the axis at a place of an operand."""

    operand: int
    place: int


@dataclass(frozen=True, slots=True)
class Made:
    """The key of a strand that an operator makes: the axis at a place of a result."""

    result: int
    place: int


@dataclass(frozen=True, slots=True)
class Datum:
    """The key of an operand's or a result's datatype."""

    side: str
    place: int
