"""Sums of a region that differ only in factors which do not vary along its stream are one sum.

Gradients of nested norms are such: each is what comes in times a weight, times other statistics of
the row. The factors stand outside, by the linearity of sums, and one accumulator is enough.
"""

from __future__ import annotations

from ncdlang.analysis.steps import Region, Step
from ncdlang.analysis.terms import (
    Term,
    is_fold,
    moving_and_still,
    number_kind,
    subterms,
    times,
)
from ncdlang.records import replace

Group = tuple[tuple[Term, ...], Term | None]


def with_common_sums(step: Step) -> Step:
    """A region that sums up each product once, any other step as it is."""
    if not isinstance(step, Region):
        return step
    terms, growth = step.terms, dict(step.growth)
    groups: dict[Group, list[Term]] = {}
    for fold in step.folds:
        moving, still = moving_and_still(terms, fold)
        # A running extremum corrects what is inside, so a factor of it stays there.
        if fold.kind != "sum" or number_kind(fold) != "real" or any(map(is_fold, subterms(*still))):
            continue
        group = tuple(sorted(moving, key=terms.rank)), growth.get(fold)
        groups.setdefault(group, []).append(fold)
    images: dict[Term, Term] = {}
    for (_, factor), folds in groups.items():
        if len(folds) < 2:
            continue
        first = folds[0]
        shared = terms.fold("sum", first.bound, times(terms, moving_and_still(terms, first)[0]))
        terms.keep_name(shared, first)
        if factor is not None:
            growth[shared] = factor
        for fold in folds:
            images[fold] = times(terms, (*moving_and_still(terms, fold)[1], shared))
    if not images:
        return step
    outputs = tuple(replace(o, term=terms.replace(o.term, images)) for o in step.outputs)
    every = subterms(*(output.term for output in outputs))
    own = frozenset(step.stream)
    folds = tuple(t for t in every if t.op == "fold" and frozenset(t.bound) == own)
    kept = {fold: growth[fold] for fold in folds if fold in growth}
    return replace(step, outputs=outputs, folds=folds, growth=kept)
