"""What one equation adds to the adjoints of the arrays it reads.

For the equation `Y[p] = e` and a read `A[eta(p)]` in e, this is `dA[eta(p)] += dY[p] * de/dA`: the
value here, where it belongs in `placing`. Branches stay outermost: what a branch that is not
chosen would compute, be it infinite, reaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ncdlang.gradients.derivatives import derivative
from ncdlang.gradients.rewriting import apart, fresh, renaming
from ncdlang.gradients.scalars import inlined
from ncdlang.gradients.terms import (
    apply,
    atoms,
    felt,
    free,
    number,
    row_major,
    select,
    size_number,
)
from ncdlang.records import record, replace
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Contract,
    Expression,
    IndexValue,
    Read,
    Reduce,
    Select,
)
from ncdlang.semantics.size import product
from ncdlang.semantics.types import INTEGER, Affine, Axis, Wire
from ncdlang.source import Span

Name = Callable[[str, tuple[Axis, ...], Expression], Expression]


@record(eq=False)
class Contribution:
    """`d wire[indices] += value`, for every index over `domain`.

    `guarded` says that the indices may leave the array where the value is not chosen.
    """

    wire: Wire
    indices: tuple[Affine, ...]
    value: Expression
    domain: tuple[Axis, ...]
    guarded: bool
    span: Span


@record
class _State:
    """Where the derivative has come to: the adjoint here, the branches, and the index it is at."""

    adjoint: Expression
    guards: tuple[tuple[Expression, bool], ...]
    domain: tuple[Axis, ...]

    def times(self, factor: Expression, span: Span) -> _State:
        """The state with the adjoint multiplied."""
        return replace(self, adjoint=apply("mul", self.adjoint, factor, span=span))

    def within(self, condition: Expression, truth: bool) -> _State:
        """The state in a branch."""
        return replace(self, guards=(*self.guards, (condition, truth)))

    def over(self, axes: tuple[Axis, ...]) -> _State:
        """The state inside a bracket that binds axes."""
        return replace(self, domain=(*self.domain, *axes))


class Adjoints:
    """Collects contributions. `active` are the wires that have adjoints.

    `name` makes a wire of the reverse pass: it takes a name, axes and a value.
    """

    def __init__(self, active: set[Wire], name: Name) -> None:
        self._active = active
        self._name = name

    def of(
        self, value: Expression, result: Expression, adjoint: Expression, domain: tuple[Axis, ...]
    ) -> Iterator[Contribution]:
        """What `result = value` over the indices of `domain` adds, given the adjoint of it."""
        value = apart(value, (*domain, *free(adjoint)))
        yield from self._of(value, result, _State(adjoint, (), domain))

    def _of(
        self, value: Expression, result: Expression | None, state: _State
    ) -> Iterator[Contribution]:
        if self._active.isdisjoint(felt(value)):
            return
        match value:
            case Read():
                if value.wire in self._active:
                    yield self._contribution(value, state)
            case Apply():
                for place, argument in enumerate(value.arguments):
                    if not self._active.isdisjoint(felt(argument)):
                        factor = derivative(value, place, result or value)
                        if factor is not None:
                            yield from self._of(argument, None, state.times(factor, value.span))
            case ApplyDiagram():
                yield from self._of(inlined(value), result, state)
            case Select():
                yield from self._of(value.then, None, state.within(value.condition, True))
                yield from self._of(value.otherwise, None, state.within(value.condition, False))
            case Contract():
                yield from self._contract(value, state)
            case Reduce():
                yield from self._reduce(value, result or value, state)
            case _:
                return

    def _contribution(self, value: Read, state: _State) -> Contribution:
        adjoint = state.adjoint
        for condition, truth in reversed(state.guards):
            adjoint = select(condition, truth, adjoint, value.span)
        return Contribution(
            value.wire, value.indices, adjoint, state.domain, bool(state.guards), value.span
        )

    def _contract(self, value: Contract, state: _State) -> Iterator[Contribution]:
        inside = state.over(value.bound)
        for place, factor in enumerate(value.factors):
            if self._active.isdisjoint(felt(factor)):
                continue
            others = inside
            for other_place, other in enumerate(value.factors):
                if other_place != place:
                    others = others.times(other, value.span)
            yield from self._of(factor, None, others)

    def _reduce(self, value: Reduce, result: Expression, state: _State) -> Iterator[Contribution]:
        inside = state.over(value.bound)
        body, span = value.body, value.span
        match value.op:
            case "sum":
                pass
            case "mean":
                count = size_number(product(axis.size for axis in value.bound))
                quotient = apply("div", inside.adjoint, count, span=span)
                inside = replace(inside, adjoint=quotient)
            case "max" | "min":
                inside = self._extremum(value, result, inside)
            case "prod":
                inside = inside.times(_others(value), span)
            case "logsumexp":
                weight = apply("exp", apply("sub", body, result, span=span), span=span)
                finite = apply("gt", result, number(float("-inf")), span=span)
                inside = inside.within(finite, True).times(weight, span)
            case "norm":
                direction = apply("div", body, result, span=span)
                positive = apply("gt", result, number(0), span=span)
                inside = inside.within(positive, True).times(direction, span)
            case _:
                return
        yield from self._of(body, None, inside)

    def _extremum(self, value: Reduce, result: Expression, inside: _State) -> _State:
        """Shared evenly between the entries that are the largest."""
        span = value.span
        chosen = apply("eq", value.body, result, span=span)
        one = select(chosen, True, number(1), span)
        count = self._name(
            "n", atoms(result.axes), Reduce("sum", value.bound, one, one.kind, result.axes, span)
        )
        shared = apply("div", inside.adjoint, count, span=span)
        return replace(inside, adjoint=shared).within(chosen, True)


def _others(value: Reduce) -> Expression:
    """The product of all entries but the one at the bound index."""
    span = value.span
    pairs = {axis: fresh(axis) for axis in value.bound}
    other = renaming(pairs).expression(value.body)
    same: Expression | None = None
    for axis, twin in pairs.items():
        here, there = (IndexValue(a, INTEGER, (a,)) for a in (axis, twin))
        equal = apply("eq", there, here, span=span)
        same = equal if same is None else apply("and", same, equal, span=span)
    assert same is not None
    rest = Select(same, number(1), other, other.kind, free(same, other), span)
    bound = tuple(pairs.values())
    axes = tuple(axis for axis in rest.axes if axis not in bound)
    return Reduce("prod", bound, rest, value.kind, axes, span)


def own_axes(wire: Wire) -> tuple[Affine, ...]:
    """The coordinates of a wire at its own axes."""
    return tuple(row_major(axis) for axis in wire.type.axes)
