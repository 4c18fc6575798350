"""Declared wires: equations whose left-hand side is indexed write into them, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NoReturn, cast

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import kinds
from ncdlang.semantics.circles import declared_wires
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.facts import Unknown
from ncdlang.semantics.new_axes import Use, introduce_axes, walk_expression
from ncdlang.semantics.program import Constant, Expression, Scatter, Write, walk
from ncdlang.semantics.reads import place_index
from ncdlang.semantics.report import Reported, counted, rename
from ncdlang.semantics.scope import Broken, DeclaredWire, closest
from ncdlang.semantics.signature import already_defined, array_type_of
from ncdlang.semantics.size import Size, constant
from ncdlang.semantics.sizes import bracket_items, index_expression
from ncdlang.semantics.types import Affine, Axis, Gathered, Wire
from ncdlang.semantics.uniqueness import one_to_one
from ncdlang.source import Span
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
        if not isinstance(earlier[0], DeclaredWire):
            body.redeclared.add(name)
        already_defined(body, name, statement.name.span, earlier[1])
    if isinstance(statement.type, tree.TupleTypeExpr):
        body.fail("NCD2012", "a wire is one array", statement.type.span, label="a tuple")
    array_type = array_type_of(body, statement.type)
    statements = body.declaration.body or ()
    count = sum(target.name.text == name for _, target in _targets(statements))
    wire = Wire(name, array_type, statement.span)
    if count == 0:
        _never_written(body, wire, statements)
    body.scope.define(name, DeclaredWire(wire, count), statement.name.span)


def _targets(
    statements: tuple[tree.Statement, ...],
) -> Iterator[tuple[tree.Equation, tree.Target]]:
    """What equations write, in blocks too."""
    for statement in statements:
        match statement:
            case tree.Equation():
                yield from ((statement, target) for target in statement.targets)
            case tree.Return() if statement.targets:
                equation = tree.Equation(
                    statement.targets, "=", statement.values[0], statement.span
                )
                yield from ((equation, target) for target in statement.targets)
            case tree.Block():
                yield from _targets(statement.body)
            case _:
                pass


def _never_written(body: Body, wire: Wire, statements: tuple[tree.Statement, ...]) -> NoReturn:
    """A declared wire without equations, unless one that is reported may be meant for it."""
    declared = declared_wires(statements)
    if any(e.op != "=" and t.name.text not in declared for e, t in _targets(statements)):
        raise Reported
    if body.module.has_broken(body.declaration.span):
        raise Reported
    body.fail(
        "NCD2016",
        f"no equation writes `{wire.name}`",
        wire.span,
        label="declared, never written",
        help=f"write it by an equation: `{wire.name}[...] += ...`",
    )


def fail_undeclared(body: Body, equation: tree.Equation) -> NoReturn:
    """An equation that combines with a wire that is not declared."""
    name = equation.targets[0].name
    meaning = body.scope.find(name.text)
    if isinstance(meaning, Broken):
        raise Reported
    guess = _meant(body, name.text)
    if isinstance(meaning, Wire):
        help_text = f"declare another wire, and begin with `= {name.text}`"
    else:
        help_text = f"declare it first: `{name.text}: [...]`"
    body.fail(
        "NCD2016",
        f"`{name.text}` is not declared, so `{equation.op}` has nothing to combine with",
        name.span,
        label=f"`{equation.op}` combines with what it holds",
        help=f"did you mean `{guess}`?" if guess else help_text,
        fix=rename(name.span, guess) if guess else None,
    )


def _meant(body: Body, name: str) -> str | None:
    """The declared wire that a name stands for by mistake: one like it, or the one unwritten."""
    statements = body.declaration.body or ()
    declared = declared_wires(statements)
    unwritten = declared - {target.name.text for _, target in _targets(statements)}
    return closest(name, declared) or (unwritten.pop() if len(unwritten) == 1 else None)


def declared_target(body: Body, equation: tree.Equation) -> DeclaredWire | None:
    """The declared wire that an equation writes, if it writes one. Raises Reported."""
    meanings = [(target, body.scope.find(target.name.text)) for target in equation.targets]
    for target, meaning in meanings:
        if target.name.text in body.redeclared:
            raise Reported
        if isinstance(meaning, DeclaredWire):
            if len(equation.targets) > 1:
                for other, known in meanings:
                    if known is None or isinstance(known, DeclaredWire):
                        body.scope.define(other.name.text, Broken("wire"), other.name.span)
                body.fail(
                    "NCD4001",
                    f"`{target.name.text}` is declared, so it is written alone",
                    target.span,
                    label="one of several",
                    labels=[Label(meaning.wire.span, "declared here")],
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
    if equation.op != "=":
        _check_combines(body, equation, wire)
    context = Context(frozenset(order), order)
    expression = body.expressions.check(equation.value, context)
    from ncdlang.semantics.equations import check_leftover

    check_leftover(body, expression, order, target, equation.value)
    expression = kinds.to_kind(body, expression, wire.type.kind, equation.value.span)
    op = cast(Operator, equation.op)
    _check_bound(body, op, expression, wire, equation.value.span)
    return Write(op, indices, order, expression, equation.span)


def _check_combines(body: Body, equation: tree.Equation, wire: Wire) -> None:
    kind = wire.type.kind
    if kind.name == "boolean" or (kind.name == "complex" and equation.op in ("max=", "min=")):
        body.fail(
            "NCD2011",
            f"`{equation.op}` does not combine {kinds.plural(kind)}",
            equation.targets[0].span,
            label=f"of type `{wire.type}`",
            labels=[Label(wire.span, "declared here")],
        )


def _check_bound(body: Body, op: Operator, expression: Expression, wire: Wire, span: Span) -> None:
    """Naturals that are written stay below the bound of the wire; sums show at run time."""
    bound = wire.type.kind.bound
    if bound is None:
        return
    least: Size | None = None
    if isinstance(expression, Constant):
        least = constant(int(expression.value) + 1)
        if expression.value < 0:
            body.fail(
                "NCD2011",
                f"{expression.value} is no natural",
                span,
                label="negative",
                labels=[Label(wire.span, f"`{wire}` holds naturals")],
            )
    elif op in ("=", "max=", "min="):
        least = expression.kind.bound
    reason = f"`{wire.name}` holds naturals below {bound}"
    if least is not None and not body.constraints.require(least, "<=", bound, reason, span):
        body.fail_relation(
            least,
            "<=",
            bound,
            span,
            f"`{wire.name}` can't hold this: its entries are below {body.shown(bound)}",
            [Label(wire.span, f"`{wire}`")],
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
        indices.append(place_index(body, item, index, axis, wire, (), item.span, True))
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
    unique = one_to_one(walk(tuple(body.places[0].steps))) if body.injectivity else {}
    for needed in body.injectivity:
        first, second = needed.first, needed.second
        if second is None:
            if _is_plain(first):
                continue
            found = find_collision(first.indices, first.axes, facts, unique)
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
    notes: list[str] = []
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
        notes += [f"entries of `{wire.spelling}` may be equal" for wire in _gathered(write.indices)]
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
        notes=notes,
        help=help_text,
    )


def _gathered(indices: tuple[Affine, ...]) -> list[Wire]:
    """The wires of naturals that indices are read from."""
    variables = [variable for index in indices for variable, _ in index.terms]
    return list(dict.fromkeys(v.wire for v in variables if isinstance(v, Gathered)))


def _place(entries: tuple[tuple[Axis, int], ...]) -> str:
    return ", ".join(f"{axis.name} = {number}" for axis, number in entries)
