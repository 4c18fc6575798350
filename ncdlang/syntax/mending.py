"""Fixes of syntax errors are tried on their lines before they are offered.

Where a bracket is missing, or one is too many, it can often be put in several places. The first
place that makes the lines readable is offered; if there are more, the fix is not safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.records import replace
from ncdlang.source import Source, Span

_TRIED = ("NCD1002", "NCD1005", "NCD1008", "NCD1010", "NCD1011", "NCD1024", "NCD1031", "NCD1032")
_MOST_FINDINGS = 20
_MOST_CANDIDATES = 40
_LONGEST = 400
_TOKEN = re.compile(r"\w+'*|[^\w\s]")
_FILE_LEVEL = re.compile(r"\s*(?:diagram|use|config|op|const)\b")
_OPENER = {")": "(", "]": "["}
_CLOSER = {"(": ")", "[": "]"}


def with_tried_fixes(found: list[Diagnostic]) -> list[Diagnostic]:
    """The findings, with fixes that help."""
    tried = 0
    made: list[Diagnostic] = []
    for one in found:
        if one.code in _TRIED and one.fix is not None and tried < _MOST_FINDINGS:
            tried += 1
            one = replace(one, fix=_helpful(one, one.fix))
        made.append(one)
    return made


def _helpful(found: Diagnostic, fix: Fix) -> Fix | None:
    """The fix, another in its place, or None if none makes the lines readable."""
    lines = _Lines(found, fix)
    if lines.is_long:
        return fix
    candidates = list(dict.fromkeys([fix, *_others(found, fix, lines)]))[:_MOST_CANDIDATES]
    good = [candidate for candidate in candidates if lines.improve(candidate)]
    if not good or (found.code == "NCD1024" and len(good) > 1):
        return None
    return replace(good[0], safe=good[0].safe and len(good) == 1)


def _others(found: Diagnostic, fix: Fix, lines: _Lines) -> Iterator[Fix]:
    text = found.span.text
    match found.code:
        case "NCD1011" if text in _OPENER:
            yield from lines.without(text, found.span.start)
            yield from lines.inserted(_OPENER[text], lines.start, found.span.start)
        case "NCD1010" if text in _CLOSER:
            yield from lines.inserted(_CLOSER[text], found.span.end, lines.end)
        case "NCD1024" if fix.edits[0][1] == ",":
            yield _insertion(fix.edits[0][0], " *")
        case "NCD1031":
            yield _insertion(fix.edits[0][0], ",")
        case _:
            return


def _insertion(place: Span, text: str) -> Fix:
    return Fix(f"add `{text.strip()}`", ((place, text),))


class _Lines:
    """The lines that a finding and its fix are on."""

    def __init__(self, found: Diagnostic, fix: Fix) -> None:
        spans = [found.span, *(span for span, _ in fix.edits)]
        self.source = found.span.source
        text = self.source.text
        self.start = text.rfind("\n", 0, min(span.start for span in spans)) + 1
        end = text.find("\n", max(span.end for span in spans))
        self.end = end if end >= 0 else len(text)
        self.is_long = self.end - self.start > _LONGEST
        self._errors = 0 if self.is_long else self._count(text[self.start : self.end])

    def improve(self, fix: Fix) -> bool:
        """Whether there are fewer errors on the lines after the fix."""
        text, position = "", self.start
        for span, new in sorted(fix.edits, key=lambda edit: edit[0].start):
            text += self.source.text[position : span.start] + new
            position = span.end
        return self._count(text + self.source.text[position : self.end]) < self._errors

    def without(self, bracket: str, end: int) -> Iterator[Fix]:
        """Fixes that remove a bracket from the lines before `end`, the last one first."""
        for place in range(end - 1, self.start - 1, -1):
            if self.source.text[place] == bracket:
                yield Fix("remove it", ((Span(self.source, place, place + 1), ""),))

    def inserted(self, bracket: str, start: int, end: int) -> Iterator[Fix]:
        """Fixes that put a bracket next to a token."""
        for token in _TOKEN.finditer(self.source.text, start, end):
            place = token.end() if bracket in _OPENER else token.start()
            before = self.source.text[max(place - 1, 0) : place]
            if bracket in _CLOSER and not before.strip():
                continue
            yield _insertion(Span(self.source, place, place), bracket)

    @staticmethod
    def _count(text: str) -> int:
        """The number of syntax errors in lines of a file, or of a diagram."""
        from ncdlang.syntax.language import language
        from ncdlang.syntax.parser import run_parser

        if not _FILE_LEVEL.match(text):
            text = f"diagram f() -> [] {{\n{text}"
        text += "\n" + "}" * (text.count("{") - text.count("}"))
        return len(run_parser(Source("", text), language())[0].tokens.findings)
