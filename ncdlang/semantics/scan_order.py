"""Can equations be evaluated for one index along an axis after another?

They can if each reads the others only at strictly earlier indices, or at the same index those
that come before it in some order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ncdlang.records import record
from ncdlang.semantics.expressions import Guards, outside
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Define,
    Expression,
    Invoke,
    Read,
    Reduce,
    Select,
    made_by,
)
from ncdlang.semantics.size import constant
from ncdlang.semantics.sizes import composite_index, make_affine
from ncdlang.semantics.types import Affine, Axis, Wire, gathered
from ncdlang.source import Span

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Evaluated = Define | Invoke


@record
class Blame:
    """Why an axis gives no order: a place, what is wrong there, what may help.

    With `is_order` it does, provided that what is read here is evaluated before.
    """

    span: Span
    text: str
    help: str = ""
    is_order: bool = False


@record(eq=False)
class _Use:
    """A read of a wire of the circle: its place, its index along the axis, when it counts.

    `index` is None for a wire that is read whole.
    """

    wire: Wire
    index: Affine | None
    guards: Guards
    bound: frozenset[Axis]
    span: Span


def inputs_of(step: Evaluated) -> set[Wire]:
    """The wires that a step reads, in indices too."""
    if isinstance(step, Invoke):
        return set(step.arguments)
    return {read.wire for read, _, _ in _reads(step.expression, (), frozenset())}


def scan_order(
    body: Body, steps: list[Evaluated], axis: Axis, reverse: bool
) -> tuple[Evaluated, ...] | Blame:
    """The steps in an order for each index along the axis, or what stands against it."""
    makers = {wire: i for i, step in enumerate(steps) for wire in made_by(step)}
    awaited: list[dict[int, Blame]] = [{} for _ in steps]
    for i, step in enumerate(steps):
        for use in _uses(step, makers, axis):
            outcome = _outcome(body, use, axis, reverse)
            if outcome is None:
                continue
            if not outcome.is_order:
                return outcome
            awaited[i].setdefault(makers[use.wire], outcome)
        if any(axis not in wire.type.axes for wire in made_by(step)):
            return Blame(step.span, f"has no axis `{axis}`")
    return _sorted(steps, awaited)


def _sorted(
    steps: list[Evaluated], awaited: list[dict[int, Blame]]
) -> tuple[Evaluated, ...] | Blame:
    done: dict[int, None] = {}
    while len(done) < len(steps):
        left = [i for i in range(len(steps)) if i not in done]
        ready = next((i for i in left if awaited[i].keys() <= done.keys()), None)
        if ready is None:
            return next(b for i in left for j, b in awaited[i].items() if j not in done)
        done[ready] = None
    return tuple(steps[i] for i in done)


# ---- one read ---------------------------------------------------------------------------------


def _outcome(body: Body, use: _Use, axis: Axis, reverse: bool) -> Blame | None:
    """None if only strictly earlier indices are read, else what stands against that."""
    from ncdlang.semantics.bounds import prove_at_least
    from ncdlang.semantics.facts import Facts

    if use.index is None:
        return Blame(use.span, f"reads `{use.wire.name}` along the whole axis `{axis}`")
    if not use.bound.isdisjoint(axis.atoms) and not use.bound.isdisjoint(use.index.axes()):
        return Blame(use.span, f"`{axis}` is bound here, so all of it is read")
    own = composite_index([axis])
    if use.index == own:
        text = f"read at the same index along `{axis}`"
        return Blame(use.span, text, _step_before(use.wire, axis), is_order=True)
    distance = _difference(use.index, own) if reverse else _difference(own, use.index)
    facts = Facts(body.constraints.relations_at_defaults)
    if prove_at_least(distance, 1, use.guards, facts):
        return None
    advice = _advice(distance, use.wire, axis)
    if prove_at_least(distance, 0, use.guards, facts):
        text = f"may be read at the same index along `{axis}`"
        return Blame(use.span, text, advice, is_order=True)
    return Blame(use.span, f"may be read {'earlier' if reverse else 'later'}", advice)


def _advice(distance: Affine, wire: Wire, axis: Axis) -> str:
    size = distance.constant
    if not distance.terms and size.value is None:
        return f"if that is so, state it: `assert {size} >= 1`"
    return _step_before(wire, axis)


def _step_before(wire: Wire, axis: Axis) -> str:
    if axis.parts or wire.name.startswith("_"):
        return "read the step before, under a guard"
    slots = [f"{a} - 1" if a is axis else str(a) for a in wire.type.axes]
    return (
        "read the step before, under a guard: "
        f"`where({axis} > 0, {wire.name}[{', '.join(slots)}], ...)`"
    )


def _difference(left: Affine, right: Affine) -> Affine:
    minus = [(variable, -coefficient) for variable, coefficient in right.terms]
    return make_affine(left.constant + right.constant * constant(-1), [*left.terms, *minus])


# ---- reads of a step --------------------------------------------------------------------------


def _uses(step: Evaluated, circle: Iterable[Wire], axis: Axis) -> Iterator[_Use]:
    """The reads of wires of the circle."""
    wanted = frozenset(circle)
    if isinstance(step, Define):
        for read, guards, bound in _reads(step.expression, (), frozenset()):
            if read.wire in wanted:
                index = _along(read.wire, read.indices, axis)
                yield _Use(read.wire, index, guards, bound, read.span)
        return
    for wire, weave in zip(step.arguments, step.argument_weaves, strict=True):
        if wire in wanted:
            axes = wire.type.axes
            lifted = axis in axes and weave[axes.index(axis)] is None
            index = composite_index([axis]) if lifted else None
            yield _Use(wire, index, (), frozenset(), step.span)


def _along(wire: Wire, indices: tuple[Affine, ...], axis: Axis) -> Affine | None:
    axes = wire.type.axes
    return indices[axes.index(axis)] if axis in axes else None


@record(eq=False)
class _Entry:
    """An entry of a wire that an expression needs, in an index or as a value."""

    wire: Wire
    indices: tuple[Affine, ...]
    span: Span


def _reads(
    expression: Expression, guards: Guards, bound: frozenset[Axis]
) -> Iterator[tuple[_Entry, Guards, frozenset[Axis]]]:
    """Every read with the conditions under which it counts and the axes bound round it."""
    match expression:
        case Read():
            entry = _Entry(expression.wire, expression.indices, expression.span)
            yield entry, guards, bound
            for gather in gathered(expression.indices):
                yield _Entry(gather.wire, gather.indices, expression.span), guards, bound
        case Apply() | ApplyDiagram():
            for argument in expression.arguments:
                yield from _reads(argument, guards, bound)
        case Select():
            condition = expression.condition
            yield from _reads(condition, guards, bound)
            yield from _reads(expression.then, (*guards, (condition, True)), bound)
            yield from _reads(expression.otherwise, (*guards, (condition, False)), bound)
        case Contract() | Reduce():
            inner = outside(guards, expression.bound)
            parts = expression.factors if isinstance(expression, Contract) else (expression.body,)
            for part in parts:
                yield from _reads(part, inner, bound | frozenset(expression.bound))
        case _:
            return
