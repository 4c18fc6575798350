"""From text to the surface tree."""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import record
from ncdlang.source import Source, Span
from ncdlang.syntax import tree
from ncdlang.syntax.language import Language, language
from ncdlang.syntax.layout import arrange
from ncdlang.syntax.lexer import Tokens, scan
from ncdlang.syntax.run import Run

if TYPE_CHECKING:
    from ncdlang.syntax.recovery import Recovery

MOST_DIAGNOSTICS = 100
"""How many errors of one text are worth reporting."""


@record
class Parsed:
    """The tree of everything that parsed, and what was wrong with the rest.

    `broken` are the regions whose statements are missing from the tree or were guessed, and
    `lost` the names that occur there: a later pass should not report that they are unknown.
    `has_odd_brace` says that a `}` may not be meant for what it closes.
    """

    file: tree.File
    diagnostics: tuple[Diagnostic, ...]
    broken: tuple[Span, ...] = ()
    lost: frozenset[str] = frozenset()
    has_odd_brace: bool = False


def parse(source: Source) -> Parsed:
    """Parse a whole file. Never raises: what can't be parsed is reported and left out."""
    made = language()
    run, _ = run_parser(source, made)
    tokens = run.tokens
    found = sorted(tokens.findings, key=lambda finding: finding.span.start)[:MOST_DIAGNOSTICS]
    if found:
        from ncdlang.syntax.mending import with_tried_fixes

        found = with_tried_fixes(found)
    broken = _merged(tokens.broken)
    lost = _names_in(tokens, broken, made.lexicon.names["NAME"])
    return Parsed(run.file(), tuple(found), broken, lost, tokens.has_odd_brace)


@lru_cache(maxsize=64)
def parse_library(source: Source) -> Parsed:
    """Parse a file of the standard library; each once in a process."""
    return parse(source)


def run_parser(source: Source, made: Language) -> tuple[Run, Recovery | None]:
    """Parse with a given language; also what had to be recovered from, if anything."""
    tokens = arrange(scan(source, made.lexicon), made.kinds)
    run = Run(made, tokens)
    recovery: Recovery | None = None
    index = run.drive(0)
    while index >= 0:
        if recovery is None:
            from ncdlang.syntax.recovery import Recovery  # most texts have no errors

            recovery = Recovery(run)
        index = run.drive(recovery.recover(index))
    return run, recovery


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """Disjoint spans that cover the same text."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if merged and span.start <= merged[-1].end:
            merged[-1] = merged[-1].to(span)
        else:
            merged.append(span)
    return tuple(merged)


def _names_in(tokens: Tokens, spans: tuple[Span, ...], name: int) -> frozenset[str]:
    names: set[str] = set()
    for span in spans:
        first = bisect_left(tokens.starts, span.start)
        for index in range(first, bisect_left(tokens.starts, span.end)):
            if tokens.kinds[index] == name:
                names.add(tokens.renamed.get(tokens.starts[index], tokens.text(index)))
    return frozenset(names)
