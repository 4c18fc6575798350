"""Pieces of terms: what lies round some folds, and whether they carry a term."""

from __future__ import annotations

from collections.abc import Callable

from ncdlang.analysis.terms import Term, number_kind, outermost, subterms
from ncdlang.semantics.types import Axis


def pieces_round(
    whole: Term, folds: list[Term], allowed: Callable[[Term], bool] | None = None
) -> set[Term]:
    """The largest subterms round some folds that have no axes beyond those of a fold in them."""
    wanted = set(folds)
    inside: dict[Term, list[Term]] = {}
    for term in subterms(whole):
        own = [term] if term in wanted else []
        inside[term] = list(dict.fromkeys(f for arg in term.args for f in inside[arg])) + own

    def is_piece(term: Term) -> bool:
        if term in wanted:
            return True
        if number_kind(term) == "boolean" or term.op == "fold":
            return False
        fits = any(term.axes == fold.axes for fold in inside[term])
        return fits and (allowed is None or allowed(term))

    return {piece for piece in outermost(whole, is_piece) if inside[piece]}


def outer_folds(term: Term, streamed: frozenset[Axis]) -> list[Term]:
    """The folds over the streamed axes that stand in no other one."""
    return outermost(term, lambda t: t.op == "fold" and frozenset(t.bound) == streamed)


def has_fold(term: Term, streamed: frozenset[Axis]) -> bool:
    """Whether a term has folds over the streamed axes."""
    return any(t.op == "fold" and frozenset(t.bound) == streamed for t in subterms(term))


def covers(term: Term, streamed: frozenset[Axis]) -> bool:
    """Whether the folds over the streamed axes have all the axes of the term."""
    carried = frozenset[Axis]().union(*(f.axes for f in outer_folds(term, streamed)))
    return term.axes <= carried
