"""Softmax attention in a graph, found by its algebra and never by a name.

The pattern is a contraction of two arrays; then scalings by numbers without axes, additive terms,
and `where(mask, scores, -inf)` in any order; then the softmax of the library over axes that only
one of the two arrays has; then a contraction of the result over exactly those axes. Every value in
between must have exactly one use and be no result, so that nobody sees that it is never made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Operand,
    Pointwise,
    Reindex,
    Result,
)
from ncdlang.semantics.size import Size, product
from ncdlang.semantics.types import Axis, Wire

from .reads import Equal, Reading, plain_axes, reading

_POSITIVE = frozenset({"mul", "div", "add", "sqrt", "rsqrt", "exp", "real", "abs", "max"})
_FLIPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_NEGATED = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}


@dataclass(frozen=True, slots=True)
class Factor:
    """A number without axes that scales, or divides if it is `inverted`."""

    wire: Wire | None
    inverted: bool = False

    @property
    def negates(self) -> bool:
        """Whether it stands for -1."""
        return self.wire is None


@dataclass(frozen=True, slots=True)
class Mask:
    """A condition under which scores count; with `negated`, under which they do not."""

    read: Reading
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Bias:
    """A term added to the scores, itself scaled by what follows it."""

    read: Reading
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Attention:
    """softmax over `keys` of (query . key over `inner`, scaled, masked, biased), times value.

    `outer` scales the product of the weights with the values. `axes` are those of the scores.
    The factors are `standard` if they make 1 / sqrt(size of inner).
    """

    query: Reading
    key: Reading
    value: Reading
    inner: tuple[Axis, ...]
    keys: tuple[Axis, ...]
    axes: tuple[Axis, ...]
    factors: tuple[Factor, ...]
    masks: tuple[Mask, ...]
    biases: tuple[Bias, ...]
    outer: tuple[Factor, ...]
    causal: Axis | None
    standard: bool

    def wires(self) -> Iterator[Wire]:
        """Every wire that is read."""
        for read in (self.query, self.key, self.value):
            yield read.wire
        for mask in self.masks:
            yield mask.read.wire
        for bias in self.biases:
            yield bias.read.wire
            yield from (f.wire for f in bias.factors if f.wire is not None)
        yield from (f.wire for f in (*self.factors, *self.outer) if f.wire is not None)


@dataclass(frozen=True, slots=True)
class _Scores:
    """What is known of the scores on the way back to their contraction."""

    factors: tuple[Factor, ...] = ()
    masks: tuple[Mask, ...] = ()
    biases: tuple[Bias, ...] = ()


def find_attention(graph: Graph, uses: Mapping[Wire, int], equal: Equal) -> dict[Edge, Attention]:
    """Every attention of the graph, by the contraction that ends it."""
    finder = _Finder(graph, uses, equal)
    found: dict[Edge, Attention] = {}
    for edge in graph.edges:
        attention = finder.ending_in(edge)
        if attention is not None:
            found[edge] = attention
    return found


class _Finder:
    def __init__(self, graph: Graph, uses: Mapping[Wire, int], equal: Equal) -> None:
        self.makers = graph.makers()
        self.outputs = frozenset(graph.outputs)
        self.uses = uses
        self.equal = equal

    def ending_in(self, edge: Edge) -> Attention | None:
        """The attention whose last contraction is this edge."""
        operator = edge.operator
        if not isinstance(operator, Contraction):
            return None
        operands = [o for o in edge.inputs if o.wire.type.axes]
        outer = tuple(Factor(o.wire) for o in edge.inputs if not o.wire.type.axes)
        if len(operands) != 2:
            return None
        for weights, value in (operands, reversed(operands)):
            found = self._weighted(edge, operator, weights, value, outer)
            if found is not None:
                return found
        return None

    def _weighted(
        self,
        edge: Edge,
        contraction: Contraction,
        weights: Operand,
        value: Operand,
        outer: tuple[Factor, ...],
    ) -> Attention | None:
        softmax = self._private(edge, weights)
        if softmax is None or not _is_softmax(softmax):
            return None
        keys = _targets(softmax.inputs[0])
        if set(keys) != set(contraction.axes) or _targets(softmax.outputs[0]) != keys:
            return None
        if set(_targets(weights)) != set(keys) or set(_targets(value)) != set(keys):
            return None
        scores = softmax.inputs[0]
        if scores.wire.type.axes != softmax.outputs[0].wire.type.axes:
            return None
        for contracted, seen in self._scores(softmax, scores, _Scores()):
            found = self._contracted(contracted, seen, keys)
            if found is None:
                continue
            query, key, inner, factors = found
            attention = Attention(
                query,
                key,
                reading(edge, value),
                inner,
                keys,
                scores.wire.type.axes,
                (*seen.factors, *factors),
                seen.masks,
                seen.biases,
                outer,
                None,
                self._is_standard((*seen.factors, *factors), inner),
            )
            return self._with_causal(attention)
        return None

    # ---- the way back ---------------------------------------------------------------------------

    def _private(self, reader: Edge, operand: Operand) -> Edge | None:
        """The maker of an operand that nothing else reads, if it is read axis by axis as it is."""
        wire = operand.wire
        if self.uses.get(wire, 0) != 1 or wire in self.outputs:
            return None
        if plain_axes(reading(reader, operand), self.equal) != wire.type.axes:
            return None
        return self.makers.get(wire)

    def _scores(
        self, reader: Edge, operand: Operand, seen: _Scores
    ) -> Iterator[tuple[Edge, _Scores]]:
        """Every contraction that the operand may be, behind scalings, terms and masks."""
        edge = self._private(reader, operand)
        if edge is None:
            return
        match edge.operator:
            case Contraction():
                yield edge, seen
            case Reindex(guarded=False) if len(edge.inputs) == 1:
                yield from self._scores(edge, edge.inputs[0], seen)
            case Pointwise(name="neg"):
                yield from self._scores(edge, edge.inputs[0], _scaled(seen, Factor(None)))
            case Pointwise(name="mul" | "div" | "add" | "sub" as name):
                yield from self._binary(edge, name, seen)
            case Pointwise(name="select"):
                yield from self._masked(edge, seen)
            case _:
                return

    def _binary(self, edge: Edge, name: str, seen: _Scores) -> Iterator[tuple[Edge, _Scores]]:
        left, right = edge.inputs
        pairs = (
            [(left, right, False)] if name == "div" else [(left, right, False), (right, left, True)]
        )
        for scores, other, swapped in pairs:
            if name in ("mul", "div"):
                if not other.wire.type.axes:
                    scaled = _scaled(seen, Factor(other.wire, name == "div"))
                    yield from self._scores(edge, scores, scaled)
                continue
            # The term of `a - b` that is not the scores, and the scores of `b - a`, are negated.
            minus = (Factor(None),) if name == "sub" else ()
            bias = Bias(reading(edge, other), (*seen.factors, *(() if swapped else minus)))
            inner = replace(seen, biases=(*seen.biases, bias))
            yield from self._scores(edge, scores, _scaled(inner, *minus) if swapped else inner)

    def _masked(self, edge: Edge, seen: _Scores) -> Iterator[tuple[Edge, _Scores]]:
        condition, then, otherwise = edge.inputs
        # -inf times a number is -inf only if the number is positive.
        if not all(self._is_positive(factor) for factor in seen.factors):
            return
        for scores, other, negated in ((then, otherwise, False), (otherwise, then, True)):
            if self._constant(other.wire) == -math.inf:
                mask = Mask(reading(edge, condition), negated)
                yield from self._scores(edge, scores, replace(seen, masks=(*seen.masks, mask)))

    def _contracted(
        self, edge: Edge, seen: _Scores, keys: tuple[Axis, ...]
    ) -> tuple[Reading, Reading, tuple[Axis, ...], tuple[Factor, ...]] | None:
        """The query, the key, the axes contracted, and further scalar factors."""
        assert isinstance(edge.operator, Contraction)
        inner = edge.operator.axes
        operands = [o for o in edge.inputs if o.wire.type.axes]
        factors = tuple(Factor(o.wire) for o in edge.inputs if not o.wire.type.axes)
        if len(operands) != 2 or any(set(_targets(o)) != set(inner) for o in operands):
            return None
        reads = [reading(edge, operand) for operand in operands]
        own = [{axis for entry in read.entries for axis in entry.axes()} for read in reads]
        for query, key in ((0, 1), (1, 0)):
            if own[query].isdisjoint(keys) and own[key].issuperset(keys):
                return reads[query], reads[key], inner, factors
        return None

    # ---- numbers --------------------------------------------------------------------------------

    def _constant(self, wire: Wire) -> float | None:
        edge = self.makers.get(wire)
        if edge is None:
            return None
        match edge.operator:
            case Number(value=int() | float() as value):
                return float(value)
            case Number(value=Size() as size):
                return float(size.value) if size.value is not None else None
            case Pointwise(name="neg"):
                inner = self._constant(edge.inputs[0].wire)
                return -inner if inner is not None else None
            case Pointwise(name="real") | Reindex():
                return self._constant(edge.inputs[0].wire)
            case _:
                return None

    def _is_positive(self, factor: Factor) -> bool:
        return factor.wire is not None and self._positive(factor.wire)

    def _positive(self, wire: Wire) -> bool:
        """Whether a number is surely positive. An empty axis makes no scores, so sizes count."""
        edge = self.makers.get(wire)
        if edge is None:
            return False
        match edge.operator:
            case Number(value=Size() as size):
                return all(coefficient > 0 for _, coefficient in size.terms) and bool(size.terms)
            case Number(value=value):
                return 0 < value < math.inf
            case Pointwise(name=name) if name in _POSITIVE:
                return all(self._positive(operand.wire) for operand in edge.inputs)
            case Pointwise(name="pow"):
                return self._positive(edge.inputs[0].wire)
            case Reindex():
                return self._positive(edge.inputs[0].wire)
            case _:
                return False

    def _is_standard(self, factors: tuple[Factor, ...], inner: tuple[Axis, ...]) -> bool:
        width = product(axis.size for axis in inner)
        powers = [self._power(f.wire, width) if f.wire is not None else None for f in factors]
        signed = [
            None if power is None else -power if factor.inverted else power
            for power, factor in zip(powers, factors, strict=True)
        ]
        return None not in signed and sum(p for p in signed if p is not None) == -0.5

    def _power(self, wire: Wire, size: Size) -> float | None:
        """The exponent e, if the number is size ** e."""
        edge = self.makers.get(wire)
        if edge is None:
            return None
        match edge.operator:
            case Number(value=Size() as value):
                return 1.0 if value == size else 0.0 if value.value == 1 else None
            case Number(value=value):
                return 0.0 if value == 1 else 1.0 if value == size.value else None
            case Pointwise(name="sqrt" | "rsqrt" | "real" as name):
                inner = self._power(edge.inputs[0].wire, size)
                scale = {"sqrt": 0.5, "rsqrt": -0.5, "real": 1.0}[name]
                return inner * scale if inner is not None else None
            case Pointwise(name="mul" | "div" as name):
                left, right = (self._power(operand.wire, size) for operand in edge.inputs)
                if left is None or right is None:
                    return None
                return left + (right if name == "mul" else -right)
            case Pointwise(name="pow"):
                base = self._power(edge.inputs[0].wire, size)
                exponent = self._constant(edge.inputs[1].wire)
                return base * exponent if base is not None and exponent is not None else None
            case _:
                return None

    # ---- the causal triangle --------------------------------------------------------------------

    def _with_causal(self, attention: Attention) -> Attention:
        """Say so if the only mask is key index <= query index, PyTorch's own triangle."""
        if len(attention.masks) != 1 or attention.biases or len(attention.keys) != 1:
            return attention
        (mask,) = attention.masks
        form = self._at_most_zero(mask)
        if form is None:
            return attention
        terms, constant = form
        (key,) = attention.keys
        others = [axis for axis, coefficient in terms.items() if coefficient == -1]
        if constant != 0 or len(terms) != 2 or terms.get(key) != 1 or len(others) != 1:
            return attention
        query_axes = {axis for entry in attention.query.entries for axis in entry.axes()}
        other_axes = {
            axis
            for read in (attention.key, attention.value)
            for entry in read.entries
            for axis in entry.axes()
        }
        if others[0] not in query_axes or others[0] in other_axes:
            return attention
        return replace(attention, masks=(), causal=others[0])

    def _at_most_zero(self, mask: Mask) -> tuple[dict[Axis, int], int] | None:
        """The condition as `sum(coefficient * index) + constant <= 0`."""
        wire, negated = mask.read.wire, mask.negated
        if plain_axes(mask.read, self.equal) != wire.type.axes:
            return None
        edge = self.makers.get(wire)
        while (
            edge is not None
            and isinstance(edge.operator, Pointwise)
            and edge.operator.name == "not"
        ):
            negated = not negated
            edge = self.makers.get(edge.inputs[0].wire)
        if edge is None or not isinstance(edge.operator, Pointwise):
            return None
        name = edge.operator.name
        if name not in _FLIPPED:
            return None
        name = _NEGATED[name] if negated else name
        left, right = (self._linear(edge, operand) for operand in edge.inputs)
        if left is None or right is None:
            return None
        if name in ("gt", "ge"):
            left, right, name = right, left, _FLIPPED[name]
        terms, constant = _combined(left, right, -1)
        return terms, constant + (name == "lt")

    def _linear(self, reader: Edge, operand: Operand) -> tuple[dict[Axis, int], int] | None:
        """An integer expression of indices, as coefficients and a constant."""
        wire = operand.wire
        edge = self.makers.get(wire)
        if edge is None or plain_axes(reading(reader, operand), self.equal) != wire.type.axes:
            return None
        match edge.operator:
            case Iota():
                return {edge.degree[0]: 1}, 0
            case Number(value=int() as value):
                return {}, value
            case Number(value=Size() as size) if size.value is not None:
                return {}, size.value
            case Pointwise(name="add" | "sub" as name):
                left, right = (self._linear(edge, inner) for inner in edge.inputs)
                if left is None or right is None:
                    return None
                return _combined(left, right, -1 if name == "sub" else 1)
            case Pointwise(name="neg"):
                inner = self._linear(edge, edge.inputs[0])
                return _combined(({}, 0), inner, -1) if inner is not None else None
            case _:
                return None


def _combined(
    left: tuple[dict[Axis, int], int], right: tuple[dict[Axis, int], int], sign: int
) -> tuple[dict[Axis, int], int]:
    terms = dict(left[0])
    for axis, coefficient in right[0].items():
        terms[axis] = terms.get(axis, 0) + sign * coefficient
    return {axis: c for axis, c in terms.items() if c}, left[1] + sign * right[1]


def _scaled(seen: _Scores, *factors: Factor) -> _Scores:
    """A factor on the way back scales everything that is found later."""
    return replace(seen, factors=(*seen.factors, *factors))


def _targets(operand: Operand | Result) -> tuple[Axis, ...]:
    axes = operand.wire.type.axes
    return tuple(axis for axis, target in zip(axes, operand.weave, strict=True) if target)


def _is_softmax(edge: Edge) -> bool:
    operator = edge.operator
    return (
        isinstance(operator, Library)
        and (operator.callee.library, operator.callee.name) == ("std.prelude", "softmax")
        and len(edge.inputs) == 1
    )
