"""What stands before the cursor: the open brackets around it and the name before each."""

from __future__ import annotations

import re

from ncdlang.records import record, replace
from ncdlang.source import Source
from ncdlang.syntax.language import language
from ncdlang.syntax.lexer import Tokens, scan

_START = re.compile(r"^(?:use|axis|const|config|op|diagram|assert)\b", re.MULTILINE)
_WORD = re.compile(r"[^\W\d][\w\u0300-\u036f]*'*(?:\s*\.\s*(?:[^\W\d][\w\u0300-\u036f]*'*)?)?\Z|\Z")
_OPENERS = ("(", "[", "{")
_CLOSERS = (")", "]", "}")


@record
class Opened:
    """A bracket that is open: what is called or indexed by it (its brackets left out), and how
    many entries stand before the cursor."""

    bracket: str
    head: str
    entries: int = 0
    is_after_arrow: bool = False
    is_after_colon: bool = False


@record
class Context:
    """The text before the cursor. `word` is the name that is being typed, `start` where it begins.

    `line` is what stands before it on its line, and `keyword` what the statement begins with.
    """

    word: str
    start: int
    line: str
    keyword: str
    opened: tuple[Opened, ...]
    in_text: bool

    @property
    def inner(self) -> Opened | None:
        """The innermost open bracket."""
        return self.opened[-1] if self.opened else None


def context_at(text: str, offset: int) -> Context:
    """What stands before an offset of a text."""
    begin = max((m.start() for m in _START.finditer(text, 0, offset)), default=0)
    part = text[begin:offset]
    found = _WORD.search(part)
    word = found[0] if found is not None else ""
    before = part[: len(part) - len(word)]
    line = before[before.rfind("\n") + 1 :]
    tokens = scan(Source("", before), language().lexicon)
    first = re.match(r"\s*([a-z]+)\b", line)
    return Context(
        word,
        offset - len(word),
        line,
        first[1] if first is not None else "",
        _opened(tokens),
        _is_in_text(part, line),
    )


def _is_in_text(part: str, line: str) -> bool:
    """Whether the cursor is in a comment or a string."""
    last = scan(Source("", part), language().lexicon).comments
    in_comment = bool(last) and last[-1].end == len(part)
    return in_comment or line.replace('\\"', "").count('"') % 2 == 1


def _opened(tokens: Tokens) -> tuple[Opened, ...]:
    """The brackets that are open at the end of a text."""
    stack: list[Opened] = []
    head = ""
    for index in range(len(tokens.kinds) - 1):
        text = tokens.text(index)
        if text in _OPENERS:
            stack.append(Opened(text, head))
            head = ""
        elif text in _CLOSERS:
            closed = stack.pop() if stack else None
            head = closed.head if closed is not None and closed.bracket == "[" else ""
        elif text == ".":
            head += "."
        elif text[:1].isalpha() or text[:1] == "_":
            head = head + text if head.endswith(".") else text
        else:
            head = ""
            if stack:
                stack[-1] = _after(stack[-1], text)
    return tuple(stack)


def _after(opened: Opened, text: str) -> Opened:
    """An open bracket after one more mark in it."""
    match text:
        case ",":
            return replace(opened, entries=opened.entries + 1, is_after_colon=False)
        case "->":
            return replace(opened, is_after_arrow=True)
        case ":":
            return replace(opened, is_after_colon=True)
        case _:
            return opened
