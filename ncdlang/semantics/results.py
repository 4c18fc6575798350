"""The return of a diagram: what it gives, compared with what its signature promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Fix, Label
from ncdlang.semantics import equations, kinds, remedies
from ncdlang.semantics.blame import is_wrong_promise
from ncdlang.semantics.calls import call_pipeline, is_pipeline, plan_call, several_results
from ncdlang.semantics.new_axes import introduce_axes
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Define,
    Expression,
    Instance,
    Invoke,
    Learned,
    Read,
    Reduce,
    Scatter,
    Select,
    SizeValue,
    walk,
)
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.signature import array_type_of, check_repeated, kind_of
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.tokens import check_promise
from ncdlang.semantics.types import Affine, ArrayType, Axis, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def check_return(body: Body, statement: tree.Return) -> None:
    """Check the returned wires against the declared result. Raises Reported."""
    promised = _promised(body.declaration.result)
    wires = _returned(body, statement, promised)
    target = statement.targets[0] if len(statement.targets) == 1 else None
    _check_results(body, wires, promised, statement.span, target)


def _check_results(
    body: Body,
    wires: list[tuple[Wire, Span]],
    promised: list[tree.ArrayTypeExpr],
    place: Span,
    target: tree.Target | None,
) -> None:
    if len(wires) != len(promised):
        body.fail(
            "NCD4001",
            f"`{body.declaration.name.text}` promises {counted(len(promised), 'result')}, "
            f"but {len(wires)} {'is' if len(wires) == 1 else 'are'} returned",
            place,
            label=counted(len(wires), "result"),
            labels=[Label(body.declaration.result.span, "promised here")],
        )
    wires = [
        (_with_promised_names(body, wire, expr, span), span)
        for (wire, span), expr in zip(wires, promised, strict=True)
    ]
    if len(wires) > 1:
        _check_order(body, wires, promised)
    checked: list[Wire] = []
    failed = False
    for (wire, span), expr in zip(wires, promised, strict=True):
        try:
            checked.append(_check_result(body, wire, span, expr, target))
        except Reported:
            failed = True
    if failed:
        raise Reported
    body.results = tuple(checked)


def _check_order(
    body: Body, wires: list[tuple[Wire, Span]], promised: list[tree.ArrayTypeExpr]
) -> None:
    """Results that are only swapped are one mistake. Raises Reported."""
    given = [(wire.type.axes, wire.type.kind.name) for wire, _ in wires]
    declared = [
        (_declared_axes(body, expr, wire), kind_of(body, expr).name)
        for (wire, _), expr in zip(wires, promised, strict=True)
    ]
    if given == declared or any(given.count(one) != declared.count(one) for one in given):
        return
    types = ", ".join(f"`{wire.type}`" for wire, _ in wires)
    body.fail(
        "NCD2006",
        f"the results {types} stand in another order than promised",
        wires[0][1].to(wires[-1][1]),
        label="the right types in another order",
        labels=[Label(body.declaration.result.span, "promised here")],
        help="return them in the promised order",
    )


def check_pipeline(body: Body, pipeline: tree.Expr) -> None:
    """The body of a point-free diagram: its inputs are stage 0 of the pipeline."""
    from ncdlang.semantics.pipelines import Pipeline

    promised = _promised(body.declaration.result)
    applied = Pipeline(body)
    wires = applied.apply(pipeline, tuple(body.parameters))
    fitted = fit_result(body, wires, promised, pipeline.span, applied.own_names)
    _check_results(body, [(wire, pipeline.span) for wire in fitted], promised, pipeline.span, None)


def declared_results(body: Body) -> None:
    """The results of an `op`, which are just what its type says."""
    wires: list[Wire] = []
    for i, expr in enumerate(_promised(body.declaration.result), 1):
        wires.append(Wire(f"output_{i}", array_type_of(body, expr), expr.span))
    body.results = tuple(wires)


def _promised(expr: tree.TypeExpr) -> list[tree.ArrayTypeExpr]:
    if isinstance(expr, tree.TupleTypeExpr):
        return [array for item in expr.items for array in _promised(item)]
    return [expr]


def _returned(
    body: Body, statement: tree.Return, promised: list[tree.ArrayTypeExpr]
) -> list[tuple[Wire, Span]]:
    if statement.targets:
        equation = tree.Equation(statement.targets, "=", statement.values[0], statement.span)
        wires = equations.check_equation(body, equation)
        return [(wire, target.span) for wire, target in zip(wires, statement.targets, strict=True)]
    if len(statement.values) == 1:
        value = statement.values[0]
        call = equations.as_diagram_call(body, value)
        if call is not None:
            return _returned_call(body, call, promised)
        if isinstance(value, tree.TupleExpr):
            return _returned_values(body, value.items, promised)
    return _returned_values(body, statement.values, promised)


def _returned_values(
    body: Body, values: tuple[tree.Expr, ...], promised: list[tree.ArrayTypeExpr]
) -> list[tuple[Wire, Span]]:
    wires: list[tuple[Wire, Span]] = []
    failed = False
    for i, value in enumerate(values):
        try:
            wires.append(_returned_value(body, value, promised[i : i + 1]))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return wires


def _returned_value(
    body: Body, value: tree.Expr, promised: list[tree.ArrayTypeExpr]
) -> tuple[Wire, Span]:
    if isinstance(value, tree.Name):
        meaning = body.look_up(value, "value")
        if isinstance(meaning, Wire):
            return meaning, value.span
    call = equations.as_diagram_call(body, value)
    if call is not None:
        wires = _returned_call(body, call, promised)
        if len(wires) != 1:
            several_results(body, call, len(wires))
        return wires[0]
    target = tree.Target(tree.Name(body.fresh_name(), value.span), None, value.span)
    return equations.define(body, target, value, None), value.span


def _returned_call(
    body: Body, call: tree.Call, promised: list[tree.ArrayTypeExpr]
) -> list[tuple[Wire, Span]]:
    """A returned call: the promised names name its derived axes."""
    for argument in call.arguments:
        introduce_axes(body, argument)
    if is_pipeline(body, call.function):
        wires = call_pipeline(body, call)
        return [(wire, call.span) for wire in fit_result(body, wires, promised, call.span)]
    plan = plan_call(body, call)
    targets: list[tree.Target] = []
    for i, result in enumerate(plan.results):
        name = tree.Name(body.fresh_name(), call.span)
        brackets = None
        if i < len(promised) and any(axis.derived for axis in result.axes):
            items = [item for slot in promised[i].axes.slots for item in slot.items]
            if _stand_alike(body, items, result.axes):
                brackets = promised[i].axes
        targets.append(tree.Target(name, brackets, call.span))
    wires = equations.name_results(body, plan, tuple(targets), call)
    return [(wire, call.span) for wire in wires]


def _stand_alike(body: Body, items: list[tree.Expr | tree.Pack], axes: tuple[Axis, ...]) -> bool:
    """Whether every axis of a result that has a name is promised where it stands."""
    return len(items) == len(axes) and all(
        axis.derived or (isinstance(item, tree.Name) and body.scope.find(item.text) is axis)
        for item, axis in zip(items, axes, strict=True)
    )


def fit_result(
    body: Body,
    wires: tuple[Wire, ...],
    promised: list[tree.ArrayTypeExpr],
    span: Span,
    own_names: Callable[[Wire], dict[str, Axis]] = lambda _: dict[str, Axis](),
) -> tuple[Wire, ...]:
    """The results of a pipeline with the promised axes: they align in order, sizes must agree.

    `own_names` are axes by the names that the last stage's own type gives them.
    """
    if len(wires) != len(promised):
        return wires
    return tuple(
        _fitted(body, wire, expr, span, own_names(wire))
        for wire, expr in zip(wires, promised, strict=True)
    )


def _are_others(
    body: Body, items: list[tree.Expr | tree.Pack], wire: Wire, own_names: dict[str, Axis]
) -> bool:
    """Whether the result has another axis of the signature than is promised there."""
    own = body.signature_axes.values()
    return any(
        isinstance(item, tree.Name)
        and axis in own
        and body.scope.find(item.text) is not axis
        and (own_names.get(item.text) is not axis or body.scope.find(item.text) in wire.type.axes)
        for item, axis in zip(items, wire.type.axes, strict=True)
    )


def _with_promised_names(body: Body, wire: Wire, expr: tree.ArrayTypeExpr, span: Span) -> Wire:
    """A returned wire with axes that are only sizes: the promised axes name them."""
    items = [item for slot in expr.axes.slots for item in slot.items]
    if any(axis.derived for axis in wire.type.axes) and _stand_alike(body, items, wire.type.axes):
        return _fitted(body, wire, expr, span, {})
    return wire


def _fitted(
    body: Body, wire: Wire, expr: tree.ArrayTypeExpr, span: Span, own_names: dict[str, Axis]
) -> Wire:
    items = [item for slot in expr.axes.slots for item in slot.items]
    if len(items) != len(wire.type.axes) or _are_others(body, items, wire, own_names):
        return wire
    axes: list[Axis] = []
    for item, axis in zip(items, wire.type.axes, strict=True):
        if isinstance(item, tree.Name) and body.scope.find(item.text) is None:
            body.new_axis(item.text, axis.size, item.span)
        (named,) = body.axes_of_item(item)
        if named is not axis:
            reason = f"the result's axis `{axis}` is promised as `{named}`"
            body.equate(named.size, axis.size, reason, span, f"axis `{named}`")
        axes.append(named)
    if tuple(axes) == wire.type.axes:
        return wire
    return body.renamed(wire, tuple(axes), span)


def _check_result(
    body: Body, wire: Wire, span: Span, expr: tree.ArrayTypeExpr, target: tree.Target | None
) -> Wire:
    declared = _declared_axes(body, expr, wire)
    if declared is not None and declared != wire.type.axes:
        _axes_differ(body, wire, span, expr, declared, target)
    kind, given = kind_of(body, expr), wire.type.kind
    if kind.name == given.name and kind.format == given.format:
        check_promise(body, wire, kind, span, expr.span)
        return wire
    if kind.name == given.name or kinds.becomes(given, kind):
        return _converted(body, wire, expr, span)
    body.fail(
        "NCD2011",
        f"the result holds {kinds.plural(wire.type.kind)}, and {kinds.plural(kind)} are promised",
        span,
        label=f"of type `{wire.type}`",
        labels=[Label(expr.span, "promised here")],
        help=kinds.advice(wire.type.kind, kind),
    )


def _converted(body: Body, wire: Wire, expr: tree.ArrayTypeExpr, span: Span) -> Wire:
    kind = kind_of(body, expr)
    value = kinds.to_kind(body, body.expressions.read_whole(wire, span), kind, span)
    converted = Wire(body.fresh_name(), ArrayType(wire.type.axes, kind), span)
    body.add(Define(converted, value, span))
    return converted


def _declared_axes(body: Body, expr: tree.ArrayTypeExpr, wire: Wire) -> tuple[Axis, ...] | None:
    """The promised axes. A name that only the result carries is the body's axis of that name."""
    if expr.axes.arrow is not None:
        body.fail(
            "NCD2012", "a type has no `->` in its brackets", expr.axes.span, label="not a type"
        )
    axes: list[Axis] = []
    for slot in expr.axes.slots:
        if slot.name is not None:
            body.fail("NCD2012", "a type lists axes only", slot.span, label="not an axis")
        for item in slot.items:
            if isinstance(item, tree.Name) and body.scope.find(item.text) is None:
                _never_given(body, item, wire)
            for axis in body.axes_of_item(item):
                check_repeated(body, axis, axes, item.span)
                axes.append(axis)
    return tuple(axes)


