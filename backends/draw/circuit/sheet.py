"""A circuit while it is drawn up: operations enter the arrays they read and give new ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.types import ArrayType, Axis, Wire

from ..notation import Notation
from .model import Array, Circuit, Cup, Element, Node, Part, Picture, Port, Strand, Use
from .overlay import Overlay

Key = Hashable
DATUM = "datum"
"""The key of the wire that stands for an array's datatype."""


@dataclass(slots=True, eq=False)
class Inlet:
    """An array as an operation reads it: for each of its strands a key of the operation.

    Strands of two inlets with one key meet.
    """

    array: Array
    keys: list[Key]


@dataclass(slots=True, eq=False)
class Outlet:
    """An array that an operation gives: a wire, with a key of the operation for each strand."""

    wire: Wire
    keys: list[Key]


@dataclass(slots=True, eq=False)
class Spec:
    """An element of an operation by the keys of its strands; see `model.Element`."""

    ins: list[list[Key]]
    outs: list[list[Key]]
    picture: Picture | None = None
    fixed_ins: dict[Key, float] = field(default_factory=dict[Key, float])
    fixed_outs: dict[Key, float] = field(default_factory=dict[Key, float])
    is_open: bool = False


def through(key: Key) -> Spec:
    """A strand that passes."""
    return Spec([[key]], [[key]])


class Sheet:
    """Collects the nodes and arrays of one circuit; `made` is the array of every wire so far."""

    def __init__(self, notation: Notation, overlay: Overlay) -> None:
        self.notation = notation
        self.overlay = overlay
        self.nodes: list[Node] = []
        self.arrays: list[Array] = []
        self.cups: list[Cup] = []
        self.made: dict[Wire, Array] = {}

    # ---- arrays ---------------------------------------------------------------------------------

    def strands(self, wire: Wire) -> list[Strand]:
        """The strands of an array: its axes, and its datatype where that has to be seen."""
        *marks, last = self.overlay.marks(wire)
        found = [
            Strand(axis, self.notation.axis(axis), level=mark.level, tile=mark.tile)
            for axis, mark in zip(wire.type.axes, marks, strict=True)
        ]
        if has_datum(wire.type):
            kind = self.notation.kind(wire.type.kind) or "R"
            found.append(Strand(DATUM, kind, is_datum=True, level=last.level))
        return found

    def array(self, wire: Wire, node: Node, ports: Sequence[Port]) -> Array:
        """Register what a node gives."""
        array = Array(shown(wire), typed(wire), node, self.strands(wire), list(ports))
        self.arrays.append(array)
        self.made[wire] = array
        return array

    def ports(self, wire: Wire, *, is_told: bool = False) -> list[Port]:
        """New ports for the strands of an array."""
        return [
            Port(strand, shown(wire), typed(wire), is_told=is_told) for strand in self.strands(wire)
        ]

    # ---- operations -----------------------------------------------------------------------------

    def operation(
        self,
        inlets: Sequence[Inlet],
        specs: Sequence[Spec],
        outlets: Sequence[Outlet],
        *,
        is_free: bool = True,
    ) -> Node:
        """Add an operation in a column of its own.

        Strands of inlets with a key that no element takes have to be contracted by cups.
        """
        heads = _Ends({k: (i.array, s) for i in inlets for k, s in _pairs(i)})
        tails = _Ends({}, {k: (o.wire, s) for o in outlets for k, s in self._made_pairs(o)})
        elements = [
            _element(
                spec,
                [[heads.port(key) for key in bundle] for bundle in spec.ins],
                [[tails.port(key, _is_new(spec, key)) for key in b] for b in spec.outs],
            )
            for spec in specs
        ]
        node = Node([Part(elements, is_free=is_free and len(elements) > 1)])
        self.nodes.append(node)
        count: dict[Key, int] = {}
        for inlet in inlets:
            inlet.array.uses.append(Use(node, [heads.ports.get(key) for key in inlet.keys]))
            for key in inlet.keys:
                count[key] = count.get(key, 0) + 1
        for key, port in heads.ports.items():
            port.is_dot = count.get(key, 0) > 1
        for port in tails.ports.values():
            port.is_told = port.is_told or any(
                h.is_dot for h in heads.ports.values() if h.strand.key == port.strand.key
            )
        taken: set[Port] = set()
        for outlet in outlets:
            ports = [tails.ports[key] for key in outlet.keys]
            for port in ports:
                port.is_dot = port.is_dot or port in taken
            taken.update(ports)
            self.array(outlet.wire, node, ports)
        return node

    def join(
        self,
        inlets: Sequence[Inlet],
        signs: Sequence[Picture] = (),
        *,
        names: Sequence[str] = (),
        is_free: bool = False,
    ) -> list[Inlet]:
        """Bring arrays together in one column, with signs where the dashed lines between end.

        `names` are what the words of the operation call the arrays.
        """
        if len(inlets) < 2:
            return list(inlets)
        parts: list[Part] = []
        joined: list[tuple[Inlet, list[Port], list[Port]]] = []
        for position, inlet in enumerate(inlets):
            array = self._loaded(inlet)
            if position and position <= len(signs):
                parts.append(Part([Element([], [], signs[position - 1])]))
            ins = [Port(strand, array.name, array.title) for strand in array.strands]
            outs = [Port(strand, array.name, array.title) for strand in array.strands]
            for port in ins:
                port.is_told = bool(port.strand.level) and array is not inlet.array
            if names and ins:
                ins[0].name, ins[0].is_told = names[position], True
            parts.append(
                Part([Element([[a]], [[b]]) for a, b in zip(ins, outs, strict=True)], is_free=True)
            )
            joined.append((inlet, ins, outs))
        node = Node(parts, is_free=is_free)
        self.nodes.append(node)
        found: list[Inlet] = []
        for inlet, ins, outs in joined:
            old = inlet.array
            old.uses.append(Use(node, list(ins)))
            array = Array(old.name, old.title, node, [port.strand for port in outs], outs)
            self.arrays.append(array)
            found.append(Inlet(array, inlet.keys))
        return found

    def _loaded(self, inlet: Inlet) -> Array:
        """An array as the operation of a kernel reads it, which brings tiles of it nearer."""
        array = inlet.array
        if any(strand.level for strand in array.strands):
            return array
        axes = [key if isinstance(key, Axis) else s.key for key, s in _pairs(inlet)]
        marks = self.overlay.loaded([axis if isinstance(axis, Axis) else None for axis in axes])
        if not any(mark.level for mark in marks):
            return array
        strands = [
            Strand(s.key, s.label, s.is_datum, mark.level, mark.tile)
            for s, mark in zip(array.strands, marks, strict=True)
        ]
        return Array(array.name, array.title, array.node, strands, array.ports)

    def contract(self, inlets: Sequence[Inlet], keys: Sequence[Key]) -> list[Cup]:
        """Join strands of one key by cups."""
        cups = [
            Cup([i.array.ports[i.keys.index(key)] for i in inlets if key in i.keys]) for key in keys
        ]
        self.cups += cups
        return cups

    def finished(
        self, source: Node, sink: Node, inputs: list[list[Port]], outputs: list[list[Port]]
    ) -> Circuit:
        """The circuit."""
        return Circuit(self.nodes, self.arrays, self.cups, source, sink, inputs, outputs)

    def _made_pairs(self, outlet: Outlet) -> list[tuple[Key, Strand]]:
        return list(zip(outlet.keys, self.strands(outlet.wire), strict=True))


