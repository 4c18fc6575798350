"""Equations: new axes get their sizes, the right-hand side is typed, a wire is defined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Fix, Label
from ncdlang.semantics import remedies, scatter
from ncdlang.semantics.binding import open_diagram
from ncdlang.semantics.calls import call_pipeline, is_pipeline, plan_call
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.inner_axes import name_inside
from ncdlang.semantics.matching import PlannedCall
from ncdlang.semantics.new_axes import excuse_axes, introduce_axes, walk_expression
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Define,
    Expression,
    Read,
    Reduce,
    Select,
)
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.scope import Broken, DeclaredWire, DiagramRef
from ncdlang.semantics.signature import already_defined
from ncdlang.semantics.sizes import bracket_items, composite_index
from ncdlang.semantics.types import ArrayType, Axis, Kind, Wire, plain_index
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def check_equation(body: Body, equation: tree.Equation) -> tuple[Wire, ...]:
    """Define the wires of an equation. Raises Reported."""
    declared = scatter.declared_target(body, equation)
    if declared is not None:
        return scatter.check_write(body, equation, declared)
    if equation.op != "=":
        scatter.fail_undeclared(body, equation)
    for i, target in enumerate(equation.targets):
        check_new(body, target)
        same = [t.name for t in equation.targets[:i] if t.name.text == target.name.text != "_"]
        if same:
            already_defined(body, target.name.text, target.name.span, same[0].span)
    call = as_diagram_call(body, equation.value)
    if call is not None:
        return _call_equation(body, equation.targets, call)
    return (define(body, single_target(body, equation), equation.value, None),)


def single_target(body: Body, equation: tree.Equation) -> tree.Target:
    """The one wire that an expression gives. Raises Reported if more are named."""
    target, *others = equation.targets
    if others:
        body.fail(
            "NCD4001",
            f"{len(equation.targets)} wires are named, but the right-hand side is one array",
            target.span.to(others[-1].span),
            label="one array",
        )
    return target


def check_new(body: Body, target: tree.Target) -> None:
    """A wire is defined once, and not by the name of something else. Raises Reported."""
    name = target.name.text
    earlier = body.scope.local(name)
    if earlier is None or name == "_":
        if body.module.is_own_name(name, body.scope) and name != "_":
            earlier = body.scope.entry(name)
        else:
            return
    if earlier is None:
        return
    if isinstance(earlier[0], Broken):
        raise Reported
    if not isinstance(earlier[0], (Wire, DeclaredWire, Axis)):
        # What reads it further down means the wire that this line was to define.
        body.scope.define(name, Broken("wire"), earlier[1])
    already_defined(body, name, target.name.span, earlier[1])


def as_diagram_call(body: Body, value: tree.Expr) -> tree.Call | None:
    """The call, if a right-hand side is just the call of a diagram."""
    while isinstance(value, tree.Group):
        value = value.inner
    if isinstance(value, tree.Call) and not body.is_expression_call(value):
        return value
    return None


def define(body: Body, target: tree.Target, value: tree.Expr, kind: Kind | None) -> Wire:
    """Define one wire by an expression. `kind` is what it must hold, if that is known."""
    from ncdlang.semantics.kinds import to_kind

    if target.brackets is None:
        expression = body.unstated(value)
        axes = expression.axes
    else:
        introduce_axes(body, value)
        _adopt_free_axes(body, target.brackets, value)
        value = name_inside(body, target, value)
        excuse_axes(body, target.brackets, value)
        axes = _stated_axes(body, target.brackets, value)
        atoms = tuple(atom for axis in axes for atom in axis.atoms)
        context = Context(frozenset(atoms), atoms)
        expression = body.expressions.check(value, context)
        check_leftover(body, expression, atoms, target, value)
    if kind is not None:
        expression = to_kind(body, expression, kind, value.span)
    wire = Wire(target.name.text, ArrayType(axes, expression.kind), target.span)
    body.add(Define(wire, expression, target.span.to(value.span)))
    if wire.name != "_":
        body.scope.define(wire.name, wire, target.name.span)
    return wire


def _adopt_free_axes(body: Body, brackets: tree.Brackets, value: tree.Expr) -> None:
    """New names on the left may be free axes that a call on the right leaves open."""
    names = [item for slot in brackets.slots for item in slot.items if isinstance(item, tree.Name)]
    if all(body.scope.find(name.text) is not None for name in names):
        return
    for node in walk_expression(value):
        if not isinstance(node, tree.Call):
            continue
        function = node.function
        head = function.head if isinstance(function, tree.Bracketed) else function
        meaning = body.scope.find(head.text) if isinstance(head, tree.Name) else None
        if isinstance(meaning, DiagramRef) and isinstance(head, tree.Name):
            given = function.brackets if isinstance(function, tree.Bracketed) else None
            # What is wrong with the call is reported where the call is checked.
            with suppress(Reported):
                open_diagram(body, meaning, given, head)


def _stated_axes(body: Body, brackets: tree.Brackets, value: tree.Expr) -> tuple[Axis, ...]:
    """The axes of the left-hand side; if they are mistaken, the rest may be so, too."""
    try:
        return target_axes(body, brackets)
    except Reported:
        body.expressions.check(value, Context(None))
        raise


def target_axes(body: Body, brackets: tree.Brackets) -> tuple[Axis, ...]:
    """The axes of a left-hand side, each once. Raises Reported."""
    axes: list[Axis] = []
    for item in bracket_items(body, brackets):
        if not isinstance(item, (tree.Name, tree.Pack, tree.Composite)):
            body.fail(
                "NCD2016",
                f"the index `{item.span.text}` on the left writes into a wire that is not declared",
                item.span,
                label="not the name of an axis",
                help="declare the wire with its axes first: `Y: [...]`",
            )
        for axis in body.axes_of_item(item):
            for atom in axis.atoms:
                if any(atom in known.atoms for known in axes):
                    body.fail(
                        "NCD2007",
                        f"axis `{atom}` is named twice on the left",
                        item.span,
                        label="named again",
                        notes=["an array type never names an axis twice"],
                    )
            axes.append(axis)
    return tuple(axes)


def check_leftover(
    body: Body,
    expression: Expression,
    kept: tuple[Axis, ...],
    target: tree.Target,
    value: tree.Expr,
) -> None:
    """An axis that is neither kept nor contracted is an error: nothing is dropped silently."""
    left = [axis for axis in expression.axes if axis not in kept]
    if not left:
        return
    if any(
        value.span.start <= place.start < value.span.end and not {index, indexed}.isdisjoint(left)
        for index, indexed, place in body.mismatches
    ):
        raise Reported  # The wrong index that was reported is why an axis is left over.
    new = [axis for axis in left if _is_new(body, axis, value.span)]
    axis = (new or left)[0]
    # A name that occurs here for the first time is probably another axis that is left over.
    others = [a for a in kept if a not in expression.axes]
    others += [a for a in left if a not in new] if new else []
    bound = _bound_places(expression, axis)
    places = list(_places_of(value, axis.name))
    spans = [s for s in places if not any(b.start <= s.start < b.end for b in bound)]
    span = spans[0] if spans else value.span
    text = " ".join(_summand(value, span).span.text.split())
    short = text if len(text) < 40 else "..."
    instead = others[0].name if others and len(places) == 1 else None
    help_text = f"to sum over it write `sum[{axis}]({short})`"
    if instead is not None:
        help_text = f"did you mean `{instead}`? {help_text[0].upper()}{help_text[1:]}"
    else:
        help_text += ", or name it on the left"
    body.fail(
        "NCD2004",
        f"axis `{axis}` is not on the left, and nothing contracts it",
        span,
        label="occurs in one factor only",
        labels=[Label(target.span, f"has no axis `{axis}`")],
        notes=["an axis is summed only if it occurs in two or more factors of a product"],
        help=help_text,
        fix=Fix(f"name `{instead}` here", ((spans[0], instead),))
        if instead and spans
        else remedies.leftover(
            body.declaration, target, _summand(value, span).span, [a.name for a in left]
        ),
    )


def _summand(expr: tree.Expr, place: Span) -> tree.Expr:
    """The term of a sum that holds a place."""
    while isinstance(expr, tree.Binary) and expr.op in ("+", "-"):
        expr = expr.left if place.start < expr.op_span.start else expr.right
    return expr


def _is_new(body: Body, axis: Axis, span: Span) -> bool:
    """Whether an axis was never named before an expression."""
    entry = body.scope.entry(axis.name)
    place = entry[1] if entry is not None else None
    return place is not None and span.start <= place.start < span.end


def _bound_places(expression: Expression, axis: Axis) -> list[Span]:
    """The parts of an expression that contract or reduce an axis."""
    match expression:
        case Contract() | Reduce() if axis in expression.bound:
            return [expression.span]
        case Contract():
            parts = expression.factors
        case Reduce():
            parts = (expression.body,)
        case Apply() | ApplyDiagram():
            parts = expression.arguments
        case Select():
            parts = (expression.condition, expression.then, expression.otherwise)
        case _:
            parts = ()
    return [span for part in parts for span in _bound_places(part, axis)]


def _places_of(expr: tree.Expr, name: str) -> Iterator[Span]:
    for node in walk_expression(expr):
        if isinstance(node, tree.Name) and node.text == name:
            yield node.span


# ---- calls ------------------------------------------------------------------------------------


def _call_equation(
    body: Body, targets: tuple[tree.Target, ...], call: tree.Call
) -> tuple[Wire, ...]:
    for slot_expr in call.arguments:
        introduce_axes(body, slot_expr)
    if is_pipeline(body, call.function):
        return name_wires(body, call_pipeline(body, call), targets, call)
    plan = plan_call(body, call)
    if len(plan.results) != len(targets):
        _wrong_number(body, f"`{call.function.span.text}`", targets, len(plan.results))
    return name_results(body, plan, targets, call)


def _wrong_number(body: Body, what: str, targets: tuple[tree.Target, ...], given: int) -> None:
    named = len(targets)
    body.fail(
        "NCD4001",
        f"{what} gives {counted(given, 'result')}, "
        f"but {named} {'is' if named == 1 else 'are'} named",
        targets[0].span.to(targets[-1].span),
        label=counted(named, "name"),
        help="name every result; `_` discards one" if named < given else "",
    )


def name_wires(
    body: Body, wires: tuple[Wire, ...], targets: tuple[tree.Target, ...], source: tree.Expr
) -> tuple[Wire, ...]:
    """Give the results of a pipeline their names and, where stated, the names of their axes."""
    if len(wires) != len(targets):
        _wrong_number(body, "the pipeline", targets, len(wires))
    named: list[Wire] = []
    for target, made in zip(targets, wires, strict=True):
        axes = wanted = made.type.axes
        if target.brackets is not None:
            axes, wanted = _named_axes(body, target, target.brackets, axes, source)
        read = _regrouped(made, axes, wanted, source.span)
        wire = Wire(target.name.text, ArrayType(wanted, made.type.kind), target.span)
        body.add(Define(wire, read, target.span.to(source.span)))
        if target.name.text != "_":
            body.scope.define(target.name.text, wire, target.name.span)
        named.append(wire)
    return tuple(named)


def name_results(
    body: Body, plan: PlannedCall, targets: tuple[tree.Target, ...], source: tree.Expr
) -> tuple[Wire, ...]:
    """Give the results of a call their names and, where stated, the names of their axes."""
    made: list[Wire] = []
    final: list[tuple[tree.Target, Wire, tuple[Axis, ...]]] = []
    for target, result in zip(targets, plan.results, strict=True):
        axes = result.axes
        wanted = axes
        if target.brackets is not None:
            axes, wanted = _named_axes(body, target, target.brackets, axes, source)
        direct = wanted == axes
        name = target.name.text if direct else body.fresh_name()
        wire = Wire(name, ArrayType(axes, result.kind), target.span if direct else source.span)
        made.append(wire)
        final.append((target, wire, wanted))
    plan.emit(body, tuple(made))
    wires: list[Wire] = []
    for target, wire, wanted in final:
        if wanted != wire.type.axes:
            read = _regrouped(wire, wire.type.axes, wanted, source.span)
            wire = Wire(target.name.text, ArrayType(wanted, wire.type.kind), target.span)
            body.add(Define(wire, read, target.span.to(source.span)))
        if target.name.text != "_":
            body.scope.define(target.name.text, wire, target.name.span)
        wires.append(wire)
    return tuple(wires)


def _giver(source: tree.Expr) -> str:
    return source.function.span.text if isinstance(source, tree.Call) else source.span.text


def _regrouped(wire: Wire, axes: tuple[Axis, ...], wanted: tuple[Axis, ...], span: Span) -> Read:
    """A whole array by `axes`, a composite one by its parts where those are `wanted` apart."""
    apart = [axis.parts and axis not in wanted for axis in axes]
    indices = tuple(
        composite_index([axis]) if split else plain_index(axis)
        for axis, split in zip(axes, apart, strict=True)
    )
    found = tuple(
        atom
        for axis, split in zip(axes, apart, strict=True)
        for atom in (axis.atoms if split else (axis,))
    )
    return Read(wire, indices, wire.type.kind, found, span)


def _named_axes(
    body: Body,
    target: tree.Target,
    brackets: tree.Brackets,
    axes: tuple[Axis, ...],
    source: tree.Expr,
) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """The axes of a result with its derived ones named, and the axes in the stated order.

    Names on the left that the result lacks name its derived axes in order, one for one.
    """
    present = {atom.name for axis in axes if not axis.derived for atom in axis.atoms}
    lacking: list[tree.Name | tree.Composite] = []
    for item in bracket_items(body, brackets):
        match item:
            case tree.Name():
                lacking += [item] if item.text not in present else []
            case tree.Composite():
                lacking += [item] if not {name.text for name in item.names} <= present else []
            case tree.Pack():
                pack = (tree.Name(axis.name, item.span) for axis in body.axes_of_item(item))
                lacking += [name for name in pack if name.text not in present]
            case _:
                body.fail(
                    "NCD2012", "the name of an axis is wanted here", item.span, label="not a name"
                )
    derived = [axis for axis in axes if axis.derived]
    if derived and len(lacking) != len(derived):
        body.fail(
            "NCD2006",
            f"`{_giver(source)}` gives {counted(len(derived), 'axis')} to name here, "
            f"and {counted(len(lacking), 'name')} {'is' if len(lacking) == 1 else 'are'} left",
            brackets.span,
            label=f"the result is `{ArrayType(axes)}`",
        )
    renamed = dict(
        zip(
            derived,
            (_name_derived(body, e, a) for e, a in zip(lacking, derived, strict=False)),
            strict=False,
        )
    )
    axes = tuple(renamed.get(axis, axis) for axis in axes)
    wanted = target_axes(body, brackets)
    kept = {atom for axis in wanted for atom in axis.atoms}
    dropped = [axis for axis in axes if not kept.issuperset(axis.atoms)]
    if dropped:
        _dropped(body, target, dropped, axes, wanted, source)
    return axes, wanted


def _dropped(
    body: Body,
    target: tree.Target,
    dropped: list[Axis],
    axes: tuple[Axis, ...],
    wanted: tuple[Axis, ...],
    source: tree.Expr,
) -> None:
    body.fail(
        "NCD2006",
        f"the result of `{_giver(source)}` has axis `{dropped[0]}`, "
        f"which `{target.span.text}` lacks",
        target.span,
        label=f"the result is `{ArrayType(axes)}`",
        help=f"write `{target.name.text}[{' '.join(str(a) for a in axes)}]`"
        if len(axes) != len(wanted)
        else "",
    )


def _name_derived(body: Body, item: tree.Name | tree.Composite, derived: Axis) -> Axis:
    """A new name becomes the derived axis; an existing one adds the equation of sizes."""
    meaning = body.scope.find(item.text) if isinstance(item, tree.Name) else None
    if isinstance(item, tree.Name) and not isinstance(meaning, Axis):
        return body.new_axis(item.text, derived.size, item.span)
    axis = meaning if isinstance(meaning, Axis) else body.axes_of_item(item)[0]
    reason = f"axis `{axis.name}` names the `{derived.name}` of this result"
    entry = body.scope.entry(axis.name)
    size = f"`{axis.name}` has size {body.shown(axis.size)}"
    places = [Label(entry[1], size)] if entry is not None and entry[1] is not None else []
    body.equate(axis.size, derived.size, reason, item.span, f"axis `{axis.name}`", places)
    return axis