def _never_given(body: Body, item: tree.Name, wire: Wire) -> None:
    body.fail(
        "NCD2006",
        f"the result has axis `{item.text}`, but nothing in the body defines it",
        item.span,
        label="an axis in no scope",
        labels=[Label(wire.span, f"the result is `{wire.type}`")],
        help=f"name an axis of the returned wire `{item.text}`, or make it a free axis: "
        f"`diagram {body.declaration.name.text}[{item.text}](...)`",
    )


def _axes_differ(
    body: Body,
    wire: Wire,
    span: Span,
    expr: tree.ArrayTypeExpr,
    declared: tuple[Axis, ...],
    target: tree.Target | None,
) -> None:
    given = wire.type.axes
    notes: list[str] = []
    written = str(ArrayType(declared))
    fix = None
    if set(given) == set(declared):
        message = f"the result has the right axes in another order: `{wire.type}`"
        fix = remedies.reordered(span, target, written, body.scope)
        name = wire.name if not wire.name.startswith("_") else "Y"
        help_text = f"write the axes in the promised order: `{name}{written}`"
    else:
        message = (
            f"the result is `{wire.type}`, but `{ArrayType(declared, wire.type.kind)}` is promised"
        )
        missing = [a for a in declared if a not in given]
        extra = [a for a in given if a not in declared]
        parts = [f"axis `{a}` is missing" for a in missing]
        parts += [f"axis `{a}` is not promised" for a in extra]
        notes = ["; ".join(parts)] if parts else []
        help_text = f"promise what is returned: `-> {wire.type}`, or return what is promised"
        if _same_sizes(given, declared):
            name = wire.name if not wire.name.startswith("_") else "Y"
            read = ", ".join(str(a) for a in declared)
            help_text = (
                f"the sizes agree: name the result `{name}` and return it by the promised names, "
                f"`{name}'{written} = {name}[{read}]`, or {help_text}"
            )
    here = Label(span, f"of type `{wire.type}`")
    there = Label(expr.span, f"promises `{ArrayType(declared, wire.type.kind)}`")
    is_stated = target is not None and target.brackets is not None
    if is_wrong_promise(body.declaration, declared, given, wire.name, is_stated):
        here, there = there, here
        text = str(ArrayType(given))
        fix = Fix(f"promise `{text}`", ((expr.axes.span, text),), safe=False)
        help_text = f"promise what is returned: `-> {wire.type}`"
    body.fail(
        "NCD2006",
        message,
        here.span,
        label=here.text,
        labels=[there],
        notes=notes,
        help=help_text,
        fix=fix,
    )


