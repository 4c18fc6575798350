"""Keeping less from the forward pass, at the price of computing some of it again.

A wire is kept only if an input or a result of the diagram has all of its axes, so that it is no
larger than what is there anyway; any other is computed again from what is kept. The axes of
parameters do not count for what was summed, which is dear to compute: the heads of queries, keys
and values are kept, scores of pairs of them are not. Softmax is
computed again from one number for each row, the logarithm of its sum: `P = exp(S - L)`. And a sum
over an axis of the forward pass is written by the result that the forward pass summed it to:
`sum[x k](P * dO * V)` is `sum[k](dO * O)` where `O = sum[x](P * V)`. For attention this leaves
Q, K, V, O and L, as in FlashAttention (Dao et al., 2022).
"""

from __future__ import annotations

from ncdlang.gradients.opening import Opened
from ncdlang.gradients.rewriting import Change
from ncdlang.gradients.steps import Cycle, Flat, OpCall, made, needed
from ncdlang.gradients.terms import apply, atoms, free, number, walk, whole
from ncdlang.records import replace
from ncdlang.semantics.program import (
    Contract,
    Define,
    Expression,
    Read,
    Reduce,
    Scatter,
    Select,
    Write,
)
from ncdlang.semantics.types import REAL, Affine, ArrayType, Axis, Wire
from ncdlang.source import Span


def recomputed(
    opened: Opened, forward: list[Flat], reverse: list[Flat]
) -> tuple[list[Flat], list[Flat]]:
    """The steps of both passes, the reverse one computing again what is too large to keep."""
    regrouped = _regrouped(forward, reverse)
    pass_again = _Again(opened, forward)
    for wire in dict.fromkeys(wire for step in regrouped for wire in needed(step)):
        pass_again.wire(wire)
    steps = [_reading(step, pass_again.copies) for step in regrouped]
    return [*forward, *pass_again.rows], [*pass_again.steps, *steps]


class _Again:
    """Computes wires of the forward pass again, each once."""

    def __init__(self, opened: Opened, forward: list[Flat]) -> None:
        learned = [parameter.wire for parameter in opened.learned]
        inputs = (*opened.diagram.parameters, *learned, *opened.results)
        self._shapes = [set(atoms(wire.type.axes)) for wire in inputs]
        self._fixed = {axis for wire in learned for axis in atoms(wire.type.axes)}
        self._makers = {wire: step for step in forward for wire in made(step)}
        self.copies: dict[Wire, Wire] = {}
        self.rows: list[Flat] = []
        self.steps: list[Flat] = []

    def wire(self, wire: Wire) -> None:
        """Make a copy of a wire that is too large to keep, if equations allow it."""
        step = self._makers.get(wire)
        if wire in self.copies or step is None or self._is_small(wire, step):
            return
        if isinstance(step, OpCall) and step.name in ("softmax", "log_softmax"):
            self._normalised(step)
        elif isinstance(step, Define):
            for source in dict.fromkeys(needed(step)):
                self.wire(source)
            copy = self._copy(wire)
            self.steps.append(
                Define(copy, _moved(self.copies).expression(step.expression), step.span)
            )

    def _is_small(self, wire: Wire, step: Flat) -> bool:
        axes = set(atoms(wire.type.axes))
        if isinstance(step, Define) and _is_summed(step.expression):
            axes -= self._fixed
        return any(axes <= shape for shape in self._shapes)

    def _copy(self, wire: Wire) -> Wire:
        copy = self.copies[wire] = Wire(wire.name, wire.type, wire.span)
        return copy

    def _normalised(self, step: OpCall) -> None:
        """Softmax again, from its argument and the logarithm of the sum of each row."""
        (argument,), (result,), span = step.arguments, step.results, step.span
        self.wire(argument)
        targets = atoms(step.targets)
        value = whole(argument, span)
        row = tuple(axis for axis in free(value) if axis not in targets)
        total = Wire(f"L{result.name.lstrip('_')}", ArrayType(row), span)
        summed = Reduce("logsumexp", targets, value, REAL, row, span)
        self.rows.append(Define(total, summed, span))
        known = whole(total, span)
        finite = apply("gt", known, number(float("-inf")), span=span)
        shift = Select(finite, known, number(0), REAL, free(known), span)
        again = _moved(self.copies).expression(value)
        shifted = apply("sub", again, shift, span=span)
        if step.name == "softmax":
            shifted = apply("exp", shifted, span=span)
        self.steps.append(Define(self._copy(result), shifted, span))


