"""What an edge reads: index maps as plans, one for each dimension of the wire.

A coordinate of the axis-stride category becomes a slice, a selection, a split of an axis or a
window wherever it is one; anything else becomes a tensor of indices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypeAlias

from ncdlang.ir.diagram import Edge, Operand, Reindex
from ncdlang.semantics.size import ONE, ZERO, Size, product
from ncdlang.semantics.types import (
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
    plain_index,
)

Equal: TypeAlias = Callable[[Size, Size], bool]


@dataclass(frozen=True, slots=True)
class Reading:
    """One operand: what each dimension of the wire is indexed by, targets by their own axis."""

    wire: Wire
    entries: tuple[Affine, ...]
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """The whole dimension."""

    axis: Axis


@dataclass(frozen=True, slots=True)
class Select:
    """One entry of the dimension, which disappears."""

    place: Size


@dataclass(frozen=True, slots=True)
class Slice:
    """`start + step * i`; a negative step counts down from `start`."""

    axis: Axis
    start: Size
    step: int


@dataclass(frozen=True, slots=True)
class Split:
    """`start + step * (row-major index of axes)`."""

    axes: tuple[Axis, ...]
    start: Size
    step: int
    total: Size
    whole: bool


@dataclass(frozen=True, slots=True)
class Windows:
    """`start + step * i + stride * j`."""

    outer: Axis
    inner: Axis
    start: Size
    step: int
    stride: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Lookup:
    """Indices that have to be computed.

    They may lie `below` or `above` the array, and are clamped then; `nonempty` says that clamping
    needs an entry to be there. Where data may leave the array, they are `checked`.
    """

    index: Affine
    size: Size
    below: bool = False
    above: bool = False
    nonempty: bool = False
    checked: bool = False


Plan: TypeAlias = Keep | Select | Slice | Split | Windows | Lookup


def reading(edge: Edge, operand: Operand) -> Reading:
    """The entries of an operand; a target is indexed by itself."""
    coordinates = iter(operand.reindexing)
    entries = tuple(
        plain_index(axis) if target else next(coordinates)
        for axis, target in zip(operand.wire.type.axes, operand.weave, strict=True)
    )
    guarded = isinstance(edge.operator, Reindex) and edge.operator.guarded
    return Reading(operand.wire, entries, guarded)


def plain_axes(read: Reading, equal: Equal) -> tuple[Axis, ...] | None:
    """The axes that index the wire, if each is a different one that covers its dimension."""
    found: list[Axis] = []
    for axis, entry in zip(read.wire.type.axes, read.entries, strict=True):
        index = entry.axis
        if index is None or index in found or not equal(index.size, axis.size):
            return None
        found.append(index)
    return tuple(found)


def plans(read: Reading, equal: Equal) -> list[Plan]:
    """One plan for each dimension. An axis that needs a lookup anywhere is looked up everywhere."""
    found = [
        _plan(axis, entry, read.guarded, equal)
        for axis, entry in zip(read.wire.type.axes, read.entries, strict=True)
    ]
    while True:
        looked = {a for plan in found if isinstance(plan, Lookup) for a in plan.index.axes()}
        again = [
            i
            for i, (plan, entry) in enumerate(zip(found, read.entries, strict=True))
            if not isinstance(plan, Lookup) and not looked.isdisjoint(entry.axes())
        ]
        if not again:
            return found
        for i in again:
            found[i] = Lookup(read.entries[i], read.wire.type.axes[i].size)


def _plan(axis: Axis, entry: Affine, guarded: bool, equal: Equal) -> Plan:
    index = entry.axis
    if index is not None and equal(index.size, axis.size):
        return Keep(index)
    below, above = _may_leave(entry, axis.size) if guarded else (False, False)
    if below or above:
        # Where the index runs along an axis of the same size, an empty array is never read.
        same = any(equal(a.size, axis.size) for a in entry.axes())
        return Lookup(entry, axis.size, below, above, not same)
    variables = [variable for variable, _ in entry.terms]
    if not variables:
        return Select(entry.constant)
    if all(isinstance(variable, Axis) for variable in variables):
        plan = _affine_plan(axis, entry, equal)
        if plan is not None:
            return plan
    return Lookup(entry, axis.size, checked=_depends_on_data(entry, axis.size, equal))


def bounded(entry: Affine, size: Size, equal: Equal) -> Wire | None:
    """The naturals that are the index as they are, where their bound is the size."""
    if len(entry.terms) == 1 and entry.constant == ZERO and entry.terms[0][1] == ONE:
        variable = entry.terms[0][0]
        if isinstance(variable, Gathered):
            bound = variable.wire.type.kind.bound
            return variable.wire if bound is not None and equal(bound, size) else None
    return None


def _depends_on_data(entry: Affine, size: Size, equal: Equal) -> bool:
    """Whether only the contents of an array of naturals tell that the index stays inside."""
    if bounded(entry, size, equal) is not None:
        return False
    return any(_has_data(variable) for variable, _ in entry.terms)


def _has_data(variable: IndexVariable) -> bool:
    if isinstance(variable, (Floor, Mod)):
        return any(_has_data(inner) for inner, _ in variable.numerator.terms)
    return isinstance(variable, Gathered)


def _may_leave(entry: Affine, size: Size) -> tuple[bool, bool]:
    """Whether the index may lie before the first or after the last place, as far as signs tell."""
    low = high = entry.constant
    for variable, coefficient in entry.terms:
        value = coefficient.value
        if not isinstance(variable, Axis) or value is None:
            return True, True
        reach = coefficient * (variable.size - 1)
        low, high = (low, high + reach) if value > 0 else (low + reach, high)
    return not _is_natural(low), not _is_natural(size - 1 - high)


def _is_natural(size: Size) -> bool:
    """Whether a size is surely at least 0, sizes of axes being so."""
    return all(coefficient >= 0 for _, coefficient in size.terms)


def _affine_plan(axis: Axis, entry: Affine, equal: Equal) -> Plan | None:
    terms = [(variable, c) for variable, c in entry.terms if isinstance(variable, Axis)]
    if len(terms) == 1:
        variable, coefficient = terms[0]
        if coefficient.value is not None and not variable.parts:
            return Slice(variable, entry.constant, coefficient.value)
    split = _split(axis, terms, entry.constant, equal)
    if split is not None:
        return split
    if len(terms) == 2:
        return _windows(axis, terms, entry.constant)
    return None


def _split(axis: Axis, terms: list[tuple[Axis, Size]], start: Size, equal: Equal) -> Split | None:
    """Row-major order: every coefficient is the next one times the size of its axis."""
    for order in permutations(terms):
        innermost = order[-1][1].value
        if innermost is None or innermost < 1:
            continue
        expected = order[-1][1]
        for variable, coefficient in reversed(order):
            if coefficient != expected:
                break
            expected = expected * variable.size
        else:
            axes = tuple(variable for variable, _ in order)
            total = product(variable.size for variable in axes)
            whole = start == ZERO and innermost == 1 and equal(total, axis.size)
            return Split(axes, start, innermost, total, whole)
    return None


def _windows(axis: Axis, terms: list[tuple[Axis, Size]], start: Size) -> Windows | None:
    (first, a), (second, b) = terms
    if a.value is None or b.value is None or a.value < 1 or b.value < 1:
        return None
    if first.parts or second.parts:
        return None
    # The axis with the smaller step runs inside a window; at a tie the one that is known, or later.
    swap = a.value < b.value or (
        a == b and first.size.value is not None and second.size.value is None
    )
    if swap:
        (first, a), (second, b) = (second, b), (first, a)
    assert a.value is not None
    assert b.value is not None
    used = a * (first.size - 1) + b * (second.size - 1) + 1
    return Windows(first, second, start, a.value, b.value, start == ZERO and used == axis.size)


# ---- composite axes ------------------------------------------------------------------------------


def regroup(
    reads: Sequence[Reading], results: Sequence[Axis], equal: Equal
) -> tuple[list[Reading], set[Axis]]:
    """Read composite axes of the result as one axis where every operand lets them stay whole.

    Gives back the readings, and the composite axes that stay whole.
    """
    kept: set[Axis] = set()
    current = list(reads)
    for axis in results:
        if not axis.parts:
            continue
        changed = [_whole(read, axis, equal) for read in current]
        if all(read is not None for read in changed):
            current = [read for read in changed if read is not None]
            kept.add(axis)
    return current, kept


def _whole(read: Reading, composite: Axis, equal: Equal) -> Reading | None:
    """The reading with the parts of a composite axis replaced by it, if they only occur so."""
    parts = composite.atoms
    entries: list[Affine] = []
    for axis, entry in zip(read.wire.type.axes, read.entries, strict=True):
        used = entry.axes()
        if composite not in used and not any(part in used for part in parts):
            entries.append(entry)
            continue
        if read.guarded or not equal(composite.size, axis.size):
            return None
        if entry.axis is not composite and entry != row_major(parts):
            same = dict(entry.terms) == dict(row_major(parts).terms)
            if not same or entry.constant != ZERO:
                return None
        entries.append(plain_index(composite))
    return Reading(read.wire, tuple(entries), read.guarded)


def row_major(parts: Sequence[Axis]) -> Affine:
    """The index of a composite axis in terms of its parts."""
    terms: list[tuple[Axis, Size]] = []
    stride = ONE
    for part in reversed(parts):
        terms.insert(0, (part, stride))
        stride = stride * part.size
    return Affine(ZERO, tuple(terms))
