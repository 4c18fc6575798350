"""Splitting contractions: one of many factors becomes pairs, in the cheapest order.

Up to 9 factors all orders are compared (dynamic programming over subsets); beyond, the pair that
is cheapest now is taken each time. Cost counts multiplications and additions, as opt_einsum does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from ncdlang.algebra.patches import Extents, Patch, Rewrite, Site
from ncdlang.algebra.products import Factor, Product, emit, made, product_of
from ncdlang.ir.diagram import Edge, Graph
from ncdlang.records import record
from ncdlang.semantics.types import Axis

MAX_EXACT = 9

Tree = int | tuple["Tree", "Tree"]


@record(eq=False)
class Order:
    """An order of contraction as a tree over the factors' places, and its cost in operations."""

    tree: Tree
    cost: int


def best_order(
    factors: Sequence[frozenset[Axis]], kept: frozenset[Axis], extents: Extents
) -> Order:
    """The cheapest order of contracting factors with these axes, of which `kept` remain."""
    if len(factors) == 1:
        return Order(0, 0)
    search = _Search(factors, kept, extents)
    return search.exact() if len(factors) <= MAX_EXACT else search.greedy()


class _Search:
    """Orders of the factors of one contraction. Sets of factors are bit masks."""

    def __init__(
        self, factors: Sequence[frozenset[Axis]], kept: frozenset[Axis], extents: Extents
    ) -> None:
        self._factors = factors
        self._kept = kept
        self._extents = extents
        self._all = (1 << len(factors)) - 1
        self._axes: dict[int, frozenset[Axis]] = {}

    def _result(self, mask: int) -> frozenset[Axis]:
        """The axes of the product of some factors that something else still needs."""
        if mask not in self._axes:
            inside: frozenset[Axis] = frozenset()
            outside = self._kept
            for i, axes in enumerate(self._factors):
                if mask >> i & 1:
                    inside |= axes
                else:
                    outside |= axes
            single = mask & (mask - 1) == 0
            self._axes[mask] = inside if single else inside & outside
        return self._axes[mask]

    def _cost(self, left: int, right: int) -> int:
        axes = self._result(left) | self._result(right)
        inner = axes - self._result(left | right)
        return self._extents.entries(axes) * (2 if inner else 1)

    def exact(self) -> Order:
        """The best of all trees."""
        best: dict[int, Order] = {1 << i: Order(i, 0) for i in range(len(self._factors))}
        masks = sorted(range(1, self._all + 1), key=int.bit_count)
        for mask in masks:
            if mask in best:
                continue
            found: Order | None = None
            left = (mask - 1) & mask
            while left > mask ^ left:
                right = mask ^ left
                one, other = best[left], best[right]
                cost = one.cost + other.cost
                if found is None or cost < found.cost:
                    cost += self._cost(left, right)
                    if found is None or cost < found.cost:
                        found = Order((one.tree, other.tree), cost)
                left = (left - 1) & mask
            assert found is not None
            best[mask] = found
        return best[self._all]

    def greedy(self) -> Order:
        """The cheapest pair at each step."""
        orders = {1 << i: Order(i, 0) for i in range(len(self._factors))}
        while len(orders) > 1:
            left, right = min(combinations(orders, 2), key=lambda pair: self._cost(*pair))
            one, other = orders.pop(left), orders.pop(right)
            cost = one.cost + other.cost + self._cost(left, right)
            orders[left | right] = Order((one.tree, other.tree), cost)
        return next(iter(orders.values()))


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    for edge in graph.edges:
        product = product_of(edge)
        if product is None or len(product.factors) < 3:
            continue
        kept = frozenset(edge.degree)
        order = best_order([factor.axes() for factor in product.factors], kept, extents)
        new = _split(edge, product, order)
        what = f"`{edge.outputs[0].wire.spelling}` in pairs, {order.cost} operations"
        yield Patch(what, edge.span, {edge: new})


def _split(edge: Edge, product: Product, order: Order) -> tuple[Edge, ...]:
    """The pairs of a contraction, the last of which makes its output."""
    site = Site.of(edge)
    kind = edge.outputs[0].wire.type.kind
    places = (*edge.degree, *product.bound)
    edges: list[Edge] = []

    def contracted(tree: Tree, outside: frozenset[Axis]) -> Factor:
        if isinstance(tree, int):
            return product.factors[tree]
        left = contracted(tree[0], outside | _axes(product, tree[1]))
        right = contracted(tree[1], outside | left.axes())
        inner = (left.axes() | right.axes()) - outside
        bound = tuple(axis for axis in product.bound if axis in inner)
        new, factor = made(site, Product(bound, (left, right)), places, kind)
        edges.extend(new)
        return factor

    assert isinstance(order.tree, tuple)
    kept = frozenset(edge.degree)
    left = contracted(order.tree[0], kept | _axes(product, order.tree[1]))
    right = contracted(order.tree[1], kept | left.axes())
    read = left.axes() | right.axes()
    seen = {axis for factor in product.factors for axis in factor.axes()}
    bound = tuple(axis for axis in product.bound if axis in read or axis not in seen)
    output = edge.outputs[0].wire
    edges.extend(emit(site, Product(bound, (left, right)), edge.degree, output))
    return tuple(edges)


def _axes(product: Product, tree: Tree) -> frozenset[Axis]:
    """The axes that the factors of a tree depend on."""
    if isinstance(tree, int):
        return product.factors[tree].axes()
    return _axes(product, tree[0]) | _axes(product, tree[1])


ORDER_CONTRACTIONS = Rewrite(
    "order-contractions",
    "split contractions of three and more factors into pairs, in the cheapest order",
    "distributivity: sum_xk a b c = sum_x (sum_k a b) c",
    _patches,
)
