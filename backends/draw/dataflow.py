"""From the diagram IR to a picture of its dataflow: one box for each equation and each call."""

from __future__ import annotations

from dataclasses import dataclass, field

from ncdlang.ir.diagram import Block, Edge, Graph, Library, Operand, Scan, Scattering
from ncdlang.ir.lower import lower
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.program import CheckedDiagram, signature
from ncdlang.semantics.types import ArrayType, Wire, gathered

from .boxes import is_learned, told, words
from .calls import call_title
from .groups import Group, groups, is_box, wires_read
from .notation import Notation, is_own_index
from .options import Options
from .phrases import Phrase, phrase
from .picture import End, Frame, Item, Label, Link, Node, Picture, Port, Role
from .text import clean, identifier

_LONGEST_SOURCE = 160
_LONGEST_CALL = 24


def dataflow(diagram: CheckedDiagram, options: Options, notation: Notation) -> Picture:
    """The picture of a diagram, with calls opened as deep as the options say."""
    painter = _Painter(options)
    graph = lower(diagram)
    canvas = _Canvas()
    layer = _Layer(painter, graph, canvas, (graph.name,), notation, options.depth or 0)
    inputs = tuple(layer.terminal(wire, "input") for wire in graph.inputs)
    layer.draw()
    outputs = tuple(layer.output(wire) for wire in graph.outputs)
    links = tuple(link for source in painter.sources for link in painter.links(source))
    return Picture(graph.name, signature(diagram), inputs, outputs, canvas.finished(), links)


@dataclass(slots=True, eq=False)
class _Canvas:
    """The whole picture or a frame in it, while it fills up."""

    name: str = ""
    id: str = ""
    title: str = ""
    tooltip: tuple[str, ...] = ()
    is_call: bool = False
    items: list[Node | _Canvas] = field(default_factory=list["Node | _Canvas"])

    def finished(self) -> tuple[Item, ...]:
        """The items, with the frames among them finished."""
        return tuple(
            item
            if isinstance(item, Node)
            else Frame(item.name, item.id, item.title, item.is_call, item.tooltip, item.finished())
            for item in self.items
        )


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a wire goes to; a result is a terminal that tells the wire's name itself."""

    end: End
    id: str
    is_result: bool = False


@dataclass(slots=True, eq=False)
class _Source:
    """Where a wire comes from, and every place that it goes to."""

    end: End
    id: str
    label: Label
    tooltip: str
    canvas: _Canvas
    is_terminal: bool
    call: str = ""
    heads: list[_Head] = field(default_factory=list[_Head])


