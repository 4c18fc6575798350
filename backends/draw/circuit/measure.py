"""How good a scene is, from its geometry: overlaps, crossings and bends.

Wires are measured as polygons through points of their curves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from .model import Box
from .scene import Label, Point, Scene, Shape, Wire

_STEPS = 12
_NEAR = 4.0
_TOUCH = 0.6
_HALF_WIRE, _HALF_DASH = 0.65, 1.2
_CELL = 64.0

Segment = tuple[Point, Point]


def label_overlaps(scene: Scene) -> list[str]:
    """Every label that lies on another, on a wire, or on a shape that is not its own."""
    labels = list(scene.all_labels())
    found = [
        f"label {one.text!r} on label {two.text!r}"
        for one, two in combinations(labels, 2)
        if one.box.meets(two.box)
    ]
    for label in labels:
        for shape in scene.shapes:
            if shape.id and shape.id == label.of:
                if not shape.is_frame and not shape.box.holds(label.box):
                    found.append(f"label {label.text!r} leaves {shape.id}")
            elif label.box.meets(shape.box) and not _is_inside(label, shape):
                found.append(f"label {label.text!r} on {shape.id or 'a dot'}")
        found += [
            f"label {label.text!r} on wire {wire.id or 'dashed'}"
            for wire in scene.wires
            if _crosses(wire, label.box, _HALF_DASH if wire.role == "separator" else _HALF_WIRE)
        ]
    return found


def wires_through_boxes(scene: Scene) -> list[str]:
    """Every wire that runs through a box; frames are what wires may enter."""
    return [
        f"{wire.id or 'a dashed line'} through {shape.id}"
        for shape in scene.shapes
        if not shape.is_frame and not shape.is_dot
        for wire in scene.wires
        if _crosses(wire, _shrunk(shape), -_TOUCH)
    ]


def box_overlaps(scene: Scene) -> list[str]:
    """Every two shapes that overlap without one being in the other's frame."""
    solid = [shape for shape in scene.shapes if not shape.is_dot]
    return [
        f"{one.id} on {two.id}"
        for one, two in combinations(solid, 2)
        if one.box.meets(two.box, 0.1) and not _nests(one, two)
    ]


def crossings(scene: Scene) -> int:
    """How often wires cross; dashed lines are not wires."""
    wires = [wire for wire in scene.wires if wire.role != "separator"]
    cells: dict[tuple[int, int], list[tuple[int, Segment]]] = {}
    for number, wire in enumerate(wires):
        for segment in _segments(wire):
            for cell in _cells(segment):
                cells.setdefault(cell, []).append((number, segment))
    places: dict[tuple[int, int], list[Point]] = {}
    for inside in cells.values():
        for (one, first), (two, second) in combinations(inside, 2):
            if one == two:
                continue
            at = _meeting(first, second)
            if at is None or _at_end(at, wires[one]) or _at_end(at, wires[two]):
                continue
            pair = (min(one, two), max(one, two))
            known = places.setdefault(pair, [])
            if all(_distance(at, other) > _NEAR for other in known):
                known.append(at)
    return sum(map(len, places.values()))


def bends(scene: Scene) -> int:
    """How many pieces of wires are no straight lines."""
    return sum(
        abs(points[0][1] - points[-1][1]) > 0.1
        for wire in scene.wires
        if wire.role in ("axis", "datum")
        for points in _pieces(wire)
    )


def _pieces(wire: Wire) -> Iterator[Sequence[Point]]:
    for at in range(0, len(wire.points) - 3, 3):
        yield wire.points[at : at + 4]


def curve_points(wire: Wire) -> list[Point]:
    """Points along a wire."""
    found = [wire.points[0]]
    for a, b, c, d in _pieces(wire):
        if a[1] == b[1] == c[1] == d[1]:
            found.append(d)
            continue
        for step in range(1, _STEPS + 1):
            t = step / _STEPS
            u = 1 - t
            weights = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
            found.append(
                (
                    sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)),
                    sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)),
                )
            )
    return found


def _segments(wire: Wire) -> Iterator[Segment]:
    yield from pairwise(curve_points(wire))


def _crosses(wire: Wire, box: Box, slack: float) -> bool:
    """Whether a wire comes closer to a box than `slack`, or deeper into it where that is less."""
    grown = Box(box.left - slack, box.top - slack, box.right + slack, box.bottom + slack)
    xs = [x for x, _ in wire.points]
    ys = [y for _, y in wire.points]
    if not grown.meets(Box(min(xs) - 0.01, min(ys) - 0.01, max(xs) + 0.01, max(ys) + 0.01)):
        return False
    return any(_enters(segment, grown) for segment in _segments(wire))


def _enters(segment: Segment, box: Box) -> bool:
    """Whether a segment has a point inside a box (Liang and Barsky, 1984)."""
    (x, y), (end_x, end_y) = segment
    first, last = 0.0, 1.0
    for start, step, low, high in (
        (x, end_x - x, box.left, box.right),
        (y, end_y - y, box.top, box.bottom),
    ):
        if abs(step) < 1e-12:
            if not low < start < high:
                return False
            continue
        one, two = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, one), min(last, two)
    return first < last


def _shrunk(shape: Shape) -> Box:
    """The room of a shape that no wire may enter; the corners of slanted shapes are free."""
    left, top, right, bottom = shape.box
    xs = [x for outline in shape.outlines for x, _ in outline.points]
    if len({round(x, 3) for x in xs}) > 2 or any(o.is_round for o in shape.outlines):
        quarter = (right - left) / 4
        return Box(left + quarter, top + 1, right - quarter, bottom - 1)
    if right - left < 12:
        return Box((left + right) / 2, top, (left + right) / 2, bottom)
    return Box(left + 1, top + 1, right - 1, bottom - 1)


def _is_inside(label: Label, shape: Shape) -> bool:
    return shape.is_frame and shape.box.holds(label.box)


def _nests(one: Shape, two: Shape) -> bool:
    return (one.is_frame and one.box.holds(two.box)) or (two.is_frame and two.box.holds(one.box))


def _cells(segment: Segment) -> Iterator[tuple[int, int]]:
    (x, y), (end_x, end_y) = segment
    for column in range(int(min(x, end_x) // _CELL), int(max(x, end_x) // _CELL) + 1):
        for row in range(int(min(y, end_y) // _CELL), int(max(y, end_y) // _CELL) + 1):
            yield column, row


def _meeting(one: Segment, two: Segment) -> Point | None:
    """Where two segments cross."""
    (ax, ay), (bx, by) = one
    (cx, cy), (dx, dy) = two
    scale = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
    if abs(scale) < 1e-9:
        return None
    t = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / scale
    u = ((cx - ax) * (by - ay) - (cy - ay) * (bx - ax)) / scale
    if not (-1e-9 <= t <= 1 + 1e-9 and -1e-9 <= u <= 1 + 1e-9):
        return None
    return ax + t * (bx - ax), ay + t * (by - ay)


def _at_end(at: Point, wire: Wire) -> bool:
    return min(_distance(at, wire.points[0]), _distance(at, wire.points[-1])) < _NEAR


def _distance(one: Point, two: Point) -> float:
    return ((one[0] - two[0]) ** 2 + (one[1] - two[1]) ** 2) ** 0.5
