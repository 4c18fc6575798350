"""What a dataflow drawing shows, without colours or positions: boxes, wires and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role = Literal["input", "output", "parameter", "equation", "call", "learned", "fork"]


@dataclass(frozen=True, slots=True)
class Label:
    """An array as a wire or a port shows it: a name or "", what its entries are, its axes.

    `kind` stands before the axes (`N(v)`), "" for reals. Each axis comes with whether the
    operation consumes it.
    """

    name: str
    kind: str
    axes: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Port:
    """A place on a box where a wire ends. `key` is unique on the box.

    A port `is_told` unless the label of its wire stands right beside it.
    """

    key: str
    label: Label
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class Node:
    """A box, a terminal, or the dot where a wire forks.

    `title` is the words of a box with the `note` below them; a terminal is one `label`. `name`
    is unique in the picture, and so is `id`, which is made of the source's names and lines.
    """

    name: str
    id: str
    role: Role
    tooltip: tuple[str, ...]
    title: str = ""
    note: str = ""
    label: Label | None = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with a title: round a block, or round the inside of a call that is drawn opened."""

    name: str
    id: str
    title: str
    is_call: bool
    tooltip: tuple[str, ...]
    items: tuple[Item, ...]


Item: TypeAlias = Node | Frame


@dataclass(frozen=True, slots=True)
class End:
    """Where a wire ends: a node, at a port or anywhere."""

    node: str
    port: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A wire, or the part of one before or after a fork."""

    id: str
    tail: End
    head: End
    tooltip: str
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole drawing. Inputs and outputs are terminals in the order of the signature."""

    name: str
    tooltip: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    items: tuple[Item, ...]
    links: tuple[Link, ...]
