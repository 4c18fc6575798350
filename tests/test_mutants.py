"""One planted mistake gives one error, where it was planted: a sample of all kinds of mistakes in
the examples and the library, a larger one with `NCDLANG_FULL`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from mutants import KINDS, Mutant, mutants

from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.source import Source, Span

ROOT = Path(__file__).parent.parent
FILES = [*(ROOT / "examples").glob("*.ncd"), *(ROOT / "stdlib").rglob("*.ncd")]
# The prelude is what every other file is read with.
TEXTS = {p.name: p.read_text(encoding="utf-8") for p in sorted(FILES) if p.name != "prelude.ncd"}
FULL = bool(os.environ.get("NCDLANG_FULL"))


def found_in(mutant: Mutant) -> tuple[Diagnostic, ...]:
    source = Source(mutant.file, mutant.text)
    return check_source(source, Project((ROOT / "examples",)).find)[1]


def is_at(span: Span, mutant: Mutant) -> bool:
    last = span.source.line_of(max(span.end - 1, span.start))
    return span.file == mutant.file and any(span.line <= n <= last for n in mutant.lines)


def outcome(mutant: Mutant) -> str:
    found = found_in(mutant)
    if not found:
        return "no mistake"
    if len(found) > 1:
        return "several errors"
    if is_at(found[0].span, mutant):
        return "one error at its place"
    if any(is_at(label.span, mutant) for label in found[0].labels):
        return "one error with a label at its place"
    return "one error elsewhere"


def test_one_mistake_is_one_error_where_it_was_made() -> None:
    each, seeds = (40, 5) if FULL else (3, 1)
    counts: Counter[str] = Counter()
    misplaced: list[str] = []
    for seed in range(seeds):
        for mutant in mutants(TEXTS, each, seed):
            result = outcome(mutant)
            counts[result] += 1
            if result not in ("no mistake", "one error at its place"):
                misplaced.append(f"{result}: {mutant}")
    mistakes = counts.total() - counts["no mistake"]
    assert mistakes > 0.5 * counts.total()
    assert counts["several errors"] <= 0.03 * mistakes, misplaced
    right = counts["one error at its place"]
    assert right >= 0.92 * mistakes, misplaced
    labelled = counts["one error with a label at its place"]
    assert right + labelled >= 0.95 * mistakes, misplaced


def test_every_kind_of_mistake_can_be_planted() -> None:
    planted = {mutant.kind for mutant in mutants(TEXTS, 1, 0)}
    assert planted == set(KINDS)


def test_the_unchanged_files_have_no_mistakes() -> None:
    for name, text in TEXTS.items():
        assert not check_source(Source(name, text), Project((ROOT / "examples",)).find)[1]
