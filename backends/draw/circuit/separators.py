"""Dashed lines between the arrays of a tuple.

A line begins where two arrays come to lie next to each other and ends at the operation that joins
them. Between columns it follows the arrays on its two sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .layers import Columns
from .model import Part, Port
from .scene import Point

Sides = Sequence[tuple[float, float, float, float]]
_CLEAR = 6.0


@dataclass(slots=True, eq=False)
class _Space:
    """The space between two bundles on one side of a column."""

    layer: int
    is_left: bool
    y: float
    above: list[Port]
    below: list[Port]
    part: Part | None
    sign: Part | None = None
    next: _Space | None = None
    is_begun: bool = field(default=False)


def separators(found: Columns, sides: Sides) -> list[tuple[Point, ...]]:
    """All dashed lines, as Bezier curves; `sides` has the left, body, end and right of columns."""
    spaces = [(_spaces(found, i, is_left=True), _spaces(found, i, is_left=False))
              for i in range(len(found.nodes))]  # fmt: skip
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
    lines = (_line(space, sides) for space in begun)
    return [line for line in lines if line]


def _spaces(found: Columns, layer: int, *, is_left: bool) -> list[_Space]:
    """The spaces on one side of a column, from the top."""
    spaces: list[_Space] = []
    last: list[Port] = []
    last_part: Part | None = None
    between: list[Part] = []
    for part in (part for node in found.nodes[layer] for part in node.parts):
        bundles = part.lefts() if is_left else part.rights()
        if not bundles:
            between.append(part)
            continue
        for bundle in bundles:
            if last and last_part is part:
                y = (last[-1].y + bundle[0].y) / 2
                spaces.append(_Space(layer, is_left, y, last, bundle, part))
            elif last and last_part is not None:
                sign = next((p for p in between if p.is_sign), None)
                y = (last_part.y + last_part.bottom + part.y) / 2
                if sign is not None:
                    y = sign.y + sign.bottom / 2
                if (not between or sign) and (is_left or not sign):
                    spaces.append(_Space(layer, is_left, y, last, bundle, None, sign))
            last, last_part, between = bundle, part, []
    return spaces


def _is_same(left: _Space, right: _Space) -> bool:
    """Whether a line goes straight through a column."""
    if left.part is not None or right.part is not None or left.sign is not None:
        return False
    above = left.above[0].part is right.above[0].part
    return above and left.below[0].part is right.below[0].part


def _leads(follows: set[tuple[Port, Port]], tails: list[Port], heads: list[Port]) -> bool:
    return any((tail, head) in follows for tail in tails for head in heads)


def _line(first: _Space, sides: Sides) -> tuple[Point, ...]:
    points: list[Point] = []
    space: _Space | None = first
    while space is not None:
        left, body, end, right = sides[space.layer]
        start, stop = (left, body - _CLEAR) if space.is_left else (end + _CLEAR, right)
        if space.is_left and space.next is not None:
            stop = right if space.next.layer == space.layer else stop
        if space.is_left and space.sign is not None:
            stop = (body + end) / 2 - 9
        if points:
            points += _curve(points[-1], (start, space.y))
        else:
            points.append((start, space.y))
        if stop > points[-1][0] + 1e-9:
            points += _curve(points[-1], (stop, space.y))
        space = space.next
    if len(points) < 4 or points[-1][0] - points[0][0] < 12:
        return ()
    return tuple(points)


def _curve(start: Point, end: Point) -> list[Point]:
    if end[0] - start[0] < 1e-9:
        return []
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]
