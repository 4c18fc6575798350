"""Names on the left that pass through elementwise functions: `Y[n c] = relu(conv(X))`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.records import replace
from ncdlang.semantics.calls import call_value
from ncdlang.semantics.primitives import REDUCTIONS
from ncdlang.semantics.types import Wire
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def name_inside(body: Body, target: tree.Target, value: tree.Expr) -> tree.Expr:
    """The right-hand side with what is innermost in it as a wire whose axes have names.

    Elementwise functions of one argument keep the axes of that, so that a call in them gets the
    names of the left-hand side as one that stands alone does, and so does a wire. Anything else
    comes back as it is. Raises Reported.
    """
    from ncdlang.semantics.equations import name_wires

    inner = value
    while (deeper := _argument(body, inner)) is not None:
        inner = deeper
    wire = _value(body, inner)
    if wire is None:
        return value
    if any(axis.derived for axis in wire.type.axes):
        hidden = tree.Name(body.fresh_name(), target.name.span)
        (wire,) = name_wires(body, (wire,), (replace(target, name=hidden),), inner)
    body.scope.define(wire.name, wire, inner.span)
    return _with(body, value, tree.Name(wire.name, inner.span))


def _value(body: Body, inner: tree.Expr) -> Wire | None:
    """The call of a diagram, or a wire with derived axes."""
    if isinstance(inner, tree.Call) and not body.is_expression_call(inner):
        return call_value(body, inner)
    meaning = body.scope.find(inner.text) if isinstance(inner, tree.Name) else None
    if isinstance(meaning, Wire) and any(axis.derived for axis in meaning.type.axes):
        return meaning
    return None


def _argument(body: Body, expr: tree.Expr) -> tree.Expr | None:
    """The one argument of an elementwise function."""
    match expr:
        case tree.Group():
            return expr.inner
        case tree.Unary(op="-"):
            return expr.operand
        case tree.Call(arguments=(argument,)) if _is_elementwise(body, expr):
            return argument
        case _:
            return None


def _is_elementwise(body: Body, call: tree.Call) -> bool:
    function = call.function
    head = function.head if isinstance(function, tree.Bracketed) else function
    is_reduction = (
        isinstance(head, tree.Name)
        and head.text in REDUCTIONS
        and body.scope.find(head.text) is None
    )
    return not is_reduction and body.is_expression_call(call)


def _with(body: Body, expr: tree.Expr, innermost: tree.Expr) -> tree.Expr:
    argument = _argument(body, expr)
    match expr:
        case _ if argument is None:
            return innermost
        case tree.Group():
            return replace(expr, inner=_with(body, argument, innermost))
        case tree.Unary():
            return replace(expr, operand=_with(body, argument, innermost))
        case tree.Call():
            return replace(expr, arguments=(_with(body, argument, innermost),))
        case _:
            return expr
