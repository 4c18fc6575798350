"""Expressions of a `forward` method before the order of their dimensions is chosen.

A node knows which axes its value has, and whether it may carry leading batch axes. It becomes
Python text only when something asks for it in an order of axes, so that an einsum gives the order
that is wanted and nothing is transposed twice. Axes are addressed from the right throughout:
whatever leads is a batch axis and is broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from ncdlang.semantics.types import Axis, Kind

from .code import Code

Axes: TypeAlias = tuple[Axis, ...]

# `real` are in the module's own format, the others in the one that the file declares.
# `wide` are reals made of indices and numbers only: they are computed in at least float32, and
# become the module's own format where they meet its reals.
Domain: TypeAlias = Literal[
    "real", "wide", "integer", "boolean", "complex", "f64", "f32", "bf16", "f16", "f8e4m3", "f8e5m2"
]
FORMATS: dict[str, str] = {
    "f64": "float64",
    "f32": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "f8e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2",
}
# PyTorch does not compute with these: they are moved about, and converted to be computed with.
HELD: frozenset[Domain] = frozenset({"f8e4m3", "f8e5m2"})


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A plain Python number. `value` is known for literals.

    A quotient keeps its divisor apart: PyTorch divides a tensor by 0, Python raises.
    """

    code: Code
    value: float | int | bool | None
    domain: Domain
    axes: Axes = ()
    batched: bool = False
    quotient: tuple[Code, Code] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A tensor whose trailing dimensions are exactly `axes`.

    `is_own`: the code makes it, and nothing else holds it or needs what is in it.
    """

    code: Code
    axes: Axes
    batched: bool
    domain: Domain
    is_own: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """The index along an axis."""

    axis: Axis
    domain: Domain = "integer"
    batched: bool = False

    @property
    def axes(self) -> Axes:
        """Its one axis."""
        return (self.axis,)


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """Values that are read as reals and have another format as they are.

    Whole numbers are left as they are beside reals, since PyTorch promotes them; a choice of two
    literals, which has the default format, is not: `promotes` tells them apart.
    """

    child: Node
    promotes: bool = True

    @property
    def axes(self) -> Axes:
        """Those of the whole numbers."""
        return self.child.axes

    @property
    def batched(self) -> bool:
        """Whether the whole numbers may carry batch axes."""
        return self.child.batched

    @property
    def domain(self) -> Domain:
        """Reals made of indices."""
        return "wide"


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """An elementwise function of tensors that broadcast against each other.

    A `lazy` one evaluates only some of them: they are written where they stand, never before.
    """

    write: Callable[[Sequence[Code]], Code]
    children: tuple[Node, ...]
    axes: Axes
    batched: bool
    domain: Domain
    lazy: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Einsum:
    """The sum over `bound` of the product of the operands."""

    operands: tuple[Node, ...]
    bound: Axes
    axes: Axes
    batched: bool
    domain: Domain


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """A reduction of `child` over `bound`; `write` gets the dimensions, counted from the right."""

    write: Callable[[Code, Sequence[int]], Code]
    child: Node
    bound: Axes
    axes: Axes
    batched: bool
    domain: Domain


@dataclass(frozen=True, slots=True, eq=False)
class Along:
    """An operator along one axis of its operands (softmax, padding, joining).

    Each child has its own axis there, and the result has `axis` in its place; `write` gets the
    dimension, counted from the right. Other axes are broadcast.
    """

    write: Callable[[Sequence[Code], int], Code]
    children: tuple[Node, ...]
    places: Axes
    axis: Axis
    domain: Domain

    @property
    def axes(self) -> Axes:
        """Those of the operands, with the new one in its place."""
        own = zip(self.children, self.places, strict=True)
        first = [tuple(self.axis if a is place else a for a in child.axes) for child, place in own]
        return tuple(dict.fromkeys(axis for axes in first for axis in axes))

    @property
    def batched(self) -> bool:
        """Whether an operand may carry batch axes."""
        return any(child.batched for child in self.children)

    def inner(self, order: Axes, place: Axis) -> Axes:
        """An order of the result as an order of one operand."""
        return tuple(place if axis is self.axis else axis for axis in order)


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """A value that really has all of `axes`, repeated along those that the child lacks."""

    child: Node
    axes: Axes

    @property
    def batched(self) -> bool:
        """Whether the child may carry batch axes."""
        return self.child.batched

    @property
    def domain(self) -> Domain:
        """That of the child."""
        return self.child.domain


Node: TypeAlias = Scalar | Fixed | Index | Converted | Mapped | Einsum | Reduced | Along | Repeated


def domain_of(kind: Kind) -> Domain:
    """Where the values of a wire of this kind live."""
    match kind.name:
        case "natural" | "integer":
            return "integer"
        case "boolean":
            return "boolean"
        case "complex":
            return "complex"
        case _:
            return cast(Domain, kind.format) if kind.format in FORMATS else "real"


def is_real(domain: Domain) -> bool:
    """Whether values are reals in a format of their own, not `wide`."""
    return domain == "real" or domain in FORMATS


def mapped(
    write: Callable[[Sequence[Code]], Code], children: Iterable[Node], domain: Domain
) -> Mapped:
    """An elementwise node, in the order of axes that fits most of its operands."""
    nodes = tuple(children)
    return Mapped(write, nodes, natural_order(nodes), any(n.batched for n in nodes), domain)


def natural_order(nodes: Sequence[Node]) -> Axes:
    """The order of the union of the axes that needs the fewest transpositions."""
    union = dict.fromkeys(axis for node in nodes for axis in node.axes)
    best: Axes = tuple(union)
    fewest = sum(misfit(node, best) for node in nodes)
    for node in nodes:
        order = (*(a for a in union if a not in node.axes), *node.axes)
        cost = sum(misfit(other, order) for other in nodes)
        if cost < fewest:
            best, fewest = order, cost
    return best


def within(order: Axes, axes: Axes) -> Axes:
    """The part of an order that a value with `axes` has."""
    return tuple(axis for axis in order if axis in axes)


def misfit(node: Node, order: Axes) -> int:
    """How many transpositions it takes to write the node in this order."""
    match node:
        case Scalar() | Index() | Einsum():
            return 0
        case Fixed():
            return int(within(order, node.axes) != node.axes)
        case Mapped():
            return sum(misfit(child, order) for child in node.children)
        case Reduced():
            kept = within(order, node.axes)
            return min(misfit(node.child, (*kept, *node.bound)), int(kept != node.axes))
        case Along():
            pairs = zip(node.children, node.places, strict=True)
            return sum(misfit(child, node.inner(order, place)) for child, place in pairs)
        case Converted() | Repeated():
            return misfit(node.child, order)


def repeated(node: Node, axes: Axes) -> Node:
    """The node with all of `axes` really there."""
    missing = tuple(axis for axis in axes if axis not in node.axes)
    return Repeated(node, (*missing, *node.axes)) if missing else node
