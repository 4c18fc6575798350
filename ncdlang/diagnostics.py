"""Diagnostics are data: what went wrong, where, why, and how to mend it. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from ncdlang.records import record
from ncdlang.source import Span

Severity = Literal["error", "warning"]


@record
class Label:
    """A further place that a diagnostic speaks of, with a few words on it."""

    span: Span
    text: str


@record
class Fix:
    """A change of the text that mends the mistake.

    `edits` are pairs of a span and its replacement; they do not overlap. A fix is `safe` when it
    is what was meant as far as can be told; another is one of several ways out, and is applied
    only when asked for.
    """

    title: str
    edits: tuple[tuple[Span, str], ...]
    safe: bool = True


@record
class Diagnostic:
    """One finding. `label` is the text under the primary span."""

    code: str
    message: str
    span: Span
    label: str = ""
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    fix: Fix | None = None
    severity: Severity = "error"


class Sink:
    """Collects diagnostics in the order of their places, each finding once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Span, str, str], Diagnostic] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic unless the same one, at the same place, is there already."""
        key = (diagnostic.span, diagnostic.code, diagnostic.message)
        self._found.setdefault(key, diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Add several diagnostics."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(
            sorted(self._found.values(), key=lambda d: (d.span.file, d.span.start, d.span.end))
        )

    @property
    def has_errors(self) -> bool:
        """Whether an error, not only warnings, was found."""
        return any(d.severity == "error" for d in self._found.values())
