"""Reads the tokens of a correct text into the pieces that the formatter lays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ncdlang.records import record, replace
from ncdlang.syntax.pieces import (
    Assign,
    Body,
    Bracket,
    Comment,
    Gap,
    Link,
    Piece,
    Row,
    Word,
    assign,
    body,
    bracket,
    chain,
    headed,
    items,
    row,
)

_LEVELS = {
    kind: level
    for level, kinds in enumerate(
        (
            "COMPOSE",
            "BESIDE",
            "OR",
            "AND",
            "NOT",
            "EQUALS DIFFERS AT_MOST AT_LEAST LESS GREATER",
            "PLUS MINUS",
            "TIMES DIVIDE FLOOR_DIVIDE MODULO",
            "SIGN",
            "POWER",
        )
    )
    for kind in kinds.split()
}
"""How tightly operators bind, the loosest first; `SIGN` is a minus with one operand."""

_PREFIXES = {"NOT": "NOT", "MINUS": "SIGN"}
_LEADS = frozenset(_LEVELS) - {"NOT", "SIGN"} | {"ARROW", "TILDE"}
_OPERAND_ENDS = frozenset(("NAME", "NUMBER", "STRING", "DOTS", "RPAR", "RSQB"))
_ASSIGNS = frozenset(("EQUAL", "ADD_ASSIGN", "MULTIPLY_ASSIGN", "MAX_ASSIGN", "MIN_ASSIGN"))


@record(eq=False)
class Nest:
    """What stands in one pair of brackets."""

    opener: Word
    parts: list[Part]
    closer: Word

    @property
    def kind(self) -> str:
        """The terminal of the opening bracket."""
        return self.opener.kind


Part: TypeAlias = Word | Nest


def outline(words: Sequence[Word]) -> tuple[Piece, ...]:
    """The declarations of a file; `words` are all its tokens but the end."""
    return _statements(_nested(_with_comments_at_line_ends(words)))


def _with_comments_at_line_ends(words: Sequence[Word]) -> list[Word]:
    """Move comments to where lines end when a text is laid out: from before a comma to behind it,
    and from behind an operator to before it."""
    moved = list(words)
    for place, word in enumerate(words[:-1]):
        after = moved[place + 1]
        comments = (*moved[place].gap.comments, *after.gap.comments)
        if not comments:
            continue
        if word.kind == "COMMA":
            moved[place] = replace(word, gap=Gap())
            moved[place + 1] = replace(after, gap=_commented(after.gap, comments))
        elif (
            word.kind in _LEADS and after.gap.comments and place and _ends_operand(words[place - 1])
        ):
            moved[place] = replace(word, gap=_commented(word.gap, comments))
            moved[place + 1] = replace(after, gap=Gap())
    return moved


def _commented(gap: Gap, comments: tuple[Comment, ...]) -> Gap:
    return replace(gap, comments=comments, breaks=True)


_CLOSERS = frozenset(("RPAR", "RSQB", "RBRACE"))
_OPENERS = frozenset(("LPAR", "LSQB", "LBRACE"))


def _nested(words: Sequence[Word]) -> list[Part]:
    """The bracket structure; brackets are balanced."""
    levels: list[list[Part]] = [[]]
    openers: list[Word] = []
    for word in words:
        if word.kind in _OPENERS:
            openers.append(word)
            levels.append([])
        elif word.kind in _CLOSERS:
            inside = levels.pop()
            levels[-1].append(Nest(openers.pop(), inside, word))
        else:
            levels[-1].append(word)
    return levels[0]


# ---- statements -----------------------------------------------------------------------------


def _statements(parts: Sequence[Part]) -> tuple[Piece, ...]:
    return tuple(_statement(each) for each in _split(parts, "_NEWLINE") if each)


def _statement(parts: list[Part]) -> Piece:
    match parts[0].kind:
        case "_DIAGRAM":
            return _diagram(parts)
        case "_BLOCK":
            return headed(_loose_row(parts[:-1]), _body(parts[-1]))
        case "_AXIS":
            return _axes(parts)
        case "_CONST":
            return _assignment(parts, 1)
        case "_LEARN":
            return _learn(parts)
        case "_RETURN":
            return _assignment(parts, 1)
        case "_ASSERT":
            return _loose_row(parts[:1], _expression(parts[1:]))
        case "_OP":
            return _op(parts)
        case "_USE" | "_CONFIG":
            return _loose_row(parts)
        case _:
            return _assignment(parts, 0)


def _diagram(parts: list[Part]) -> Piece:
    last = parts[-1]
    if isinstance(last, Nest) and last.kind == "LBRACE":
        return headed(_signature(parts[:-1]), _body(last))
    place = _find(parts, {"EQUAL"})
    assert place is not None, "a diagram without a body is an equation"
    head = _signature(parts[:place], spaced_colon=True)
    return assign(head, _word(parts[place]), _expression(parts[place + 1 :]), leads=True)


def _op(parts: list[Part]) -> Piece:
    last = parts[-1]
    if isinstance(last, Nest) and last.kind == "LBRACE":
        return headed(_signature(parts[:-1]), _settings(last))
    return _signature(parts)


def _signature(parts: Sequence[Part], *, spaced_colon: bool = False) -> Piece:
    """The head of a diagram or an op; a line may end before its arrow."""
    place = _find(parts, {"ARROW"})
    assert place is not None, "a signature has a result"
    head = _loose_row(parts[:place], spaced_colon=spaced_colon)
    return chain(head, [_link(_word(parts[place]), _expression(parts[place + 1 :]), False)])


def _body(part: Part) -> Body:
    assert isinstance(part, Nest)
    return body(part.opener, _statements(part.parts), part.closer)


def _assignment(parts: list[Part], head: int) -> Piece:
    """An equation, a `const`, a declared wire, or a `return`; `head` words come before it all."""
    place = _find(parts, _ASSIGNS)
    if place is not None:
        left = _loose_row(parts[:head], _comma_items(parts[head:place]))
        return assign(left, _word(parts[place]), _expression(parts[place + 1 :]))
    if _find(parts, {"COLON"}) is not None:
        return _entry(parts)
    return _loose_row(parts[:head], _comma_items(parts[head:]))


def _axes(parts: list[Part]) -> Piece:
    axis = _word(parts[0])
    each = _comma_items(parts[1:], _axis_item)
    if isinstance(each, Assign):  # the `=` of a lone axis is the statement's own
        return assign(_beside(axis, each.left), each.op, each.right)
    return _beside(axis, each)


def _axis_item(parts: Sequence[Part]) -> Piece:
    place = _find(parts, {"EQUAL"})
    if place is None:
        return _loose_row(parts, spaced_colon=True)
    name = _loose_row(parts[:place], spaced_colon=True)
    return assign(name, _word(parts[place]), _expression(parts[place + 1 :]))


def _learn(parts: list[Part]) -> Piece:
    colon = _find(parts, {"COLON"})
    assert colon is not None, "what is learned has a type"
    tilde = _find(parts, {"TILDE"})
    names = _comma_items(parts[1:colon])
    kind = _expression(parts[colon + 1 : tilde])
    learn, mark = _word(parts[0]), _word(parts[colon])
    learned = row([learn, names, mark, kind], [False, True, False, True])
    if tilde is None:
        return learned
    return chain(learned, [_link(_word(parts[tilde]), _expression(parts[tilde + 1 :]), False)])


# ---- rows and lists -------------------------------------------------------------------------


def _loose_row(
    parts: Sequence[Part], last: Piece | None = None, *, spaced_colon: bool = False
) -> Piece:
    """Words and brackets with the spaces between them that a head has, then one more piece."""
    made: list[Piece] = []
    spaces: list[bool] = []
    previous: Part | None = None
    for part in parts:
        made.append(_bracket(part, previous) if isinstance(part, Nest) else part)
        spaces.append(previous is not None and _needs_space(previous, part, spaced_colon))
        previous = part
    if last is not None:
        made.append(last)
        spaces.append(previous is not None)
    return row(made, spaces)


def _needs_space(previous: Part, part: Part, spaced_colon: bool) -> bool:
    if previous.kind == "DOT":
        return False
    if isinstance(part, Nest):
        return part.kind == "LBRACE" or not _takes_brackets(previous)
    if part.kind == "COLON":
        return spaced_colon
    return part.kind not in ("COMMA", "DOT", "DOTS")


def _takes_brackets(part: Part) -> bool:
    """Whether brackets after a part belong to it: a call, an index."""
    return isinstance(part, Nest) or part.kind in ("NAME", "NUMBER", "_SIZE")


def _beside(word: Word, piece: Piece) -> Piece:
    return row([word, piece], [False, True])


def _comma_items(
    parts: Sequence[Part],
    make: Callable[[Sequence[Part]], Piece] | None = None,
    *,
    keeps: bool = True,
) -> Piece:
    """A list without brackets; the author's line ends in it are kept if `keeps`."""
    made = [(make or _expression)(each) for each in _split(parts, "COMMA")]
    breaks = [keeps and place > 0 and each.first.gap.breaks for place, each in enumerate(made)]
    return items(made, breaks, comma=True)


