"""The order of axes where a left-hand side does not state them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import replace
from ncdlang.semantics import remedies
from ncdlang.semantics.expressions import shortened
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Expression,
    Read,
    Reduce,
    Select,
)
from ncdlang.semantics.report import has_axes, listed
from ncdlang.semantics.types import Axis
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def in_order_of_first(body: Body, expression: Expression, expr: tree.Expr) -> Expression:
    """The expression with the axes in the order of the first array that has all of them."""
    if len(expression.axes) < 2:
        return expression
    wanted = set(expression.axes)
    for read in _reads(expression):
        if wanted <= set(read.axes):
            order = tuple(axis for axis in _written_order(read) if axis in wanted)
            return expression if order == expression.axes else replace(expression, axes=order)
    message = "no array here has all the axes of the result, so their order is not known"
    for read in _reads(expression):
        derived = [axis.name for axis in read.axes if axis.derived]
        if derived:
            body.fail(
                "NCD2008",
                message,
                expr.span,
                label=has_axes(expression.axes),
                labels=[Label(read.span, f"`{read.wire.type}`, {listed(derived)} without a name")],
                notes=["an axis that is made by a call is none of the others, even of their size"],
                help="name it on the left where it is made, by a new name or by one of the same "
                f"size: `{_named_where_made(read)}`",
            )
    body.fail(
        "NCD2008",
        message,
        expr.span,
        label=has_axes(expression.axes),
        notes=["without stated axes the first array that has all of them gives their order"],
        help="write the axes that stay on the left, and others that factors share are contracted: "
        f"`Y[{' '.join(str(a) for a in expression.axes)}] = ...`",
        fix=remedies.contracted(expr.span, body.declaration, body.scope),
    )


def _named_where_made(read: Read) -> str:
    made = shortened(read.span.text)
    return f"{made}[...] = ..." if made == read.wire.name else f"Y[...] = {made}"


def _written_order(read: Read) -> tuple[Axis, ...]:
    return tuple(dict.fromkeys(axis for index in read.indices for axis in index.axes()))


def _reads(expression: Expression) -> Iterator[Read]:
    match expression:
        case Read():
            yield expression
        case Apply() | ApplyDiagram():
            for argument in expression.arguments:
                yield from _reads(argument)
        case Select():
            for part in (expression.condition, expression.then, expression.otherwise):
                yield from _reads(part)
        case Contract():
            for factor in expression.factors:
                yield from _reads(factor)
        case Reduce():
            yield from _reads(expression.body)
        case _:
            return
