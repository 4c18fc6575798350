"""Calls of diagrams: brackets bind axes, arguments match trailing axes, the rest is lifted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.semantics import kinds
from ncdlang.semantics.binding import Opened, open_diagram
from ncdlang.semantics.matching import LearnedUse, Matcher, PlannedCall
from ncdlang.semantics.new_axes import introduce_axes
from ncdlang.semantics.primitives import FUNCTIONS, STAGES
from ncdlang.semantics.program import CheckedDiagram, Define
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.scope import Broken, DiagramRef, LearnedPipeline
from ncdlang.semantics.types import REAL, ArrayType, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def elementwise_callee(body: Body, function: tree.Expr) -> CheckedDiagram | None:
    """The diagram that `function` names, if it is an elementwise operator (all types scalar)."""
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        return None
    meaning = body.scope.find(head.text)
    if not isinstance(meaning, DiagramRef) or not meaning.is_scalar:
        return None
    brackets = function.brackets if isinstance(function, tree.Bracketed) else None
    callee = open_diagram(body, meaning, brackets, head).callee
    return callee if callee.is_elementwise else None


def call_value(body: Body, expr: tree.Call) -> Wire:
    """The one result of a call, as a wire without a name."""
    wires = call_wires(body, expr)
    if len(wires) != 1:
        several_results(body, expr, len(wires))
    return wires[0]


def several_results(body: Body, expr: tree.Call, number: int) -> NoReturn:
    """Report several results where one is wanted. Raises Reported."""
    body.fail(
        "NCD4001",
        f"`{expr.function.span.text}` gives {number} results where one is wanted",
        expr.span,
        label=f"{number} wires",
        help=f"name them: `A, B = {expr.function.span.text}(...)`",
    )


def call_wires(body: Body, expr: tree.Call) -> tuple[Wire, ...]:
    """All results of a call, as wires without names."""
    if is_pipeline(body, expr.function):
        return call_pipeline(body, expr)
    return emit_unnamed(body, plan_call(body, expr))


def emit_unnamed(body: Body, plan: PlannedCall) -> tuple[Wire, ...]:
    """Add a planned call, its results being wires without names."""
    wires = tuple(
        Wire(body.fresh_name(), ArrayType(result.axes, result.kind), plan.span)
        for result in plan.results
    )
    plan.emit(body, wires)
    return wires


def is_pipeline(body: Body, function: tree.Expr) -> bool:
    """Whether what is called is a composition of diagrams or a built-in stage, not a diagram."""
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        return True
    meaning = body.scope.find(head.text)
    return isinstance(meaning, LearnedPipeline) or (meaning is None and head.text in STAGES)


def call_pipeline(body: Body, expr: tree.Call) -> tuple[Wire, ...]:
    """The results of `(f >> g)(X)`."""
    from ncdlang.semantics.pipelines import Pipeline

    arguments: list[Wire] = []
    failed = False
    for argument in expr.arguments:
        try:
            arguments.append(_argument(body, argument, None))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return Pipeline(body).run(expr.function, tuple(arguments), expr.span)


def plan_call(body: Body, expr: tree.Call) -> PlannedCall:
    """Check a call of a diagram or of a learned instance. Raises Reported."""
    try:
        opened, use = resolve_callee(body, expr.function, expr.span)
    except Reported:
        _report_mistakes(body, expr.arguments)
        raise
    callee = opened.callee
    if len(expr.arguments) != len(callee.parameters):
        _wrong_count(body, expr, callee)
    arguments = _arguments(body, expr.arguments, callee)
    return plan_on_wires(body, opened, use, arguments, expr.function.span, expr.span)


def _report_mistakes(body: Body, exprs: tuple[tree.Expr, ...]) -> None:
    """Check arguments of what can't be called for mistakes of their own."""
    from ncdlang.semantics.expressions import Context

    for expr in exprs:
        with suppress(Reported):
            introduce_axes(body, expr)
            body.expressions.check(expr, Context(None))


