"""What wires of a recurrence hold, found before their equations are typed.

Each equation of a circle needs the kinds of the others. What an equation holds shows without
them: its other reads, its numbers and its operators give it a kind, and so do those of the
equations that it reads from. The typed equation is then compared with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ncdlang.semantics.primitives import COMPARISONS, INFIX, LOGICAL, REDUCTIONS
from ncdlang.semantics.scope import DiagramRef
from ncdlang.semantics.types import BOOLEAN, COMPLEX, INTEGER, REAL, Kind, Wire
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

# A name stands for the kind of the wire of the circle that it names.
Clue = Kind | str

_KEEPING = frozenset({"abs", "sign", "max", "min", "floor", "ceil", "round"})
_KEEPING_REDUCTIONS = frozenset({"sum", "prod", "max", "min"})
_RESULTS = {"N": Kind("natural"), "B": BOOLEAN, "C": COMPLEX}


def early_kinds(body: Body, equations: Sequence[tree.Equation]) -> dict[str, Kind]:
    """The kind of each wire of a circle by its name, as far as it shows."""
    circle = frozenset(target.name.text for e in equations for target in e.targets)
    clues: dict[str, set[Clue]] = {}
    for equation in equations:
        for position, target in enumerate(equation.targets):
            clues[target.name.text] = set(_clues(body, equation.value, circle, position))
    found: dict[str, Kind] = {}
    for name in clues:
        reached, pending = {name}, [name]
        gathered: set[Kind] = set()
        while pending:
            for clue in clues[pending.pop()]:
                if isinstance(clue, Kind):
                    gathered.add(clue)
                elif clue not in reached:
                    reached.add(clue)
                    pending.append(clue)
        found[name] = _joint(gathered)
    return found


def _joint(found: Iterable[Kind]) -> Kind:
    """The kind in which values of these kinds meet."""
    kinds = {kind.name: kind for kind in found}
    for name in ("complex", "real", "natural", "boolean"):
        if name in kinds:
            return Kind(name)
    return INTEGER


def _clues(
    body: Body, expr: tree.Expr, circle: frozenset[str], position: int = 0
) -> Iterator[Clue]:
    """What shows of the kind of an expression; `position` counts the results of a call."""
    match expr:
        case tree.Number():
            yield INTEGER if isinstance(expr.value, int) else REAL
        case tree.Name():
            yield from _named(body, expr.text, circle)
        case tree.Bracketed():
            yield from _clues(body, expr.head, circle)
        case tree.Group():
            yield from _clues(body, expr.inner, circle, position)
        case tree.Unary():
            if expr.op == "not":
                yield BOOLEAN
            else:
                yield from _clues(body, expr.operand, circle)
        case tree.Binary():
            yield from _operated(body, expr, circle)
        case tree.Call():
            yield from _called(body, expr, circle, position)
        case _:
            yield INTEGER


def _named(body: Body, name: str, circle: frozenset[str]) -> Iterator[Clue]:
    if name in circle:
        yield name
        return
    meaning = body.scope.find(name)
    if isinstance(meaning, Wire):
        yield meaning.type.kind
    elif isinstance(meaning, float) or (meaning is None and name in ("inf", "pi")):
        yield REAL


def _operated(body: Body, expr: tree.Binary, circle: frozenset[str]) -> Iterator[Clue]:
    op = INFIX.get(expr.op)
    if op in COMPARISONS or op in LOGICAL:
        yield BOOLEAN
        return
    if op in ("div", "pow"):
        yield REAL
    yield from _clues(body, expr.left, circle)
    yield from _clues(body, expr.right, circle)


def _called(body: Body, expr: tree.Call, circle: frozenset[str], position: int) -> Iterator[Clue]:
    function = expr.function
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        yield REAL
        return
    meaning = body.scope.find(head.text)
    if isinstance(meaning, DiagramRef):
        yield _declared(meaning, position)
        return
    reduces = isinstance(function, tree.Bracketed) and head.text in REDUCTIONS
    arguments = expr.arguments[1:] if head.text == "where" else expr.arguments
    if reduces and head.text in ("any", "all"):
        yield BOOLEAN
    elif reduces and head.text in ("argmax", "argmin"):
        yield Kind("natural")
    elif head.text == "where" or head.text in (_KEEPING_REDUCTIONS if reduces else _KEEPING):
        found = (clue for argument in arguments for clue in _clues(body, argument, circle))
        yield from (REAL if head.text == "abs" and clue == COMPLEX else clue for clue in found)
    else:
        yield REAL
        if head.text in ("exp", "mean"):
            found = (clue for argument in arguments for clue in _clues(body, argument, circle))
            yield from (clue for clue in found if clue == COMPLEX or isinstance(clue, str))


def _declared(ref: DiagramRef, position: int) -> Kind:
    """What a result of a diagram holds."""
    results = list(_arrays(ref.declaration.result))
    word = results[position].format if position < len(results) else None
    return _RESULTS.get(word.text, REAL) if word is not None else REAL


def _arrays(expr: tree.TypeExpr) -> Iterator[tree.ArrayTypeExpr]:
    if isinstance(expr, tree.TupleTypeExpr):
        for item in expr.items:
            yield from _arrays(item)
    else:
        yield expr
