"""Expressions of equations: from the surface tree to typed values for each index.

The rules are those of the language reference, section 5: axes are matched by name; an axis that
is neither kept nor bound is contracted in the innermost product that holds it twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.records import record, replace
from ncdlang.semantics import kinds
from ncdlang.semantics.calls import call_value, elementwise_callee
from ncdlang.semantics.primitives import ELEMENTWISE, FUNCTIONS, INFIX, LOGICAL, REDUCTIONS
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Constant,
    Contract,
    Expression,
    IndexValue,
    Read,
    Select,
    SizeValue,
)
from ncdlang.semantics.reductions import Reductions, missing_axes
from ncdlang.semantics.report import Reported, counted, listed
from ncdlang.semantics.scope import Broken
from ncdlang.semantics.sizes import size_of
from ncdlang.semantics.types import FORMATS, INTEGER, REAL, Axis, Kind, Wire, plain_index
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

Guards = tuple[tuple[Expression, bool], ...]
BUILTIN_NUMBERS = {"inf": math.inf, "pi": math.pi}


@record
class Context:
    """Where an expression stands.

    `kept` are the axes of the left-hand side and of enclosing brackets, None where no axes are
    stated, so that nothing is contracted. `guards` are the conditions under which it is read.
    """

    kept: frozenset[Axis] | None
    order: tuple[Axis, ...] = ()
    guards: Guards = ()

    def keeping(self, axes: Iterable[Axis]) -> Context:
        """The same place inside a bracket that binds `axes`."""
        bound = frozenset(axes)
        kept = self.kept | bound if self.kept is not None else None
        return replace(self, kept=kept, guards=outside(self.guards, bound))

    def unstated(self) -> Context:
        """The same place with nothing contracted."""
        return Context(None, guards=self.guards)

    def under(self, condition: Expression, holds: bool) -> Context:
        """The same place inside a branch."""
        return replace(self, guards=(*self.guards, (condition, holds)))

    def union(self, expressions: Iterable[Expression]) -> tuple[Axis, ...]:
        """The free axes of several expressions: those of the left-hand side in its order first."""
        seen = dict.fromkeys(axis for e in expressions for axis in e.axes)
        first = [axis for axis in self.order if axis in seen]
        return (*first, *(axis for axis in seen if axis not in self.order))


def outside(guards: Guards, bound: Iterable[Axis]) -> Guards:
    """The guards that still say something where `bound` axes have got another meaning."""
    axes = frozenset(bound)
    return tuple(guard for guard in guards if axes.isdisjoint(guard[0].axes))


class Expressions:
    """Types the expressions of one diagram."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.reductions = Reductions(body, self)

    def check(self, expr: tree.Expr, context: Context) -> Expression:
        """The typed expression. Raises Reported after reporting every independent mistake in it."""
        match expr:
            case tree.Number():
                kind = INTEGER if isinstance(expr.value, int) else REAL
                return Constant(expr.value, kind)
            case tree.Group():
                return self.check(expr.inner, context)
            case tree.SizeOf():
                return SizeValue(size_of(self.body, expr), INTEGER)
            case tree.Name():
                value = self._name(expr)
                if context.kept is not None and isinstance(value, Read):
                    self._check_named(value, expr)
                return value
            case tree.Unary():
                return self._unary(expr, context)
            case tree.Binary() if expr.op in ("*", "/"):
                return self._product(expr, context)
            case tree.Binary() if expr.op in INFIX:
                operands = self._all([expr.left, expr.right], context)
                if expr.op in LOGICAL:
                    places = (expr.left.span, expr.right.span)
                    operands = kinds.truths(self.body, operands, places)
                return self.apply(INFIX[expr.op], operands, context, expr.span)
            case tree.Bracketed():
                return self._bracketed(expr, context)
            case tree.Call():
                return self._call(expr, context)
            case tree.Binary() | tree.BlockExpr():
                self.body.fail(
                    "NCD2012",
                    "a pipeline is a diagram, not an array",
                    expr.span,
                    label="needs arguments",
                    help=f"call it: `({shortened(expr.span.text)})(...)`",
                )
            case tree.Composite():
                self.body.fail(
                    "NCD2012",
                    f"the composite axis `{expr.span.text}` is no number",
                    expr.span,
                    label="an axis",
                )
            case tree.String():
                self.body.fail("NCD2012", "a text can't stand here", expr.span, label="a text")
            case tree.TupleExpr():
                self.body.fail(
                    "NCD2012",
                    "a tuple can't stand in an expression",
                    expr.span,
                    label="several wires",
                    help="name the wires one by one",
                )

    def _all(self, exprs: Iterable[tree.Expr], context: Context) -> list[Expression]:
        """Check several operands, all of them even if one has a mistake."""
        checked: list[Expression] = []
        failed = False
        for expr in exprs:
            try:
                checked.append(self.check(expr, context))
            except Reported:
                failed = True
        if failed:
            raise Reported
        return checked

    # ---- names and reads -----------------------------------------------------------------------

    def _name(self, name: tree.Name) -> Expression:
        if name.text in BUILTIN_NUMBERS and self.body.scope.find(name.text) is None:
            return Constant(BUILTIN_NUMBERS[name.text], REAL)
        meaning = self.body.look_up(name, "value")
        match meaning:
            case Wire():
                return self.read_whole(meaning, name.span)
            case Axis():
                if meaning.parts:
                    self.body.fail(
                        "NCD2012", f"`{name.text}` is composite", name.span, label="no single index"
                    )
                return IndexValue(meaning, INTEGER, (meaning,))
            case int():
                return Constant(meaning, INTEGER)
            case float():
                return Constant(meaning, REAL)
            case Broken():
                raise Reported
            case _:
                self.body.fail(
                    "NCD2012",
                    f"`{name.text}` is {self.body.describe(meaning)}, not an array",
                    name.span,
                    label="needs arguments",
                    help=f"call it: `{name.text}(...)`",
                )

    def _check_named(self, read: Read, name: tree.Name) -> None:
        """In an equation axes are matched by name, so derived ones have no place there."""
        derived = [axis.name for axis in read.axes if axis.derived]
        if derived:
            self.body.fail(
                "NCD2009",
                f"`{name.text}` has an axis without a name here",
                name.span,
                label=f"`{read.wire.type}`, where {', '.join(derived)} is only a size",
                labels=[Label(read.wire.span, "defined here")],
                help="name the axis on the left where it is defined, or index it by position: "
                f"`{name.text}[...]`",
            )

    def read_whole(self, wire: Wire, span: Span) -> Read:
        """A bare wire: the array with its own axes."""
        indices = tuple(plain_index(axis) for axis in wire.type.axes)
        return Read(wire, indices, wire.type.kind, wire.type.axes, span)

    def _bracketed(self, expr: tree.Bracketed, context: Context) -> Expression:
        head = expr.head
        if isinstance(head, tree.Name):
            if head.text in REDUCTIONS and self.body.scope.find(head.text) is None:
                self.body.fail(
                    "NCD4002",
                    f"`{expr.span.text}` needs its argument",
                    expr.span,
                    label="no argument",
                    help=f"write `{expr.span.text}(...)`",
                )
            wire = self.body.wire_at_head(expr)
            return self._read(expr, wire, context)
        if isinstance(head, tree.Call):
            wire = call_value(self.body, head)
            return self._read(expr, wire, context)
        self.body.fail(
            "NCD2012",
            "only a wire can be indexed",
            head.span,
            label="not a wire",
            help="name it by an equation of its own first",
        )

    def _read(self, expr: tree.Bracketed, wire: Wire, context: Context) -> Read:
        indices = self.body.read_indices(expr, wire, context.guards)
        axes = dict.fromkeys(axis for index in indices for axis in index.axes())
        read = Read(wire, indices, wire.type.kind, tuple(axes), expr.span)
        return replace(read, axes=context.union([read]))

    # ---- operators -----------------------------------------------------------------------------

    def apply(
        self, op: str, arguments: list[Expression], context: Context, span: Span
    ) -> Expression:
        """An elementwise primitive, with its arguments converted to one kind."""
        converted, kind = kinds.resolve(self.body, op, arguments, span)
        folded = kinds.fold(op, converted, kind)
        if folded is not None:
            return folded
        return Apply(op, tuple(converted), kind, context.union(converted), span)

    def _unary(self, expr: tree.Unary, context: Context) -> Expression:
        operand = self.check(expr.operand, context)
        if expr.op == "not":
            (operand,) = kinds.truths(self.body, [operand], (expr.operand.span,))
        return self.apply("neg" if expr.op == "-" else "not", [operand], context, expr.span)

    def _product(self, expr: tree.Binary, context: Context) -> Expression:
        """A product term: factors joined by `*` and `/`, parentheses round products included."""
        factors = _factors(expr, False)
        values = self._all([factor for factor, _ in factors], context)
        bound = self._repeated(values, context)
        if not bound:
            remaining = iter(values)
            return self._rebuild(expr, remaining, context)
        inside: list[Expression] = []
        outside: list[tuple[Expression, bool]] = []
        for value, (_, inverted) in zip(values, factors, strict=True):
            if bound.isdisjoint(value.axes):
                outside.append((value, inverted))
            elif inverted:
                inside.append(self.apply("div", [Constant(1.0, REAL), value], context, expr.span))
            else:
                inside.append(value)
        inside, kind = kinds.numbers(self.body, inside, expr.span)
        axes = tuple(axis for axis in context.union(inside) if axis not in bound)
        ordered = tuple(axis for axis in context.union(inside) if axis in bound)
        result: Expression = Contract(ordered, tuple(inside), kind, axes, expr.span)
        for value, inverted in outside:
            operands = [result, value]
            result = self.apply("div" if inverted else "mul", operands, context, expr.span)
        return result

    def _repeated(self, values: list[Expression], context: Context) -> frozenset[Axis]:
        """The axes that this product contracts: not kept, and in two or more factors."""
        if context.kept is None:
            return frozenset()
        counts: dict[Axis, int] = {}
        for value in values:
            for axis in value.axes:
                counts[axis] = counts.get(axis, 0) + 1
        return frozenset(a for a, n in counts.items() if n > 1 and a not in context.kept)

    def _rebuild(
        self, expr: tree.Expr, values: Iterable[Expression], context: Context
    ) -> Expression:
        """The product as it was written, when nothing is contracted in it."""
        iterator = iter(values)

        def build(node: tree.Expr) -> Expression:
            if isinstance(node, tree.Binary) and node.op in ("*", "/"):
                left, right = build(node.left), build(node.right)
                return self.apply(INFIX[node.op], [left, right], context, node.span)
            if isinstance(node, tree.Group) and _is_product(node.inner):
                return build(node.inner)
            return next(iterator)

        return build(expr)

    # ---- calls ---------------------------------------------------------------------------------

    def _call(self, expr: tree.Call, context: Context) -> Expression:
        function = expr.function
        if isinstance(function, tree.Name) and self.body.scope.find(function.text) is None:
            if function.text == "where":
                return self._where(expr, context)
            if function.text in FUNCTIONS:
                return self._function(expr, function, context)
            if function.text in REDUCTIONS:
                missing_axes(self.body, function)
        if isinstance(function, tree.Bracketed) and isinstance(function.head, tree.Name):
            head = function.head
            if head.text in REDUCTIONS and self.body.scope.find(head.text) is None:
                return self.reductions.call(expr, function, head, context)
            if head.text == "cast" and self.body.scope.find("cast") is None:
                if len(expr.arguments) != 1:
                    self.wrong_count(expr.span, len(expr.arguments), "cast", 1)
                value = self.check(expr.arguments[0], context)
                return self.cast(function, value, context, expr.span)
        if elementwise_callee(self.body, function) is not None:
            values = self._all(expr.arguments, context)
            places = [argument.span for argument in expr.arguments]
            return self.apply_elementwise(function, values, context, expr.span, places)
        wire = call_value(self.body, expr)
        unnamed = [axis for axis in wire.type.axes if axis.derived]
        if unnamed and context.kept is not None:
            self._unnamed(expr, wire)
        return self.read_whole(wire, expr.span)

    def apply_elementwise(
        self,
        function: tree.Expr,
        arguments: list[Expression],
        context: Context,
        span: Span,
        places: Sequence[Span],
    ) -> Expression:
        """An elementwise diagram (`gelu`) on values that stand at `places`. Raises Reported."""
        callee = elementwise_callee(self.body, function)
        assert callee is not None
        if len(arguments) != len(callee.parameters):
            self.wrong_count(span, len(arguments), callee.name, len(callee.parameters))
        converted = [
            kinds.to_kind(self.body, argument, wire.type.kind, place)
            for argument, wire, place in zip(arguments, callee.parameters, places, strict=True)
        ]
        kind = callee.results[0].type.kind
        return ApplyDiagram(callee, tuple(converted), kind, context.union(converted), span)

    def cast(
        self, function: tree.Bracketed, value: Expression, context: Context, span: Span
    ) -> Expression:
        """`cast[bf16]` of a value. Raises Reported."""
        slots = function.brackets.slots
        word = slots[0].items[0] if len(slots) == 1 and len(slots[0].items) == 1 else None
        if not isinstance(word, tree.Name) or word.text not in FORMATS:
            self.body.fail(
                "NCD4002",
                "`cast` takes the format to change to",
                function.brackets.span,
                label="not a number format",
                help=f"it is one of {listed(FORMATS, 'or')}",
            )
        real = kinds.to_real(self.body, value, span)
        axes = context.union([real])
        return Apply("cast", (real,), Kind("real", word.text), axes, span)

    def _unnamed(self, expr: tree.Call, wire: Wire) -> None:
        names = ", ".join(axis.name for axis in wire.type.axes if axis.derived)
        self.body.fail(
            "NCD2009",
            f"a result of `{expr.function.span.text}` has an axis without a name here",
            expr.span,
            label=f"`{wire.type}`, where {names} is only a size",
            help="name it by an equation of its own first: "
            f"`Y[{' '.join(str(a) for a in wire.type.axes)}] = {shortened(expr.span.text)}`",
        )

    def wrong_count(self, span: Span, given: int, name: str, wanted: int) -> NoReturn:
        """Report a call with too few or too many arguments. Raises Reported."""
        self.body.fail(
            "NCD4001",
            f"`{name}` takes {counted(wanted, 'argument')}, but {given} "
            f"{'is' if given == 1 else 'are'} given",
            span,
            label=counted(given, "argument"),
        )

    def _where(self, expr: tree.Call, context: Context) -> Expression:
        if len(expr.arguments) != 3:
            self.wrong_count(expr.span, len(expr.arguments), "where", 3)
        condition_expr, then_expr, otherwise_expr = expr.arguments
        condition = self.check(condition_expr, context)
        if condition.kind.name != "boolean":
            self.body.fail(
                "NCD2011",
                f"the condition of `where` holds {kinds.plural(condition.kind)}",
                condition_expr.span,
                label="not a condition",
                help="compare it: `x > 0`",
            )
        branches: list[Expression] = []
        for branch, holds in ((then_expr, True), (otherwise_expr, False)):
            try:
                branches.append(self.check(branch, context.under(condition, holds)))
            except Reported:
                continue
        if len(branches) < 2:
            raise Reported
        (then, otherwise), kind = kinds.unify(self.body, branches, expr.span)
        axes = context.union([condition, then, otherwise])
        return Select(condition, then, otherwise, kind, axes, expr.span)

    def _function(self, expr: tree.Call, name: tree.Name, context: Context) -> Expression:
        wanted = ELEMENTWISE[name.text]
        if name.text in ("max", "min") and len(expr.arguments) == 1:
            self.body.fail(
                "NCD4002",
                f"`{name.text}` of one argument needs the axes that it reduces",
                name.span,
                label="over which axis?",
                help=f"write `{name.text}[x](...)` to reduce the axis x",
            )
        if len(expr.arguments) != wanted:
            self.wrong_count(expr.span, len(expr.arguments), name.text, wanted)
        return self.apply(name.text, self._all(expr.arguments, context), context, expr.span)


def _is_product(expr: tree.Expr) -> bool:
    while isinstance(expr, tree.Group):
        expr = expr.inner
    return isinstance(expr, tree.Binary) and expr.op in ("*", "/")


def _factors(expr: tree.Expr, inverted: bool) -> list[tuple[tree.Expr, bool]]:
    """The factors of a product in order, each with whether it divides."""
    if isinstance(expr, tree.Binary) and expr.op in ("*", "/"):
        right_inverted = inverted != (expr.op == "/")
        return [*_factors(expr.left, inverted), *_factors(expr.right, right_inverted)]
    if isinstance(expr, tree.Group) and _is_product(expr):
        return _factors(expr.inner, inverted)
    return [(expr, inverted)]


def shortened(text: str) -> str:
    """A piece of the program on one line, cut short for a message."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
