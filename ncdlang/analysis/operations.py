"""Terms back as operations of a graph: the way from a derived form to any backend.

A term that a wire of the graph already holds is read from it, so that only what is new is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.algebra.patches import Site
from ncdlang.algebra.strides import Places, substitute
from ncdlang.analysis.terms import Array, Term, Terms, kind_of, ordered, parts
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Iota,
    Number,
    Operand,
    Operator,
    Pointwise,
    Reduction,
    Reindex,
    Result,
)
from ncdlang.records import record
from ncdlang.semantics.size import ONE, ZERO, Size, constant, product
from ncdlang.semantics.types import (
    REAL,
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
    plain_index,
)


class NoOperation(Exception):
    """A term that no operation of the graph makes."""


@record(eq=False)
class _Value:
    """A wire at a coordinate for each of its axes."""

    wire: Wire
    places: Places


class Operations:
    """Writes terms as edges. `arrays` are the wires that loads read."""

    def __init__(self, terms: Terms, arrays: Mapping[Array, Wire]) -> None:
        self.terms = terms
        self.arrays = dict(arrays)
        self._values: dict[Term, _Value] = {}
        self._edges: list[Edge] = []
        self._copied: dict[Axis, Axis] = {}

    def remember(self, term: Term, wire: Wire) -> None:
        """Say that a wire holds a term over its own axes, which are plain."""
        value = _Value(wire, tuple(map(plain_index, wire.type.axes)))
        self._values.setdefault(term, value)

    def copies(self, copied: Mapping[Axis, Axis]) -> None:
        """Say which axes are copies of others: what only differs in them is made once."""
        self._copied.update(copied)

    def tiles(self, array: Array, site: Site) -> tuple[Edge, ...]:
        """The edges of an array over tiles of rows, which becomes a wire with the rows as one."""
        assert array.made is not None
        tile, inside, *rest = array.axes
        rows = Axis(f"{tile.name} {inside.name}", product((tile.size, inside.size)), (tile, inside))
        wire = Wire("_tiles", ArrayType((rows, *rest), REAL), site.span)
        made = self.write(array.made, wire, array.axes, site)
        self.arrays[array] = wire
        return made

    def write(self, term: Term, into: Wire, axes: tuple[Axis, ...], site: Site) -> tuple[Edge, ...]:
        """The edges that make a wire of a term; `axes` are the parts of its axes, in order.

        Raises NoOperation.
        """
        self._edges = []
        value = self._value(term, site)
        edges, operand = site.operand(value.wire, value.places, ())
        result = Result(into, (False,) * len(into.type.axes))
        last = Edge(Reindex(), axes, (operand,), (result,), site.span, site.blocks)
        return (*self._edges, *edges, last)

    # ---- values ----------------------------------------------------------------------------------

    def _value(self, term: Term, site: Site) -> _Value:
        if term not in self._values:
            originals = self._originals(term)
            self._values[term] = (
                self._renamed(term, originals, site) if originals else self._made(term, site)
            )
        return self._values[term]

    def _originals(self, term: Term) -> dict[Axis, Axis]:
        """The axes of a term that may as well be those that they are copies of."""
        found: dict[Axis, Axis] = {}
        for axis in ordered(term):
            original = self._copied.get(axis)
            if original and original not in term.axes and original not in found.values():
                found[axis] = original
        return found

    def _renamed(self, term: Term, originals: Mapping[Axis, Axis], site: Site) -> _Value:
        images = {axis: self.terms.index(original) for axis, original in originals.items()}
        value = self._value(self.terms.substitute(term, images), site)
        back = {original: plain_index(axis) for axis, original in originals.items()}
        places = tuple(substitute(place, back) for place in value.places)
        return _Value(value.wire, places)

    def _made(self, term: Term, site: Site) -> _Value:
        match term.op:
            case "load":
                return self._load(term, site)
            case "number" | "size":
                return self._new(Number(term.data), term, (), (), site)
            case "index":
                return self._new(Iota(), term, (term.data,), (), site)
            case "fold":
                return self._fold(term, site)
            case "cast":
                raise NoOperation
            case op:
                operands = tuple(self._operand(arg, (), site) for arg in term.args)
                return self._new(Pointwise(op), term, ordered(term), operands, site)

    def _new(
        self,
        operator: Operator,
        term: Term,
        axes: tuple[Axis, ...],
        operands: tuple[Operand, ...],
        site: Site,
    ) -> _Value:
        wire = site.wire(axes, kind_of(term))
        self._edges.append(site.edge(operator, axes, operands, wire))
        return _Value(wire, tuple(map(plain_index, axes)))

    def _operand(self, term: Term, bound: Iterable[Axis], site: Site) -> Operand:
        value = self._value(term, site)
        edges, operand = site.operand(value.wire, value.places, bound)
        self._edges += edges
        return operand

    def _fold(self, term: Term, site: Site) -> _Value:
        axes = ordered(term)
        if term.kind != "sum":
            operand = self._operand(term.args[0], term.bound, site)
            return self._new(Reduction(term.kind, term.bound), term, axes, (operand,), site)
        factors = parts(self.terms, term.args[0])
        if any(kind_of(factor) != REAL for factor in factors):
            factors = [term.args[0]]
        operands = tuple(self._operand(factor, term.bound, site) for factor in factors)
        seen = frozenset[Axis]().union(*(factor.axes for factor in factors))
        if not seen.issuperset(term.bound):
            raise NoOperation
        operator = Contraction(term.bound) if len(factors) > 1 else Reduction("sum", term.bound)
        return self._new(operator, term, axes, operands, site)

    # ---- reads -----------------------------------------------------------------------------------

    def _load(self, term: Term, site: Site) -> _Value:
        array = term.data
        wire = self.arrays.get(array)
        if wire is None:
            raise NoOperation
        if array.role == "tiles":
            # The tile and the place in it of a row, which is a prefix of all rows of all tiles.
            row = term.args[0].args[0]
            first = Affine(ZERO, ((row.data, ONE),), True)
            return _Value(wire, (first, *map(self._affine, term.args[2:])))
        places = tuple(map(self._affine, term.args))
        if all(place.axis is not None for place in places):
            return _Value(wire, places)
        axes = ordered(term)
        self._edges.append(site.reindex(wire, places, axes, True))
        return _Value(self._edges[-1].outputs[0].wire, tuple(map(plain_index, axes)))

    def _affine(self, term: Term) -> Affine:
        """A coordinate in the form of the axis-stride category. Raises NoOperation."""
        constant_, terms = self._sum(term)
        kept = tuple((variable, c) for variable, c in terms.items() if c != ZERO)
        return Affine(constant_, kept)

    def _sum(self, term: Term) -> tuple[Size, dict[IndexVariable, Size]]:
        args = term.args
        match term.op:
            case "number" if isinstance(term.data, int):
                return constant(term.data), {}
            case "size":
                return term.data, {}
            case "index":
                return ZERO, {term.data: ONE}
            case "neg":
                return _scaled(self._sum(args[0]), constant(-1))
            case "add":
                return _added(self._sum(args[0]), self._sum(args[1]))
            case "sub":
                return _added(self._sum(args[0]), _scaled(self._sum(args[1]), constant(-1)))
            case "mul":
                left, right = self._sum(args[0]), self._sum(args[1])
                if left[1] and right[1]:
                    raise NoOperation
                return _scaled(left, right[0]) if left[1] else _scaled(right, left[0])
            case "floordiv" | "mod" if args[1].op == "number":
                make = Floor if term.op == "floordiv" else Mod
                return ZERO, {make(self._affine(args[0]), args[1].data): ONE}
            case "load" if term.data in self.arrays:
                places = tuple(map(self._affine, args))
                return ZERO, {Gathered(self.arrays[term.data], places): ONE}
            case _:
                raise NoOperation


Sum = tuple[Size, dict[IndexVariable, Size]]


def _scaled(given: Sum, factor: Size) -> Sum:
    return given[0] * factor, {variable: c * factor for variable, c in given[1].items()}


def _added(left: Sum, right: Sum) -> Sum:
    terms = dict(left[1])
    for variable, c in right[1].items():
        terms[variable] = terms.get(variable, ZERO) + c
    return left[0] + right[0], terms
