"""One call matched with the formal types: targets, trailing axes, lifting, axes of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.diagnostics import Label
from ncdlang.records import record
from ncdlang.semantics import kinds, remedies
from ncdlang.semantics.binding import Bound, Opened
from ncdlang.semantics.program import CheckedDiagram, Define, Instance, Invoke
from ncdlang.semantics.report import counted, has_axes, listed
from ncdlang.semantics.scope import closest
from ncdlang.semantics.size import Size, Symbol, product
from ncdlang.semantics.state import check_state
from ncdlang.semantics.tokens import check_argument
from ncdlang.semantics.types import ArrayType, Axis, Kind, Wire
from ncdlang.source import Span

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


class Matcher:
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
        self.first: dict[Axis, Label] = {}
        self.composites: list[tuple[Axis, Axis, Wire, Span]] = []
        self.tokens: list[tuple[Axis, tuple[Axis, Wire, Span]]] = []

    def match(self, arguments: list[tuple[Wire, Span]]) -> PlannedCall:
        """The call, planned. Raises Reported."""
        pairs = zip(arguments, self.callee.parameters, strict=True)
        arguments = [(self._held(wire, span, formal), span) for (wire, span), formal in pairs]
        weaves = [
            self._weave(wire, span, formal)
            for (wire, span), formal in zip(arguments, self.callee.parameters, strict=True)
        ]
        self._solve_composites()
        self._check_tokens(arguments, weaves)
        lifted = self._lifted(arguments, weaves)
        check_state(self.body, self.callee, arguments, lifted, self.span)
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

    # ---- one argument --------------------------------------------------------------------------

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

    def _held(self, wire: Wire, span: Span, formal: Wire) -> Wire:
        """The argument in the number format of the formal type."""
        given, wanted = wire.type.kind, formal.type.kind
        if given.name != "real" or wanted.name != "real" or given.format == wanted.format:
            return wire
        value = kinds.to_kind(self.body, self.body.expressions.read_whole(wire, span), wanted, span)
        held = Wire(self.body.fresh_name(), ArrayType(wire.type.axes, wanted), span)
        self.body.add(Define(held, value, span))
        return held

    def _take_target(
        self, wire: Wire, span: Span, formal: Axis, target: Axis, weave: list[Axis | None]
    ) -> None:
        for i, axis in enumerate(wire.type.axes):
            if axis is target and weave[i] is None:
                weave[i] = formal
                return
        guess = closest(target.name, [axis.name for axis in wire.type.axes])
        argument = Label(span, has_axes(wire.type.axes))
        place = self.opened.places.get(formal, self.function)
        bracket = Label(place, "not an axis of the argument")
        # An instance has its axes from where it was learned: the mistake is the argument.
        first, second = argument, bracket
        name = self.use.name if self.use is not None else self.callee.name
        if self.span.start <= place.start < self.span.end and self.span.source is place.source:
            first, second = bracket, argument
            name = self.callee.name  # nobody has named this instance
        self.body.fail(
            "NCD2010",
            f"`{name}` acts along axis `{target}`, which its argument does not have",
            first.span,
            label=first.text,
            labels=[second],
            help=remedies.splitting(wire, target) or remedies.naming(wire.type.axes, guess),
        )

    def _too_few(self, wire: Wire, span: Span, formal: Wire) -> None:
        self.body.fail(
            "NCD4003",
            f"`{self.callee.name}` needs `{formal}`, but `{wire.type}` is given",
            span,
            label=f"{counted(len(wire.type.axes), 'axis')}, where "
            f"{counted(len(formal.type.axes), 'axis')} "
            f"{'is' if len(formal.type.axes) == 1 else 'are'} needed",
            labels=[Label(formal.span, "needed here")] if not self.callee.library else [],
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
                        "formal axes match the last axes of an argument, those before are lifted"
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
                label=f"holds {kinds.plural(given)}",
                help=kinds.advice(given, wanted),
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
            if isinstance(actual, Axis):
                self.tokens.append((wanted.bound_axis, (actual, wire, span)))

    def _check_tokens(
        self, arguments: list[tuple[Wire, Span]], weaves: list[tuple[Axis | None, ...]]
    ) -> None:
        """Tokens are of the kind of the axes that brackets and other arguments bind."""
        for formal, tokens in self.tokens:
            given = self.opened.bound.get(formal)
            shared = formal if given is None and self.opened.is_shared(formal) else given
            bound = [shared] if isinstance(shared, Axis) else []
            for (wire, _), weave in zip(arguments, weaves, strict=True):
                bound += [
                    axis
                    for axis, target in zip(wire.type.axes, weave, strict=True)
                    if target is formal
                ]
            check_argument(self.body, self.callee.name, formal, tokens, bound)

    def _unify(self, formal: Axis, actual: Bound, wire: Wire, span: Span) -> None:
        """Bind a formal axis; if it is bound already the sizes must be equal."""
        if formal.parts and isinstance(actual, Axis):
            self.composites.append((formal, actual, wire, span))
            return
        size = actual.size if isinstance(actual, Axis) else actual
        if formal not in self.bound:
            self.bound[formal] = actual
            self.first[formal] = Label(span, f"the `{formal}` of `{self.callee.name}` is {actual}")
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
        reason = f"axis `{name}` of `{wire.spelling}` is the `{formal}` of `{self.callee.name}`"
        first = [self.first[formal]] if formal in self.first else []
        what = f"`{formal}` of `{self.callee.name}`"
        self.body.equate(known, size, reason, span, what, first)

    def _solve_composites(self) -> None:
        """A formal `(h k)` solves one unknown factor, with a divisibility check."""
        for formal, actual, wire, span in self.composites:
            self.bound.setdefault(formal, actual)
            if len(actual.parts) == len(formal.parts):
                for part, given in zip(formal.parts, actual.parts, strict=True):
                    self._unify(part, given, wire, span)
                continue
            known = [self._size_of_bound(part) for part in formal.parts]
            unknown = [p for p, size in zip(formal.parts, known, strict=True) if size is None]
            whole = product(size for size in known if size is not None)
            if len(unknown) > 1:
                self.body.fail(
                    "NCD3003",
                    f"the sizes of {listed(str(p) for p in unknown)} do not follow from "
                    f"the axis `{actual}` that they make up",
                    span,
                    label=f"of size {actual.size}",
                    help=f"bind all but one: `{self.callee.name}[{unknown[0]} = ...]`",
                )
            what = f"`{formal}` of `{self.callee.name}`"
            reason = f"axis `{actual}` of `{wire.spelling}` is the {what}"
            if not unknown:
                self.body.equate(whole, actual.size, reason, span, what)
                continue
            factor = actual.size // whole
            self.bound[unknown[0]] = factor
            self.body.equate(factor * whole, actual.size, reason, span, what)

    def _size_of_bound(self, formal: Axis) -> Size | None:
        bound = self.bound.get(formal)
        if bound is None:
            default = self.opened.defaults.get(formal)
            if default is not None:
                return default
            return formal.size if self.opened.is_shared(formal) or formal.symbol is None else None
        return bound.size if isinstance(bound, Axis) else bound

    # ---- the whole call ------------------------------------------------------------------------

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
            if self.body.constraints.require(left, required.op, right, required.reason, self.span):
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
        if bound is None and formal.parts:
            parts = [self._result_axis(part, [], binding) for part in formal.parts]
            if not any(part.derived or part in taken for part in parts):
                return self.body.composite(tuple(parts))
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
