"""The formatter's view of a text: nested pieces that say where a line may end.

A piece knows its text on one line, and whether it must be spread over several because the author
did so where it means something, or because a comment stands inside. Pieces never lose a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ncdlang.records import record


@record(eq=False)
class Comment:
    """One comment. `gap` and `column` are where it stood after code; unused if it `is_own`, alone
    on its line. `blanks` counts the empty lines above it."""

    text: str
    is_own: bool
    gap: int
    column: int
    blanks: int


@record(eq=False)
class Gap:
    """What stands before a token: comments, whether a line ends there, the empty lines right
    above the token, and the blanks before it if no line ends."""

    comments: tuple[Comment, ...] = ()
    breaks: bool = False
    blanks: int = 0
    width: int = 0


@record(eq=False)
class Word:
    """One token; `kind` is the name of its terminal, `column` the place of its end in its line."""

    kind: str
    text: str
    gap: Gap
    line: int
    column: int

    @property
    def first(self) -> Word:
        """Itself."""
        return self

    @property
    def is_spread(self) -> bool:
        """A token is never spread."""
        return False


@record(eq=False)
class Row:
    """Parts side by side, between which no line may end: `f[i](X)`, `-x`, `learn A, B: type`.

    `spaces` says for each part whether a space stands before it.
    """

    parts: tuple[Piece, ...]
    spaces: tuple[bool, ...]
    text: str
    is_spread: bool
    first: Word


@record(eq=False)
class Link:
    """One more operand of a chain, with the operator before it. A `tight` operator has no spaces
    and no line may end there; a `kept` one started or ended a line."""

    op: Word
    operand: Piece
    tight: bool
    kept: bool


@record(eq=False)
class Chain:
    """Operands joined by operators of one precedence; a line may end before each of those."""

    head: Piece
    links: tuple[Link, ...]
    text: str
    is_spread: bool
    first: Word


@record(eq=False)
class Items:
    """Parts after each of which but the last a line may end.

    With `comma` they are separated by commas, `return A, B`, and a line end after one is `kept`;
    without they are names in brackets, `[q h k]`.
    """

    parts: tuple[Piece, ...]
    kept: tuple[bool, ...]
    comma: bool
    text: str
    is_spread: bool
    first: Word


@record(eq=False)
class Bracket:
    """A list in brackets: on one line, or each entry on a line of its own.

    `arrow` stands before the entry at the place `split`. A list of several entries `is_open` if
    its author started a new line after the bracket. A `padded` one has spaces inside its braces,
    and where it is spread line ends take the place of commas. It `ends_in_comma` where a comma
    after the only entry makes it a tuple.
    """

    opener: Word
    entries: tuple[Piece, ...]
    arrow: Word | None
    split: int
    closer: Word
    is_open: bool
    padded: bool
    ends_in_comma: bool
    text: str
    is_spread: bool

    @property
    def first(self) -> Word:
        """The opening bracket."""
        return self.opener


@record(eq=False)
class Assign:
    """`left op right`. The line may end after the operator, before it where it `leads`; there it
    does if the author's line did (`kept`)."""

    left: Piece
    op: Word
    right: Piece
    leads: bool
    kept: bool
    text: str
    is_spread: bool
    first: Word


@record(eq=False)
class Body:
    """Statements in braces, on one line only if there is at most one."""

    opener: Word
    statements: tuple[Piece, ...]
    closer: Word
    text: str
    is_spread: bool

    @property
    def first(self) -> Word:
        """The opening brace."""
        return self.opener


@record(eq=False)
class Headed:
    """A head with what it has in braces: a diagram, a block, an op."""

    head: Piece
    body: Body | Bracket
    text: str
    is_spread: bool
    first: Word


Piece: TypeAlias = Word | Row | Chain | Items | Bracket | Assign | Body | Headed


def _is_torn(parts: Sequence[Piece]) -> bool:
    """Whether a part is spread, or a comment stands between two parts."""
    return any(part.is_spread for part in parts) or any(
        part.first.gap.comments for part in parts[1:]
    )


def row(parts: Sequence[Piece], spaces: Sequence[bool]) -> Piece:
    """A row, or its only part."""
    if len(parts) == 1:
        return parts[0]
    text = "".join(
        f" {part.text}" if space and place else part.text
        for place, (part, space) in enumerate(zip(parts, spaces, strict=True))
    )
    return Row(tuple(parts), tuple(spaces), text, _is_torn(parts), parts[0].first)


def chain(head: Piece, links: Sequence[Link]) -> Piece:
    """A chain, or its only operand."""
    if not links:
        return head
    text = head.text + "".join(
        f"{link.op.text}{link.operand.text}"
        if link.tight
        else f" {link.op.text} {link.operand.text}"
        for link in links
    )
    torn = any(link.kept for link in links) or _is_torn(
        [head, *(part for link in links for part in (link.op, link.operand))]
    )
    return Chain(head, tuple(links), text, torn, head.first)


def items(parts: Sequence[Piece], kept: Iterable[bool], *, comma: bool) -> Piece:
    """Several parts in a line, or the only one."""
    if len(parts) == 1:
        return parts[0]
    text = (", " if comma else " ").join(part.text for part in parts)
    held = tuple(kept)
    return Items(tuple(parts), held, comma, text, any(held) or _is_torn(parts), parts[0].first)


def bracket(
    opener: Word,
    entries: Sequence[Piece],
    closer: Word,
    *,
    arrow: Word | None = None,
    split: int = 0,
    is_open: bool = False,
    padded: bool = False,
    ends_in_comma: bool = False,
) -> Bracket:
    """A list in brackets."""
    comma = "," if ends_in_comma else ""
    inner = ", ".join(entry.text for entry in entries)
    if arrow is not None:
        sides = (entries[:split], entries[split:])
        left, right = (", ".join(entry.text for entry in side) for side in sides)
        inner = " ".join(part for part in (left, arrow.text, right) if part)
    if padded:
        inner = f" {inner} " if inner else " "
    text = f"{opener.text}{inner}{comma}{closer.text}"
    inside = [*entries, closer] if arrow is None else [*entries, arrow, closer]
    torn = is_open or _is_torn([opener, *inside])
    return Bracket(
        opener, tuple(entries), arrow, split, closer, is_open, padded, ends_in_comma, text, torn
    )


def assign(left: Piece, op: Word, right: Piece, *, leads: bool = False) -> Assign:
    """An assignment, a setting, or the equation of a point-free diagram."""
    kept = leads and (op.gap.breaks or right.first.gap.breaks)
    torn = kept or _is_torn([left, op, right])
    text = f"{left.text} {op.text} {right.text}"
    return Assign(left, op, right, leads, kept, text, torn, left.first)


def body(opener: Word, statements: Sequence[Piece], closer: Word) -> Body:
    """A body. The author spread it if a line ends after its brace."""
    inner = f" {statements[0].text}" if len(statements) == 1 else ""
    opened = statements[0].first.gap.breaks if statements else False
    torn = opened or len(statements) > 1 or _is_torn([opener, *statements, closer])
    return Body(opener, tuple(statements), closer, f"{{{inner} }}", torn)


def headed(head: Piece, inside: Body | Bracket) -> Headed:
    """A head with its body."""
    torn = head.is_spread or inside.is_spread
    return Headed(head, inside, f"{head.text} {inside.text}", torn, head.first)
