"""What has to be emitted for a diagram: its graph, what is alive in it, the sizes it needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from ncdlang.analysis.alternative import alternative
from ncdlang.ir.diagram import Edge, Graph, Iota, Library, Number, Operand, Pointwise, Scan
from ncdlang.semantics.program import CheckedDiagram, Instance
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Wire
from ncdlang.targets import TargetError

from .attention import Attention, find_attention
from .convolution import Convolution, find_convolutions
from .names import quoted
from .reads import Equal
from .ready import ready_made
from .registry import is_native
from .rows import CrossEntropy, LayerNorm, find_rows
from .sizes import Layout, layout

Lower = Callable[[CheckedDiagram], Graph]
Fusion = Attention | Convolution | LayerNorm | CrossEntropy
Binding = tuple[tuple[Symbol, Size], ...]


@dataclass(slots=True, eq=False)
class Plan:
    """One diagram on its way to a class.

    `live` are the edges that the results depend on, a fusion standing for its last edge;
    `uses` counts how often they read each wire, `fused` are the named wires that a fusion never
    makes. `layout` says which sizes are built in, `late`
    those of them that a caller only knows when it calls. `other` is another plan of the same
    diagram that is cheaper for some sizes.
    """

    diagram: CheckedDiagram
    graph: Graph
    equal: Equal
    fusions: dict[Edge, Fusion]
    live: tuple[Edge, ...]
    uses: dict[Wire, int]
    layout: Layout
    fused: dict[Edge, tuple[Wire, ...]]
    late: set[Symbol] = field(default_factory=set[Symbol])
    other: Other | None = None

    @property
    def built(self) -> tuple[Symbol, ...]:
        """The sizes that the constructor takes."""
        return tuple(symbol for symbol in self.layout.built if symbol not in self.late)

    def calls(self) -> Iterator[Library]:
        """The calls of other diagrams that need a module, once for each edge."""
        return _calls(self.live)


@dataclass(frozen=True, slots=True, eq=False)
class Other:
    """A plan whose sums come first, to be taken where `after` is far less than `before`."""

    plan: Plan
    before: Size
    after: Size


def _calls(edges: Iterable[Edge]) -> Iterator[Library]:
    for edge in every(edges):
        if isinstance(edge.operator, Library) and not is_native(edge):
            yield edge.operator


def make_plans(root: CheckedDiagram, extra: tuple[Symbol, ...], lower: Lower) -> list[Plan]:
    """Plans of a diagram and all that it uses, callees first. `extra` sizes are built in, too."""
    plans: dict[CheckedDiagram, Plan] = {}
    _collect(root, extra, lower, plans)
    for plan in reversed(plans.values()):
        _find_late(plan, plans)
    return list(plans.values())


def _collect(
    diagram: CheckedDiagram,
    extra: tuple[Symbol, ...],
    lower: Lower,
    plans: dict[CheckedDiagram, Plan],
) -> None:
    """Post-order, so that the sizes that a callee's constructor takes are known to its callers."""
    if diagram in plans:
        return
    _check_known(diagram)
    graph = shared(lower(diagram))
    equal = equality(diagram)
    counted = _count(graph.edges, {})
    fusions: dict[Edge, Fusion] = {
        **find_attention(graph, counted, equal),
        **find_convolutions(graph, counted, equal),
        **find_rows(graph, equal),
    }
    live = _live(graph, fusions)
    used: list[CheckedDiagram] = [instance.callee for instance in diagram.instances]
    used += [operator.callee for operator in _calls(live)]
    for callee in dict.fromkeys(used):
        if not ready_made(callee):
            _collect(callee, (), lower, plans)
    wanted = dict.fromkeys((*diagram.needed, *_free(diagram), *extra))
    for instance in diagram.instances:
        wanted.update(dict.fromkeys(_instance_symbols(instance, plans)))
    uses = _count(live, fusions)
    sizes = layout(diagram, wanted)
    fused = _fused(graph, fusions, live)
    plan = Plan(diagram, graph, equal, fusions, live, uses, sizes, fused)
    plan.other = _other(plan)
    plans[diagram] = plan


def _other(plan: Plan) -> Other | None:
    """The plan with its sums in another order, if there is one; it has the same sizes."""
    found = alternative(plan.graph)
    if found is None:
        return None
    live = _live(found.graph, {})
    uses = _count(live, {})
    made = Plan(plan.diagram, found.graph, plan.equal, {}, live, uses, plan.layout, {}, plan.late)
    return Other(made, found.before, found.after)


def every(edges: Iterable[Edge]) -> Iterator[Edge]:
    """All operations in order, those of a scan in its place."""
    for edge in edges:
        if isinstance(edge.operator, Scan):
            yield from every(edge.operator.edges)
        else:
            yield edge


def _check_known(diagram: CheckedDiagram) -> None:
    """Raise TargetError for an `op` that nothing says the PyTorch form of."""
    if diagram.primitive:
        raise TargetError(
            f"nothing says what `op {diagram.name}` becomes in PyTorch; operators are registered "
            f"in Python: `ncdlang.backends.pytorch.register({quoted(diagram.library)}, "
            f"{quoted(diagram.name)}, source)`, where source is the text of an nn.Module class"
        )


