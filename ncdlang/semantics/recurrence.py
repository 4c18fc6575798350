"""Recurrences: equations that read each other strictly earlier (or later) along one axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import kinds
from ncdlang.semantics.expressions import Context, Guards
from ncdlang.semantics.new_axes import introduce_axes, walk_expression
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Define,
    Expression,
    Invoke,
    Read,
    Recurrence,
    Reduce,
    Select,
    Step,
)
from ncdlang.semantics.report import Reported, listed
from ncdlang.semantics.scope import Broken
from ncdlang.semantics.size import constant
from ncdlang.semantics.sizes import make_affine
from ncdlang.semantics.types import REAL, Affine, ArrayType, Axis, Wire, plain_index
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

# ---- which statements form a recurrence --------------------------------------------------------


@record
class Group:
    """Statements that read each other in a circle, and the place at which they are checked."""

    members: tuple[int, ...]
    place: int


def groups(statements: tuple[tree.Statement, ...]) -> tuple[Group, ...]:
    """The recurrences among the statements of one level, in order."""
    made = {name: i for i, statement in enumerate(statements) for name in _defines(statement)}
    if not made:
        return ()
    reads = [
        sorted({made[name] for name in _reads(statement) if name in made})
        for statement in statements
    ]
    if not any(j >= i for i, found in enumerate(reads) for j in found):
        return ()
    found: list[Group] = []
    for members in _circles(reads):
        outside = [j for i in members for j in reads[i] if j not in members]
        place = max([members[0], *(j + 1 for j in outside if j < members[-1])])
        found.append(Group(members, place))
    return tuple(found)


def _defines(statement: tree.Statement) -> list[str]:
    if isinstance(statement, tree.Equation) and statement.op == "=":
        return [target.name.text for target in statement.targets]
    if isinstance(statement, tree.Return):
        return [target.name.text for target in statement.targets]
    return []


def _reads(statement: tree.Statement) -> set[str]:
    match statement:
        case tree.Equation():
            values: tuple[tree.Expr, ...] = (statement.value,)
        case tree.Return():
            values = statement.values
        case _:
            return set()
    names: set[str] = set()
    for value in values:
        for node in walk_expression(value):
            if isinstance(node, tree.Name):
                names.add(node.text)
            elif isinstance(node, tree.Bracketed) and isinstance(node.head, tree.Name):
                names.add(node.head.text)
    return names


def _circles(reads: list[list[int]]) -> list[tuple[int, ...]]:
    """The strongly connected components that have a circle (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[tuple[int, ...]] = []
    for root in range(len(reads)):
        if root in order:
            continue
        work = [(root, iter(reads[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, pending = work[-1]
            following = next(pending, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    members = _popped(stack, on_stack, node)
                    if len(members) > 1 or node in reads[node]:
                        found.append(members)
            elif following not in order:
                order[following] = low[following] = len(order)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(reads[following])))
            elif following in on_stack:
                low[node] = min(low[node], order[following])
    return sorted(found)


def _popped(stack: list[int], on_stack: set[int], node: int) -> tuple[int, ...]:
    members: list[int] = []
    while True:
        member = stack.pop()
        on_stack.discard(member)
        members.append(member)
        if member == node:
            return tuple(sorted(members))


# ---- checking one -----------------------------------------------------------------------------


@record
class _Member:
    """An equation of a recurrence with the wire that it defines."""

    target: tree.Target
    value: tree.Expr
    wire: Wire


def check_group(body: Body, equations: list[tree.Equation]) -> None:
    """Check the equations of a recurrence and add it. Raises Reported."""
    members = [_member(body, equation) for equation in equations]
    for member in members:
        body.scope.define(member.wire.name, member.wire, member.target.name.span)
    try:
        _check_members(body, members)
    except Reported:
        for member in members:
            body.scope.define(member.wire.name, Broken("wire"), member.target.name.span)
        raise


def _member(body: Body, equation: tree.Equation) -> _Member:
    from ncdlang.semantics.equations import check_new, target_axes

    target = equation.targets[0]
    if len(equation.targets) > 1 or target.brackets is None:
        body.fail(
            "NCD3008",
            f"`{target.name.text}` reads itself, so its axes must be stated",
            target.span,
            label="a recurrence",
            help=f"write them on the left: `{target.name.text}[t ...] = ...`",
        )
    check_new(body, target)
    introduce_axes(body, equation.value)
    axes = target_axes(body, target.brackets)
    wire = Wire(target.name.text, ArrayType(axes, REAL), target.span)
    return _Member(target, equation.value, wire)


def _check_members(body: Body, members: list[_Member]) -> None:
    steps: list[Step] = []
    for member in members:
        body.open_recurrence()
        try:
            value = _value(body, member)
        finally:
            steps += body.close_recurrence()
        span = member.target.span.to(member.value.span)
        steps.append(Define(member.wire, value, span))
    inside, outside = _split(steps, {member.wire for member in members})
    for step in outside:
        body.add(step)
    _add(body, members, inside)


def _value(body: Body, member: _Member) -> Expression:
    from ncdlang.semantics.equations import check_leftover

    introduce_axes(body, member.value)
    atoms = tuple(atom for axis in member.wire.type.axes for atom in axis.atoms)
    value = body.expressions.check(member.value, Context(frozenset(atoms), atoms))
    check_leftover(body, value, atoms, member.target, member.value)
    return kinds.to_kind(body, value, REAL, member.value.span)


def _split(
    steps: list[Step], recurrent: set[Wire]
) -> tuple[list[Define | Invoke], list[Define | Invoke]]:
    """The steps that belong to the circle, and those that only feed it."""
    inside: list[Define | Invoke] = []
    outside: list[Define | Invoke] = []
    known = set(recurrent)
    for step in steps:
        if not isinstance(step, (Define, Invoke)):
            continue
        made = step.results if isinstance(step, Invoke) else (step.wire,)
        if known.isdisjoint(_inputs(step)) and recurrent.isdisjoint(made):
            outside.append(step)
        else:
            known.update(made)
            inside.append(step)
    return inside, outside


def _inputs(step: Define | Invoke) -> set[Wire]:
    if isinstance(step, Invoke):
        return set(step.arguments)
    return {read.wire for read, _ in _guarded_reads(step.expression, ())}


def _add(body: Body, members: list[_Member], steps: list[Define | Invoke]) -> None:
    first = members[0]
    axes = [a for a in first.wire.type.axes if all(a in m.wire.type.axes for m in members)]
    blamed: tuple[Read, Wire] | None = None
    for axis in axes:
        for reverse in (False, True):
            outcome = _ordered(body, steps, axis, reverse)
            if isinstance(outcome, list):
                span = first.target.span.to(members[-1].value.span)
                body.add(Recurrence(axis, reverse, tuple(outcome), span))
                return
            blamed = blamed or outcome
    _no_order(body, members, blamed)


def _no_order(body: Body, members: list[_Member], blamed: tuple[Read, Wire] | None) -> None:
    names = listed(member.wire.name for member in members)
    span = blamed[0].span if blamed is not None else members[0].target.span
    body.fail(
        "NCD3008",
        f"{names} {'reads itself' if len(members) == 1 else 'read each other'}, and not strictly "
        "earlier along any axis",
        span,
        label="this is not read earlier",
        labels=[Label(m.target.span, "defined here") for m in members],
        notes=[
            "a recurrence reads only what lies strictly before (or strictly after) along an axis"
        ],
        help="read the step before, under a guard: `where(t > 0, H[t - 1, ...], ...)`",
    )


def _ordered(
    body: Body, steps: list[Define | Invoke], axis: Axis, reverse: bool
) -> list[Define | Invoke] | tuple[Read, Wire] | None:
    """The steps in an order for one index along the axis, or what stands against it."""
    makers = {
        wire: i
        for i, step in enumerate(steps)
        for wire in (step.results if isinstance(step, Invoke) else (step.wire,))
    }
    before: list[set[int]] = [set() for _ in steps]
    for i, step in enumerate(steps):
        if isinstance(step, Invoke):
            if axis not in step.lifted:
                return None
            before[i].update(makers[wire] for wire in step.arguments if wire in makers)
            continue
        for read, guards in _guarded_reads(step.expression, ()):
            if read.wire not in makers:
                continue
            relation = _relation(body, read, guards, axis, reverse)
            if relation is None:
                return read, read.wire
            if relation == 0:
                before[i].add(makers[read.wire])
    return _sorted(steps, before)


def _sorted(steps: list[Define | Invoke], before: list[set[int]]) -> list[Define | Invoke] | None:
    done: list[int] = []
    while len(done) < len(steps):
        ready = [i for i in range(len(steps)) if i not in done and before[i] <= set(done)]
        if not ready:
            return None
        done.append(ready[0])
    return [steps[i] for i in done]


def _relation(body: Body, read: Read, guards: Guards, axis: Axis, reverse: bool) -> int | None:
    """0 if the same index along the axis is read, 1 if a strictly earlier one, else None."""
    from ncdlang.semantics.bounds import prove_at_least
    from ncdlang.semantics.facts import Facts

    position = read.wire.type.axes.index(axis) if axis in read.wire.type.axes else None
    if position is None:
        return None
    index = read.indices[position]
    if index.axis is axis:
        return 0
    own = plain_index(axis)
    distance = _difference(index, own) if reverse else _difference(own, index)
    facts = Facts(body.constraints.relations_at_defaults)
    return 1 if prove_at_least(distance, 1, guards, facts) else None


def _difference(left: Affine, right: Affine) -> Affine:
    minus = [(variable, -coefficient) for variable, coefficient in right.terms]
    return make_affine(left.constant + right.constant * constant(-1), [*left.terms, *minus])


def _guarded_reads(expression: Expression, guards: Guards) -> Iterator[tuple[Read, Guards]]:
    """Every read with the conditions under which it counts."""
    match expression:
        case Read():
            yield expression, guards
        case Apply() | ApplyDiagram():
            for argument in expression.arguments:
                yield from _guarded_reads(argument, guards)
        case Select():
            yield from _guarded_reads(expression.condition, guards)
            condition = expression.condition
            yield from _guarded_reads(expression.then, (*guards, (condition, True)))
            yield from _guarded_reads(expression.otherwise, (*guards, (condition, False)))
        case Contract():
            for factor in expression.factors:
                yield from _guarded_reads(factor, guards)
        case Reduce():
            yield from _guarded_reads(expression.body, guards)
        case _:
            return
