"""Reads of wires: one coordinate for each axis, sizes equated, bounds put off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import replace
from ncdlang.semantics.expressions import Guards
from ncdlang.semantics.obligations import Obligation
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.sizes import bracket_items, composite_index, index_expression
from ncdlang.semantics.tokens import checked_index
from ncdlang.semantics.types import Affine, ArrayType, Axis, Wire, plain_index
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def read_indices(
    body: Body, expr: tree.Bracketed, wire: Wire, guards: Guards
) -> tuple[Affine, ...]:
    """One coordinate for each axis of the wire; sizes are equated, bounds are put off."""
    items = _expanded(body, expr)
    axes = wire.type.axes
    if len(items) != len(axes):
        name = expr.head.span.text
        if any(isinstance(item, tree.Name) and item.text in body.told for item, _ in items):
            raise Reported
        body.tell_once(f"{name}[{len(items)}]")
        body.fail(
            "NCD2005",
            f"`{name}` has {counted(len(axes), 'axis')}, "
            f"but {counted(len(items), 'index')} {'is' if len(items) == 1 else 'are'} given",
            expr.span,
            label=f"of type `{wire.type}`",
            labels=[Label(wire.span, "defined here")] if not wire.name.startswith("_") else [],
            help=_completed(body, name, [item for item, _ in items], axes),
        )
    indices: list[Affine] = []
    failed = False
    for (item, span), axis in zip(items, axes, strict=True):
        try:
            index = item if isinstance(item, Affine) else index_expression(body, item, guards)
            indices.append(place_index(body, item, index, axis, wire, guards, span))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return tuple(indices)


def _completed(
    body: Body, name: str, given: list[tree.Expr | Affine], axes: tuple[Axis, ...]
) -> str:
    """The read with an index for every axis: those given come first."""
    items = [item for item in given if not isinstance(item, Affine)]
    if len(given) > len(axes) or len(items) < len(given):
        return ""
    texts: list[str] = []
    for item in items:
        meaning = body.scope.find(item.text) if isinstance(item, tree.Name) else None
        own = str(ArrayType(meaning.type.axes)) if isinstance(meaning, Wire) else ""
        own = "" if own == "[]" else own
        texts.append(item.span.text + own)
    texts += [str(axis) for axis in axes[len(items) :]]
    return f"every axis has its index: `{name}[{', '.join(texts)}]`"


def _expanded(body: Body, expr: tree.Bracketed) -> list[tuple[tree.Expr | Affine, Span]]:
    items: list[tuple[tree.Expr | Affine, Span]] = []
    for item in bracket_items(body, expr.brackets):
        if isinstance(item, tree.Pack):
            items += [(plain_index(axis), item.span) for axis in body.axes_of_item(item)]
        else:
            items.append((item, item.span))
    return items


def is_plainly_written(item: tree.Expr | Affine) -> bool:
    """Whether an index is just the name of an axis, so that it has the size of what it indexes."""
    while isinstance(item, tree.Group):
        item = item.inner
    return isinstance(item, (tree.Name, Affine))


def place_index(
    body: Body,
    item: tree.Expr | Affine,
    index: Affine,
    axis: Axis,
    wire: Wire,
    guards: Guards,
    span: Span,
    is_write: bool = False,
) -> Affine:
    """The coordinate for one axis of a wire: a plain axis has its size, others stay inside."""
    if index.axis is not None and index.axis is not axis and not is_plainly_written(item):
        index = replace(index, partial=True)
    index = checked_index(body, item, index, axis, wire, span)
    _place(body, Obligation(index, axis, wire, guards, span, is_write))
    return index


def _place(body: Body, obligation: Obligation) -> None:
    index, axis, wire, span = obligation.index, obligation.axis, obligation.wire, obligation.span
    plain = index.axis
    if plain is axis:
        return
    if plain is not None:
        reason = f"axis `{plain}` indexes axis `{axis}` of `{wire.spelling}`"
        if plain.size != axis.size:
            conflict = body.constraints.equate(plain.size, axis.size, reason, span)
            if conflict is not None and not _is_swapped(body, plain, axis, span):
                body.mismatches.append((plain, axis, span))
                _sizes_differ(body, plain, axis, wire, span, conflict)
        return
    if axis.parts and index == index_of_parts(axis):
        return
    body.oblige(obligation)


def _is_swapped(body: Body, plain: Axis, axis: Axis, span: Span) -> bool:
    """Whether the other of two swapped indices is reported already."""
    return any(
        (indexed, index) == (plain, axis) and place.end <= span.start and "]" not in between
        for index, indexed, place in body.mismatches
        for between in [span.source.text[place.end : span.start]]
    )


def index_of_parts(axis: Axis) -> Affine:
    """The coordinate of a composite axis that its own parts give."""

    return composite_index([axis])


def _sizes_differ(
    body: Body, plain: Axis, axis: Axis, wire: Wire, span: Span, conflict: tuple[object, ...]
) -> None:
    from ncdlang.semantics.constraints import Origin

    earlier = [o for o in conflict[:-1] if isinstance(o, Origin) and o.span != span]
    entry = body.scope.entry(plain.name)
    labels = [Label(o.span, o.reason) for o in earlier]
    if not wire.name.startswith("_"):
        labels.append(Label(wire.span, f"`{axis}` has size {body.shown(axis.size)}"))
    if entry is not None and entry[1] is not None:
        labels.append(Label(entry[1], f"`{plain}` has size {body.shown(plain.size)}"))
    body.error(
        "NCD3001",
        f"axis `{plain}` has size {body.shown(plain.size)}, but it indexes axis `{axis}` of "
        f"`{wire.spelling}`, which has size {body.shown(axis.size)}",
        span,
        label="the sizes differ",
        labels=labels,
        notes=["a plain axis as an index must have the size of the axis it indexes"],
        help=f"to read only the first entries write `{plain} + 0`"
        if body.constraints.decide_at_defaults(plain.size, "<=", axis.size)
        else "",
    )
