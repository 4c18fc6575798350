"""From operations to nodes: each wire of an opened graph becomes a view of a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

from ncdlang.algebra.nodes import Nodes, Origin, Read, View
from ncdlang.algebra.opening import target_axes
from ncdlang.algebra.strides import read_through, spread, substitute
from ncdlang.algebra.sums import Pending, Sums, Taken
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Iota,
    Library,
    Number,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.semantics.size import ZERO, Size
from ncdlang.semantics.types import (
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
    plain_index,
)

COMMUTATIVE = frozenset({"max", "min", "eq", "ne", "and", "or"})
REVERSED = {"gt": "lt", "ge": "le"}
_SIGNED = {
    "add": ("add", "++"),
    "sub": ("add", "+-"),
    "neg": ("add", "-"),
    "mul": ("product", "++"),
    "div": ("product", "+-"),
}


class Views:
    """The view of each wire. A sum that is read once waits until it is known what reads it."""

    def __init__(self, made: Callable[[Pending], View]) -> None:
        self._made = made
        self._known: dict[Wire, View] = {}
        self.waiting: dict[Wire, Pending] = {}

    def __getitem__(self, wire: Wire) -> View:
        pending = self.waiting.get(wire)
        if pending is not None:
            self[wire] = self._made(pending)
        return self._known[wire]

    def __setitem__(self, wire: Wire, view: View) -> None:
        self.waiting.pop(wire, None)
        self._known[wire] = view


class Numbering:
    """Numbers the operations of a graph in order."""

    def __init__(self, nodes: Nodes, may_open: Callable[[int], bool]) -> None:
        self.nodes = nodes
        self.made: list[str] = []
        """The digests of the nodes that the operations gave, one after another."""
        self._may_open = may_open
        self._opening: set[str] = set()
        self._sums = Sums(nodes, self._opening.__contains__)
        self.views = Views(self._opened)
        self._flat: dict[Wire, View] = {}
        self._depth = 0

    def leaf(self, wire: Wire, name: str) -> None:
        """An array from outside; equal names mean equal arrays."""
        origin = Origin(called(wire), wire.span)
        kind = self.nodes.sizes.kind(wire.type.kind)
        axes = tuple(Axis(axis.name, axis.size) for axis in wire.type.axes)
        node, _ = self.nodes.make(
            name, kind, (), (), [], origin, fixed=axes, tail=axes, is_leaf=True
        )
        self.views[wire] = View(node, tuple(spread(axis) for axis in wire.type.axes))

    def edges(self, edges: Iterable[Edge]) -> None:
        """Number operations, each after those that it reads."""
        for edge in edges:
            self._edge(edge)

    # ---- reading -------------------------------------------------------------------------------

    def read(self, wire: Wire, places: Sequence[Affine], role: str = "+") -> Read:
        """A wire at one coordinate for each of its axes."""
        settled = [self._settled(place) for place in places]
        values = read_through(wire.type.axes, settled)
        if values is None:
            view = self._flattened(wire)
            return Read(role, view.node, tuple(substitute(place, {}) for place in settled))
        view = self.views[wire]
        return Read(role, view.node, tuple(substitute(place, values) for place in view.places))

    def _settled(self, place: Affine) -> Affine:
        """The coordinate with nodes for the arrays that it gathers from."""
        if place.axis is not None:
            return place
        terms = tuple((self._settled_variable(v), c) for v, c in place.terms)
        return substitute(Affine(place.constant, terms), {})

    def _settled_variable(self, variable: IndexVariable) -> IndexVariable:
        match variable:
            case Axis():
                return variable
            case Floor():
                return Floor(self._settled(variable.numerator), variable.divisor)
            case Mod():
                return Mod(self._settled(variable.numerator), variable.divisor)
            case Gathered():
                read = self.read(variable.wire, variable.indices)
                return Gathered(self.nodes.stand_in(read.node), read.places)

    def _flattened(self, wire: Wire) -> View:
        """A wire with each flattened axis as one dimension."""
        if wire not in self._flat:
            axes = tuple(Axis(axis.name, axis.size) for axis in wire.type.axes)
            atoms = tuple(atom for axis in wire.type.axes for atom in axis.atoms)
            shape = "".join(f" {len(axis.atoms)}" for axis in wire.type.axes)
            view = self.views[wire]
            node, _ = self.nodes.make(
                f"flatten{shape}",
                view.node.kind,
                (),
                (),
                [Read("", view.node, view.places)],
                Origin(called(wire), wire.span),
                fixed=(*atoms, *axes),
                tail=axes,
            )
            self._flat[wire] = View(node, ())
        return self._flat[wire]

    def _operand(self, operand: Operand, role: str = "+") -> Read:
        coordinates = iter(operand.reindexing)
        axes = operand.wire.type.axes
        places = [
            plain_index(axis) if is_target else next(coordinates)
            for axis, is_target in zip(axes, operand.weave, strict=True)
        ]
        return self.read(operand.wire, places, role)

    # ---- operations ----------------------------------------------------------------------------

    def _opened(self, pending: Pending) -> View:
        """The view of a sum that is read once, so that what reads it may open it."""
        view = self._sums.made(pending)
        self._opening.add(view.node.digest)
        return view

    def _give(self, wire: Wire, view: View | Pending) -> None:
        may_open = self._may_open(len(self.made))
        self._flat.pop(wire, None)
        if isinstance(view, Pending):
            if may_open:
                self.made.append("")
                self.views.waiting[wire] = view
                return
            view = self._sums.made(view)
        self.made.append(view.node.digest)
        if may_open:
            self._opening.add(view.node.digest)
        self.views[wire] = view

    def _edge(self, edge: Edge) -> None:
        operator = edge.operator
        if isinstance(operator, Scan):
            self._scan(edge, operator)
        elif isinstance(operator, Library):
            self._library(edge, operator)
        else:
            self._give(edge.outputs[0].wire, self._view(edge))

    def _view(self, edge: Edge) -> View | Pending:
        """The one output of an operation that is no call and no scan."""
        operator = edge.operator
        wire = edge.outputs[0].wire
        degree = atoms_of(edge.degree)
        origin = Origin(called(wire), edge.span)
        kind = self.nodes.sizes.kind(wire.type.kind)
        match operator:
            case Reindex():
                read = self._operand(edge.inputs[0])
                return View(read.node, read.places)
            case Number():
                value = self._number(operator.value)
                shown = Origin(str(operator.value), edge.span)
                return self._plain(f"number {value}", "", (), (), [], shown)
            case Iota():
                axis = degree[0]
                anywhere = Axis("", ZERO)
                node, _ = self.nodes.make(
                    "index", "", (), (), [], origin, fixed=(anywhere,), tail=(anywhere,)
                )
                return View(node, (plain_index(axis),) if len(degree) == 1 else (spread(axis),))
            case Pointwise():
                return self._pointwise(operator, kind, degree, edge, origin)
            case Contraction():
                factors = [self._operand(operand) for operand in edge.inputs]
                bound = atoms_of(operator.axes)
                return self._sums.product(kind, degree, bound, factors, origin)
            case Reduction():
                return self._reduction(operator, kind, degree, edge, origin)
            case Scattering():
                return self._scattering(operator, kind, degree, edge, origin)
            case Library() | Scan():
                raise AssertionError("calls and scans have several outputs")
            case _:
                assert_never(operator)

    def _plain(
        self,
        operator: str,
        kind: str,
        degree: tuple[Axis, ...],
        bound: tuple[Axis, ...],
        reads: list[Read],
        origin: Origin,
    ) -> View:
        node, dims = self.nodes.make(operator, kind, degree, bound, reads, origin)
        return View(node, tuple(map(plain_index, dims)))

    def _number(self, value: float | int | bool | Size) -> str:
        if isinstance(value, Size):
            return self.nodes.sizes.text(value)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return repr(value)

    def _pointwise(
        self,
        operator: Pointwise,
        kind: str,
        degree: tuple[Axis, ...],
        edge: Edge,
        origin: Origin,
    ) -> View | Pending:
        name, inputs = operator.name, edge.inputs
        if name in REVERSED:
            name, inputs = REVERSED[name], inputs[::-1]
        is_number = edge.outputs[0].wire.type.kind.name != "boolean"
        if name in _SIGNED and is_number:
            whole, signs = _SIGNED[name]
            terms = [self._term(o, s, whole, kind) for o, s in zip(inputs, signs, strict=True)]
            return Pending(whole, kind, degree, tuple(terms), origin)
        if name in ("real", "cast"):
            read = self._operand(inputs[0])
            if read.node.kind == kind:
                return View(read.node, read.places)
        roles = [""] * len(inputs) if name in COMMUTATIVE else [str(i) for i in range(len(inputs))]
        reads = [self._operand(o, role) for o, role in zip(inputs, roles, strict=True)]
        return self._plain(name, kind, degree, (), reads, origin)

    def _term(self, operand: Operand, role: str, operator: str, kind: str) -> Read | Taken:
        """An operand of a sum or product, taken in where it is one itself that waits."""
        pending = self.views.waiting.get(operand.wire)
        if pending is not None and (pending.operator, pending.kind) == (operator, kind):
            places = [self._settled(place) for place in operand.reindexing]
            values = read_through(operand.wire.type.axes, places)
            if values is not None:
                return Taken(role, pending, values)
        return self._operand(operand, role)

    def _reduction(
        self,
        operator: Reduction,
        kind: str,
        degree: tuple[Axis, ...],
        edge: Edge,
        origin: Origin,
    ) -> View:
        read = self._operand(edge.inputs[0])
        bound = atoms_of(operator.axes)
        if operator.name == "sum":
            return self._sums.product(kind, degree, bound, [read], origin)
        initial = "" if operator.initial is None else f" from {operator.initial!r}"
        name = f"{operator.name}{initial}"
        if operator.name.startswith("arg"):
            # The place counts along the axes in their order.
            node, dims = self.nodes.make(name, kind, degree, (), [read], origin, fixed=bound)
            return View(node, tuple(map(plain_index, dims)))
        return self._plain(name, kind, degree, bound, [read], origin)

    def _scattering(
        self,
        operator: Scattering,
        kind: str,
        degree: tuple[Axis, ...],
        edge: Edge,
        origin: Origin,
    ) -> View:
        wire = edge.outputs[0].wire
        axes = tuple(Axis(axis.name, axis.size) for axis in wire.type.axes)
        source = self._operand(edge.inputs[0], "source")
        settled = tuple(substitute(self._settled(place), {}) for place in operator.indices)
        where, _ = self.nodes.make("here", "", (), (), [], origin, fixed=axes, tail=axes)
        reads = [source, Read("at", where, settled)]
        tail = axes
        if not operator.is_first:
            base = edge.inputs[1].wire
            view = self._flattened(base) if any(a.parts for a in base.type.axes) else None
            places = tuple(map(plain_index, axes))
            reads.append(
                Read("base", view.node, places)
                if view is not None
                else self.read(base, places, "base")
            )
        node, _ = self.nodes.make(
            f"scatter {operator.op}", kind, (), degree, reads, origin, fixed=tail, tail=tail
        )
        return View(node, tuple(spread(axis) for axis in wire.type.axes))

    def _library(self, edge: Edge, operator: Library) -> None:
        """A primitive: its targets are the axes of its declaration, in their order."""
        callee = operator.callee
        settings = ", ".join(f"{name} = {value!r}" for name, value in callee.settings)
        name = f"{callee.library}.{callee.name}[{settings}]"
        is_random = bool({"random", "stateful"} & set(callee.properties))
        formals = tuple(
            dict.fromkeys(a for w in (*callee.parameters, *callee.results) for a in w.type.axes)
        )
        sizes = dict(operator.binding)
        own = {formal: Axis(formal.name, formal.size.substitute(sizes)) for formal in formals}
        reads: list[Read] = []
        for i, (operand, targets) in enumerate(
            zip(edge.inputs, operator.input_targets, strict=True)
        ):
            bound = dict(zip(target_axes(operand), targets, strict=True))
            coordinates = iter(operand.reindexing)
            places = [
                plain_index(own[bound[axis]]) if is_target else next(coordinates)
                for axis, is_target in zip(operand.wire.type.axes, operand.weave, strict=True)
            ]
            reads.append(self.read(operand.wire, places, str(i)))
        core, dims = self.nodes.make(
            name,
            "",
            atoms_of(edge.degree),
            (),
            reads,
            Origin(callee.name, edge.span),
            fixed=tuple(own.values()),
            is_random=is_random,
        )
        for j, (result, targets) in enumerate(
            zip(edge.outputs, operator.output_targets, strict=True)
        ):
            wire = result.wire
            kind = self.nodes.sizes.kind(wire.type.kind)
            axes = tuple(own[formal] for formal in callee.results[j].type.axes)
            node, order = self.nodes.make(
                f"result {j}",
                kind,
                dims,
                (),
                [Read("", core, tuple(map(plain_index, dims)))],
                Origin(called(wire), edge.span),
                fixed=axes,
                tail=axes,
            )
            given = dict(zip(targets, target_axes(result), strict=True))
            outer = [plain_index(axis) for axis in order[: len(dims)]]
            inner = [spread(given[formal]) for formal in callee.results[j].type.axes]
            self._give(wire, View(node, (*outer, *inner)))

    # ---- recurrences ---------------------------------------------------------------------------

    def _scan(self, edge: Edge, scan: Scan) -> None:
        """A scan: its states as one node; what only follows from them is no part of it."""
        states = _states(scan)
        for i, wire in enumerate(states):
            self.leaf(wire, f"state {self._depth} {i}")
        leaves = {wire: self.views[wire] for wire in states}
        bodies: dict[Wire, View] = {}
        self._depth += 1
        for inner in scan.edges:
            self._edge(inner)
            for wire in (result.wire for result in inner.outputs):
                if wire in leaves:
                    bodies[wire] = self.views[wire]
                    self.views[wire] = leaves[wire]
        self._depth -= 1
        if not states:
            return
        self._scanned(edge, scan, states, bodies)
        finished = {wire: self.views[wire] for wire in states}
        for inner in scan.edges:
            if any(result.wire not in finished for result in inner.outputs):
                self._edge(inner)
                for wire, view in finished.items():
                    self.views[wire] = view

    def _scanned(
        self, edge: Edge, scan: Scan, states: list[Wire], bodies: dict[Wire, View]
    ) -> None:
        """The states of a scan, whole, as functions of all their bodies."""
        axes = dict.fromkeys(
            (*scan.axis.atoms, *(a for wire in states for a in atoms_of(wire.type.axes)))
        )
        order = list(axes)
        shapes = [[order.index(a) for a in atoms_of(wire.type.axes)] for wire in states]
        direction = "back" if scan.reverse else "on"
        reads = [Read(str(i), bodies[w].node, bodies[w].places) for i, w in enumerate(states)]
        core, _ = self.nodes.make(
            f"scan {direction} {shapes}",
            "",
            (),
            (),
            reads,
            Origin(states[0].name, edge.span),
            fixed=tuple(order),
            is_leaf=True,
        )
        for i, wire in enumerate(states):
            atoms = atoms_of(wire.type.axes)
            node, _ = self.nodes.make(
                f"state {i}",
                self.nodes.sizes.kind(wire.type.kind),
                (),
                (),
                [Read("", core, ())],
                Origin(called(wire), edge.span),
                fixed=atoms,
                tail=atoms,
            )
            self._give(wire, View(node, tuple(map(plain_index, atoms))))


def _states(scan: Scan) -> list[Wire]:
    """The wires of a scan that are read before they are made, in the order of their making."""
    made = [result.wire for edge in scan.edges for result in edge.outputs]
    known: set[Wire] = set()
    early: set[Wire] = set()
    for edge in scan.edges:
        early.update(o.wire for o in edge.inputs if o.wire not in known)
        known.update(result.wire for result in edge.outputs)
    return [wire for wire in made if wire in early]


def called(wire: Wire) -> str:
    """The name that a person gave a wire, "" for none."""
    return "" if wire.name.startswith("_") else wire.name


def atoms_of(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes by their parts."""
    return tuple(atom for axis in axes for atom in axis.atoms)
