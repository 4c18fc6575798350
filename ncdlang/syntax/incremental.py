"""Parses a text again after a change: declarations that stayed the same are not parsed again.

A text is cut where a line starts with the keyword of a declaration. A piece that parses alone
without any finding stands in the whole text as it stands alone: it begins and ends outside of all
brackets and between two declarations, and that is all that the parser knows there. A piece with a
mistake is parsed together with what comes after it, until two pieces in a row are as they are
alone.
"""

from __future__ import annotations

import itertools
import re

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import record
from ncdlang.source import Source, Span
from ncdlang.syntax import tree
from ncdlang.syntax.moving import moved, moved_finding, moved_span
from ncdlang.syntax.parser import MOST_DIAGNOSTICS, Parsed, parse

_START = re.compile(r"^(?:##[^\n]*\n)*(?:use|axis|const|config|op|diagram|assert)\b", re.MULTILINE)
_SETTLED = 2
"""How many pieces as they are alone show that the parser has got over a mistake."""

_ROUNDS_KEPT = 8
"""For how many texts a piece is kept that they do not have."""


@record(eq=False)
class _Piece:
    """A part of a text that was parsed alone, its places counted from its start."""

    length: int
    parsed: Parsed

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found wrong with it."""
        return not (self.parsed.diagnostics or self.parsed.broken)


class Parser:
    """Parses the texts of one file, one after the other."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[_Piece, int]] = {}
        self._round = 0

    def parse(self, source: Source) -> Parsed:
        """What `parse` gives for the text."""
        text = source.text
        cuts = [0, *(match.start() for match in _START.finditer(text) if match.start()), len(text)]
        self._round += 1
        pieces = [self._piece(source.name, text[a:b]) for a, b in itertools.pairwise(cuts)]
        if not all(piece.is_clean for piece in pieces) and any(
            piece.parsed.has_odd_brace for piece in pieces
        ):
            return parse(source)  # which `}` is missing is then told by what stands far away
        whole = _Whole(source)
        index = 0
        while index < len(pieces):
            count = 1
            piece = pieces[index]
            if not piece.is_clean:
                count, piece = self._settled(source, cuts, pieces, index)
            whole.add(piece.parsed, cuts[index])
            index += count
        self._forget()
        return whole.parsed()

    def _piece(self, name: str, text: str) -> _Piece:
        known = self._kept.get(text)
        piece = known[0] if known is not None else _Piece(len(text), parse(Source(name, text)))
        self._kept[text] = piece, self._round
        return piece

    def _settled(
        self, source: Source, cuts: list[int], pieces: list[_Piece], first: int
    ) -> tuple[int, _Piece]:
        """How many pieces have to be parsed together from one with a mistake on; their parse."""
        count = 1
        while True:
            end = first + count
            while end < len(pieces) and not all(p.is_clean for p in pieces[end : end + _SETTLED]):
                end += 1
            end = min(end + _SETTLED, len(pieces))
            joined = self._piece(source.name, source.text[cuts[first] : cuts[end]])
            if end == len(pieces) or _ends_with(joined.parsed, pieces[end - _SETTLED : end]):
                return end - first, joined
            count = 2 * (end - first)

    def _forget(self) -> None:
        oldest = self._round - _ROUNDS_KEPT
        self._kept = {text: kept for text, kept in self._kept.items() if kept[1] > oldest}


def _ends_with(joined: Parsed, last: list[_Piece]) -> bool:
    """Whether the last pieces of a text were parsed as they are alone."""
    start = joined.file.span.end - sum(piece.length for piece in last)
    places = [span for found in joined.diagnostics for span in _places(found)]
    if any(span.end > start for span in (*places, *joined.broken)):
        return False
    alone = [declared for piece in last for declared in piece.parsed.file.declarations]
    parsed = [declared for declared in joined.file.declarations if declared.span.start >= start]
    return parsed == alone


def _places(found: Diagnostic) -> list[Span]:
    edits = found.fix.edits if found.fix is not None else ()
    return [found.span, *(label.span for label in found.labels), *(span for span, _ in edits)]


class _Whole:
    """Puts the parses of parts together."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._declarations: list[tree.Declared] = []
        self._comments: list[Span] = []
        self._diagnostics: list[Diagnostic] = []
        self._broken: list[Span] = []
        self._lost: frozenset[str] = frozenset()

    def add(self, part: Parsed, start: int) -> None:
        """Add what was parsed of the text from `start` on."""
        source = self._source
        self._declarations += [moved(each, source, start) for each in part.file.declarations]
        self._comments += [moved_span(span, source, start) for span in part.file.comments]
        self._diagnostics += [moved_finding(each, source, start) for each in part.diagnostics]
        self._broken += [moved_span(span, source, start) for span in part.broken]
        self._lost |= part.lost

    def parsed(self) -> Parsed:
        """The parse of the whole text."""
        source = self._source
        span = Span(source, 0, len(source.text))
        file = tree.File(tuple(self._declarations), tuple(self._comments), span)
        found = tuple(self._diagnostics[:MOST_DIAGNOSTICS])
        return Parsed(file, found, tuple(self._broken), self._lost)
