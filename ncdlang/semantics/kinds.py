"""Which kinds of values operators take: reals, naturals, integers, booleans, complex numbers.

Naturals, booleans and reals do not mix silently. An integer (an axis's own index, a whole number,
a size) becomes whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ncdlang.records import replace
from ncdlang.semantics.primitives import COMPARISONS, INFIX, LOGICAL
from ncdlang.semantics.program import Apply, Constant, Expression, SizeValue
from ncdlang.semantics.types import BOOLEAN, COMPLEX, INTEGER, REAL, Axis, Kind
from ncdlang.source import Span

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

_SYMBOLS = {name: symbol for symbol, name in INFIX.items()} | {"neg": "-", "not": "not"}
_INTEGER_OPS = frozenset(
    {"add", "sub", "mul", "floordiv", "mod", "max", "min", "neg", "abs", "sign"}
)
_NATURAL_OPS = frozenset({"add", "mul", "floordiv", "mod", "max", "min"})
_COMPLEX_OPS = frozenset({"add", "sub", "mul", "div", "neg", "exp", "abs"})
_BECOMES = frozenset(
    {("integer", "real"), ("integer", "natural"), ("integer", "complex"), ("real", "complex")}
)
NATURAL = Kind("natural")


def to_real(body: Body, expression: Expression, span: Span) -> Expression:
    """The value as a real; only integers become real by themselves."""
    return to_kind(body, expression, REAL, span)


def to_kind(body: Body, expression: Expression, wanted: Kind, span: Span) -> Expression:
    """The value as `wanted`, or an error where it does not become that by itself."""
    kind = expression.kind
    if kind.name == "real" and wanted.name == "real" and kind.format != wanted.format:
        return Apply("cast", (expression,), wanted, expression.axes, span)
    if kind.name == "integer" and wanted.name in ("real", "complex"):
        return _integer_to_real(expression, span)
    if kind.name == wanted.name or becomes(kind, wanted):
        return expression
    body.fail(
        "NCD2011",
        f"{plural(kind)} stand where {plural(wanted)} are wanted",
        span,
        label=plural(kind),
        help=advice(kind, wanted),
    )


def becomes(kind: Kind, wanted: Kind) -> bool:
    """Whether values of one kind become those of another by themselves."""
    return (kind.name, wanted.name) in _BECOMES


def _integer_to_real(expression: Expression, span: Span) -> Expression:
    match expression:
        case Constant():
            return Constant(float(expression.value), REAL)
        case SizeValue():
            return replace(expression, kind=REAL)
        case _:
            return Apply("real", (expression,), REAL, expression.axes, span)


def numbers(body: Body, values: Sequence[Expression], span: Span) -> tuple[list[Expression], Kind]:
    """The factors of a contraction as reals, or as complex numbers where one is complex."""
    kind = COMPLEX if any(value.kind.name == "complex" for value in values) else REAL
    return [to_kind(body, value, kind, span) for value in values], kind


def plural(kind: Kind) -> str:
    """What the entries are, for a message: `complex numbers`."""
    return {"complex": "complex numbers"}.get(kind.name, f"{kind.name}s")


def advice(kind: Kind, wanted: Kind) -> str:
    """How to make entries of the wanted kind, if there is a way."""
    if wanted.name == "real" and kind.name in ("natural", "boolean"):
        return "`real(...)` makes numbers of naturals and booleans"
    if wanted.name == "boolean":
        return "compare it to get a truth value: `x > 0`"
    return ""


def unify(body: Body, values: list[Expression], span: Span) -> tuple[list[Expression], Kind]:
    """Several values as one kind."""
    kinds = {value.kind.name: value.kind for value in values}
    names = set(kinds)
    formats = {value.kind.format for value in values if value.kind.name == "real"}
    if names == {"integer"}:
        return values, INTEGER
    if "boolean" not in names:
        names.discard("integer")
    if names == {"real", "complex"}:
        names = {"complex"}
    if len(names) > 1:
        first, second = (plural(kinds[name]) for name in sorted(names)[:2])
        body.fail(
            "NCD2011",
            f"{first} and {second} do not mix",
            span,
            label=f"{first} and {second}",
            help="`real(...)` makes numbers of naturals and booleans"
            if "real" in names or "integer" in names
            else "",
        )
    name = names.pop()
    if name == "real":
        kind = Kind("real", formats.pop()) if len(formats) == 1 else REAL
    elif name == "natural":
        kind = _joint_natural(values)
    else:
        kind = COMPLEX if name == "complex" else BOOLEAN
    return [to_kind(body, value, kind, span) for value in values], kind


def _joint_natural(values: list[Expression]) -> Kind:
    kinds = {value.kind for value in values if value.kind.name == "natural"}
    whole = all(value.kind.name == "natural" for value in values)
    return kinds.pop() if whole and len(kinds) == 1 else NATURAL


def resolve(
    body: Body, op: str, arguments: list[Expression], span: Span
) -> tuple[list[Expression], Kind]:
    """The arguments of an elementwise primitive converted, and the kind of its value."""
    if op in LOGICAL:
        return [to_kind(body, argument, BOOLEAN, span) for argument in arguments], BOOLEAN
    if op == "real":
        (argument,) = arguments
        if argument.kind.name == "complex":
            return arguments, REAL
        if argument.kind.name == "integer":
            return [argument], REAL
        return arguments, REAL
    values, kind = unify(body, arguments, span)
    if op in COMPARISONS:
        if kind.name == "complex" and op not in ("eq", "ne"):
            body.fail("NCD2011", "complex numbers have no order", span, label="no order")
        if kind.name == "boolean" and op not in ("eq", "ne"):
            body.fail("NCD2011", "booleans have no order", span, label="no order")
        return values, BOOLEAN
    match kind.name:
        case "integer" if op in _INTEGER_OPS:
            return values, INTEGER
        case "natural" if op in _NATURAL_OPS:
            keeps = op in ("max", "min") and kind.bound is not None
            return values, kind if keeps else NATURAL
        case "complex":
            if op not in _COMPLEX_OPS:
                body.fail(
                    "NCD2011",
                    f"`{_SYMBOLS.get(op, op)}` of complex numbers is not defined",
                    span,
                    label="complex",
                )
            return values, REAL if op == "abs" else COMPLEX
        case "integer":
            return [to_real(body, value, span) for value in values], REAL
        case "natural" | "boolean":
            symbol = _SYMBOLS.get(op, op)
            body.fail(
                "NCD2011",
                f"`{symbol}` of {plural(kind)} is not defined",
                span,
                label=plural(kind),
                help="`real(...)` makes numbers of naturals and booleans",
            )
        case _:
            return values, kind


def truths(body: Body, values: list[Expression], places: Sequence[Span]) -> list[Expression]:
    """The operands of `and`, `or` and `not`, each at its place. Raises Reported."""
    return [
        to_kind(body, value, BOOLEAN, place) for value, place in zip(values, places, strict=True)
    ]


def fold(op: str, arguments: list[Expression], kind: Kind) -> Expression | None:
    """`-inf` and `-1` as constants, so that they are seen as what they are."""
    if op == "neg" and len(arguments) == 1 and isinstance(arguments[0], Constant):
        return Constant(-arguments[0].value, kind)
    return None


def reduced(
    body: Body, op: str, value: Expression, bound: tuple[Axis, ...], span: Span
) -> tuple[Expression, Kind]:
    """The argument of a reduction converted, and the kind of its value."""
    if op in ("any", "all"):
        return to_kind(body, value, BOOLEAN, span), BOOLEAN
    if op in ("argmax", "argmin"):
        if value.kind.name not in ("natural", "integer"):
            value = to_real(body, value, span)
        return value, Kind("natural", None, bound[0].size, bound[0])
    if value.kind.name in ("natural", "integer") and op in ("sum", "prod", "max", "min"):
        if value.kind.name == "natural" and op in ("max", "min"):
            return value, value.kind
        return value, NATURAL if value.kind.name == "natural" else INTEGER
    if value.kind.name == "complex" and op in ("sum", "prod", "mean", "norm"):
        return value, REAL if op == "norm" else COMPLEX
    converted = to_real(body, value, span)
    return converted, converted.kind
