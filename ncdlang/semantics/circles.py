"""Which statements of a body form recurrences, and the order in which a body is checked.

Equations that read each other in a circle are one unit. It is checked once everything that it
reads from outside is there, and statements that read its wires wait for it. Blocks change no
meaning: one that a circle goes through is taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush

from ncdlang.records import record
from ncdlang.syntax import tree


@record
class Unit:
    """One statement, or the equations of a recurrence in the order of the text."""

    statements: tuple[tree.Statement, ...]
    is_recurrence: bool


def units(statements: tuple[tree.Statement, ...], known: Callable[[str], bool]) -> tuple[Unit, ...]:
    """The statements of one level in the order in which they are to be checked.

    `known` says whether a name has a meaning before the first of them.
    """
    level = _Level(statements)
    if not level.reads_forward:
        return tuple(Unit((statement,), False) for statement in statements)
    circles = level.circles()
    while broken := {i for members in circles for i in members if level.has_many(i)}:
        level = _Level(_taken_apart(level.statements, broken))
        circles = level.circles()
    return _Order(level, circles, known).units()


class _Level:
    """The statements of one level with what each reads of the others.

    An equation of a declared wire reads the declaration and the equations before it.
    """

    def __init__(self, statements: tuple[tree.Statement, ...]) -> None:
        self.statements = statements
        declared = declared_wires(statements)
        made: dict[str, list[int]] = {}
        for i, statement in enumerate(statements):
            for name in _defines(statement):
                made.setdefault(name, []).append(i)
        self.names = [names_of(statement) for statement in statements] if made else []
        self.reads: list[set[int]] = []
        for i, names in enumerate(self.names):
            found = {made[name][0] for name in names if name in made and name not in declared}
            for name in declared & (names | set(_defines(statements[i]))):
                found.update(j for j in made[name] if j < i)
            self.reads.append(found)
        self.made = made

    @property
    def reads_forward(self) -> bool:
        """Whether a statement reads what a later one defines, or an equation what it does."""
        return any(
            j > i or (j == i and self._is_equation(i))
            for i, found in enumerate(self.reads)
            for j in found
        )

    def has_many(self, place: int) -> bool:
        """Whether a statement is a block with several statements in it."""
        statement = self.statements[place]
        while isinstance(statement, tree.Block):
            if len(statement.body) != 1:
                return True
            (statement,) = statement.body
        return False

    def circles(self) -> list[tuple[int, ...]]:
        """The statements that read each other in a circle; a block's own reads are no circle."""
        edges = [sorted(found) for found in self.reads]
        return [
            members
            for members in _components(edges)
            if len(members) > 1 or any(i in edges[i] and self._is_equation(i) for i in members)
        ]

    def _is_equation(self, place: int) -> bool:
        statement = _unwrapped(self.statements[place])
        return not self.has_many(place) and isinstance(statement, (tree.Equation, tree.Return))


class _Order:
    """Puts the units of a level in the order of the text, as far as recurrences let them."""

    def __init__(
        self, level: _Level, circles: list[tuple[int, ...]], known: Callable[[str], bool]
    ) -> None:
        self._level = level
        self._known = known
        self._group = {i: members for members in circles for i in members}

    def units(self) -> tuple[Unit, ...]:
        """Each unit after those that it awaits; of several the first in the text comes first."""
        statements = self._level.statements
        firsts = [self._members(i)[0] for i in range(len(statements))]
        waiting = {first: self._awaited(first, firsts) for first in firsts}
        users: dict[int, list[int]] = {}
        for first, awaited in waiting.items():
            for other in awaited:
                users.setdefault(other, []).append(first)
        ready = [first for first, awaited in waiting.items() if not awaited]
        found: list[Unit] = []
        while waiting:
            first = heappop(ready) if ready else self._stuck(waiting, firsts)
            if waiting.pop(first, None) is None:
                continue
            found.append(self._unit(first))
            for user in users.get(first, ()):
                if user in waiting:
                    waiting[user].discard(first)
                    if not waiting[user]:
                        heappush(ready, user)
        return tuple(_merged(found))

    def _stuck(self, waiting: dict[int, set[int]], firsts: list[int]) -> int:
        """The first that awaits no definition, only what may name an axis before it does."""
        return min(
            (i for i in waiting if self._definitions(i, firsts).isdisjoint(waiting)),
            default=min(waiting),
        )

    def _members(self, place: int) -> tuple[int, ...]:
        return self._group.get(place, (place,))

    def _unit(self, first: int) -> Unit:
        statements = self._level.statements
        if first not in self._group:
            return Unit((statements[first],), False)
        return Unit(tuple(_unwrapped(statements[i]) for i in self._members(first)), True)

    def _awaited(self, first: int, firsts: list[int]) -> set[int]:
        """What must be checked before a unit: definitions above it, or above its end."""
        if first not in self._group and isinstance(self._level.statements[first], tree.Return):
            return set(firsts) - {first}
        found = self._definitions(first, firsts)
        if first not in self._group:
            found |= {firsts[j] for j in self._introducing(first)}
        return found - {first}

    def _definitions(self, first: int, firsts: list[int]) -> set[int]:
        """The units that define what a unit reads."""
        members = self._members(first)
        found = {j for i in members for j in self._level.reads[i] if j < members[-1]}
        return {firsts[j] for j in found} - {first}

    def _introducing(self, place: int) -> set[int]:
        """Statements above that may be the first to name an axis of this one."""
        level = self._level
        names = {n for n in level.names[place] if n not in level.made and not self._known(n)}
        return {j for j in range(place) if not names.isdisjoint(level.names[j])} if names else set()


