"""Lays pieces out in lines of at most 100 columns.

A piece that fits is written on one line unless the author spread it. One that does not fit ends
its lines at its loosest operators first, and a list puts each entry on a line of its own. What an
author spread stays spread in the same places, so a text that was laid out once stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ncdlang.syntax.lines import INDENT, Line, Page, paddings
from ncdlang.syntax.pieces import (
    Assign,
    Body,
    Bracket,
    Chain,
    Gap,
    Headed,
    Items,
    Link,
    Piece,
    Row,
    Word,
)

WIDTH = 100

_BLANKS_IN_FILE = 2
_BLANKS_IN_BODY = 1


def wrap(declarations: Sequence[Piece], end: Gap) -> list[Line]:
    """The lines of a file; `end` is what stands after its last token."""
    writer = _Writer()
    writer.statements(declarations, 0, _BLANKS_IN_FILE)
    writer.page.finish(end, 0, _BLANKS_IN_FILE)
    return writer.page.lines


class _Writer:
    """Writes pieces on a page. `indent` is the indentation of the statement, list entry or
    operand that a piece belongs to; `tail` how many columns must stay free after it."""

    def __init__(self) -> None:
        self.page = Page()

    def statements(self, pieces: Sequence[Piece], indent: int, blanks: int) -> None:
        """Write statements on lines of their own, with at most `blanks` empty lines between."""
        for place, (piece, pad) in enumerate(zip(pieces, paddings(pieces), strict=True)):
            self.page.end(indent, blanks if place else 0, blanks)
            self._padded(piece, pad, indent, 0)

    def _padded(self, piece: Piece, pad: int, indent: int, tail: int) -> None:
        if pad and isinstance(piece, Assign):
            self._assign(piece, indent, tail, pad)
        else:
            self._write(piece, indent, tail)

    def _write(self, piece: Piece, indent: int, tail: int) -> None:
        if not piece.is_spread and self._fits(len(piece.text) + tail):
            self.page.put(piece.first, piece.text, indent)
        else:
            self._spread(piece, indent, tail)

    def _spread(self, piece: Piece, indent: int, tail: int) -> None:
        match piece:
            case Word():
                self.page.put(piece, piece.text, indent)
            case Row():
                self._row(piece, indent, tail)
            case Chain():
                self._chain(piece, indent, tail)
            case Items():
                self._items(piece, indent, tail)
            case Bracket():
                self._list(piece, indent, tail, None)
            case Assign():
                self._assign(piece, indent, tail, 0)
            case Body():
                self._body(piece, indent)
            case Headed():
                self._headed(piece, indent, tail)
            case _:
                assert_never(piece)

    def _fits(self, width: int) -> bool:
        return self.page.column + width <= WIDTH

    # ---- rows ----

    def _row(self, piece: Row, indent: int, tail: int) -> None:
        """Spread the parts that must be, then the widest ones until the rest fits."""
        parts = piece.parts
        spread = {place for place, part in enumerate(parts) if part.is_spread}
        offered = [place for place, part in enumerate(parts) if _can_spread(part)]
        offered = sorted(set(offered) - spread, key=lambda place: len(parts[place].text))
        while offered and not self._row_fits(piece, spread, indent, tail):
            spread.add(offered.pop())
        for place, part in enumerate(parts):
            if piece.spaces[place]:
                self.page.space()
            if place in spread:
                self._spread(part, indent, _tail_after(piece, place, spread, tail))
            else:
                self.page.put(part.first, part.text, indent)

    def _row_fits(self, piece: Row, spread: set[int], indent: int, tail: int) -> bool:
        column = self.page.column
        for place, part in enumerate(piece.parts):
            column += piece.spaces[place]
            if place not in spread:
                column += len(part.text)
                continue
            if column + _head_width(part) > WIDTH:
                return False
            column = INDENT * indent + 1
        return column + tail <= WIDTH

    # ---- operators ----

    def _chain(self, piece: Chain, indent: int, tail: int) -> None:
        follows = _tight_widths(piece.links, tail)
        self._write(piece.head, indent + 1, follows[0])
        for link, follow in zip(piece.links, follows[1:], strict=True):
            if not link.tight:
                if self._stays(link, indent, follow):
                    self.page.space()
                else:
                    self.page.end(indent + 1)
            self.page.put(link.op, link.op.text, indent)
            if not link.tight:
                self.page.space()
            self._write(link.operand, indent + 1, follow)

    def _stays(self, link: Link, indent: int, tail: int) -> bool:
        """Whether an operand goes on in the line. One that is spread anyway may open its bracket
        there, and the arrow of a signature follows the bracket of spread parameters."""
        if link.kept and not (link.op.kind == "ARROW" and self.page.is_closing):
            return False
        operator = len(f" {link.op.text} ")
        if not link.operand.is_spread:
            width = operator + len(link.operand.text) + tail
            if self._fits(width):
                return True
            if INDENT * (indent + 1) + width - 1 <= WIDTH:
                return False
        return _opens(link.operand) and self._fits(operator + _head_width(link.operand))

    def _items(self, piece: Items, indent: int, tail: int) -> None:
        mark = "," if piece.comma else ""
        below = indent + 1 if piece.comma else indent
        last = len(piece.parts) - 1
        for place, part in enumerate(piece.parts):
            after = tail if place == last else len(mark)
            if place:
                self.page.add(mark)
                is_full = not self._fits(1 + len(part.text) + after)
                if piece.kept[place] or (is_full and not _opens(part)):
                    self.page.end(below)
                else:
                    self.page.space()
            self._write(part, below if place else indent, after)

    def _assign(self, piece: Assign, indent: int, tail: int, pad: int) -> None:
        if piece.leads:
            self._write(piece.left, indent + 1, 0)
            indent += 1
            self.page.end(indent)
        else:
            self._write(piece.left, indent, len(f" {piece.op.text}"))
            self.page.add(" " * pad)
            self.page.space()
        self.page.put(piece.op, piece.op.text, indent)
        if not piece.leads and self._starts_below(piece.right, indent, tail):
            self.page.end(indent + 1)
        else:
            self.page.space()
        self._write(piece.right, indent, tail)

    def _starts_below(self, right: Piece, indent: int, tail: int) -> bool:
        """Whether a right side starts on a line of its own, because what it starts with fits
        there and nowhere else."""
        first, width = right, tail
        if isinstance(right, Chain):
            first, width = right.head, _tight_widths(right.links, tail)[0]
        if first.is_spread or self._fits(1 + len(first.text) + width):
            return False
        start = INDENT * (indent + 1)
        return start <= self.page.column and start + len(first.text) + width <= WIDTH

    # ---- brackets ----

    def _list(self, piece: Bracket, indent: int, tail: int, base: int | None) -> None:
        """Write a list; its closing bracket is indented like the line of the opening one, if no
        other `base` is given."""
        self.page.put(piece.opener, piece.opener.text, indent)
        base = self.page.indent if base is None else base
        if _hugs(piece):
            self._write(piece.entries[0], base, len(piece.closer.text) + tail)
            self.page.put(piece.closer, piece.closer.text, base)
            return
        pads = paddings(piece.entries)
        for place, entry in enumerate(piece.entries):
            self.page.end(base + 1, 1 if place else 0, 1)
            if piece.arrow is not None and place == piece.split:
                self._arrow(piece.arrow, base)
            comma = "," if _has_comma(piece, place) else ""
            # The operators of an expression alone in its brackets need no further indentation.
            inner = base if len(piece.entries) == 1 and isinstance(entry, Chain) else base + 1
            self._padded(entry, pads[place], inner, len(comma))
            self.page.add(comma)
        if piece.arrow is not None and piece.split == len(piece.entries):
            self.page.end(base + 1)
            self.page.put(piece.arrow, piece.arrow.text, base)
        self.page.close(piece.closer, base)

    def _arrow(self, arrow: Word, base: int) -> None:
        self.page.put(arrow, arrow.text, base)
        self.page.space()

    def _headed(self, piece: Headed, indent: int, tail: int) -> None:
        """Write the head so that no line of it can be taken for one of the body."""
        self._write(piece.head, indent + 1, len(" {"))
        self.page.space()
        match piece.body:
            case Body():
                self._body(piece.body, indent)
            case Bracket():
                self._list(piece.body, indent, tail, indent)

    def _body(self, piece: Body, indent: int) -> None:
        if not piece.statements and not piece.is_spread:
            self.page.put(piece.opener, piece.text, indent)
            return
        self.page.put(piece.opener, piece.opener.text, indent)
        self.statements(piece.statements, indent + 1, _BLANKS_IN_BODY)
        self.page.close(piece.closer, indent)


def _tail_after(piece: Row, place: int, spread: set[int], tail: int) -> int:
    """The columns that the line on which a part ends needs after it."""
    width = 0
    for after in range(place + 1, len(piece.parts)):
        width += piece.spaces[after]
        if after in spread:
            return width + _head_width(piece.parts[after])
        width += len(piece.parts[after].text)
    return width + tail


def _tight_widths(links: Sequence[Link], tail: int) -> list[int]:
    """For the head of a chain and for each link, the columns up to where a line may end next."""
    widths = [tail]
    for link in reversed(links):
        is_tight = link.tight
        widths.append(len(link.op.text) + len(link.operand.text) + widths[-1] if is_tight else 0)
    return widths[::-1]


def _has_comma(piece: Bracket, place: int) -> bool:
    """Whether a comma ends the line of an entry. The last one gets a comma too, where there are
    several; round a single expression it would make a tuple."""
    last = len(piece.entries) - 1
    if piece.padded:
        return False
    if piece.arrow is not None:
        return place not in (piece.split - 1, last)
    return last > 0 or piece.ends_in_comma


def _hugs(piece: Bracket) -> bool:
    """Whether a list that is spread keeps its only entry at its bracket: `f(g(`."""
    if len(piece.entries) != 1 or piece.is_open or piece.padded or piece.arrow is not None:
        return False
    entry = piece.entries[0]
    has_comments = bool(entry.first.gap.comments or piece.closer.gap.comments)
    return not has_comments and not piece.ends_in_comma and _opens(entry)


def _opens(piece: Piece) -> bool:
    """Whether a piece can be spread by opening a bracket at the end of its first line."""
    match piece:
        case Bracket():
            return bool(piece.entries) or piece.is_spread
        case Row():
            return any(isinstance(part, Bracket) and _opens(part) for part in piece.parts)
        case _:
            return False


def _can_spread(piece: Piece) -> bool:
    match piece:
        case Word():
            return False
        case Bracket():
            return bool(piece.entries)
        case Row():
            return any(_can_spread(part) for part in piece.parts)
        case _:
            return True


def _head_width(piece: Piece) -> int:
    """How much of a piece that is spread stands on its first line."""
    match piece:
        case Bracket():
            return 1 + (_head_width(piece.entries[0]) if _hugs(piece) else 0)
        case Row():
            width = 0
            for place, part in enumerate(piece.parts):
                width += piece.spaces[place]
                if part.is_spread or _can_spread(part):
                    return width + _head_width(part)
                width += len(part.text)
            return width
        case Chain():
            return _head_width(piece.head)
        case Items():
            return _head_width(piece.parts[0])
        case Assign():
            return _head_width(piece.left)
        case Headed():
            return _head_width(piece.head)
        case Word() | Body():
            return len(piece.text)
        case _:
            assert_never(piece)
