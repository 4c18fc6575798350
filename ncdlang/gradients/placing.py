"""Where contributions belong: the equations that define the adjoint of one wire.

A read at plain axes gives a term of one equation, summed over the axes that the wire lacks. Any
other read gives a scatter, the adjoint of its reindexing. Where an index may leave the array in a
branch that is not chosen, and in a recurrence, there is no scatter: then the reindexing is
inverted where it shifts axes, and else every entry asks which indices it was read at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.gradients.adjoints import Contribution
from ncdlang.gradients.rewriting import Change, apart, fresh, renaming
from ncdlang.gradients.terms import (
    apply,
    atoms,
    index_number,
    number,
    row_major,
    select,
    size_number,
    total,
)
from ncdlang.records import record
from ncdlang.semantics.program import Define, Expression, IndexValue, Scatter, Select, Write
from ncdlang.semantics.size import ONE, ZERO, Size
from ncdlang.semantics.types import INTEGER, Affine, ArrayType, Axis, Wire
from ncdlang.source import Span

_LONGEST = 24


@record(eq=False)
class _Inverse:
    """The axes of a read by those of the wire, and what must hold for there to be such a read.

    `inner` are conditions that read arrays of indices, which may be done in the branch only.
    """

    axes: Mapping[Axis, Affine]
    conditions: tuple[Expression, ...]
    inner: tuple[Expression, ...] = ()


def term(part: Contribution) -> Expression | None:
    """The contribution as a value at each index of the wire, None where it needs a scatter."""
    plain = _plain(part)
    if plain is not None:
        return _pulled(part, _Inverse(plain, ()))
    return gathered_term(part) if part.guarded else None


def gathered_term(part: Contribution) -> Expression:
    """The contribution as a value at each index of the wire, whatever the reindexing is."""
    plain = _plain(part)
    if plain is not None:
        return _pulled(part, _Inverse(plain, ()))
    shift = _shift(part)
    return _pulled(part, shift) if shift is not None else _searched(part)


def equations(
    wire: Wire, name: str, parts: Iterable[Contribution], span: Span
) -> tuple[Wire, Define | Scatter]:
    """The adjoint of a wire, and the step that defines it as the sum of contributions."""
    adjoint = Wire(name, ArrayType(wire.type.axes), span)
    parts = tuple(parts)
    terms = [term(part) for part in parts]
    if all(value is not None for value in terms):
        return adjoint, Define(adjoint, summed([v for v in terms if v is not None], span), span)
    writes: list[Write] = []
    own = tuple(row_major(axis) for axis in wire.type.axes)
    here = [value for value in terms if value is not None and not _is_zero(value)]
    if here:
        writes.append(Write("+=", own, atoms(wire.type.axes), summed(here, span), span))
    for part, value in zip(parts, terms, strict=True):
        if value is None:
            writes.append(_write(part))
    return adjoint, Scatter(adjoint, tuple(writes), span)


def summed(terms: list[Expression], span: Span) -> Expression:
    """The sum of terms, 0 for none. One of many terms is a sum of sums, which is less deep."""
    while len(terms) > _LONGEST:
        starts = range(0, len(terms), _LONGEST)
        terms = [summed(terms[start : start + _LONGEST], span) for start in starts]
    result: Expression = number(0)
    for value in terms:
        result = apply("add", result, value, span=span)
    return result


def _is_zero(value: Expression) -> bool:
    return getattr(value, "value", None) == 0


def _write(part: Contribution) -> Write:
    axes = atoms(axis for index in part.indices for axis in index.axes())
    value = apart(part.value, part.domain)
    bound = tuple(axis for axis in part.domain if axis not in axes)
    return Write("+=", part.indices, axes, total(bound, value, part.span), part.span)


# ---- inverting ---------------------------------------------------------------------------------


def _plain(part: Contribution) -> dict[Axis, Affine] | None:
    """The wire's own axis for each axis of a read, if that reads every entry once."""
    found: dict[Axis, Affine] = {}
    for own, index in zip(part.wire.type.axes, part.indices, strict=True):
        matched = _matched(own, index)
        if matched is None:
            return None
        for axis, atom in matched:
            if axis in found:
                return None
            found[axis] = Affine(ZERO, ((atom, ONE),))
    return found


def _matched(own: Axis, index: Affine) -> list[tuple[Axis, Axis]] | None:
    """The axes of a coordinate that runs along a whole axis, each with the one it runs along."""
    if not own.parts:
        return [(index.axis, own)] if index.axis is not None and not index.axis.parts else None
    if index.constant != ZERO or index.partial or len(index.terms) != len(own.atoms):
        return None
    stride, pairs = ONE, list[tuple[Axis, Axis]]()
    for (variable, coefficient), atom in zip(
        reversed(index.terms), reversed(own.atoms), strict=True
    ):
        if not isinstance(variable, Axis) or coefficient != stride or variable.size != atom.size:
            return None
        pairs.append((variable, atom))
        stride = stride * atom.size
    return pairs


