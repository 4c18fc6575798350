"""Where the arrays of a diagram are while its kernels run: the levels of memory.

Inputs, parameters and all that one kernel makes for another are in global memory. A kernel brings
tiles of what it reads into shared memory, and all else that it works out stays in registers
(arXiv 2412.03317, section 2). An axis of a kernel is *grouped*, one tile for each program, or
*streamed*, one tile after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ncdlang.analysis.devices import Device
from ncdlang.analysis.opening import Calls, Inside, open_diagram
from ncdlang.analysis.plan import Plan, Region, make_plan
from ncdlang.analysis.region_cost import step_cost, unknown_sizes
from ncdlang.analysis.separate import under_condition
from ncdlang.analysis.steps import arrays_of
from ncdlang.analysis.terms import Array, Term, subterms
from ncdlang.ir.diagram import Graph
from ncdlang.records import record
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Symbol
from ncdlang.semantics.types import Axis, Wire

GROUPED, STREAMED = "g", "s"


@record(eq=False)
class Tile:
    """What a kernel takes of an axis at a time: grouped or streamed; `length` where it is known."""

    role: str
    length: int | None = None

    def __str__(self) -> str:
        return f"{self.role}{self.length if self.length is not None else ''}"


@record(eq=False)
class Kernel:
    """A region with its tiles by axis, those of which no program holds the whole."""

    region: Region
    tiles: Mapping[Axis, Tile]


@record(eq=False)
class Levels:
    """The kernels of a diagram, and which of them each wire belongs to.

    `makers` has the wires that a kernel writes to global memory, `held` those that never leave it.
    """

    plan: Plan
    kernels: tuple[Kernel, ...]
    makers: Mapping[tuple[Calls, Wire], Kernel]
    held: Mapping[tuple[Calls, Wire], Kernel]

    def kernel(self, calls: Calls, wire: Wire) -> Kernel | None:
        """The kernel that makes a wire, None for what the library or nobody makes."""
        return self.held.get((calls, wire)) or self.makers.get((calls, wire))

    def tile(self, kernel: Kernel, calls: Calls, axis: Axis) -> Tile | None:
        """What a kernel takes of an axis of a graph at a time, None for all of it."""
        inside = self.plan.opened.inside.get(calls)
        return kernel.tiles.get(inside.axes.get(axis, axis) if inside else axis)


def find_levels(
    diagram: CheckedDiagram,
    sizes: Mapping[Symbol, int],
    device: Device,
    dtype: str,
    lowered: Callable[[CheckedDiagram], Graph],
) -> Levels:
    """The levels of a diagram's wires, those of the graphs that `lowered` makes.

    Raises Opaque where a diagram has no kernels.
    """
    plan = make_plan(open_diagram(diagram, lowered), sizes)
    kernels = tuple(_kernel(region, sizes, device, dtype) for region in plan.regions)
    arrays = {array.made: array for step in plan.steps for array in arrays_of(step)}
    stored: dict[Term, Kernel | None] = {}
    inner: dict[Term, Kernel] = {}
    for step in plan.steps:
        kernel = next((k for k in kernels if k.region is step), None)
        stored.update({a.made: kernel for a in arrays_of(step) if a.made is not None})
    for kernel in kernels:
        for output in kernel.region.outputs:
            for term in subterms(output.written, output.term):
                inner.setdefault(term, kernel)
    makers: dict[tuple[Calls, Wire], Kernel] = {}
    held: dict[tuple[Calls, Wire], Kernel] = {}
    for calls, inside in plan.opened.inside.items():
        for wire, written in inside.wires.items():
            term = under_condition(plan.opened.terms, written)
            term = written if written in stored else term
            if term in stored or _is_read(term):
                kernel = stored.get(term)
                if kernel is not None:
                    makers[calls, wire] = kernel
                continue
            kernel = inner.get(term) or inner.get(_reading(plan, arrays, term))
            if kernel is not None:
                held[calls, wire] = kernel
    levels = Levels(plan, kernels, makers, held)
    for calls, inside in plan.opened.inside.items():
        held |= _steps_between(levels, calls, inside, stored)
    return levels


def _reading(plan: Plan, arrays: Mapping[Term | None, Array], whole: Term) -> Term:
    """A term that reads what is made before, as kernels do."""
    terms = plan.opened.terms

    def image(term: Term) -> Term | None:
        array = arrays.get(term)
        return terms.load(array, tuple(map(terms.index, array.axes))) if array else None

    return terms.map(whole, image)


def _kernel(region: Region, sizes: Mapping[Symbol, int], device: Device, dtype: str) -> Kernel:
    lengths: Mapping[Axis, int] = {}
    if not unknown_sizes(region, sizes):
        lengths = step_cost(region, sizes, device, dtype).tiles
    columns = (axis for output in region.outputs for axis in output.columns)
    tiles = {axis: Tile(GROUPED, 1) for axis in region.batch}
    tiles |= {axis: Tile(GROUPED, lengths.get(axis)) for axis in region.rows}
    tiles |= {axis: Tile(STREAMED, lengths.get(axis)) for axis in region.stream}
    for axis in columns:
        length = lengths.get(axis)
        if length is not None and length < axis.size.evaluate(sizes):
            tiles[axis] = Tile(GROUPED, length)
    return Kernel(region, tiles)


def _steps_between(
    levels: Levels, calls: Calls, inside: Inside, stored: Mapping[Term, Kernel | None]
) -> dict[tuple[Calls, Wire], Kernel]:
    """Wires that only one kernel reads: it works them out, in whatever form it has them."""
    found: dict[tuple[Calls, Wire], Kernel] = {}
    readers: dict[Wire, list[Kernel | None]] = {}
    for edge in reversed(inside.graph.edges):
        kernel: Kernel | None = None
        for wire in (result.wire for result in edge.outputs):
            kernel = levels.kernel(calls, wire) or found.get((calls, wire)) or kernel
            reading = readers.get(wire, [None])
            term = inside.wires.get(wire)
            if kernel is not None or term is None or term in stored or _is_read(term):
                continue
            if reading[0] and len(set(reading)) == 1:
                kernel = found[calls, wire] = reading[0]
        callee = levels.plan.opened.inside.get((*calls, *(r.wire for r in edge.outputs[:1])))
        for number, operand in enumerate(edge.inputs):
            # What a call reads from global memory is there before it.
            formal = callee.graph.inputs[number] if callee else None
            is_held = formal is None or ((*calls, edge.outputs[0].wire), formal) in levels.held
            readers.setdefault(operand.wire, []).append(kernel if is_held else None)
    return found


def _is_read(term: Term) -> bool:
    """Whether a term is an array as it is in memory, its axes in whatever order."""
    return term.op == "load" and all(arg.op == "index" for arg in term.args)
