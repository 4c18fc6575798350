"""Folds along the axes of a result, where they bind other axes over the same entries.

In `P = softmax[x](S)` and `Y[q z] = P[q z]` sums run over x and the result has z: what a bound axis
is called means nothing, so it becomes that of the result.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.analysis.terms import Term, Terms, is_fold, outermost, subterms
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]


def aligned(terms: Terms, term: Term) -> Term:
    """The term with the axes of its folds as those at which the result reads the same arrays."""
    found: dict[Axes, dict[Axis, Axis]] = {}
    outside = [t for t in outermost(term, lambda t: is_fold(t) or t.op == "load") if not is_fold(t)]
    for fold in outermost(term, is_fold):
        bound = frozenset(fold.bound)
        if bound <= term.axes or bound in found:
            continue
        images = _images(fold, outside, term.axes - fold.axes)
        if images.keys() == bound and len(set(images.values())) == len(images):
            found[bound] = images
    return _renamed(terms, term, found) if found else term


def _images(fold: Term, outside: list[Term], free: Axes) -> dict[Axis, Axis]:
    """For the axes that a fold binds those of the result at which it reads the same."""
    images: dict[Axis, Axis] = {}
    for load in (t for t in subterms(fold.args[0]) if t.op == "load"):
        for other in (t for t in outside if t.data is load.data):
            for mine, theirs in zip(load.args, other.args, strict=True):
                for axis, image in _pairs(mine, theirs):
                    if axis in fold.bound and image in free and axis.size == image.size:
                        images.setdefault(axis, image)
    return images


def _pairs(mine: Term, theirs: Term) -> Iterator[tuple[Axis, Axis]]:
    """The axes that stand at the same places of two coordinates."""
    if mine.op != theirs.op or len(mine.args) != len(theirs.args):
        return
    if mine.op == "index":
        yield mine.data, theirs.data
    for first, second in zip(mine.args, theirs.args, strict=True):
        yield from _pairs(first, second)


def _renamed(terms: Terms, term: Term, found: dict[Axes, dict[Axis, Axis]]) -> Term:
    def image(now: Term) -> Term | None:
        images = found.get(frozenset(now.bound)) if now.op == "fold" else None
        if images is None:
            return None
        body = terms.map(now.args[0], image)
        if not body.axes.isdisjoint(new for new in images.values() if new not in images):
            return None
        body = terms.substitute(body, {axis: terms.index(new) for axis, new in images.items()})
        made = terms.fold(now.kind, tuple(images[axis] for axis in now.bound), body)
        terms.keep_name(made, now)
        if now in terms.spans:
            terms.spans.setdefault(made, terms.spans[now])
        return made

    return terms.map(term, image)