class _Ends:
    """The ports on one side of an operation, made when their key is first asked for."""

    def __init__(
        self,
        arrays: dict[Key, tuple[Array, Strand]],
        wires: dict[Key, tuple[Wire, Strand]] | None = None,
    ) -> None:
        self.ports: dict[Key, Port] = {}
        self._arrays = arrays
        self._wires = wires or {}

    def port(self, key: Key, is_told: bool = False) -> Port:
        """The port of a key; strands of one key share their port."""
        if key in self._arrays:
            array, strand = self._arrays[key]
            name, title = array.name, array.title
        else:
            wire, strand = self._wires[key]
            name, title = shown(wire), typed(wire)
        held = Strand(key, strand.label, strand.is_datum, strand.level, strand.tile)
        self.ports[key] = Port(held, name, title, is_told=is_told)
        return self.ports[key]


def has_datum(array: ArrayType) -> bool:
    """Whether a wire of its own stands for the datatype: not for reals that have axes."""
    return not array.axes or array.kind.name != "real"


def shown(wire: Wire) -> str:
    """A name for ids."""
    return "result" if is_anonymous(wire) else wire.name


def typed(wire: Wire) -> str:
    """A wire with its type, or the type alone where nobody named it."""
    return str(wire.type) if is_anonymous(wire) else str(wire)


def _pairs(inlet: Inlet) -> list[tuple[Key, Strand]]:
    return list(zip(inlet.keys, inlet.array.strands, strict=True))


def _is_new(spec: Spec, key: Key) -> bool:
    """Whether a strand begins here; what leaves a frame has its label inside."""
    return not spec.fixed_outs and not any(key in bundle for bundle in spec.ins)


def _element(spec: Spec, ins: list[list[Port]], outs: list[list[Port]]) -> Element:
    fixed = None
    if spec.fixed_ins or spec.fixed_outs:
        fixed = {
            port: spec.fixed_ins[key]
            for keys, ports in zip(spec.ins, ins, strict=True)
            for key, port in zip(keys, ports, strict=True)
        } | {
            port: spec.fixed_outs[key]
            for keys, ports in zip(spec.outs, outs, strict=True)
            for key, port in zip(keys, ports, strict=True)
        }
    ins, outs = [b for b in ins if b], [b for b in outs if b]
    return Element(ins, outs, spec.picture, fixed, spec.is_open)
