"""How deep a drawing is opened, and where it is broken: so that it reads well, and fits.

Without a depth, all is opened if that gives a drawing of at most 3200 points in width and 150
crossings; else the deepest levels are folded until it is one. If none is, it has the depth of the
fewest crossings. Drawings of moderate size are made in several variants, and the one with the
fewest crossings is taken. With a width, lines are broken at the widest that makes the sheet fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..options import DEEPEST, Options
from .gv import PAD
from .ids import Ids
from .measure import crossings
from .scene import Scene

WIDEST, MOST_CROSSED = 3200.0, 150
"""What still reads well."""

VARIANTS = 4
"""How many drawings are made to choose from."""

_FEW, _MANY_WIRES = 12, 300
_NARROWEST, _TRIES, _NEAR = 100.0, 7, 15.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A scene in the ids of one drawing, and what there is to say about it."""

    scene: Scene
    ids: Ids
    notes: tuple[str, ...] = ()


Make = Callable[[int, float, int], Drawn]
"""Draws to so many levels, in lines of about some width (0 breaks none), in one of its variants."""


def fitted(make: Make, options: Options, count: int = 1) -> Drawn:
    """What `make` draws, at the depth that reads well and broken to fit; `count` stand abreast."""
    depth = options.depth
    if depth is None:
        depth, drawn = _readable(make, count)
    else:
        drawn = make(depth, 0.0, 0)
    variant, drawn = _least_crossed(make, depth, drawn)
    room = options.width - 2 * PAD
    if not options.width or drawn.scene.width <= room:
        return drawn
    broken = _broken(lambda target: make(depth, target, variant), room)
    notes = drawn.notes
    if broken.scene.width > room:
        least, wanted = round(broken.scene.width + 2 * PAD), round(options.width)
        notes += (f"the drawing is {least} points wide: no break makes it fit into {wanted}",)
    return replace(broken, notes=notes)


def _readable(make: Make, count: int) -> tuple[int, Drawn]:
    drawn = make(DEEPEST, 0.0, 0)
    crossed = _crossed(drawn.scene, count)
    if crossed is None:
        return DEEPEST, drawn
    best = (crossed, 0, DEEPEST, drawn)
    nested = max((shape.depth for shape in drawn.scene.shapes if shape.is_frame), default=-1)
    for number, depth in enumerate(range(nested, -1, -1), 1):
        drawn = make(depth, 0.0, 0)
        crossed = _crossed(drawn.scene, count)
        best = min(best, (crossed or 0, number, depth, drawn), key=lambda found: found[:2])
        if crossed is None:
            break
    *_, depth, drawn = best
    if depth == DEEPEST:
        return depth, drawn
    note = f"drawn to the depth {depth}, which reads well; all is opened by --depth all"
    return depth, replace(drawn, notes=(note,))


def _crossed(scene: Scene, count: int) -> int | None:
    """The crossings of a scene that does not read well, None for one that does."""
    found = crossings(scene)
    return None if found <= MOST_CROSSED and scene.width <= WIDEST * count else max(found, 1)


def _least_crossed(make: Make, depth: int, drawn: Drawn) -> tuple[int, Drawn]:
    """The variant of a drawing with the fewest crossings; the first one where it has but few."""
    best = (crossings(drawn.scene), 0, drawn)
    if best[0] <= _FEW or len(drawn.scene.wires) > _MANY_WIRES:
        return 0, drawn
    for variant in range(1, VARIANTS):
        other = make(depth, 0.0, variant)
        best = min(best, (crossings(other.scene), variant, other), key=lambda found: found[:2])
    return best[1], replace(best[2], notes=drawn.notes)


def _broken(make: Callable[[float], Drawn], room: float) -> Drawn:
    """The widest lines that fit; the narrowest sheet that was found where none do."""
    low, high, target = _NARROWEST, room, room
    best: Drawn | None = None
    narrowest: Drawn | None = None
    for _ in range(_TRIES):
        drawn = make(target)
        over = drawn.scene.width - room
        if narrowest is None or drawn.scene.width < narrowest.scene.width:
            narrowest = drawn
        if over <= 0:
            low, best = target, drawn
        else:
            high = target
        if high - low < _NEAR or target >= room >= drawn.scene.width:
            break
        wanted = target - over if best is None else (low + high) / 2
        target = wanted if low < wanted < high else (low + high) / 2
    if best is None and narrowest is not None and low == _NARROWEST:
        last = make(_NARROWEST)
        if last.scene.width < narrowest.scene.width:
            narrowest = last
    assert narrowest is not None
    return best or narrowest
