"""Elementwise diagrams as expressions of their arguments."""

from __future__ import annotations

from ncdlang.gradients.error import GradientError, no_derivative
from ncdlang.gradients.rewriting import rebuilt
from ncdlang.gradients.terms import children
from ncdlang.semantics.program import (
    ApplyDiagram,
    BlockStep,
    CheckedDiagram,
    Define,
    Expression,
    Invoke,
    Read,
    Step,
)
from ncdlang.semantics.types import Wire


def opened_scalars(value: Expression) -> Expression:
    """The expression with elementwise diagrams of user files replaced by their equations.

    Those of the prelude stay: every file knows them.
    """
    parts = tuple(opened_scalars(child) for child in children(value))
    value = rebuilt(value, parts) if parts else value
    if isinstance(value, ApplyDiagram) and not value.callee.primitive:
        if value.callee.library != "std.prelude":
            return opened_scalars(inlined(value))
    return value


def inlined(value: ApplyDiagram) -> Expression:
    """What an elementwise diagram computes, as one expression of its arguments."""
    if value.callee.primitive:
        raise no_derivative(value.callee.name, value.span)
    return _result(value.callee, value.arguments)


def _result(callee: CheckedDiagram, arguments: tuple[Expression, ...]) -> Expression:
    known = dict(zip(callee.parameters, arguments, strict=True))
    _run(callee.steps, known)
    return known[callee.results[0]]


def _run(steps: tuple[Step, ...], known: dict[Wire, Expression]) -> None:
    for step in steps:
        match step:
            case BlockStep():
                _run(step.steps, known)
            case Define():
                known[step.wire] = _put(step.expression, known)
            case Invoke():
                arguments = tuple(known[wire] for wire in step.arguments)
                known[step.results[0]] = _result(step.callee, arguments)
            case _:
                raise GradientError("an elementwise diagram has no scatter", step.span)


def _put(value: Expression, known: dict[Wire, Expression]) -> Expression:
    if isinstance(value, Read):
        return known[value.wire]
    parts = tuple(_put(child, known) for child in children(value))
    return rebuilt(value, parts) if parts else value