def plan_on_wires(
    body: Body,
    opened: Opened,
    use: LearnedUse | None,
    arguments: list[tuple[Wire, Span]],
    function: Span,
    span: Span,
) -> PlannedCall:
    """Check a call whose arguments are wires already, each with the place that gives it."""
    return Matcher(body, function, span, opened, use).match(arguments)


def check_no_brackets(body: Body, head: tree.Name, expr: tree.Expr) -> None:
    """An elementwise operator has neither axes nor settings. Raises Reported."""
    if isinstance(expr, tree.Bracketed):
        body.fail(
            "NCD4002",
            f"`{head.text}` takes nothing in brackets",
            expr.brackets.span,
            label="not wanted here",
            help=f"it acts on each entry: `{head.text}(...)`",
        )


def resolve_callee(body: Body, function: tree.Expr, span: Span) -> tuple[Opened, LearnedUse | None]:
    """The diagram or learned instance that is called, its brackets bound. Raises Reported."""
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        body.fail("NCD2012", "only a diagram can be called", function.span, label="no diagram")
    if body.scope.find(head.text) is None and head.text in (*FUNCTIONS, "where"):
        check_no_brackets(body, head, function)
    meaning = body.look_up(head, "diagram")
    brackets = function.brackets if isinstance(function, tree.Bracketed) else None
    match meaning:
        case LearnedUse():
            if brackets is not None:
                body.fail(
                    "NCD4002",
                    f"`{head.text}` has its axes already",
                    brackets.span,
                    label="bound where it was learned",
                    labels=[Label(meaning.span, "here")],
                )
            return meaning.opened, meaning
        case DiagramRef():
            opened = open_diagram(body, meaning, brackets, head)
            if not opened.callee.is_learned:
                return opened, None
            name = body.instance_name(opened.callee.name, head.span)
            return opened, body.add_instance(name, opened, span)
        case Broken():
            raise Reported
        case _:
            body.fail(
                "NCD2012",
                f"`{head.text}` is {body.describe(meaning)}, and only a diagram can be called",
                head.span,
                label="not a diagram",
                help=f"index it with brackets: `{head.text}[...]`"
                if isinstance(meaning, Wire)
                else "",
            )


def _wrong_count(body: Body, expr: tree.Call, callee: CheckedDiagram) -> None:
    wanted = ", ".join(str(wire) for wire in callee.parameters)
    given = len(expr.arguments)
    body.fail(
        "NCD4001",
        f"`{callee.name}` takes {counted(len(callee.parameters), 'argument')}, "
        f"but {given} {'is' if given == 1 else 'are'} given",
        expr.span,
        label=counted(given, "argument"),
        labels=[Label(callee.span, f"takes ({wanted})")] if not callee.library else [],
        help=f"it takes ({wanted})" if callee.library else "",
    )


def _arguments(
    body: Body, exprs: tuple[tree.Expr, ...], callee: CheckedDiagram
) -> list[tuple[Wire, Span]]:
    found: list[tuple[Wire, Span]] = []
    failed = False
    for expr, parameter in zip(exprs, callee.parameters, strict=True):
        try:
            found.append((_argument(body, expr, parameter), expr.span))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return found


def _argument(body: Body, expr: tree.Expr, parameter: Wire | None) -> Wire:
    """The wire that an argument is; other expressions get an equation without a name."""
    if isinstance(expr, tree.Group):
        return _argument(body, expr.inner, parameter)
    if isinstance(expr, tree.Name):
        meaning = body.look_up(expr, "value")
        if isinstance(meaning, Wire) and meaning.type.kind.name != "integer":
            return meaning
    if isinstance(expr, tree.Call) and not body.is_expression_call(expr):
        return call_value(body, expr)
    value = body.unstated(expr)
    wanted = parameter.type.kind if parameter is not None else REAL
    if parameter is not None or value.kind.name == "integer":
        value = kinds.to_kind(body, value, wanted, expr.span)
    wire = Wire(body.fresh_name(), ArrayType(value.axes, value.kind), expr.span)
    body.add(Define(wire, value, expr.span))
    return wire
