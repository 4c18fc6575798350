"""Built-in stages of pipelines: `id`, `route`, `einsum`, `scale`.

They name axes of their own: axes of the arriving wires align with them in order from the right,
and missing leading axes are lifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.semantics import kinds
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.program import Contract, Define, Expression, Read
from ncdlang.semantics.report import counted
from ncdlang.semantics.types import ArrayType, Axis, Wire, plain_index
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Wires = tuple[Wire, ...]


def arity(body: Body, head: tree.Name, expr: tree.Expr) -> tuple[int, int] | None:
    """How many wires a built-in stage takes and gives, None if it is no such stage."""
    match head.text:
        case "id" if not isinstance(expr, tree.Bracketed):
            return 1, 1
        case "scale":
            return 1, 1
        case "route":
            brackets = _arrow(body, head, expr)
            return len(_items(brackets.slots)), len(_items(brackets.arrow or ()))
        case "einsum":
            brackets = _arrow(body, head, expr)
            return len(brackets.slots), 1
        case _:
            return None


def apply(body: Body, head: tree.Name, expr: tree.Expr, wires: Wires) -> Wires | None:
    """The results of a built-in stage, None if it is no such stage. Raises Reported."""
    match head.text:
        case "id" if not isinstance(expr, tree.Bracketed):
            return wires
        case "scale":
            return (_scale(body, expr, wires[0]),)
        case "route":
            return _route(body, _arrow(body, head, expr), wires)
        case "einsum":
            return (_einsum(body, _arrow(body, head, expr), wires, expr.span),)
        case _:
            return None


def _arrow(body: Body, head: tree.Name, expr: tree.Expr) -> tree.Brackets:
    if not isinstance(expr, tree.Bracketed) or expr.brackets.arrow is None:
        example = "route[a b -> a a b]" if head.text == "route" else "einsum[q k, x k -> q x]"
        body.fail(
            "NCD4002",
            f"`{head.text}` needs what goes in and what comes out",
            expr.span,
            label="no `->`",
            help=f"write it as in `{example}`",
        )
    return expr.brackets


def _items(slots: tuple[tree.Slot, ...]) -> list[tree.Expr | tree.Pack]:
    return [item for slot in slots for item in slot.items]


# ---- scale ------------------------------------------------------------------------------------


def _scale(body: Body, expr: tree.Expr, wire: Wire) -> Wire:
    slots = expr.brackets.slots if isinstance(expr, tree.Bracketed) else ()
    if len(slots) != 1 or len(slots[0].items) != 1 or slots[0].name is not None:
        body.fail(
            "NCD4002",
            "`scale` needs the number that it multiplies by",
            expr.span,
            label="not one number",
            help="write it as in `scale[1 / sqrt(size(k))]`",
        )
    item = slots[0].items[0]
    if isinstance(item, tree.Pack):
        body.fail("NCD2012", "a pack is no number", item.span, label="axes")
    factor = body.expressions.check(item, Context(None))
    if factor.axes:
        body.fail(
            "NCD2008",
            "`scale` multiplies by one number",
            item.span,
            label=f"has {counted(len(factor.axes), 'axis')}",
        )
    context = Context(None, wire.type.axes)
    read = body.expressions.read_whole(wire, expr.span)
    return _defined(
        body, body.expressions.apply("mul", [read, factor], context, expr.span), expr.span
    )


def _defined(body: Body, value: Expression, span: Span) -> Wire:
    wire = Wire(body.fresh_name(), ArrayType(value.axes, value.kind), span)
    body.add(Define(wire, value, span))
    return wire


# ---- route ------------------------------------------------------------------------------------


def _route(body: Body, brackets: tree.Brackets, wires: Wires) -> Wires:
    places: dict[str, Wire] = {}
    for item, wire in zip(_items(brackets.slots), wires, strict=True):
        if not isinstance(item, tree.Name) or item.text in places:
            body.fail(
                "NCD4002",
                "`route` names every wire that comes in, each once",
                item.span,
                label="not a new name",
            )
        places[item.text] = wire
    routed: list[Wire] = []
    for item in _items(brackets.arrow or ()):
        if not isinstance(item, tree.Name) or item.text not in places:
            body.fail(
                "NCD2001",
                f"`{item.span.text}` is no wire that comes in",
                item.span,
                label="not found",
            )
        routed.append(places[item.text])
    return tuple(routed)


# ---- einsum -----------------------------------------------------------------------------------


def _einsum(body: Body, brackets: tree.Brackets, wires: Wires, span: Span) -> Wire:
    own: dict[str, Axis] = {}
    lifted: dict[Axis, None] = {}
    reads: list[Expression] = []
    for slot, wire in zip(brackets.slots, wires, strict=True):
        reads.append(_einsum_input(body, slot, wire, own, lifted))
    results: list[str] = []
    for item in _items(brackets.arrow or ()):
        results.append(_result_name(body, item, own, results))
    axes = (*lifted, *(own[name] for name in results))
    bound = tuple(axis for name, axis in own.items() if name not in results)
    value: Expression
    if len(reads) == 1 and not bound:
        value = reads[0]
    elif len(reads) == 1:
        value = body.expressions.reductions.sum_over(reads[0], bound, span)
    elif not bound:
        value = reads[0]
        for read in reads[1:]:
            value = body.expressions.apply("mul", [value, read], Context(None, axes), span)
    else:
        factors, kind = kinds.numbers(body, reads, span)
        value = Contract(bound, tuple(factors), kind, axes, span)
    wire = Wire(body.fresh_name(), ArrayType(axes, value.kind), span)
    body.add(Define(wire, value, span))
    return wire


def _result_name(
    body: Body, item: tree.Expr | tree.Pack, own: dict[str, Axis], earlier: list[str]
) -> str:
    if isinstance(item, tree.Name) and item.text in earlier:
        body.fail(
            "NCD2007",
            f"an array type can't name axis `{item.text}` twice",
            item.span,
            label="named again",
        )
    if isinstance(item, tree.Name) and item.text in own:
        return item.text
    body.fail(
        "NCD2010",
        f"`{item.span.text}` is no axis of the inputs of this einsum",
        item.span,
        label="not found on the left of `->`",
    )


def _einsum_input(
    body: Body, slot: tree.Slot, wire: Wire, own: dict[str, Axis], lifted: dict[Axis, None]
) -> Read:
    names = _slot_names(body, slot)
    axes = wire.type.axes
    if len(names) > len(axes):
        body.fail(
            "NCD4003",
            f"`[{slot.span.text}]` needs {counted(len(names), 'axis')}, "
            f"but `{wire.type}` arrives here",
            slot.span,
            label=f"{len(axes)} arrive",
        )
    extra = len(axes) - len(names)
    lifted.update(dict.fromkeys(axes[:extra]))
    indices = list(axes[:extra])
    for name, axis in zip(names, axes[extra:], strict=True):
        indices.append(_own_axis(body, name, axis, own))
    found = tuple(dict.fromkeys(indices))
    return Read(
        wire, tuple(plain_index(axis) for axis in indices), wire.type.kind, found, slot.span
    )


def _slot_names(body: Body, slot: tree.Slot) -> list[tree.Name]:
    names: list[tree.Name] = []
    for item in slot.items:
        if not isinstance(item, tree.Name):
            body.fail("NCD2012", "`einsum` takes names of axes", item.span, label="not a name")
        names.append(item)
    return names


def _own_axis(body: Body, name: tree.Name, axis: Axis, own: dict[str, Axis]) -> Axis:
    """The axis that a name stands for: the one that arrives by that name, or a new one."""
    if name.text not in own:
        same = axis.name == name.text and not axis.derived
        own[name.text] = axis if same else Axis(name.text, axis.size, same=axis)
    known = own[name.text]
    if known is not axis:
        reason = f"axis `{axis}` arrives as `{name.text}` of this einsum"
        body.equate(known.size, axis.size, reason, name.span, f"axis `{name.text}`")
    return known
