"""The gradient of a region, as terms that stream by the same rules.

Reverse mode on the record: the cotangent of every accumulator is a term over the rows, that of a
summand does not vary along the streamed axis but through the summand itself, and the gradient of
an array is a sum over the axes that it lacks. Running extrema are held fixed, which is right
exactly when the results do not depend on them; that is checked by numbers (`is_steady`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from ncdlang.analysis.centred import Scores, centred
from ncdlang.analysis.derivatives import derivative
from ncdlang.analysis.factored import exchanged, inward, spread
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.plan import Output, Region
from ncdlang.analysis.proof import TOLERANCE, Point, holds
from ncdlang.analysis.recurrences import STATISTIC, Recurrence, reversed_scan, state_before
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    added,
    is_number,
    number_kind,
    ordered,
    outermost,
    outward,
    reads,
    subterms,
)
from ncdlang.records import record, replace
from ncdlang.semantics.size import product
from ncdlang.semantics.types import Axis

# For every term the parts of its cotangent, by the axes that they are to be summed over.
Cotangents = dict[Term, dict[frozenset[Axis], tuple[tuple[Axis, ...], Term]]]


class NoGradient(Exception):
    """The gradient of a region is not derived; the message says why."""


@record(eq=False)
class Gradient:
    """What the backward pass of a region is made of.

    `saved` are the accumulators that the forward pass keeps, as further outputs; `cotangents`
    are the gradients of the outputs; `statistics` are made first; each of `roots` is a part of the
    gradient of an array that the region reads.
    """

    saved: tuple[Output, ...]
    cotangents: tuple[Array, ...]
    statistics: tuple[Array, ...]
    roots: tuple[Root, ...]


@record(eq=False)
class Root:
    """A part of the gradient of `array`: sum over `rest` of `term`, which has `axes` besides.

    With `read` it is what `term` is for that read of the array, added up where it was read.
    """

    array: Array
    rest: tuple[Axis, ...]
    axes: tuple[Axis, ...]
    term: Term
    read: Term | None = None


def gradient(region: Region) -> Gradient:
    """The gradient of a region. Raises NoGradient."""
    if not is_steady(region):
        raise NoGradient("a result depends on a maximum, which has no derivative everywhere")
    return Reverse(region, region.terms).run()


def step_gradient(
    step: Recurrence | Scattered | Gathered | Grouped,
) -> tuple[Gradient, Recurrence | None]:
    """The gradient of a step that is no region; that of a recurrence with the scan it needs.

    Raises NoGradient.
    """
    array = step.array
    given = Array(f"d{array.name}", array.axes, array.kind, (), "cotangent")
    scan = None
    if isinstance(step, Recurrence):
        scan = reversed_scan(step, given)
        made = step.terms.load(scan.array, tuple(map(step.terms.index, array.axes)))
        before = state_before(step)
        starts = {step.offset: made, step.factor: step.terms.apply("mul", made, before)}
    elif isinstance(step, Gathered):
        starts = {step.source: step.terms.load(given, step.indices)}
    elif isinstance(step, Grouped):
        own = step.terms.load(given, tuple(map(step.terms.index, array.axes)))
        starts = {step.body: own}
    else:
        if step.op != "+=" and (step.op != "=" or step.base is not None):
            raise NoGradient(f"a scatter by {step.op} is left to PyTorch")
        starts = {step.source: step.terms.load(given, step.indices)}
        if step.base is not None:
            own = step.terms.load(given, tuple(map(step.terms.index, array.axes)))
            starts[step.base] = own
    roots = _pulled(step.terms, starts)
    return Gradient((), (given,), (), roots), scan


def _pulled(terms: Terms, starts: Mapping[Term, Term]) -> tuple[Root, ...]:
    """The gradients of the arrays that pointwise terms read, from those of the terms."""
    reverse = Reverse(None, terms)
    adjoint: Cotangents = {}
    for term, found in starts.items():
        reverse.add(adjoint, term, found)
    roots: list[Root] = []
    for term in reversed(list(subterms(*starts))):
        found = reverse.total(adjoint.pop(term, None))
        if found is None or number_kind(term) != "real":
            continue
        if term.op == "load":
            axes, read = reverse.read_along(term)
            roots.append(Root(term.data, (), axes, spread(terms, found), read))
        elif term.op not in ("number", "size", "index"):
            reverse.through(adjoint, term, found)
    return tuple(roots)


def is_steady(region: Region) -> bool:
    """Whether the results stay the same when the running extrema are moved."""
    extrema = [fold for fold in region.folds if fold.kind != "sum"]
    if not extrema:
        return True

    def is_steady_at(term: Term, seed: int) -> bool | float:
        values = [_moved(region, term, extrema, seed, shift) for shift in (0.0, 0.6)]
        if not all(math.isfinite(value) for value in values):
            return math.nan
        return abs(values[0] - values[1]) <= TOLERANCE * 10 * (1 + abs(values[0]))

    return all(holds(partial(is_steady_at, output.term)) for output in region.outputs)


def _moved(region: Region, term: Term, extrema: list[Term], seed: int, shift: float) -> float:
    """A result where the extrema are `shift` higher and the sums are corrected for it."""
    generator = random.Random(seed)
    at = {axis: generator.randrange(3) for axis in ordered(term)}
    sums = [fold for fold in region.folds if fold.kind == "sum"]
    start = {fold: generator.uniform(0.5, 2) for fold in (*extrema, *sums)}
    point = Point(seed)
    factors: dict[Term, float] = {}
    for sign, moved in ((-1, 0.0), (1, shift)):
        point.fixed = {fold: start[fold] + moved for fold in extrema}
        for fold in sums:
            growth = region.growth.get(fold)
            value: Any = point.value(growth, at) if growth is not None else 1.0
            factors[fold] = factors.get(fold, 1.0) * (value if sign > 0 else 1 / value)
    point.fixed |= {fold: start[fold] * factors[fold] for fold in sums}
    found: Any = point.value(term, at)
    return float(found)


class Reverse:
    """One backward pass over the terms of a region."""

    def __init__(self, region: Region | None, terms: Terms) -> None:
        self.terms = terms
        self.zero = terms.number(0.0)
        self.saved: dict[Term, Array] = {}
        self.statistics: dict[Term, Array | None] = {}
        self.coefficients: dict[Term, Array] = {}
        if region is not None:
            self.region = region
            self.cotangents = tuple(
                Array(f"d{o.array}", o.array.axes, o.array.kind, (), "cotangent")
                for o in region.outputs
            )

    def run(self) -> Gradient:
        """The gradient of the region. Raises NoGradient."""
        adjoint: Cotangents = {}
        given = self._recovered()
        for output, array in zip(self.region.outputs, self.cotangents, strict=True):
            indices = tuple(map(self.terms.index, array.axes))
            self.add(adjoint, output.term, self.terms.load(array, indices))
        roots = [output.term for output in self.region.outputs]
        leaves: dict[Term, Term] = {}
        for term in reversed(self._order(roots)):
            found = self.total(adjoint.pop(term, None))
            if found is None or number_kind(term) != "real":
                continue
            if term.op == "load":
                leaves[term] = found
            elif term.op == "fold":
                if term.kind == "sum":
                    self.add(adjoint, term.args[0], found)
            elif term.op not in ("number", "size", "index"):
                self.through(adjoint, term, found)
        pieces = tuple(self._roots(leaves, given))
        made = tuple(array for array in self.statistics.values() if array is not None)
        made += tuple(self.coefficients.values())
        roots = [*(piece.term for piece in pieces), *(a.made for a in made if a.made is not None)]
        used = set(reads(*roots))
        outputs = tuple(
            Output(array, fold, self._columns(fold), fold)
            for fold, array in self.saved.items()
            if array in used
        )
        return Gradient(outputs, self.cotangents, made, pieces)

    def _order(self, roots: list[Term]) -> list[Term]:
        """Everything that a cotangent may reach, arguments first."""
        return list(subterms(*roots))

    def _columns(self, fold: Term) -> tuple[Axis, ...]:
        for output in self.region.outputs:
            if fold.axes & set(output.columns):
                return tuple(a for a in output.columns if a in fold.axes)
        return ()

    # ---- values of the forward pass --------------------------------------------------------------

    def _recovered(self) -> dict[Term, Term]:
        """The accumulators as reads of what was saved; a wide one from the result it became."""
        images: dict[Term, Term] = {}
        for fold in self.region.folds:
            axes = tuple(a for a in self._all_axes() if a in fold.axes)
            array = Array(f"saved_{len(images) + 1}", axes, STATISTIC, (), "saved")
            self.saved[fold] = array
            images[fold] = self.terms.load(array, tuple(map(self.terms.index, axes)))
        for output in self.region.outputs:
            scaled = self._scaled(output.term)
            if scaled is None:
                continue
            fold, factor = scaled[0], self.terms.replace(scaled[1], images)
            result = self.terms.load(output.array, tuple(map(self.terms.index, output.array.axes)))
            apply = self.terms.apply
            quotient = apply("div", result, factor)
            images[fold] = apply("select", apply("eq", factor, self.zero), self.zero, quotient)
        return images

    def _all_axes(self) -> tuple[Axis, ...]:
        columns = dict.fromkeys(a for o in self.region.outputs for a in o.columns)
        return (*self.region.batch, *self.region.rows, *columns)

    def _scaled(self, term: Term) -> tuple[Term, Term] | None:
        """The one accumulator that has all axes of a result, if that is it times a factor."""
        wide = [
            fold
            for fold in self.region.folds
            if fold.kind == "sum" and fold.axes == term.axes and self._is_wide(fold)
        ]
        if len(wide) != 1:
            return None
        factor = self._factor(term, wide[0])
        return (wide[0], factor) if factor is not None else None

    def _is_wide(self, fold: Term) -> bool:
        return any(axis in fold.axes for output in self.region.outputs for axis in output.columns)

    def _factor(self, term: Term, fold: Term) -> Term | None:
        """What a term multiplies an accumulator by; None if it is no multiple of it."""
        apply = self.terms.apply
        if term is fold:
            return self.terms.number(1.0)
        inside = [any(t is fold for t in subterms(arg)) for arg in term.args]
        match term.op:
            case "mul":
                if all(inside):
                    return None
                at = inside.index(True)
                factor = self._factor(term.args[at], fold)
                return apply("mul", factor, term.args[1 - at]) if factor else None
            case "div" if inside == [True, False]:
                factor = self._factor(term.args[0], fold)
                return apply("div", factor, term.args[1]) if factor else None
            case "neg":
                factor = self._factor(term.args[0], fold)
                return apply("neg", factor) if factor else None
            case "select" if not inside[0]:
                branches = [
                    self._factor(arg, fold) if has else (self.zero if is_number(arg, 0) else None)
                    for arg, has in zip(term.args[1:], inside[1:], strict=True)
                ]
                then, otherwise = branches
                if then is None or otherwise is None:
                    return None
                return apply("select", term.args[0], then, otherwise)
            case _:
                return None

    # ---- cotangents ------------------------------------------------------------------------------

    def add(self, adjoint: Cotangents, term: Term, found: Term) -> None:
        """Add to the cotangent of a term; it is to be summed over the axes that the term lacks."""
        extra = tuple(axis for axis in ordered(found) if axis not in term.axes)
        groups = adjoint.setdefault(term, {})
        axes, known = groups.get(frozenset(extra), (extra, None))
        total = found if known is None else self.terms.apply("add", known, found)
        groups[frozenset(extra)] = (axes, total)

    def total(
        self, groups: dict[frozenset[Axis], tuple[tuple[Axis, ...], Term]] | None
    ) -> Term | None:
        """The whole cotangent: one sum for each set of axes."""
        total: Term | None = None
        for axes, found in (groups or {}).values():
            summed = self._summed(axes, found)
            total = summed if total is None else self.terms.apply("add", total, summed)
        return total

    def _summed(self, axes: tuple[Axis, ...], found: Term) -> Term:
        """A sum; a choice of 0 that is the same all along it stands outside, with what follows."""
        if found.op == "select" and found.args[0].axes.isdisjoint(axes):
            condition, then, rest = found.args
            if is_number(then, 0) or is_number(rest, 0):
                made = (b if is_number(b, 0) else self._summed(axes, b) for b in (then, rest))
                return self.terms.apply("select", condition, *made)
        return self.terms.fold("sum", axes, found)

    def through(self, adjoint: Cotangents, term: Term, found: Term) -> None:
        """Hand the cotangent of an elementwise operation on to its arguments. Raises NoGradient."""
        for position, arg in enumerate(term.args):
            if number_kind(arg) != "real" or not self._varies(arg):
                continue
            factor = derivative(self.terms, term, position)
            if factor is None:
                raise NoGradient(f"{term.op} has no derivative here")
            if is_number(factor, 0):
                continue
            self.add(adjoint, arg, self._times(found, factor))

    def _varies(self, term: Term) -> bool:
        """Whether anything in a term has a gradient."""
        return any(t.op == "load" and number_kind(t) == "real" for t in subterms(term))

    def _times(self, found: Term, factor: Term) -> Term:
        """A product in which what is not chosen stays 0, whatever the other factor is."""
        apply = self.terms.apply
        if is_number(factor, 1):
            return found
        for first, second in ((factor, found), (found, factor)):
            if first.op == "select":
                condition, then, otherwise = first.args
                if is_number(otherwise, 0):
                    return apply("select", condition, self._times(second, then), self.zero)
                if is_number(then, 0):
                    return apply("select", condition, self.zero, self._times(second, otherwise))
        return apply("mul", found, factor)

    # ---- gradients of arrays ---------------------------------------------------------------------

    def read_along(self, leaf: Term) -> tuple[tuple[Axis, ...], Term | None]:
        """The axes that index an array, those of a composite one in its place.

        Where it is not read index by index they are its own, with the read.
        """
        found: list[Axis] = []
        for axis, arg in zip(leaf.data.axes, leaf.args, strict=True):
            own = ordered(arg)
            whole = own[0] if len(own) == 1 else Axis("", product(a.size for a in own), own)
            # Tiles of an axis may be longer than the axis.
            if not own or arg is not self.terms.index(whole) or whole.size != axis.size:
                return leaf.data.axes, leaf
            found += own
        is_diagonal = len(set(found)) != len(found)
        return (leaf.data.axes, leaf) if is_diagonal else (tuple(found), None)

    def _made(self, images: Mapping[Term, Term]) -> dict[Term, Term]:
        """Reads of the sums over the streamed axes that are made before, with their rows."""
        found: dict[Term, Term] = {}
        for fold, array in self.statistics.items():
            if array is None:
                term = spread(self.terms, self.terms.replace(fold, images))
                axes = tuple(a for a in self._all_axes() if a in fold.axes)
                count = sum(each is not None for each in self.statistics.values())
                array = Array(f"rows_{count + 1}", axes, STATISTIC, (), "made", term)
                self.statistics[fold] = array
            found[fold] = self.terms.load(array, tuple(map(self.terms.index, array.axes)))
        return found

    def _is_short(self, leaf: Term) -> bool:
        """Whether the gradient of an array is a plain sum of those of scores, over whole rows."""
        rows = self.region.rows
        is_whole = leaf.axes.isdisjoint((*rows, *self.region.stream))
        return is_whole or leaf.axes <= {*self.region.batch, *rows}

    def _is_score(self, leaf: Term) -> bool:
        """Whether the gradient of an array is that of scores themselves, which are products."""
        whole = frozenset((*self.region.rows, *self.region.stream))
        if not leaf.axes >= whole:
            return False
        bodies = (fold.args[0] for fold in self.region.folds)
        return any(t.kind == "sum" and t.axes >= whole for t in subterms(*bodies))

    def _roots(self, leaves: Mapping[Term, Term], images: Mapping[Term, Term]) -> list[Root]:
        """The parts of the gradients of arrays.

        Gradients of scores, and sums of them over whole rows, cancel: a statistic made of a rounded
        result is too coarse for them. Where there are such, all have a finer one.
        """
        if not any(self._is_short(leaf) or self._is_score(leaf) for leaf in leaves):
            return [self._root(leaf, found, images) for leaf, found in leaves.items()]
        streamed = frozenset(self.region.stream)
        others = frozenset((*self.region.batch, *self.region.rows))
        outer = frozenset(self._all_axes())
        given = frozenset(self.cotangents)
        rows = Scores(self.terms, self.region.stream, others, given, self.statistics)
        roots: list[Root] = []
        for leaf, found in leaves.items():
            is_short = self._is_short(leaf)
            for part in added(self.terms, found) if is_short else [found]:
                part = spread(self.terms, part)
                part = exchanged(self.terms, part, streamed, outer, self.statistics)
                made = [part]
                if is_short:
                    made = added(self.terms, centred(rows, inward(self.terms, part)))
                images = {**images, **self._made(images)}
                roots += [self._root(leaf, each, images) for each in made]
        return [replace(root, term=self._with_rows(root.term)) for root in roots]

    def _with_rows(self, term: Term) -> Term:
        """A gradient that reads what it has of each row as one array, which is made before."""
        rows = frozenset((*self.region.batch, *self.region.rows))
        made = {array for array in self.statistics.values() if array is not None}

        def is_row(now: Term) -> bool:
            if now.op == "load" or now is term or not now.axes <= rows:
                return False
            if number_kind(now) != "real":
                return False
            return not made.isdisjoint(reads(now))

        images: dict[Term, Term] = {}
        for found in outermost(term, is_row):
            array = self.coefficients.get(found)
            if array is None:
                name = f"row_{len(self.coefficients) + 1}"
                array = Array(name, ordered(found), STATISTIC, (), "made", found)
                self.coefficients[found] = array
            images[found] = self.terms.load(array, tuple(map(self.terms.index, array.axes)))
        return self.terms.replace(term, images)

    def _has_stream(self, term: Term) -> bool:
        """Whether a sum over all that is streamed is in a term, for whatever is outside of it."""
        streamed = frozenset(self.region.stream)
        return any(t.kind == "sum" and frozenset(t.bound) == streamed for t in subterms(term))

    def _root(self, leaf: Term, found: Term, images: Mapping[Term, Term]) -> Root:
        axes, read = self.read_along(leaf)
        streamed = frozenset(self.region.stream)
        term = spread(self.terms, self.terms.replace(found, images))
        rest: tuple[Axis, ...] = ()
        if read is not None:
            return Root(leaf.data, rest, axes, term, read)
        if term.op == "fold" and not leaf.axes & streamed:
            others = tuple(a for a in term.bound if a not in streamed)
            if others and streamed <= frozenset(term.bound):
                inner = tuple(a for a in term.bound if a in streamed)
                term = outward(self.terms, self.terms.fold("sum", inner, term.args[0]))
                rest = others
            elif streamed.isdisjoint(term.bound) and self._has_stream(term.args[0]):
                # It is made for each row, beside the other gradients of rows, and added up.
                term, rest = term.args[0], term.bound
        return Root(leaf.data, rest, axes, term)
