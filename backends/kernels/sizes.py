"""Sizes of a call: what the shapes of the inputs, given numbers and defaults say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size, Symbol, constant


def solve(
    diagram: CheckedDiagram, shapes: Iterable[tuple[int, ...]], given: Mapping[str, int]
) -> dict[Symbol, int] | None:
    """The sizes of a diagram's axes; None where they do not fit, which is for others to say."""
    sizes = {s: given[s.name] for s in diagram.unknowns if s.name in given}
    equations: list[tuple[Size, int]] = []
    for wire, shape in zip(diagram.parameters, shapes, strict=True):
        equations += zip((axis.size for axis in wire.type.axes), shape, strict=True)
    _propagate(equations, sizes)
    for free in diagram.free:
        symbol, default = free.axis.symbol, free.default
        if symbol is not None and default is not None and default.symbols() <= sizes.keys():
            sizes.setdefault(symbol, default.evaluate(sizes))
    _propagate(equations, sizes)
    for size, length in equations:
        if not size.symbols() <= sizes.keys() or size.evaluate(sizes) != length:
            return None
    return sizes


def _propagate(equations: list[tuple[Size, int]], sizes: dict[Symbol, int]) -> None:
    progress = True
    while progress:
        progress = False
        for size, length in equations:
            unknown = size.symbols() - sizes.keys()
            if len(unknown) != 1:
                continue
            (symbol,) = unknown
            known = size.substitute({s: constant(v) for s, v in sizes.items()})
            slope = dict(known.terms).get(((symbol, 1),), 0)
            rest = known - Size.of(symbol) * slope
            if slope and rest.value is not None and (length - rest.value) % slope == 0:
                sizes[symbol] = (length - rest.value) // slope
                progress = True
