"""Recurrences: equations that read each other strictly earlier (or later) along one axis.

First the wires whose axes are stated are defined, then the equations are typed, each after those
whose wires it needs; `scan_order` proves that they can be evaluated along one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.records import record, replace
from ncdlang.semantics import kinds
from ncdlang.semantics.circles import names_of
from ncdlang.semantics.early_kinds import early_kinds
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.new_axes import introduce_axes
from ncdlang.semantics.program import Define, Invoke, Recurrence, made_by, walk
from ncdlang.semantics.report import Reported, listed
from ncdlang.semantics.scan_order import Blame, inputs_of, scan_order
from ncdlang.semantics.scatter import fail_undeclared
from ncdlang.semantics.scope import Broken, DeclaredWire
from ncdlang.semantics.sizes import bracket_items
from ncdlang.semantics.types import ArrayType, Axis, Kind, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Evaluated = Define | Invoke


@record(eq=False)
class _Member:
    """An equation of a recurrence. `wires` are empty until its axes are known."""

    equation: tree.Equation
    wires: tuple[Wire, ...]
    reads: frozenset[str]

    @property
    def targets(self) -> list[tree.Target]:
        return _kept(self.equation)


def _kept(equation: tree.Equation) -> list[tree.Target]:
    """What an equation defines; `_` discards a result."""
    return [target for target in equation.targets if target.name.text != "_"]


def check_recurrence(body: Body, equations: Sequence[tree.Equation]) -> None:
    """Check equations that read each other in a circle and add them. Raises Reported."""
    from ncdlang.semantics.equations import check_new

    _check_plain(body, equations)
    targets = [target for equation in equations for target in _kept(equation)]
    for target in targets:
        check_new(body, target)
    found = early_kinds(body, equations)
    try:
        members = [_member(body, equation, found) for equation in equations]
        made, steps = _typed(body, members)
        _add(body, made, steps)
    except Reported:
        for target in targets:
            body.scope.define(target.name.text, Broken("wire"), target.name.span)
        raise


def _check_plain(body: Body, equations: Sequence[tree.Equation]) -> None:
    """No equation of a circle combines or writes into a declared wire."""
    for equation in equations:
        for target in equation.targets:
            declared = body.scope.find(target.name.text)
            if isinstance(declared, DeclaredWire):
                body.fail(
                    "NCD2013",
                    f"`{target.name.text}` is read before the last of its equations",
                    target.span,
                    label="what it needs reads it",
                    labels=[Label(declared.wire.span, "declared here")],
                    notes=["a declared wire is read only when all its equations have been applied"],
                )
        if equation.op != "=":
            fail_undeclared(body, equation)


def _member(body: Body, equation: tree.Equation, found: dict[str, Kind]) -> _Member:
    """An equation; its wires are defined at once if all their axes are stated and known."""
    reads = frozenset(names_of(equation))
    wires: list[Wire] = []
    targets = _kept(equation)
    for target in targets:
        axes = _known_axes(body, target, equation.value)
        if axes is None:
            return _Member(equation, (), reads)
        wires.append(Wire(target.name.text, ArrayType(axes, found[target.name.text]), target.span))
    for target, wire in zip(targets, wires, strict=True):
        body.scope.define(wire.name, wire, target.name.span)
    return _Member(equation, tuple(wires), reads)


def _known_axes(body: Body, target: tree.Target, value: tree.Expr) -> tuple[Axis, ...] | None:
    """The stated axes, None if there are none or a call gives one of them its size."""
    from ncdlang.semantics.equations import as_diagram_call, target_axes

    if target.brackets is None:
        return None
    if _has_new_axis(body, target.brackets):
        if as_diagram_call(body, value) is not None:
            return None
        introduce_axes(body, value)
    return target_axes(body, target.brackets)


def _has_new_axis(body: Body, brackets: tree.Brackets) -> bool:
    names = [item for item in bracket_items(body, brackets) if isinstance(item, tree.Name)]
    return any(body.scope.find(name.text) is None for name in names)


# ---- typing the equations ---------------------------------------------------------------------


def _typed(body: Body, members: list[_Member]) -> tuple[list[_Member], list[Evaluated]]:
    """The members with their wires, and the steps of all of them."""
    made: list[_Member] = []
    steps: list[Evaluated] = []
    pending = list(members)
    while pending:
        unwired = [member for member in pending if not member.wires]
        unknown = {target.name.text for member in unwired for target in member.targets}
        ready = next((m for m in pending if unknown.isdisjoint(m.reads)), None)
        if ready is None:
            _unstated(body, unwired[0])
        pending.remove(ready)
        same: dict[Wire, Wire] = {}
        body.open_recurrence()
        try:
            made.append(_checked(body, ready, same))
        finally:
            added = body.close_recurrence()
        steps += [_making(step, same) for step in walk(tuple(added)) if isinstance(step, Evaluated)]
    return made, steps


def _making(step: Evaluated, same: dict[Wire, Wire]) -> Evaluated:
    """The step with the wires that it makes called by other names."""
    if isinstance(step, Define):
        return replace(step, wire=same.get(step.wire, step.wire))
    return replace(step, results=tuple(same.get(wire, wire) for wire in step.results))


def _unstated(body: Body, member: _Member) -> NoReturn:
    target = member.targets[0]
    body.fail(
        "NCD3008",
        f"the axes of `{target.name.text}` do not follow from an equation that reads "
        f"`{target.name.text}` itself",
        target.span,
        label="a recurrence",
        help=f"write them on the left: `{target.name.text}[t ...] = ...`",
    )


def _checked(body: Body, member: _Member, same: dict[Wire, Wire]) -> _Member:
    from ncdlang.semantics.equations import as_diagram_call, check_equation

    if not member.wires:
        wires = check_equation(body, member.equation)
        return _Member(member.equation, wires, member.reads)
    if as_diagram_call(body, member.equation.value) is not None:
        _call(body, member, same)
    else:
        _expression(body, member)
    return member


def _expression(body: Body, member: _Member) -> None:
    from ncdlang.semantics.equations import check_leftover, single_target

    target, value = single_target(body, member.equation), member.equation.value
    (wire,) = member.wires
    introduce_axes(body, value)
    atoms = tuple(atom for axis in wire.type.axes for atom in axis.atoms)
    expression = body.expressions.check(value, Context(frozenset(atoms), atoms))
    check_leftover(body, expression, atoms, target, value)
    expression = kinds.to_kind(body, expression, wire.type.kind, value.span)
    body.add(Define(wire, expression, target.span.to(value.span)))


def _call(body: Body, member: _Member, same: dict[Wire, Wire]) -> None:
    """A call whose results are wires that are defined already: `same` maps them to these."""
    from ncdlang.semantics.equations import check_equation

    equation = member.equation
    fresh = tuple(
        tree.Target(tree.Name(body.fresh_name(), t.name.span), t.brackets, t.span)
        if t in member.targets
        else t
        for t in equation.targets
    )
    results = check_equation(body, tree.Equation(fresh, "=", equation.value, equation.span))
    kept = [result for result in results if result.name != "_"]
    for wire, result in zip(member.wires, kept, strict=True):
        if result.type.kind.name == wire.type.kind.name:
            same[result] = wire
            continue
        read = body.expressions.read_whole(result, wire.span)
        value = kinds.to_kind(body, read, wire.type.kind, wire.span)
        body.add(Define(wire, value, wire.span))


# ---- the step ---------------------------------------------------------------------------------


def _add(body: Body, members: list[_Member], steps: list[Evaluated]) -> None:
    wires = [wire for member in members for wire in member.wires]
    inside, outside = _split(steps, set(wires))
    for step in outside:
        body.add(step)
    axes = [axis for axis in wires[0].type.axes if all(axis in w.type.axes for w in wires)]
    blames: list[Blame] = []
    for axis in axes:
        for reverse in (False, True):
            outcome = scan_order(body, inside, axis, reverse)
            if not isinstance(outcome, Blame):
                span = _whole(members)
                body.add(Recurrence(axis, reverse, tuple(outcome), span))
                return
            blames.append(outcome)
    _no_order(body, wires, blames)


def _whole(members: Sequence[_Member]) -> Span:
    spans = [member.equation.span for member in members]
    first = min(spans, key=lambda span: span.start)
    return first.to(max(spans, key=lambda span: span.end))


def _split(steps: list[Evaluated], circle: set[Wire]) -> tuple[list[Evaluated], list[Evaluated]]:
    """The steps that belong to the circle, and those that only feed it."""
    inside: list[Evaluated] = []
    outside: list[Evaluated] = []
    known = set(circle)
    for step in steps:
        made = made_by(step)
        if known.isdisjoint(inputs_of(step)) and circle.isdisjoint(made):
            outside.append(step)
        else:
            known.update(made)
            inside.append(step)
    return inside, outside


def _no_order(body: Body, wires: list[Wire], blames: list[Blame]) -> None:
    names = listed(wire.name for wire in wires)
    verb = "reads itself" if len(wires) == 1 else "read each other"
    blame = blames[0] if blames else None
    body.fail(
        "NCD3008",
        f"{names} {verb}, and not strictly earlier along any axis",
        blame.span if blame is not None else wires[0].span,
        label=blame.text if blame is not None else "no axis is common to all of them",
        labels=[Label(wire.span, "defined here") for wire in wires],
        notes=[
            "a recurrence reads only what lies strictly before (or strictly after) along an axis"
        ],
        help=blame.help if blame is not None else "",
    )
