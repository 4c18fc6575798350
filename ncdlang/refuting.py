"""Asserted symmetries that are not proved: the judge looks for numbers that refute them."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.diagnostics import Diagnostic, Label
from ncdlang.records import replace
from ncdlang.semantics.program import Claim
from ncdlang.targets import TargetError, backend

_UNDECIDED = "no counterexample is known: it may hold, but nothing proves it"


def with_counterexamples(
    diagnostics: Sequence[Diagnostic], claims: Sequence[Claim]
) -> tuple[Diagnostic, ...]:
    """The diagnostics, those about symmetries with a counterexample, or a word that none is known.

    They stay as they are where the reference backend is not installed.
    """
    if not claims:
        return tuple(diagnostics)
    try:
        judge = backend("reference")
    except (TargetError, ImportError):
        return tuple(diagnostics)
    found = {claim.span: (claim, judge.counterexample(claim)) for claim in claims}
    return tuple(_told(each, *found.get(each.span, (None, None))) for each in diagnostics)


def _told(diagnostic: Diagnostic, claim: Claim | None, numbers: str | None) -> Diagnostic:
    from ncdlang.semantics.proofs import STOPS, refuted

    if claim is None or diagnostic.code != "NCD3010":
        return diagnostic
    if numbers is None:
        return replace(diagnostic, notes=(*diagnostic.notes, _UNDECIDED))
    notes = (*diagnostic.notes, numbers)
    labels = tuple(
        Label(label.span, "this breaks it") if label.text == STOPS else label
        for label in diagnostic.labels
    )
    return replace(diagnostic, message=refuted(claim), labels=labels, notes=notes)
