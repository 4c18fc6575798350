"""State: operators that keep a value from one call to the next, in a buffer of their diagram.

An `op` with the property `stateful` moves its last argument, a parameter that the calling diagram
learns as `~ frozen(...)`. A diagram that uses one, directly or through others, keeps state too, and
acts on whole arrays: repeated over further axes it would move its buffers once for each index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.semantics.program import CheckedDiagram, Invoke, Step, walk
from ncdlang.semantics.report import counted
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

STATEFUL = "stateful"


def keeps_state(properties: Iterable[str], steps: tuple[Step, ...]) -> bool:
    """Whether a diagram with these properties and steps moves buffers in training."""
    if STATEFUL in properties:
        return True
    return any(isinstance(step, Invoke) and step.callee.is_stateful for step in walk(steps))


def check_state(
    body: Body,
    callee: CheckedDiagram,
    arguments: Sequence[tuple[Wire, Span]],
    lifted: tuple[Axis, ...],
    span: Span,
) -> None:
    """What a call of a diagram with state must keep to. Raises Reported."""
    if not callee.is_stateful:
        return
    if lifted:
        axes = " ".join(map(str, lifted))
        body.fail(
            "NCD4009",
            f"`{callee.name}` keeps state, so it can't be repeated over the "
            f"{'axis' if len(lifted) == 1 else 'axes'} `{axes}`",
            span,
            label=f"lifted over {counted(len(lifted), 'axis')}",
            help=f"name all axes of the argument in the brackets of `{callee.name}`",
        )
    if callee.primitive:
        _check_buffer(body, callee, *arguments[-1])


def _check_buffer(body: Body, callee: CheckedDiagram, wire: Wire, span: Span) -> None:
    learned = next((known for known in body.learned if known.wire is wire), None)
    if learned is not None and learned.frozen and wire.type.kind.format is None:
        return
    place = [Label(wire.span, "not a buffer")] if learned is not None else []
    body.fail(
        "NCD4009",
        f"`{callee.name}` keeps its state in a buffer of this diagram, its last argument",
        span,
        label="not a buffer",
        labels=place,
        help="declare one: `learn average: [...] ~ frozen(zeros)`",
    )
