"""Which operations of a scan run once before its loop, and which in every step of it.

An operation that reads no result of an earlier step runs before the loop, for all positions at
once; indices and conditions on them, and entries picked at the position, belong to the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
)
from ncdlang.semantics.types import Affine, Wire, plain_index

from .position import Conditions, Facts, Position
from .registry import is_native


@dataclass(frozen=True, slots=True)
class Steps:
    """The operations of a scan. `kept` are the wires whose value is kept at every position.

    `uses` counts how often the operations of the step read each wire at the position, `facts`
    says what is known of the position where the value of an operation is evaluated.
    """

    before: tuple[Edge, ...]
    inside: tuple[Edge, ...]
    kept: frozenset[Wire]
    uses: Mapping[Wire, int]
    facts: Mapping[Edge, Facts]
    conditions: Conditions


def split(scan: Scan, position: Position, wanted: frozenset[Wire], beyond: Facts) -> Steps:
    """Split the operations of a scan whose wires `wanted` are read after it.

    `beyond` is what is known of every position.
    """
    return _Splitting(scan, position, wanted, beyond).steps()


def entries(operand: Operand) -> tuple[Affine, ...]:
    """The index of each dimension, targets by their own axis."""
    coordinates = iter(operand.reindexing)
    return tuple(
        plain_index(axis) if target else next(coordinates)
        for axis, target in zip(operand.wire.type.axes, operand.weave, strict=True)
    )


def is_here(operand: Operand, position: Position) -> bool:
    """Whether the operand is read at the position itself, if it has the axis at all."""
    indices = entries(operand)
    for i in position.dims(operand.wire.type.axes):
        index = position.at(indices[i], lambda gathered: gathered)
        if index.terms or index.constant != position.indices[operand.wire.type.axes[i]]:
            return False
    return True


class _Splitting:
    def __init__(
        self, scan: Scan, position: Position, wanted: frozenset[Wire], beyond: Facts
    ) -> None:
        self.scan = scan
        self.position = position
        self.wanted = wanted
        self.beyond = beyond
        self.makers = {result.wire: edge for edge in scan.edges for result in edge.outputs}
        self.free = self._free()
        self.counting = self._counting()

    def steps(self) -> Steps:
        """The split."""
        inside, before = self._inside()
        edges = tuple(edge for edge in self.scan.edges if edge in inside)
        made = {result.wire for edge in edges for result in edge.outputs}
        kept = {wire for wire in self.wanted if wire in made}
        uses: dict[Wire, int] = {}
        for edge in edges:
            for operand in edge.inputs:
                if operand.wire in made and not is_here(operand, self.position):
                    kept.add(operand.wire)
                else:
                    uses[operand.wire] = uses.get(operand.wire, 0) + 1
        conditions = Conditions(self.position, self.scan.edges)
        facts = self._facts(edges, frozenset(kept), uses, conditions)
        first = tuple(edge for edge in self.scan.edges if edge in before)
        return Steps(first, edges, frozenset(kept), uses, facts, conditions)

    # ---- what an operation depends on -----------------------------------------------------------

    def _sources(self, edge: Edge) -> Iterator[Edge]:
        for operand in edge.inputs:
            if operand.wire in self.makers:
                yield self.makers[operand.wire]

    def _free(self) -> set[Edge]:
        """The operations that depend on no earlier step: all they read is made before them."""
        free: set[Edge] = set()
        for edge in self.scan.edges:
            if all(source in free for source in self._sources(edge)):
                free.add(edge)
        return free

    def _counting(self) -> set[Edge]:
        """The operations that depend on indices and sizes only."""
        found: set[Edge] = set()
        for edge in self.scan.edges:
            own = all(operand.wire in self.makers for operand in edge.inputs)
            if own and all(source in found for source in self._sources(edge)):
                found.add(edge)
        return found

    def _belongs(self, edge: Edge) -> bool:
        """Whether an operation that the step reads is itself one of the step."""
        if edge not in self.free:
            return True
        if self.position.indices.keys().isdisjoint(edge.degree):
            return False
        if edge in self.counting:
            return True
        if isinstance(edge.operator, Pointwise):
            return not _is_as_large(edge)
        return isinstance(edge.operator, Reindex) and self._is_pick(edge)

    def _is_pick(self, edge: Edge) -> bool:
        """Whether a read has one index along each dimension that depends on the position."""
        index = [self.position.at(entry, lambda g: g) for entry in entries(edge.inputs[0])]
        old = entries(edge.inputs[0])
        own = self.position.indices.keys()
        return all(
            not new.terms for new, entry in zip(index, old, strict=True) if own & set(entry.axes())
        )

    def _inside(self) -> tuple[set[Edge], set[Edge]]:
        """The operations that are needed in the step, and those needed before the loop."""
        inside: set[Edge] = set()
        before: set[Edge] = set()
        pending = [self.makers[wire] for wire in self.wanted]
        while pending:
            edge = pending.pop()
            if edge in inside:
                continue
            if not self._belongs(edge):
                self._needed(edge, before)
                continue
            inside.add(edge)
            pending += self._sources(edge)
        return inside, before

    def _needed(self, edge: Edge, found: set[Edge]) -> None:
        if edge not in found:
            found.add(edge)
            for source in self._sources(edge):
                self._needed(source, found)

    # ---- what is known where a value is evaluated -----------------------------------------------

    def _facts(
        self,
        edges: Sequence[Edge],
        kept: frozenset[Wire],
        uses: Mapping[Wire, int],
        conditions: Conditions,
    ) -> dict[Edge, Facts]:
        """A value that is written into the branch of a plain condition is evaluated only there."""
        readers = {operand.wire: (e, i) for e in edges for i, operand in enumerate(e.inputs)}
        found: dict[Edge, Facts] = {}
        for edge in reversed(edges):
            found[edge] = self.beyond
            wire = edge.outputs[0].wire
            if len(edge.outputs) > 1 or uses.get(wire) != 1 or wire in kept:
                continue
            if not wire.name.startswith("_"):
                continue
            reader, place = readers[wire]
            if not _writes_in_place(reader, place):
                continue
            own: Facts = ()
            if self.is_plain_choice(reader) and place > 0:
                own = conditions.facts(reader.inputs[0].wire, place == 1)
            found[edge] = (*found[reader], *own)
        return found

    def is_plain_choice(self, edge: Edge) -> bool:
        """Whether an operation is a choice by a condition on the position alone."""
        operator = edge.operator
        if not isinstance(operator, Pointwise) or operator.name != "select":
            return False
        return self._is_plain(edge.inputs[0].wire)

    def _is_plain(self, wire: Wire) -> bool:
        """Whether a value is a plain number at the position."""
        edge = self.makers.get(wire)
        if edge is None or self.position.without(wire.type.axes):
            return False
        if not isinstance(edge.operator, (Pointwise, Number, Iota)):
            return False
        return all(self._is_plain(operand.wire) for operand in edge.inputs)


def _is_as_large(edge: Edge) -> bool:
    """Whether an elementwise result is as large as one of the operands, not an outer product."""
    degree = frozenset(edge.degree)
    return any(degree <= frozenset(operand.wire.type.axes) for operand in edge.inputs)


def _writes_in_place(edge: Edge, place: int) -> bool:
    """Whether the value of an operand is written where it is read, and not on a line before."""
    operand = edge.inputs[place]
    axes = tuple(index.axis for index in entries(operand))
    if axes != operand.wire.type.axes:
        return False
    if isinstance(edge.operator, Library):
        return is_native(edge)
    return isinstance(edge.operator, (Pointwise, Contraction, Reduction, Reindex)) and place < (
        1 if isinstance(edge.operator, Reindex) else len(edge.inputs)
    )