class _Painter:
    """Hands out names and ids, and draws wires once all their ends are known."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.sources: list[_Source] = []
        self._ids: set[str] = set()
        self._count = 0

    def name(self) -> str:
        """A new name of a node or frame, for DOT only."""
        self._count += 1
        return f"n{self._count}"

    def id(self, *parts: str) -> str:
        """An id of names in the source, with a number where another is alike."""
        pieces = (identifier(piece) for part in parts for piece in part.split("."))
        wanted = ".".join(filter(None, pieces)) or "diagram"
        text, number = wanted, 1
        while text in self._ids:
            number += 1
            text = f"{wanted}.{number}"
        self._ids.add(text)
        return text

    def links(self, source: _Source) -> list[Link]:
        """The wire from one source: straight to its end, or by a dot where it forks.

        A wire is labelled once: at its terminal if it has one, else on its first part.
        """
        label = source.label if source.label.name and not source.is_terminal else None
        if source.is_terminal or len(source.heads) < 2:
            return [
                self._link(source, source.end, head, None if head.is_result else label)
                for head in source.heads
            ]
        fork = Node(self.name(), self.id(source.id, "fork"), "fork", (source.tooltip,))
        source.canvas.items.append(fork)
        first = self._link(source, source.end, _Head(End(fork.name), fork.id), label)
        return [first, *(self._link(source, End(fork.name), head, None) for head in source.heads)]

    def _link(self, source: _Source, tail: End, head: _Head, label: Label | None) -> Link:
        id_ = self.id(source.id, "to", head.id)
        return Link(id_, tail, head.end, source.tooltip, label)


class _Layer:
    """Draws one graph: the diagram itself, or the inside of a call that is opened."""

    def __init__(
        self,
        painter: _Painter,
        graph: Graph,
        canvas: _Canvas,
        path: tuple[str, ...],
        notation: Notation,
        depth: int,
    ) -> None:
        self.painter = painter
        self.graph = graph
        self.path = path
        self.notation = notation
        self.depth = depth
        self.made: dict[Wire, _Source] = {}
        self.canvases: dict[tuple[Block, ...], _Canvas] = {(): canvas}
        self.learned = {parameter.wire for parameter in graph.learned}

    # ---- terminals ------------------------------------------------------------------------------

    def terminal(self, wire: Wire, role: Role, canvas: _Canvas | None = None) -> Node:
        """The node of an input or a parameter; its wire starts there."""
        label = self._label(wire)
        id_ = self.painter.id(*self.path, _shown(wire), f"L{wire.span.line}")
        node = Node(self.painter.name(), id_, role, (str(wire),), label=label)
        at = canvas or self.canvases[()]
        self._start(wire, _Source(End(node.name), id_, label, str(wire), at, True))
        return node

    def output(self, wire: Wire) -> Node:
        """The node of a result; its wire ends there."""
        id_ = self.painter.id(*self.path, _shown(wire), f"L{wire.span.line}", "out")
        node = Node(self.painter.name(), id_, "output", (_typed(wire),), label=self._label(wire))
        self.made[wire].heads.append(_Head(End(node.name), id_, is_result=True))
        return node

    def _start(self, wire: Wire, source: _Source) -> None:
        self.made[wire] = source
        self.painter.sources.append(source)

    # ---- boxes ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw every box on the canvas of its block, each parameter with its first reader."""
        for group in groups(self.graph, self.painter.options.detail):
            edges = (group.root, *group.folded.values())
            self._parameters(edges)
            operator = group.root.operator
            if isinstance(operator, Library) and is_box(group.root):
                if self._is_opened(operator):
                    self._open(group.root, operator)
                else:
                    self._call(group.root, operator)
            elif isinstance(operator, (Scattering, Scan)):
                self._own_box(told(group.root, self.graph), operator)
            else:
                self._equation(group)

    def _canvas(self, blocks: tuple[Block, ...], line: int) -> _Canvas:
        """The canvas of a block, made on first use."""
        canvas = self.canvases.get(blocks)
        if canvas is None:
            outer = self._canvas(blocks[:-1], line)
            title = clean(blocks[-1].title)
            id_ = self.painter.id(*self.path, title, f"L{line}", "block")
            canvas = _Canvas(self.painter.name(), id_, title, (title,))
            outer.items.append(canvas)
            self.canvases[blocks] = canvas
        return canvas

    def _parameters(self, edges: tuple[Edge, ...]) -> None:
        """Draw the parameters that these operations read, if they are not there yet."""
        for edge in edges:
            for wire, _ in wires_read(edge):
                if wire in self.learned and wire not in self.made:
                    canvas = self._canvas(edge.blocks, edge.span.line)
                    canvas.items.append(self.terminal(wire, "parameter", canvas))

    def _equation(self, group: Group) -> None:
        """A box of operations, told in words."""
        root = group.root
        words = phrase(group, self.notation, lambda wire: self.made[wire].call)
        (made,) = (result.wire for result in root.outputs)
        left = "" if is_anonymous(made) else made.name
        if left and words.has_indices:
            left += str(ArrayType(made.type.axes))
        reads_learned = any(read.wire in self.learned for read in words.reads)
        node = Node(
            self.painter.name(),
            self._box_id(root, "op"),
            "learned" if reads_learned else "equation",
            self._tooltip(root),
            title=f"{left} = {words.text}" if left else words.text,
            note=words.note,
            inputs=self._equation_ports(words),
            outputs=self._output_ports(root),
        )
        self._place(root, node, [read.wire for read in words.reads], "")

    def _equation_ports(self, words: Phrase) -> tuple[Port, ...]:
        ports: list[Port] = []
        for position, read in enumerate(words.reads):
            name = read.mark or self._inner_name(read.wire)
            ports.append(Port(f"i{position}", self._label(read.wire, read.targets, name)))
        return tuple(ports)

    def _call(self, edge: Edge, operator: Library) -> None:
        """A box for a call that stays closed."""
        title = call_title(edge, operator)
        wires = [operand.wire for operand in edge.inputs]
        labels = [
            self._operand_label(operand, formal.name if len(wires) > 1 else "")
            for operand, formal in zip(edge.inputs, operator.callee.parameters, strict=True)
        ]
        for wire in _indices_read(edge):
            wires.append(wire)
            labels.append(self._label(wire))
        node = Node(
            self.painter.name(),
            self._box_id(edge, _instance_name(operator)),
            "learned" if operator.instance is not None else "call",
            (*self._tooltip(edge), signature(operator.callee)),
            title=title,
            inputs=tuple(Port(f"i{n}", label) for n, label in enumerate(labels)),
            outputs=self._output_ports(edge),
        )
        told = title if len(title) <= _LONGEST_CALL else _instance_name(operator)
        self._place(edge, node, wires, told.partition(": ")[0])

    def _own_box(self, edge: Edge, operator: Scattering | Scan) -> None:
        """A box for a scatter or a scan."""
        title, note = words(operator, self.notation)
        labels = [self._operand_label(operand, "") for operand in edge.inputs]
        node = Node(
            self.painter.name(),
            self._box_id(edge, "op"),
            "learned" if is_learned(operator) else "equation",
            self._tooltip(edge),
            title=title,
            note=note,
            inputs=tuple(Port(f"i{n}", label) for n, label in enumerate(labels)),
            outputs=self._output_ports(edge),
        )
        self._place(edge, node, [operand.wire for operand in edge.inputs], "")

    def _place(self, edge: Edge, node: Node, read: list[Wire], call: str) -> None:
        """Put a box on its canvas, end the wires that it reads, start those that it makes."""
        canvas = self._canvas(edge.blocks, edge.span.line)
        canvas.items.append(node)
        for port, wire in zip(node.inputs, read, strict=True):
            self.made[wire].heads.append(_Head(End(node.name, port.key), node.id))
        for port, result in zip(node.outputs, edge.outputs, strict=True):
            wire = result.wire
            id_ = node.id if len(edge.outputs) == 1 else f"{node.id}.{identifier(_shown(wire))}"
            end = End(node.name, port.key)
            label = self._label(wire)
            self._start(wire, _Source(end, id_, label, _typed(wire), canvas, False, call))

    def _box_id(self, edge: Edge, operation: str) -> str:
        named = [r.wire.name for r in edge.outputs if not is_anonymous(r.wire)]
        return self.painter.id(*self.path, *(named or [operation]), f"L{edge.span.line}")

    def _tooltip(self, edge: Edge) -> tuple[str, ...]:
        """The types of the results, then the text that it was written as."""
        text = clean(edge.span.text)
        if len(text) > _LONGEST_SOURCE:
            text = text[: _LONGEST_SOURCE - 1] + "\N{HORIZONTAL ELLIPSIS}"
        return (*(_typed(result.wire) for result in edge.outputs), text)

    def _output_ports(self, edge: Edge) -> tuple[Port, ...]:
        """A port for each result; its axes are told where no name stands on its wire."""
        by_terminals = self.graph.outputs if len(self.path) == 1 else ()
        return tuple(
            Port(
                f"o{position}",
                self._label(result.wire, result.weave, ""),
                is_anonymous(result.wire) and result.wire not in by_terminals,
            )
            for position, result in enumerate(edge.outputs)
        )

    # ---- opened calls ---------------------------------------------------------------------------

    def _is_opened(self, operator: Library) -> bool:
        opens = not operator.callee.library or self.painter.options.opens_library
        return self.depth > 0 and opens

    def _open(self, edge: Edge, operator: Library) -> None:
        """Draw the inside of a call in a frame of its own; its wires go on inside."""
        outer = self._canvas(edge.blocks, edge.span.line)
        title = call_title(edge, operator)
        if edge.degree:
            title += " for each " + " ".join(map(self.notation.axis, edge.degree))
        name = _instance_name(operator)
        id_ = self.painter.id(*self.path, name, f"L{edge.span.line}", "call")
        tooltip = (signature(operator.callee), *self._tooltip(edge))
        frame = _Canvas(self.painter.name(), id_, title, tooltip, is_call=True)
        outer.items.append(frame)
        inner = _Layer(
            self.painter,
            lower(operator.callee),
            frame,
            (*self.path, name),
            self.notation.inside(operator.binding),
            self.depth - 1,
        )
        for formal, operand in zip(inner.graph.inputs, edge.inputs, strict=True):
            inner.made[formal] = self.made[operand.wire]
        inner.draw()
        for formal, result in zip(inner.graph.outputs, edge.outputs, strict=True):
            source = inner.made[formal]
            self.made[result.wire] = source
            if not source.is_terminal:
                name = source.label.name if is_anonymous(result.wire) else result.wire.name
                source.label = self._label(result.wire, name=name)
                source.tooltip = _typed(result.wire)

    # ---- labels ---------------------------------------------------------------------------------

    def _inner_name(self, wire: Wire) -> str:
        """The name of a wire that comes in under another name, as an argument does."""
        if is_anonymous(wire) or self.made[wire].label.name == wire.name:
            return ""
        return wire.name

    def _label(
        self, wire: Wire, targets: tuple[bool, ...] | None = None, name: str | None = None
    ) -> Label:
        """The name (that of the wire unless another is given), kind and axes of an array."""
        flags = targets or (False,) * len(wire.type.axes)
        axes = zip(map(self.notation.axis, wire.type.axes), flags, strict=True)
        told = name if name is not None else "" if is_anonymous(wire) else wire.name
        return Label(told, self.notation.kind(wire.type.kind), tuple(axes))

    def _operand_label(self, operand: Operand, name: str) -> Label:
        """An argument: targets stand out; a tiled axis that is read askew shows its index."""
        label = self._label(operand.wire, operand.weave, name)
        coordinates = iter(operand.reindexing)
        axes: list[tuple[str, bool]] = []
        for axis, (text, is_target) in zip(operand.wire.type.axes, label.axes, strict=True):
            index = None if is_target else next(coordinates)
            askew = index is not None and not is_own_index(index, axis)
            axes.append((self.notation.affine(index) if askew and index else text, is_target))
        return Label(label.name, label.kind, tuple(axes))


def _indices_read(edge: Edge) -> list[Wire]:
    """The wires of naturals that the operands of an operation are indexed by."""
    indices = (index for operand in edge.inputs for index in operand.reindexing)
    return list(dict.fromkeys(gather.wire for gather in gathered(indices)))


def _instance_name(operator: Library) -> str:
    return operator.instance.name if operator.instance is not None else operator.callee.name


def _shown(wire: Wire) -> str:
    return "result" if is_anonymous(wire) else wire.name


def _typed(wire: Wire) -> str:
    """A wire with its type, or the type alone where nobody named it."""
    return str(wire.type) if is_anonymous(wire) else str(wire)
