"""The derivatives of the elementwise primitives, declared as expressions of the language.

`a` and `b` are the arguments and `y` is the value. None stands for a derivative that is 0
everywhere that it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ncdlang.gradients.terms import apply, number, select
from ncdlang.semantics.primitives import INFIX
from ncdlang.semantics.program import Apply, Constant, Expression
from ncdlang.semantics.types import BOOLEAN
from ncdlang.source import Source, Span
from ncdlang.syntax import tree

DERIVATIVES: dict[str, tuple[str | None, ...]] = {
    "add": ("1", "1"),
    "sub": ("1", "-1"),
    "mul": ("b", "a"),
    "div": ("1 / b", "-y / b"),
    "pow": ("where(b == 0, 0, b * a^(b - 1))", "where(a == 0, 0, y * log(a))"),
    "floordiv": (None, None),
    "mod": ("1", "-floor(a / b)"),
    "neg": ("-1",),
    "max": ("where(a > b, 1, 0)", "where(a > b, 0, 1)"),
    "min": ("where(a < b, 1, 0)", "where(a < b, 0, 1)"),
    "real": ("1",),
    "cast": ("1",),
    "abs": ("sign(a)",),
    "sign": (None,),
    "exp": ("y",),
    "log": ("1 / a",),
    "log1p": ("1 / (1 + a)",),
    "expm1": ("y + 1",),
    "sqrt": ("1 / (2 * y)",),
    "rsqrt": ("-y / (2 * a)",),
    "sin": ("cos(a)",),
    "cos": ("-sin(a)",),
    "tan": ("1 + y^2",),
    "tanh": ("1 - y * y",),
    "sigmoid": ("y * (1 - y)",),
    "erf": ("2 / sqrt(pi) * exp(-a^2)",),
    "floor": (None,),
    "ceil": (None,),
    "round": (None,),
}

Build = Callable[[dict[str, Expression], Span], Expression]


def derivative(value: Apply, place: int, result: Expression) -> Expression | None:
    """The derivative of a primitive in its argument number `place`, None where it is 0.

    `result` is what stands for the value.
    """
    declared = DERIVATIVES[value.op][place]
    if declared is None:
        return None
    if value.op == "pow" and place == 0 and isinstance(value.arguments[1], Constant):
        declared = "b * a^(b - 1)"
    names = dict(zip("ab", value.arguments, strict=False)) | {"y": result}
    return _build(_parsed(declared), names, value.span)


@cache
def _parsed(text: str) -> tree.Expr:
    from ncdlang.syntax.parser import parse

    parsed = parse(Source("derivatives", f"const d = {text}\n"))
    (declared,) = parsed.file.declarations
    assert isinstance(declared, tree.Const)
    return declared.value


def _build(expr: tree.Expr, names: dict[str, Expression], span: Span) -> Expression:
    """The expression that a declared derivative is for given arguments."""
    match expr:
        case tree.Name():
            return names.get(expr.text) or Constant(_PI, names["y"].kind)
        case tree.Number():
            return number(expr.value)
        case tree.Group():
            return _build(expr.inner, names, span)
        case tree.Unary():
            return apply("neg", _build(expr.operand, names, span), span=span)
        case tree.Binary():
            left, right = (_build(side, names, span) for side in (expr.left, expr.right))
            return apply(INFIX[expr.op], left, right, span=span)
        case tree.Call():
            return _call(expr, names, span)
        case _:
            raise ValueError(f"a derivative can't be declared by {type(expr).__name__}")


_PI = 3.141592653589793


def _call(expr: tree.Call, names: dict[str, Expression], span: Span) -> Expression:
    assert isinstance(expr.function, tree.Name)
    arguments = [_build(argument, names, span) for argument in expr.arguments]
    if expr.function.text != "where":
        return apply(expr.function.text, *arguments, span=span)
    condition, then, otherwise = arguments
    assert condition.kind == BOOLEAN
    if isinstance(then, Constant) and then.value == 0:
        return select(condition, False, otherwise, span)
    return select(condition, True, then, span)
