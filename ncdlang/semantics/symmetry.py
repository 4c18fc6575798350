"""Symmetries of diagrams, proved by sliding: WWM Thm. 2 says that a reindexing slides through.

A group acts on the indices along an axis: all permutations (`set`), rotations (`cyclic`) or shifts
(`ordered`). It acts on every array that has the axis, and slides through an equation in which the
axis is only repeated over, or reduced by an operator for which order does not count, or contracted
with an axis that it acts on as well. What breaks it is an index used as a number, an index map that
does not commute with the group, a parameter that carries the axis, and an operator that looks at
the order. Along an `ordered` axis a shift moves entries across the borders: there every reduction
over the axis breaks it, and differences of indices do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ncdlang.records import record
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    BlockStep,
    CheckedDiagram,
    Constant,
    Contract,
    Define,
    Expression,
    IndexValue,
    Invoke,
    Read,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    SizeValue,
    Step,
)
from ncdlang.semantics.size import ONE, ZERO, Size
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, Mod, Wire

if TYPE_CHECKING:
    from ncdlang.source import Span

ORDERLESS = frozenset({"sum", "prod", "max", "min", "mean", "any", "all", "norm", "logsumexp"})
_ALIKE = frozenset({"eq", "ne"})
_DIFFERENCES = frozenset({"sub", "eq", "ne", "lt", "le", "gt", "ge"})


@record
class Break:
    """What breaks a symmetry, in words and as a place."""

    reason: str
    span: Span


class _Broken(Exception):
    def __init__(self, reason: str, span: Span) -> None:
        super().__init__(reason)
        self.found = Break(reason, span)


def broken(diagram: CheckedDiagram, axes: tuple[Axis, ...], group: str) -> Break | tuple[bool, ...]:
    """What breaks the symmetry of a diagram along axes of its inputs, all moved alike.

    Where nothing does: for each result whether the group acts on it (else it is invariant).
    """
    if diagram.primitive or diagram.is_stateful:
        return Break(f"`{diagram.name}` looks at the order of its entries", diagram.span)
    inputs = tuple(frozenset(axes) & frozenset(wire.type.axes) for wire in diagram.parameters)
    try:
        acted = _Slide(diagram, group).run(inputs)
    except _Broken as error:
        return error.found
    return tuple(bool(moved) for moved in acted)


def disorder(op: str, axis: Axis | str, group: str) -> str | None:
    """Why a group does not slide through a reduction over an axis, None if it does."""
    if op not in ORDERLESS:
        return f"`{op}` looks at the order along `{axis}`"
    return f"`{op}` over `{axis}` does not commute with shifts" if group == "ordered" else None


class _Slide:
    """Slides a group through one diagram. `acted` are the axes of it that the group acts on."""

    def __init__(self, diagram: CheckedDiagram, group: str) -> None:
        self._diagram = diagram
        self._group = group
        self._learned = {learned.wire for learned in diagram.learned}
        self._acted: set[Axis] = set()
        self._span = diagram.span
        self._is_sure = False

    def run(self, inputs: tuple[frozenset[Axis], ...]) -> tuple[frozenset[Axis], ...]:
        """The axes of each result that the group acts on. Raises _Broken."""
        self._acted = {axis for axes in inputs for axis in axes}
        for wire, axes in zip(self._diagram.parameters, inputs, strict=True):
            if self._of(wire) != axes:
                raise _Broken(f"`{wire.name}` has the axis, but is not acted on", wire.span)
        # What moves along must be known before anything can be said to break it.
        before = -1
        while len(self._acted) != before:
            before = len(self._acted)
            self._steps(self._diagram.steps)
        self._is_sure = True
        self._steps(self._diagram.steps)
        return tuple(self._of(wire) for wire in self._diagram.results)

    def _fail(self, reason: str, span: Span) -> None:
        if self._is_sure:
            raise _Broken(reason, span)

    def _of(self, wire: Wire) -> frozenset[Axis]:
        """The axes of a wire that the group acts on."""
        if wire in self._learned:
            return frozenset()
        return frozenset(axis for axis in wire.type.axes if self._is_acted(axis))

    def _is_acted(self, axis: Axis) -> bool:
        return axis in self._acted or any(atom in self._acted for atom in axis.atoms)

    def _steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._span = step.span
            match step:
                case Define():
                    self._expression(step.expression)
                case Scatter():
                    self._scatter(step)
                case Invoke():
                    self._invoke(step)
                case BlockStep() | Recurrence():
                    self._steps(step.steps)
                case _:
                    assert_never(step)

    # ---- equations -----------------------------------------------------------------------------

    def _expression(self, value: Expression) -> None:
        match value:
            case Constant() | SizeValue():
                return
            case IndexValue():
                if self._is_acted(value.axis):
                    self._fail(f"the index along `{value.axis}` is used as a number", self._span)
            case Read():
                self._read(value.wire, value.indices, value.span)
            case Apply():
                if not self._is_alike(value):
                    for argument in value.arguments:
                        self._expression(argument)
            case ApplyDiagram():
                for argument in value.arguments:
                    self._expression(argument)
            case Select() if self._turns(value):
                return
            case Select():
                for part in (value.condition, value.then, value.otherwise):
                    self._expression(part)
            case Contract():
                for factor in value.factors:
                    self._expression(factor)
                self._bound(value.bound, "sum", value.span)
            case Reduce():
                self._expression(value.body)
                self._bound(value.bound, value.op, value.span)
            case _:
                assert_never(value)

    def _turns(self, value: Select) -> bool:
        """Whether a choice reads round a cyclic axis: `where(c >= 1, X[c - 1], X[size(c) - 1])`.

        Both reads stay inside where they are chosen, so that the places only have to agree but for
        whole turns.
        """
        then, otherwise = value.then, value.otherwise
        if self._group != "cyclic" or not (isinstance(then, Read) and isinstance(otherwise, Read)):
            return False
        if then.wire is not otherwise.wire or then.wire in self._learned:
            return False
        pairs = list(zip(then.wire.type.axes, then.indices, otherwise.indices, strict=True))
        differing = [(axis, a, b) for axis, a, b in pairs if a != b]
        if len(differing) != 1 or differing[0][0] not in self._of(then.wire):
            return False
        axis, first, second = differing[0]
        sides = ((first, second, True), (second, first, False))
        if not any(self._is_turned(axis, a, b, value.condition, held) for a, b, held in sides):
            return False
        for place, index, _ in pairs:
            if place is not axis:
                self._coordinate(place, index, then.wire, then.span)
        return True

    def _is_turned(
        self, axis: Axis, index: Affine, other: Affine, condition: Expression, held: bool
    ) -> bool:
        """Whether an index moves with the group, and the other one, where the condition is not as
        `held` says, lies a whole turn from it."""
        moving = [v for v, _ in index.terms if isinstance(v, Axis) and self._is_acted(v)]
        others = [v for v, _ in index.terms if not isinstance(v, Axis)]
        if len(moving) != 1 or others or dict(index.terms)[moving[0]] != ONE:
            return False
        if not (moving[0].size == axis.size and not axis.parts):
            return False
        for place in (None, ZERO, axis.size - ONE):
            guards = ((condition, not held),)
            if place is None:
                apart = _difference(other, index)
            elif _is_at(moving[0], place, guards):
                apart = _difference(_put(other, moving[0], place), _put(index, moving[0], place))
            else:
                continue
            if apart in (axis.size, ZERO - axis.size):
                return True
        return False

    def _bound(self, axes: tuple[Axis, ...], op: str, span: Span) -> None:
        """A reduction over axes that the group acts on."""
        acted = [axis for axis in axes if self._is_acted(axis)]
        told = disorder(op, acted[0], self._group) if acted else None
        if told is not None:
            self._fail(told, span)

    def _is_alike(self, value: Apply) -> bool:
        """Whether it asks of indices what the group keeps: `x == y`, for shifts `x - y` too."""
        wanted = _DIFFERENCES if self._group == "ordered" else _ALIKE
        if value.op not in wanted or len(value.arguments) != 2:
            return False
        sides = [_plain_number(argument) for argument in value.arguments]
        if any(side is None for side in sides):
            return False
        counts = [sum(self._is_acted(axis) for axis in side or ()) for side in sides]
        return counts[0] == counts[1] and all(count <= 1 for count in counts)

    def _read(self, wire: Wire, indices: tuple[Affine, ...], span: Span) -> None:
        for axis, index in zip(wire.type.axes, indices, strict=True):
            self._coordinate(axis, index, wire, span)

    def _coordinate(self, axis: Axis, index: Affine, wire: Wire, span: Span) -> None:
        self._gathered(index, span)
        if axis in self._of(wire):
            self._along(axis, index, wire, span)
        elif any(self._is_acted(found) for found in _outer_axes(index)):
            told = "the parameter" if wire in self._learned else "the array"
            self._fail(f"{told} `{wire.spelling}` carries the axis as its own", span)

    def _along(self, axis: Axis, index: Affine, wire: Wire, span: Span) -> None:
        """A coordinate along an axis that the group acts on."""
        if index.axis is not None:
            self._acted.update(index.axis.atoms)
            return
        if axis.parts and index.constant == ZERO and _is_row_major(index, axis):
            self._fail(f"`{axis}` of `{wire.spelling}` is split into its parts", span)
            return
        if self._group == "ordered" and self._is_shift(index):
            return
        self._fail(f"`{wire.spelling}` is read at `{index}`, not at every index alike", span)

    def _is_shift(self, index: Affine) -> bool:
        """Whether a coordinate moves by one where the axis does: `x + j`, with j at rest."""
        steps = ZERO
        first: Axis | None = None
        for variable, coefficient in index.terms:
            if not isinstance(variable, Axis):
                return False
            if self._is_acted(variable):
                steps = steps + coefficient
            elif coefficient == Size({(): 1}) and first is None:
                first = variable
        if steps == ZERO and first is not None:
            self._acted.add(first)
            return True
        return steps == Size({(): 1})

    def _gathered(self, index: Affine, span: Span) -> None:
        for variable, _ in index.terms:
            match variable:
                case Gathered():
                    self._read(variable.wire, variable.indices, span)
                case Floor() | Mod():
                    self._gathered(variable.numerator, span)
                case Axis():
                    pass

    def _scatter(self, step: Scatter) -> None:
        for write in step.writes:
            self._span = write.span
            self._expression(write.expression)
            self._read(step.wire, write.indices, write.span)
            acted = [axis for axis in write.axes if self._is_acted(axis)]
            plain = {index.axis for index in write.indices}
            if self._group == "ordered" and any(axis not in plain for axis in acted):
                self._fail("a scatter along the axis does not commute with shifts", write.span)

    # ---- calls ---------------------------------------------------------------------------------

    def _invoke(self, step: Invoke) -> None:
        callee = step.callee
        inputs: list[frozenset[Axis]] = []
        for wire, weave in zip(step.arguments, step.argument_weaves, strict=True):
            pairs = zip(wire.type.axes, weave, strict=True)
            acted = self._of(wire)
            inputs.append(frozenset(f for a, f in pairs if f is not None and a in acted))
        if not any(inputs):
            return
        name = f"`{callee.name}`"
        if callee.primitive or callee.is_stateful:
            self._fail(f"{name} looks at the order of its entries", step.span)
            return
        try:
            results = _Slide(callee, self._group).run(tuple(inputs))
        except _Broken as error:
            self._fail(f"in {name}: {error.found.reason}", error.found.span)
            return
        for wire, weave, axes in zip(step.results, step.result_weaves, results, strict=True):
            for axis, formal in zip(wire.type.axes, weave, strict=True):
                if formal is None:
                    continue
                if formal in axes:
                    self._acted.add(axis)
                elif self._is_acted(axis):
                    self._fail(f"the result of {name} does not move with `{axis}`", step.span)


def _difference(left: Affine, right: Affine) -> Size | None:
    """How far two indices are apart, None if that depends on an axis."""
    terms = dict(left.terms)
    for variable, coefficient in right.terms:
        terms[variable] = terms.get(variable, ZERO) - coefficient
    return left.constant - right.constant if set(terms.values()) <= {ZERO} else None


def _put(index: Affine, axis: Axis, place: Size) -> Affine:
    """The index with a place in place of an axis."""
    constant = index.constant + dict(index.terms).get(axis, ZERO) * place
    return Affine(constant, tuple((v, c) for v, c in index.terms if v is not axis))


def _is_at(axis: Axis, place: Size, guards: tuple[tuple[Expression, bool], ...]) -> bool:
    """Whether the guards leave nothing of an axis but one place."""
    from ncdlang.semantics.bounds import prove_at_least

    above = Affine(ZERO - place, ((axis, ONE),))
    below = Affine(place, ((axis, ZERO - ONE),))
    return prove_at_least(above, 0, guards) and prove_at_least(below, 0, guards)


def _plain_number(value: Expression) -> tuple[Axis, ...] | None:
    """The axes of a value that is an index or a constant, None for any other value."""
    if isinstance(value, IndexValue):
        return (value.axis,)
    if isinstance(value, Apply) and value.op == "real":
        return _plain_number(value.arguments[0])
    return () if isinstance(value, Constant | SizeValue) else None


def _outer_axes(index: Affine) -> tuple[Axis, ...]:
    """The axes that a coordinate depends on without what it gathers by."""
    found: list[Axis] = []
    for variable, _ in index.terms:
        match variable:
            case Axis():
                found.append(variable)
            case Floor() | Mod():
                found += _outer_axes(variable.numerator)
            case Gathered():
                pass
    return tuple(found)


def _is_row_major(index: Affine, axis: Axis) -> bool:
    return len(index.terms) == len(axis.atoms)
