"""Opening calls: a graph in which library edges are replaced by the operations they stand for.

Primitive operators (`op`) stay. Parameters of instances become parameters of the whole graph,
under their dotted names, and operations of a callee stand in a block that is called after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ncdlang.ir.diagram import (
    Block,
    Contraction,
    Edge,
    Graph,
    Library,
    Number,
    Operand,
    Operator,
    Reduction,
    Reindex,
    Result,
    Scan,
    Scattering,
)
from ncdlang.ir.lower import lower
from ncdlang.records import replace
from ncdlang.semantics.program import CheckedDiagram, Instance, Learned
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import (
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Kind,
    Mod,
    Wire,
    gathered,
    plain_index,
)
from ncdlang.source import Span


def opened(graph: Graph) -> Graph:
    """The graph with every call opened that is no primitive operator, calls inside included."""
    return Opener().open(graph)


class Opener:
    """Opens graphs; a diagram that is called often is lowered and opened once."""

    def __init__(self) -> None:
        self._graphs: dict[CheckedDiagram, Graph] = {}

    def open(self, graph: Graph) -> Graph:
        """The graph with its calls opened."""
        if not any(_has_call(edge) for edge in graph.edges):
            return graph
        body = _Body(self, graph.learned)
        body.add(graph.edges)
        return replace(graph, edges=tuple(body.edges), learned=tuple(body.learned))

    def callee(self, diagram: CheckedDiagram) -> Graph:
        """The opened graph of a callee."""
        if diagram not in self._graphs:
            self._graphs[diagram] = self.open(lower(diagram))
        return self._graphs[diagram]


def _has_call(edge: Edge) -> bool:
    operator = edge.operator
    if isinstance(operator, Scan):
        return any(_has_call(inner) for inner in operator.edges)
    return isinstance(operator, Library) and not operator.callee.primitive


class _Body:
    """The operations of a graph while its calls are opened."""

    def __init__(self, opener: Opener, learned: Sequence[Learned]) -> None:
        self.edges: list[Edge] = []
        self.learned = list(learned)
        self.opener = opener
        self.parameters: dict[tuple[Instance, str], Wire] = {}

    def add(self, edges: Iterable[Edge]) -> None:
        for edge in edges:
            operator = edge.operator
            if not _has_call(edge):
                self.edges.append(edge)
            elif isinstance(operator, Scan):
                self._scan(edge, operator)
            elif isinstance(operator, Library):
                _Call(self, edge, operator).open()

    def _scan(self, edge: Edge, scan: Scan) -> None:
        outer, self.edges = self.edges, []
        self.add(scan.edges)
        inner, self.edges = tuple(self.edges), outer
        self.edges.append(scan_edge(edge, replace(scan, edges=inner)))


def scan_edge(edge: Edge, scan: Scan) -> Edge:
    """The edge of a scan whose operations have changed: it takes and gives what they say."""
    made = dict.fromkeys(result.wire for inner in scan.edges for result in inner.outputs)
    read = dict.fromkeys(
        operand.wire for inner in scan.edges for operand in inner.inputs if operand.wire not in made
    )
    inputs = tuple(Operand(wire, (True,) * len(wire.type.axes), ()) for wire in read)
    outputs = tuple(Result(wire, (True,) * len(wire.type.axes)) for wire in made)
    return replace(edge, operator=scan, inputs=inputs, outputs=outputs)


# ---- one call ----------------------------------------------------------------------------------

# How a wire of the callee is read in the caller: the wire, and for each of its axes which axis of
# the callee's wire it is, or the coordinate that it is read at for every lifted index.
_Slot = int | Affine


class _Image:
    """What a wire of the callee has become."""

    def __init__(self, wire: Wire, slots: tuple[_Slot, ...]) -> None:
        self.wire = wire
        self.slots = slots

    def lifted(self) -> set[Axis]:
        """The atoms of the lifted axes that it depends on."""
        places = [slot for slot in self.slots if isinstance(slot, Affine)]
        return {atom for place in places for axis in place.axes() for atom in axis.atoms}


class _Call:
    """Replaces one call by the operations of its callee, at the call's own axes and sizes."""

    def __init__(self, body: _Body, edge: Edge, operator: Library) -> None:
        self.body = body
        self.edge = edge
        self.operator = operator
        self.graph = body.opener.callee(operator.callee)
        self.sizes: dict[Symbol, Size] = dict(operator.binding)
        self.axes: dict[Axis, Axis] = {}
        self.images: dict[Wire, _Image] = {}
        self.blocks: dict[tuple[Block, ...], tuple[Block, ...]] = {
            (): (*edge.blocks, Block(operator.callee.name))
        }

    def open(self) -> None:
        self._match_axes()
        for operand, formal, targets in zip(
            self.edge.inputs, self.graph.inputs, self.operator.input_targets, strict=True
        ):
            self.images[formal] = self._argument(operand, formal, targets)
        for learned in self.graph.learned:
            self.images[learned.wire] = self._parameter(learned)
        finals = self._finals()
        for edge in self.graph.edges:
            self._copy(edge, finals)
        for result, formal, targets in zip(
            self.edge.outputs, self.graph.outputs, self.operator.output_targets, strict=True
        ):
            if self.images[formal].wire is not result.wire:
                self._deliver(result, formal, targets)

    # ---- axes and sizes ------------------------------------------------------------------------

    def _match_axes(self) -> None:
        """Give the callee's axes those of the caller that they are bound to, each once."""
        taken = {atom for axis in self.edge.degree for atom in axis.atoms}
        pairs = [
            pair
            for woven, targets in (
                *zip(self.edge.inputs, self.operator.input_targets, strict=True),
                *zip(self.edge.outputs, self.operator.output_targets, strict=True),
            )
            for pair in zip(target_axes(woven), targets, strict=True)
        ]
        for own, formal in pairs:
            self._match(own, formal, taken)

    def _match(self, own: Axis, formal: Axis, taken: set[Axis]) -> None:
        if formal in self.axes or not taken.isdisjoint(own.atoms):
            return
        if formal.parts:
            fits = len(formal.parts) == len(own.parts) and all(
                p not in self.axes and self.size(p.size) == o.size and not (p.parts or o.parts)
                for o, p in zip(own.parts, formal.parts, strict=False)
            )
            if not fits or len(set(formal.atoms)) < len(formal.atoms):
                return
            self.axes.update(zip(formal.parts, own.parts, strict=True))
        elif self.size(formal.size) != own.size:
            return
        self.axes[formal] = own
        taken.update(own.atoms)

    def size(self, size: Size) -> Size:
        return size.substitute(self.sizes)

    def axis(self, axis: Axis) -> Axis:
        found = self.axes.get(axis)
        if found is None:
            parts = tuple(self.axis(part) for part in axis.parts)
            size = self.size(axis.size)
            found = Axis(axis.name, size, parts, axis.derived, axis.structure)
            self.axes[axis] = found
        return found

    def kind(self, kind: Kind) -> Kind:
        if kind.bound is None and kind.bound_axis is None:
            return kind
        bound = self.size(kind.bound) if kind.bound is not None else None
        axis = self.axis(kind.bound_axis) if kind.bound_axis is not None else None
        return replace(kind, bound=bound, bound_axis=axis)

    def affine(self, place: Affine) -> Affine:
        terms = tuple((self._variable(v), self.size(c)) for v, c in place.terms)
        return Affine(self.size(place.constant), terms, place.partial)

    def _variable(self, variable: IndexVariable) -> IndexVariable:
        match variable:
            case Axis():
                return self.axis(variable)
            case Floor():
                return Floor(self.affine(variable.numerator), variable.divisor)
            case Mod():
                return Mod(self.affine(variable.numerator), variable.divisor)
            case Gathered():
                image = self.images[variable.wire]
                inner = tuple(self.affine(place) for place in variable.indices)
                return Gathered(image.wire, _slotted(image, inner))

    # ---- arrays --------------------------------------------------------------------------------

    def _argument(self, operand: Operand, formal: Wire, targets: Sequence[Axis]) -> _Image:
        """The argument itself, or a copy with the callee's axes where it can't be read so."""
        order = {axis: position for position, axis in enumerate(formal.type.axes)}
        slots: list[_Slot] = []
        coordinates, formals = iter(operand.reindexing), iter(targets)
        is_direct = True
        for axis, is_target in zip(operand.wire.type.axes, operand.weave, strict=True):
            if not is_target:
                slots.append(next(coordinates))
                continue
            target = next(formals)
            slots.append(order[target])
            is_direct = is_direct and self.axis(target) is axis
        if is_direct:
            return _Image(operand.wire, tuple(slots))
        image = self._fresh(formal, _Image(operand.wire, tuple(slots)).lifted())
        place = _Image(operand.wire, tuple(slots))
        inner = tuple(plain_index(self.axis(axis)) for axis in formal.type.axes)
        self._reindex(_slotted(place, inner), operand.wire, image.wire)
        return image

    def _parameter(self, learned: Learned) -> _Image:
        """A parameter of the callee as one of the whole graph, once for each instance."""
        instance = self.operator.instance
        wire = learned.wire
        inner = tuple(plain_index(self.axis(axis)) for axis in wire.type.axes)
        if instance is None:
            raise ValueError(f"`{self.operator.callee.name}` has parameters but no instance")
        known = self.body.parameters.get((instance, wire.name))
        if known is not None:
            image = self._fresh(wire, set())
            self._reindex(inner, known, image.wire)
            return image
        image = self._fresh(wire, set(), f"{instance.name}.{wire.name}")
        self.body.parameters[(instance, wire.name)] = image.wire
        self.body.learned.append(replace(learned, wire=image.wire))
        return image

    def _fresh(self, formal: Wire, lifted: set[Axis], name: str | None = None) -> _Image:
        """A new wire: the lifted axes that it depends on, then those of the callee."""
        first = self._first(lifted)
        axes = (*first, *(self.axis(axis) for axis in formal.type.axes))
        span = formal.span if name is not None else self.edge.span
        made = ArrayType(axes, self.kind(formal.type.kind))
        wire = Wire(name or f"_{formal.name}", made, span)
        slots = (*map(plain_index, first), *range(len(formal.type.axes)))
        return _Image(wire, slots)

    def _first(self, lifted: set[Axis]) -> tuple[Axis, ...]:
        """The lifted axes, in order, that have one of these atoms."""
        return tuple(axis for axis in self.edge.degree if not lifted.isdisjoint(axis.atoms))

    def _all_lifted(self) -> set[Axis]:
        return {atom for axis in self.edge.degree for atom in axis.atoms}

    def _reindex(self, places: tuple[Affine, ...], source: Wire, into: Wire) -> None:
        degree = tuple(atom for axis in into.type.axes for atom in axis.atoms)
        operand = Operand(source, (False,) * len(places), places)
        further = tuple(
            Operand(g.wire, (False,) * len(g.indices), g.indices)
            for g in dict.fromkeys(gathered(places))
        )
        result = Result(into, (False,) * len(into.type.axes))
        self._emit(Reindex(), degree, (operand, *further), (result,), self.blocks[()])

    def _emit(
        self,
        operator: Operator,
        degree: tuple[Axis, ...],
        inputs: tuple[Operand, ...],
        outputs: tuple[Result, ...],
        blocks: tuple[Block, ...],
    ) -> None:
        span: Span = self.edge.span
        self.body.edges.append(Edge(operator, degree, inputs, outputs, span, blocks))

    # ---- operations ----------------------------------------------------------------------------

    def _finals(self) -> dict[Wire, Result]:
        """Results of the callee that can be made as the caller's wires at once."""
        found: dict[Wire, Result] = {}
        read = {operand.wire for edge in every(self.graph.edges) for operand in edge.inputs}
        constant = {
            result.wire
            for edge in every(self.graph.edges)
            if not (edge.inputs or is_random(edge))
            for result in edge.outputs
        }
        outside = {*self.graph.inputs, *(learned.wire for learned in self.graph.learned)}
        for result, formal, targets in zip(
            self.edge.outputs, self.graph.outputs, self.operator.output_targets, strict=True
        ):
            own = target_axes(result)
            same = all(self.axis(t) is a for t, a in zip(targets, own, strict=True))
            kinds = self.kind(formal.type.kind) == result.wire.type.kind
            if same and kinds and formal not in {*found, *outside, *read, *constant}:
                found[formal] = result
        return found

    def _copy(self, edge: Edge, finals: dict[Wire, Result]) -> None:
        if isinstance(edge.operator, Scan):
            self._copy_scan(edge, edge.operator, finals)
            return
        inputs = [self._operand(operand) for operand in edge.inputs]
        lifted = {a for operand in edge.inputs for a in self.images[operand.wire].lifted()}
        if is_random(edge) or any(result.wire in finals for result in edge.outputs):
            lifted = self._all_lifted()
        outputs = tuple(self._result(result, lifted, finals) for result in edge.outputs)
        degree = (*self._first(lifted), *(self.axis(axis) for axis in edge.degree))
        operator = self._operator(edge.operator)
        self._emit(operator, degree, tuple(inputs), outputs, self._blocks(edge.blocks))

    def _blocks(self, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        if blocks not in self.blocks:
            self.blocks[blocks] = (*self._blocks(blocks[:-1]), Block(blocks[-1].title))
        return self.blocks[blocks]

    def _copy_scan(self, edge: Edge, scan: Scan, finals: dict[Wire, Result]) -> None:
        """All wires of a scan but constants are lifted alike: they read each other in circles."""
        common = {a for operand in edge.inputs for a in self.images[operand.wire].lifted()}
        if is_random(edge):
            common = self._all_lifted()
        lifts: dict[Edge, set[Axis]] = {}
        for inner in scan.edges:
            is_final = any(result.wire in finals for result in inner.outputs)
            lifts[inner] = common if inner.inputs else set()
            if is_final:
                lifts[inner] = self._all_lifted()
            for result in inner.outputs:
                self._result(result, lifts[inner], finals)
        outer, self.body.edges = self.body.edges, []
        for inner, lifted in lifts.items():
            inputs = tuple(self._operand(operand) for operand in inner.inputs)
            outputs = tuple(self._result(result, lifted, finals) for result in inner.outputs)
            degree = (*self._first(lifted), *(self.axis(axis) for axis in inner.degree))
            blocks = self._blocks(inner.blocks)
            self._emit(self._operator(inner.operator), degree, inputs, outputs, blocks)
        edges, self.body.edges = tuple(self.body.edges), outer
        blank = Edge(scan, (), (), (), self.edge.span, self._blocks(edge.blocks))
        copied = replace(scan, axis=self.axis(scan.axis), edges=edges)
        self.body.edges.append(scan_edge(blank, copied))

    def _operator(self, operator: Operator) -> Operator:
        match operator:
            case Contraction() | Reduction():
                return replace(operator, axes=tuple(self.axis(axis) for axis in operator.axes))
            case Number() if isinstance(operator.value, Size):
                return Number(self.size(operator.value))
            case Scattering():
                return replace(operator, indices=tuple(map(self.affine, operator.indices)))
            case Library():
                binding = tuple((symbol, self.size(size)) for symbol, size in operator.binding)
                return replace(operator, binding=binding)
            case _:
                return operator

    def _operand(self, operand: Operand) -> Operand:
        """The operand in the caller: lifted axes are read at the lifted index."""
        image = self.images[operand.wire]
        coordinates = iter(operand.reindexing)
        entries = [
            None if is_target else self.affine(next(coordinates)) for is_target in operand.weave
        ]
        slotted = [entries[slot] if isinstance(slot, int) else slot for slot in image.slots]
        weave = tuple(entry is None for entry in slotted)
        return Operand(image.wire, weave, tuple(entry for entry in slotted if entry is not None))

    def _result(self, result: Result, lifted: set[Axis], finals: dict[Wire, Result]) -> Result:
        formal = result.wire
        weaves = dict(zip(map(self.axis, formal.type.axes), result.weave, strict=True))
        if formal in finals:
            own = finals[formal]
            formals = iter(self._final_targets(own))
            slots: list[_Slot] = []
            for axis, is_target in zip(own.wire.type.axes, own.weave, strict=True):
                slots.append(
                    formal.type.axes.index(next(formals)) if is_target else plain_index(axis)
                )
            self.images[formal] = _Image(own.wire, tuple(slots))
            weave = tuple(
                is_target and weaves[axis]
                for axis, is_target in zip(own.wire.type.axes, own.weave, strict=True)
            )
            return Result(own.wire, weave)
        image = self.images.get(formal)
        if image is None:
            image = self.images[formal] = self._fresh(formal, lifted)
        weave = tuple(isinstance(slot, int) and result.weave[slot] for slot in image.slots)
        return Result(image.wire, weave)

    def _final_targets(self, own: Result) -> tuple[Axis, ...]:
        position = next(i for i, result in enumerate(self.edge.outputs) if result is own)
        return self.operator.output_targets[position]

    def _deliver(self, result: Result, formal: Wire, targets: Sequence[Axis]) -> None:
        """The caller's wire as a reindexing of the callee's."""
        image = self.images[formal]
        own = dict(zip(targets, target_axes(result), strict=True))
        inner = tuple(plain_index(own[axis]) for axis in formal.type.axes)
        self._reindex(_slotted(image, inner), image.wire, result.wire)


def every(edges: Iterable[Edge]) -> Iterator[Edge]:
    """All operations in order, a scan before those inside it."""
    for edge in edges:
        yield edge
        if isinstance(edge.operator, Scan):
            yield from every(edge.operator.edges)


def _slotted(image: _Image, inner: Sequence[Affine]) -> tuple[Affine, ...]:
    """Coordinates of the callee's wire as coordinates of what it has become."""
    return tuple(inner[slot] if isinstance(slot, int) else slot for slot in image.slots)


def target_axes(woven: Operand | Result) -> tuple[Axis, ...]:
    """The axes of a wire that its weave marks."""
    pairs = zip(woven.wire.type.axes, woven.weave, strict=True)
    return tuple(axis for axis, is_target in pairs if is_target)


def is_random(edge: Edge) -> bool:
    """Whether an operation draws random numbers or keeps state: it may not be copied or merged."""
    operator = edge.operator
    if isinstance(operator, Scan):
        return any(is_random(inner) for inner in operator.edges)
    if not isinstance(operator, Library):
        return False
    callee = operator.callee
    return bool({"random", "stateful"} & set(callee.properties)) or is_random_diagram(callee)


def is_random_diagram(diagram: CheckedDiagram) -> bool:
    """Whether a diagram has a random or stateful operator in it."""
    if diagram.primitive:
        return bool({"random", "stateful"} & set(diagram.properties))
    return any(is_random(edge) for edge in lower(diagram).edges)
