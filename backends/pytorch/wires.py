"""How the wires of a method are shaped, kept and labelled."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncdlang.ir.diagram import Edge, Iota, Reindex
from ncdlang.semantics.types import Axis, Wire

from .code import Code
from .names import comment, quoted
from .nodes import Axes, Fixed, Index, Node, Scalar
from .planning import Plan


def flattened(code: Code, axes: Axes, order: Axes) -> Code:
    """Composite axes made of their parts, which stand side by side in `order`."""
    return merged(code, [1 if axis in order else len(axis.atoms) for axis in axes])


def merged(code: Code, widths: Sequence[int]) -> Code:
    """The trailing dimensions flattened in groups of these sizes."""
    rank = sum(widths)
    for position, width in enumerate(widths):
        if width > 1:
            first, last = position - rank, position + width - 1 - rank
            code = code.method(f"flatten({first}, {last})" if last != -1 else f"flatten({first})")
            rank -= width - 1
    return code


def order_of(wire: Wire, whole: frozenset[Axis]) -> Axes:
    """The axes that the value of a wire is made with: composites in parts unless they are whole."""
    return tuple(
        atom
        for axis in wire.type.axes
        for atom in ((axis,) if axis in whole or not axis.parts else axis.atoms)
    )


def composites(wire: Wire) -> frozenset[Axis]:
    """The composite axes of a wire. A call gives them whole, as one dimension."""
    return frozenset(axis for axis in wire.type.axes if axis.parts)


def operand_count(edge: Edge) -> int:
    """A reindexing reads its first input; the naturals that it gathers from are in its indices."""
    return 1 if isinstance(edge.operator, Reindex) else len(edge.inputs)


def is_cheap(node: Node) -> bool:
    """Whether a value may be written again wherever it is read."""
    if isinstance(node, Fixed):
        return re.fullmatch(r"[\w.]+", node.code.text) is not None
    return isinstance(node, (Scalar, Index))


def is_inner(wire: Wire) -> bool:
    """Whether a wire is a value inside an expression, which no array holds."""
    return wire.name.startswith("_e")


def index_uses(plan: Plan) -> dict[Axis, int]:
    """How often the index of an axis is read as a number."""
    found: dict[Axis, int] = {}
    for edge in plan.live:
        if isinstance(edge.operator, Iota):
            uses = plan.uses.get(edge.outputs[0].wire, 0)
            found[edge.degree[0]] = found.get(edge.degree[0], 0) + uses
    return found


def told(plan: Plan, wire: Wire) -> str:
    """An argument that names an input which is read once, so that this read can check its bound."""
    once = wire in plan.graph.inputs and plan.uses.get(wire) == 1
    if not once or wire in plan.graph.outputs or plan.other is not None:
        return ""
    return f"below=({quoted(plan.diagram.name)}, {quoted(wire.name)})"


def names_of(axes: Axes) -> str:
    """Axes as a list of them is written in the language."""
    separator = ", " if any(axis.parts for axis in axes) else " "
    return separator.join(str(axis) for axis in axes)


def label_of(wire: Wire, fused: tuple[Wire, ...] = (), remark: str = "") -> str:
    """What a line makes: `S, P and O[q h k]` where one call makes what was said in three lines."""
    name = "" if wire.name.startswith("_") else wire.name
    before = ", ".join(inner.name for inner in fused)
    made = f"{before}{' and ' if fused else ''}{name}[{names_of(wire.type.axes)}]"
    return comment(f"{made}: {remark}" if remark else made)
