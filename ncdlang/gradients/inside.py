"""What a recurrence may hold besides equations, as equations.

A scatter in each step is a sum over what hits an entry; a recurrence in each step that only
gathers up (`cumsum`, `cumprod`, `cummax`) is a reduction over the entries so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ncdlang.gradients.adjoints import Contribution
from ncdlang.gradients.error import GradientError
from ncdlang.gradients.placing import gathered_term, summed
from ncdlang.gradients.rewriting import fresh, renaming
from ncdlang.gradients.terms import apply, reads, row_major
from ncdlang.semantics.program import (
    Apply,
    Constant,
    Define,
    Expression,
    IndexValue,
    Read,
    Reduce,
    Scatter,
    Select,
)
from ncdlang.semantics.size import constant
from ncdlang.semantics.types import INTEGER, REAL, Axis, Wire

_GATHERED = {"add": ("sum", 0.0), "mul": ("prod", 1.0), "max": ("max", -inf), "min": ("min", inf)}


def equation(step: Scatter) -> Define:
    """A scatter as an equation, which asks of every entry what is written to it.

    Raises GradientError for one that does not add up what is written.
    """
    ops = [write.op for write in step.writes]
    adds = {"=", "+="}.issuperset(ops) and ops == sorted(ops, reverse=True)
    if not adds or step.wire.type.kind.name != "real":
        raise GradientError(
            "a scatter inside a recurrence has a gradient only if it adds reals", step.span
        )
    parts = [
        Contribution(step.wire, write.indices, write.expression, write.axes, False, write.span)
        for write in step.writes
    ]
    return Define(step.wire, summed([gathered_term(part) for part in parts], step.span), step.span)


def reduction(axis: Axis, steps: Sequence[object]) -> Define | None:
    """A recurrence as a reduction over the entries before, None where it is none.

    That is `Y[x] = X[x] + where(x > 0, Y[x - 1], 0)`, or such a product or extremum.
    """
    if len(steps) != 1 or not isinstance(steps[0], Define):
        return None
    step = steps[0]
    value, wire = step.expression, step.wire
    if not isinstance(value, Apply) or value.op not in _GATHERED or axis.parts:
        return None
    name, identity = _GATHERED[value.op]
    given, before = value.arguments
    if not _is_before(before, wire, axis, identity) or wire in reads(given):
        return None
    earlier = fresh(axis)
    here, there = (IndexValue(each, INTEGER, (each,)) for each in (axis, earlier))
    condition = apply("le", there, here, span=step.span)
    moved = renaming({axis: earlier}).expression(given)
    neutral = Constant(identity if abs(identity) == inf else int(identity), REAL)
    axes = tuple(dict.fromkeys((axis, earlier, *moved.axes)))
    body = Select(condition, moved, neutral, REAL, axes, step.span)
    kept = tuple(each for each in axes if each is not earlier)
    return Define(wire, Reduce(name, (earlier,), body, REAL, kept, step.span), step.span)


def _is_before(value: Expression, wire: Wire, axis: Axis, identity: float) -> bool:
    """Whether a value is `where(x > 0, Y[x - 1], identity)`."""
    if not isinstance(value, Select) or not isinstance(value.condition, Apply):
        return False
    condition, then, otherwise = value.condition, value.then, value.otherwise
    if condition.op != "gt" or not isinstance(then, Read) or then.wire is not wire:
        return False
    left, right = condition.arguments
    if not isinstance(left, IndexValue) or left.axis is not axis or _number(right) != 0:
        return False
    if _number(otherwise) != identity:
        return False
    return all(
        index.constant == constant(-1) and index.terms == row_major(own).terms
        if own is axis
        else index.axis is own
        for own, index in zip(wire.type.axes, then.indices, strict=True)
    )


def _number(value: Expression) -> float | None:
    if isinstance(value, Apply) and value.op == "neg":
        inner = _number(value.arguments[0])
        return None if inner is None else -inner
    if isinstance(value, Apply) and value.op in ("real", "cast"):
        return _number(value.arguments[0])
    return float(value.value) if isinstance(value, Constant) else None