def _bracket(nest: Nest, previous: Part | None, index: bool = False) -> Bracket:
    """A list; `previous` is what it may belong to, `index` whether it stands in an index."""
    if nest.kind == "LBRACE" and not (previous and previous.kind == "DOT"):
        return _settings(nest)
    belongs = previous is not None and _takes_brackets(previous)
    index = nest.kind == "LSQB" or (index and not belongs)
    arrow = _find(nest.parts, {"ARROW"})
    before = nest.parts if arrow is None else nest.parts[:arrow]
    after = [] if arrow is None else nest.parts[arrow + 1 :]
    left, right = _groups(before), _groups(after)
    is_tuple = nest.kind == "LPAR" and not belongs and len(left) == 1
    # A line end after the bracket spreads a list; round one entry it means nothing.
    is_list = len(left) + len(right) > 1
    return bracket(
        nest.opener,
        [_entry(each, index) for each in (*left, *right)],
        nest.closer,
        arrow=None if arrow is None else _word(nest.parts[arrow]),
        split=len(left),
        is_open=is_list and _first(nest.parts[0]).gap.breaks,
        ends_in_comma=is_tuple and nest.parts[-1].kind == "COMMA",
    )


def _settings(nest: Nest) -> Bracket:
    """The braces of a `config` or an `op`: spread if any line ends between its entries."""
    words = [_first(part) for part in nest.parts]
    return bracket(
        nest.opener,
        [_entry(each) for each in _groups(nest.parts)],
        nest.closer,
        is_open=any(word.gap.breaks for word in (*words, nest.closer)),
        padded=True,
    )


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """The entries of a list; `X, Y: [m]` in a list of parameters is one."""
    groups: list[list[Part]] = []
    waiting: list[Part] = []
    has_types = _find(parts, {"COLON"}) is not None
    for place, part in enumerate(parts):
        is_end = part.kind == "COMMA" and (not has_types or _find(waiting, {"COLON"}) is not None)
        if not is_end:
            waiting.append(part)
        if waiting and (is_end or place == len(parts) - 1):
            groups.append(waiting)
            waiting = []
    return groups


