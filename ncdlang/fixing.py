"""Applying the fixes that findings carry: each change is checked before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import record
from ncdlang.source import Source, Span

Check = Callable[[Source], tuple[Diagnostic, ...]]
Edit = tuple[Span, str]

MAX_ROUNDS = 10
MAX_CHECKS = 16
MAX_AT_ONCE = 50
_SYNTAX = "NCD1"


@record
class Fixed:
    """A source after its fixes: `applied` are the findings that are gone, `left` the others."""

    source: Source
    applied: tuple[Diagnostic, ...]
    left: tuple[Diagnostic, ...]


def fix_source(source: Source, check: Check, *, unsafe: bool = False) -> Fixed:
    """Apply the fixes of a source until none is left that helps.

    `check` gives the findings of a text. A fix counts only if its finding is gone afterwards, there
    are no more errors than before, and no more that keep the text from being parsed. Fixes with
    edits in other files are left alone, and those that are not safe unless `unsafe` is set. Each
    file is checked at most some 16 times, half as often with over 50 findings: a text of many fixes
    that do not work keeps some.
    """
    return _Fixer(source, check, unsafe).run()


def edited(source: Source, edits: Iterable[Edit]) -> str:
    """The text of a source after edits that do not overlap, its line ends kept in style."""
    line_end = "\r\n" if "\r\n" in source.text else "\n"
    parts: list[str] = []
    position = 0
    for span, text in sorted(edits, key=lambda edit: (edit[0].start, edit[0].end)):
        parts += (source.text[position : span.start], text.replace("\n", line_end))
        position = span.end
    return "".join([*parts, source.text[position:]])


def is_fixable(found: Diagnostic, source: Source, *, unsafe: bool = False) -> bool:
    """Whether a finding carries a fix for this source and no other."""
    fix = found.fix
    return (
        fix is not None
        and (fix.safe or unsafe)
        and all(span.source is source for span, _ in fix.edits)
    )


def still_has(changed: Source, fixed: Diagnostic, found: Iterable[Diagnostic]) -> bool:
    """Whether a finding is still among those of the text that its fix made."""
    return _stays(fixed, _edits(fixed), found, changed)


class _Fixer:
    def __init__(self, source: Source, check: Check, unsafe: bool) -> None:
        self.source = source
        self.unsafe = unsafe
        self.found = check(source)
        self._check = check
        is_wreck = len(self.found) > MAX_AT_ONCE
        self._checks = MAX_CHECKS // 2 if is_wreck else MAX_CHECKS
        self._applied: list[Diagnostic] = []
        self._refused: set[tuple[str, str, int]] = set()
        self._seen = {source.text}

    def run(self) -> Fixed:
        for _ in range(MAX_ROUNDS):
            chosen = self._chosen()
            if not chosen or not self._round(chosen):
                break
        return Fixed(self.source, tuple(self._applied), self.found)

    def _chosen(self) -> list[Diagnostic]:
        """The findings whose fixes may be tried together, in the order of their places."""
        chosen: list[Diagnostic] = []
        taken: list[Span] = []
        for found in self.found:
            if not is_fixable(found, self.source, unsafe=self.unsafe) or self._key(found) in (
                self._refused
            ):
                continue
            spans = [span for span, _ in _edits(found)]
            if not any(_touch(a, b) for a in spans for b in taken):
                chosen.append(found)
                taken += spans
                if len(chosen) == MAX_AT_ONCE:
                    break
        return chosen

    @staticmethod
    def _key(found: Diagnostic) -> tuple[str, str, int]:
        return found.code, found.message, found.span.start

    def _round(self, chosen: list[Diagnostic]) -> bool:
        """Apply as many of the fixes as hold together; whether there were any."""
        self._kept: list[Diagnostic] = []
        self._result = self.source, self.found
        self._search(chosen)
        if not self._kept:
            return False
        edits = [edit for kept in self._kept for edit in _edits(kept)]
        self._refused = {(c, m, _moved(at, edits, False)) for c, m, at in self._refused}
        self._applied += self._kept
        self.source, self.found = self._result
        if self.source.text in self._seen:
            return False
        self._seen.add(self.source.text)
        return True

    def _search(self, more: list[Diagnostic]) -> None:
        """Add all of `more` to what is kept, or the parts of it that hold."""
        if self._checks == 0:
            return
        if self._holds(more):
            return
        if len(more) == 1:
            self._refused.add(self._key(more[0]))
            return
        middle = len(more) // 2
        self._search(more[:middle])
        self._search(more[middle:])

    def _holds(self, more: list[Diagnostic]) -> bool:
        self._checks -= 1
        kept = [*self._kept, *more]
        edits = [edit for found in kept for edit in _edits(found)]
        changed = Source(self.source.name, edited(self.source, edits))
        found = self._check(changed)
        before = self._result[1]
        if _errors(found) > _errors(before) or _errors(found, _SYNTAX) > _errors(before, _SYNTAX):
            return False
        if any(_stays(one, edits, found, changed) for one in more):
            return False
        self._kept, self._result = kept, (changed, found)
        return True


def _edits(found: Diagnostic) -> Sequence[Edit]:
    return found.fix.edits if found.fix is not None else ()


def _touch(a: Span, b: Span) -> bool:
    """Whether two edits can't be made together: they overlap, or one adds text at the other."""
    if a.start == a.end or b.start == b.end:
        return a.start <= b.end and b.start <= a.end
    return a.start < b.end and b.start < a.end


def _errors(found: Iterable[Diagnostic], prefix: str = "") -> int:
    return sum(d.severity == "error" and d.code.startswith(prefix) for d in found)


def _moved(offset: int, edits: Iterable[Edit], after: bool) -> int:
    """Where an offset comes to lie; `after` is whether text that is added there comes before it."""
    shift = 0
    for span, text in edits:
        if span.end < offset or (span.end == offset and (after or span.start < offset)):
            shift += len(text) - (span.end - span.start)
        elif span.start < offset:
            shift += min(len(text), offset - span.start) - (offset - span.start)
    return offset + shift


def _stays(
    fixed: Diagnostic, edits: Sequence[Edit], found: Iterable[Diagnostic], changed: Source
) -> bool:
    """Whether the finding is still there after the edits."""
    start, end = _moved(fixed.span.start, edits, False), _moved(fixed.span.end, edits, True)
    place = Span(changed, start, end)
    return any(
        other.code == fixed.code
        and other.message == fixed.message
        and other.span.source is changed
        and _touch(other.span, place)
        for other in found
    )
