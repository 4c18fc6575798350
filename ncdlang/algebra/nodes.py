"""Nodes of the normal form: operations that are named by a digest of what they compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from ncdlang.algebra.labels import Labelling, Occurrence
from ncdlang.algebra.strides import Places, axes_of
from ncdlang.records import record
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import ArrayType, Axis, Kind, Wire, gathered
from ncdlang.source import Span


@record(eq=False)
class Read:
    """A node at one coordinate for each of its dimensions. `role` tells ordered operands apart."""

    role: str
    node: Node
    places: Places


@record(eq=False)
class Node:
    """One operation: what it does for all indices of `dims`, after binding `bound`.

    The axes stand for themselves, in the order of the normal form. `name` and `span` say where
    it came from. `gathers` are the nodes inside coordinates. A closed node needs no input.
    """

    digest: str
    operator: str
    kind: str
    dims: tuple[Axis, ...]
    bound: tuple[Axis, ...]
    reads: tuple[Read, ...]
    gathers: tuple[Node, ...]
    name: str
    span: Span
    is_closed: bool
    is_random: bool

    def below(self) -> Iterator[Node]:
        """The nodes that it reads, once for each read."""
        for read in self.reads:
            yield read.node
        yield from self.gathers


@record(eq=False)
class View:
    """An array as a node that is read at coordinates over the atoms of the array's axes."""

    node: Node
    places: Places


@record(eq=False)
class Origin:
    """Where a node comes from: what a person calls it, and its place in the source."""

    name: str
    span: Span


def reachable(roots: Iterable[Node]) -> Iterator[Node]:
    """The nodes below some nodes, each once, what is read first; without recursion."""
    seen: set[str] = set()
    stack = [(node, False) for node in reversed(list(roots))]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            yield node
        elif node.digest not in seen:
            seen.add(node.digest)
            stack.append((node, True))
            stack += [(each, False) for each in reversed(list(node.below()))]


class Sizes:
    """Sizes as texts in which the unknowns are numbered in the order of the diagram's."""

    def __init__(self, unknowns: tuple[Symbol, ...]) -> None:
        self._numbers: dict[Symbol, Size] = {}
        self._texts: dict[Size, str] = {}
        for symbol in unknowns:
            self._number(symbol)

    def _number(self, symbol: Symbol) -> Size:
        if symbol not in self._numbers:
            place = len(self._numbers)
            self._numbers[symbol] = Size.of(Symbol(f"{place:03}", place))
        return self._numbers[symbol]

    def text(self, size: Size) -> str:
        """The size as a text that is equal for equal polynomials."""
        found = self._texts.get(size)
        if found is None:
            found = self._texts[size] = str(size.map_atoms(self._number))
        return found

    def kind(self, kind: Kind) -> str:
        """A kind as a text."""
        bound = self.text(kind.bound) if kind.bound is not None else ""
        return f"{kind.name}:{kind.format or ''}:{bound}"


class Nodes:
    """Makes nodes, the same node for the same computation."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.known: dict[str, Node] = {}
        self._random: Counter[str] = Counter()
        self._stand_ins: dict[str, Wire] = {}
        self._stood_for: dict[Wire, Node] = {}

    def stand_in(self, node: Node) -> Wire:
        """The wire that stands for a node inside coordinates."""
        wire = self._stand_ins.get(node.digest)
        if wire is None:
            wire = Wire(node.digest, ArrayType(node.dims), node.span)
            self._stand_ins[node.digest] = wire
            self._stood_for[wire] = node
        return wire

    def make(
        self,
        operator: str,
        kind: str,
        degree: Iterable[Axis],
        bound: Iterable[Axis],
        reads: list[Read],
        origin: Origin,
        *,
        fixed: tuple[Axis, ...] = (),
        tail: tuple[Axis, ...] = (),
        is_random: bool = False,
        is_leaf: bool = False,
    ) -> tuple[Node, tuple[Axis, ...]]:
        """The node of an operation over `degree`, and the axes that its dimensions stand for.

        An axis of the degree that nothing depends on is no dimension, except of random nodes.
        `fixed` axes are told apart by their order; `tail` are those of them that are dimensions,
        after the others.
        """
        used = {a for read in reads for place in read.places for a in axes_of(place)}
        colours = {
            axis: f"d{self.sizes.text(axis.size)}" for axis in degree if axis in used or is_random
        }
        colours |= {axis: f"b{self.sizes.text(axis.size)}" for axis in bound}
        pinned = {axis: f"t{i}" for i, axis in enumerate(fixed)}
        occurrences = [Occurrence(read.role, read.node.digest, read.places) for read in reads]
        found = Labelling(self.sizes.text, colours, pinned, occurrences)
        dims = (*(a for a in found.order if colours[a][0] == "d"), *tail)
        inner = tuple(a for a in found.order if colours[a][0] == "b")
        shape = [[self.sizes.text(a.size) for a in axes] for axes in (dims, inner, fixed)]
        key = repr((operator, kind, shape, found.texts))
        if is_random:
            self._random[key] += 1
            key = f"{key}#{self._random[key]}"
        name = digest(key)
        node = self.known.get(name)
        if node is None:
            gathers = [
                self._stood_for[g.wire] for r in reads for g in dict.fromkeys(gathered(r.places))
            ]
            closed = not (dims or is_leaf or is_random or gathers)
            closed = closed and all(read.node.is_closed for read in reads)
            node = self.known[name] = Node(
                name,
                operator,
                kind,
                dims,
                inner,
                tuple(reads),
                tuple(gathers),
                origin.name,
                origin.span,
                closed,
                is_random,
            )
        return node, dims


def digest(text: str) -> str:
    """A short name for a text; two texts of one name do not occur."""
    return blake2b(text.encode(), digest_size=12).hexdigest()
