"""Re-associates sums by cost, so that scores disappear where a normaliser is a polynomial.

A sum over x of a polynomial in inner products is multiplied out (`monomials`), and each monomial
is contracted in the cheapest order (`algebra.rewrites.order_contractions`). Spherical attention
becomes `q (K^T V) / sqrt(q (K^T K) q)` and linear attention `q (K^T V)`, by associativity alone
(arXiv 2505.09326, section 1.5 of our notes: 64 times fewer operations at 16,384 tokens of 128).
Under a causal mask the sums over x become sums up to a tile of rows (`chunks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from ncdlang.algebra.rewrites.order_contractions import Tree, best_order
from ncdlang.algebra.rewriting import Extents
from ncdlang.analysis.chunks import Chunks, Prefix, lifted, prefix_of
from ncdlang.analysis.monomials import Expansion, Monomial, Unopened, ties
from ncdlang.analysis.proof import agrees
from ncdlang.analysis.roles import factors
from ncdlang.analysis.separate import Refusal, Separation, under_condition
from ncdlang.analysis.terms import Array, Term, Terms, is_number, ordered, subterms
from ncdlang.records import record
from ncdlang.semantics.size import ZERO, Size, Symbol, product
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]

LONG = 1 << 14
SHORT = 8
MARGIN = 2
"""The sums are taken first where that is so many times fewer operations: they are written to
memory, while a kernel keeps its scores and may pass over half of them under a mask."""


@record(eq=False)
class Association:
    """Another form of a term, and the operations of both as polynomials of the sizes.

    The term reads `made`, arrays that are made before it. `scores` are the inner products that
    it does without, and `sums` those over the streamed axes that come first; `rest` are the
    terms that wires of the diagram become, with what they were. `long` are the sizes from which on
    it is the cheaper form; `copies` says which of its axes are copies of others.
    """

    term: Term
    made: tuple[Array, ...]
    before: Size
    after: Size
    scores: tuple[Term, ...]
    sums: tuple[Term, ...]
    rest: tuple[tuple[Term, Term], ...]
    long: tuple[Symbol, ...]
    copies: Mapping[Axis, Axis]
    is_chunked: bool

    def pays(self, sizes: Mapping[Symbol, int]) -> bool:
        """Whether it is the cheaper form; False while a size that decides is unknown."""
        if not (self.before + self.after).symbols() <= sizes.keys():
            return False
        return MARGIN * self.after.evaluate(sizes) < self.before.evaluate(sizes)


def associate(
    terms: Terms, term: Term, sizes: Mapping[Symbol, int] | None = None
) -> Association | None:
    """The cheapest form of a term found with long streamed axes; None if it has no other.

    `sizes` are those that are known. The form is confirmed by numbers before it is given.
    """
    known = dict(sizes or {})
    term = under_condition(terms, term)
    candidates = dict.fromkeys(
        frozenset(fold.bound) for fold in subterms(term) if fold.op == "fold" and fold.kind == "sum"
    )
    for streamed in candidates:
        found = _along(terms, term, streamed, known)
        if found is not None:
            _name(terms, found)
            return found
    return None


def _name(terms: Terms, found: Association) -> None:
    """Give names to what people read of a form."""
    taken = set(terms.names.values())
    fresh = (name for i in count(1) if (name := f"sum_{i}") not in taken)
    for term in found.sums:
        if term not in terms.names:
            terms.call(term, next(fresh))
    for term, fold in found.rest:
        terms.keep_name(term, fold)


def _along(
    terms: Terms, term: Term, streamed: Axes, sizes: dict[Symbol, int]
) -> Association | None:
    if not streamed.isdisjoint(term.axes):
        return None
    try:
        normal = Separation(terms, streamed).normalised(term)
    except Refusal:
        return None
    folds = [f for f in subterms(normal) if f.op == "fold" and frozenset(f.bound) == streamed]
    if not folds or any(fold.kind != "sum" for fold in folds):
        return None
    extents = _extents(folds, sizes)
    try:
        made = _Builder(terms, streamed, extents).build(normal, folds)
    except Unopened:
        return None
    if made is None or not _is_smaller(extents, normal, made):
        return None
    return made


def _extents(folds: Iterable[Term], sizes: Mapping[Symbol, int]) -> Extents:
    """Sizes to compare by. Of unknown ones those of the streamed axes and of tied rows are long."""
    terms = subterms(*folds)
    unknown = {s for t in terms for axis in (*t.axes, *t.bound) for s in axis.size.symbols()}
    return Extents(dict.fromkeys(unknown, SHORT) | dict.fromkeys(_long(folds), LONG) | dict(sizes))


def _long(folds: Iterable[Term]) -> tuple[Symbol, ...]:
    """The sizes of the streamed axes and of those that inner products tie to them."""
    found: dict[Symbol, None] = {}
    for fold in folds:
        streamed = frozenset(fold.bound)
        for inner in subterms(fold.args[0]):
            if ties(inner, streamed, fold.axes):
                tied = _tied(inner, fold)
                for axis in (*fold.bound, *(a for a in ordered(inner) if a in tied)):
                    symbols = sorted(axis.size.symbols(), key=lambda symbol: symbol.uid)
                    found.update(dict.fromkeys(symbols))
    return tuple(found)


def _tied(inner: Term, fold: Term) -> Axes:
    """The axes of a result that only the side of an inner product has that is not streamed."""
    still, moving = Axes(), Axes()
    for factor in factors(inner.args[0]):
        if factor.axes.isdisjoint(fold.bound):
            still |= factor.axes
        else:
            moving |= factor.axes
    return (still - moving) & fold.axes


def _is_smaller(extents: Extents, before: Term, found: Association) -> bool:
    """Whether no result between is as large as the scores were, so that none is a new burden."""

    def largest(*roots: Term) -> int:
        return max((extents.entries(t.axes) for t in subterms(*roots) if t.op == "fold"), default=0)

    after = largest(*(array.made for array in found.made if array.made), found.term)
    return found.is_chunked or after < largest(before)


# ---- one term -----------------------------------------------------------------------------------


class _Builder:
    """Builds the other form of a term whose folds over the streamed axes wait for nothing."""

    def __init__(self, terms: Terms, streamed: Axes, extents: Extents) -> None:
        self.terms = terms
        self.streamed = streamed
        self.extents = extents
        self.long: tuple[Symbol, ...] = ()
        self.scores: dict[Term, None] = {}
        self.sums: dict[Term, None] = {}
        self.rest: dict[Term, Term] = {}
        self.copies: dict[Axis, Axis] = {}

    def build(self, normal: Term, folds: list[Term]) -> Association | None:
        """The association; None if nothing becomes another. Raises Unopened."""
        self.long = _long(folds)
        prefixes = {fold: self._prefix(fold) for fold in folds}
        distinct = {p.key for p in prefixes.values() if p is not None}
        if not distinct:
            return self._whole(normal, folds)
        if len(distinct) > 1 or None in prefixes.values():
            return None
        first = next(p for p in prefixes.values() if p is not None)
        best: Association | None = None
        for length in (64, 128, 256, 512):
            made = self._in_tiles(normal, folds, Chunks(self.terms, first, length))
            if best is None or self._number(made.after) < self._number(best.after):
                best = made
        return best if self._is_right(normal, folds, first) else None

    def _is_right(self, normal: Term, folds: list[Term], prefix: Prefix) -> bool:
        """Whether tiles of two rows give what the equations say, where there are three rows."""
        chunks = Chunks(self.terms, prefix, 2)
        made = self._in_tiles(normal, folds, chunks)
        images = {array.made: array for array in made.made}
        whole = self.terms.map(made.term, lambda t: _inlined(self.terms, t, images))
        return agrees(normal, whole, dict.fromkeys((*chunks.tiled, *chunks.stream), 2))

    def _number(self, size: Size) -> int:
        return self.extents.size(size)

    def _prefix(self, fold: Term) -> Prefix | None:
        """The causal condition of a fold. Raises Unopened for another one that ties its axes."""
        conditions, _ = lifted(self.terms, fold.args[0])
        tying = [c for c in conditions if c.axes & self.streamed and not c.axes <= self.streamed]
        if not tying:
            return None
        found = prefix_of(self.terms, fold, tying[0]) if len(tying) == 1 else None
        if found is None:
            raise Unopened
        return found

    def _whole(self, normal: Term, folds: list[Term]) -> Association | None:
        images = {fold: self._rebuilt(fold) for fold in folds}
        images = {fold: new for fold, new in images.items() if new is not None}
        if not images:
            return None
        made = self._association(normal, self.terms.replace(normal, images), (), False)
        if not _is_smaller(self.extents, normal, made):
            return None
        return made if all(agrees(fold, new) for fold, new in images.items()) else None

    def _rebuilt(self, fold: Term) -> Term | None:
        """A fold in another order; None where it has no inner products to open."""
        expansion = Expansion(self.terms, self.streamed, fold.axes)
        try:
            monomials = expansion.of(fold.args[0])
        except Unopened:
            return None
        self.copies |= expansion.copies
        total = self._added(
            self.contracted((*fold.bound, *m.bound), m.factors, fold.axes) for m in monomials
        )
        self._note(fold, total, self.streamed)
        return self._kept(fold, total, fold.args[0])

    def _note(self, fold: Term, made: Term, first: Axes) -> None:
        """Remember what falls away and what comes first, for people to read."""
        inner = [t for t in subterms(fold.args[0]) if t.op == "fold"]
        self.scores.update(dict.fromkeys(t for t in inner if not t.axes.isdisjoint(self.streamed)))
        for term in subterms(made):
            if term.op == "fold" and not first.isdisjoint(term.bound):
                self.sums[term] = None

    def _added(self, parts: Iterable[Term]) -> Term:
        total: Term | None = None
        for part in parts:
            total = part if total is None else self.terms.apply("add", total, part)
        assert total is not None
        return total

    def _kept(self, fold: Term, total: Term, body: Term) -> Term:
        """What stands for a fold: under its name, and not negative if the fold can't be."""
        made = self._never_negative(total) if _is_square(body) else total
        if fold in self.terms.names:
            self.rest[made] = fold
        return made

    def _never_negative(self, total: Term) -> Term:
        """A sum of squares stays one when rounding would make it less than 0."""
        zero = self.terms.number(0.0)
        return self.terms.apply("select", self.terms.apply("gt", total, zero), total, zero)

    # ---- contractions ----------------------------------------------------------------------------

    def contracted(self, bound: tuple[Axis, ...], factors: tuple[Term, ...], kept: Axes) -> Term:
        """The sum over `bound` of a product, in pairs of the cheapest order."""
        numbers = [f for f in factors if not f.axes]
        arrays = [f for f in factors if f.axes]
        if not arrays:
            total = self.terms.fold("sum", bound, self.terms.number(1.0))
            return self._times(numbers, total)
        order = best_order([f.axes for f in arrays], kept, self.extents)
        summed = self._pairs(arrays, order.tree, bound, kept, True)
        return self._times(numbers, summed)

    def _times(self, numbers: list[Term], term: Term) -> Term:
        for number in numbers:
            term = self.terms.apply("mul", number, term)
        return term

    def _pairs(
        self, factors: list[Term], tree: Tree, bound: tuple[Axis, ...], outside: Axes, is_root: bool
    ) -> Term:
        if isinstance(tree, int):
            made = factors[tree]
            own: Axes = made.axes
        else:
            left, right = tree
            first = self._pairs(factors, left, bound, outside | _axes(factors, right), False)
            second = self._pairs(factors, right, bound, outside | _axes(factors, left), False)
            made = self.terms.apply("mul", first, second)
            own = made.axes
        present = Axes().union(*(f.axes for f in factors))
        over = tuple(
            a for a in bound if (a in own and a not in outside) or (is_root and a not in present)
        )
        return self.terms.fold("sum", over, made) if over and (is_root or own) else made

    # ---- up to a tile of rows --------------------------------------------------------------------

    def _in_tiles(self, normal: Term, folds: list[Term], chunks: Chunks) -> Association:
        prefix = chunks.prefix
        self.sums, self.rest = {}, {}
        self.copies[chunks.stream[0]] = chunks.tiled[0]
        images: dict[Term, Term] = {}
        for fold in folds:
            conditions, body = lifted(self.terms, fold.args[0])
            rest = [c for c in conditions if c is not prefix.condition]
            expansion = Expansion(self.terms, self.streamed, fold.axes)
            monomials = [self._unmasked(m, rest, expansion) for m in expansion.of(body)]
            self.copies |= expansion.copies
            before = self._added(self._state(chunks, m, fold.axes) for m in monomials)
            inside = chunks.inside(fold.args[0])
            total = self.terms.apply("add", before, inside)
            self._note(fold, before, frozenset(chunks.stream[:1]))
            images[fold] = self._kept(fold, total, body)
        tile = chunks.at_tile(self.terms.replace(normal, images))
        axes = (*chunks.tiled, *_ordered(self.terms, normal.axes - {prefix.row}))
        array = Array("tiles", axes, role="tiles", made=tile)
        term = chunks.from_tiles(array)
        return self._association(normal, term, (array,), True)

    def _unmasked(self, monomial: Monomial, rest: list[Term], expansion: Expansion) -> Monomial:
        for condition in rest:
            monomial = expansion.masked(monomial, condition, True)
        return monomial

    def _state(self, chunks: Chunks, monomial: Monomial, kept: Axes) -> Term:
        """A monomial summed over the streamed indices before a tile, times what has its rows."""
        moving = tuple(f for f in monomial.factors if not f.axes.isdisjoint(self.streamed))
        still = tuple(f for f in monomial.factors if f.axes.isdisjoint(self.streamed))
        if any(chunks.prefix.row in f.axes for f in moving):
            raise Unopened
        outside = frozenset((*kept, *monomial.bound))
        state = chunks.before(
            moving, lambda bound, f: self.contracted(bound, f, outside | chunks.own)
        )
        left = tuple(a for a in monomial.bound)
        factors = (*(chunks.at_tile(f) for f in still), state)
        return self.contracted(
            left, factors, (kept - {chunks.prefix.row}) | frozenset(chunks.tiled)
        )

    def _association(
        self, before: Term, after: Term, made: tuple[Array, ...], is_chunked: bool
    ) -> Association:
        bodies = [array.made for array in made if array.made is not None]
        return Association(
            after,
            made,
            operations(before),
            operations(after, *bodies),
            tuple(self.scores),
            tuple(self.sums),
            tuple(self.rest.items()),
            self.long,
            dict(self.copies),
            is_chunked,
        )


