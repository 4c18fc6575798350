"""The order in which the diagrams of a file are checked: what is called before what calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ncdlang.semantics.new_axes import walk_expression
from ncdlang.syntax import tree


def named(diagram: tree.Diagram) -> tuple[str, ...]:
    """The names that a diagram has in its expressions, in order."""
    return tuple(dict.fromkeys(name for expr in _expressions(diagram) for name in _names(expr)))


def callees_first(
    diagrams: Iterable[tree.Diagram],
    named: Callable[[tree.Diagram], tuple[str, ...]] = named,
) -> tuple[tree.Diagram, ...]:
    """The diagrams, each after those that it calls; in the given order where that says nothing.

    Diagrams are checked when a call needs them. In this order none waits for another, so that a
    long chain of calls needs no deep recursion. In a circle one comes before what it calls.
    """
    by_name = {diagram.name.text: diagram for diagram in diagrams}
    done: dict[str, tree.Diagram] = {}
    opened: set[str] = set()
    for name in by_name:
        stack = [(name, iter(named(by_name[name])))]
        while stack:
            current, callees = stack[-1]
            opened.add(current)
            unopened = (callee for callee in callees if callee in by_name and callee not in opened)
            waiting = next(unopened, None)
            if waiting is not None:
                stack.append((waiting, iter(named(by_name[waiting]))))
            else:
                done.setdefault(current, by_name[current])
                stack.pop()
    return tuple(done.values())


def _expressions(diagram: tree.Diagram) -> Iterator[tree.Expr]:
    if diagram.pipeline is not None:
        yield diagram.pipeline
    pending = list(diagram.body or ())
    while pending:
        match pending.pop():
            case tree.Equation() as equation:
                yield equation.value
            case tree.Return() as returned:
                yield from returned.values
            case tree.Learn() as learn:
                if not isinstance(learn.spec, (tree.ArrayTypeExpr, tree.TupleTypeExpr)):
                    yield learn.spec
            case tree.Block() as block:
                pending += block.body
            case _:
                pass


def _names(expr: tree.Expr) -> Iterator[str]:
    for node in walk_expression(expr):
        match node:
            case tree.Name():
                yield node.text
            case tree.Call(function=function):
                yield from _names(function)
            case tree.Bracketed(head=tree.Name() as head):
                yield head.text
            case tree.Bracketed(head=head):
                yield from _names(head)
            case _:
                pass
