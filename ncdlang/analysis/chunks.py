"""Sums up to a row, taken tile by tile: `sum over x <= q` of what does not contain q otherwise.

Rows are cut into tiles `q = c L + i`. What every row of tile c sees is a sum over the tiles of x
before it, and of the rest each row sees a part of one tile, where the scores are worked out.
"""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.linear import difference, linear
from ncdlang.analysis.terms import COMPARISONS, Array, Term, Terms, is_number, parts
from ncdlang.records import record
from ncdlang.semantics.size import constant
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


@record(eq=False)
class Prefix:
    """A condition that says `stream <= row + offset`; the offset is a whole number or sizes."""

    condition: Term
    stream: Axis
    row: Axis
    offset: Term

    @property
    def key(self) -> tuple[Term, Axis]:
        """What folds have to share that are taken tile by tile together."""
        return self.condition, self.row


def lifted(terms: Terms, term: Term) -> tuple[list[Term], Term]:
    """A term as `where(all conditions, rest, 0)`."""
    conditions: dict[Term, None] = {}

    def visit(now: Term) -> Term:
        args = now.args
        if now.op == "select" and is_number(args[2], 0):
            conditions.update(dict.fromkeys(_conjuncts(args[0])))
            return visit(args[1])
        match now.op:
            case "mul":
                return terms.apply("mul", visit(args[0]), visit(args[1]))
            case "div" | "pow":
                # The exponent is positive where the base may be 0, or the sum would not be finite.
                is_product = now.op == "div" or (is_number(args[1]) and args[1].data > 0)
                return terms.apply(now.op, visit(args[0]), args[1]) if is_product else now
            case "neg" | "real" | "abs":
                return terms.rebuilt(now, (visit(args[0]),))
            case _:
                return now

    rest = visit(term)
    return list(conditions), rest


def _conjuncts(condition: Term) -> list[Term]:
    if condition.op == "and":
        return [c for arg in condition.args for c in _conjuncts(arg)]
    return [condition]


def prefix_of(terms: Terms, fold: Term, condition: Term) -> Prefix | None:
    """A condition as one on prefixes of the streamed axis; None if it is another."""
    if len(fold.bound) != 1 or condition.op not in COMPARISONS or condition.op in ("eq", "ne"):
        return None
    left, right = (linear(terms, arg) for arg in condition.args)
    if left is None or right is None:
        return None
    if condition.op in ("ge", "gt"):
        left, right = right, left
    stream = fold.bound[0]
    found = difference(terms, right, left)
    rows = [axis for axis in found.coefficients if axis is not stream]
    if len(rows) != 1 or found.coefficients.get(stream) != -1 or found.coefficients[rows[0]] != 1:
        return None
    if rows[0] not in fold.axes or stream.parts or rows[0].parts:
        return None
    slack = terms.number(-1 if condition.op in ("lt", "gt") else 0)
    return Prefix(condition, stream, rows[0], terms.apply("add", found.rest, slack))


class Chunks:
    """Tiles of `length` rows. `tiled` are the axes for a row, `own` those of a state."""

    def __init__(self, terms: Terms, prefix: Prefix, length: int) -> None:
        row, stream = prefix.row, prefix.stream
        self.terms = terms
        self.prefix = prefix
        self.length = length
        count = (row.size + (length - 1)) // length
        size = constant(length)
        self.tiled = (Axis(f"{row.name}_tile", count), Axis(f"{row.name}_in", size))
        self.stream = (Axis(f"{stream.name}_tile", count), Axis(f"{stream.name}_in", size))
        self.own = frozenset((self.stream[0],))
        # Every row of tile c sees what lies before c L + start.
        is_near = is_number(prefix.offset) and prefix.offset.data in (0, -1)
        self.start = terms.number(0) if is_near else prefix.offset

    def _at(self, tile: Axis, inside: Axis) -> Term:
        apply = self.terms.apply
        scaled = apply("mul", self.terms.index(tile), self.terms.number(self.length))
        return apply("add", scaled, self.terms.index(inside))

    def at_tile(self, term: Term) -> Term:
        """A term of the row at a tile and a place in it."""
        return self.terms.substitute(term, {self.prefix.row: self._at(*self.tiled)})

    def from_tiles(self, array: Array) -> Term:
        """What an array over tiles holds for a row."""
        row, length = self.terms.index(self.prefix.row), self.terms.number(self.length)
        places = {
            self.tiled[0]: self.terms.apply("floordiv", row, length),
            self.tiled[1]: self.terms.apply("mod", row, length),
        }
        return self.terms.load(
            array, tuple(places.get(a) or self.terms.index(a) for a in array.axes)
        )

    def _streamed(self, tile: Axis) -> tuple[Term, Term]:
        """A streamed index by its tile, and whether there is one."""
        apply = self.terms.apply
        index = apply("add", self._at(tile, self.stream[1]), self.start)
        stop = self.terms.size(self.prefix.stream.size)
        exists = apply("lt", index, stop)
        if not is_number(self.start):
            exists = apply("and", apply("ge", index, self.terms.number(0)), exists)
        return index, exists

    def before(
        self,
        factors: tuple[Term, ...],
        contracted: Callable[[tuple[Axis, ...], tuple[Term, ...]], Term],
    ) -> Term:
        """The sum over the streamed indices that all rows of a tile see, of a product."""
        apply = self.terms.apply
        tile, inside = self.stream
        index, exists = self._streamed(tile)
        zero = self.terms.number(0.0)
        moved = tuple(
            apply("select", exists, self.terms.substitute(f, {self.prefix.stream: index}), zero)
            for f in factors
        )
        each = contracted((inside,), moved)
        earlier = apply("lt", self.terms.index(tile), self.terms.index(self.tiled[0]))
        state = self.terms.fold("sum", (tile,), apply("mul", apply("real", earlier), each))
        if is_number(self.start, 0):
            return state
        early = apply("lt", self.terms.index(self.prefix.stream), self.start)
        seen = tuple(apply("select", early, f, zero) for f in factors)
        return apply("add", state, contracted((self.prefix.stream,), seen))

    def inside(self, body: Term) -> Term:
        """The sum of a summand over the tile of which each row sees a part.

        The factor that ties a row to the streamed index is 0 where the row sees nothing, so that
        the sum stays one of a product.
        """
        index, exists = self._streamed(self.tiled[0])
        conditions, rest = lifted(self.terms, body)
        axes = self.prefix.condition.axes
        factors = parts(self.terms, rest)
        if not any(axes <= factor.axes for factor in factors):
            factors.append(self.terms.number(1.0))
        place = next((i for i, f in enumerate(factors) if axes <= f.axes), len(factors) - 1)
        product: Term | None = None
        for position, factor in enumerate(factors):
            own = [*conditions, exists] if position == place else []
            here = self._here(factor, index, own)
            product = here if product is None else self.terms.apply("mul", product, here)
        assert product is not None
        return self.terms.fold("sum", (self.stream[1],), product)

    def _here(self, factor: Term, index: Term, conditions: list[Term]) -> Term:
        """A factor at a tile, 0 where a condition does not hold."""
        moved = self.at_tile(self.terms.substitute(factor, {self.prefix.stream: index}))
        if not conditions:
            return moved
        places = {self.prefix.stream: index}
        together: Term | None = None
        for condition in conditions:
            own = self.at_tile(self.terms.substitute(condition, places))
            together = own if together is None else self.terms.apply("and", together, own)
        assert together is not None
        return self.terms.apply("select", together, moved, self.terms.number(0.0))
