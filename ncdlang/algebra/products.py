"""Operations that are sums of products, whatever they are called: their factors, seen alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ncdlang.algebra.patches import Site, full_places
from ncdlang.algebra.strides import Places, Substitution, axes_of, read_through, substitute
from ncdlang.ir.diagram import Contraction, Edge, Operand, Pointwise, Reduction, Reindex
from ncdlang.records import record
from ncdlang.semantics.types import Axis, Kind, Wire, plain_index


@record
class Factor:
    """An array at one coordinate for each of its axes, over a degree and contracted axes."""

    wire: Wire
    places: Places

    def axes(self) -> frozenset[Axis]:
        """The axes that it depends on."""
        return frozenset(a for place in self.places for a in axes_of(place))

    def moved(self, values: Substitution) -> Factor:
        """The factor over other axes."""
        return Factor(self.wire, tuple(substitute(place, values) for place in self.places))


@record
class Product:
    """The sum over `bound` of the product of `factors`, for every index of the degree."""

    bound: tuple[Axis, ...]
    factors: tuple[Factor, ...]


def product_of(edge: Edge) -> Product | None:
    """A contraction, an elementwise product or a sum as what they have in common."""
    operator = edge.operator
    match operator:
        case Contraction():
            bound = operator.axes
        case Reduction() if operator.name == "sum":
            bound = operator.axes
        case Pointwise() if operator.name == "mul":
            bound = ()
        case _:
            return None
    kind = edge.outputs[0].wire.type.kind
    if any(operand.wire.type.kind != kind for operand in edge.inputs):
        return None
    factors = tuple(Factor(operand.wire, full_places(operand)) for operand in edge.inputs)
    return Product(bound, factors)


def inlined(product: Product, position: int, inner: Product, wire: Wire) -> Product | None:
    """The product with one factor, made as `wire`, replaced by the product that it is.

    The factor is read once, so that nothing is computed twice.
    """
    factor = product.factors[position]
    values = read_through(wire.type.axes, factor.places)
    if values is None:
        return None
    fresh = tuple(Axis(axis.name, axis.size, axis.parts) for axis in inner.bound)
    taken = {a for f in product.factors for a in f.axes()} | set(product.bound)
    kept = taken.isdisjoint(inner.bound)
    bound = inner.bound if kept else fresh
    if not kept and any(axis.parts for axis in inner.bound):
        return None
    known = dict(values) | {a: plain_index(b) for a, b in zip(inner.bound, bound, strict=True)}
    moved = tuple(factor.moved(known) for factor in inner.factors)
    factors = (*product.factors[:position], *moved, *product.factors[position + 1 :])
    return Product((*product.bound, *bound), factors)


def emit(
    site: Site,
    product: Product,
    degree: tuple[Axis, ...],
    into: Wire,
) -> tuple[Edge, ...]:
    """The operations that compute a product as `into`, which has exactly the degree's axes."""
    before: list[Edge] = []
    operands: list[Operand] = []
    for factor in product.factors:
        made, operand = site.operand(factor.wire, factor.places, product.bound)
        before += made
        operands.append(operand)
    return (*before, site.edge(_operator(product), degree, tuple(operands), into))


def _operator(product: Product) -> Contraction | Pointwise | Reduction | Reindex:
    if len(product.factors) == 1:
        return Reduction("sum", product.bound) if product.bound else Reindex()
    if not product.bound and len(product.factors) == 2:
        return Pointwise("mul")
    return Contraction(product.bound)


def made(
    site: Site, product: Product, order: Sequence[Axis], kind: Kind
) -> tuple[tuple[Edge, ...], Factor]:
    """A product as a new wire with the axes that it depends on, in the given order."""
    used = {a for factor in product.factors for a in factor.axes()} - set(product.bound)
    axes = _ordered(used, order)
    wire = site.wire(axes, kind)
    edges = emit(site, product, axes, wire)
    return edges, Factor(wire, tuple(plain_index(axis) for axis in axes))


def _ordered(axes: Iterable[Axis], order: Sequence[Axis]) -> tuple[Axis, ...]:
    wanted = set(axes)
    return tuple(axis for axis in order if axis in wanted)