def declared_wires(statements: Sequence[tree.Statement]) -> set[str]:
    """The wires that lines like `Y: [v d]` declare, in blocks too."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, tree.Declaration):
            found.add(statement.name.text)
        elif isinstance(statement, tree.Block):
            found |= declared_wires(statement.body)
    return found


def _defines(statement: tree.Statement) -> Iterator[str]:
    """The names that a statement gives a meaning, or a part of it."""
    match statement:
        case tree.Equation() | tree.Return():
            for target in statement.targets:
                if target.name.text != "_":
                    yield target.name.text
        case tree.Learn():
            yield from (name.text for name in statement.names)
        case tree.AxisStatement():
            yield from (item.name.text for item in statement.items)
        case tree.Declaration():
            yield statement.name.text
        case tree.Block():
            for inner in statement.body:
                if not isinstance(inner, tree.Return):
                    yield from _defines(inner)
        case tree.Assert():
            pass


# ---- names in a statement ---------------------------------------------------------------------


def names_of(statement: tree.Statement) -> set[str]:
    """Every name that a statement mentions without defining it."""
    match statement:
        case tree.Equation():
            return _names([statement.value, *_indices(statement.targets)])
        case tree.Return():
            return _names([*statement.values, *_indices(statement.targets)])
        case tree.Learn():
            init = [statement.init] if statement.init is not None else []
            return _names([statement.spec, *init])
        case tree.AxisStatement():
            return _names([item.size for item in statement.items if item.size is not None])
        case tree.Assert():
            return _names([statement.condition])
        case tree.Declaration():
            return _names([statement.type])
        case tree.Block():
            return {name for inner in statement.body for name in names_of(inner)}


def _indices(targets: Sequence[tree.Target]) -> Iterator[tree.Expr | tree.Pack]:
    for target in targets:
        if target.brackets is not None:
            for slot in target.brackets.slots:
                yield from slot.items


def _names(nodes: Sequence[tree.Expr | tree.Pack | tree.TypeExpr]) -> set[str]:
    found: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        match node:
            case tree.Name():
                found.add(node.text)
            case tree.Unary():
                stack.append(node.operand)
            case tree.Binary():
                stack += (node.left, node.right)
            case tree.SizeOf():
                stack.append(node.axis)
            case tree.Bracketed():
                stack.append(node.head)
                stack += _items(node.brackets)
            case tree.Call():
                stack.append(node.function)
                stack += node.arguments
            case tree.Group():
                stack.append(node.inner)
            case tree.TupleExpr() | tree.TupleTypeExpr():
                stack += node.items
            case tree.Composite():
                stack += node.names
            case tree.BlockExpr():
                stack.append(node.body)
            case tree.ArrayTypeExpr():
                stack += _items(node.axes)
                if node.bound is not None:
                    stack.append(node.bound)
            case tree.Number() | tree.String() | tree.Pack():
                pass
    return found


def _items(brackets: tree.Brackets) -> list[tree.Expr | tree.Pack]:
    slots = (*brackets.slots, *(brackets.arrow or ()))
    return [item for slot in slots for item in slot.items]


# ---- blocks -----------------------------------------------------------------------------------


def _taken_apart(
    statements: tuple[tree.Statement, ...], broken: set[int]
) -> tuple[tree.Statement, ...]:
    """The statements with some blocks replaced by one block for each statement in them."""
    parts: list[tree.Statement] = []
    for i, statement in enumerate(statements):
        parts += _pieces(statement) if i in broken else (statement,)
    return tuple(parts)


def _pieces(statement: tree.Statement) -> Iterator[tree.Statement]:
    if not isinstance(statement, tree.Block):
        yield statement
        return
    for inner in statement.body:
        for piece in _pieces(inner):
            yield tree.Block(statement.title, (piece,), statement.span)


def _unwrapped(statement: tree.Statement) -> tree.Statement:
    """The one statement in a block of one."""
    while isinstance(statement, tree.Block) and statement.body:
        statement = statement.body[0]
    return statement


def _merged(found: list[Unit]) -> Iterator[Unit]:
    """The units, neighbours that were one block being one block again."""
    run: list[tree.Statement] = []
    for unit in found:
        if unit.is_recurrence:
            yield from (Unit((statement,), False) for statement in _joined(run))
            yield unit
            run = []
        else:
            run += unit.statements
    yield from (Unit((statement,), False) for statement in _joined(run))


def _joined(statements: Sequence[tree.Statement]) -> list[tree.Statement]:
    joined: list[tree.Statement] = []
    for statement in statements:
        before = joined[-1] if joined else None
        if (
            isinstance(statement, tree.Block)
            and isinstance(before, tree.Block)
            and before.span is statement.span
        ):
            body = tuple(_joined((*before.body, *statement.body)))
            joined[-1] = tree.Block(before.title, body, before.span)
        else:
            joined.append(statement)
    return joined


# ---- strongly connected components ------------------------------------------------------------


def _components(edges: list[list[int]]) -> list[tuple[int, ...]]:
    """The strongly connected components, each in order (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[tuple[int, ...]] = []
    for root in range(len(edges)):
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
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
                    found.append(_popped(stack, on_stack, node))
            elif following not in order:
                order[following] = low[following] = len(order)
                stack.append(following)
                on_stack.add(following)
                work.append((following, iter(edges[following])))
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
