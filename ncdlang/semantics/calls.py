"""Calls of diagrams: brackets bind axes, arguments match trailing axes, the rest is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import kinds
from ncdlang.semantics.binding import Bound, Opened, open_diagram
from ncdlang.semantics.program import CheckedDiagram, Define, Instance, Invoke
from ncdlang.semantics.report import Reported, counted, listed
from ncdlang.semantics.scope import Broken, DiagramRef, LearnedPipeline, closest
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import REAL, ArrayType, Axis, Kind, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body


class LearnedUse:
    """A learned instance of a diagram: `learn L: linear[m -> h]`, or a direct call of one.

    `binding` fills up with the sizes that the parameters need; uses must agree on them.
    """

    def __init__(self, name: str, opened: Opened, span: Span) -> None:
        self.name = name
        self.opened = opened
        self.span = span
        self.binding: dict[Symbol, Size] = {}
        self.instance: Instance | None = None


@record
class PlannedResult:
    """A result before it has a wire: its axes in the caller, and its weave."""

    axes: tuple[Axis, ...]
    weave: tuple[Axis | None, ...]
    kind: Kind


@record
class PlannedCall:
    """A call that fits, waiting for names of its results."""

    callee: CheckedDiagram
    use: LearnedUse | None
    arguments: tuple[Wire, ...]
    weaves: tuple[tuple[Axis | None, ...], ...]
    results: tuple[PlannedResult, ...]
    lifted: tuple[Axis, ...]
    binding: tuple[tuple[Symbol, Size], ...]
    span: Span

    def emit(self, body: Body, wires: tuple[Wire, ...]) -> None:
        """Add the step that makes `wires`."""
        instance = body.complete(self.use) if self.use is not None else None
        body.add(
            Invoke(
                wires,
                self.callee,
                instance,
                self.arguments,
                self.weaves,
                tuple(result.weave for result in self.results),
                self.lifted,
                self.binding,
                self.span,
            )
        )


def elementwise_callee(body: Body, function: tree.Expr) -> CheckedDiagram | None:
    """The diagram that `function` names, if it is an elementwise operator (all types scalar)."""
    if not isinstance(function, tree.Name):
        return None
    meaning = body.scope.find(function.text)
    if not isinstance(meaning, DiagramRef) or not meaning.is_scalar:
        return None
    return open_diagram(body, meaning, None, function).callee


def call_value(body: Body, expr: tree.Call) -> Wire:
    """The one result of a call, as a wire without a name."""
    wires = call_wires(body, expr)
    if len(wires) != 1:
        body.fail(
            "NCD4001",
            f"`{expr.function.span.text}` gives {len(wires)} results where one is wanted",
            expr.span,
            label=f"{len(wires)} wires",
            help=f"name them: `A, B = {expr.function.span.text}(...)`",
        )
    return wires[0]


def call_wires(body: Body, expr: tree.Call) -> tuple[Wire, ...]:
    """All results of a call, as wires without names."""
    if is_pipeline(body, expr.function):
        return call_pipeline(body, expr)
    return emit_unnamed(body, plan_call(body, expr))


def emit_unnamed(body: Body, plan: PlannedCall) -> tuple[Wire, ...]:
    """Add a planned call, its results being wires without names."""
    wires = tuple(
        Wire(body.fresh_name(), ArrayType(result.axes, result.kind), plan.span)
        for result in plan.results
    )
    plan.emit(body, wires)
    return wires


def is_pipeline(body: Body, function: tree.Expr) -> bool:
    """Whether what is called is a composition of diagrams, not one diagram by its name."""
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        return True
    return isinstance(body.scope.find(head.text), LearnedPipeline)


def call_pipeline(body: Body, expr: tree.Call) -> tuple[Wire, ...]:
    """The results of `(f >> g)(X)`."""
    from ncdlang.semantics.pipelines import Pipeline

    arguments: list[Wire] = []
    failed = False
    for argument in expr.arguments:
        try:
            arguments.append(_argument(body, argument, None))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return Pipeline(body).run(expr.function, tuple(arguments), expr.span)


def plan_call(body: Body, expr: tree.Call) -> PlannedCall:
    """Check a call of a diagram or of a learned instance. Raises Reported."""
    opened, use = resolve_callee(body, expr.function, expr.span)
    callee = opened.callee
    if len(expr.arguments) != len(callee.parameters):
        _wrong_count(body, expr, callee)
    arguments = _arguments(body, expr.arguments, callee)
    return plan_on_wires(body, opened, use, arguments, expr.function.span, expr.span)


def plan_on_wires(
    body: Body,
    opened: Opened,
    use: LearnedUse | None,
    arguments: list[tuple[Wire, Span]],
    function: Span,
    span: Span,
) -> PlannedCall:
    """Check a call whose arguments are wires already, each with the place that gives it."""
    return _Matcher(body, function, span, opened, use).match(arguments)


def resolve_callee(
    body: Body, function: tree.Expr, span: Span
) -> tuple[Opened, LearnedUse | None]:
    """The diagram or learned instance that is called, its brackets bound. Raises Reported."""
    head = function.head if isinstance(function, tree.Bracketed) else function
    if not isinstance(head, tree.Name):
        body.fail("NCD2012", "only a diagram can be called", function.span, label="no diagram")
    meaning = body.look_up(head, "diagram")
    brackets = function.brackets if isinstance(function, tree.Bracketed) else None
    match meaning:
        case LearnedUse():
            if brackets is not None:
                body.fail(
                    "NCD4002",
                    f"`{head.text}` has its axes already",
                    brackets.span,
                    label="bound where it was learned",
                    labels=[Label(meaning.span, "here")],
                )
            return meaning.opened, meaning
        case DiagramRef():
            opened = open_diagram(body, meaning, brackets, head)
            if not opened.callee.is_learned:
                return opened, None
            name = body.instance_name(opened.callee.name, head.span)
            return opened, body.add_instance(name, opened, span)
        case Broken():
            raise Reported
        case _:
            body.fail(
                "NCD2012",
                f"`{head.text}` is {body.describe(meaning)}, and only a diagram can be called",
                head.span,
                label="not a diagram",
                help=f"index it with brackets: `{head.text}[...]`"
                if isinstance(meaning, Wire)
                else "",
            )


def _wrong_count(body: Body, expr: tree.Call, callee: CheckedDiagram) -> None:
    wanted = ", ".join(str(wire) for wire in callee.parameters)
    given = len(expr.arguments)
    body.fail(
        "NCD4001",
        f"`{callee.name}` takes {counted(len(callee.parameters), 'argument')}, "
        f"but {given} {'is' if given == 1 else 'are'} given",
        expr.span,
        label=counted(given, "argument"),
        labels=[Label(callee.span, f"takes ({wanted})")] if not callee.library else [],
        help=f"it takes ({wanted})" if callee.library else "",
    )


def _arguments(
    body: Body, exprs: tuple[tree.Expr, ...], callee: CheckedDiagram
) -> list[tuple[Wire, Span]]:
    found: list[tuple[Wire, Span]] = []
    failed = False
    for expr, parameter in zip(exprs, callee.parameters, strict=True):
        try:
            found.append((_argument(body, expr, parameter), expr.span))
        except Reported:
            failed = True
    if failed:
        raise Reported
    return found


def _argument(body: Body, expr: tree.Expr, parameter: Wire | None) -> Wire:
    """The wire that an argument is; other expressions get an equation without a name."""
    if isinstance(expr, tree.Group):
        return _argument(body, expr.inner, parameter)
    if isinstance(expr, tree.Name):
        meaning = body.look_up(expr, "value")
        if isinstance(meaning, Wire) and meaning.type.kind.name != "integer":
            return meaning
    if isinstance(expr, tree.Call) and not body.is_expression_call(expr):
        return call_value(body, expr)
    value = body.unstated(expr)
    wanted = parameter.type.kind if parameter is not None else REAL
    if parameter is not None or value.kind.name == "integer":
        value = kinds.to_kind(body, value, wanted, expr.span)
    wire = Wire(body.fresh_name(), ArrayType(value.axes, value.kind), expr.span)
    body.add(Define(wire, value, expr.span))
    return wire


class _Matcher:
    """Matches the arguments of one call with the formal types."""

    def __init__(
        self, body: Body, function: Span, span: Span, opened: Opened, use: LearnedUse | None
    ) -> None:
        self.body = body
        self.function = function
        self.span = span
        self.opened = opened
        self.callee = opened.callee
        self.use = use
        self.bound: dict[Axis, Bound] = dict(opened.bound)

    def match(self, arguments: list[tuple[Wire, Span]]) -> PlannedCall:
        weaves = [
            self._weave(wire, span, formal)
            for (wire, span), formal in zip(arguments, self.callee.parameters, strict=True)
        ]
        lifted = self._lifted(arguments, weaves)
        binding = self._binding()
        self._requirements(binding)
        if self.use is not None:
            self._instance(self.use, binding)
        results = tuple(
            self._result(wire, arguments, weaves, lifted, binding) for wire in self.callee.results
        )
        return PlannedCall(
            self.callee,
            self.use,
            tuple(wire for wire, _ in arguments),
            tuple(weaves),
            results,
            lifted,
            tuple(binding.items()),
            self.span,
        )

    # ---- one argument ---------------------------------------------------------------------------

    def _weave(self, wire: Wire, span: Span, formal: Wire) -> tuple[Axis | None, ...]:
        """Which formal axis each axis of the argument is bound to; None where it is lifted."""
        self._check_kind(wire, span, formal)
        weave: list[Axis | None] = [None] * len(wire.type.axes)
        trailing: list[Axis] = []
        for axis in formal.type.axes:
            target = self.opened.bound.get(axis)
            if isinstance(target, Axis) and axis in self.opened.explicit:
                self._take_target(wire, span, axis, target, weave)
            else:
                trailing.append(axis)
        free = [i for i, entry in enumerate(weave) if entry is None]
        if len(free) < len(trailing):
            self._too_few(wire, span, formal)
        for i, axis in zip(free[len(free) - len(trailing) :], trailing, strict=True):
            weave[i] = axis
            self._unify(axis, wire.type.axes[i], wire, span)
        self._check_lifted_names(wire, span, formal, trailing, weave)
        return tuple(weave)

    def _take_target(
        self, wire: Wire, span: Span, formal: Axis, target: Axis, weave: list[Axis | None]
    ) -> None:
        for i, axis in enumerate(wire.type.axes):
            if axis is target and weave[i] is None:
                weave[i] = formal
                return
        has = listed(str(axis) for axis in wire.type.axes)
        guess = closest(target.name, [axis.name for axis in wire.type.axes])
        self.body.fail(
            "NCD2010",
            f"`{self.callee.name}` acts along axis `{target}`, which its argument does not have",
            self.opened.places.get(formal, self.function),
            label="not an axis of the argument",
            labels=[Label(span, f"has the axes {has}" if has else "has no axes")],
            help=f"did you mean `{guess}`?" if guess else "",
        )

    def _too_few(self, wire: Wire, span: Span, formal: Wire) -> None:
        self.body.fail(
            "NCD4003",
            f"`{self.callee.name}` needs `{formal}`, but `{wire.type}` is given",
            span,
            label=f"{counted(len(wire.type.axes), 'axis')}, where "
            f"{counted(len(formal.type.axes), 'axis')} "
            f"{'is' if len(formal.type.axes) == 1 else 'are'} needed",
        )

    def _check_lifted_names(
        self,
        wire: Wire,
        span: Span,
        formal: Wire,
        trailing: list[Axis],
        weave: list[Axis | None],
    ) -> None:
        names = {axis.name for axis in trailing}
        for axis, entry in zip(wire.type.axes, weave, strict=True):
            if entry is None and axis.name in names and not axis.derived:
                self.body.fail(
                    "NCD4004",
                    f"axis `{axis}` of this argument is not the `{axis}` of `{self.callee.name}`",
                    span,
                    label=f"`{wire.type}` is matched with `{formal.type}` from the right",
                    notes=[
                        "formal axes match the last axes of an argument; "
                        "the axes before them are lifted"
                    ],
                    help=f"bind it by name: `{self.callee.name}[{axis} = {axis}](...)`",
                )

    def _check_kind(self, wire: Wire, span: Span, formal: Wire) -> None:
        given, wanted = wire.type.kind, formal.type.kind
        if given.name != wanted.name and not (given.name == "real" and wanted.name == "complex"):
            self.body.fail(
                "NCD2011",
                f"`{self.callee.name}` needs `{formal}`, but `{wire.type}` is given",
                span,
                label=f"holds {given.name}s",
                help="`real(...)` makes numbers of naturals and booleans"
                if wanted.name == "real"
                else "",
            )
        if wanted.bound_axis is not None and given.name == "natural":
            actual = given.bound_axis or given.bound
            if actual is None:
                self.body.fail(
                    "NCD2011",
                    f"`{self.callee.name}` needs naturals below the size of `{wanted.bound_axis}`",
                    span,
                    label="these have no bound",
                )
            self._unify(wanted.bound_axis, actual, wire, span)

    def _unify(self, formal: Axis, actual: Bound, wire: Wire, span: Span) -> None:
        """Bind a formal axis; if it is bound already the sizes must be equal."""
        size = actual.size if isinstance(actual, Axis) else actual
        if formal not in self.bound:
            self.bound[formal] = actual
            symbol = formal.symbol
            if symbol is not None and self.opened.is_own(symbol):
                return
            known = formal.size
        else:
            earlier = self.bound[formal]
            if earlier is actual:
                return
            known = earlier.size if isinstance(earlier, Axis) else earlier
        name = str(actual) if isinstance(actual, Axis) else str(size)
        reason = f"axis `{name}` of `{_wire_name(wire)}` is the `{formal}` of `{self.callee.name}`"
        self.body.equate(known, size, reason, span, f"`{formal}` of `{self.callee.name}`")

    # ---- the whole call -------------------------------------------------------------------------

    def _lifted(
        self, arguments: list[tuple[Wire, Span]], weaves: list[tuple[Axis | None, ...]]
    ) -> tuple[Axis, ...]:
        lifted: dict[Axis, None] = {}
        for (wire, _), weave in zip(arguments, weaves, strict=True):
            for axis, entry in zip(wire.type.axes, weave, strict=True):
                if entry is None:
                    lifted[axis] = None
        return tuple(lifted)

    def _binding(self) -> dict[Symbol, Size]:
        """The callee's unknown sizes in the caller's."""
        binding: dict[Symbol, Size] = {}
        for formal, bound in self.bound.items():
            symbol = formal.symbol
            if symbol is not None and self.opened.is_own(symbol):
                binding[symbol] = bound.size if isinstance(bound, Axis) else bound
        for formal, default in self.opened.defaults.items():
            symbol = formal.symbol
            if symbol is not None and symbol not in binding:
                binding[symbol] = default.substitute(binding)
        for symbol in self.callee.unknowns:
            if symbol not in binding and self.opened.is_own(symbol):
                self.body.fail(
                    "NCD3003",
                    f"nothing here gives the size of `{symbol.name}` of `{self.callee.name}`",
                    self.span,
                    label=f"size({symbol.name}) is unknown",
                    help=f"bind it: `{self.callee.name}[{symbol.name} = ...]`",
                )
        return binding

    def _requirements(self, binding: dict[Symbol, Size]) -> None:
        for required in self.callee.requirements:
            left, right = required.left.substitute(binding), required.right.substitute(binding)
            if self.body.constraints.require(
                left, required.op, right, required.reason, self.span
            ):
                continue
            self.body.fail_relation(
                left,
                required.op,
                right,
                self.span,
                f"`{self.callee.name}` can't take these sizes: {required.reason}",
                labels=[Label(required.span, "needed here")] if not self.callee.library else [],
            )

    def _instance(self, use: LearnedUse, binding: dict[Symbol, Size]) -> None:
        for symbol in self.callee.needed:
            size = binding.get(symbol)
            if size is None:
                continue
            earlier = use.binding.setdefault(symbol, size)
            if earlier != size:
                reason = f"`{use.name}` has one set of parameters"
                self.body.equate(
                    earlier, size, reason, self.span, f"`{symbol.name}` of `{use.name}`"
                )

    def _result(
        self,
        result: Wire,
        arguments: list[tuple[Wire, Span]],
        weaves: list[tuple[Axis | None, ...]],
        lifted: tuple[Axis, ...],
        binding: dict[Symbol, Size],
    ) -> PlannedResult:
        first = arguments[0][0].type.axes if arguments else ()
        places = self._places(result.type.axes, first, weaves, lifted)
        axes: list[Axis] = []
        for formal, axis in places:
            if formal is not None:
                axes.append(self._result_axis(formal, axes, binding))
            elif axis is not None:
                axes.append(axis)
        kind = _bound_kind(result.type.kind, self.bound, binding)
        return PlannedResult(tuple(axes), tuple(formal for formal, _ in places), kind)

    def _places(
        self,
        own: tuple[Axis, ...],
        first: tuple[Axis, ...],
        weaves: list[tuple[Axis | None, ...]],
        lifted: tuple[Axis, ...],
    ) -> list[tuple[Axis | None, Axis | None]]:
        """For each axis of a result the formal axis, or the lifted one, that stands there.

        Lifted axes lead; but where the result has the axes of the first formal, or the outs of
        `[ins -> outs]` replace its ins, everything stays where it stood in the first argument.
        """
        formals = self.callee.parameters[0].type.axes if self.callee.parameters else ()
        ins, outs = self.opened.arrow
        stays = bool(formals) and own == formals
        replaces = bool(ins) and own == outs and formals == ins
        if not stays and not replaces:
            return [*((None, axis) for axis in lifted), *((axis, None) for axis in own)]
        places: list[tuple[Axis | None, Axis | None]] = [
            (None, axis) for axis in lifted if axis not in first
        ]
        pending = outs
        for axis, formal in zip(first, weaves[0], strict=True):
            if formal is None:
                places.append((None, axis))
            elif stays:
                places.append((formal, None))
            else:
                places.extend((out, None) for out in pending)
                pending = ()
        return places

    def _result_axis(self, formal: Axis, taken: list[Axis], binding: dict[Symbol, Size]) -> Axis:
        bound = self.bound.get(formal)
        if isinstance(bound, Axis):
            if bound not in taken:
                return bound
            return Axis(bound.name, bound.size, bound.parts, True)
        if bound is None and self.opened.is_shared(formal) and formal not in taken:
            return formal
        return Axis(formal.name, formal.size.substitute(binding), (), True)


def _bound_kind(kind: Kind, bound: dict[Axis, Bound], binding: dict[Symbol, Size]) -> Kind:
    if kind.bound is None:
        return kind
    axis = bound.get(kind.bound_axis) if kind.bound_axis is not None else None
    return Kind(
        kind.name,
        kind.format,
        kind.bound.substitute(binding),
        axis if isinstance(axis, Axis) else None,
    )


def _wire_name(wire: Wire) -> str:
    return wire.name if not wire.name.startswith("_") else " ".join(wire.span.text.split())[:40]
