"""Pipelines: expressions whose value is a diagram, applied to wires stage by stage.

`f >> g` composes, `f | g` stands side by side, `f^n` makes copies, `f + g` feeds both the same
inputs and combines their results. Wires that a stage does not take pass by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.semantics import stages
from ncdlang.semantics.calls import (
    check_no_brackets,
    emit_unnamed,
    plan_on_wires,
    resolve_callee,
)
from ncdlang.semantics.expressions import Context
from ncdlang.semantics.matching import LearnedUse
from ncdlang.semantics.primitives import ELEMENTWISE, FUNCTIONS, INFIX, REDUCTIONS
from ncdlang.semantics.program import Define, Expression
from ncdlang.semantics.reductions import missing_axes
from ncdlang.semantics.report import Reported, counted
from ncdlang.semantics.scope import Broken, DiagramRef, LearnedPipeline
from ncdlang.semantics.types import ArrayType, Axis, Wire
from ncdlang.semantics.unstated import in_order_of_first
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Wires = tuple[Wire, ...]
MAX_COPIES = 1000
MAX_COPIES_IN_ALL = 10_000


class Pipeline:
    """Applies pipelines in one body."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._own_names: dict[Wire, dict[str, Axis]] = {}

    def own_names(self, wire: Wire) -> dict[str, Axis]:
        """Axes of a stage's result by the names that the stage's own type gives them."""
        return self._own_names.get(wire, {})

    def run(self, expr: tree.Expr, wires: Wires, span: Span) -> Wires:
        """The results for exactly these inputs. Raises Reported."""
        wanted, _ = self.arity(expr)
        if wanted != len(wires):
            self.body.fail(
                "NCD4001",
                f"this pipeline takes {counted(wanted, 'wire')}, but {len(wires)} "
                f"{'is' if len(wires) == 1 else 'are'} given",
                span,
                label=counted(len(wires), "wire"),
            )
        return self.apply(expr, wires)

    # ---- how many wires ------------------------------------------------------------------------

    def arity(self, expr: tree.Expr) -> tuple[int, int]:
        """How many wires a pipeline takes and gives. Raises Reported."""
        match expr:
            case tree.Group():
                return self.arity(expr.inner)
            case tree.BlockExpr():
                return self.arity(expr.body)
            case tree.Binary() if expr.op == ">>":
                takes, gives = self.arity(expr.left)
                next_takes, next_gives = self.arity(expr.right)
                more = max(0, next_takes - gives)
                return takes + more, next_gives + max(0, gives - next_takes)
            case tree.Binary() if expr.op == "|":
                left, right = self.arity(expr.left), self.arity(expr.right)
                return left[0] + right[0], left[1] + right[1]
            case tree.Binary() if expr.op == "^":
                return self.arity(expr.left)
            case tree.Binary() if expr.op in ("+", "-", "*", "/"):
                return self._joint_arity(expr)
            case _:
                return self._stage_arity(expr)

    def _joint_arity(self, expr: tree.Binary) -> tuple[int, int]:
        left, right = self.arity(expr.left), self.arity(expr.right)
        if left[1] != right[1]:
            self.body.fail(
                "NCD4001",
                f"`{expr.op}` combines the results of both sides, and there are "
                f"{left[1]} and {right[1]}",
                expr.span,
                label="not as many on both sides",
            )
        return max(left[0], right[0]), left[1]

    def _stage_arity(self, expr: tree.Expr) -> tuple[int, int]:
        head = expr.head if isinstance(expr, tree.Bracketed) else expr
        if not isinstance(head, tree.Name):
            self.body.fail(
                "NCD2012",
                f"`{expr.span.text}` is no diagram",
                expr.span,
                label="can't be a stage of a pipeline",
            )
        meaning = self.body.scope.find(head.text)
        if meaning is None:
            built_in = stages.arity(self.body, head, expr)
            if built_in is not None:
                return built_in
            if head.text in (*REDUCTIONS, "cast") and isinstance(expr, tree.Bracketed):
                return 1, 1
            if head.text in FUNCTIONS:
                check_no_brackets(self.body, head, expr)
                return ELEMENTWISE[head.text], 1
            if head.text in REDUCTIONS:
                missing_axes(self.body, head)
        match self.body.look_up(head, "diagram"):
            case LearnedPipeline() as learned:
                return self.arity(learned.spec)
            case LearnedUse() as use:
                callee = use.opened.callee
                return len(callee.parameters), len(callee.results)
            case DiagramRef() as ref:
                return _declared_arity(ref.declaration)
            case Broken():
                raise Reported
            case other:
                self.body.fail(
                    "NCD2012",
                    f"`{head.text}` is {self.body.describe(other)}, not a diagram",
                    head.span,
                    label="can't be a stage of a pipeline",
                )

    # ---- application ---------------------------------------------------------------------------

    def apply(self, expr: tree.Expr, wires: Wires) -> Wires:
        """The results of a pipeline; inputs beyond those it takes pass by after its results."""
        takes, _ = self.arity(expr)
        if len(wires) < takes:
            self.body.fail(
                "NCD4001",
                f"`{_short(expr)}` takes {counted(takes, 'wire')}, "
                f"but {len(wires)} {'arrives' if len(wires) == 1 else 'arrive'} here",
                expr.span,
                label=counted(len(wires), "wire"),
            )
        return (*self._apply(expr, wires[:takes]), *wires[takes:])

    def _apply(self, expr: tree.Expr, wires: Wires) -> Wires:
        match expr:
            case tree.Group():
                return self.apply(expr.inner, wires)
            case tree.BlockExpr():
                self.body.open_block(expr.title.value, expr.span)
                try:
                    return self.apply(expr.body, wires)
                finally:
                    self.body.close_block()
            case tree.Binary() if expr.op == ">>":
                takes, _ = self.arity(expr.left)
                middle = (*self.apply(expr.left, wires[:takes]), *wires[takes:])
                return self.apply(expr.right, middle)
            case tree.Binary() if expr.op == "|":
                takes, _ = self.arity(expr.left)
                return (
                    *self.apply(expr.left, wires[:takes]),
                    *self.apply(expr.right, wires[takes:]),
                )
            case tree.Binary() if expr.op == "^":
                return self._power(expr, wires)
            case tree.Binary() if expr.op in ("+", "-", "*", "/"):
                return self._combine(expr, wires)
            case _:
                return self._stage(expr, wires)

    def _power(self, expr: tree.Binary, wires: Wires) -> Wires:
        number = self.body.number(expr.right)
        if not isinstance(number, int) or not 0 <= number <= MAX_COPIES:
            self.body.fail(
                "NCD3004",
                f"the exponent of `^` is a whole number from 0 to {MAX_COPIES}",
                expr.right.span,
                label=f"{number}",
            )
        takes, gives = self.arity(expr.left)
        if gives > takes:
            self.body.fail(
                "NCD4001",
                f"`{_short(expr.left)}` gives more wires than it takes, so it can't be repeated",
                expr.span,
                label=f"takes {takes}, gives {gives}",
            )
        outer = self.body.copies_in_all
        if outer * number > MAX_COPIES_IN_ALL:
            self.body.fail(
                "NCD3004",
                f"{outer * number} copies in all are more than {MAX_COPIES_IN_ALL}",
                expr.right.span,
                label=f"{number} copies, {outer} times" if outer > 1 else f"{number} copies",
            )
        current, extra = wires[:gives], wires[gives:]
        self.body.copies_in_all = outer * max(number, 1)
        for i in range(number):
            self.body.copies.append((i, number))
            try:
                current = self.apply(expr.left, (*current, *extra))
            finally:
                self.body.copies.pop()
        self.body.copies_in_all = outer
        return current

    def _combine(self, expr: tree.Binary, wires: Wires) -> Wires:
        left_takes, _ = self.arity(expr.left)
        right_takes, _ = self.arity(expr.right)
        left = self.apply(expr.left, wires[:left_takes])
        right = self.apply(expr.right, wires[:right_takes])
        return tuple(self._combined(expr, a, b) for a, b in zip(left, right, strict=True))

    def _combined(self, expr: tree.Binary, left: Wire, right: Wire) -> Wire:
        """Axes of the two results align in order; the names are the left one's."""
        body = self.body
        if len(left.type.axes) != len(right.type.axes):
            body.fail(
                "NCD4003",
                f"`{expr.op}` combines `{left.type}` with `{right.type}`",
                expr.span,
                label="not the same number of axes",
            )
        if left.type.axes != right.type.axes:
            for a, b in zip(left.type.axes, right.type.axes, strict=True):
                if a is not b:
                    reason = f"axis `{b}` on the right of `{expr.op}` meets axis `{a}` on the left"
                    body.equate(a.size, b.size, reason, expr.span, f"axis `{a}`")
            right = body.renamed(right, left.type.axes, expr.span)
        reads: list[Expression] = [
            body.expressions.read_whole(left, expr.left.span),
            body.expressions.read_whole(right, expr.right.span),
        ]
        context = Context(None, left.type.axes)
        value = body.expressions.apply(INFIX[expr.op], reads, context, expr.span)
        return self._defined(value, expr.span)

    def _defined(self, value: Expression, span: Span) -> Wire:
        wire = Wire(self.body.fresh_name(), ArrayType(value.axes, value.kind), span)
        self.body.add(Define(wire, value, span))
        return wire

    def _stage(self, expr: tree.Expr, wires: Wires) -> Wires:
        """One diagram, operator or built-in stage, on exactly the wires that it takes.

        Its brackets may name the axes that arrive, by the names that the stage before gives them
        or by those that they have here.
        """
        arriving = {a.name: a for w in wires for a in w.type.axes if not a.derived and not a.parts}
        for wire in wires:
            arriving |= self.own_names(wire)
        hidden = {name: self.body.scope.local(name) for name in arriving}
        for name, axis in arriving.items():
            if self.body.scope.find(name) is not axis:
                self.body.scope.define(name, axis, None)
        try:
            return self._named_stage(expr, wires)
        finally:
            for name, entry in hidden.items():
                self.body.scope.restore(name, entry)

    def _named_stage(self, expr: tree.Expr, wires: Wires) -> Wires:
        body = self.body
        head = expr.head if isinstance(expr, tree.Bracketed) else expr
        assert isinstance(head, tree.Name)
        meaning = body.scope.find(head.text)
        if meaning is None:
            built_in = stages.apply(body, head, expr, wires)
            if built_in is not None:
                return built_in
            return (self._operator(head, expr, wires),)
        if isinstance(meaning, DiagramRef) and meaning.is_scalar and expr is head:
            return self._call_by_reads(expr, wires)
        if isinstance(meaning, LearnedPipeline):
            return self._learned(meaning, wires)
        opened, use = resolve_callee(body, expr, expr.span)
        arguments = [(wire, expr.span) for wire in wires]
        plan = plan_on_wires(body, opened, use, arguments, expr.span, expr.span)
        made = emit_unnamed(body, plan)
        for wire, result in zip(made, plan.results, strict=True):
            self._own_names[wire] = {
                own.name: axis
                for axis, own in zip(result.axes, result.weave, strict=True)
                if own is not None and own not in opened.explicit and not axis.parts
            }
        return made

    def _learned(self, learned: LearnedPipeline, wires: Wires) -> Wires:
        """A learned pipeline: its instances are made once and shared by all its uses."""
        body = self.body
        outer = body.within, body.copies
        # Copies of a use are no copies of its instances.
        body.within, body.copies = learned, []
        try:
            return self.apply(learned.spec, wires)
        finally:
            body.within, body.copies = outer

    def _operator(self, head: tree.Name, expr: tree.Expr, wires: Wires) -> Wire:
        """A primitive function or a reduction."""
        body = self.body
        reads: list[Expression] = [body.expressions.read_whole(wire, expr.span) for wire in wires]
        if head.text == "cast":
            assert isinstance(expr, tree.Bracketed)
            context = Context(None, wires[0].type.axes)
            value = body.expressions.cast(expr, reads[0], context, expr.span)
        elif isinstance(expr, tree.Bracketed):
            value = body.expressions.reductions.reduce_value(expr, head, reads[0])
        else:
            context = Context(None, wires[0].type.axes)
            value = body.expressions.apply(head.text, reads, context, expr.span)
        return self._defined(in_order_of_first(body, value, expr), expr.span)

    def _call_by_reads(self, expr: tree.Expr, wires: Wires) -> Wires:
        """An elementwise diagram on whole wires."""
        body = self.body
        reads: list[Expression] = [body.expressions.read_whole(wire, expr.span) for wire in wires]
        context = Context(None, wires[0].type.axes)
        places = [expr.span] * len(reads)
        value = body.expressions.apply_elementwise(expr, reads, context, expr.span, places)
        return (self._defined(in_order_of_first(body, value, expr), expr.span),)


def _declared_arity(declaration: tree.Diagram) -> tuple[int, int]:
    return len(declaration.parameters), _arrays(declaration.result)


def _arrays(expr: tree.TypeExpr) -> int:
    if isinstance(expr, tree.TupleTypeExpr):
        return sum(_arrays(item) for item in expr.items)
    return 1


def _short(expr: tree.Expr) -> str:
    text = " ".join(expr.span.text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."
