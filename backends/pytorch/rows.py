"""Layer norm and cross entropy in a graph, found by their algebra and never by a name.

A layer norm is `w * (x - mean(x)) * (mean(x^2) - mean(x)^2 + eps)^(-1/2) + b` however that is
written, a cross entropy `logsumexp(x) - x[target]`: both are compared as polynomials. A value in
between that something else reads is made for that as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations

from ncdlang.ir.diagram import Edge, Graph, Library, Pointwise, Reduction
from ncdlang.semantics.types import REAL, Affine, Axis, Gathered, Wire, gathered

from .algebra import Algebra, is_log_softmax
from .emptiness import may_be_empty
from .polynomials import (
    Atom,
    Base,
    Entry,
    Fold,
    Monomial,
    Polynomial,
    collected,
    folded,
    single,
)
from .reads import Equal, Reading, plain_axes

_HALF = Fraction(1, 2)
_MOST_SOURCES = 8


@dataclass(frozen=True, slots=True)
class Product:
    """A number times entries of arrays."""

    number: float
    reads: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """The layer norm of `source` over `axes`, times `weight`, plus `bias`."""

    source: Reading
    axes: tuple[Axis, ...]
    eps: float
    weight: Product
    bias: Product

    def wires(self) -> Iterator[Wire]:
        """Every wire that is read."""
        yield from _wires((self.source, *self.weight.reads, *self.bias.reads))

    @property
    def fits(self) -> bool:
        """Whether weight and bias have the axes that PyTorch wants."""
        return _fits(self.weight, 1, self.axes) and _fits(self.bias, 0, self.axes)


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """`logsumexp(logits) - logits[target]` along `classes`, or minus that; `lead` are its axes.

    Its mean is taken over `mean`.
    """

    logits: Reading
    target: Reading
    lead: tuple[Axis, ...]
    classes: Axis
    mean: tuple[Axis, ...] = ()
    negated: bool = False

    def wires(self) -> Iterator[Wire]:
        """Every wire that is read."""
        yield from _wires((self.logits, self.target))


def find_rows(graph: Graph, equal: Equal) -> dict[Edge, LayerNorm | CrossEntropy]:
    """Every layer norm and cross entropy of the graph, by the operation that ends it."""
    found: dict[Edge, LayerNorm | CrossEntropy] = {}
    sources = [*dict.fromkeys(_sources(graph))]
    if not sources:
        return found
    algebra = Algebra(graph)
    for source in sources:
        behind: set[Wire] = set()

        def goes_on(edge: Edge, made: Polynomial, behind: set[Wire] = behind) -> bool:
            """Beyond a layer norm only its weight and bias are looked for."""
            norm = layer_norm(made, equal)
            is_behind = any(operand.wire in behind for operand in edge.inputs)
            if norm is not None and (norm.fits or not is_behind):
                behind.add(edge.outputs[0].wire)
                found[edge] = norm
                return True
            entropy = cross_entropy(made, equal)
            if entropy is not None:
                found[edge] = entropy
            return not is_behind

        algebra.follow(source, goes_on)
    return found


def _sources(graph: Graph) -> Iterator[Wire]:
    """The arrays that one of the two may be made of."""
    roots = any(
        isinstance(edge.operator, Pointwise) and edge.operator.name in ("sqrt", "rsqrt", "pow")
        for edge in graph.edges
    )
    makers, uses = graph.makers(), graph.uses()
    for edge in graph.edges:
        wire = edge.inputs[0].wire if edge.inputs else None
        if wire is None or wire.type.kind != REAL:
            continue
        match edge.operator:
            case Reduction("sum" | "mean") if roots:
                # Its mean is taken from it, so that it is read twice.
                yield from (w for w in _behind(wire, makers) if len(uses.get(w, ())) > 1)
            case Reduction("logsumexp"):
                yield wire
            case Library() if is_log_softmax(edge) and not may_be_empty(graph, wire):
                # For a row of only -inf the former has a value, `F.cross_entropy` has none.
                yield wire
            case _:
                pass


def _behind(wire: Wire, makers: Mapping[Wire, Edge]) -> Iterable[Wire]:
    """An array, and some that it is worked out from entry by entry without a name in between."""
    found: dict[Wire, None] = {wire: None}
    pending = [wire]
    while pending and len(found) < _MOST_SOURCES:
        edge = makers.get(pending.pop())
        if edge is None or not isinstance(edge.operator, Pointwise):
            continue
        for operand in edge.inputs:
            inner = operand.wire
            if inner.type.kind == REAL and inner.type.axes and inner not in found:
                found[inner] = None
                pending += [inner] if inner.name.startswith("_") else []
    return found


def _fits(product: Product, neutral: float, axes: tuple[Axis, ...]) -> bool:
    """Whether it is `neutral`, or one array with exactly these axes."""
    if not product.reads:
        return product.number == neutral
    entries = [entry.axis for read in product.reads for entry in read.entries]
    return product.number == 1 and len(product.reads) == 1 and _same(entries, axes)


def _same(left: Iterable[Axis | None], right: Iterable[Axis]) -> bool:
    return sorted(map(id, left)) == sorted(map(id, right))


def _wires(reads: Iterable[Reading]) -> Iterator[Wire]:
    for read in reads:
        yield read.wire
        yield from (inner.wire for inner in gathered(read.entries))


# ---- layer norm ----------------------------------------------------------------------------------


def layer_norm(made: Polynomial, equal: Equal) -> LayerNorm | None:
    """The layer norm that a polynomial is."""
    spread = {
        atom
        for monomial, _ in made.terms
        for atom, power in monomial
        if isinstance(atom, Base) and power == -_HALF
    }
    if len(spread) != 1:
        return None
    (base,) = spread
    variance = _variance(base.of, equal)
    if variance is None:
        return None
    source, axes, eps = variance
    scaled, rest = _divided(made, (base, -_HALF))
    weight = _weight(scaled, source, _mean(source, axes))
    bias = _product(rest) if rest.terms else Product(0.0, ())
    if weight is None or bias is None:
        return None
    places = (axis for entry in source.read.entries for axis in entry.axes())
    ordered = tuple(axis for axis in places if axis in axes)
    return LayerNorm(source.read, ordered, eps, weight, bias)


def _variance(of: Polynomial, equal: Equal) -> tuple[Entry, frozenset[Axis], float] | None:
    """x, the axes and eps where it is mean(x^2) - mean(x)^2 + eps."""
    eps, rest = of.without(frozenset())
    for monomial, c in rest.terms:
        match [*monomial]:
            case [(Fold("mean", axes, inner), power)] if power == 1 and c == 1 and eps >= 0:
                source = _squared(inner, equal)
                if source is None:
                    continue
                mean = _mean(source, axes)
                square = folded("mean", axes, frozenset({(source, Fraction(2))}))
                if rest == square - mean * mean:
                    return source, axes, float(eps)
            case _:
                pass
    return None


def _squared(of: Monomial, equal: Equal) -> Entry | None:
    """An entry whose square it is, read axis by axis."""
    match [*of]:
        case [(Entry(read) as entry, power)] if power == 2:
            return entry if plain_axes(read, equal) is not None else None
        case _:
            return None


def _mean(source: Entry, axes: frozenset[Axis]) -> Polynomial:
    return folded("mean", axes, frozenset({(source, Fraction(1))}))


def _divided(of: Polynomial, factor: tuple[Atom, Fraction]) -> tuple[Polynomial, Polynomial]:
    """The terms with a factor, without it, and the other terms."""
    having = [(monomial - {factor}, c) for monomial, c in of.terms if factor in monomial]
    return collected(having), collected((m, c) for m, c in of.terms if factor not in m)


def _weight(scaled: Polynomial, source: Entry, mean: Polynomial) -> Product | None:
    """w where the polynomial is w * (x - mean(x))."""
    own, _ = _divided(scaled, (source, Fraction(1)))
    found = _product(own)
    return found if found is not None and scaled == own * (single(source) - mean) else None


def _product(of: Polynomial) -> Product | None:
    """A single product of a number and of entries."""
    if len(of.terms) != 1:
        return None
    ((monomial, c),) = of.terms
    reads: list[Reading] = []
    for atom, power in sorted(monomial, key=_place):
        if not isinstance(atom, Entry) or power != 1:
            return None
        reads.append(atom.read)
    return Product(float(c), tuple(reads))


def _place(factor: tuple[Atom, Fraction]) -> tuple[int, str]:
    """An order of factors that is the same in every run."""
    atom, _ = factor
    return (atom.read.wire.span.start, atom.read.wire.name) if isinstance(atom, Entry) else (0, "")


# ---- cross entropy -------------------------------------------------------------------------------


def cross_entropy(made: Polynomial, equal: Equal) -> CrossEntropy | None:
    """The cross entropy or mean of it that a polynomial is, or minus that."""
    if len(made.terms) != 2:
        return None
    for (first, c), (second, d) in permutations(made.terms):
        averaged: frozenset[Axis] = frozenset()
        match [*first], [*second]:
            case [(Fold("mean", axes, left), p)], [(Fold("mean", others, right), q)] if (
                p == q == 1 and axes == others
            ):
                first, second, averaged = left, right, axes
            case _:
                pass
        if c == -d and abs(c) == 1:
            found = _difference(first, second, equal)
            if found is not None and averaged <= set(found.lead):
                mean = tuple(axis for axis in found.lead if axis in averaged)
                return replace(found, mean=mean, negated=c < 0)
    return None


def _difference(first: Monomial, second: Monomial, equal: Equal) -> CrossEntropy | None:
    """The cross entropy that the difference of two products is."""
    match [*first], [*second]:
        case [(Fold("logsumexp", axes, of), p)], [(Entry(picked), q)] if p == q == 1:
            match [*axes], [*of]:
                case [classes], [(Entry(whole), power)] if power == 1:
                    return _of_target(whole, picked, classes, equal)
                case _:
                    return None
        case _:
            return None


def _of_target(whole: Reading, picked: Reading, classes: Axis, equal: Equal) -> CrossEntropy | None:
    """The loss where `picked` has a natural below the number of classes, else the same indices."""
    axes = plain_axes(whole, equal)
    if axes is None or classes not in axes or picked.wire is not whole.wire or picked.guarded:
        return None
    place = axes.index(classes)
    lead = tuple(axis for axis in axes if axis is not classes)
    others = [(a, b) for i, (a, b) in enumerate(_pairs(whole, picked)) if i != place]
    match picked.entries[place].terms:
        case ((Gathered(wire, indices), one),) if one.value == 1:
            bound = wire.type.kind.bound
            target = Reading(wire, indices)
            used = {axis for index in indices for axis in index.axes()}
            plain = picked.entries[place].constant.value == 0 and all(a == b for a, b in others)
            fits = bound is not None and equal(bound, classes.size) and used <= set(lead)
            return CrossEntropy(whole, target, lead, classes) if plain and fits else None
        case _:
            return None


def _pairs(left: Reading, right: Reading) -> Iterator[tuple[Affine, Affine]]:
    yield from zip(left.entries, right.entries, strict=True)
