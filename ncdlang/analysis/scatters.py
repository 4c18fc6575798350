"""Writes at indices: `Y[I[t], c] += U[t c]`, by the classes of their axes.

An axis of the source that is copied whole to one dimension and on which nothing else depends is a
slice (see `scatter`): its entries never meet, and one program moves a tile of them. All other axes
are taken together as one list of sources, each of which has a place. Sources with the same place
meet: they are combined atomically, or, sorted by their places, one after the other.
"""

from __future__ import annotations

from ncdlang.analysis.terms import Array, Term, Terms, reads
from ncdlang.records import record
from ncdlang.semantics.types import Axis

IDENTITY = {"=": 0.0, "+=": 0.0, "max=": float("-inf"), "min=": float("inf")}


@record(eq=False)
class Scattered:
    """`array[indices] op source` for all indices along `axes`; `base` is what is written into.

    `indices` has a term over `axes` for each dimension of the array, `base` is one over the axes
    of the array. Without `collides` no two sources have the same place. `into` is the array whose
    gradient is made.
    """

    terms: Terms
    array: Array
    op: str
    axes: tuple[Axis, ...]
    indices: tuple[Term, ...]
    source: Term
    base: Term | None
    collides: bool
    into: Array | None = None

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that it reads."""
        return tuple(reads(*self.parts))

    @property
    def parts(self) -> tuple[Term, ...]:
        """The terms that it works with."""
        return (self.source, *self.indices, *((self.base,) if self.base is not None else ()))

    @property
    def lanes(self) -> tuple[tuple[Axis, Axis], ...]:
        """The slice axes of the source, each with the axis of the array that it covers."""
        found: list[tuple[Axis, Axis]] = []
        for position, (axis, index) in enumerate(zip(self.array.axes, self.indices, strict=True)):
            others = [other for i, other in enumerate(self.indices) if i != position]
            if index.op != "index" or axis.parts or index.data.size != axis.size:
                continue
            if not any(index.data in other.axes for other in others):
                found.append((index.data, axis))
        return tuple(found)

    @property
    def listed(self) -> tuple[Axis, ...]:
        """The axes of the list of sources."""
        lanes = {source for source, _ in self.lanes}
        return tuple(axis for axis in self.axes if axis not in lanes)

    @property
    def keys(self) -> tuple[tuple[Axis, Term], ...]:
        """The axes of the array that places are on, and the index along each."""
        covered = {axis for _, axis in self.lanes}
        pairs = zip(self.array.axes, self.indices, strict=True)
        return tuple((axis, index) for axis, index in pairs if axis not in covered)