def _entry(parts: Sequence[Part], index: bool = False) -> Piece:
    """One entry of a list in brackets."""
    if parts[0].kind == "_CONST":
        return _beside(_word(parts[0]), _entry(parts[1:], index))
    equal, colon = _find(parts, {"EQUAL"}), _find(parts, {"COLON"})
    if equal is not None:
        return assign(
            _expression(parts[:equal]), _word(parts[equal]), _expression(parts[equal + 1 :])
        )
    if colon is not None:
        names = _comma_items(parts[:colon], keeps=False)
        kind = _expression(parts[colon + 1 :])
        return row([names, _word(parts[colon]), kind], [False, False, True])
    if _find(parts, {"_AS"}) is not None:
        return _loose_row(parts)
    return _expression(parts, index)


# ---- expressions ----------------------------------------------------------------------------


def _expression(parts: Sequence[Part], index: bool = False) -> Piece:
    """An expression or a type; in an `index` products of an affine map are written `2*i + j`."""
    operators = [
        place
        for place in range(1, len(parts))
        if parts[place].kind in _LEVELS and _ends_operand(parts[place - 1])
    ]
    loosest = min((_LEVELS[parts[place].kind] for place in operators), default=len(_LEVELS))
    prefix = _PREFIXES.get(parts[0].kind)
    if prefix is not None and _LEVELS[prefix] < loosest:
        rest = _expression(parts[1:], index)
        return row([_word(parts[0]), rest], [False, prefix == "NOT"])
    if not operators:
        return _operand(parts, index)
    places = [place for place in operators if _LEVELS[parts[place].kind] == loosest]
    ends = [*places[1:], len(parts)]
    head = _expression(parts[: places[0]], index)
    links: list[Link] = []
    tight = index and _is_factor(head)
    for place, end in zip(places, ends, strict=True):
        op, operand = _word(parts[place]), _expression(parts[place + 1 : end], index)
        tight = tight and op.kind == "TIMES" and _is_factor(operand)
        links.append(_link(op, operand, tight or op.kind == "POWER"))
    return chain(head, links)