def _shift(part: Contribution) -> _Inverse | None:
    """The inverse of a read whose every axis stands alone in a coordinate, shifted or reversed.

    A further coordinate of axes that are known then, a constant among them, is a condition.
    """
    found: dict[Axis, Affine] = {}
    conditions: list[Expression] = []
    inner: list[Expression] = []
    open_coordinates: list[tuple[Axis, Affine]] = []
    for own, index in zip(part.wire.type.axes, part.indices, strict=True):
        solved = _solved(own, index, part.span)
        if solved is None or any(axis in found for axis in solved.axes):
            open_coordinates.append((own, index))
            continue
        found.update(solved.axes)
        conditions += solved.conditions
    for own, index in open_coordinates:
        if any(axis not in found for axis in index.axes()):
            return None
        there = index_number(Change(found).index(index), part.span)
        here = index_number(row_major(own), part.span)
        inner.append(apply("eq", here, there, span=part.span))
    return _Inverse(found, tuple(conditions), tuple(inner))


def _solved(own: Axis, index: Affine, span: Span) -> _Inverse | None:
    """The axes of one coordinate by the wire's own axis."""
    matched = _matched(own, index)
    if matched is not None:
        return _Inverse({axis: Affine(ZERO, ((atom, ONE),)) for axis, atom in matched}, ())
    shifted = _shifted(own, index)
    if shifted is None:
        return None
    axis, back = shifted
    return _Inverse({axis: back}, tuple(_inside(back, axis.size, span)))


def _shifted(own: Axis, index: Affine) -> tuple[Axis, Affine] | None:
    """The axis of a coordinate `axis + c` or `c - axis`, by the wire's own axis."""
    if len(index.terms) != 1 or own.parts:
        return None
    (variable, coefficient), *_ = index.terms
    sign = coefficient.value
    if not isinstance(variable, Axis) or variable.parts or sign not in (1, -1):
        return None
    constant = -index.constant if sign == 1 else index.constant
    back = Affine(constant, ((own, coefficient),), partial=constant == ZERO)
    return variable, back


def _inside(index: Affine, size: Size, span: Span) -> list[Expression]:
    """That a coordinate lies along an axis of that size."""
    (variable, coefficient), *_ = index.terms
    assert isinstance(variable, Axis)
    here = IndexValue(variable, INTEGER, (variable,))
    offset = index.constant
    if coefficient.value == 1:
        low = apply("ge", here, size_number(-offset), span=span)
        value = index_number(index, span)
        return [low, apply("lt", value, size_number(size), span=span)]
    high = apply("le", here, size_number(offset), span=span)
    low = apply("gt", here, size_number(offset - size), span=span)
    return [high, low]


def _pulled(part: Contribution, inverse: _Inverse) -> Expression:
    """The value at each index of the wire, where the read is undone by an inverse."""
    value, rest = _clear(part, inverse.axes)
    value = Change(inverse.axes).expression(value)
    for condition in reversed(inverse.inner):
        value = _in_branches(value, condition, part.span)
    value = total(rest, value, part.span)
    for condition in reversed(inverse.conditions):
        value = select(condition, True, value, part.span)
    return value


def _clear(
    part: Contribution, solved: Mapping[Axis, Affine]
) -> tuple[Expression, tuple[Axis, ...]]:
    """The value with every other axis renamed that the wire has too, and the axes to sum over."""
    own = set(atoms(part.wire.type.axes))
    rest = tuple(dict.fromkeys(axis for axis in part.domain if axis not in solved))
    clashing = {axis: fresh(axis) for axis in rest if axis in own}
    value = apart(part.value, {*own, *part.domain})
    value = renaming(clashing).expression(value)
    return value, tuple(clashing.get(axis, axis) for axis in rest)


def _searched(part: Contribution) -> Expression:
    """The sum over all reads of those that hit the entry."""
    value, rest = _clear(part, {})
    own = set(atoms(part.wire.type.axes))
    clashing = {
        old: new for old, new in zip(dict.fromkeys(part.domain), rest, strict=True) if old in own
    }
    change = renaming(clashing)
    for axis, index in zip(part.wire.type.axes, part.indices, strict=True):
        here = index_number(row_major(axis), part.span)
        there = index_number(change.index(index), part.span)
        value = _in_branches(value, apply("eq", there, here, span=part.span), part.span)
    return total(rest, value, part.span)


def _in_branches(value: Expression, condition: Expression, span: Span) -> Expression:
    """The value where a condition holds, which is asked only in the branches that choose it."""
    if isinstance(value, Select):
        for truth, inside, outside in (
            (True, value.then, value.otherwise),
            (False, value.otherwise, value.then),
        ):
            if _is_zero(outside):
                return select(value.condition, truth, _in_branches(inside, condition, span), span)
    return select(condition, True, value, span)
