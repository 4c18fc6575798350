"""Declared wires: equations whose left-hand side is indexed write into them, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import kinds
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.facts import Unknown
from ncdlang.semantics.new_axes import Use, introduce_axes, walk_expression
from ncdlang.semantics.program import Scatter, Write
from ncdlang.semantics.reads import place_index
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.scope import DeclaredWire
from ncdlang.semantics.signature import already_defined, array_type_of
from ncdlang.semantics.sizes import bracket_items, index_expression
from ncdlang.semantics.types import Affine, Axis, Wire
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.facts import Collision

Operator = Literal["=", "+=", "*=", "max=", "min="]


@record
class Injectivity:
    """What a plain `=` needs: no two sources meet, in one write or in two."""

    wire: Wire
    first: Write
    second: Write | None


def check_declaration(body: Body, statement: tree.Declaration) -> None:
    """`Y: [v d]`. Raises Reported."""
    name = statement.name.text
    earlier = body.scope.local(name)
    if earlier is not None:
        already_defined(body, name, statement.name.span, earlier[1])
    if isinstance(statement.type, tree.TupleTypeExpr):
        body.fail("NCD2012", "a wire is one array", statement.type.span, label="a tuple")
    array_type = array_type_of(body, statement.type)
    count = _count_writes(body.declaration.body or (), name)
    wire = Wire(name, array_type, statement.span)
    if count == 0:
        body.fail(
            "NCD2016",
            f"no equation writes `{name}`",
            statement.span,
            label="declared, never written",
            help=f"write it by an equation: `{name}[...] += ...`",
        )
    body.scope.define(name, DeclaredWire(wire, count), statement.name.span)


def _count_writes(statements: tuple[tree.Statement, ...], name: str) -> int:
    count = 0
    for statement in statements:
        match statement:
            case tree.Equation() | tree.Return():
                count += sum(target.name.text == name for target in statement.targets)
            case tree.Block():
                count += _count_writes(statement.body, name)
            case _:
                pass
    return count


def declared_target(body: Body, equation: tree.Equation) -> DeclaredWire | None:
    """The declared wire that an equation writes, if it writes one."""
    for target in equation.targets:
        meaning = body.scope.find(target.name.text)
        if isinstance(meaning, DeclaredWire):
            if len(equation.targets) > 1:
                body.fail(
                    "NCD4001",
                    f"`{target.name.text}` is declared, so it is written alone",
                    target.span,
                    label="one of several",
                )
            return meaning
    return None


def check_write(body: Body, equation: tree.Equation, declared: DeclaredWire) -> tuple[Wire, ...]:
    """One equation of a declared wire; the last one defines it. Raises Reported."""
    declared.remaining -= 1
    target = equation.targets[0]
    try:
        write = _write(body, equation, target, declared.wire)
    except Reported:
        from ncdlang.semantics.scope import Broken

        body.scope.define(target.name.text, Broken("wire"), target.name.span)
        raise
    _needs_proof(body, declared, write)
    declared.writes.append(write)
    if declared.remaining == 0:
        wire = declared.wire
        body.add(Scatter(wire, tuple(declared.writes), wire.span))
        body.scope.define(wire.name, wire, target.name.span)
    return (declared.wire,)


def _write(body: Body, equation: tree.Equation, target: tree.Target, wire: Wire) -> Write:
    axes = wire.type.axes
    items: list[tree.Expr | tree.Pack] = (
        list(bracket_items(body, target.brackets))
        if target.brackets is not None
        else [tree.Name(axis.name, target.span) for axis in axes]
    )
    if len(items) != len(axes):
        body.fail(
            "NCD2005",
            f"`{wire.name}` has {counted(len(axes), 'axis')}, "
            f"but {counted(len(items), 'index')} {'is' if len(items) == 1 else 'are'} given",
            target.span,
            label=f"of type `{wire.type}`",
            labels=[Label(wire.span, "declared here")],
        )
    indices = _indices(body, items, wire, equation)
    order = tuple(dict.fromkeys(axis for index in indices for axis in index.axes()))
    context = Context(frozenset(order), order)
    expression = body.expressions.check(equation.value, context)
    from ncdlang.semantics.equations import check_leftover

    check_leftover(body, expression, order, target, equation.value)
    expression = kinds.to_kind(body, expression, wire.type.kind, equation.value.span)
    if equation.op != "=" and wire.type.kind.name in ("boolean", "complex"):
        _no_operator(body, equation, wire)
    op = cast(Operator, equation.op)
    return Write(op, indices, order, expression, equation.span)


def _no_operator(body: Body, equation: tree.Equation, wire: Wire) -> None:
    body.fail(
        "NCD2011",
        f"`{equation.op}` does not combine {wire.type.kind.name} values",
        equation.span,
        label=f"`{wire}`",
    )


def _indices(
    body: Body, items: list[tree.Expr | tree.Pack], wire: Wire, equation: tree.Equation
) -> tuple[Affine, ...]:
    exprs: list[tuple[tree.Expr, Axis]] = []
    for item, axis in zip(items, wire.type.axes, strict=True):
        if isinstance(item, tree.Pack):
            body.fail("NCD2012", "a pack is no index", item.span, label="several axes")
        exprs.append((item, axis))
    nested = [
        use
        for item, _ in exprs
        for node in walk_expression(item)
        if isinstance(node, tree.Bracketed)
        for use in _uses_of(body, node)
    ]
    further = [Use(item, axis) for item, axis in exprs] + nested
    introduce_axes(body, equation.value, further)
    indices: list[Affine] = []
    for item, axis in exprs:
        index = index_expression(body, item)
        indices.append(place_index(body, item, index, axis, wire, (), item.span))
    return tuple(indices)


def _uses_of(body: Body, node: tree.Bracketed) -> list[Use]:
    meaning = body.scope.find(node.head.text) if isinstance(node.head, tree.Name) else None
    if not isinstance(meaning, Wire):
        return []
    items = [item for slot in node.brackets.slots for item in slot.items]
    if len(items) != len(meaning.type.axes):
        return []
    return [
        Use(item, axis)
        for item, axis in zip(items, meaning.type.axes, strict=True)
        if not isinstance(item, tree.Pack)
    ]


# ---- no two sources meet ----------------------------------------------------------------------


def _needs_proof(body: Body, declared: DeclaredWire, write: Write) -> None:
    if write.op != "=":
        return
    body.injectivity.append(Injectivity(declared.wire, write, None))
    for earlier in declared.writes:
        if earlier.op == "=":
            body.injectivity.append(Injectivity(declared.wire, earlier, write))


def check_injectivity(body: Body) -> None:
    """Prove that plain `=` never writes one place twice, or report two sources that meet."""
    from ncdlang.semantics.collisions import disjoint, find_collision
    from ncdlang.semantics.facts import Facts

    facts = Facts(body.constraints.relations_at_defaults)
    for needed in body.injectivity:
        first, second = needed.first, needed.second
        if second is None:
            if _is_plain(first):
                continue
            found = find_collision(first.indices, first.axes, facts)
        else:
            found = disjoint(first.indices, first.axes, second.indices, second.axes, facts)
        if found is not None:
            _collides(body, needed, found)


def _is_plain(write: Write) -> bool:
    axes = [index.axis for index in write.indices]
    return None not in axes and len(set(axes)) == len(axes)


def _collides(body: Body, needed: Injectivity, found: Collision | Unknown) -> None:
    name = needed.wire.name
    write = needed.second or needed.first
    sources = ""
    if not isinstance(found, Unknown):
        sources = f": {_place(found.first)} and {_place(found.second)}"
    labels: list[Label] = []
    if needed.second is None:
        if sources:
            message = f"two sources of `{name}` meet{sources}"
        else:
            message = f"nothing proves that no two sources of `{name}` meet"
        help_text = "write `+=` (or `max=`, `min=`) to say how they combine"
    else:
        message = f"two equations of `{name}` may write one place{sources}"
        help_text = "plain `=` writes disjoint places; combine with `+=` otherwise"
        labels.append(Label(needed.first.span, "the other equation"))
    body.error(
        "NCD3007",
        message,
        write.span,
        label="plain `=` needs one source for each place",
        labels=labels,
        help=help_text,
    )


def _place(entries: tuple[tuple[Axis, int], ...]) -> str:
    return ", ".join(f"{axis.name} = {number}" for axis, number in entries)
