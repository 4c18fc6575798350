"""Wires as cubic Bezier curves: straight pieces, and bends that leave and arrive horizontally."""

from __future__ import annotations

from .scene import Point


def line(start: Point, end: Point) -> list[Point]:
    """A straight piece as a Bezier curve, nothing where it has no length."""
    if abs(start[0] - end[0]) < 1e-9 and abs(start[1] - end[1]) < 1e-9:
        return []
    third = ((end[0] - start[0]) / 3, (end[1] - start[1]) / 3)
    return [
        (start[0] + third[0], start[1] + third[1]),
        (end[0] - third[0], end[1] - third[1]),
        end,
    ]


def bend(start: Point, end: Point) -> list[Point]:
    """A curve that leaves and arrives horizontally."""
    middle = (start[0] + end[0]) / 2
    return [(middle, start[1]), (middle, end[1]), end]


def tidy(points: list[Point]) -> tuple[Point, ...]:
    """Straight pieces in a row as one."""
    found = points[:1]
    for at in range(1, len(points) - 2, 3):
        piece = points[at : at + 3]
        is_flat = all(abs(y - found[-1][1]) < 1e-9 for _, y in piece)
        was_flat = len(found) > 3 and all(abs(y - found[-1][1]) < 1e-9 for _, y in found[-4:])
        if is_flat and was_flat:
            start = found[-4]
            found = found[:-3] + line(start, piece[-1])
        else:
            found += piece
    return tuple(found)
