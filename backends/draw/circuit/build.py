"""From the diagram IR to circuits: operations in order, blocks and opened calls as frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ncdlang.analysis.levels import Levels
from ncdlang.ir.diagram import (
    Block,
    Contraction,
    Edge,
    Graph,
    Library,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.ir.lower import lower
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.program import CheckedDiagram, signature
from ncdlang.semantics.types import Wire

from ..boxes import told as only_read
from ..calls import call_title
from ..groups import Group
from ..notation import Notation
from ..options import Options
from ..text import clean
from .cells import Cells, by_place, reads, told
from .composites import left_whole
from .folding import circuit_groups, is_elementwise
from .frames import UNORDERED, Order, Sides, called_sides, sketched_orders, whole_sides
from .ids import Ids
from .keys import Datum, Made, Target
from .model import Array, Circuit, Element, Node, Part, Picture, Port, Use
from .overlay import Overlay
from .pictograms import Pictograms
from .reindexings import is_rearrangement, reindex, scatter
from .repeats import Repeat, repeats
from .scene import Scene
from .sheet import Inlet, Key, Outlet, Sheet, Spec, shown, typed

Lay = Callable[[Circuit, int], Scene]
"""Lays out what a frame holds, which is so many frames deep, before the frame is placed."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all circuits of one drawing share.

    `lay` draws the inside of a frame, `lowered` makes the graph of a call, and
    another `variant` has its rows in another order.
    """

    options: Options
    ids: Ids
    pictograms: Pictograms
    lay: Lay
    lowered: Callable[[CheckedDiagram], Graph] = lower
    variant: int = 0


@dataclass(frozen=True, slots=True)
class _Inside:
    """The wires that come into a piece of a diagram and go out of it, and its edges."""

    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    edges: tuple[Edge, ...]


def circuit(
    graph: Graph, context: Context, notation: Notation, depth: int, levels: Levels | None = None
) -> Circuit:
    """The circuit of a whole diagram, its inputs and outputs in the order of the signature.

    So many levels of calls and blocks are opened as `depth` says.
    """
    overlay = Overlay(levels)
    inside = _Inside(graph.inputs, graph.outputs, graph.edges)
    builder = _Builder(graph, context, notation, (graph.name,), depth, overlay)
    return builder.circuit(inside, is_free=False)


class _Builder:
    """Draws up one circuit; `level` is how many blocks of its graph are round it."""

    def __init__(
        self,
        graph: Graph,
        context: Context,
        notation: Notation,
        path: tuple[str, ...],
        depth: int,
        overlay: Overlay,
        level: int = 0,
        frames: int = 0,
        *,
        is_sketch: bool = False,
    ) -> None:
        self.graph = graph
        self.context = context
        self.path = path
        self.depth = depth
        self.level = level
        self.frames = frames
        self.is_sketch = is_sketch
        self.overlay = overlay
        self.sheet = Sheet(notation, overlay)
        self.cells = Cells(self.sheet, context.pictograms, path)
        self.orders: list[Order] = []
        self.sketches: list[tuple[Picture, Sides]] = []

    def circuit(self, inside: _Inside, *, is_free: bool, order: Order = UNORDERED) -> Circuit:
        """The circuit of a piece of the diagram; ends that are free may be in any order.

        `order` is the one that suits what is round it.
        """
        if not self.is_sketch:
            self.orders = self._sketched(inside, is_free, order)
        source, inputs = self._source(inside.inputs, is_free)
        self._delayed(inside)
        self._edges(inside.edges, set(inside.outputs))
        sink, outputs = self._sink(inside.outputs, is_free)
        found = self.sheet.finished(source, sink, inputs, outputs)
        ins, outs = order
        found.wanted = [inputs[a][i] for a, i in ins], [outputs[a][i] for a, i in outs]
        return found

    def _sketched(self, inside: _Inside, is_free: bool, order: Order) -> list[Order]:
        """What is asked of the frames of this circuit, in the order in which they are made."""
        ids = Ids()
        pictograms = Pictograms(ids, self.context.options.font)
        sketch = _Builder(
            self.graph, replace(self.context, ids=ids, pictograms=pictograms), self.sheet.notation,
            self.path, self.depth, self.overlay, self.level, self.frames, is_sketch=True,
        )  # fmt: skip
        drawn = sketch.circuit(inside, is_free=is_free, order=order)
        return sketched_orders(drawn, sketch.sketches, self.context.variant)

    # ---- ends -----------------------------------------------------------------------------------

    def _source(self, wires: Sequence[Wire], is_free: bool) -> tuple[Node, list[list[Port]]]:
        bundles = [(wire, self.sheet.ports(wire, is_told=not is_free)) for wire in wires]
        parts = [
            part
            for _, ports in bundles
            for part in _end([Element([], [[port]]) for port in ports], is_free)
        ]
        node = Node(parts, is_free=is_free)
        self.sheet.nodes.append(node)
        for wire, ports in bundles:
            self.sheet.array(wire, node, ports)
            if not is_free and not is_anonymous(wire) and not wire.name.startswith("input_"):
                ports[0].name = wire.name
        return node, [ports for _, ports in bundles]

    def _sink(self, wires: Sequence[Wire], is_free: bool) -> tuple[Node, list[list[Port]]]:
        parts: list[Part] = []
        uses: list[tuple[Array, list[Port]]] = []
        for wire in wires:
            ports = self.sheet.ports(wire, is_told=not is_free)
            parts += _end([Element([[port]], []) for port in ports], is_free)
            if len(wires) > 1 and not is_free and not is_anonymous(wire):
                ports[0].name = wire.name
            uses.append((self.sheet.made[wire], ports))
        node = Node(parts, is_free=is_free)
        self.sheet.nodes.append(node)
        for array, ports in uses:
            array.uses.append(Use(node, list(ports)))
        return node, [ports for _, ports in uses]

    def _terminal(self, wire: Wire, picture: Picture) -> None:
        """A box that a wire comes from: a parameter, or an earlier value of a recurrence."""
        ports = self.sheet.ports(wire, is_told=True)
        node = Node([Part([Element([], [list(ports)], picture)])])
        self.sheet.nodes.append(node)
        self.sheet.array(wire, node, ports)

    def _delayed(self, inside: _Inside) -> None:
        """Begin wires that are read before they are made: the earlier steps of a scan."""
        made: set[Wire] = set(inside.inputs) | {p.wire for p in self.graph.learned}
        own = {result.wire for edge in inside.edges for result in edge.outputs}
        for edge in inside.edges:
            for wire in reads(edge):
                if wire in own and wire not in made and wire not in self.sheet.made:
                    at = (*self.path, shown(wire), f"L{wire.span.line}", "earlier")
                    title = f"{typed(wire)}, as it was made before"
                    words = f"\N{ANTICLOCKWISE OPEN CIRCLE ARROW} {shown(wire)}"
                    self._terminal(wire, self.context.pictograms.box(words, title, *at))
            made |= {result.wire for result in edge.outputs}

    def _parameters(self, edges: Sequence[Edge]) -> None:
        learned = {parameter.wire for parameter in self.graph.learned}
        for edge in edges:
            for wire in reads(edge):
                if wire in learned and wire not in self.sheet.made:
                    at = (*self.path, wire.name, f"L{wire.span.line}")
                    picture = self.context.pictograms.box(wire.name, typed(wire), *at, is_bold=True)
                    self._terminal(wire, picture)

    # ---- operations -----------------------------------------------------------------------------

    def _edges(self, edges: Sequence[Edge], outputs: set[Wire]) -> None:
        """Operations in order; those of a block, and copies of one layer, become a frame."""
        runs = [
            (block, tuple(run))
            for block, run in groupby(map(left_whole, edges), key=lambda e: _block(e, self.level))
        ]
        for position, (block, run) in enumerate(runs):
            later = {w for _, rest in runs[position + 1 :] for e in rest for w in reads(e)}
            if block is not None:
                self._block(block, run, outputs | later)
            else:
                self._run(run, outputs | later)

    def _run(self, edges: Sequence[Edge], results: set[Wire]) -> None:
        found = repeats(self.graph, edges)
        inside = {edge for each in found.values() for edge in each.edges[1:]}
        kept = [edge for edge in edges if edge not in inside]
        for group in circuit_groups(kept, results | {w for e in inside for w in reads(e)}):
            self._parameters((group.root, *group.folded.values()))
            if group.root in found:
                self._repeat(found[group.root])
            else:
                self._group(group)

    def _group(self, group: Group) -> None:
        edge = group.root
        operator = edge.operator
        self.overlay.enter(edge)
        if isinstance(operator, Contraction):
            self.cells.contraction(group)
        elif isinstance(operator, Reduction):
            self.cells.reduction(edge)
        elif isinstance(operator, Reindex):
            self._reindex(edge)
        elif isinstance(operator, Scattering):
            at = self.cells.at(edge)
            source = self.cells.inlet(edge.inputs[0], 0)
            scatter(self.sheet, self.context.pictograms, edge, source, at, told(edge))
        elif isinstance(operator, Scan):
            self._scan(only_read(edge, self.graph), operator)
        elif isinstance(operator, Library) and not is_elementwise(edge):
            self._call(edge, operator)
        else:
            self.cells.elementwise(group)

    def _reindex(self, edge: Edge) -> None:
        wire = edge.outputs[0].wire
        if not is_rearrangement(edge):
            at = self.cells.at(edge)
            reindex(self.sheet, self.context.pictograms, edge, at, told(edge))
            return
        inlet = self.cells.inlet(edge.inputs[0], 0)
        datum: list[Key] = [Datum("in", 0)] if Datum("in", 0) in inlet.keys else []
        keys: list[Key] = [*edge.degree, *datum]
        order: list[Key] = [key for key in inlet.keys if key in keys]
        self.cells.pass_on(wire, inlet, order)

    def _call(self, edge: Edge, operator: Library) -> None:
        if self._is_opened(operator):
            self._open(edge, operator)
        else:
            self.cells.call(edge, operator)

    def _is_opened(self, operator: Library) -> bool:
        callee = operator.callee
        if self.depth <= 0 or callee.primitive:
            return False
        return not callee.library or self.context.options.opens_library

    # ---- frames ---------------------------------------------------------------------------------

    def _inner(
        self,
        graph: Graph,
        notation: Notation,
        path: tuple[str, ...],
        level: int,
        overlay: Overlay | None = None,
    ) -> _Builder:
        frames, depth = self.frames + 1, self.depth - 1
        overlay = overlay or self.overlay
        return _Builder(graph, self.context, notation, path, depth, overlay, level, frames)

    def _circuit_in(self, builder: _Builder, inside: _Inside) -> Circuit | None:
        """The circuit in a frame, None in a sketch."""
        if self.is_sketch:
            return None
        return builder.circuit(inside, is_free=True, order=self.orders.pop(0))

    def _block(self, block: Block, run: tuple[Edge, ...], later: set[Wire]) -> None:
        """A block: a frame that wires enter and leave as they are."""
        title = clean(block.title)
        made = {r.wire for edge in run for r in edge.outputs}
        learned = {p.wire for p in self.graph.learned if p.wire not in self.sheet.made}
        read = dict.fromkeys(w for edge in run for w in reads(edge))
        inputs = tuple(w for w in read if w not in made | learned)
        outputs = tuple(r.wire for edge in run for r in edge.outputs if r.wire in later)
        at = (*self.path, title, f"L{run[0].span.line}", "block")
        if self.depth <= 0:
            picture = self.context.pictograms.box(title, title, *at)
            self._closed(inputs, outputs, picture)
            return
        builder = self._inner(self.graph, self.sheet.notation, self.path, self.level + 1)
        inner = self._circuit_in(builder, _Inside(inputs, outputs, run))
        picture = self._frame("block", title, title, at, inner)
        self._framed(inputs, outputs, picture, inner)

    def _closed(self, inputs: Sequence[Wire], outputs: Sequence[Wire], picture: Picture) -> None:
        """Put a box on the sheet that whole wires enter and leave."""
        ins, outs = self._whole(inputs, outputs)
        spec = Spec([list(i.keys) for i in ins], [list(o.keys) for o in outs], picture)
        self.sheet.operation(ins, [spec], outs)

    def _framed(
        self,
        inputs: Sequence[Wire],
        outputs: Sequence[Wire],
        picture: Picture,
        inner: Circuit | None,
    ) -> None:
        """Put a frame on the sheet that whole wires enter and leave."""
        ins, outs = self._whole(inputs, outputs)
        left, right = [list(i.keys) for i in ins], [list(o.keys) for o in outs]
        sides = whole_sides([len(keys) for keys in left], [len(keys) for keys in right])
        if inner is None:
            self.sketches.append((picture, sides))
            spec = Spec(left, right, picture, is_open=True)
        else:
            fixed = sides.places(inner)
            spec = Spec(by_place(left, fixed[0]), by_place(right, fixed[1]), picture, *fixed)
        self.sheet.operation(ins, [spec], outs)

    def _whole(
        self, inputs: Sequence[Wire], outputs: Sequence[Wire]
    ) -> tuple[list[Inlet], list[Outlet]]:
        """Arrays as something reads and makes them whole, each strand by its place."""
        ins: list[Inlet] = []
        for number, wire in enumerate(inputs):
            array = self.sheet.made[wire]
            keys: list[Key] = [Target(number, place) for place in range(len(array.strands))]
            ins.append(Inlet(array, keys))
        outs: list[Outlet] = []
        for number, wire in enumerate(outputs):
            keys = [Made(number, place) for place in range(len(self.sheet.strands(wire)))]
            outs.append(Outlet(wire, keys))
        return ins, outs

    def _frame(
        self, shape: str, words: str, title: str, at: tuple[str, ...], inner: Circuit | None
    ) -> Picture:
        if inner is None:
            return self.context.pictograms.box(words, title, *at)
        scene = self.context.lay(inner, self.frames + 1)
        return Picture(
            shape, self.context.ids.new(*at), title, words,
            width=scene.width, height=scene.height, inner=scene,
        )  # fmt: skip

    def _open(self, edge: Edge, operator: Library, count: int = 1) -> None:
        """A call that is opened: its targets enter the frame, its tiled axes pass over it."""
        name = operator.instance.name if operator.instance is not None else operator.callee.name
        name = name.partition(".")[0] if count > 1 else name
        graph = self.context.lowered(operator.callee)
        notation = self.sheet.notation.inside(operator.binding)
        overlay = self.overlay.inside(edge)
        builder = self._inner(graph, notation, (*self.path, name), 0, overlay)
        inner = self._circuit_in(builder, _Inside(graph.inputs, graph.outputs, graph.edges))
        words = _count_title(call_title(edge, operator), name, count)
        title = f"{signature(operator.callee)}\n{told(edge)}"
        at = (*self.path, name, f"L{edge.span.line}", "call")
        sides = called_sides(edge, operator, graph)
        if inner is None:
            picture = self._frame("call", words, title, at, None)
            self.sketches.append((picture, sides))
            self.cells.boxed(edge, picture, is_open=True)
            return
        self._tell_renamed(edge, operator, inner)
        picture = self._frame("brackets" if count > 1 else "call", words, title, at, inner)
        picture.subscript = str(count) if count > 1 else ""
        self.cells.boxed(edge, picture, sides.places(inner))

    def _tell_renamed(self, edge: Edge, operator: Library, inner: Circuit) -> None:
        """Label the wires in a call that are called otherwise than outside."""
        for number, operand in enumerate(edge.inputs):
            axes = zip(operand.wire.type.axes, operand.weave, strict=True)
            outer = [self.sheet.notation.axis(axis) for axis, target in axes if target]
            formal = operator.input_targets[number]
            own = operator.callee.parameters[number].type.axes
            names = dict(zip(formal, outer, strict=True))
            for axis, port in zip(own, inner.inputs[number], strict=False):
                port.is_told = names.get(axis) != port.strand.label

    def _repeat(self, repeat: Repeat) -> None:
        """Copies of a layer: drawn once, with their number."""
        first, last = repeat.edges[0], repeat.edges[-1]
        operator = first.operator
        assert isinstance(operator, Library)
        edge = _giving(first, last)
        if self._is_opened(operator):
            self._open(edge, operator, len(repeat.edges))
            return
        self.cells.repeated(edge, operator, len(repeat.edges))

    def _scan(self, edge: Edge, operator: Scan) -> None:
        """A recurrence: a frame whose wires come back from where they were made before."""
        axis = self.sheet.notation.axis(operator.axis)
        words = f"scan {axis}" + (", backwards" if operator.reverse else "")
        inputs = tuple(operand.wire for operand in edge.inputs)
        outputs = tuple(result.wire for result in edge.outputs)
        at = (*self.path, *self.cells.at(edge)[1:], "scan")
        if self.depth <= 0:
            picture = self.context.pictograms.box(words, told(edge), *at)
            self._closed(inputs, outputs, picture)
            return
        builder = self._inner(self.graph, self.sheet.notation, self.path, 64)
        inner = self._circuit_in(builder, _Inside(inputs, outputs, operator.edges))
        self._framed(inputs, outputs, self._frame("scan", words, told(edge), at, inner), inner)


def _end(elements: list[Element], is_free: bool) -> list[Part]:
    """The parts of an array at an end: its wires move one by one, unless they may be reordered."""
    if is_free:
        return [Part(elements, is_free=True)]
    return [Part([element], goes_on=number > 0) for number, element in enumerate(elements)]


def _giving(first: Edge, last: Edge) -> Edge:
    """The first of a stack of copies, giving what the last one gives."""
    return Edge(first.operator, first.degree, first.inputs, last.outputs, first.span, first.blocks)


def _block(edge: Edge, level: int) -> Block | None:
    return edge.blocks[level] if level < len(edge.blocks) else None


def _count_title(title: str, name: str, count: int) -> str:
    return title if count == 1 else title.replace(f"{name}.0: ", "")
