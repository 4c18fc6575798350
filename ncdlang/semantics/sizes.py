"""Size expressions and index expressions: from the surface tree to polynomials and affine maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ncdlang.semantics import remedies
from ncdlang.semantics.kinds import plural
from ncdlang.semantics.report import Reported
from ncdlang.semantics.scope import Broken
from ncdlang.semantics.size import ONE, ZERO, Size, constant, product
from ncdlang.semantics.types import (
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
    plain_index,
)
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.expressions import Guards


def size_expression(body: Body, expr: tree.Expr) -> Size:
    """The size that an expression over sizes, whole numbers and consts denotes."""
    match expr:
        case tree.Number():
            if isinstance(expr.value, int):
                return constant(expr.value)
            body.fail("NCD3004", "a size is a whole number", expr.span, label="not whole")
        case tree.Group():
            return size_expression(body, expr.inner)
        case tree.SizeOf():
            return size_of(body, expr)
        case tree.Name():
            return _named_size(body, expr)
        case tree.Unary() if expr.op == "-":
            return -size_expression(body, expr.operand)
        case tree.Binary() if expr.op in ("+", "-", "*", "//", "%"):
            left = size_expression(body, expr.left)
            right = size_expression(body, expr.right)
            return _combine(body, expr, left, right)
        case _:
            body.fail(
                "NCD3004",
                "this is no size expression",
                expr.span,
                label="not a size",
                help="sizes are made of `size(...)`, whole numbers and consts with + - * // %",
            )


def size_of(body: Body, expr: tree.SizeOf) -> Size:
    """`size(k)`, `size((h k))`, and `size(xs..)`: the product of the sizes of a pack."""
    match expr.axis:
        case tree.Pack():
            return product(axis.size for axis in body.axes_of_item(expr.axis))
        case tree.Name():
            return body.axis_named(expr.axis).size
        case tree.Composite():
            return product(body.axis_named(name).size for name in expr.axis.names)
        case _:
            body.fail(
                "NCD3004",
                "`size` takes the name of an axis",
                expr.axis.span,
                label="not an axis",
            )


def _named_size(body: Body, name: tree.Name) -> Size:
    meaning = body.look_up(name, "const")
    match meaning:
        case int():
            return constant(meaning)
        case Axis():
            body.fail(
                "NCD2012",
                f"`{name.text}` is an axis, not a number",
                name.span,
                label="an axis",
                help=f"its size is `size({name.text})`",
            )
        case _:
            body.fail(
                "NCD2012",
                f"`{name.text}` is no whole number",
                name.span,
                label="not a size",
            )


def _combine(body: Body, expr: tree.Binary, left: Size, right: Size) -> Size:
    match expr.op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            if right.value == 0:
                body.fail("NCD3004", "division by zero in a size", expr.span, label="divides by 0")
            return left // right if expr.op == "//" else left % right


def bracket_items(body: Body, brackets: tree.Brackets) -> Iterator[tree.Expr | tree.Pack]:
    """The items of indices or axes; settings and arrows have no place there."""
    if brackets.arrow is not None:
        body.fail("NCD2012", "`->` can't stand in an index", brackets.span, label="not an index")
    for slot in brackets.slots:
        if slot.name is not None:
            body.fail("NCD2012", "a setting can't stand in an index", slot.span, label="a setting")
        yield from slot.items


# ---- indices ----------------------------------------------------------------------------------


def make_affine(constant_part: Size, terms: list[tuple[IndexVariable, Size]]) -> Affine:
    """An affine coordinate in normal form: like variables joined, zero coefficients dropped."""
    joined: dict[IndexVariable, Size] = {}
    for variable, coefficient in terms:
        joined[variable] = joined.get(variable, ZERO) + coefficient
    return Affine(constant_part, tuple((v, c) for v, c in joined.items() if c.terms))


def index_expression(body: Body, expr: tree.Expr, guards: Guards = ()) -> Affine:
    """The coordinate that an index denotes; a mistake is reported at the index.

    `guards` are the conditions under which naturals in it are read.
    """
    match expr:
        case tree.Number() if isinstance(expr.value, int):
            return Affine(constant(expr.value))
        case tree.Group():
            return index_expression(body, expr.inner, guards)
        case tree.SizeOf():
            return Affine(size_of(body, expr))
        case tree.Name():
            return _named_index(body, expr)
        case tree.Composite():
            return composite_index([body.axis_named(name) for name in expr.names])
        case tree.Unary() if expr.op == "-":
            return _scaled(index_expression(body, expr.operand, guards), constant(-1))
        case tree.Binary() if expr.op in ("+", "-", "*", "//", "%"):
            return _binary_index(body, expr, guards)
        case tree.Bracketed():
            return _gathered_index(body, expr, guards)
        case _:
            body.fail(
                "NCD3004",
                f"the index `{expr.span.text}` is not affine",
                expr.span,
                label="not of the form `a*i + b*j + c`",
                help="an index is a sum of axes with whole-number or size coefficients, "
                "`//` and `%` by whole numbers, or a wire of naturals",
                fix=remedies.whole_division(expr),
            )


def composite_index(axes: list[Axis]) -> Affine:
    """Row-major position of `axes` in their composite axis."""
    terms: list[tuple[IndexVariable, Size]] = []
    stride = ONE
    for atom in reversed([atom for axis in axes for atom in axis.atoms]):
        terms.append((atom, stride))
        stride = stride * atom.size
    return make_affine(ZERO, terms[::-1])


def _named_index(body: Body, name: tree.Name) -> Affine:
    meaning = body.look_up(name, "axis")
    match meaning:
        case Axis():
            return composite_index([meaning]) if meaning.parts else plain_index(meaning)
        case int():
            return Affine(constant(meaning))
        case Wire() if not meaning.type.axes and meaning.type.kind.name in ("natural", "integer"):
            return Affine(ZERO, ((Gathered(meaning, ()), ONE),))
        case Broken():
            raise Reported
        case _:
            body.fail(
                "NCD2012",
                f"`{name.text}` is {body.describe(meaning)}, and can't stand as an index",
                name.span,
                label="neither an axis nor a whole number",
                help=f"read one entry of it: `{name.text}[...]`"
                if isinstance(meaning, Wire) and meaning.type.axes
                else "",
            )


def _scaled(index: Affine, factor: Size) -> Affine:
    return make_affine(index.constant * factor, [(v, c * factor) for v, c in index.terms])


def _binary_index(body: Body, expr: tree.Binary, guards: Guards) -> Affine:
    left = index_expression(body, expr.left, guards)
    right = index_expression(body, expr.right, guards)
    match expr.op:
        case "+":
            return make_affine(left.constant + right.constant, [*left.terms, *right.terms])
        case "-":
            return make_affine(
                left.constant - right.constant, [*left.terms, *_scaled(right, constant(-1)).terms]
            )
        case "*" if not right.terms:
            return _scaled(left, right.constant)
        case "*" if not left.terms:
            return _scaled(right, left.constant)
        case "*":
            body.fail(
                "NCD3004",
                f"the index `{expr.span.text}` multiplies two axes",
                expr.span,
                label="not affine",
                help="a coefficient of an axis is a whole number or a size",
            )
        case _:
            return _quasi_affine(body, expr, left, right)


def _quasi_affine(body: Body, expr: tree.Binary, left: Affine, right: Affine) -> Affine:
    divisor = body.constraints.with_defaults(right.constant).value if not right.terms else None
    if not left.terms and not right.terms and right.constant != ZERO:
        value = (
            left.constant // right.constant if expr.op == "//" else left.constant % right.constant
        )
        return Affine(value)
    if divisor is None or divisor <= 0:
        body.fail(
            "NCD3004",
            f"`{expr.op}` in an index needs a positive whole number on its right",
            expr.right.span,
            label="not a positive whole number",
        )
    if right.constant.value is None:
        body.constraints.require(
            right.constant, "==", constant(divisor), f"the index divides by {divisor}", expr.span
        )
    atom = Floor(left, divisor) if expr.op == "//" else Mod(left, divisor)
    return Affine(ZERO, ((atom, ONE),))


def _gathered_index(body: Body, expr: tree.Bracketed, guards: Guards) -> Affine:
    wire = body.wire_at_head(expr)
    if wire.type.kind.name not in ("natural", "integer"):
        body.fail(
            "NCD2011",
            f"`{wire.name}` holds {plural(wire.type.kind)}, and an index must be natural",
            expr.span,
            label=f"of type `{wire.type}`",
            help=f"declare it `{wire.name}: N(v)[...]` to select along an axis v",
        )
    return Affine(ZERO, ((Gathered(wire, body.read_indices(expr, wire, guards)), ONE),))
