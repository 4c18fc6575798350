"""How much of the streamed axis the tiles of a region visit under its mask, as a share of it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import Term, subterms
from ncdlang.analysis.visible import visible
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

MAX_SAMPLES = 512

# The least and the greatest value of a number.
Bounds = tuple[int, int]


def visited(region: Region, sizes: Mapping[Symbol, int], tiles: Mapping[Axis, int]) -> Fraction:
    """The share of the streamed tiles that tiles of rows visit, on average over the rows.

    A range that depends on a batch axis is taken at the first index of it, one that depends on
    several axes of rows at equal places of all of them. It is 1 where data decide.
    """
    found = visible(region)
    total = product(axis.size for axis in region.stream).evaluate(sizes)
    if found is None or not total:
        return Fraction(1)
    step = min(tiles.get(region.stream[0], total), total)
    ends = [end for end in (found.start, found.stop) if end is not None]
    read = {term.data for term in subterms(*ends) if term.op == "index"}
    lengths = {axis: axis.size.evaluate(sizes) for axis in region.rows if axis in read}
    counts = {axis: -(-n // min(tiles.get(axis, n) or 1, n or 1)) for axis, n in lengths.items()}
    samples = min(max(counts.values(), default=1), MAX_SAMPLES) or 1
    seen = 0
    for sample in range(samples):
        at: dict[Axis, Bounds] = {}
        for axis, count in counts.items():
            tile = min(tiles.get(axis, lengths[axis]), lengths[axis])
            place = sample * count // samples
            at[axis] = place * tile, min((place + 1) * tile, lengths[axis]) - 1
        try:
            first = _bounds(found.start, at, sizes)[0] if found.start else 0
            last = _bounds(found.stop, at, sizes)[1] if found.stop else total
        except _Unknown:
            return Fraction(1)
        first, last = max(first, 0) // step, -(-min(last, total) // step)
        seen += max(last - first, 0)
    return Fraction(seen, samples * -(-total // step))


class _Unknown(Exception):
    """A number that is not known before the program runs."""


def _bounds(term: Term, at: Mapping[Axis, Bounds], sizes: Mapping[Symbol, int]) -> Bounds:
    """The bounds of a term over a tile; those of a sum or product are those of its parts."""
    match term.op:
        case "number":
            return int(term.data), int(term.data)
        case "size":
            return (number := term.data.evaluate(sizes)), number
        case "index":
            return at.get(term.data, (0, 0))
        case "fold" if term.kind in ("max", "min"):
            low, high = _bounds(term.args[0], at, sizes)
            return (high, high) if term.kind == "max" else (low, low)
        case "real" | "neg" | "add" | "sub" | "mul" | "max" | "min" | "floordiv" | "mod":
            return _applied(term.op, [_bounds(arg, at, sizes) for arg in term.args])
        case _:
            raise _Unknown


def _applied(op: str, args: list[Bounds]) -> Bounds:
    (low, high), (least, most) = args[0], args[-1]
    match op:
        case "neg":
            return -high, -low
        case "add":
            return low + least, high + most
        case "sub":
            return low - most, high - least
        case "mul":
            corners = [a * b for a in (low, high) for b in (least, most)]
            return min(corners), max(corners)
        case "max":
            return max(low, least), max(high, most)
        case "min":
            return min(low, least), min(high, most)
        case "floordiv" if least > 0:
            corners = [a // b for a in (low, high) for b in (least, most)]
            return min(corners), max(corners)
        case "mod" if least > 0:
            return (low % least, low % least) if (low, least) == (high, most) else (0, most - 1)
        case "real":
            return low, high
        case _:
            raise _Unknown
