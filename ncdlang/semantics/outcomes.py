"""Checks one form of one diagram, or finds what came of that in an earlier check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.diagnostics import Diagnostic, Label, Sink
from ncdlang.semantics.binding import InstanceKey
from ncdlang.semantics.body import Body
from ncdlang.semantics.memory import (
    Outcome,
    Recording,
    all_names,
    anchors,
    answer,
    recalled,
    remember,
    taken_up,
)
from ncdlang.semantics.report import Reported
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker


def outcome_of(
    module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey, blame: bool = False
) -> Outcome:
    """What comes of checking a form of a diagram.

    With `blame` several mistakes that one in the declaration explains are told as that one.
    """
    compilation = module.compilation
    recording = Recording(frozenset(module.told))
    compilation.open_diagrams.append((declaration, declaration.name.text))
    compilation.recordings.append(recording)
    try:
        outcome = _known(module, declaration, key)
        if outcome is None:
            outcome = _checked(module, declaration, key, blame)
            _keep(module, declaration, key, outcome, recording)
    finally:
        compilation.open_diagrams.pop()
        compilation.recordings.pop()
    module.outcomes[declaration.span.start, key] = outcome
    return outcome


def _known(module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey) -> Outcome | None:
    if module.memory is None or module.has_broken(declaration.span):
        return None
    outcome = recalled(module, declaration, key)
    if outcome is not None:
        taken_up(module, declaration, outcome)
    return outcome


def _checked(
    module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey, blame: bool
) -> Outcome:
    sink = Sink()
    body = Body(module, declaration, key, sink)
    try:
        template = body.check()
    except Reported:
        template = None
    found = tuple(sink)
    if found and blame:
        from ncdlang.semantics.blame import blamed

        found = blamed(module, declaration, key, found)
    moved = tuple(module.compilation.moves.finding(each) for each in found)
    wires = (wire.name for wire in body.parameters)
    bound = frozenset((*body.signature_axes, *wires, *(name for name, _ in body.settings)))
    return Outcome(template, moved, body.scope, declaration.span, bound)


def _keep(
    module: ModuleChecker,
    declaration: tree.Diagram,
    key: InstanceKey,
    outcome: Outcome,
    recording: Recording,
) -> None:
    """Remember an outcome together with what it depends on."""
    if module.memory is None or not recording.is_final or module.has_broken(declaration.span):
        return
    outside = anchors(module, declaration, outcome.found)
    if outside is None:
        return
    asked = recording.names
    remember(
        module,
        declaration,
        key,
        Outcome(
            outcome.template,
            outcome.found,
            outcome.scope,
            outcome.place,
            outcome.bound,
            {name: answer(module.scope, name, outcome.bound) for name in asked.seen},
            all_names(module.scope) if asked.listed else None,
            tuple(recording.uses),
            recording.commoner,
            recording.told if recording.asked_told else None,
            frozenset(module.told) - recording.told,
            outside,
        ),
    )


def at_use(
    found: Diagnostic, declaration: tree.Diagram, key: InstanceKey, span: Span, in_library: bool
) -> Diagnostic:
    """A mistake in a form of a diagram as one of the use that asks for the form."""
    given = [
        f"{n} = {v if v is not None else 'this size'}" for n, v in (*key.changed, *key.settings)
    ]
    if in_library:
        given = [f"`{' '.join(names)}`" if names else "no axis" for _, names in key.packs] + given
    return Diagnostic(
        found.code,
        f"`{declaration.name.text}` can't be used with {', '.join(given)}: {found.message}",
        span,
        "used here",
        () if in_library else (Label(found.span, found.label or "here"), *found.labels),
        found.notes,
        found.help,
    )
