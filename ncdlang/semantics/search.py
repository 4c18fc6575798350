"""Small sizes that satisfy given conditions, the most natural ones first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from ncdlang.semantics.formulas import Formula, holds
from ncdlang.semantics.positivity import System
from ncdlang.semantics.size import Size, Symbol

_LARGEST = 5


def small_sizes(
    symbols: Sequence[Symbol], conditions: Sequence[Formula], budget: int
) -> Iterator[dict[Symbol, int]]:
    """Values of the symbols at which the conditions hold: positive ones first, then by size.

    Equations and lower bounds among the conditions are solved first, so that sizes which satisfy
    them are found even if they are not small themselves.
    """
    system = System(conditions)
    images = [system.images.get(symbol, Size.of(symbol)) for symbol in symbols]
    free = list(dict.fromkeys(s for image in images for s in sorted(image.symbols())))
    top = _LARGEST
    while top > 1 and (top + 1) ** len(free) > budget:
        top -= 1
    found: set[tuple[int, ...]] = set()
    for values in product(range(top + 1), repeat=min(len(free), _depth(budget))):
        point = dict.fromkeys(free, 1) | dict(zip(free, values, strict=False))
        found.add(tuple(image.evaluate(point) for image in images))
    for sizes in sorted(found, key=lambda sizes: (0 in sizes, sizes)):
        candidate = dict(zip(symbols, sizes, strict=True))
        if min(sizes, default=0) >= 0 and _hold(conditions, candidate):
            yield candidate


def _depth(budget: int) -> int:
    return max(1, budget.bit_length() - 1)


def _hold(conditions: Sequence[Formula], sizes: dict[Symbol, int]) -> bool:
    try:
        return all(holds(condition, sizes) for condition in conditions)
    except ZeroDivisionError:
        return False
