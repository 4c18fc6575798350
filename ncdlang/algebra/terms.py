"""Composed terms of the array-broadcasted category, and the way to hypergraphs and back.

A term goes from a tuple of arrays to another: one broadcasted operation, a rearrangement of whole
arrays (copy, drop, permute), a sequence, a product, a block, an iteration (semantics.md, section
2). Two types are equal when their axes are the same. A term carries brackets that mean nothing:
`to_graph` forgets them, `to_term` puts one operation after another beside everything that is
still needed, and the normal form of a graph is that of its term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias, assert_never

from ncdlang.algebra.patches import with_wires
from ncdlang.ir.diagram import Block, Edge, Graph, Result, Scan
from ncdlang.records import record, replace
from ncdlang.semantics.types import ArrayType, Wire

Types = tuple[ArrayType, ...]


class TermError(ValueError):
    """Terms that do not compose: the types of one are not those of the next."""


@record(eq=False)
class Operation:
    """One broadcasted operation. Its inputs are the arrays that it reads, each once."""

    edge: Edge

    @property
    def read(self) -> tuple[Wire, ...]:
        """The wires that stand for the inputs."""
        return tuple(dict.fromkeys(operand.wire for operand in self.edge.inputs))


@record(eq=False)
class Rearrange:
    """Output i is input `positions[i]`: copies, drops and permutes arrays."""

    given: Types
    positions: tuple[int, ...]


@record(eq=False)
class Then:
    """`first >> second`."""

    first: Term
    second: Term


@record(eq=False)
class Beside:
    """`left | right`."""

    left: Term
    right: Term


@record(eq=False)
class Titled:
    """A block round a term."""

    title: str
    body: Term


@record(eq=False)
class Repeated:
    """`body ^ times`, for a body that gives the types that it takes."""

    body: Term
    times: int


Term: TypeAlias = Operation | Rearrange | Then | Beside | Titled | Repeated


def identity(types: Types) -> Rearrange:
    """The term that passes arrays on."""
    return Rearrange(types, tuple(range(len(types))))


def then(*terms: Term) -> Term:
    """A sequence of one or more terms. Raises TermError where types do not meet."""
    whole, *rest = terms
    for term in rest:
        if codomain(whole) != domain(term):
            given, wanted = _shown(codomain(whole)), _shown(domain(term))
            raise TermError(f"a term gives {given}, the next one takes {wanted}")
        whole = Then(whole, term)
    return whole


def repeated(body: Term, times: int) -> Repeated:
    """An iteration. Raises TermError if the body does not give what it takes."""
    if domain(body) != codomain(body) or times < 0:
        raise TermError(f"{_shown(domain(body))} becomes {_shown(codomain(body))}: no iteration")
    return Repeated(body, times)


def domain(term: Term) -> Types:
    """The types of what a term takes."""
    match term:
        case Operation():
            return tuple(wire.type for wire in term.read)
        case Rearrange():
            return term.given
        case Then():
            return domain(term.first)
        case Beside():
            return (*domain(term.left), *domain(term.right))
        case Titled() | Repeated():
            return domain(term.body)
        case _:
            assert_never(term)


def codomain(term: Term) -> Types:
    """The types of what a term gives."""
    match term:
        case Operation():
            return tuple(result.wire.type for result in term.edge.outputs)
        case Rearrange():
            return tuple(term.given[position] for position in term.positions)
        case Then():
            return codomain(term.second)
        case Beside():
            return (*codomain(term.left), *codomain(term.right))
        case Titled() | Repeated():
            return codomain(term.body)
        case _:
            assert_never(term)


def _shown(types: Types) -> str:
    return f"({', '.join(map(str, types))})"


# ---- to hypergraphs ----------------------------------------------------------------------------


def to_graph(term: Term, like: Graph) -> Graph:
    """The hypergraph of a term, with the sizes of the diagram of `like`.

    Its inputs are the term's, parameters included: it has none of its own.
    """
    span = like.diagram.span
    inputs = tuple(Wire(f"x{i}", type_, span) for i, type_ in enumerate(domain(term)))
    edges: list[Edge] = []
    outputs = _build(term, inputs, (), edges.append)
    return replace(like, inputs=inputs, outputs=outputs, learned=(), edges=tuple(edges))


def _build(
    term: Term,
    inputs: tuple[Wire, ...],
    blocks: tuple[Block, ...],
    emit: Callable[[Edge], None],
) -> tuple[Wire, ...]:
    match term:
        case Operation():
            edge = _instance(term, inputs, blocks)
            emit(edge)
            return tuple(result.wire for result in edge.outputs)
        case Rearrange():
            return tuple(inputs[position] for position in term.positions)
        case Then():
            for part in _parts(term):
                inputs = _build(part, inputs, blocks, emit)
            return inputs
        case Beside():
            count = len(domain(term.left))
            left = _build(term.left, inputs[:count], blocks, emit)
            return (*left, *_build(term.right, inputs[count:], blocks, emit))
        case Titled():
            return _build(term.body, inputs, (*blocks, Block(term.title)), emit)
        case Repeated():
            for _ in range(term.times):
                inputs = _build(term.body, inputs, blocks, emit)
            return inputs
        case _:
            assert_never(term)


def _parts(term: Term) -> list[Term]:
    """The parts of a sequence, however it is bracketed to the left; long ones are no recursion."""
    parts: list[Term] = []
    while isinstance(term, Then):
        parts.append(term.second)
        term = term.first
    return [term, *reversed(parts)]


def _instance(term: Operation, inputs: tuple[Wire, ...], blocks: tuple[Block, ...]) -> Edge:
    """The operation on other arrays, with results of its own."""
    edge = with_wires(term.edge, dict(zip(term.read, inputs, strict=True)))
    made = {r.wire: Wire(r.wire.name, r.wire.type, r.wire.span) for r in edge.outputs}
    edge = replace(_with_results(edge, made), blocks=blocks)
    if isinstance(edge.operator, Scan):
        inner = tuple(_with_results(with_wires(each, made), made) for each in edge.operator.edges)
        edge = replace(edge, operator=replace(edge.operator, edges=inner))
    return edge


def _with_results(edge: Edge, made: dict[Wire, Wire]) -> Edge:
    outputs = tuple(Result(made[result.wire], result.weave) for result in edge.outputs)
    return replace(edge, outputs=outputs)


# ---- and back ----------------------------------------------------------------------------------


def to_term(graph: Graph) -> Term:
    """A graph as a sequence: each operation beside the arrays that are needed after it.

    It takes the inputs of the graph, then its parameters.
    """
    held = (*graph.inputs, *(learned.wire for learned in graph.learned))
    writer = _Writer(graph)
    stages = list(writer.stages(list(enumerate(graph.edges)), 0, held))
    final = tuple(map(writer.held.index, graph.outputs))
    return then(identity(_types(held)), *stages, Rearrange(_types(writer.held), final))


def cut(graph: Graph, place: int) -> tuple[Term, Term]:
    """A graph as two terms in sequence, the first with the operations before `place`."""
    held = (*graph.inputs, *(learned.wire for learned in graph.learned))
    numbered = list(enumerate(graph.edges))
    writer = _Writer(graph)
    first = list(writer.stages(numbered[:place], 0, held))
    between = writer.held
    second = list(writer.stages(numbered[place:], 0, between))
    final = tuple(map(writer.held.index, graph.outputs))
    end = Rearrange(_types(writer.held), final)
    return (
        then(identity(_types(held)), *first),
        then(identity(_types(between)), *second, end),
    )


def _types(wires: Sequence[Wire]) -> Types:
    return tuple(wire.type for wire in wires)


class _Writer:
    """Writes operations one after another; `held` are the arrays that there are."""

    def __init__(self, graph: Graph) -> None:
        self.held: tuple[Wire, ...] = ()
        self._last: dict[Wire, int] = {}
        for i, edge in enumerate(graph.edges):
            self._last.update((operand.wire, i) for operand in edge.inputs)
        self._last.update((wire, len(graph.edges)) for wire in graph.outputs)

    def stages(
        self, edges: Sequence[tuple[int, Edge]], depth: int, held: tuple[Wire, ...]
    ) -> Iterator[Term]:
        """The operations as stages, those of a block as one stage with its title."""
        self.held = held

        def block(each: tuple[int, Edge]) -> Block | None:
            blocks = each[1].blocks
            return blocks[depth] if len(blocks) > depth else None

        for title, group in groupby(edges, block):
            if title is None:
                for i, edge in group:
                    yield from self._stage(i, edge)
                continue
            inner = list(self.stages(list(group), depth + 1, self.held))
            yield Titled(title.title, then(*inner))

    def _stage(self, place: int, edge: Edge) -> Iterator[Term]:
        """What brings the arrays that an operation reads to the front, and the operation."""
        operation = Operation(edge)
        kept = tuple(wire for wire in self.held if self._last.get(wire, -1) > place)
        order = (*operation.read, *kept)
        yield Rearrange(_types(self.held), tuple(map(self.held.index, order)))
        yield Beside(operation, identity(_types(kept)))
        self.held = (*(result.wire for result in edge.outputs), *kept)
