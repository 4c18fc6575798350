"""Rewrites as values: a name, the law that it rests on, and the places where it applies.

A rewrite proposes patches; each replaces a few operations of a graph by others that mean the
same. `rewriting` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ncdlang.algebra.strides import Places, axes_of
from ncdlang.ir.diagram import (
    Block,
    Edge,
    Graph,
    Operand,
    Operator,
    Reindex,
    Result,
    Scan,
    Scattering,
)
from ncdlang.records import field, record, replace
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

UNKNOWN_SIZE = 64


@record
class Extents:
    """Sizes as numbers, to say what is cheaper. An unknown that is not given counts as 64."""

    known: Mapping[Symbol, int] = field(default_factory=dict[Symbol, int])

    def size(self, size: Size) -> int:
        """A size as a number, at least 0."""
        if size.value is not None:
            return max(size.value, 0)
        values = {symbol: self.known.get(symbol, UNKNOWN_SIZE) for symbol in size.symbols()}
        try:
            return max(size.evaluate(values), 0)
        except ZeroDivisionError:
            return UNKNOWN_SIZE

    def entries(self, axes: Iterable[Axis]) -> int:
        """How many indices the axes have together."""
        total = 1
        for axis in axes:
            total *= self.size(axis.size)
        return total


@record(eq=False)
class Patch:
    """One place where a rewrite applies.

    `replaced` gives for an operation those that stand in its place, none to remove it; `needed`
    are operations that have to stay as they are. `renamed` wires are read as other ones.
    """

    what: str
    span: Span
    replaced: Mapping[Edge, tuple[Edge, ...]]
    renamed: Mapping[Wire, Wire] = field(default_factory=dict[Wire, Wire])
    needed: tuple[Edge, ...] = ()


Patches = Callable[[Graph, Extents], Iterator[Patch]]


@record(eq=False)
class Rewrite:
    """A rewrite. `law` is the equation of the semantics that it rests on."""

    name: str
    summary: str
    law: str
    patches: Patches


def apart(patches: Iterable[Patch]) -> list[Patch]:
    """Patches of which none replaces what another needs or replaces; the first ones win."""
    replaced: set[Edge] = set()
    needed: set[Edge] = set()
    chosen: list[Patch] = []
    for patch in patches:
        own = patch.replaced.keys()
        if (
            replaced.isdisjoint(own)
            and needed.isdisjoint(own)
            and replaced.isdisjoint(patch.needed)
        ):
            replaced.update(own)
            needed.update(patch.needed)
            chosen.append(patch)
    return chosen


def patched(graph: Graph, patches: Iterable[Patch]) -> Graph:
    """The graph with patches carried out that do not touch each other."""
    replaced: dict[Edge, tuple[Edge, ...]] = {}
    renamed: dict[Wire, Wire] = {}
    for patch in patches:
        replaced.update(patch.replaced)
        renamed.update(patch.renamed)
    edges = [new for edge in graph.edges for new in replaced.get(edge, (edge,))]
    if renamed:
        edges = [with_wires(edge, renamed) for edge in edges]
    outputs = tuple(_final(wire, renamed) for wire in graph.outputs)
    return replace(graph, edges=tuple(edges), outputs=outputs)


def _final(wire: Wire, renamed: Mapping[Wire, Wire]) -> Wire:
    while wire in renamed:
        wire = renamed[wire]
    return wire


def with_wires(edge: Edge, renamed: Mapping[Wire, Wire]) -> Edge:
    """The operation with wires read by their new names, inside a scan and inside coordinates."""
    operator = edge.operator
    read = {operand.wire for operand in edge.inputs}
    if renamed.keys().isdisjoint(read):
        return edge
    inputs = tuple(
        Operand(
            _final(operand.wire, renamed),
            operand.weave,
            tuple(_renamed_place(place, renamed) for place in operand.reindexing),
        )
        for operand in edge.inputs
    )
    if isinstance(operator, Scan):
        inner = tuple(with_wires(each, renamed) for each in operator.edges)
        operator = replace(operator, edges=inner)
        inputs = tuple({operand.wire: operand for operand in inputs}.values())
    elif isinstance(operator, Scattering):
        indices = tuple(_renamed_place(place, renamed) for place in operator.indices)
        operator = replace(operator, indices=indices)
    return replace(edge, operator=operator, inputs=inputs)


def _renamed_place(place: Affine, renamed: Mapping[Wire, Wire]) -> Affine:
    if not any(gathered((place,))):
        return place
    terms = tuple((_renamed_variable(v, renamed), c) for v, c in place.terms)
    return replace(place, terms=terms)


def _renamed_variable(variable: IndexVariable, renamed: Mapping[Wire, Wire]) -> IndexVariable:
    match variable:
        case Gathered():
            inner = tuple(_renamed_place(place, renamed) for place in variable.indices)
            return Gathered(_final(variable.wire, renamed), inner)
        case Floor():
            return Floor(_renamed_place(variable.numerator, renamed), variable.divisor)
        case Mod():
            return Mod(_renamed_place(variable.numerator, renamed), variable.divisor)
        case Axis():
            return variable


# ---- making operations -------------------------------------------------------------------------


@record(eq=False)
class Site:
    """Where new operations stand: the source and the blocks of the one that they replace."""

    span: Span
    blocks: tuple[Block, ...]

    @staticmethod
    def of(edge: Edge) -> Site:
        """The place of an operation."""
        return Site(edge.span, edge.blocks)

    def wire(self, axes: tuple[Axis, ...], kind: Kind) -> Wire:
        """A new wire without a name."""
        return Wire("_r", ArrayType(axes, kind), self.span)

    def edge(
        self,
        operator: Operator,
        degree: tuple[Axis, ...],
        inputs: tuple[Operand, ...],
        output: Wire,
    ) -> Edge:
        """An operation with one output that has exactly the degree's axes."""
        result = Result(output, (False,) * len(output.type.axes))
        return Edge(operator, degree, inputs, (result,), self.span, self.blocks)

    def reindex(
        self, source: Wire, places: Places, axes: tuple[Axis, ...], guarded: bool = False
    ) -> Edge:
        """A new wire with `axes`, the source at `places`."""
        into = self.wire(axes, source.type.kind)
        operands = reindex_operands(source, places)
        degree = tuple(atom for axis in axes for atom in axis.atoms)
        return self.edge(Reindex(guarded), degree, operands, into)

    def operand(
        self, source: Wire, places: Places, bound: Iterable[Axis], guarded: bool = False
    ) -> tuple[tuple[Edge, ...], Operand]:
        """An operand that reads `source` at places over a degree and the targets `bound`.

        Where no weave says that, or the read gathers or is guarded, it goes through a reindexing
        of its own, which is returned.
        """
        targets = set(bound)
        used = list(dict.fromkeys(a for place in places for a in axes_of(place)))
        weave = tuple(place.axis is not None and place.axis in targets for place in places)
        own = source.type.axes
        fits = all(
            axis is place.axis if is_target else targets.isdisjoint(axes_of(place))
            for axis, place, is_target in zip(own, places, weave, strict=True)
        )
        seen = [place.axis for place, is_target in zip(places, weave, strict=True) if is_target]
        if fits and len(set(seen)) == len(seen) and not any(gathered(places)) and not guarded:
            tiled = tuple(p for p, is_target in zip(places, weave, strict=True) if not is_target)
            return (), Operand(source, weave, tiled)
        edge = self.reindex(source, places, tuple(used), guarded)
        wire = edge.outputs[0].wire
        return (edge,), plain_operand(wire, targets)


def plain_operand(wire: Wire, targets: Iterable[Axis] = ()) -> Operand:
    """A wire read by its own axes, of which some are targets."""
    chosen = set(targets)
    weave = tuple(axis in chosen for axis in wire.type.axes)
    return Operand(
        wire, weave, tuple(plain_index(axis) for axis in wire.type.axes if axis not in chosen)
    )


def reindex_operands(source: Wire, places: Places) -> tuple[Operand, ...]:
    """The operands of a reindexing: the source, then the arrays that it gathers from."""
    further = [
        Operand(g.wire, (False,) * len(g.indices), g.indices)
        for g in dict.fromkeys(gathered(places))
    ]
    return (Operand(source, (False,) * len(places), places), *further)


def full_places(operand: Operand) -> Places:
    """A coordinate for each axis of an operand's wire; a target is its own axis."""
    coordinates = iter(operand.reindexing)
    pairs = zip(operand.wire.type.axes, operand.weave, strict=True)
    return tuple(plain_index(axis) if target else next(coordinates) for axis, target in pairs)
