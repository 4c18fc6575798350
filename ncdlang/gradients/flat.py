"""Equations made ready for differentiation: each is one that a rule of derivatives applies to.

What a derivative would write twice becomes a wire of its own: the arguments of an activation, the
value of a reduction that is not linear, a long argument. Elementwise diagrams of the file are
replaced by their equations. A scatter of several operators becomes one scatter for each, combined
entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.gradients.error import GradientError, no_derivative
from ncdlang.gradients.opening import Flat as OpenedStep
from ncdlang.gradients.opening import Opened, key
from ncdlang.gradients.rewriting import apart, rebuilt
from ncdlang.gradients.scalars import opened_scalars
from ncdlang.gradients.steps import Cycle, Flat, OpCall
from ncdlang.gradients.terms import (
    apply,
    atoms,
    children,
    felt,
    free,
    is_atomic,
    is_detach,
    is_detached,
    number,
    walk,
    weight,
    whole,
)
from ncdlang.records import record
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
    Scatter,
    Select,
    Write,
)
from ncdlang.semantics.types import REAL, ArrayType, Axis, Wire, plain_index
from ncdlang.source import Span

LONGEST = 12
LINEAR = frozenset({"add", "sub", "neg", "real", "cast"})
LINEAR_REDUCTIONS = frozenset({"sum", "mean"})
WITHOUT_GRADIENT = frozenset({"any", "all", "argmax", "argmin"})

Guards = tuple[tuple[Expression, bool], ...]


@record(eq=False)
class Prepared:
    """The steps in order, and the wires whose values the differentiated arrays change."""

    steps: list[Flat]
    active: set[Wire]


def prepared(opened: Opened, wrt: Iterable[Wire], training: bool) -> Prepared:
    """The steps of an opened diagram, ready to be differentiated in the wires `wrt`."""
    preparing = _Preparing(set(wrt), training)
    for step in opened.steps:
        preparing.step(step)
    return Prepared(preparing.steps, preparing.active)


class _Preparing:
    def __init__(self, active: set[Wire], training: bool) -> None:
        self.steps: list[Flat] = []
        self.active = active
        self._training = training
        self._outer: list[Flat] | None = None
        self._axis: Axis | None = None

    def step(self, step: OpenedStep) -> None:
        match step:
            case Define():
                self._define(step)
            case Invoke():
                self._invoke(step)
            case Scatter():
                self._scatter(step)
            case Recurrence():
                self._recurrence(step)

    # ---- equations -----------------------------------------------------------------------------

    def _define(self, step: Define) -> None:
        wire = step.wire
        value = self._without_noise(opened_scalars(step.expression), wire)
        value = apart(value, atoms(wire.type.axes))
        if self._is_active(value) and wire.type.kind.name in ("real", "complex"):
            self._check_kind(wire, value, step.span)
            self.active.add(wire)
            value = self._visit(value, atoms(wire.type.axes), (), True, True)
        self.steps.append(Define(wire, value, step.span))

    def _check_kind(self, wire: Wire, value: Expression, span: Span) -> None:
        if wire.type.kind.name == "complex":
            raise GradientError(f"`{wire.spelling}` is complex: only reals have gradients", span)
        self._check_parts(value)

    def _check_parts(self, value: Expression) -> None:
        """Raise GradientError for an expression with a complex part that changes."""
        for part in walk(value):
            if part.kind.name == "complex" and self._is_active(part):
                place = getattr(part, "span", None)
                raise GradientError("a part is complex: only reals have gradients", place)

    def _is_active(self, value: Expression) -> bool:
        return not self.active.isdisjoint(felt(value))

    def _visit(
        self,
        value: Expression,
        order: tuple[Axis, ...],
        guards: Guards,
        linear: bool,
        root: bool = False,
    ) -> Expression:
        """The expression with what needs a wire replaced by one.

        `linear` says that the derivative passes through without using the value.
        """
        if is_atomic(value) or not self._is_active(value):
            return value
        match value:
            case Apply():
                inner = linear and self._passes(value)
                parts = tuple(self._visit(a, order, guards, inner) for a in value.arguments)
                if not self._passes(value):
                    parts = tuple(self._short(part, order, guards) for part in parts)
                return rebuilt(value, parts)
            case ApplyDiagram():
                parts = tuple(
                    self._held(self._visit(a, order, guards, False), order, guards)
                    for a in value.arguments
                )
                return rebuilt(value, parts)
            case Select():
                then = self._visit(value.then, order, (*guards, (value.condition, True)), linear)
                otherwise = self._visit(
                    value.otherwise, order, (*guards, (value.condition, False)), linear
                )
                return rebuilt(value, (value.condition, then, otherwise))
            case Contract():
                inside = (*order, *value.bound)
                parts = tuple(
                    self._short(self._visit(f, inside, guards, False), inside, guards)
                    for f in value.factors
                )
                made = rebuilt(value, parts)
                return made if linear else self._held(made, order, guards)
            case Reduce():
                return self._reduce(value, order, guards, linear, root)
            case _:
                return value

    def _passes(self, value: Apply) -> bool:
        """Whether the derivative in what is active uses no value that is active."""
        active = [self._is_active(argument) for argument in value.arguments]
        if value.op == "mul":
            return sum(active) == 1
        return value.op in LINEAR or (value.op == "div" and not active[1])

    def _reduce(
        self, value: Reduce, order: tuple[Axis, ...], guards: Guards, linear: bool, root: bool
    ) -> Expression:
        if value.op in WITHOUT_GRADIENT:
            return value
        inside = (*order, *value.bound)
        if value.op in LINEAR_REDUCTIONS:
            made = rebuilt(value, (self._visit(value.body, inside, guards, True),))
            return made if linear else self._held(made, order, guards)
        body = self._visit(value.body, inside, guards, False)
        made = rebuilt(value, (self._held(body, inside, guards),))
        return made if root else self._held(made, order, guards)

    def _short(self, value: Expression, order: tuple[Axis, ...], guards: Guards) -> Expression:
        return self._held(value, order, guards) if weight(value) > LONGEST else value

    def _held(self, value: Expression, order: tuple[Axis, ...], guards: Guards) -> Expression:
        """A read of a wire that holds the value, which is 0 where no branch chooses it."""
        if is_atomic(value) or not self._is_active(value):
            return value
        span = _span(value)
        for condition, truth in reversed(guards):
            zero = number(0)
            branches = (value, zero) if truth else (zero, value)
            value = Select(condition, *branches, REAL, free(condition, value), span)
        present = free(value)
        axes = tuple(dict.fromkeys(axis for axis in (*order, *present) if axis in present))
        wire = Wire("_t", ArrayType(axes), span)
        self.active.add(wire)
        self._add(Define(wire, value, span))
        return whole(wire, span)

    def _add(self, step: Define) -> None:
        """Put a wire where it may stand: one that does not change along a recurrence is outside."""
        if self._outer is not None and self._axis not in step.wire.type.axes:
            self._outer.append(step)
        else:
            self.steps.append(step)

    # ---- noise ---------------------------------------------------------------------------------

    def _without_noise(self, value: Expression, wire: Wire) -> Expression:
        """Random operators made factors: `dropout(X)` is X times what dropout makes of ones."""
        parts = tuple(self._without_noise(child, wire) for child in children(value))
        if not isinstance(value, ApplyDiagram) or not value.callee.primitive or is_detached(value):
            return rebuilt(value, parts) if parts else value
        if key(value.callee) != "std.nn.dropout":
            raise no_derivative(value.callee.name, value.span)
        axes = free(value)
        ones = Wire("_ones", ArrayType(axes), value.span)
        mask = Wire("_mask", ArrayType(axes), value.span)
        self.steps.append(Define(ones, number(1), value.span))
        self.steps.append(
            OpCall("dropout", (), (), value.callee.settings, (ones,), (mask,), value.span)
        )
        return apply("mul", parts[0], whole(mask, value.span), span=value.span)

    # ---- calls ---------------------------------------------------------------------------------

    def _invoke(self, step: Invoke) -> None:
        callee = step.callee
        name = key(callee)
        if name == "std.nn.running":
            # In training it is the batch's own statistics, in eval mode the running ones.
            source = step.arguments[0] if self._training else step.arguments[2]
            indices = tuple(plain_index(axis) for axis in step.results[0].type.axes)
            value = Read(source, indices, REAL, step.results[0].type.axes, step.span)
            self._define(Define(step.results[0], value, step.span))
            return
        if name == "std.nn.dropout" or is_detach(callee):
            given = whole(step.arguments[0], step.span)
            value = ApplyDiagram(callee, (given,), REAL, free(given), step.span)
            self._define(Define(step.results[0], value, step.span))
            return
        if callee.primitive and name not in PRIMITIVES:
            raise no_derivative(callee.name, step.span)
        bound = _bound_axes(step)
        targets = tuple(
            axis
            for axis, formal in zip(
                step.arguments[0].type.axes, step.argument_weaves[0], strict=True
            )
            if formal is not None
        )
        axes = tuple(bound[axis] for axis in callee.axes if axis in bound)
        settings = tuple(callee.settings)
        call = OpCall(
            callee.name,
            axes,
            targets,
            settings,
            step.arguments,
            step.results,
            step.span,
            not callee.primitive,
        )
        if not self.active.isdisjoint(step.arguments):
            self.active.update(w for w in step.results if w.type.kind.name == "real")
        self.steps.append(call)

    # ---- scatters ------------------------------------------------------------------------------

    def _scatter(self, step: Scatter) -> None:
        writes = tuple(self._written(write) for write in step.writes)
        groups = _runs(writes)
        if len(groups) == 1:
            self._one_scatter(step.wire, groups[0], step.span)
            return
        current: Wire | None = None
        for place, group in enumerate(groups):
            part = Wire("_s", step.wire.type, step.span)
            self._one_scatter(part, group, step.span)
            if current is None:
                current = part
                continue
            last = place + 1 == len(groups)
            combined = step.wire if last else Wire("_s", step.wire.type, step.span)
            self._combine(combined, current, part, group, step.span)
            current = combined

    def _written(self, write: Write) -> Write:
        value = apart(opened_scalars(write.expression), write.axes)
        if self._is_active(value):
            self._check_parts(value)
            linear = write.op in ("=", "+=")
            value = self._visit(value, write.axes, (), linear)
            if not linear:
                value = self._held(value, write.axes, ())
        return Write(write.op, write.indices, write.axes, value, write.span)

    def _one_scatter(self, wire: Wire, writes: tuple[Write, ...], span: Span) -> None:
        if any(self._is_active(w.expression) for w in writes) and wire.type.kind.name == "real":
            self.active.add(wire)
        self.steps.append(Scatter(wire, writes, span))

    def _combine(
        self, wire: Wire, before: Wire, part: Wire, group: tuple[Write, ...], span: Span
    ) -> None:
        """Join what was there with what a further operator wrote, entry by entry."""
        old, new = whole(before, span), whole(part, span)
        value: Expression
        if group[0].op == "=":
            marks = Wire("_written", ArrayType(wire.type.axes), span)
            ones = tuple(Write("=", w.indices, w.axes, number(1), w.span) for w in group)
            self.steps.append(Scatter(marks, ones, span))
            is_new = apply("gt", whole(marks, span), number(0), span=span)
            value = Select(is_new, new, old, wire.type.kind, free(new), span)
        else:
            op = {"+=": "add", "*=": "mul", "max=": "max", "min=": "min"}[group[0].op]
            value = Apply(op, (old, new), wire.type.kind, free(new), span)
        self._define(Define(wire, value, span))

    # ---- recurrences ---------------------------------------------------------------------------

    def _recurrence(self, step: Recurrence) -> None:
        self._spread_activity(step)
        outer, self.steps = self.steps, []
        self._outer, self._axis = outer, step.axis
        for inner in step.steps:
            self.step(inner)
        inside, self.steps = self.steps, outer
        self._outer = self._axis = None
        steps = tuple(s for s in inside if isinstance(s, Define | OpCall))
        assert len(steps) == len(inside)
        self.steps.append(Cycle(step.axis, steps, step.span))

    def _spread_activity(self, step: Recurrence) -> None:
        """Mark the wires of a cycle whose values change, those of later equations too."""
        while True:
            before = len(self.active)
            for inner in step.steps:
                sources = (
                    set(felt(inner.expression))
                    if isinstance(inner, Define)
                    else set(inner.arguments)
                )
                if not self.active.isdisjoint(sources):
                    self.active.update(w for w in _made(inner) if w.type.kind.name == "real")
            if len(self.active) == before:
                return


PRIMITIVES = frozenset({"std.prelude.sort", "std.prelude.argsort", "std.prelude.top_k"})


def _made(step: Define | Invoke) -> tuple[Wire, ...]:
    return step.results if isinstance(step, Invoke) else (step.wire,)


def _bound_axes(step: Invoke) -> Mapping[Axis, Axis]:
    """The caller's axis for each axis of the callee."""
    bound: dict[Axis, Axis] = {}
    wires = (*zip(step.arguments, step.argument_weaves, strict=True),)
    wires += (*zip(step.results, step.result_weaves, strict=True),)
    for wire, weave in wires:
        for formal, actual in zip(weave, wire.type.axes, strict=True):
            if formal is not None:
                bound.setdefault(formal, actual)
    return bound


def _runs(writes: tuple[Write, ...]) -> list[tuple[Write, ...]]:
    """Writes that follow each other with one operator; of `*=`, `max=` and `min=` each alone."""
    groups: list[tuple[Write, ...]] = []
    for write in writes:
        if groups and groups[-1][0].op == write.op and write.op in ("=", "+="):
            groups[-1] = (*groups[-1], write)
        else:
            groups.append((write,))
    return groups


def _span(value: Expression) -> Span:
    for part in (value, *children(value)):
        span = getattr(part, "span", None)
        if isinstance(span, Span):
            return span
    raise ValueError("an expression that costs something has a place")
