"""The signature of a diagram: its axes, free axes, settings and inputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.semantics.numbers import check_size
from ncdlang.semantics.program import FreeAxis
from ncdlang.semantics.report import Reported, listed
from ncdlang.semantics.size import Size, Symbol, constant
from ncdlang.semantics.sizes import size_expression
from ncdlang.semantics.types import BOOLEAN, COMPLEX, FORMATS, REAL, ArrayType, Axis, Kind, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


def check_signature(body: Body) -> None:
    """Define the axes and inputs. Raises Reported if an input has no usable type."""
    declaration = body.declaration
    entries = _entries(declaration)
    _check_entries_differ(body, entries)
    for entry in entries:
        if entry.is_const:
            _define_setting(body, entry)
        elif isinstance(entry.name, tree.Pack):
            _define_pack(body, entry.name)
    _define_inputs(body)
    _define_free_axes(body, entries)
    _free_packs(body, entries)
    _apply_overrides(body)


def _entries(declaration: tree.Diagram) -> tuple[tree.Formal, ...]:
    if declaration.formals is None:
        return ()
    return (*declaration.formals.entries, *(declaration.formals.arrow or ()))


def _check_entries_differ(body: Body, entries: tuple[tree.Formal, ...]) -> None:
    seen: dict[str, Span] = {}
    for entry in entries:
        earlier = seen.setdefault(entry.name.text, entry.name.span)
        if earlier is not entry.name.span:
            already_defined(body, entry.name.text, entry.name.span, earlier)


def _define_setting(body: Body, entry: tree.Formal) -> None:
    name = entry.name.text
    given = dict(body.key.settings)
    if name in given:
        value = given[name]
    elif entry.default is not None:
        value = body.number(entry.default)
    else:
        body.fail(
            "NCD4002",
            f"the setting `{name}` of `{body.declaration.name.text}` has no value",
            entry.span,
            label="no default, and no use gives one",
            help=f"write `const {name} = ...`",
        )
    value = body.module.overridden(name, value)
    body.settings.append((name, value))
    body.scope.define(name, value, entry.name.span)


def _define_pack(body: Body, pack: tree.Pack) -> None:
    names = dict(body.key.packs).get(pack.text, ())
    taken = _own_axes(body.declaration)
    axes: list[Axis] = []
    for name in names:
        unique = name
        while unique in body.signature_axes or unique in taken:
            unique += "'"
        axis = Axis(unique, body.module.new_size(unique))
        body.signature_axes[unique] = axis
        axes.append(axis)
    body.packs[pack.text] = tuple(axes)


def _own_axes(declaration: tree.Diagram) -> frozenset[str]:
    """The words that a declaration has in brackets or declares: the axes of a pack have others."""
    text = declaration.span.text
    inside = " ".join(re.findall(r"\[[^]]*\]|\([^()]*\)\s*\[|\baxis\b[^=\n]*", text))
    return frozenset(re.findall(r"[^\W\d][\w\u0300-\u036f]*'*", inside))


def _define_inputs(body: Body) -> None:
    failed = False
    for parameter in body.declaration.parameters:
        try:
            _define_input(body, parameter)
        except Reported:
            failed = True
    if failed:
        raise Reported


def _define_input(body: Body, parameter: tree.Parameter) -> None:
    if isinstance(parameter.type, tree.TupleTypeExpr):
        if parameter.name is not None:
            body.fail(
                "NCD2012",
                "an input is one array, not a tuple of them",
                parameter.span,
                label="a tuple",
                help="name every input: `f(X: [x m], Y: [y m]) -> ...`",
            )
        for item in parameter.type.items:
            _define_input(body, tree.Parameter(None, item, parameter.span))
        return
    array_type = array_type_of(body, parameter.type, formal=True)
    if parameter.name is None:
        number = len(body.parameters) + 1
        body.parameters.append(Wire(f"input_{number}", array_type, parameter.span))
        return
    name = parameter.name.text
    earlier = body.scope.local(name)
    if earlier is not None:
        already_defined(body, name, parameter.name.span, earlier[1])
    wire = Wire(name, array_type, parameter.span)
    body.parameters.append(wire)
    body.scope.define(name, wire, parameter.name.span)


def already_defined(body: Body, name: str, span: Span, earlier: Span | None) -> NoReturn:
    """Report a name that is defined twice. Raises Reported."""
    body.fail(
        "NCD2002",
        f"`{name}` is defined already",
        span,
        label="defined again",
        labels=[Label(earlier, "first defined here")] if earlier is not None else [],
        notes=["a name means one thing in a scope"],
        help="choose another name",
    )


def array_type_of(body: Body, expr: tree.ArrayTypeExpr, formal: bool = False) -> ArrayType:
    """The array type that is written. In a formal type new names are new axes. Raises Reported."""
    axes: list[Axis] = []
    if expr.axes.arrow is not None:
        body.fail(
            "NCD2012", "a type has no `->` in its brackets", expr.axes.span, label="not a type"
        )
    for slot in expr.axes.slots:
        if slot.name is not None:
            body.fail("NCD2012", "a type lists axes only", slot.span, label="not an axis")
        for item in slot.items:
            for axis in _type_axes(body, item, formal):
                check_repeated(body, axis, axes, item.span)
                axes.append(axis)
    return ArrayType(tuple(axes), kind_of(body, expr, formal))


def check_repeated(body: Body, axis: Axis, earlier: list[Axis], span: Span) -> None:
    """An array type names an axis once, in a composite axis neither. Raises Reported."""
    named = {atom for known in earlier for atom in known.atoms}
    for i, atom in enumerate(axis.atoms):
        if atom in named or atom in axis.atoms[:i]:
            body.fail(
                "NCD2007",
                f"an array type can't name axis `{atom}` twice",
                span,
                label="named again",
                help=f"call the second one `{atom}'`",
            )


def _type_axes(body: Body, item: tree.Expr | tree.Pack, formal: bool) -> tuple[Axis, ...]:
    if isinstance(item, tree.Number):
        body.fail(
            "NCD2012",
            "an axis needs a name",
            item.span,
            label="a number is no axis",
            help=f"declare it at file level: `axis n = {item.text}`",
        )
    if not formal:
        return body.axes_of_item(item)
    if isinstance(item, tree.Name):
        return (_formal_axis(body, item),)
    if isinstance(item, tree.Composite):
        return (body.composite(tuple(_formal_axis(body, name) for name in item.names)),)
    return body.axes_of_item(item)


def _formal_axis(body: Body, name: tree.Name) -> Axis:
    """The axis of the signature with that name, new if the file has no such axis."""
    if name.text in body.signature_axes:
        return body.signature_axes[name.text]
    entry = body.scope.entry(name.text)
    if entry is not None and isinstance(entry[0], Axis):
        axis = entry[0]
        body.shared.add(axis)
    elif entry is not None and (
        body.module.is_own_name(name.text, body.scope) or body.scope.local(name.text) is not None
    ):
        already_defined(body, name.text, name.span, entry[1])
    else:
        axis = body.new_axis(name.text, None, name.span)
    body.signature_axes[name.text] = axis
    return axis


def kind_of(body: Body, expr: tree.ArrayTypeExpr, formal: bool = False) -> Kind:
    """What the entries of a written type are."""
    if expr.format is None:
        return REAL
    word = expr.format.text
    if expr.bound is not None and word != "N":
        body.fail("NCD2012", f"`{word}(...)` is no type", expr.format.span, label="not a type")
    match word:
        case "B":
            return BOOLEAN
        case "C":
            return COMPLEX
        case "N":
            return _natural_kind(body, expr, formal)
        case _ if word in FORMATS:
            return Kind("real", word)
        case _:
            body.fail(
                "NCD2012",
                f"there is no number format `{word}`",
                expr.format.span,
                label="unknown format",
                help=f"the types are [...], N(v)[...], B[...], C[...], {', '.join(FORMATS)}",
            )


def _natural_kind(body: Body, expr: tree.ArrayTypeExpr, formal: bool) -> Kind:
    if expr.bound is None:
        assert expr.format is not None
        body.fail(
            "NCD2012",
            "naturals need their bound",
            expr.format.span,
            label="below what?",
            help="write `N(v)[...]` for indices into axis v",
        )
    if isinstance(expr.bound, tree.Name):
        entry = body.scope.entry(expr.bound.text)
        if formal and (entry is None or isinstance(entry[0], Axis)):
            axis = _formal_axis(body, expr.bound)
            return Kind("natural", None, axis.size, axis)
        if entry is not None and isinstance(entry[0], Axis):
            return Kind("natural", None, entry[0].size, entry[0])
        if entry is None:
            axis = body.axis_named(expr.bound)
            return Kind("natural", None, axis.size, axis)
    return Kind("natural", None, size_expression(body, expr.bound))


def _define_free_axes(body: Body, entries: tuple[tree.Formal, ...]) -> None:
    """Define the free axes, then their defaults, which may use the sizes of later ones."""
    free = [
        (entry, _formal_axis(body, entry.name))
        for entry in entries
        if isinstance(entry.name, tree.Name) and not _is_target(body, entry, entry.name)
    ]
    waiting: dict[Symbol, tuple[tree.Formal, Size]] = {}
    for entry, axis in free:
        default = _default(body, entry)
        body.free.append(FreeAxis(axis, default))
        if default is not None and axis.symbol is not None:
            waiting[axis.symbol] = entry, default
    while waiting:
        ready = [s for s, (_, size) in waiting.items() if size.symbols().isdisjoint(waiting)]
        if not ready:
            _circular(body, [entry for entry, _ in waiting.values()])
        for symbol in ready:
            body.constraints.defaults[symbol] = body.constraints.with_defaults(waiting[symbol][1])
            del waiting[symbol]


def _circular(body: Body, entries: list[tree.Formal]) -> NoReturn:
    body.fail(
        "NCD3004",
        f"the default sizes of {listed(entry.name.text for entry in entries)} use each other"
        if len(entries) > 1
        else f"the default size of `{entries[0].name.text}` uses itself",
        entries[0].span,
        label="a circle",
        labels=[Label(entry.span, "uses it in turn") for entry in entries[1:]],
    )


def _is_target(body: Body, entry: tree.Formal, name: tree.Name) -> bool:
    """Whether a bracket entry is no free axis: a setting, or a target that an input carries.

    An axis that only a composite `(h k)` of an input has is free: it tells the factors apart.
    """
    if entry.is_const:
        return True
    known = body.signature_axes.get(name.text)
    if known is None or not any(known in wire.type.axes for wire in body.parameters):
        return False
    if entry.default is not None:
        body.fail(
            "NCD4002",
            f"axis `{name.text}` has the size of an input, so it can have no default",
            entry.span,
            label="an input carries this axis",
        )
    return True


def _default(body: Body, entry: tree.Formal) -> Size | None:
    if entry.default is None:
        return None
    changed = dict(body.key.changed)
    if entry.name.text in changed:
        value = changed[entry.name.text]
        return constant(value) if value is not None else None
    size = size_expression(body, entry.default)
    check_size(body, f"axis `{entry.name.text}`", size.value, entry.default.span)
    return size


def _free_packs(body: Body, entries: tuple[tree.Formal, ...]) -> None:
    carried = {axis for wire in body.parameters for axis in wire.type.axes}
    for entry in entries:
        if isinstance(entry.name, tree.Pack):
            for axis in body.packs[entry.name.text]:
                if axis not in carried:
                    body.free.append(FreeAxis(axis, None))


def _apply_overrides(body: Body) -> None:
    """Sizes that a config or the command line gives hold as defaults do."""
    if body.module.compilation.target not in (None, body.declaration.name.text):
        return
    for name, axis in body.signature_axes.items():
        value = body.module.overridden(name, None)
        symbol = axis.symbol
        if value is None or symbol is None:
            continue
        body.constraints.defaults[symbol] = constant(int(value))
        for i, free in enumerate(body.free):
            if free.axis is axis:
                body.free[i] = FreeAxis(axis, constant(int(value)))
