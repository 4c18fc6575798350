"""Cuts the streamed axis of a region into parts that run apart, and merges what they found.

A part is the region over some of the tiles of the streamed axis: it gives its accumulators as they
are. The accumulators of the whole are folds of them over the parts. Before a sum is taken each part
of it is multiplied by g(m) / g(m of the part), the correction of the accumulators once more (arXiv
2412.03317, section 2.4), here as a term. So the merge is a diagram as any other, and streams along
the parts by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.recurrences import STATISTIC
from ncdlang.analysis.steps import Output, Region
from ncdlang.analysis.terms import Array, Term, Terms, is_number, subterms
from ncdlang.records import record
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis

PARTS = Symbol("parts", -1)
# A part has as many tiles of the streamed axis at least: its state has to be written and merged.
LEAST_TILES = 4
UNSEEN = {"max": ("gt", float("-inf")), "min": ("lt", float("inf"))}


@record(eq=False)
class Split:
    """A region in parts: `partial` makes the accumulators of each index of `part`.

    `results` are the results of the region, as terms of those accumulators.
    """

    part: Axis
    partial: Region
    results: tuple[tuple[str, tuple[Axis, ...], Term], ...]


def split(region: Region) -> Split:
    """The region with its streamed axis in parts, whose number is the size `PARTS`."""
    terms = region.terms
    part = Axis("part", Size.of(PARTS))
    columns = {a: o.columns for o in region.outputs for a in o.columns}
    order = (*region.batch, *region.rows, *dict.fromkeys(columns))
    outputs: list[Output] = []
    states: dict[Term, Term] = {}
    for position, fold in enumerate(region.folds):
        axes = tuple(axis for axis in order if axis in fold.axes)
        own = next((columns[axis] for axis in axes if axis in columns), ())
        array = Array(f"part_{position + 1}", (part, *axes), STATISTIC, (), "made", fold)
        outputs.append(Output(array, fold, own, fold))
        states[fold] = terms.load(array, tuple(map(terms.index, array.axes)))
    partial = Region(
        terms,
        (part, *region.batch),
        region.rows,
        region.stream,
        tuple(outputs),
        region.folds,
        region.growth,
    )
    merged = _merged(region, part, states)
    results = tuple(
        (o.array.name, o.array.axes, terms.replace(o.term, merged)) for o in region.outputs
    )
    return Split(part, partial, results)


def _merged(region: Region, part: Axis, states: Mapping[Term, Term]) -> dict[Term, Term]:
    """The accumulators of the whole by those of the parts."""
    terms, found = region.terms, dict[Term, Term]()
    for fold in region.folds:
        if fold.kind != "sum":
            found[fold] = terms.fold(fold.kind, (part,), states[fold])
    extrema = dict(found)
    for fold in region.folds:
        if fold.kind != "sum":
            continue
        state, growth = states[fold], region.growth.get(fold)
        correction = growth and ratio(terms, growth, extrema, states)
        if growth is not None and correction is not None:
            seen = _seen(terms, growth, states)
            factor = terms.apply("select", seen, correction, terms.number(0.0))
            state = terms.apply("mul", factor, state)
        found[fold] = terms.fold("sum", (part,), state)
    for fold, made in found.items():
        terms.keep_name(made, fold)
    return found


def _seen(terms: Terms, growth: Term, states: Mapping[Term, Term]) -> Term:
    """Whether a part has seen anything: its sums are 0 where it has not."""
    total = terms.number(True)
    for fold in subterms(growth):
        if fold in states and fold.kind in UNSEEN:
            comparison, nothing = UNSEEN[fold.kind]
            seen = terms.apply(comparison, states[fold], terms.number(nothing))
            total = terms.apply("and", total, seen)
    return total


def ratio(
    terms: Terms, growth: Term, new: Mapping[Term, Term], old: Mapping[Term, Term]
) -> Term | None:
    """The quotient of a term at the `new` and the `old` extrema, in a stable form.

    None where no extremum is in it. Exponentials are not divided: their exponents are subtracted.
    """
    if not any(term in new for term in subterms(growth)):
        return None
    apply, args = terms.apply, growth.args
    match growth.op:
        case "mul" | "div":
            left, right = (ratio(terms, arg, new, old) for arg in args)
            if left is None or right is None:
                alone = left or right
                assert alone is not None
                one = terms.number(1.0)
                return alone if left or growth.op == "mul" else apply("div", one, alone)
            return apply(growth.op, left, right)
        case "neg" | "real" | "cast":
            return ratio(terms, args[0], new, old)
        case "pow" if is_number(args[1]):
            base = ratio(terms, args[0], new, old)
            assert base is not None
            return apply("pow", base, args[1])
        case "exp":
            after, before = (terms.replace(args[0], images) for images in (new, old))
            return apply("exp", apply("sub", after, before))
        case _:
            after, before = (terms.replace(growth, images) for images in (new, old))
            return apply("div", after, before)
