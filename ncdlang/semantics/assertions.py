"""`assert`: relations between sizes, in a body or of a file's axes, and symmetries of diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeGuard

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics.constraints import Constraints, Relation
from ncdlang.semantics.proofs import Symmetry
from ncdlang.semantics.report import Reporter
from ncdlang.semantics.size import Size
from ncdlang.semantics.sizes import size_expression
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.module import ModuleChecker

RELATIONS: dict[str, Relation] = {
    "==": "==",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}


@record
class Assertion:
    """A relation between the sizes of axes at file level, and the place that states it."""

    left: Size
    relation: Relation
    right: Size
    written: str
    span: Span


def assert_in_body(body: Body, condition: tree.Expr) -> None:
    """State what holds of a diagram's sizes: proved, refuted, or checked at run time."""
    for part in _conjuncts(condition):
        if _is_symmetry(part):
            body.module.is_unrepeatable()
            body.module.symmetries[part.span] = Symmetry(part, body.scope)
            continue
        if not (isinstance(part, tree.Binary) and part.op in RELATIONS):
            _no_relation(body, part)
            continue
        left = size_expression(body, part.left)
        right = size_expression(body, part.right)
        written = " ".join(part.span.text.split())
        _require(body, Assertion(left, RELATIONS[part.op], right, written, part.span))


def assert_in_file(module: ModuleChecker, condition: tree.Expr) -> Iterator[Assertion]:
    """What a file states of the sizes of its axes; every diagram over them starts from it."""
    for part in _conjuncts(condition):
        if _is_symmetry(part):
            module.symmetries[part.span] = Symmetry(part, module.scope)
            continue
        if not (isinstance(part, tree.Binary) and part.op in RELATIONS):
            _no_relation(module, part)
            continue
        left, right = module.size(part.left), module.size(part.right)
        relation = RELATIONS[part.op]
        if Constraints().decide(left, relation, right) is False:
            module.fail(
                "NCD3001" if relation == "==" else "NCD3005",
                "this assertion does not hold",
                part.span,
                label=f"needs {left} {relation} {right}",
            )
        yield Assertion(left, relation, right, " ".join(part.span.text.split()), part.span)


def take_over(body: Body) -> None:
    """Start from the file's assertions about axes whose sizes the diagram can read."""
    known = set(body.unknowns())
    for assertion in body.module.assertions:
        symbols = assertion.left.symbols() | assertion.right.symbols()
        if symbols and symbols <= known:
            _require(body, assertion)


def _conjuncts(condition: tree.Expr) -> Iterator[tree.Expr]:
    if isinstance(condition, tree.Group):
        yield from _conjuncts(condition.inner)
    elif isinstance(condition, tree.Binary) and condition.op == "and":
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _require(body: Body, asserted: Assertion) -> None:
    left, right, relation = asserted.left, asserted.right, asserted.relation
    reason = f"asserted: {asserted.written}"
    if not body.constraints.require(left, relation, right, reason, asserted.span):
        known = body.constraints.related(left - right)
        labels = [Label(r.span, "this is known") for r in known]
        told = "this assertion does not hold"
        body.fail_relation(left, relation, right, asserted.span, told, labels, asserted.written)


def _no_relation(reporter: Reporter, condition: tree.Expr) -> None:
    reporter.fail(
        "NCD3004",
        "only comparisons of sizes and symmetries can be asserted",
        condition.span,
        label="neither",
        help="`assert size(m) % size(h) == 0`, `assert equivariant[x](f)`",
    )


def _is_symmetry(condition: tree.Expr) -> TypeGuard[tree.Call]:
    """`equivariant[x](f)` or `invariant[x](f)`."""
    function = condition.function if isinstance(condition, tree.Call) else None
    head = function.head if isinstance(function, tree.Bracketed) else None
    return isinstance(head, tree.Name) and head.text in ("equivariant", "invariant")
