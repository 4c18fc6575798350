"""The polynomial that each wire of a graph is in the entries of one array."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from heapq import heappop, heappush

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Library,
    Number,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
)
from ncdlang.semantics.size import Size, product
from ncdlang.semantics.types import REAL, Axis, Wire, plain_index

from .polynomials import (
    Entry,
    Polynomial,
    Unrepresented,
    extent,
    folded,
    mean,
    number,
    single,
)
from .reads import Reading, reading

_HALF = Fraction(1, 2)
_MOST_VISITS = 32


class Algebra:
    """The polynomials of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.edges = graph.edges
        self.makers = graph.makers()
        self.readers: dict[Wire, list[int]] = {}
        for place, edge in enumerate(graph.edges):
            for wire in {operand.wire for operand in edge.inputs}:
                self.readers.setdefault(wire, []).append(place)

    def follow(self, source: Wire, goes_on: Callable[[Edge, Polynomial], bool]) -> None:
        """Visit the operations that are polynomials of `source` and of arrays without part in it.

        They come in order, those that read others only where the visit of those says to go on.
        The source and the other arrays count as they are, whatever made them.
        """
        known = {source: single(Entry(_whole(source)))}
        pending = list(self.readers.get(source, ()))
        done: set[int] = set()
        while pending and len(done) < _MOST_VISITS:
            place = heappop(pending)
            if place in done:
                continue
            done.add(place)
            edge = self.edges[place]
            made = _Reader(known, self.makers).polynomial(edge)
            if made is not None and goes_on(edge, made):
                wire = edge.outputs[0].wire
                known[wire] = made
                for reader in self.readers.get(wire, ()):
                    heappush(pending, reader)


def _whole(wire: Wire) -> Reading:
    return Reading(wire, tuple(plain_index(axis) for axis in wire.type.axes))


class _Reader:
    def __init__(self, known: Mapping[Wire, Polynomial], makers: Mapping[Wire, Edge]) -> None:
        self.known = known
        self.makers = makers

    def polynomial(self, edge: Edge) -> Polynomial | None:
        """What an edge makes, None if it is no polynomial."""
        kind, axes = edge.outputs[0].wire.type.kind, edge.outputs[0].wire.type.axes
        if kind != REAL or any(axis.parts for axis in axes):
            return None
        try:
            return self._made(edge)
        except Unrepresented:
            return None

    def _made(self, edge: Edge) -> Polynomial:
        match edge.operator:
            case Pointwise(name):
                return _pointwise(name, [self._read(edge, o) for o in edge.inputs])
            case Reindex():
                return self._read(edge, edge.inputs[0])
            case Contraction(axes):
                found = number(1)
                for operand in edge.inputs:
                    found *= self._read(edge, operand)
                return mean(found, axes) * extent(product(axis.size for axis in axes))
            case Reduction(name, axes, None):
                return _reduced(name, self._read(edge, edge.inputs[0]), axes)
            case Library() if is_log_softmax(edge):
                (operand,) = edge.inputs
                inner = self._read(edge, operand)
                own = zip(operand.wire.type.axes, operand.weave, strict=True)
                return inner - _logsumexp(inner, tuple(a for a, target in own if target))
            case _:
                raise Unrepresented

    def _read(self, edge: Edge, operand: Operand) -> Polynomial:
        """An operand, which other arrays stand for as they are."""
        wire, read = operand.wire, reading(edge, operand)
        if wire in self.known:
            places = dict(zip(wire.type.axes, read.entries, strict=True))
            moved = {axis: entry for axis, entry in places.items() if entry.axis is not axis}
            if read.guarded:
                raise Unrepresented
            return self.known[wire].substituted(moved) if moved else self.known[wire]
        constant = self._constant(wire)
        if constant is not None:
            return constant
        if wire.type.kind != REAL:
            raise Unrepresented
        return single(Entry(read))

    def _constant(self, wire: Wire) -> Polynomial | None:
        """A number made of numbers and sizes."""
        edge = self.makers.get(wire)
        match edge.operator if edge is not None else None:
            case Number(Size() as size):
                return extent(size)
            case Number(int() | float() as value) if math.isfinite(value):
                return number(Fraction(value))
            case Pointwise(name) if edge is not None and not wire.type.axes:
                parts = [self._constant(operand.wire) for operand in edge.inputs]
                given = [part for part in parts if part is not None]
                if len(given) < len(parts):
                    return None
                return given[0] if name == "real" else _pointwise(name, given)
            case _:
                return None


def is_log_softmax(edge: Edge) -> bool:
    """Whether an edge is the logarithm of softmax."""
    operator = edge.operator
    if not isinstance(operator, Library) or len(edge.inputs) != 1:
        return False
    return (operator.callee.library, operator.callee.name) == ("std.prelude", "log_softmax")


def _pointwise(name: str, given: list[Polynomial]) -> Polynomial:
    match name, given:
        case "add", [left, right]:
            return left + right
        case "sub", [left, right]:
            return left - right
        case "mul", [left, right]:
            return left * right
        case "div", [left, right]:
            return left * right ** Fraction(-1)
        case "neg", [of]:
            return -of
        case "sqrt", [of]:
            return of**_HALF
        case "rsqrt", [of]:
            return of**-_HALF
        case "pow", [of, exponent] if exponent.value is not None:
            return of**exponent.value
        case _:
            raise Unrepresented


def _reduced(name: str, of: Polynomial, axes: tuple[Axis, ...]) -> Polynomial:
    match name:
        case "mean":
            return mean(of, axes)
        case "sum":
            return mean(of, axes) * extent(product(axis.size for axis in axes))
        case "norm":
            return _reduced("sum", of * of, axes) ** _HALF
        case "logsumexp":
            return _logsumexp(of, axes)
        case _:
            raise Unrepresented


def _logsumexp(of: Polynomial, axes: tuple[Axis, ...]) -> Polynomial:
    match list(of.terms):
        case [(monomial, c)] if c == 1:
            return folded("logsumexp", frozenset(axes), monomial)
        case _:
            raise Unrepresented
