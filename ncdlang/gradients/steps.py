"""What a gradient is derived on: equations, scatters and calls of operators, without diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from ncdlang.gradients.terms import reads, written_from
from ncdlang.records import record
from ncdlang.semantics.program import Define, Scatter
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span


@record(eq=False)
class OpCall:
    """A call that stays one: `results = name[axes, settings](arguments)`.

    `targets` are those of the axes that the operator sees in its first argument. `is_packed` says
    that the operator takes any number of axes.
    """

    name: str
    axes: tuple[Axis, ...]
    targets: tuple[Axis, ...]
    settings: tuple[tuple[str, float | int], ...]
    arguments: tuple[Wire, ...]
    results: tuple[Wire, ...]
    span: Span
    is_packed: bool = False


@record(eq=False)
class Cycle:
    """Equations that read each other strictly earlier along an axis."""

    axis: Axis
    steps: tuple[Define | OpCall, ...]
    span: Span


Flat: TypeAlias = Define | OpCall | Scatter | Cycle


def made(step: Flat) -> tuple[Wire, ...]:
    """The wires that a step defines."""
    match step:
        case Define() | Scatter():
            return (step.wire,)
        case OpCall():
            return step.results
        case Cycle():
            return tuple(wire for inner in step.steps for wire in made(inner))


def needed(step: Flat) -> Iterator[Wire]:
    """The wires that a step reads."""
    match step:
        case Define():
            yield from reads(step.expression)
        case OpCall():
            yield from step.arguments
        case Scatter():
            for write in step.writes:
                yield from written_from(write)
        case Cycle():
            for inner in step.steps:
                yield from needed(inner)


def ordered(steps: list[Define | OpCall]) -> tuple[Define | OpCall, ...]:
    """The steps with each after what it needs, where they do not need each other."""
    makers = {wire: step for step in steps for wire in made(step)}
    done: dict[Define | OpCall, None] = {}
    seen: set[Define | OpCall] = set()
    waiting = [(step, False) for step in reversed(steps)]
    while waiting:
        step, is_closed = waiting.pop()
        if is_closed:
            done[step] = None
        elif step not in seen:
            seen.add(step)
            waiting.append((step, True))
            waiting += [(makers[wire], False) for wire in needed(step) if wire in makers]
    return tuple(done)


def live(steps: list[Flat], wanted: set[Wire]) -> list[Flat]:
    """The steps that the wanted wires need, in order."""
    wanted = set(wanted)
    kept: list[Flat] = []
    for step in reversed(steps):
        if wanted.isdisjoint(made(step)):
            continue
        if isinstance(step, Cycle):
            step = _live_cycle(step, wanted)
        kept.append(step)
        wanted.update(needed(step))
    return kept[::-1]


def _live_cycle(step: Cycle, wanted: set[Wire]) -> Cycle:
    """The cycle without equations that nothing wanted needs."""
    reached = set(wanted)
    while True:
        inner = [s for s in step.steps if not reached.isdisjoint(made(s))]
        more = {wire for s in inner for wire in needed(s)} - reached
        if not more:
            return Cycle(step.axis, tuple(inner), step.span)
        reached |= more