def _free(diagram: CheckedDiagram) -> Iterator[Symbol]:
    for free in diagram.free:
        yield from sorted(free.axis.size.symbols())


def _instance_symbols(instance: Instance, plans: dict[CheckedDiagram, Plan]) -> Iterator[Symbol]:
    """The caller's sizes that an instance is built with."""
    callee = instance.callee
    symbols = plans[callee].layout.built if callee in plans else callee.needed
    bound = dict(instance.binding)
    for symbol in symbols:
        if symbol in bound:
            yield from sorted(bound[symbol].symbols())


def _find_late(plan: Plan, plans: dict[CheckedDiagram, Plan]) -> None:
    """Callers come before their callees here: what a caller does not know early is late."""
    early = frozenset(plan.built)
    for instance in plan.diagram.instances:
        callee = plans.get(instance.callee)
        if callee is not None:
            # What no parameter needs is known with each call.
            known = dict(instance.binding)
            callee.late.update(symbol for symbol in callee.layout.built if symbol not in known)
    for operator in plan.calls():
        callee = plans.get(operator.callee)
        if callee is None or operator.instance is not None:
            continue
        bound = dict(operator.binding)
        for symbol in callee.layout.built:
            if not bound.get(symbol, Size.of(symbol)).symbols() <= early:
                callee.late.add(symbol)


def shared(graph: Graph) -> Graph:
    """Elementwise operations without a name that say the same become one.

    Contractions and calls stay: an attention that shares its scores is no attention any more.
    """
    known: dict[Hashable, Wire] = {}
    same: dict[Wire, Wire] = {}
    edges: list[Edge] = []
    for edge in graph.edges:
        if any(operand.wire in same for operand in edge.inputs):
            edge = _with_inputs(edge, same)
        key = _said(edge) if edge.outputs[0].wire not in graph.outputs else None
        if key in known:
            same[edge.outputs[0].wire] = known[key]
            continue
        if key is not None:
            known[key] = edge.outputs[0].wire
        edges.append(edge)
    wires = (graph.inputs, graph.outputs, graph.learned)
    return Graph(graph.name, graph.diagram, *wires, tuple(edges))


def _with_inputs(edge: Edge, same: dict[Wire, Wire]) -> Edge:
    inputs = tuple(Operand(same.get(o.wire, o.wire), o.weave, o.reindexing) for o in edge.inputs)
    operator = edge.operator
    if isinstance(operator, Scan):
        inner = tuple(_with_inputs(e, same) for e in operator.edges)
        operator = Scan(operator.axis, operator.reverse, inner)
    return Edge(operator, edge.degree, inputs, edge.outputs, edge.span, edge.blocks)


def _said(edge: Edge) -> Hashable:
    """What an edge computes, None if it must stay as it is."""
    operator, wire = edge.operator, edge.outputs[0].wire
    if not isinstance(operator, (Pointwise, Number, Iota)) or wire.name[0] != "_":
        return None
    kind = type(operator.value) if isinstance(operator, Number) else None
    return (operator, kind, edge.degree, edge.inputs, wire.type)


# ---- what is alive -------------------------------------------------------------------------------


def _reads(edge: Edge, fusions: dict[Edge, Fusion]) -> Iterator[Wire]:
    if edge in fusions:
        yield from fusions[edge].wires()
    else:
        for operand in edge.inputs:
            yield operand.wire


def _live(graph: Graph, fusions: dict[Edge, Fusion]) -> tuple[Edge, ...]:
    """The edges that the results need, in order."""
    needed = set(graph.outputs)
    kept: list[Edge] = []
    for edge in reversed(graph.edges):
        if any(result.wire in needed for result in edge.outputs):
            kept.append(edge)
            needed.update(_reads(edge, fusions))
    return tuple(reversed(kept))


def _fused(
    graph: Graph, fusions: dict[Edge, Fusion], live: tuple[Edge, ...]
) -> dict[Edge, tuple[Wire, ...]]:
    """The named wires behind each fusion that are not made."""
    makers = graph.makers()
    found: dict[Edge, tuple[Wire, ...]] = {}
    for edge in fusions:
        behind: set[Wire] = set()
        pending = [operand.wire for operand in edge.inputs]
        while pending:
            wire = pending.pop()
            maker = makers.get(wire)
            if maker is not None and maker not in live and wire not in behind:
                behind.add(wire)
                pending += [operand.wire for operand in maker.inputs]
        named = [w for w in graph.wires() if w in behind and not w.name.startswith("_")]
        found[edge] = tuple(named)
    return found


def _count(edges: tuple[Edge, ...], fusions: dict[Edge, Fusion]) -> dict[Wire, int]:
    found: dict[Wire, int] = {}
    for edge in edges:
        # What a loop reads, it reads more than once.
        times = 2 if isinstance(edge.operator, Scan) else 1
        for wire in _reads(edge, fusions):
            found[wire] = found.get(wire, 0) + times
    return found


def equality(diagram: CheckedDiagram) -> Equal:
    """Sizes are the same if they are the same polynomial, or if the diagram requires it."""
    required = [r.left - r.right for r in diagram.requirements if r.op == "=="]
    zeros = frozenset((*required, *(-difference for difference in required)))

    def equal(left: Size, right: Size) -> bool:
        return left == right or (left - right) in zeros

    return equal