def _same_sizes(given: tuple[Axis, ...], declared: tuple[Axis, ...]) -> bool:
    return len(given) == len(declared) and all(
        mine.size == theirs.size for mine, theirs in zip(given, declared, strict=True)
    )


# ---- sizes that a use must give ---------------------------------------------------------------


def needed_symbols(learned: list[Learned], instances: tuple[Instance, ...]) -> tuple[Symbol, ...]:
    """The unknowns that shapes of parameters need, in order of first need."""
    found: dict[Symbol, None] = {}
    for parameter in learned:
        for axis in parameter.wire.type.axes:
            found.update(dict.fromkeys(sorted(axis.size.symbols())))
    for instance in instances:
        for _, size in instance.binding:
            found.update(dict.fromkeys(sorted(size.symbols())))
    return tuple(found)


def symbols_in_use(body: Body) -> frozenset[Symbol]:
    """Every unknown that the steps, parameters and requirements of a diagram mention."""
    found: set[Symbol] = set()

    def add(size: Size) -> None:
        found.update(size.symbols())

    for wire in (*body.parameters, *(learned.wire for learned in body.learned)):
        for axis in wire.type.axes:
            add(axis.size)
    for use in body.uses:
        for size in use.binding.values():
            add(size)
    for requirement in body.constraints.requirements:
        add(requirement.left)
        add(requirement.right)
    for step in walk(tuple(body.places[0].steps)):
        match step:
            case Define():
                for axis in step.wire.type.axes:
                    add(axis.size)
                for size in _sizes_of(step.expression):
                    add(size)
            case Invoke():
                for _, size in step.binding:
                    add(size)
            case Scatter():
                for axis in step.wire.type.axes:
                    add(axis.size)
                for write in step.writes:
                    for size in (*_sizes_of(write.expression), *_index_sizes(write.indices)):
                        add(size)
    return frozenset(found)


def _sizes_of(expression: Expression) -> list[Size]:
    sizes = [axis.size for axis in expression.axes]
    match expression:
        case Read():
            sizes += _index_sizes(expression.indices)
        case SizeValue():
            sizes.append(expression.size)
        case Apply() | ApplyDiagram():
            for argument in expression.arguments:
                sizes += _sizes_of(argument)
        case Select():
            for part in (expression.condition, expression.then, expression.otherwise):
                sizes += _sizes_of(part)
        case Contract():
            for factor in expression.factors:
                sizes += _sizes_of(factor)
        case Reduce():
            sizes += _sizes_of(expression.body)
        case _:
            pass
    return sizes


def _index_sizes(indices: tuple[Affine, ...]) -> list[Size]:
    return [size for i in indices for size in (i.constant, *(c for _, c in i.terms))]
