"""Reductions: `sum[x](...)`, `max`, `argmax` and their like bind axes and remove them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.semantics import kinds, remedies
from ncdlang.semantics.new_axes import excuse_axes
from ncdlang.semantics.primitives import REDUCTIONS
from ncdlang.semantics.program import Expression, Reduce
from ncdlang.semantics.report import Reported, has_axes
from ncdlang.semantics.scope import closest
from ncdlang.semantics.size import constant
from ncdlang.semantics.types import Axis
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.expressions import Context, Expressions


def missing_axes(body: Body, name: tree.Name) -> NoReturn:
    """Report a reduction without its axes. Raises Reported."""
    body.fail(
        "NCD4002",
        f"`{name.text}` needs the axes that it reduces",
        name.span,
        label="over which axis?",
        help=f"write `{name.text}[x]` to reduce the axis x",
    )


class Reductions:
    """Types the reductions of one diagram."""

    def __init__(self, body: Body, expressions: Expressions) -> None:
        self.body = body
        self.expressions = expressions

    def call(
        self, expr: tree.Call, function: tree.Bracketed, head: tree.Name, context: Context
    ) -> Expression:
        """`sum[x](...)`. Raises Reported."""
        if len(expr.arguments) != 1:
            self.expressions.wrong_count(expr.span, len(expr.arguments), head.text, 1)
        excuse_axes(self.body, function.brackets, expr.arguments[0])
        try:
            bound, initial = self._reduced_axes(function, head.text)
        except Reported:
            self.expressions.check(expr.arguments[0], context.unstated())
            raise
        body = self.expressions.check(expr.arguments[0], context.keeping(bound))
        return self._reduced(head, bound, initial, body, expr.arguments[0].span, expr.span)

    def reduce_value(
        self, function: tree.Bracketed, head: tree.Name, value: Expression
    ) -> Expression:
        """The reduction that `head[...]` denotes, of a value. Raises Reported."""
        bound, initial = self._reduced_axes(function, head.text)
        return self._reduced(head, bound, initial, value, function.span, function.span)

    def sum_over(self, value: Expression, bound: tuple[Axis, ...], span: Span) -> Expression:
        """The sum of a value over some of its axes."""
        (summand,), kind = kinds.numbers(self.body, [value], span)
        axes = tuple(axis for axis in value.axes if axis not in bound)
        return Reduce("sum", bound, summand, kind, axes, span)

    def _reduced(
        self,
        head: tree.Name,
        bound: dict[Axis, Span],
        initial: float | None,
        value: Expression,
        argument: Span,
        span: Span,
    ) -> Expression:
        for axis, place in bound.items():
            if axis not in value.axes:
                self._absent(head.text, axis, value, place, argument)
        self._nonempty(head, bound, initial, span)
        reduced = tuple(bound)
        value, kind = kinds.reduced(self.body, head.text, value, reduced, argument)
        axes = tuple(axis for axis in value.axes if axis not in bound)
        return Reduce(head.text, reduced, value, kind, axes, span, initial)

    def _reduced_axes(
        self, function: tree.Bracketed, name: str
    ) -> tuple[dict[Axis, Span], float | None]:
        """The axes that brackets reduce, each with its place, and the setting `initial`."""
        axes: dict[Axis, Span] = {}
        initial: float | None = None
        if function.brackets.arrow is not None:
            self.body.fail(
                "NCD4002",
                f"`{name}` takes axes only",
                function.brackets.span,
                label="there is no `->` in its brackets",
            )
        for slot in function.brackets.slots:
            if slot.name is not None:
                if slot.name.text != "initial" or name not in ("max", "min"):
                    self.body.fail(
                        "NCD4002",
                        f"`{name}` has no setting `{slot.name.text}`",
                        slot.span,
                        label="unknown setting",
                        fix=remedies.python_axis(slot),
                    )
                initial = float(self.body.number(slot.items[0]))
                continue
            for item in slot.items:
                for axis in self.body.axes_of_item(item):
                    if axis in axes:
                        self._repeated_axis(name, axis, item.span)
                    axes[axis] = item.span
        if not axes:
            self.body.fail(
                "NCD4002", f"`{name}[]` reduces nothing", function.brackets.span, label="no axis"
            )
        if name in ("argmax", "argmin") and len(axes) > 1:
            self.body.fail(
                "NCD4002", f"`{name}` takes one axis", function.brackets.span, label="several axes"
            )
        return axes, initial

    def _repeated_axis(self, name: str, axis: Axis, span: Span) -> None:
        self.body.fail("NCD2007", f"`{name}` names axis `{axis}` twice", span, label="named again")

    def _absent(self, name: str, axis: Axis, value: Expression, span: Span, argument: Span) -> None:
        guess = closest(axis.name, [own.name for own in value.axes])
        self.body.fail(
            "NCD2010",
            f"`{name}` reduces axis `{axis}`, which its argument does not have",
            span,
            label="not an axis of the argument",
            labels=[Label(argument, has_axes(value.axes))],
            help=remedies.naming(value.axes, guess),
        )

    def _nonempty(
        self, head: tree.Name, bound: dict[Axis, Span], initial: float | None, span: Span
    ) -> None:
        if REDUCTIONS[head.text] or initial is not None:
            return
        for axis in bound:
            reason = f"`{head.text}` over axis {axis} needs a non-empty axis"
            if not self.body.constraints.require(axis.size, ">=", constant(1), reason, span):
                self.body.fail(
                    "NCD3005",
                    f"`{head.text}` over axis `{axis}`, which is empty",
                    span,
                    label=f"{axis} has size {self.body.constraints.with_defaults(axis.size)}",
                    help=f"`{head.text}` has no value for nothing",
                )
