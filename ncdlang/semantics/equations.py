"""Equations: new axes get their sizes, the right-hand side is typed, a wire is defined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Fix, Label
from ncdlang.records import record, replace
from ncdlang.semantics.calls import PlannedCall, call_pipeline, is_pipeline, plan_call
from ncdlang.semantics.expressions import Context, Guards
from ncdlang.semantics.obligations import Obligation
from ncdlang.semantics.primitives import REDUCTIONS
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
from ncdlang.semantics.report import Reported, counted, listed
from ncdlang.semantics.scope import Broken
from ncdlang.semantics.size import ONE, Size
from ncdlang.semantics.sizes import index_expression
from ncdlang.semantics.types import Affine, ArrayType, Axis, Kind, Wire, plain_index
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def check_equation(body: Body, equation: tree.Equation) -> tuple[Wire, ...]:
    """Define the wires of an equation. Raises Reported."""
    if equation.op != "=":
        body.fail(
            "NCD5001",
            f"accumulating with `{equation.op}` has no meaning yet",
            equation.span,
            label="a scatter",
            help="define the wire by one equation with `=`",
        )
    for target in equation.targets:
        check_new(body, target)
    call = as_diagram_call(body, equation.value)
    if call is not None:
        return _call_equation(body, equation.targets, call)
    if len(equation.targets) > 1:
        body.fail(
            "NCD4001",
            f"{len(equation.targets)} wires are named, but the right-hand side is one array",
            equation.span,
            label="one array",
        )
    (target,) = equation.targets
    return (define(body, target, equation.value, None),)


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
    from ncdlang.semantics.signature import already_defined

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
        introduce_axes(body, target.brackets, value)
        axes = target_axes(body, target.brackets)
        atoms = tuple(atom for axis in axes for atom in axis.atoms)
        context = Context(frozenset(atoms), atoms)
        expression = body.expressions.check(value, context)
        _check_leftover(body, expression, atoms, target, value)
    if kind is not None:
        expression = to_kind(body, expression, kind, value.span)
    wire = Wire(target.name.text, ArrayType(axes, expression.kind), target.span)
    body.add(Define(wire, expression, target.span.to(value.span)))
    if wire.name != "_":
        body.scope.define(wire.name, wire, target.name.span)
    return wire


def target_axes(body: Body, brackets: tree.Brackets) -> tuple[Axis, ...]:
    """The axes of a left-hand side, each once. Raises Reported."""
    axes: list[Axis] = []
    for item in bracket_items(body, brackets):
        if not isinstance(item, (tree.Name, tree.Pack, tree.Composite)):
            body.fail(
                "NCD5001",
                f"an index on the left, `{item.span.text}`, writes into a declared wire, "
                "which has no meaning yet",
                item.span,
                label="not the name of an axis",
                help="name the axes of the result and move the index to the right",
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


def bracket_items(body: Body, brackets: tree.Brackets) -> Iterator[tree.Expr | tree.Pack]:
    """The items of indices or axes; settings and arrows have no place there."""
    if brackets.arrow is not None:
        body.fail("NCD2012", "`->` can't stand in an index", brackets.span, label="not an index")
    for slot in brackets.slots:
        if slot.name is not None:
            body.fail("NCD2012", "a setting can't stand in an index", slot.span, label="a setting")
        yield from slot.items


def _check_leftover(
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
    axis = left[0]
    missing = [a for a in kept if a not in expression.axes]
    spans = list(_places_of(value, axis.name))
    span = spans[0] if spans else value.span
    text = " ".join(value.span.text.split())
    short = text if len(text) < 40 else "..."
    entry = body.scope.entry(axis.name)
    instead = missing[0].name if missing and len(spans) == 1 else None
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
        labels=[Label(target.span, f"has no axis `{axis}`")] if entry else [],
        notes=["an axis is summed only if it occurs in two or more factors of a product"],
        help=help_text,
        fix=Fix(f"name `{instead}` here", ((spans[0], instead),)) if instead and spans else None,
    )


def _places_of(expr: tree.Expr, name: str) -> Iterator[Span]:
    for node in _walk(expr):
        if isinstance(node, tree.Name) and node.text == name:
            yield node.span


def in_order_of_first(body: Body, expression: Expression, expr: tree.Expr) -> Expression:
    """The expression with the axes in the order of the first array that has all of them."""
    if len(expression.axes) < 2:
        return expression
    wanted = set(expression.axes)
    for read in _reads(expression):
        if wanted <= set(read.axes):
            order = tuple(axis for axis in _written_order(read) if axis in wanted)
            return expression if order == expression.axes else replace(expression, axes=order)
    body.fail(
        "NCD2008",
        "no array here has all the axes of the result, so their order is not known",
        expr.span,
        label=f"has the axes {listed(str(axis) for axis in expression.axes)}",
        notes=[
            "without stated axes nothing is contracted, and the first array with all axes "
            "gives their order"
        ],
        help=f"write the axes on the left: `Y[{' '.join(str(a) for a in expression.axes)}] = ...`",
    )


def _written_order(read: Read) -> tuple[Axis, ...]:
    return tuple(dict.fromkeys(axis for index in read.indices for axis in index.axes()))


def _reads(expression: Expression) -> Iterator[Read]:
    match expression:
        case Read():
            yield expression
        case Apply() | ApplyDiagram():
            for argument in expression.arguments:
                yield from _reads(argument)
        case Select():
            for part in (expression.condition, expression.then, expression.otherwise):
                yield from _reads(part)
        case Contract():
            for factor in expression.factors:
                yield from _reads(factor)
        case Reduce():
            yield from _reads(expression.body)
        case _:
            return


# ---- calls ----------------------------------------------------------------------------------------


def _call_equation(
    body: Body, targets: tuple[tree.Target, ...], call: tree.Call
) -> tuple[Wire, ...]:
    for slot_expr in call.arguments:
        introduce_axes(body, None, slot_expr)
    if is_pipeline(body, call.function):
        return name_wires(body, call_pipeline(body, call), targets, call)
    plan = plan_call(body, call)
    if len(plan.results) != len(targets):
        body.fail(
            "NCD4001",
            f"`{call.function.span.text}` gives {counted(len(plan.results), 'result')}, "
            f"but {len(targets)} {'is' if len(targets) == 1 else 'are'} named",
            targets[0].span.to(targets[-1].span),
            label=counted(len(targets), "name"),
        )
    return name_results(body, plan, targets, call)


def name_wires(
    body: Body, wires: tuple[Wire, ...], targets: tuple[tree.Target, ...], call: tree.Call
) -> tuple[Wire, ...]:
    """Give the results of a pipeline their names and, where stated, the names of their axes."""
    if len(wires) != len(targets):
        body.fail(
            "NCD4001",
            f"the pipeline gives {counted(len(wires), 'result')}, "
            f"but {len(targets)} {'is' if len(targets) == 1 else 'are'} named",
            targets[0].span.to(targets[-1].span),
            label=counted(len(targets), "name"),
        )
    named: list[Wire] = []
    for target, made in zip(targets, wires, strict=True):
        axes = wanted = made.type.axes
        if target.brackets is not None:
            axes, wanted = _named_axes(body, target, target.brackets, axes, call)
        read = Read(made, tuple(plain_index(a) for a in axes), made.type.kind, axes, call.span)
        wire = Wire(target.name.text, ArrayType(wanted, made.type.kind), target.span)
        body.add(Define(wire, read, target.span.to(call.span)))
        if target.name.text != "_":
            body.scope.define(target.name.text, wire, target.name.span)
        named.append(wire)
    return tuple(named)


def name_results(
    body: Body, plan: PlannedCall, targets: tuple[tree.Target, ...], call: tree.Call
) -> tuple[Wire, ...]:
    """Give the results of a call their names and, where stated, the names of their axes."""
    made: list[Wire] = []
    final: list[tuple[tree.Target, Wire, tuple[Axis, ...]]] = []
    for target, result in zip(targets, plan.results, strict=True):
        axes = result.axes
        wanted = axes
        if target.brackets is not None:
            axes, wanted = _named_axes(body, target, target.brackets, axes, call)
        direct = wanted == axes
        name = target.name.text if direct else body.fresh_name()
        wire = Wire(name, ArrayType(axes, result.kind), target.span if direct else call.span)
        made.append(wire)
        final.append((target, wire, wanted))
    plan.emit(body, tuple(made))
    wires: list[Wire] = []
    for target, wire, wanted in final:
        if wanted != wire.type.axes:
            read = body.expressions.read_whole(wire, call.span)
            wire = Wire(target.name.text, ArrayType(wanted, wire.type.kind), target.span)
            body.add(Define(wire, read, target.span.to(call.span)))
        if target.name.text != "_":
            body.scope.define(target.name.text, wire, target.name.span)
        wires.append(wire)
    return tuple(wires)


def _named_axes(
    body: Body,
    target: tree.Target,
    brackets: tree.Brackets,
    axes: tuple[Axis, ...],
    call: tree.Call,
) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """The axes of a result with its derived ones named, and the axes in the stated order.

    Names on the left that the result lacks name its derived axes in order, one for one.
    """
    items = list(bracket_items(body, brackets))
    names: list[tuple[str, Span]] = []
    for item in items:
        if isinstance(item, tree.Pack):
            names += [(axis.name, item.span) for axis in body.axes_of_item(item)]
        elif isinstance(item, tree.Name):
            names.append((item.text, item.span))
        else:
            body.fail(
                "NCD2012", "the name of an axis is wanted here", item.span, label="not a name"
            )
    present = {axis.name for axis in axes if not axis.derived}
    lacking = [entry for entry in names if entry[0] not in present]
    derived = [axis for axis in axes if axis.derived]
    if derived and len(lacking) != len(derived):
        body.fail(
            "NCD2006",
            f"`{call.function.span.text}` gives {counted(len(derived), 'axis')} to name here, "
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
    dropped = [axis for axis in axes if axis not in wanted]
    if dropped:
        _dropped(body, target, dropped, axes, wanted, call)
    return axes, wanted


def _dropped(
    body: Body,
    target: tree.Target,
    dropped: list[Axis],
    axes: tuple[Axis, ...],
    wanted: tuple[Axis, ...],
    call: tree.Call,
) -> None:
    body.fail(
        "NCD2006",
        f"the result of `{call.function.span.text}` has axis `{dropped[0]}`, "
        f"which `{target.span.text}` lacks",
        target.span,
        label=f"the result is `{ArrayType(axes)}`",
        help=f"write `{target.name.text}[{' '.join(str(a) for a in axes)}]`"
        if len(axes) != len(wanted)
        else "",
    )


def _name_derived(body: Body, entry: tuple[str, Span], derived: Axis) -> Axis:
    """A new name becomes the derived axis; an existing one adds the equation of sizes."""
    name, span = entry
    meaning = body.scope.find(name)
    if isinstance(meaning, Axis):
        reason = f"axis `{name}` names the `{derived.name}` of this result"
        body.equate(meaning.size, derived.size, reason, span, f"axis `{name}`")
        return meaning
    return body.new_axis(name, derived.size, span)


# ---- reads ----------------------------------------------------------------------------------------


def read_indices(
    body: Body, expr: tree.Bracketed, wire: Wire, guards: Guards
) -> tuple[Affine, ...]:
    """One coordinate for each axis of the wire; sizes are equated, bounds are put off."""
    items = _expanded(body, expr)
    axes = wire.type.axes
    if len(items) != len(axes):
        name = wire.name if not wire.name.startswith("_") else expr.head.span.text
        body.fail(
            "NCD2005",
            f"`{name}` has {counted(len(axes), 'axis')}, "
            f"but {counted(len(items), 'index')} {'is' if len(items) == 1 else 'are'} given",
            expr.span,
            label=f"of type `{wire.type}`",
            labels=[Label(wire.span, "defined here")] if not wire.name.startswith("_") else [],
        )
    indices: list[Affine] = []
    failed = False
    for (item, span), axis in zip(items, axes, strict=True):
        try:
            index = item if isinstance(item, Affine) else index_expression(body, item)
            _place(body, index, axis, wire, guards, span)
            indices.append(index)
        except Reported:
            failed = True
    if failed:
        raise Reported
    return tuple(indices)


def _expanded(body: Body, expr: tree.Bracketed) -> list[tuple[tree.Expr | Affine, Span]]:
    items: list[tuple[tree.Expr | Affine, Span]] = []
    for item in bracket_items(body, expr.brackets):
        if isinstance(item, tree.Pack):
            items += [(plain_index(axis), item.span) for axis in body.axes_of_item(item)]
        else:
            items.append((item, item.span))
    return items


def _place(body: Body, index: Affine, axis: Axis, wire: Wire, guards: Guards, span: Span) -> None:
    """A plain axis has the size of the axis it indexes; any other index only stays inside."""
    plain = index.axis
    if plain is axis:
        return
    if plain is not None:
        reason = f"axis `{plain}` indexes axis `{axis}` of `{wire.name}`"
        if plain.size != axis.size:
            conflict = body.constraints.equate(plain.size, axis.size, reason, span)
            if conflict is not None:
                _sizes_differ(body, plain, axis, wire, span, conflict)
        return
    if axis.parts and index == index_of_parts(axis):
        return
    body.oblige(Obligation(index, axis, wire, guards, span))


def index_of_parts(axis: Axis) -> Affine:
    """The coordinate of a composite axis that its own parts give."""
    from ncdlang.semantics.sizes import composite_index

    return composite_index([axis])


def _sizes_differ(
    body: Body, plain: Axis, axis: Axis, wire: Wire, span: Span, conflict: tuple[object, ...]
) -> None:
    from ncdlang.semantics.constraints import Origin

    earlier = [o for o in conflict[:-1] if isinstance(o, Origin) and o.span != span]
    entry = body.scope.entry(plain.name)
    labels = [Label(o.span, o.reason) for o in earlier]
    if not wire.name.startswith("_"):
        labels.append(Label(wire.span, f"`{axis}` has size {body.shown(axis.size)}"))
    if entry is not None and entry[1] is not None:
        labels.append(Label(entry[1], f"`{plain}` has size {body.shown(plain.size)}"))
    body.error(
        "NCD3001",
        f"axis `{plain}` has size {body.shown(plain.size)}, but it indexes axis `{axis}` of "
        f"`{wire.name}`, which has size {body.shown(axis.size)}",
        span,
        label="the sizes differ",
        labels=labels,
        notes=["a plain axis as an index must have the size of the axis it indexes"],
        help=f"to read only the first entries write `{plain} + 0`",
    )


# ---- new axes -------------------------------------------------------------------------------------


@record
class _Use:
    """An index expression at an axis of a wire."""

    index: tree.Expr
    axis: Axis


def introduce_axes(body: Body, left: tree.Brackets | None, value: tree.Expr) -> None:
    """Define the axes that first appear in an equation, with the sizes that their uses give."""
    uses = list(_uses(body, value))
    names = _unknown_names(body, uses)
    if not names:
        return
    for name in list(names):
        sizes = [use.axis.size for use in uses if _is_name(use.index, name.text)]
        if sizes:
            body.new_axis(name.text, sizes[0], name.span)
            names.remove(name)
    progress = True
    while names and progress:
        progress = False
        for name in list(names):
            if _infer(body, name, uses):
                names.remove(name)
                progress = True


def _uses(body: Body, expr: tree.Expr) -> Iterator[_Use]:
    for node in _walk(expr):
        if not isinstance(node, tree.Bracketed) or not isinstance(node.head, tree.Name):
            continue
        meaning = body.scope.find(node.head.text)
        if not isinstance(meaning, Wire) or node.brackets.arrow is not None:
            continue
        items = [item for slot in node.brackets.slots for item in slot.items]
        if any(isinstance(item, tree.Pack) for item in items):
            continue
        if len(items) == len(meaning.type.axes):
            for item, axis in zip(items, meaning.type.axes, strict=True):
                if not isinstance(item, tree.Pack):
                    yield _Use(item, axis)


def _unknown_names(body: Body, uses: list[_Use]) -> list[tree.Name]:
    found: dict[str, tree.Name] = {}
    for use in uses:
        for node in _walk(use.index, into_brackets=False):
            if isinstance(node, tree.Name) and body.scope.find(node.text) is None:
                found.setdefault(node.text, node)
    return list(found.values())


def _is_name(expr: tree.Expr, name: str) -> bool:
    return isinstance(expr, tree.Name) and expr.text == name


def _infer(body: Body, name: tree.Name, uses: list[_Use]) -> bool:
    """Give an axis the largest size that keeps all its indices inside. False: not yet."""
    from ncdlang.semantics.bounds import largest_size

    mine = [use for use in uses if any(_is_name(n, name.text) for n in _names_in(use.index))]
    for use in mine:
        for other in _names_in(use.index):
            if other.text != name.text and body.scope.find(other.text) is None:
                return False
    placeholder = Axis(name.text, ONE)
    body.scope.define(name.text, placeholder, name.span)
    try:
        indices = tuple((index_expression(body, use.index), use.axis.size) for use in mine)
    except Reported:
        body.scope.define(name.text, Broken("axis"), name.span)
        raise
    size = largest_size(indices, placeholder)
    if size is None:
        body.scope.define(name.text, Broken("axis"), name.span)
        _not_inferred(body, name, mine)
    return _define_inferred(body, name, size, mine)


def _define_inferred(body: Body, name: tree.Name, size: Size | None, uses: list[_Use]) -> bool:
    from ncdlang.semantics.statements import require_size

    assert size is not None
    body.new_axis(name.text, size, name.span)
    require_size(body, size, f"axis `{name.text}`", uses[0].index.span)
    return True


def _not_inferred(body: Body, name: tree.Name, uses: list[_Use]) -> None:
    body.fail(
        "NCD3003",
        f"the size of axis `{name.text}` does not follow from its indices",
        name.span,
        label="of what size?",
        labels=[Label(use.index.span, "another index") for use in uses[1:]],
        help=f"declare it before this equation: `axis {name.text} = ...`",
    )


def _names_in(expr: tree.Expr) -> list[tree.Name]:
    return [node for node in _walk(expr, into_brackets=False) if isinstance(node, tree.Name)]


def _walk(expr: tree.Expr | tree.Pack, into_brackets: bool = True) -> Iterator[tree.Expr]:
    """Every expression inside an expression; heads of brackets and calls are no values."""
    stack: list[tree.Expr | tree.Pack] = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, tree.Pack):
            continue
        yield node
        match node:
            case tree.Unary():
                stack.append(node.operand)
            case tree.Binary():
                stack += [node.right, node.left]
            case tree.Group():
                stack.append(node.inner)
            case tree.TupleExpr():
                stack += reversed(node.items)
            case tree.Composite():
                stack += reversed(node.names)
            case tree.Call():
                stack += reversed(node.arguments)
                if isinstance(node.function, tree.Bracketed) and _reduces(node.function):
                    stack += [i for s in node.function.brackets.slots for i in s.items]
            case tree.Bracketed() if into_brackets:
                stack += reversed([item for slot in node.brackets.slots for item in slot.items])
            case tree.BlockExpr():
                stack.append(node.body)
            case _:
                pass


def _reduces(function: tree.Bracketed) -> bool:
    return isinstance(function.head, tree.Name) and function.head.text in REDUCTIONS
