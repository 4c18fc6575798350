"""Cuts regions that accumulate more than the registers of a tile of rows hold.

Regions over the same tiles are one kernel (`steps.merged`), which reads and works out what they
share once. Each matrix that it sums up takes registers all along the stream, though: beyond what
there are they spill to memory with every tile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ncdlang.analysis.roles import inner_folds
from ncdlang.analysis.steps import Output, Region, Step
from ncdlang.analysis.terms import Term, subterms
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis

# Columns of f32 beside a row, of all matrices. 128 rows and 8 warps then take half of the 255
# registers of a thread; scores, their gradients and addresses take the others.
MOST = 256
# Tiles of longer columns have fewer rows, so that a matrix takes no more registers.
WIDEST = 128


def within_registers(steps: Iterable[Step], sizes: Mapping[Symbol, int]) -> list[Step]:
    """The steps, with as few kernels for each region as keep `MOST` columns or fewer each."""
    found: list[Step] = []
    for step in steps:
        found += parts(step, sizes) if isinstance(step, Region) else (step,)
    return found


def parts(region: Region, sizes: Mapping[Symbol, int]) -> list[Region]:
    """Regions that make the outputs of one. What shares most inner products stays together.

    An output by itself may keep more columns than there should be: it is not cut.
    """
    if columns_kept(region, region.outputs, sizes) <= MOST:
        return [region]
    rest = list(region.outputs)
    found: list[Region] = []
    while rest:
        chosen = [rest.pop(0)]
        while fitting := [o for o in rest if columns_kept(region, (*chosen, o), sizes) <= MOST]:
            known = _inner(region, chosen)
            best = max(fitting, key=lambda output: len(known & _inner(region, (output,))))
            chosen.append(best)
            rest.remove(best)
        found.append(_part(region, [o for o in region.outputs if o in chosen]))
    return found


def columns_kept(region: Region, outputs: Sequence[Output], sizes: Mapping[Symbol, int]) -> int:
    """How many columns the accumulators of some outputs of a region have together."""
    rows = frozenset(region.rows)
    columns = {axis for output in region.outputs for axis in output.columns}
    matrices = [fold for fold in _folds(region, outputs) if fold.axes & rows]
    return sum(_width(fold.axes & columns, sizes) for fold in matrices if fold.axes & columns)


def _width(columns: Iterable[Axis], sizes: Mapping[Symbol, int]) -> int:
    """How many columns a tile of a matrix has; those of unknown size are as many as may be."""
    length = product(axis.size for axis in columns)
    if not length.symbols() <= sizes.keys():
        return WIDEST
    return min(length.evaluate(sizes), WIDEST)


def _folds(region: Region, outputs: Sequence[Output]) -> list[Term]:
    """The accumulators of some outputs, each after those that it waits for."""
    used = set(subterms(*(output.term for output in outputs)))
    return [fold for fold in region.folds if fold in used]


def _inner(region: Region, outputs: Sequence[Output]) -> set[Term]:
    """The inner products that some outputs are made of."""
    streamed = frozenset(region.stream)
    return {i for fold in _folds(region, outputs) for i in inner_folds(fold.args[0], streamed)}


def _part(region: Region, outputs: Sequence[Output]) -> Region:
    folds = _folds(region, outputs)
    growth = {fold: region.growth[fold] for fold in folds if fold in region.growth}
    return Region(
        region.terms,
        region.batch,
        region.rows,
        region.stream,
        tuple(outputs),
        tuple(folds),
        growth,
    )
