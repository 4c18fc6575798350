"""Numbers known when a file is checked: consts, settings, initialisers, configs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

from ncdlang.semantics.report import Reported, rename
from ncdlang.semantics.scope import Broken, Scope, closest
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.report import Reporter

LARGEST = 2**63 - 1
_LARGEST_EXPONENT = 1000


def evaluate(names: Reporter, item: tree.Expr | tree.Pack) -> int | float:
    """The number. `names` has a `scope`. Raises Reported."""
    scope: Scope = getattr(names, "scope")  # noqa: B009
    match item:
        case tree.Number():
            return item.value
        case tree.Group():
            return evaluate(names, item.inner)
        case tree.Name():
            return _named(names, scope, item)
        case tree.Unary() if item.op == "-":
            return -evaluate(names, item.operand)
        case tree.Binary() if item.op in ("+", "-", "*", "/", "//", "%", "^"):
            left, right = evaluate(names, item.left), evaluate(names, item.right)
            return _combine(names, item, left, right)
        case _:
            names.fail(
                "NCD3004",
                f"`{item.span.text}` is no number",
                item.span,
                label="not a number",
                help="a number here is a literal, a const, or arithmetic of them"
                + (
                    "; a setting `const n` gives a number that can be a size, too: `axis j = n`"
                    if isinstance(item, tree.SizeOf)
                    else ""
                ),
            )


def _named(names: Reporter, scope: Scope, name: tree.Name) -> int | float:
    meaning = scope.find(name.text)
    if isinstance(meaning, (int, float)):
        return meaning
    if meaning is None and name.text in ("inf", "pi"):
        return math.inf if name.text == "inf" else math.pi
    if isinstance(meaning, Broken):
        raise Reported
    if meaning is not None:
        names.fail(
            "NCD2012",
            f"`{name.text}` is no number",
            name.span,
            label="the name of a const is wanted",
        )
    names.tell_once(name.text)
    known = [known for known, other in scope.names() if isinstance(other, (int, float))]
    guess = closest(name.text, known)
    names.fail(
        "NCD2001",
        f"there is no const named `{name.text}`",
        name.span,
        label="a number is wanted here",
        help=f"did you mean `{guess}`?" if guess else "",
        fix=rename(name.span, guess) if guess else None,
    )


def _combine(
    names: Reporter, item: tree.Binary, left: int | float, right: int | float
) -> int | float:
    try:
        value = _value(item.op, left, right)
    except (ZeroDivisionError, OverflowError):
        _impossible(names, item)
    if value is None or value != value:
        _impossible(names, item)
    if isinstance(value, int) and abs(value) > LARGEST:
        names.fail(
            "NCD3004",
            f"`{item.span.text}` is larger than {LARGEST}",
            item.span,
            label="too large",
            help="as a real number it can be written with a point: `2.0^100`",
        )
    return value


def _value(op: str, left: int | float, right: int | float) -> int | float | None:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "//":
            return left // right
        case "%":
            return left % right
        case _:
            if abs(right) > _LARGEST_EXPONENT or (left < 0 and right % 1):
                return None
            return left**right


def check_size(names: Reporter, what: str, value: int | None, span: Span) -> None:
    """A size is from 0 to the largest integer of 64 bits. Raises Reported."""
    if value is not None and not 0 <= value <= LARGEST:
        names.fail(
            "NCD3005",
            f"{what} can't have size {value if abs(value) <= LARGEST else 'beyond 64 bits'}",
            span,
            label="a size is at least 0" if value < 0 else "too large",
        )


def _impossible(names: Reporter, item: tree.Binary) -> NoReturn:
    names.fail("NCD3004", f"`{item.span.text}` has no value", item.span, label="no such number")
