"""Token kinds: naturals below the size of an axis are the tokens of that axis, and of no other.

An index array of one kind may not read a table of another, even where the sizes agree: an id of a
word selects no image (inspired by "Token Space", which names parameter types of tokens). Axes that
have no name of their own - composite ones, those of a call's result - and bounds that are plain
numbers are of no kind, and `axis y = size(x)` is of the kind of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import replace
from ncdlang.semantics.size import ONE, ZERO
from ncdlang.semantics.types import Affine, Axis, Gathered, Kind, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.scope import Scope


_RULE = "tokens of one axis select nothing along another, whatever the sizes"


def is_other_kind(left: Axis, right: Axis) -> bool:
    """Whether tokens of one axis can't be those of the other."""
    left, right = _origin(left), _origin(right)
    return left is not right and not (left.derived or right.derived or left.parts or right.parts)


def _origin(axis: Axis) -> Axis:
    while axis.same is not None:
        axis = axis.same
    return axis


def repeated(scope: Scope, size: tree.Expr | None) -> Axis | None:
    """The axis x of `axis y = size(x)`, None for any other size."""
    if isinstance(size, tree.SizeOf) and isinstance(size.axis, tree.Name):
        meaning = scope.find(size.axis.text)
        return meaning if isinstance(meaning, Axis) else None
    return None


def checked_index(
    body: Body, item: tree.Expr | Affine, index: Affine, axis: Axis, wire: Wire, span: Span
) -> Affine:
    """A token that is an index by itself selects along an axis of its kind. Raises Reported.

    What is reckoned with (`T[n] + 0`) is a number, which only has to stay inside: it is `partial`.
    """
    while isinstance(item, tree.Group):
        item = item.inner
    variable, coefficient = index.terms[0] if len(index.terms) == 1 else (None, ONE)
    if not isinstance(variable, Gathered) or coefficient != ONE or index.constant != ZERO:
        return index
    kind = variable.wire.type.kind.bound_axis
    if kind is None or not is_other_kind(kind, axis):
        return index
    if not isinstance(item, (tree.Bracketed, tree.Name)):
        return replace(index, partial=True)
    name = f" of `{wire.spelling}`" if not wire.name.startswith("_") else ""
    body.fail(
        "NCD2011",
        f"`{index}` is a token of `{kind}`, but it selects along axis `{axis}`{name}",
        span,
        label=f"of kind `N({kind})`",
        labels=_declared(variable.wire, wire),
        notes=[_RULE],
        help=f"if the number is meant and not the token, write `{index} + 0`",
    )


def _declared(tokens: Wire, table: Wire) -> list[Label]:
    wires = [wire for wire in dict.fromkeys((tokens, table)) if not wire.name.startswith("_")]
    return [Label(wire.span, f"`{wire}`") for wire in wires]


def check_argument(
    body: Body, callee: str, formal: Axis, tokens: tuple[Axis, Wire, Span], bound: Sequence[Axis]
) -> None:
    """The tokens of an argument are of the kind of the axes that their formal axis is bound to."""
    kind, wire, span = tokens
    for axis in bound:
        if is_other_kind(kind, axis):
            is_same = str(formal) == str(axis)
            wanted = f"the `{formal}` of `{callee}` is `{axis}`"
            if is_same:
                wanted = f"`{callee}` takes those of `{axis}`"
            rebind = "" if is_same else f", or bind `{formal}` to `{kind}`"
            body.fail(
                "NCD2011",
                f"`{wire.spelling}` holds tokens of `{kind}`, but {wanted}",
                span,
                label=f"of type `{wire.type}`",
                notes=[_RULE],
                help=f"give naturals of type `N({axis})[...]`{rebind}",
            )


def check_promise(body: Body, wire: Wire, promised: Kind, span: Span, place: Span) -> None:
    """The tokens of a result are of the kind that is promised. Raises Reported."""
    kind, wanted = wire.type.kind.bound_axis, promised.bound_axis
    if kind is None or wanted is None or not is_other_kind(kind, wanted):
        return
    body.fail(
        "NCD2011",
        f"the result holds tokens of `{kind}`, and those of `{wanted}` are promised",
        span,
        label=f"of type `{wire.type}`",
        labels=[Label(place, "promised here")],
        notes=[_RULE],
        help=f"promise `N({kind})[...]`, or look them up in a table of `{kind}`",
    )
