"""Cuts a diagram into regions that stream and pieces that are left to the library.

A region is one kernel: folds over one set of streamed axes, with everything pointwise round them
and the inner products whose results never leave the tile. What a region needs but would have to
work out anew for every tile of rows is made before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ncdlang.analysis.accumulated import within_registers
from ncdlang.analysis.aligned import aligned
from ncdlang.analysis.associate import Association, associate
from ncdlang.analysis.common_sums import with_common_sums
from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered, is_gather
from ncdlang.analysis.grouped import grouped, inner_product
from ncdlang.analysis.keeping import Kept
from ncdlang.analysis.opened import Opened
from ncdlang.analysis.pieces import covers, has_fold, outer_folds, pieces_round
from ncdlang.analysis.proof import agrees, grows
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.roles import (
    Roles,
    factors,
    find_roles,
    inner_folds,
    statistics,
    streams_apart,
    summands,
)
from ncdlang.analysis.rows import (
    barrier_of,
    others_in,
    row_pieces,
    rows_of,
    shared_rows,
    together,
    waits_for_others,
)
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.separate import Refusal, Separation, under_condition
from ncdlang.analysis.shifted import shifted
from ncdlang.analysis.steps import (
    Choice,
    Library,
    Output,
    Plan,
    Region,
    Step,
    joined,
    merged,
)
from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    hoisted,
    is_fold,
    kind_of,
    ordered,
    outermost,
    subterms,
)
from ncdlang.records import replace
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis, Kind

RESIDENT = 256
STREAMED = ("sum", "max", "min")


def make_plan(
    opened: Opened, sizes: Mapping[Symbol, int] | None = None, order: str = "cheapest"
) -> Plan:
    """Plan a diagram; `sizes` are those that are known.

    `order` says when sums are taken in another order (`associate`): where that is the `cheapest`,
    wherever there is an `other` one, or never: as `written`.
    """
    planner = Planner(opened.terms, sizes or {}, order=order)
    roots = [
        (wire.name, tuple(a for axis in wire.type.axes for a in axis.atoms), term)
        for wire, term in opened.results
    ]
    for step in opened.made:
        if isinstance(step, Kept):
            planner.make(step.array)
        else:
            planner.add(step)
    results = planner.run(roots)
    return Plan(opened, tuple(planner.steps), results, tuple(planner.choices))


Root = tuple[str, tuple[Axis, ...], Term]


class _Plain(Exception):
    """A term turns out to be one plain contraction, which the library does best."""


class Planner:
    """Collects the steps that make some terms; `piece` is the kind of what they make for others."""

    def __init__(
        self,
        terms: Terms,
        sizes: Mapping[Symbol, int],
        piece: Kind | None = None,
        order: str = "written",
    ) -> None:
        self.terms = terms
        self.sizes = sizes
        self.piece = piece
        self.order = order
        self.steps: list[Step] = []
        self.choices: list[Choice] = []
        self.copies: set[Axis] = set()
        self.made: dict[Term, Array] = {}
        # A piece is planned anew with every try of what it is in; its own try fails once.
        self._refused: dict[Term, Refusal | None] = {}
        self._arrays: dict[Term, Array] = {}
        self._inner: set[Array] = set()
        self._orders: dict[Term, Association | None] = {}

    def make(self, array: Array) -> None:
        """An array that is made of a term of its own, before all that reads it."""
        assert array.made is not None
        term = under_condition(self.terms, array.made)
        self._root(array, term)
        self.made[term] = array

    def run(self, roots: list[Root], partial: frozenset[str] = frozenset()) -> tuple[Array, ...]:
        """The arrays of the roots, each over its axes in order; `partial` ones are pieces too."""
        results: dict[int, Array] = {}
        # What rows need made before is there, then, for what is pointwise on it.
        order = sorted(range(len(roots)), key=lambda i: barrier_of(roots[i][2]) is None)
        for place in order:
            name, axes, term = roots[place]
            kind = self.piece if self.piece is not None and name in partial else kind_of(term)
            array = Array(name, axes, kind, (), "made", term)
            self._root(array, under_condition(self.terms, term))
            results[place] = array
        made = tuple(results[i] for i in range(len(roots)))
        steps = merged(joined(self.terms, self.steps, set(made)), self._holds_columns)
        steps = [with_common_sums(step) for step in steps]
        self.steps = together(within_registers(steps, self.sizes))
        return made

    def add(self, step: Recurrence | Scattered | Foreign) -> None:
        """A step that is opened as it is; what it sums over is made before."""
        alone = self._alone
        if isinstance(step, Foreign):
            given = tuple((self._argument(term), axes) for term, axes in step.arguments)
            self.steps.append(replace(step, arguments=given))
            return
        if isinstance(step, Recurrence):
            factor, offset = alone(step.factor), alone(step.offset)
            self.steps.append(replace(step, factor=factor, offset=offset))
        else:
            base = alone(step.base) if step.base is not None else None
            indices = tuple(map(alone, step.indices))
            made = replace(step, source=alone(step.source), indices=indices, base=base)
            self.steps.append(made)

    def _argument(self, term: Term) -> Term:
        """A term as a call outside of the kernels takes it: made before, but what is read."""
        term = under_condition(self.terms, term)
        if term.op == "load" or not any(is_fold(t) for t in subterms(term)):
            return term
        if self._kept(term) is not None and barrier_of(term) is None:
            # No kernel makes it whole, and what streams in it would be worked out twice.
            return term
        return self._read(term)

    def _alone(self, term: Term, is_bare: bool = False) -> Term:
        """A term with its folds made before: what is pointwise round them too, unless bare."""
        if not is_bare and barrier_of(term) is not None:
            return self._read(term)
        folds = outermost(term, is_fold)
        chosen = set(folds) if is_bare else pieces_round(term, folds)
        return self._replaced(term, chosen, lambda body: body)

    # ---- one array -------------------------------------------------------------------------------

    def _root(self, array: Array, term: Term) -> None:
        """Make an array, of sums in another order where that is cheaper."""
        term = self.terms.map(term, lambda now: self._read(now) if now in self.made else None)
        found = self._association(term)
        if found is not None:
            taken = self.order == "other" or found.pays(self.sizes)
            self.choices.append(Choice(array, found, taken))
            if taken:
                self.copies |= found.copies.keys()
                for other in found.made:
                    assert other.made is not None
                    self._make(other, other.made)
                term = found.term
        self._make(array, term)

    def _association(self, term: Term) -> Association | None:
        """Another order of the sums in a term, found once."""
        if self.order == "written":
            return None
        if term not in self._orders:
            self._orders[term] = associate(self.terms, term, self.sizes)
        return self._orders[term]

    def _make(self, array: Array, term: Term) -> None:
        # A region would read the matrix of a group anew for each of its rows.
        cut = self._products(array, term)
        if cut is None:
            return
        term = cut
        if self._over_rows(array, term, is_last=False):
            return
        main = self._main(term) if term not in self._refused else None
        if main is not None:
            count, made, choices = len(self.steps), dict(self.made), len(self.choices)
            try:
                self.steps.append(self._region(array, term, frozenset(main.bound)))
                return
            except _Plain:
                self._refused[term] = None
            except Refusal as found:
                self._refused[term] = found
            del self.steps[count:]
            del self.choices[choices:]
            self.made = made
        if self._over_rows(array, term, is_last=True):
            return
        refusal = self._refused.get(term) or self._kept(term)
        if refusal is None and is_gather(array, term):
            self.steps.append(Gathered(self.terms, array, self._alone(term, is_bare=True)))
            return
        self.steps.append(Library(array, self._cut_folds(term), refusal))

    def _over_rows(self, array: Array, term: Term, is_last: bool) -> bool:
        """Make a term over rows; before it streams only where it would be worked out twice."""
        term = aligned(self.terms, term)
        barrier = barrier_of(term)
        if barrier is None or term.axes != frozenset(array.axes):
            return False
        if not is_last and not waits_for_others(term, barrier):
            return False
        rows = self._before(term, barrier)
        if barrier_of(rows) != barrier:
            self._make(array, rows)
            return True
        refusal = self._refused.get(term) or self._kept(term)
        told = None if array in self._inner else refusal
        self.steps.append(rows_of(self.terms, array, rows, barrier, told))
        return True

    def _products(self, array: Array, term: Term) -> Term | None:
        """A term with the grouped products in it made before; None if it is one, which is made."""

        def image(now: Term) -> Term | None:
            split = inner_product(self.terms, now) if now.op == "fold" else None
            if split is None or split[1] is term:
                return None
            return self.terms.replace(split[0], {split[1]: self._read(split[1])})

        made = grouped(self.terms, array, term)
        if made is None:
            return self.terms.map(term, image)
        left, right, body = (self._alone(t, True) for t in (made.left, made.right, made.body))
        self.steps.append(replace(made, left=left, right=right, body=body))
        return None

    def _main(self, term: Term) -> Term | None:
        """The fold that the region of a term streams, None if the term is no region."""
        best: tuple[int, int] | None = None
        chosen: Term | None = None
        for fold in outermost(term, is_fold):
            streamed = frozenset(fold.bound)
            own = [f for f in subterms(term) if f.op == "fold" and frozenset(f.bound) == streamed]
            if not streamed.isdisjoint(term.axes) or not covers(term, streamed):
                continue
            if any(f.kind not in STREAMED for f in own) or streamed <= self.copies:
                # Sums that come after those of long axes are short products of matrices.
                continue
            inner = [f for o in own for f in inner_folds(o.args[0], streamed)]
            fused = [f for f in inner if not f.axes.isdisjoint(streamed)]
            if len(own) < 2 and not fused:
                continue
            key = (-len(own), self.terms.rank(fold))
            if best is None or key < best:
                best, chosen = key, fold
        return chosen

    def _kept(self, term: Term) -> Refusal | None:
        """Why a term that has the axis of one of its folds itself does not stream along it."""
        for fold in outermost(term, is_fold):
            kept = [axis.name for axis in fold.bound if axis in term.axes]
            if kept:
                axes = " ".join(kept)
                return Refusal(
                    f"reads all of {axes} for each entry of a result that has {axes} itself: "
                    "no tile of it is finished before the last one is read",
                    fold,
                )
        return None

    def _before(self, term: Term, barrier: frozenset[Axis]) -> Term:
        """A term over rows, with the folds in it that are not along them made before."""
        shared = shared_rows(term, barrier)
        term = self.terms.map(term, lambda now: self._read(now) if now in shared else None)
        if barrier_of(term) != barrier:
            return term
        others = others_in(term, barrier, lambda piece: self._main(piece) is not None)
        return self.terms.map(
            term,
            lambda now: self._read(now, barrier) if now in others or now in self.made else None,
        )

    def _cut_folds(self, whole: Term, is_body: bool = False) -> Term:
        """A term of no region, or what a fold in it sums up, with the regions in it made before."""
        rows = set(row_pieces(whole, is_body))
        if is_body:
            # The fold round them says why it does not stream.
            self._inner |= {self._arrays.get(piece) or self._array(piece) for piece in rows}
        whole = self.terms.map(whole, lambda now: self._read(now) if now in rows else None)

        def is_other(piece: Term) -> bool:
            return is_body or piece is not whole

        pieces = pieces_round(whole, outermost(whole, is_fold), is_other)
        chosen = {p for p in pieces if is_other(p) and self._main(p) is not None}
        return self._replaced(whole, chosen, lambda body: self._cut_folds(body, True))

    def _replaced(self, whole: Term, pieces: set[Term], inside: Callable[[Term], Term]) -> Term:
        """Read the pieces, and all that was made before, as arrays; go on inside other folds."""

        def image(now: Term) -> Term | None:
            if now in pieces or now in self.made:
                return self._read(now)
            if now.op == "fold":
                return self.terms.rebuilt(now, (inside(now.args[0]),))
            return None

        return self.terms.map(whole, image)

    def _read(self, term: Term, along: frozenset[Axis] = frozenset()) -> Term:
        if term not in self.made:
            array = self._arrays.get(term) or self._array(term, along)
            self._root(array, term)
            self.made[term] = array
        array = self.made[term]
        return self.terms.load(array, tuple(map(self.terms.index, array.axes)))

    def _array(self, term: Term, along: frozenset[Axis] = frozenset()) -> Array:
        """The array of a piece, the same with every try; rows lie `along` some axes of it."""
        name = self.terms.names.get(term) or f"part_{len(self._arrays) + 1}"
        kind = kind_of(term)
        if kind.name == "real" and self.piece is not None:
            kind = self.piece
        # Rows lie along memory.
        barrier = barrier_of(term) or along
        axes = tuple(sorted(ordered(term), key=lambda axis: axis in barrier))
        array = Array(name, axes, kind, (), "made", term)
        self._arrays[term] = array
        return array

    # ---- regions ---------------------------------------------------------------------------------

    def _region(self, array: Array, term: Term, streamed: frozenset[Axis]) -> Region:
        term = self._outside(term, streamed)
        own = outer_folds(term, streamed)
        every = [f for f in subterms(term) if f.op == "fold" and frozenset(f.bound) == streamed]
        waiting = statistics(own, streamed)
        inner = [f for fold in every for f in inner_folds(fold.args[0], streamed)]
        roles = find_roles(own, waiting, inner, streamed, array.axes)
        apart = streams_apart(every, streamed, roles.rows)
        term = hoisted(self.terms, self._inside(term, streamed, roles, apart), streamed)
        separation = Separation(self.terms, streamed)
        normal = separation.normalised(term)
        if separation.has_several:
            moved = shifted(self.terms, term, streamed, waiting)
            normal = separation.normalised(moved) if moved is not None else normal
        folds = [f for f in subterms(normal) if f.op == "fold" and frozenset(f.bound) == streamed]
        growth = {f: g for f in folds if (g := separation.growth(f)) is not None}
        if len(folds) < 2 and not any(inner_folds(f.args[0], streamed) for f in folds):
            raise _Plain
        roles = find_roles(
            folds,
            waiting,
            [i for f in folds for i in inner_folds(f.args[0], streamed)],
            streamed,
            array.axes,
        )
        self._check(folds, roles, streamed)
        _confirm(term, normal, growth)
        columns = tuple(a for a in array.axes if a in roles.columns)
        return Region(
            self.terms,
            tuple(a for a in array.axes if a in roles.batch),
            tuple(a for a in array.axes if a in roles.rows),
            next(f.bound for f in folds),
            (Output(array, normal, columns, term),),
            tuple(folds),
            growth,
        )

    def _outside(self, term: Term, streamed: frozenset[Axis]) -> Term:
        """Make the folds over other axes first that stand outside of the streamed ones."""
        others = [f for f in outermost(term, is_fold) if frozenset(f.bound) != streamed]
        pieces = pieces_round(term, others, lambda piece: not has_fold(piece, streamed))
        return self._replaced(term, pieces, lambda body: body)

    def _inside(
        self, term: Term, streamed: frozenset[Axis], roles: Roles, apart: frozenset[Term]
    ) -> Term:
        """Make the inner products first that every tile of rows would work out anew.

        Those of `apart` stream by themselves.
        """

        def stays(fold: Term, is_inner: bool) -> bool:
            if frozenset(fold.bound) == streamed:
                return True
            return not is_inner and fold not in apart and self._fuses(fold, streamed, roles)

        def visit(body: Term, is_inner: bool = False) -> Term:
            def is_free(piece: Term) -> bool:
                return not any(t.op == "fold" and stays(t, is_inner) for t in subterms(piece))

            cut = [f for f in outermost(body, is_fold) if not stays(f, is_inner)]
            pieces = pieces_round(body, cut, is_free)

            def image(now: Term) -> Term | None:
                if now in pieces or now in self.made:
                    return self._read(now)
                if now.op == "fold":
                    own = frozenset(now.bound) == streamed
                    return self.terms.rebuilt(now, (visit(now.args[0], not own),))
                return None

            return self.terms.map(body, image)

        return self._replaced(term, set(), visit)

    def _fuses(self, fold: Term, streamed: frozenset[Axis], roles: Roles) -> bool:
        """Whether an inner fold stays in the tile: it has the rows and varies with the stream."""
        if fold.kind != "sum" or fold.axes.isdisjoint(streamed) or not roles.rows <= fold.axes:
            return False
        if not all(self._is_resident(axis) for axis in roles.columns):
            return False
        still: set[Axis] = set()
        moving: set[Axis] = set()
        for factor in factors(fold.args[0]):
            if not factor.axes.isdisjoint(fold.bound):
                side = still if factor.axes.isdisjoint(streamed) else moving
                side.update((factor.axes - frozenset(fold.bound)) & roles.rows)
        return bool(still) and not moving

    def _holds_columns(self, region: Region) -> bool:
        """Whether a tile holds all columns of a region whole."""
        return all(self._is_resident(*output.columns) for output in region.outputs)

    def _is_resident(self, *axes: Axis) -> bool:
        """Whether a tile holds some axes whole; those of unknown size are taken to be short."""
        known = [axis.size for axis in axes if axis.size.symbols() <= self.sizes.keys()]
        return product(known).evaluate(self.sizes) <= RESIDENT

    def _check(self, folds: list[Term], roles: Roles, streamed: frozenset[Axis]) -> None:
        """Every summand has to be a product of a tile of rows and one of columns."""
        for fold in folds:
            products = summands(fold.args[0])
            for factor in (f for each in products for f in factors(each)):
                if factor.axes & roles.rows and factor.axes & roles.columns:
                    raise Refusal("has rows and columns in one factor", factor)
            for inner in inner_folds(fold.args[0], streamed):
                if inner.axes & roles.columns:
                    raise Refusal("has columns inside of an inner product", inner)


def _confirm(term: Term, normal: Term, growth: Mapping[Term, Term]) -> None:
    """See to it that numbers bear out what was derived. Raises Refusal."""
    if not agrees(term, normal):
        raise Refusal("does not agree with what was derived from it", term)
    for fold, factor in growth.items():
        extrema = [t for t in subterms(factor) if t.op == "fold" and t.bound == fold.bound]
        if not grows(fold.args[0], factor, extrema):
            raise Refusal("does not grow with the maximum as was derived", fold)
