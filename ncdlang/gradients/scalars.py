"""Elementwise diagrams as expressions of their arguments."""

from __future__ import annotations

from ncdlang.gradients.error import GradientError, no_derivative
from ncdlang.gradients.rewriting import Change, rebuilt
from ncdlang.gradients.terms import children, row_major, walk
from ncdlang.semantics.program import (
    ApplyDiagram,
    BlockStep,
    CheckedDiagram,
    Contract,
    Define,
    Expression,
    Invoke,
    Read,
    Reduce,
    Step,
)
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, Axis, Wire
from ncdlang.source import Span


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
    """Learn the value of each wire, as an expression over the wire's own axes."""
    for step in steps:
        match step:
            case BlockStep():
                _run(step.steps, known)
            case Define():
                known[step.wire] = _put(step.expression, known)
            case Invoke():
                known[step.results[0]] = _called(step, known)
            case _:
                raise GradientError(
                    "a scatter or recurrence inside an elementwise diagram has no gradient",
                    step.span,
                )


def _called(step: Invoke, known: dict[Wire, Expression]) -> Expression:
    """What a call gives, with the axes and sizes of the diagram that it is in."""
    arguments: list[Expression] = []
    for wire, weave in zip(step.arguments, step.argument_weaves, strict=True):
        pairs = zip(wire.type.axes, weave, strict=True)
        formal = {own: row_major(f) for own, f in pairs if f is not None}
        arguments.append(Change(_single(formal, step.span)).expression(known[wire]))
    value = _result(step.callee, tuple(arguments))
    pairs = zip(step.results[0].type.axes, step.result_weaves[0], strict=True)
    axes = _single({f: row_major(own) for own, f in pairs if f is not None}, step.span)
    sizes = dict(step.binding)
    for part in walk(value):
        for axis in part.bound if isinstance(part, Contract | Reduce) else ():
            if axis not in axes and not axis.size.symbols().isdisjoint(sizes):
                axes |= _single({axis: row_major(_sized(axis, sizes))}, step.span)
    return Change(axes, sizes).expression(value)


def _sized(axis: Axis, sizes: dict[Symbol, Size]) -> Axis:
    return Axis(axis.name, axis.size.substitute(sizes), axis.parts)


def _single(axes: dict[Axis, Affine], span: Span) -> dict[Axis, Affine]:
    """The axes, none of which is flattened: raises GradientError for one that is."""
    if any(axis.parts for axis in axes):
        raise GradientError("a flattened axis inside an elementwise diagram has no gradient", span)
    return axes


def _put(value: Expression, known: dict[Wire, Expression]) -> Expression:
    if isinstance(value, Read):
        places = dict(zip(value.wire.type.axes, value.indices, strict=True))
        return Change(_single(places, value.span)).expression(known[value.wire])
    parts = tuple(_put(child, known) for child in children(value))
    return rebuilt(value, parts) if parts else value
