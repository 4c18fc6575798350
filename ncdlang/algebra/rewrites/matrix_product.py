"""Contractions as matrix products: the axes of a kind become one axis, flattened row-major.

The axes of a contraction of two arrays are of four kinds: in both and in the result (a batch), in
one and in the result (rows, columns), in both and not in the result (contracted). Where a kind has
several axes the arrays are read with these flattened: a convolution becomes the product of its
kernel with the windows that it slides over.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.algebra.patches import (
    Extents,
    Patch,
    Rewrite,
    Site,
    plain_operand,
    reindex_operands,
)
from ncdlang.algebra.products import Product, product_of
from ncdlang.ir.diagram import Contraction, Edge, Graph, Reindex
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis, plain_index


def _patches(graph: Graph, extents: Extents) -> Iterator[Patch]:
    del extents
    for edge in graph.edges:
        found = product_of(edge) if isinstance(edge.operator, Contraction) else None
        if found is None or len(found.factors) != 2 or not _flattens(edge, found):
            continue
        what = f"`{edge.outputs[0].wire.spelling}` as a matrix product"
        yield Patch(what, edge.span, {edge: _as_matrices(edge, found)})


def kinds(edge: Edge, given: Product) -> tuple[tuple[Axis, ...], ...]:
    """The axes of a contraction of two: batch, rows, columns, contracted."""
    left, right = (factor.axes() for factor in given.factors)
    batch = tuple(a for a in edge.degree if a in left and a in right)
    rows = tuple(a for a in edge.degree if a in left and a not in right)
    columns = tuple(a for a in edge.degree if a in right and a not in left)
    return batch, rows, columns, given.bound


def _flattens(edge: Edge, given: Product) -> bool:
    """Whether some kind has several axes, all axes are used as they should and none is composite.

    A kind is contracted properly if both arrays have all of its axes.
    """
    left, right = (factor.axes() for factor in given.factors)
    everything = (*edge.degree, *given.bound)
    if any(axis.parts for axis in everything) or set(edge.degree) - left - right:
        return False
    if any(axis not in left or axis not in right for axis in given.bound):
        return False
    _, rows, columns, bound = kinds(edge, given)
    return bool(bound) and any(len(axes) > 1 for axes in (rows, columns, bound))


def _as_matrices(edge: Edge, given: Product) -> tuple[Edge, ...]:
    """Reads with flattened axes, their product, and its entries under the old axes."""
    site = Site.of(edge)
    kind = edge.outputs[0].wire.type.kind
    batch, rows, columns, bound = kinds(edge, given)
    row, column, inner = _flat(rows), _flat(columns), _flat(bound)
    left, right = given.factors
    first = site.reindex(left.wire, left.places, (*batch, *row, *inner))
    second = site.reindex(right.wire, right.places, (*batch, *inner, *column))
    made = site.wire((*batch, *row, *column), kind)
    operands = tuple(plain_operand(each.outputs[0].wire, inner) for each in (first, second))
    atoms = tuple(atom for axis in made.type.axes for atom in axis.atoms)
    multiplied = site.edge(Contraction(inner), atoms, operands, made)
    places = tuple(map(plain_index, made.type.axes))
    output = edge.outputs[0].wire
    final = site.edge(Reindex(), edge.degree, reindex_operands(made, places), output)
    return (first, second, multiplied, final)


def _flat(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes as one, none for none."""
    if len(axes) < 2:
        return axes
    name = " ".join(str(axis) for axis in axes)
    return (Axis(f"({name})", product(axis.size for axis in axes), axes),)


MATRIX_PRODUCT = Rewrite(
    "matrix-product",
    "flatten the axes of contractions so that they are products of matrices",
    "(h k) is isomorphic to h x k: reindexing by the isomorphism and back changes nothing",
    _patches,
)