def _is_summed(value: Expression) -> bool:
    return any(isinstance(part, Contract | Reduce) for part in walk(value))


def _moved(copies: dict[Wire, Wire]) -> Change:
    def moved(wire: Wire, indices: tuple[Affine, ...]) -> tuple[Wire, tuple[Affine, ...]]:
        return copies.get(wire, wire), indices

    return Change(moved=moved)


def _reading(step: Flat, copies: dict[Wire, Wire]) -> Flat:
    """The step with copies read in the place of what they are copies of."""
    change = _moved(copies)
    match step:
        case Define():
            return Define(step.wire, change.expression(step.expression), step.span)
        case OpCall():
            arguments = tuple(copies.get(wire, wire) for wire in step.arguments)
            return replace(step, arguments=arguments)
        case Scatter():
            writes = tuple(_rewritten(write, change) for write in step.writes)
            return Scatter(step.wire, writes, step.span)
        case Cycle():
            inner = tuple(_reading(s, copies) for s in step.steps)
            kept = tuple(s for s in inner if isinstance(s, Define | OpCall))
            return Cycle(step.axis, kept, step.span)


def _rewritten(write: Write, change: Change) -> Write:
    indices = tuple(map(change.index, write.indices))
    value = change.expression(write.expression)
    return Write(write.op, indices, write.axes, value, write.span)


# ---- regrouping --------------------------------------------------------------------------------


def _regrouped(forward: list[Flat], reverse: list[Flat]) -> list[Flat]:
    """Sums of the reverse pass written by contractions that the forward pass has made."""
    sums = {
        step.wire: step.expression
        for step in reverse
        if isinstance(step, Define) and isinstance(step.expression, Contract)
    }
    known = [
        (step.wire, step.expression)
        for step in forward
        if isinstance(step, Define) and isinstance(step.expression, Contract)
    ]
    steps: list[Flat] = []
    for step in reverse:
        if isinstance(step, Define) and isinstance(step.expression, Contract):
            value = _regrouped_sum(step.expression, sums, known)
            step = Define(step.wire, value, step.span)
        steps.append(step)
    return steps


def _regrouped_sum(
    value: Contract, sums: dict[Wire, Contract], known: list[tuple[Wire, Contract]]
) -> Expression:
    for factor in value.factors:
        inner = sums.get(factor.wire) if isinstance(factor, Read) else None
        if inner is None or not isinstance(factor, Read) or not _is_whole(factor):
            continue
        others = [other for other in value.factors if other is not factor]
        for wire, made_before in known:
            rest = _without([*others, *inner.factors], made_before)
            if rest is None or set(made_before.bound) != set(value.bound):
                continue
            if not set(free(*rest)).isdisjoint(value.bound):
                continue
            return _contraction(inner.bound, [*rest, whole(wire, value.span)], value.span)
    return value


def _is_whole(value: Read) -> bool:
    return all(i.axis is a for i, a in zip(value.indices, value.wire.type.axes, strict=True))


def _without(factors: list[Expression], product: Contract) -> list[Expression] | None:
    """The factors that are left when those of a product are taken out, None if one is missing."""
    rest = list(factors)
    for wanted in product.factors:
        found = next((f for f in rest if _is_same(f, wanted)), None)
        if found is None:
            return None
        rest.remove(found)
    return rest


def _is_same(left: Expression, right: Expression) -> bool:
    return (
        isinstance(left, Read)
        and isinstance(right, Read)
        and left.wire is right.wire
        and left.indices == right.indices
    )


def _contraction(bound: tuple[Axis, ...], factors: list[Expression], span: Span) -> Expression:
    kept = tuple(axis for axis in free(*factors) if axis not in bound)
    return Contract(bound, tuple(factors), REAL, kept, span)