def _link(op: Word, operand: Piece, tight: bool) -> Link:
    kept = not tight and (op.gap.breaks or operand.first.gap.breaks)
    return Link(op, operand, tight, kept)


def _ends_operand(part: Part) -> bool:
    return isinstance(part, Nest) or part.kind in _OPERAND_ENDS


def _is_factor(piece: Piece) -> bool:
    """Whether a product of an affine map may have this factor: `2`, `-i`, `size(k)`."""
    match piece:
        case Word(kind=kind):
            return kind in ("NAME", "NUMBER")
        case Row(parts=(Word(kind="MINUS"), factor)):
            return _is_factor(factor)
        case Row(parts=(Word(kind="_SIZE"), _)):
            return True
        case _:
            return False


def _operand(parts: Sequence[Part], index: bool) -> Piece:
    if all(part.kind in ("NAME", "DOTS") for part in parts):
        return _names(parts)
    made: list[Piece] = []
    spaces: list[bool] = []
    previous: Part | None = None
    for part in parts:
        made.append(_bracket(part, previous, index) if isinstance(part, Nest) else part)
        spaces.append(previous is not None and _needs_space(previous, part, False))
        previous = part
    return row(made, spaces)


def _names(parts: Sequence[Part]) -> Piece:
    """One name, or several axes in a slot: `q h k`, `outs.. ins..`."""
    made: list[Piece] = []
    for part in parts:
        word = _word(part)
        if word.kind == "DOTS":
            made.append(row([made.pop(), word], [False, False]))
        else:
            made.append(word)
    return items(made, [False] * len(made), comma=False)


# ---- parts ----------------------------------------------------------------------------------


def _word(part: Part) -> Word:
    assert isinstance(part, Word)
    return part


def _first(part: Part) -> Word:
    return part.opener if isinstance(part, Nest) else part


def _find(parts: Sequence[Part], kinds: frozenset[str] | set[str]) -> int | None:
    """The place of the first word of certain kinds, outside of inner brackets."""
    return next((place for place, part in enumerate(parts) if part.kind in kinds), None)


def _split(parts: Sequence[Part], kind: str) -> list[list[Part]]:
    """The runs of parts between words of a kind; an empty one at the end is left out."""
    runs: list[list[Part]] = [[]]
    for part in parts:
        if part.kind == kind:
            runs.append([])
        else:
            runs[-1].append(part)
    return runs if runs[-1] else runs[:-1]
