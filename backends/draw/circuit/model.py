"""A circuit before and while it is laid out: nodes in columns, their parts, ports and links.

A node stands in one column. It has parts, one above the other, which move up and down as wholes;
a part is a stack of elements, each a strand that passes or a pictogram with its ports. All wires
inside a column are straight, all bends lie in the channels between columns: a wire can't run
through a box that way. y grows downwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from .scene import Scene

PITCH = 24.0
"""The distance of two neighbouring wires."""

GAP = 16.0
"""The least distance of two parts; a dashed line runs in the middle of it."""


CENTRED = frozenset({"hexagon", "pentagon", "tail", "bar"})
"""Pictograms whose wires spread from their middle; those of others begin in the top row."""

SIGN_GAP = 2.0
"""The least distance of a sign to the parts beside it."""

OVERHANG = 22.0
"""How much higher than its rows a pictogram may be."""


Level = Literal["", "shared", "registers"]
"""A level of memory, global memory being none: it is drawn as any wire."""


class Box(NamedTuple):
    """A rectangle; `top` is less than `bottom`."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box, slack: float = 0.0) -> bool:
        """Whether the two have more than `slack` in common in both directions."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > slack
            and min(self.bottom, other.bottom) - max(self.top, other.top) > slack
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


@dataclass(slots=True, eq=False)
class Strand:
    """One wire of an array: an axis, or its datatype. `key` tells it apart in its array.

    `level` is the memory that holds the array, and `tile` what is taken of the axis at a time.
    """

    key: object
    label: str
    is_datum: bool = False
    level: Level = ""
    tile: str = ""


@dataclass(slots=True, eq=False)
class Port:
    """Where a strand enters or leaves a part, `dy` below the part's own y.

    `array` names the array and `title` tells its type. A port `is_dot` where wires meet or fork,
    and `is_told` where its label stands beside it, after the `name` of the array if it has one.
    """

    strand: Strand
    array: str
    title: str
    dy: float = 0.0
    is_dot: bool = False
    is_told: bool = False
    name: str = ""
    part: Part = field(init=False, repr=False)

    @property
    def y(self) -> float:
        """Where it is."""
        return self.part.y + self.dy


@dataclass(slots=True, eq=False)
class Picture:
    """What is drawn in a column for an element.

    `shape` is a name known to `pictograms`. `text` may have a subscript. `points` are polygons to
    fill, in the unit square. A frame has an `inner` scene, which begins at (0, 0).
    """

    shape: str
    id: str
    title: str
    text: str = ""
    subscript: str = ""
    width: float = 0.0
    height: float = 0.0
    is_bold: bool = False
    points: tuple[tuple[tuple[float, float], ...], ...] = ()
    inner: Scene | None = None
    lines: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Element:
    """A part of a part: the ports of one pictogram, or one strand that passes.

    `ins` and `outs` are bundles, one for each array; a dashed line separates them. Where `fixed`
    is given it says where the ports are (those of a frame), below the top of the element. One that
    `is_open` is a sketch of a frame: arrays enter and leave it in any order.
    """

    ins: list[list[Port]]
    outs: list[list[Port]]
    picture: Picture | None = None
    fixed: dict[Port, float] | None = None
    is_open: bool = False
    top: float = 0.0
    height: float = 0.0

    def ports(self) -> Iterator[Port]:
        """All ports, those on the left first."""
        for bundle in (*self.ins, *self.outs):
            yield from bundle

    @property
    def passes(self) -> bool:
        """Whether it is a strand that goes straight through."""
        return self.picture is None


@dataclass(slots=True, eq=False)
class Part:
    """A stack of elements. Those of a part that `is_free` may be in any order.

    One that `goes_on` has the next wire of the array of the part above it.
    """

    elements: list[Element]
    is_free: bool = False
    goes_on: bool = False
    y: float = 0.0
    bottom: float = 0.0
    node: Node = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for element in self.elements:
            for port in element.ports():
                port.part = self
        self.arrange()

    def arrange(self) -> None:
        """Give elements and ports their places, the first element at 0."""
        y = 0.0
        lowest = 0.0
        for number, element in enumerate(self.elements):
            beside = self.elements[max(number - 1, 0) : number + 2]
            room = sum(other.picture is not None for other in beside) == 1
            height = _height(element, overhangs=room)
            over = max(0.0, _own_height(element) - height) / 2 if any(element.ports()) else 0.0
            if y < over and not number:
                y = over
            element.top, element.height = y, height
            _arrange(element)
            y += height
            lowest = max(lowest, y + over)
        self.bottom = max(lowest, y)

    @property
    def is_sign(self) -> bool:
        """Whether it is a sign between two bundles."""
        return any(e.picture is not None and e.picture.shape == "sign" for e in self.elements)

    def lefts(self) -> list[list[Port]]:
        """The bundles on the left side, from the top; strands that pass are of one bundle."""
        return _bundled([element.ins for element in self.elements])

    def rights(self) -> list[list[Port]]:
        """The bundles on the right side."""
        return _bundled([element.outs for element in self.elements])


@dataclass(slots=True, eq=False)
class Node:
    """Parts of one column that stay together, in this order unless it `is_free`."""

    parts: list[Part]
    is_free: bool = False
    is_pass: bool = False
    layer: int = 0

    def __post_init__(self) -> None:
        for part in self.parts:
            part.node = self


@dataclass(slots=True, eq=False)
class Link:
    """A wire from the right of a column to the left of the next."""

    tail: Port
    head: Port


@dataclass(slots=True, eq=False)
class Cup:
    """A contraction: wires on the right of one column, each of which ends in the next below.

    A scalar that comes of it leaves its apex for the port `result`.
    """

    ports: list[Port]
    result: Port | None = None


@dataclass(slots=True, eq=False)
class Use:
    """An array entering a node: for each strand the port that it enters, if any.

    A strand that enters none is contracted: a cup has it.
    """

    node: Node
    heads: list[Port | None]


@dataclass(slots=True, eq=False)
class Array:
    """A stack of wires that one node gives, and all that read it. `ports` follow `strands`."""

    name: str
    title: str
    node: Node
    strands: list[Strand]
    ports: list[Port]
    uses: list[Use] = field(default_factory=list[Use])


@dataclass(slots=True, eq=False)
class Circuit:
    """A diagram, or what a frame holds: its first node gives the inputs, its last takes results.

    `inputs` and `outputs` are the ports of the arrays that come in and go out, in order.
    `wanted` are the same ports in the order, from the top, that suits what is round a frame.
    """

    nodes: list[Node]
    arrays: list[Array]
    cups: list[Cup]
    source: Node
    sink: Node
    inputs: list[list[Port]]
    outputs: list[list[Port]]
    wanted: tuple[Sequence[Port], Sequence[Port]] = ((), ())


def _bundled(elements: list[list[list[Port]]]) -> list[list[Port]]:
    found: list[list[Port]] = []
    for bundles in elements:
        filled = [bundle for bundle in bundles if bundle]
        for number, bundle in enumerate(filled):
            if found and not number:
                found[-1] = found[-1] + bundle
            else:
                found.append(list(bundle))
    return found


def _own_height(element: Element) -> float:
    """How high the pictogram of an element is, with a little room."""
    picture = element.picture
    return 0.0 if picture is None else picture.height + 6 * (element.fixed is None)


def _height(element: Element, *, overhangs: bool) -> float:
    """How high an element is; a pictogram may stand out over rows of strands beside it."""
    if element.fixed is not None:
        return _own_height(element)
    if not element.ins and not element.outs:
        return element.picture.height if element.picture else PITCH
    rows = max(_rows(element.ins), _rows(element.outs), 1) * PITCH
    return max(rows, _own_height(element) - OVERHANG * overhangs)


def _arrange(element: Element) -> None:
    """Set the ports of an element where it is."""
    if element.fixed is not None:
        for port, at in element.fixed.items():
            port.dy = element.top + at
        return
    is_even = element.picture is not None and element.picture.shape in CENTRED
    most = max(_rows(element.ins), _rows(element.outs))
    for bundles in (element.ins, element.outs):
        rows = _rows(bundles) if is_even else most
        at = element.top + (element.height - rows * PITCH) / 2 + PITCH / 2
        for bundle in bundles:
            for port in bundle:
                port.dy = at
                at += PITCH
            at += PITCH * bool(bundle)


def _rows(bundles: list[list[Port]]) -> int:
    """How many rows bundles take, with one between two for the dashed line."""
    filled = [bundle for bundle in bundles if bundle]
    return sum(map(len, filled)) + max(len(filled) - 1, 0)
