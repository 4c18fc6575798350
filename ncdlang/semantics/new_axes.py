"""Axes that first appear in an equation: their sizes follow from what they index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics.primitives import REDUCTIONS
from ncdlang.semantics.report import Reported, listed
from ncdlang.semantics.scope import Broken
from ncdlang.semantics.size import ONE, Size
from ncdlang.semantics.sizes import index_expression
from ncdlang.semantics.types import Axis, Wire
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


@record
class Use:
    """An index expression at an axis of a wire."""

    index: tree.Expr
    axis: Axis


def excuse_axes(body: Body, brackets: tree.Brackets, value: tree.Expr) -> None:
    """Axes that nothing defines are not to blame if a wire that could have them is mistaken."""
    nodes = walk_expression(value, into_brackets=False)
    if any(isinstance(node, tree.Name) and _is_lost(body, node.text) for node in nodes):
        for name in (name for slot in brackets.slots for i in slot.items for name in _names_in(i)):
            if body.scope.find(name.text) is None:
                body.scope.define(name.text, Broken("axis"), name.span)


def _is_lost(body: Body, name: str) -> bool:
    meaning = body.scope.find(name)
    known = name in body.later or name in ("inf", "pi")
    return isinstance(meaning, Broken) or (meaning is None and not known)


def introduce_axes(body: Body, value: tree.Expr, further: Sequence[Use] = ()) -> None:
    """Define the axes that first appear in an equation, with the sizes that their uses give.

    `further` are uses beside the right-hand side: indices on the left of a scatter.
    """
    nodes = tuple(walk_expression(value))
    names = (n.text for n in nodes if isinstance(n, tree.Name))
    if not further and all(body.scope.find(name) is not None for name in names):
        return
    uses = [*_uses(body, nodes), *further]
    names = _unknown_names(body, uses)
    if names:
        _introduce(body, names, uses)
    _break_blameless(body, nodes)


def _introduce(body: Body, names: list[tree.Name], uses: list[Use]) -> None:
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
    if names:
        _undetermined(body, names, uses)


def _break_blameless(body: Body, nodes: Sequence[tree.Expr]) -> None:
    """Axes that have no size because a read of theirs is mistaken are not to be reported."""
    mistaken = [n for n in nodes if isinstance(n, tree.Bracketed) and _is_mistaken(body, n)]
    heads = {node.head.text for node in mistaken if isinstance(node.head, tree.Name)}
    for node in mistaken:
        items = [item for slot in node.brackets.slots for item in slot.items]
        for name in (name for item in items for name in _names_in(item)):
            if name.text not in heads and body.scope.find(name.text) is None:
                body.scope.define(name.text, Broken("axis"), name.span)


def _is_mistaken(body: Body, read: tree.Bracketed) -> bool:
    """Whether a read is of no wire, or has too few or too many indices."""
    if not isinstance(read.head, tree.Name):
        return False
    meaning = body.scope.find(read.head.text)
    items = [item for slot in read.brackets.slots for item in slot.items]
    if isinstance(meaning, Wire):
        packed = any(isinstance(item, tree.Pack) for item in items)
        return not packed and len(items) != len(meaning.type.axes)
    return _is_lost(body, read.head.text)


def _uses(body: Body, nodes: Sequence[tree.Expr]) -> Iterator[Use]:
    for node in nodes:
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
                    yield Use(item, axis)


def _unknown_names(body: Body, uses: list[Use]) -> list[tree.Name]:
    found: dict[str, tree.Name] = {}
    for use in uses:
        for node in walk_expression(use.index, into_brackets=False):
            if isinstance(node, tree.Name) and body.scope.find(node.text) is None:
                found.setdefault(node.text, node)
    return list(found.values())


def _is_name(expr: tree.Expr, name: str) -> bool:
    return isinstance(expr, tree.Name) and expr.text == name


def _infer(body: Body, name: tree.Name, uses: list[Use]) -> bool:
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


def _define_inferred(body: Body, name: tree.Name, size: Size | None, uses: list[Use]) -> bool:
    from ncdlang.semantics.statements import require_size

    assert size is not None
    body.new_axis(name.text, size, name.span)
    notes = [
        f"index `{' '.join(use.index.span.text.split())}` stays inside axis `{use.axis}`, "
        f"which has size {body.shown(use.axis.size)}"
        for use in uses
    ]
    require_size(body, size, f"axis `{name.text}`", uses[0].index.span, notes)
    return True


def _undetermined(body: Body, names: list[tree.Name], uses: list[Use]) -> None:
    unknown = {name.text for name in names}
    use = next(use for use in uses if any(name.text in unknown for name in _names_in(use.index)))
    if not unknown.isdisjoint(body.told):
        raise Reported
    together = [name for name in names if name.text in {n.text for n in _names_in(use.index)}]
    body.fail(
        "NCD3003",
        f"the sizes of {listed(f'{name.text}' for name in together)} do not follow "
        f"from the index `{' '.join(use.index.span.text.split())}`",
        use.index.span,
        label="all but one of its axes must be known",
        help=f"declare one before this equation: `axis {together[-1].text} = ...`",
    )


def _not_inferred(body: Body, name: tree.Name, uses: list[Use]) -> None:
    body.fail(
        "NCD3003",
        f"the size of axis `{name.text}` does not follow from its indices",
        name.span,
        label="of what size?",
        labels=[Label(use.index.span, "another index") for use in uses[1:]],
        help=f"declare it before this equation: `axis {name.text} = ...`",
    )


def _names_in(expr: tree.Expr | tree.Pack) -> list[tree.Name]:
    return [
        node for node in walk_expression(expr, into_brackets=False) if isinstance(node, tree.Name)
    ]


def walk_expression(expr: tree.Expr | tree.Pack, into_brackets: bool = True) -> Iterator[tree.Expr]:
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
                if isinstance(node.head, tree.Call):
                    stack.append(node.head)
                stack += reversed([item for slot in node.brackets.slots for item in slot.items])
            case tree.BlockExpr():
                stack.append(node.body)
            case _:
                pass


def _reduces(function: tree.Bracketed) -> bool:
    return isinstance(function.head, tree.Name) and function.head.text in REDUCTIONS
