"""Gradients of scatters, and of the operators that no equations stand for.

Softmax has equations, but its gradient needs its value alone: `dS = P * (dP - sum[x](P * dP))`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from ncdlang.gradients.adjoints import Adjoints, Contribution, Name, own_axes
from ncdlang.gradients.steps import Flat, OpCall
from ncdlang.gradients.terms import (
    apply,
    atoms,
    free,
    number,
    read,
    row_major,
    select,
    total,
    whole,
)
from ncdlang.semantics.program import Expression, Scatter, Select, Write
from ncdlang.semantics.size import ONE, ZERO
from ncdlang.semantics.types import REAL, Affine, ArrayType, Axis, Gathered, Kind, Wire
from ncdlang.source import Span

CLOSED = frozenset({"std.prelude.softmax", "std.prelude.log_softmax"})


class Rules:
    """Contributions of calls and scatters.

    `name` makes wires of the reverse pass, `emit` adds other steps to it; `active` are the wires
    that have adjoints.
    """

    def __init__(self, name: Name, emit: Callable[[Flat], None], active: set[Wire]) -> None:
        self._name = name
        self._emit = emit
        self._active = active

    def call(self, step: OpCall, adjoints: Mapping[Wire, Expression]) -> Iterable[Contribution]:
        """What a call adds to its argument, given the adjoints of its results."""
        argument = step.arguments[0]
        if argument not in self._active:
            return ()
        match step.name:
            case "softmax":
                return (self._softmax(step, adjoints[step.results[0]]),)
            case "log_softmax":
                return (self._log_softmax(step, adjoints[step.results[0]]),)
            case "sort" | "top_k":
                return (self._chosen(step, adjoints[step.results[0]]),)
            case _:
                return ()

    def _targets(self, step: OpCall) -> tuple[Axis, ...]:
        return atoms(step.targets)

    def _softmax(self, step: OpCall, adjoint: Expression) -> Contribution:
        result, span = step.results[0], step.span
        value = whole(result, span)
        domain = atoms(result.type.axes)
        targets = self._targets(step)
        row = tuple(axis for axis in domain if axis not in targets)
        both = apply("mul", adjoint, value, span=span)
        dot = self._name(f"r{result.name.lstrip('_')}", row, total(targets, both, span))
        given = apply("mul", value, apply("sub", adjoint, dot, span=span), span=span)
        return _passed(step, given, domain)

    def _log_softmax(self, step: OpCall, adjoint: Expression) -> Contribution:
        result, span = step.results[0], step.span
        domain = atoms(result.type.axes)
        targets = self._targets(step)
        row = tuple(axis for axis in domain if axis not in targets)
        summed = self._name(f"r{result.name.lstrip('_')}", row, total(targets, adjoint, span))
        shares = apply("exp", whole(result, span), span=span)
        rest = apply("mul", shares, summed, span=span)
        return _passed(step, apply("sub", adjoint, rest, span=span), domain)

    def _chosen(self, step: OpCall, adjoint: Expression) -> Contribution:
        """Sorting and choosing read the entries that their places name."""
        result, span = step.results[0], step.span
        places = step.results[1] if step.name == "top_k" else self._order(step)
        (target,) = step.targets
        picked = Affine(ZERO, ((Gathered(places, own_axes(places)), ONE),))
        argument = step.arguments[0]
        indices = tuple(picked if a is target else row_major(a) for a in argument.type.axes)
        return Contribution(argument, indices, adjoint, atoms(result.type.axes), False, span)

    def _order(self, step: OpCall) -> Wire:
        """The places of what was sorted."""
        argument, (target,) = step.arguments[0], step.targets
        kind = Kind("natural", None, target.size, target)
        places = Wire("order", ArrayType(argument.type.axes, kind), step.span)
        self._emit(
            OpCall("argsort", step.axes, step.targets, (), (argument,), (places,), step.span)
        )
        return places

    # ---- scatters ------------------------------------------------------------------------------

    def scatter(self, step: Scatter, adjoint: Wire, adjoints: Adjoints) -> Iterator[Contribution]:
        """What the writes of one operator add, given the adjoint of the array written."""
        for write in step.writes:
            span = write.span
            here = read(adjoint, write.indices, span)
            match write.op:
                case "=" | "+=":
                    given = here
                case "max=" | "min=":
                    given = self._extremum(step.wire, write, here)
                case "*=":
                    given = self._product(step.wire, write, here)
            result = write.expression
            yield from adjoints.of(write.expression, result, given, write.axes)

    def _extremum(self, wire: Wire, write: Write, here: Expression) -> Expression:
        """Shared evenly between the sources that are the largest of a place."""
        span = write.span
        reached = read(wire, write.indices, span)
        chosen = apply("eq", write.expression, reached, span=span)
        ties = self._scattered("n", wire, write, "+=", select(chosen, True, number(1), span))
        count = read(ties, write.indices, span)
        return select(chosen, True, apply("div", here, count, span=span), span)

    def _product(self, wire: Wire, write: Write, here: Expression) -> Expression:
        """The product of the other sources of a place, zeros among them or not."""
        span, value, zero = write.span, write.expression, number(0)
        is_zero = apply("eq", value, zero, span=span)
        zeros = self._scattered("zeros", wire, write, "+=", select(is_zero, True, number(1), span))
        safe = _choice(is_zero, number(1), value, span)
        rest = self._scattered("rest", wire, write, "*=", safe)
        count, product = read(zeros, write.indices, span), read(rest, write.indices, span)
        alone = apply("eq", count, number(1), span=span)
        none = apply("eq", count, zero, span=span)
        without = select(none, True, apply("div", product, value, span=span), span)
        others = _choice(is_zero, select(alone, True, product, span), without, span)
        return apply("mul", here, others, span=span)

    def _scattered(
        self, name: str, wire: Wire, write: Write, op: Literal["+=", "*="], value: Expression
    ) -> Wire:
        """A scatter of another value to the places that a write goes to."""
        made = Wire(name, ArrayType(wire.type.axes), write.span)
        source = Write(op, write.indices, write.axes, value, write.span)
        self._emit(Scatter(made, (source,), write.span))
        return made


def _passed(step: OpCall, value: Expression, domain: tuple[Axis, ...]) -> Contribution:
    """What reaches the argument of a call whose result has its axes, entry by entry."""
    indices = own_axes(step.results[0])
    return Contribution(step.arguments[0], indices, value, domain, False, step.span)


def _choice(
    condition: Expression, then: Expression, otherwise: Expression, span: Span
) -> Expression:
    return Select(condition, then, otherwise, REAL, free(condition, then, otherwise), span)
