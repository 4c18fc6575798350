"""What an overlay tells of wires: the memory that holds them, and the tiles that are taken of them.

Arrays of a kernel are in shared memory where it reads them tile by tile, and in registers where it
works them out.
"""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.analysis.levels import Kernel, Levels
from ncdlang.analysis.opening import Calls
from ncdlang.ir.diagram import Edge
from ncdlang.semantics.types import Axis, Wire

from .keys import Mark

NOTHING = Mark()


class Overlay:
    """The marks of the wires of one graph, which stands inside of `calls`.

    Without levels nothing is marked. `kernel` is the one whose operation is being drawn.
    """

    def __init__(self, levels: Levels | None, calls: Calls = ()) -> None:
        self._levels = levels
        self._calls = calls
        self._kernel: Kernel | None = None

    def inside(self, edge: Edge) -> Overlay:
        """The overlay of the graph of a call."""
        return Overlay(self._levels, (*self._calls, *(r.wire for r in edge.outputs[:1])))

    def enter(self, edge: Edge) -> None:
        """Go on with an operation."""
        if self._levels is not None:
            kernels = [self._levels.kernel(self._calls, r.wire) for r in edge.outputs]
            self._kernel = next((kernel for kernel in kernels if kernel is not None), None)

    def marks(self, wire: Wire) -> Sequence[Mark]:
        """The marks of a wire's axes; another one follows for its datatype."""
        axes = wire.type.axes
        if self._levels is None:
            return [NOTHING] * (len(axes) + 1)
        kernel = self._levels.held.get((self._calls, wire))
        if kernel is None:
            return [NOTHING] * (len(axes) + 1)
        return [
            *(Mark("registers", self._tile(kernel, axis)) for axis in axes),
            Mark("registers"),
        ]

    def loaded(self, axes: Sequence[Axis | None]) -> Sequence[Mark]:
        """The marks of an array in global memory where the operation reads it.

        `axes` are those that its wires are for the operation.
        """
        kernel = self._kernel
        if kernel is None:
            return [NOTHING] * len(axes)
        return [Mark("shared", self._tile(kernel, axis) if axis else "") for axis in axes]

    def _tile(self, kernel: Kernel, axis: Axis) -> str:
        tile = self._levels.tile(kernel, self._calls, axis) if self._levels else None
        return str(tile) if tile is not None else ""
