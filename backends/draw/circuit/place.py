"""Positions: the y of every part, so that wires are straight, and the x of every column.

A column keeps its order; within it the places that lie best for the neighbours are found by
pooling adjacent violators (Ayer et al., 1955) with medians, so that most wires bend not at all.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .layers import Columns
from .model import GAP, SIGN_GAP, Part, Port

_PASS, _WIRE = 8.0, 1.0
_ROUNDS = 12
_STEP = 0.5
_TRIES = 6

Wish = tuple[float, float]
"""A place that is wanted, and how much."""


@dataclass(slots=True)
class _Pool:
    """Parts that stand as close as they may: their wishes and how many they are."""

    wishes: list[Wish]
    count: int
    at: float


def place_rows(found: Columns, broken: Container[int] = ()) -> None:
    """Give every part its y, the topmost of the circuit 0.

    Wires after the columns in `broken` need not be straight.
    """
    columns = [[part for node in nodes for part in node.parts] for nodes in found.nodes]
    for parts in columns:
        for part in parts:
            part.arrange()
        for part, y in zip(parts, _offsets(parts), strict=True):
            part.y = y
    before, after = _neighbours(found, broken)
    for round_ in range(_ROUNDS):
        early = round_ < _ROUNDS // 3
        for parts in columns[1:]:
            _settle(parts, [before] if early else [before, after], is_mean=early)
        for parts in reversed(columns[:-1]):
            _settle(parts, [after] if early else [before, after], is_mean=early)
    _straighten(columns, before, after)
    for parts in columns:
        for upper, sign, lower in zip(parts, parts[1:], parts[2:], strict=False):
            if sign.is_sign:
                _place_sign(upper, sign, lower, before)
    top = min((part.y for parts in columns for part in parts), default=0.0)
    for parts in columns:
        for part in parts:
            part.y -= top


def _place_sign(upper: Part, sign: Part, lower: Part, before: Near) -> None:
    """Put a sign where the dashed line before it need not bend."""
    above = [other.part for _, other, _ in before.get(upper, ())]
    below = [other.part for _, other, _ in before.get(lower, ())]
    room = (upper.y + upper.bottom + SIGN_GAP, lower.y - sign.bottom - SIGN_GAP)
    high = max((part.y + part.bottom for part in above), default=room[0])
    low = min((part.y for part in below), default=room[1])
    middle = (high + low) / 2 if high < low else sum(room) / 2 + sign.bottom / 2
    sign.y = min(max(middle - sign.bottom / 2, room[0]), room[1])


Near = dict[Part, list[tuple[Port, Port, float]]]


def _neighbours(found: Columns, broken: Container[int]) -> tuple[Near, Near]:
    """The links of every part on its left and its right, as own port, other port, weight."""
    before: Near = {}
    after: Near = {}
    for layer, links in enumerate(found.links):
        for link in links if layer not in broken else ():
            tail, head = link.tail, link.head
            passes = tail.part.node.is_pass + head.part.node.is_pass
            weight = _PASS if passes == 2 else _WIRE * (1 + passes)
            before.setdefault(head.part, []).append((head, tail, weight))
            after.setdefault(tail.part, []).append((tail, head, weight))
    return before, after


def _gap(upper: Part, lower: Part) -> float:
    if lower.goes_on:
        return 0.0
    return SIGN_GAP if upper.is_sign or lower.is_sign else GAP


def _offsets(parts: Sequence[Part]) -> list[float]:
    """Where parts would stand if all were as close as they may."""
    found = [0.0]
    for upper, lower in pairwise(parts):
        found.append(found[-1] + upper.bottom + _gap(upper, lower))
    return found[: len(parts)]


def _settle(parts: Sequence[Part], sides: Sequence[Near], *, is_mean: bool) -> None:
    """Move the parts of a column to the best places that their order leaves."""
    offsets = _offsets(parts)
    pools: list[_Pool] = []
    for part, offset in zip(parts, offsets, strict=True):
        wishes = [
            (other.y - own.dy - offset, weight)
            for near in sides
            for own, other, weight in near.get(part, ())
        ]
        wishes = wishes or [(part.y - offset, 1e-3)]
        pools.append(_Pool(wishes, 1, _best(wishes, is_mean)))
        while len(pools) > 1 and pools[-2].at > pools[-1].at:
            last = pools.pop()
            pools[-1].wishes += last.wishes
            pools[-1].count += last.count
            pools[-1].at = _best(pools[-1].wishes, is_mean)
    places = [pool.at for pool in pools for _ in range(pool.count)]
    for part, offset, place in zip(parts, offsets, places, strict=True):
        part.y = round((place + offset) / _STEP) * _STEP


def _best(wishes: Sequence[Wish], is_mean: bool) -> float:
    """The mean of wishes, or their median (the middle of the two where there are two)."""
    total = sum(weight for _, weight in wishes)
    if is_mean:
        return sum(place * weight for place, weight in wishes) / total
    seen = 0.0
    ordered = sorted(wishes)
    for number, (place, weight) in enumerate(ordered):
        seen += weight
        if seen * 2 > total + 1e-9:
            return place
        if abs(seen * 2 - total) <= 1e-9:
            return (place + ordered[number + 1][0]) / 2
    return ordered[-1][0]


def _straighten(columns: Sequence[Sequence[Part]], before: Near, after: Near) -> None:
    """Move parts into line with a neighbour, alone or with all that they are in line with."""
    above: dict[Part, Part] = {}
    below: dict[Part, Part] = {}
    for parts in columns:
        for upper, lower in pairwise(parts):
            above[lower], below[upper] = upper, lower
    for _ in range(_TRIES):
        changed = False
        for parts in columns:
            for part in parts:
                near = [*before.get(part, ()), *after.get(part, ())]
                low = above[part].y + _least(above[part], part) if part in above else -math.inf
                high = below[part].y - _least(part, below[part]) if part in below else math.inf
                _align(part, near, low, high)
        for near in (before, after):
            for parts in columns:
                for part in parts:
                    changed = (
                        _shift(part, near.get(part, ()), (before, after), above, below) or changed
                    )
        if not changed:
            break


def _least(upper: Part, lower: Part) -> float:
    return upper.bottom + _gap(upper, lower)


def _shift(
    part: Part,
    near: Sequence[tuple[Port, Port, float]],
    sides: tuple[Near, Near],
    above: dict[Part, Part],
    below: dict[Part, Part],
) -> bool:
    """Move all that is in line with a part so that one of its bent wires gets straight."""
    bent = {_bent(wire) for wire in near} - {0.0}
    if not bent:
        return False
    group = _in_line(part, sides)
    wires = [w for each in group for side in sides for w in side.get(each, ())]
    outer = [wire for wire in wires if wire[1].part not in group]
    before = sum(weight for own, other, weight in outer if abs(other.y - own.y) > 0.1)
    for step in sorted(bent, key=abs):
        after = sum(w for own, other, w in outer if abs(other.y - own.y - step) > 0.1)
        if after < before and _has_room(group, step, above, below):
            for each in group:
                each.y += step
            return True
    return False


def _bent(wire: tuple[Port, Port, float]) -> float:
    own, other, _ = wire
    step = other.y - own.y
    return step if abs(step) > 0.1 else 0.0


def _in_line(part: Part, sides: tuple[Near, Near]) -> set[Part]:
    """A part with all parts that straight wires join to it."""
    group = {part}
    waiting = [part]
    while waiting:
        here = waiting.pop()
        for side in sides:
            for wire in side.get(here, ()):
                other = wire[1].part
                if other not in group and not _bent(wire):
                    group.add(other)
                    waiting.append(other)
    return group


def _has_room(
    group: set[Part], step: float, above: dict[Part, Part], below: dict[Part, Part]
) -> bool:
    for part in group:
        upper, lower = above.get(part), below.get(part)
        if upper is not None and upper not in group:
            if part.y + step < upper.y + _least(upper, part):
                return False
        if lower is not None and lower not in group:
            if part.y + step > lower.y - _least(part, lower):
                return False
    return True


def _align(part: Part, near: Sequence[tuple[Port, Port, float]], low: float, high: float) -> None:
    def cost(y: float) -> tuple[float, float]:
        bent = sum(weight for own, other, weight in near if abs(other.y - own.dy - y) > 0.1)
        return bent, sum(abs(other.y - own.dy - y) * weight for own, other, weight in near)

    wanted = sorted({other.y - own.dy for own, other, _ in near} | {part.y})
    fitting = [y for y in wanted if low <= y <= high]
    if fitting and near:
        part.y = min(fitting, key=cost)
