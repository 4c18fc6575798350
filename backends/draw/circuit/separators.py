"""Dashed lines between the arrays of a tuple.

A line begins where two arrays come to lie next to each other and ends at the operation that joins
them. Between columns it follows the arrays on its two sides, as straight as they let it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .layers import Columns
from .model import SIGN_GAP, Part, Port
from .scene import Point

Sides = Sequence[tuple[float, float, float, float]]
"""The left, the body's two sides and the right of every column."""

_CLEAR = 6.0
_SHORTEST = 24.0
_APART = 7.0


@dataclass(slots=True, eq=False)
class Space:
    """The space between two bundles on one side of a column, from `low` to `high`."""

    layer: int
    is_left: bool
    low: float
    high: float
    above: list[Port]
    below: list[Port]
    part: Part | None
    sign: Part | None = None
    next: Space | None = None
    is_begun: bool = False
    y: float = field(default=0.0)


def separators(found: Columns) -> list[list[Space]]:
    """All dashed lines as the spaces that they run through; signs are put at their ends."""
    spaces = [(_spaces(found, layer, is_left=True), _spaces(found, layer, is_left=False))
              for layer in range(len(found.nodes))]  # fmt: skip
    for left, right in spaces:
        for space in left:
            space.next = next((s for s in right if _is_same(space, s)), None)
            if space.next is not None:
                space.next.is_begun = True
    for layer in range(len(spaces) - 1):
        follows = {(link.tail, link.head) for link in found.links[layer]}
        for space in spaces[layer][1]:
            for other in spaces[layer + 1][0]:
                if _leads(follows, space.above, other.above) and _leads(
                    follows, space.below, other.below
                ):
                    space.next = other
                    other.is_begun = True
                    break
    begun = [s for pair in spaces for side in pair for s in side if not s.is_begun]
    chains = [_chain(space) for space in begun]
    for chain in chains:
        _straighten(chain)
        for space in chain:
            if space.sign is not None:
                space.sign.y = space.y - space.sign.bottom / 2
    return chains


def rises(chains: Sequence[Sequence[Space]]) -> dict[int, float]:
    """How far dashed lines rise or fall after each column."""
    found: dict[int, float] = {}
    for chain in chains:
        for one, two in pairwise(chain):
            if one.layer != two.layer:
                found[one.layer] = max(found.get(one.layer, 0.0), abs(one.y - two.y))
    return found


def curve(chain: Sequence[Space], sides: Sides, tops: Sequence[float]) -> tuple[Point, ...]:
    """A dashed line as Bezier curves, nothing if it is short; `tops` is how far columns go down."""
    points: list[Point] = []
    for space in chain:
        left, body, end, right = sides[space.layer]
        start, stop = (left, body - _CLEAR) if space.is_left else (end + _CLEAR, right)
        if space.is_left and space.next is not None:
            stop = right
        if space.is_left and space.sign is not None:
            stop = (body + end) / 2 - 9
        y = space.y + tops[space.layer]
        points += _bend(points[-1], (start, y)) if points else [(start, y)]
        if stop > points[-1][0] + 1e-9:
            points += _bend(points[-1], (stop, y))
    if len(points) < 4 or points[-1][0] - points[0][0] < _SHORTEST:
        return ()
    return tuple(points)


# ---- spaces -------------------------------------------------------------------------------------


def _spaces(found: Columns, layer: int, *, is_left: bool) -> list[Space]:
    """The spaces on one side of a column, from the top."""
    spaces: list[Space] = []
    last: list[Port] = []
    last_part: Part | None = None
    between: list[Part] = []
    for part in (part for node in found.nodes[layer] for part in node.parts):
        bundles = part.lefts() if is_left else part.rights()
        if not bundles:
            between.append(part)
            continue
        if part.goes_on and last:
            last, last_part = last + bundles[0], part
            continue
        for bundle in bundles:
            if last and last_part is part:
                y = (last[-1].y + bundle[0].y) / 2
                spaces.append(Space(layer, is_left, y, y, last, bundle, part))
            elif last and last_part is not None:
                low, high = last_part.y + last_part.bottom + _APART, part.y - _APART
                sign = next((p for p in between if p.is_sign), None)
                if sign is not None:
                    half = sign.bottom / 2 + SIGN_GAP
                    low, high = last_part.y + last_part.bottom + half, part.y - half
                if (not between or sign) and (is_left or not sign):
                    spaces.append(Space(layer, is_left, low, high, last, bundle, None, sign))
            last, last_part, between = bundle, part, []
    return spaces


def _is_same(left: Space, right: Space) -> bool:
    """Whether a line goes straight through a column."""
    if left.part is not None or right.part is not None or left.sign is not None:
        return False
    above = left.above[0].part is right.above[0].part
    return above and left.below[0].part is right.below[0].part


def _leads(follows: set[tuple[Port, Port]], tails: list[Port], heads: list[Port]) -> bool:
    return any((tail, head) in follows for tail in tails for head in heads)


def _chain(first: Space) -> list[Space]:
    found = [first]
    while found[-1].next is not None:
        found.append(found[-1].next)
    return found


def _straighten(chain: Sequence[Space]) -> None:
    """Keep to one height as long as all spaces have it, then go on at the next."""
    start = 0
    while start < len(chain):
        low, high = chain[start].low, chain[start].high
        end = start + 1
        while end < len(chain) and max(low, chain[end].low) <= min(high, chain[end].high):
            low, high = max(low, chain[end].low), min(high, chain[end].high)
            end += 1
        # A column is straight: its right side goes with its left side.
        if end < len(chain) and chain[end].layer == chain[end - 1].layer and end - start > 1:
            end -= 1
            low = max(space.low for space in chain[start:end])
            high = min(space.high for space in chain[start:end])
        for space in chain[start:end]:
            space.y = (low + high) / 2
        start = end


def _bend(start: Point, end: Point) -> list[Point]:
    if end[0] - start[0] < 1e-9:
        return []
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]
