"""Reverse mode: from the last step to the first, each gives adjoints to the arrays it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.gradients.adjoints import Adjoints, Contribution, own_axes
from ncdlang.gradients.placing import equations, gathered_term, summed, term
from ncdlang.gradients.rules import Rules
from ncdlang.gradients.steps import Cycle, Flat, OpCall, made, ordered
from ncdlang.gradients.terms import atoms, whole
from ncdlang.records import record
from ncdlang.semantics.program import Define, Expression, Read, Scatter
from ncdlang.semantics.types import ArrayType, Axis, Wire
from ncdlang.source import Span


@record(eq=False)
class Reversed:
    """The steps of the reverse pass, and the adjoint of each wire that was asked for."""

    steps: list[Flat]
    adjoints: Mapping[Wire, Wire]


def reversed_steps(
    steps: list[Flat],
    active: set[Wire],
    seeds: Iterable[tuple[Wire, Wire]],
    wanted: Iterable[Wire],
) -> Reversed:
    """The reverse pass of `steps`. `seeds` are results with the wires that hold their adjoints."""
    reverse = _Reverse(active)
    for result, adjoint in seeds:
        if result in active:
            reverse.seed(result, adjoint)
    for step in reversed(steps):
        reverse.step(step)
    return Reversed(reverse.steps, {wire: reverse.final(wire) for wire in wanted})


class _Reverse:
    def __init__(self, active: set[Wire]) -> None:
        self.steps: list[Flat] = []
        self._active = active
        self._parts: dict[Wire, list[Contribution]] = {}
        self._adjoints = Adjoints(active, self._named)
        self._rules = Rules(self._named, self.steps.append, active)

    def seed(self, wire: Wire, adjoint: Wire) -> None:
        """Say that a wire's adjoint has the given one as a part."""
        axes = atoms(wire.type.axes)
        value = _renamed(adjoint, wire)
        self._add([Contribution(wire, own_axes(wire), value, axes, False, wire.span)])

    def final(self, wire: Wire) -> Wire:
        """The adjoint of an input or a parameter."""
        adjoint, step = equations(wire, f"d{_stem(wire)}", self._parts.get(wire, ()), wire.span)
        self.steps.append(step)
        return adjoint

    def step(self, step: Flat) -> None:
        """Give adjoints to what a step reads."""
        if isinstance(step, Cycle):
            self._cycle(step)
            return
        if all(wire not in self._parts for wire in made(step)):
            return
        match step:
            case Define():
                adjoint = self._adjoint(step.wire)
                self._add(self._defined(step, adjoint))
            case Scatter():
                self._add(self._rules.scatter(step, self._array(step.wire), self._adjoints))
            case OpCall():
                adjoints = {w: self._adjoint(w) for w in step.results if w in self._parts}
                self._add(self._rules.call(step, adjoints))

    def _defined(self, step: Define, adjoint: Expression) -> Iterable[Contribution]:
        domain = atoms(step.wire.type.axes)
        result = whole(step.wire, step.span)
        return list(self._adjoints.of(step.expression, result, adjoint, domain))

    def _add(self, parts: Iterable[Contribution]) -> None:
        for part in parts:
            self._parts.setdefault(part.wire, []).append(part)

    def _adjoint(self, wire: Wire) -> Expression:
        """The whole adjoint of a wire that all readers have been visited of."""
        parts = self._parts.pop(wire)
        if len(parts) == 1 and isinstance(parts[0].value, Read):
            alone = term(parts[0])
            if isinstance(alone, Read):
                return alone
        return whole(self._stated(wire, parts), wire.span)

    def _array(self, wire: Wire) -> Wire:
        """The whole adjoint of a wire as an array with its axes."""
        parts = self._parts.pop(wire)
        return self._stated(wire, parts)

    def _stated(self, wire: Wire, parts: list[Contribution]) -> Wire:
        adjoint, step = equations(wire, f"d{_stem(wire)}", parts, wire.span)
        self.steps.append(step)
        return adjoint

    def _named(self, name: str, axes: tuple[Axis, ...], value: Expression) -> Expression:
        """A wire of the reverse pass with a value of its own."""
        span = getattr(value, "span", None)
        assert isinstance(span, Span)
        wire = Wire(name, ArrayType(axes), span)
        self.steps.append(Define(wire, value, span))
        return whole(wire, span)

    # ---- recurrences ---------------------------------------------------------------------------

    def _cycle(self, cycle: Cycle) -> None:
        """The reverse recurrence: adjoints that read each other later along the axis.

        What the cycle adds to arrays outside it is placed after it, as of any equation.
        """
        wires = made(cycle)
        adjoints = {
            wire: Wire(f"d{_stem(wire)}", ArrayType(wire.type.axes), wire.span) for wire in wires
        }
        outside = {wire: self._parts.pop(wire) for wire in wires if wire in self._parts}
        inside: dict[Wire, list[Contribution]] = {wire: [] for wire in outside}
        before, self.steps = self.steps, []
        waiting = list(cycle.steps)
        while ready := [s for s in waiting if any(w in inside for w in made(s))]:
            step = ready[-1]
            waiting.remove(step)
            for part in self._given(step, adjoints, inside):
                if part.wire in adjoints:
                    inside.setdefault(part.wire, []).append(part)
                else:
                    self._add([part])
        for wire in reversed(wires):
            if wire in inside:
                parts = self._outside(wire, outside.get(wire, []), before)
                parts += [gathered_term(part) for part in inside[wire]]
                self.steps.append(Define(adjoints[wire], summed(parts, wire.span), wire.span))
        inner = [step for step in self.steps if isinstance(step, Define | OpCall)]
        self.steps = [*before, Cycle(cycle.axis, ordered(inner), cycle.span)]

    def _given(
        self,
        step: Define | OpCall,
        adjoints: Mapping[Wire, Wire],
        inside: Mapping[Wire, list[Contribution]],
    ) -> Iterable[Contribution]:
        if isinstance(step, Define):
            return self._defined(step, whole(adjoints[step.wire], step.span))
        given = {w: whole(adjoints[w], step.span) for w in step.results if w in inside}
        return self._rules.call(step, given)

    def _outside(
        self, wire: Wire, parts: list[Contribution], before: list[Flat]
    ) -> list[Expression]:
        """What later steps add to a wire of a recurrence; a scatter is a wire of its own."""
        terms = [term(part) for part in parts]
        values = [value for value in terms if value is not None]
        if len(values) == len(terms):
            return values
        given, step = equations(wire, f"g{_stem(wire)}", parts, wire.span)
        before.append(step)
        return [whole(given, wire.span)]


def _renamed(adjoint: Wire, wire: Wire) -> Expression:
    """An adjoint that is given, read at the axes of the wire it belongs to."""
    return Read(adjoint, own_axes(wire), adjoint.type.kind, atoms(wire.type.axes), wire.span)


def _stem(wire: Wire) -> str:
    return wire.name.lstrip("_") or "t"
