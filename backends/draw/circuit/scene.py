"""A laid-out circuit as plain geometry: shapes, wires and labels. y grows downwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from .metrics import Face
from .model import Box, Level

Point = tuple[float, float]
Role = Literal["axis", "datum", "separator", "cup", "legend"]
Paint = Literal[
    "box", "learned", "norm", "triangle", "masked", "visible", "reindex", "pill", "sign",
    "block", "call", "bracket", "dot", "bar", "none",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed polygon, or an open line, or (with `is_round`) an ellipse in its box."""

    points: tuple[Point, ...]
    paint: Paint
    is_open: bool = False
    is_round: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text that begins at x on a baseline; `box` is the room that it takes."""

    text: str
    x: float
    baseline: float
    size: float
    face: Face
    box: Box
    paint: Literal["ink", "muted"] = "ink"
    of: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """A pictogram, dot or frame, with its outlines and texts.

    Others may lie inside one that `is_frame`; `depth` is how many frames it lies in itself.
    """

    id: str
    title: str
    box: Box
    outlines: tuple[Outline, ...]
    labels: tuple[Label, ...] = ()
    is_frame: bool = False
    is_dot: bool = False
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire: cubic Bezier curves, three points for each after the first."""

    id: str
    title: str
    points: tuple[Point, ...]
    role: Role
    level: Level = ""


@dataclass(slots=True)
class Scene:
    """A drawing, or the inside of a frame, from (0, 0) to its width and height."""

    width: float = 0.0
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list[Shape])
    wires: list[Wire] = field(default_factory=list[Wire])
    labels: list[Label] = field(default_factory=list[Label])

    def place(self, inner: Scene, x: float, y: float) -> None:
        """Put another scene into this one."""
        for shape in inner.shapes:
            self.shapes.append(moved_shape(shape, x, y))
        for wire in inner.wires:
            points = tuple((a + x, b + y) for a, b in wire.points)
            self.wires.append(replace(wire, points=points))
        self.labels += [moved_label(label, x, y) for label in inner.labels]

    def all_labels(self) -> Iterator[Label]:
        """Labels of wires, and those of shapes."""
        yield from self.labels
        for shape in self.shapes:
            yield from shape.labels


def moved_box(box: Box, x: float, y: float) -> Box:
    """A box somewhere else."""
    return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)


def moved_label(label: Label, x: float, y: float) -> Label:
    """A label somewhere else."""
    at = moved_box(label.box, x, y)
    return replace(label, x=label.x + x, baseline=label.baseline + y, box=at)


def moved_shape(shape: Shape, x: float, y: float) -> Shape:
    """A shape somewhere else, one frame deeper."""
    outlines = tuple(
        replace(o, points=tuple((a + x, b + y) for a, b in o.points)) for o in shape.outlines
    )
    labels = tuple(moved_label(label, x, y) for label in shape.labels)
    at = moved_box(shape.box, x, y)
    return replace(shape, outlines=outlines, labels=labels, box=at, depth=shape.depth + 1)
