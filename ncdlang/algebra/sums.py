"""Products, contractions and sums of the normal form: multisets of signed terms.

A product is one node whatever its grouping, with `-` for factors that it is divided by; a
contraction keeps only the factors that its axes tie together. A sum has `-` for what is
subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import frexp

from ncdlang.algebra.nodes import Nodes, Origin, Read, View
from ncdlang.algebra.strides import Substitution, axes_of, substitute
from ncdlang.records import record
from ncdlang.semantics.types import Axis, plain_index

MAX_CLOSED = 8
"""A constant is opened inside each product that it is used in, up to so many factors."""

MAX_FACTORS = 24
"""A contraction takes in those among its factors up to so many factors in all."""

_SIGNS = {("+", "+"): "+", ("-", "-"): "+", ("+", "-"): "-", ("-", "+"): "-"}


@record(eq=False)
class Pending:
    """A sum or product that is read once, perhaps by another one that takes it in.

    `operator` is "add" or "product"; the terms are over the axes of `degree`.
    """

    operator: str
    kind: str
    degree: tuple[Axis, ...]
    terms: tuple[Read | Taken, ...]
    origin: Origin

    def reads(self) -> list[Read]:
        """The terms, with those of sums that it takes in, without recursion."""
        found: list[Read] = []
        stack: list[tuple[str, Read | Taken, Substitution | None]]
        stack = [("+", term, None) for term in reversed(self.terms)]
        while stack:
            outer, term, values = stack.pop()
            role = _SIGNS[outer, term.role]
            if isinstance(term, Read):
                places = term.places
                if values is not None:
                    places = tuple(substitute(place, values) for place in places)
                found.append(Read(role, term.node, places))
                continue
            inner = term.values
            if values is not None:
                inner = {axis: substitute(place, values) for axis, place in inner.items()}
            stack += [(role, each, inner) for each in reversed(term.inner.terms)]
        return found


@record(eq=False)
class Taken:
    """A pending sum as a term of another, with a coordinate for each of its axes."""

    role: str
    inner: Pending
    values: Substitution


class Sums:
    """Makes the nodes of products and sums. `may_open` says that a node is read only once."""

    def __init__(self, nodes: Nodes, may_open: Callable[[str], bool]) -> None:
        self._nodes = nodes
        self._may_open = may_open

    def made(self, pending: Pending) -> View:
        """The view of a sum or product that something else reads."""
        reads = pending.reads()
        if pending.operator == "add":
            return self.sum(pending.kind, pending.degree, reads, pending.origin)
        return self.product(pending.kind, pending.degree, (), reads, pending.origin)

    def product(
        self,
        kind: str,
        degree: tuple[Axis, ...],
        bound: tuple[Axis, ...],
        factors: Iterable[Read],
        origin: Origin,
    ) -> View:
        """The sum over `bound` of a product, as a view over the degree."""
        opened = [each for factor in factors for each in self._opened(factor, "product", kind)]
        factors = [self._upward(each) for each in opened if each.node.operator != "number 1"]
        loose: list[Read] = []
        tied: list[tuple[set[Axis], list[Read]]] = []
        for factor in factors:
            axes = {a for place in factor.places for a in axes_of(place)} & set(bound)
            if not axes:
                loose.append(factor)
                continue
            members = [factor]
            for other_axes, others in [c for c in tied if not axes.isdisjoint(c[0])]:
                axes |= other_axes
                members = [*others, *members]
            tied = [component for component in tied if axes.isdisjoint(component[0])]
            tied.append((axes, members))
        used = {axis for axes, _ in tied for axis in axes}
        tied += [({axis}, []) for axis in bound if axis not in used]
        for axes, members in tied:
            loose.append(self._contraction(kind, degree, axes, members, origin))
        return self._joined("product", kind, degree, loose, origin)

    def sum(
        self, kind: str, degree: tuple[Axis, ...], terms: Iterable[Read], origin: Origin
    ) -> View:
        """The sum of signed terms, as a view over the degree."""
        opened = [each for term in terms for each in self._opened(term, "add", kind)]
        kept = [each for each in opened if each.node.operator != "number 0"]
        return self._joined("add", kind, degree, kept, origin)

    def _opened(self, term: Read, operator: str, kind: str) -> list[Read]:
        """The terms of a term that is itself such a node and may be opened."""
        node = term.node
        if node.operator != operator or node.kind != kind:
            return [term]
        is_small = node.is_closed and len(node.reads) <= MAX_CLOSED
        if not (is_small or self._may_open(node.digest)):
            return [term]
        values = dict(zip(node.dims, term.places, strict=True))
        return [
            Read(
                _SIGNS[term.role, inner.role],
                inner.node,
                tuple(substitute(place, values) for place in inner.places),
            )
            for inner in node.reads
        ]

    def _upward(self, factor: Read) -> Read:
        """A divisor that is a power of two as the factor that it is exactly: 1 / 2 is 0.5."""
        word, _, text = factor.node.operator.partition(" ")
        if factor.role != "-" or word != "number":
            return factor
        try:
            value = float(text)
        except ValueError:
            return factor
        if abs(frexp(value)[0]) != 0.5 or abs(value) < 2**-1000:
            return factor
        inverse = 1 / value
        shown = str(int(inverse)) if inverse.is_integer() else repr(inverse)
        origin = Origin(shown, factor.node.span)
        node, _ = self._nodes.make(f"number {shown}", factor.node.kind, (), (), [], origin)
        return Read("+", node, ())

    def _contraction(
        self,
        kind: str,
        degree: tuple[Axis, ...],
        axes: set[Axis],
        factors: list[Read],
        origin: Origin,
    ) -> Read:
        """Factors that are tied together by their contracted axes, as one factor."""
        bound = list(axes)
        flat: list[Read] = []
        for place, factor in enumerate(factors):
            inner = factor.node
            is_open = factor.role == "+" and inner.operator == "contract" and inner.kind == kind
            count = len(flat) + len(inner.reads) + len(factors) - place - 1
            if not (is_open and count <= MAX_FACTORS and self._may_open(inner.digest)):
                flat.append(factor)
                continue
            values = dict(zip(inner.dims, factor.places, strict=True))
            fresh = [Axis(axis.name, axis.size) for axis in inner.bound]
            values |= {a: plain_index(f) for a, f in zip(inner.bound, fresh, strict=True)}
            bound += fresh
            flat += [
                Read(r.role, r.node, tuple(substitute(place, values) for place in r.places))
                for r in inner.reads
            ]
        factors = flat
        node, dims = self._nodes.make("contract", kind, degree, bound, factors, origin)
        return Read("+", node, tuple(map(plain_index, dims)))

    def _joined(
        self,
        operator: str,
        kind: str,
        degree: tuple[Axis, ...],
        terms: list[Read],
        origin: Origin,
    ) -> View:
        if len(terms) == 1 and terms[0].role == "+" and terms[0].node.kind == kind:
            return View(terms[0].node, terms[0].places)
        node, dims = self._nodes.make(operator, kind, degree, (), terms, origin)
        return View(node, tuple(map(plain_index, dims)))