def _ordered(terms: Terms, axes: Axes) -> list[Axis]:
    return sorted(axes, key=lambda axis: terms.rank(terms.index(axis)))


def _axes(factors: list[Term], tree: Tree) -> Axes:
    if isinstance(tree, int):
        return factors[tree].axes
    return _axes(factors, tree[0]) | _axes(factors, tree[1])


def _is_square(body: Term) -> bool:
    """Whether a summand is a square, and thus never negative."""
    if body.op == "pow":
        return is_number(body.args[1]) and body.args[1].data % 2 == 0
    return body.op == "mul" and body.args[0] is body.args[1]


def _inlined(terms: Terms, term: Term, known: Mapping[Term | None, Array]) -> Term | None:
    """The term that a made array stands for, where it is read."""
    if term.op != "load" or term.data.made not in known:
        return None
    images = dict(zip(term.data.axes, term.args, strict=True))
    return terms.substitute(term.data.made, images)


def operations(*roots: Term) -> Size:
    """Multiplications and additions of the sums in some terms, each done once."""
    return operations_of(term for term in subterms(*roots) if term.op == "fold")


def operations_of(folds: Iterable[Term]) -> Size:
    """Multiplications and additions of some sums."""
    total = ZERO
    for fold in folds:
        each = 2 if fold.args[0].op in ("mul", "select") else 1
        total += product(axis.size for axis in fold.axes | frozenset(fold.bound)) * each
    return total
