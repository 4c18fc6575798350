"""Copies folded away: what reads a wire that only copies another reads that one instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ncdlang.gradients.rewriting import Change
from ncdlang.gradients.steps import Cycle, Flat, OpCall
from ncdlang.records import replace
from ncdlang.semantics.program import Define, Read, Scatter, Write
from ncdlang.semantics.types import Affine, Wire


def without_copies(
    forward: Iterable[Flat], reverse: Iterable[Flat], results: Iterable[Wire]
) -> tuple[list[Flat], list[Flat]]:
    """Both passes without equations like `A[x h] = O[x h]`; `results` stay what they are."""
    forward, reverse = list(forward), list(reverse)
    folding = _Folding({*results}, {*_arguments([*forward, *reverse])})
    return (
        [step for old in forward for step in folding.step(old)],
        [step for old in reverse for step in folding.step(old)],
    )


def _arguments(steps: Iterable[Flat]) -> Iterator[Wire]:
    """The wires that are given to operators, which name axes of theirs."""
    for step in steps:
        if isinstance(step, OpCall):
            yield from step.arguments
        elif isinstance(step, Cycle):
            yield from _arguments(step.steps)


class _Folding:
    def __init__(self, results: set[Wire], arguments: set[Wire]) -> None:
        self._results = results
        self._arguments = arguments
        self._sources: dict[Wire, Wire] = {}
        self._change = Change(moved=self._moved)

    def step(self, step: Flat) -> tuple[Flat, ...]:
        """The step with originals in the place of copies; none for a copy."""
        match step:
            case Define():
                value = self._change.expression(step.expression)
                if isinstance(value, Read) and self._is_copy(step.wire, value):
                    self._sources[step.wire] = value.wire
                    return ()
                return (Define(step.wire, value, step.span),)
            case OpCall():
                return (replace(step, arguments=tuple(map(self._argument, step.arguments))),)
            case Scatter():
                writes = tuple(map(self._write, step.writes))
                return (Scatter(step.wire, writes, step.span),)
            case Cycle():
                return (self._cycle(step),)

    def _cycle(self, cycle: Cycle) -> Cycle:
        """Equations of a cycle stay: a copy may be read before it is made."""
        steps: list[Define | OpCall] = []
        for step in cycle.steps:
            if isinstance(step, Define):
                value = self._change.expression(step.expression)
                steps.append(Define(step.wire, value, step.span))
            else:
                steps.append(replace(step, arguments=tuple(map(self._argument, step.arguments))))
        return Cycle(cycle.axis, tuple(steps), cycle.span)

    def _write(self, write: Write) -> Write:
        indices = tuple(map(self._change.index, write.indices))
        value = self._change.expression(write.expression)
        return Write(write.op, indices, write.axes, value, write.span)

    def _argument(self, wire: Wire) -> Wire:
        return self._sources.get(wire, wire)

    def _moved(self, wire: Wire, indices: tuple[Affine, ...]) -> tuple[Wire, tuple[Affine, ...]]:
        return self._sources.get(wire, wire), indices

    def _is_copy(self, wire: Wire, value: Read) -> bool:
        """Whether a wire is another one, axis by axis in their order."""
        own, given = wire.type.axes, value.wire.type.axes
        if wire in self._results or wire.type.kind != value.wire.type.kind:
            return False
        if len(own) != len(given) or (wire in self._arguments and own != given):
            return False
        return all(
            index.axis is axis and axis.size == other.size
            for axis, other, index in zip(own, given, value.indices, strict=True)
        )
