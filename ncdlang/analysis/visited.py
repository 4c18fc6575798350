"""How much of the streamed axis the tiles of a region visit under its mask, as a share of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import Term
from ncdlang.analysis.visible import visible
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

MAX_SAMPLES = 512

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "max": max,
    "min": min,
}


def visited(region: Region, sizes: Mapping[Symbol, int], tiles: Mapping[Axis, int]) -> Fraction:
    """The share of the streamed tiles that tiles of rows visit, on average over the rows.

    A range that depends on a batch axis is taken at the first index of it, one that depends on
    several axes of rows at equal places of all of them.
    """
    found = visible(region)
    total = product(axis.size for axis in region.stream).evaluate(sizes)
    if found is None or not total:
        return Fraction(1)
    step = min(tiles.get(region.stream[0], total), total)
    ends = {**found.lowest, **found.highest}
    if not ends:
        return Fraction(1)
    lengths = {axis: axis.size.evaluate(sizes) for axis in ends}
    counts = {axis: -(-n // min(tiles.get(axis, n) or 1, n or 1)) for axis, n in lengths.items()}
    most = max(counts.values())
    samples = min(most, MAX_SAMPLES) or 1
    seen = 0
    for sample in range(samples):
        at: dict[Axis, int] = {}
        for axis, count in counts.items():
            tile = min(tiles.get(axis, lengths[axis]), lengths[axis])
            place = sample * count // samples
            at[found.lowest[axis]] = place * tile
            at[found.highest[axis]] = min((place + 1) * tile, lengths[axis]) - 1
        first = _number(found.span.start, at, sizes) if found.span.start else 0
        last = _number(found.span.stop, at, sizes) if found.span.stop else total
        first, last = max(first, 0) // step, -(-min(last, total) // step)
        seen += max(last - first, 0)
    return Fraction(seen, samples * -(-total // step))


def _number(term: Term, at: Mapping[Axis, int], sizes: Mapping[Symbol, int]) -> int:
    match term.op:
        case "number":
            return int(term.data)
        case "size":
            return term.data.evaluate(sizes)
        case "index":
            return at.get(term.data, 0)
        case "neg":
            return -_number(term.args[0], at, sizes)
        case op if op in _OPERATIONS:
            return _OPERATIONS[op](*(_number(arg, at, sizes) for arg in term.args))
        case _:
            return _number(term.args[0], at, sizes)
