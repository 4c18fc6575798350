"""The normal form of a diagram: two diagrams are equal up to structure when theirs are.

Calls are opened and every operation becomes a *node* that is named by a digest of what it
computes: its operator and its reads. A read is a node with one coordinate for each of its
dimensions; reindexings are composed into the reads and are no nodes themselves. Axes have no
names but only a place, which is found from how they are used (colour refinement), so neither
names nor the order of axes of an array between two operations matter.

What counts as structure beyond that: titles, dead wires and common subterms; the order of the
operands of commutative operators and of the factors of a contraction; the grouping of products
and sums where the inner one is used once; `a / b` as a product with a reciprocal, `a - b` as a
sum with a negation; a factor without contracted axes outside of its contraction. Assertions do
not count. Random operators are never identified with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from ncdlang.algebra.labels import place_text
from ncdlang.algebra.nodes import Node, Nodes, Sizes, View, digest, reachable
from ncdlang.algebra.numbering import Numbering, atoms_of
from ncdlang.algebra.opening import opened
from ncdlang.ir.diagram import Graph
from ncdlang.records import record
from ncdlang.semantics.program import Learned
from ncdlang.semantics.types import Wire

Named = Mapping[Wire, str]


@record(eq=False)
class NormalForm:
    """What a diagram computes. Equal diagrams have equal `inputs` and equal `outputs`."""

    graph: Graph
    inputs: tuple[str, ...]
    types: tuple[str, ...]
    outputs: tuple[str, ...]
    views: tuple[View, ...]

    @property
    def digest(self) -> str:
        """One name for all of it."""
        return digest(repr((self.inputs, self.outputs)))

    def nodes(self) -> tuple[Node, ...]:
        """Every node that a result needs, what is read before what reads it."""
        return tuple(reachable(view.node for view in self.views))


def by_name(learned: tuple[Learned, ...]) -> Named:
    """Parameters are the same when they have the same names."""
    return {parameter.wire: parameter.wire.name for parameter in learned}


def by_order(learned: tuple[Learned, ...]) -> Named:
    """Parameters are the same when they stand at the same places."""
    return {parameter.wire: str(i) for i, parameter in enumerate(learned)}


def normal_form(
    graph: Graph, parameters: Callable[[tuple[Learned, ...]], Named] = by_order
) -> NormalForm:
    """The normal form; `parameters` names the learned parameters of the opened graph."""
    flat = opened(graph)
    names = parameters(flat.learned)
    first, views = _number(flat, names, lambda _: False)
    uses = Counter(node.digest for view in views for node in [view.node])
    for node in reachable(view.node for view in views):
        uses.update(below.digest for below in node.below())
    once = [uses[name] == 1 for name in first.made]
    second, views = _number(flat, names, once.__getitem__)
    sizes = second.nodes.sizes
    inputs = tuple(_type(wire, sizes) for wire in flat.inputs)
    outputs = tuple(
        _output(wire, view, sizes) for wire, view in zip(flat.outputs, views, strict=True)
    )
    types = tuple(_type(wire, sizes) for wire in flat.outputs)
    return NormalForm(flat, inputs, types, outputs, views)


def _number(
    graph: Graph, names: Named, may_open: Callable[[int], bool]
) -> tuple[Numbering, tuple[View, ...]]:
    sizes = Sizes(graph.diagram.unknowns)
    numbering = Numbering(Nodes(sizes), may_open)
    for i, wire in enumerate(graph.inputs):
        numbering.leaf(wire, f"input {i}")
    for learned in graph.learned:
        begin = f"{learned.init}{learned.init_arguments}{' frozen' if learned.frozen else ''}"
        numbering.leaf(learned.wire, f"parameter {names[learned.wire]} ~ {begin}")
    numbering.edges(graph.edges)
    views: list[View] = []
    for wire in graph.outputs:
        view = numbering.views[wire]
        views.append(View(view.node, view.places))
    return numbering, tuple(views)


def _type(wire: Wire, sizes: Sizes) -> str:
    axes = ", ".join(sizes.text(axis.size) for axis in wire.type.axes)
    return f"{sizes.kind(wire.type.kind)}[{axes}]"


def _output(wire: Wire, view: View, sizes: Sizes) -> str:
    """The type of a result, and the node it is with the coordinates that it is read at."""
    names = {axis: f"o{i}" for i, axis in enumerate(atoms_of(wire.type.axes))}
    places = ", ".join(place_text(place, names, sizes.text) for place in view.places)
    return f"{_type(wire, sizes)} = {view.node.digest}[{places}]"
