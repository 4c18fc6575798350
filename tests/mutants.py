"""Mistakes planted into correct programs, each with the lines that an error may stand on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

KEYWORDS = frozenset(
    (
        "use",
        "as",
        "axis",
        "const",
        "config",
        "op",
        "diagram",
        "learn",
        "block",
        "return",
        "assert",
        "size",
        "and",
        "or",
        "not",
        "inf",
        "pi",
    )
)
NAME = re.compile(r"[^\W\d]\w*'*")
LIST = re.compile(r"\[([^\W\d]\w*'*(?: [^\W\d]\w*'*)+)\]")
CALL = re.compile(r"(?<=[\w\]])\(([A-Z]\w*)((?:, \w+)*)\)")
WINDOW = re.compile(r"(?<=\w' \+ )[a-z](?=[,\]])")
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
FACTOR = re.compile(r" \* [A-Za-z]\w*\[[\w' ]+\]")
RESULT = re.compile(r"-> \[([^\W\d]\w*'*(?: [^\W\d]\w*'*)+)\]")
MASKED = re.compile(r'#[^\n]*|"[^"\n]*"')


@dataclass(frozen=True)
class Edit:
    """`text[start:end]` becomes `new`; the error may also stand on a line of the new text that
    `elsewhere` matches, as the use of what was removed."""

    start: int
    end: int
    new: str
    elsewhere: str = ""


@dataclass(frozen=True)
class Mutant:
    """A program with one planted mistake."""

    file: str
    kind: str
    before: str
    edit: Edit

    @property
    def text(self) -> str:
        return self.before[: self.edit.start] + self.edit.new + self.before[self.edit.end :]

    @property
    def lines(self) -> frozenset[int]:
        """The lines where the mistake stands: those of the edit, and uses of what it removed."""
        first = self.before.count("\n", 0, self.edit.start) + 1
        head = self.before[: self.edit.start]
        # What is missing at the start of a line may be missing at the end of the one before it.
        above = first - (not head.rpartition("\n")[2].strip() and not self.edit.new)
        places = set(range(above, first + self.edit.new.rstrip("\n").count("\n") + 1))
        if self.edit.elsewhere:
            used = re.compile(self.edit.elsewhere)
            lines = MASKED.sub("", self.text).splitlines()
            places |= {i + 1 for i, line in enumerate(lines) if used.search(line)}
        return frozenset(places)

    def __str__(self) -> str:
        edit = self.edit
        line = self.before.count("\n", 0, edit.start) + 1
        old = self.before[edit.start : edit.end]
        return f"{self.file}:{line}: {self.kind}: {old!r} becomes {edit.new!r}"


def code_of(text: str) -> str:
    """The text with comments and strings blanked out."""
    return MASKED.sub(lambda match: " " * len(match[0]), text)


def names(code: str) -> Iterator[re.Match[str]]:
    return (m for m in NAME.finditer(code) if m[0] not in KEYWORDS)


def misspelt(code: str, _: random.Random) -> Iterator[Edit]:
    for m in names(code):
        word = m[0]
        wrong = word[:-1] + word[-1] + word[-1] if len(word) < 4 else word[:2] + word[3:]
        yield Edit(*m.span(), wrong)


def with_letters_exchanged(code: str, _: random.Random) -> Iterator[Edit]:
    for m in names(code):
        word = m[0]
        if len(word) > 3 and word[1] != word[2]:
            yield Edit(*m.span(), word[0] + word[2] + word[1] + word[3:])


def axes(change: Callable[[list[str], random.Random], Sequence[str]], is_type: bool):
    """Changes a list of axes of a type, or of a read or an equation's left side."""

    def edits(code: str, source: random.Random) -> Iterator[Edit]:
        for m in LIST.finditer(code):
            if code[: m.start()].rstrip().endswith((":", "->")) == is_type:
                yield Edit(*m.span(1), " ".join(change(m[1].split(" "), source)))

    return edits


def dropped(found: list[str], source: random.Random) -> list[str]:
    place = source.randrange(len(found))
    return found[:place] + found[place + 1 :]


def swapped(found: list[str], source: random.Random) -> list[str]:
    place = source.randrange(len(found) - 1)
    return [*found[:place], found[place + 1], found[place], *found[place + 2 :]]


def twice(found: list[str], source: random.Random) -> list[str]:
    place = source.randrange(1, len(found))
    return [*found[:place], found[place - 1], *found[place + 1 :]]


def extra(found: list[str], _: random.Random) -> list[str]:
    return [*found, "zz"]


def transposed_result(code: str, _: random.Random) -> Iterator[Edit]:
    for m in RESULT.finditer(code):
        yield Edit(*m.span(1), " ".join(reversed(m[1].split(" "))))


def size_changed(code: str, source: random.Random) -> Iterator[Edit]:
    for m in NUMBER.finditer(code):
        yield Edit(*m.span(), str(max(int(m[0]) + source.choice((-1, 1)), 0)))


def wider_window(code: str, _: random.Random) -> Iterator[Edit]:
    for m in WINDOW.finditer(code):
        yield Edit(m.end(), m.end(), " + 1")


def without(pattern: str, new: str = ""):
    def edits(code: str, _: random.Random) -> Iterator[Edit]:
        for m in re.finditer(pattern, code):
            yield Edit(*m.span(), new)

    return edits


def without_brace(code: str, _: random.Random) -> Iterator[Edit]:
    for m in re.finditer(r"(?m)^ *\}$|\{$", code):
        yield Edit(*m.span(), "")


def other_bracket(code: str, _: random.Random) -> Iterator[Edit]:
    for m in re.finditer(r"[\])]", code):
        yield Edit(*m.span(), {")": "]", "]": ")"}[m[0]])


def wrong_keyword(code: str, source: random.Random) -> Iterator[Edit]:
    foreign = {
        "diagram": ("def", "fn", "function", "diagam"),
        "learn": ("param", "let", "lern", "parameter"),
        "return": ("ret", "yield", "retrun", "output"),
        "use": ("import", "from", "include", "using"),
        "axis": ("dim", "axes", "axsi"),
    }
    for m in NAME.finditer(code):
        if m[0] in foreign:
            yield Edit(*m.span(), source.choice(foreign[m[0]]))


def lines_of(code: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in code.splitlines(keepends=True):
        if line.strip() and line.count("{") == line.count("}"):
            yield start, line
        start += len(line)


def line_dropped(code: str, _: random.Random) -> Iterator[Edit]:
    for start, line in lines_of(code):
        if line.lstrip().startswith(("diagram", "op", "config")) or line.strip() == "}":
            continue
        end = start + len(line)
        if line.lstrip().startswith("return"):
            header = code[: code.rfind("diagram", 0, start)].count("\n")
            yield Edit(start, end, "", rf"^\}}$|{re.escape(code.splitlines()[header])}")
            continue
        head = line.partition("=")[0] if ":" not in line else line
        defined = "|".join({re.escape(m[0]) for m in names(head)})
        yield Edit(start, end, "", rf"(?<![\w'])(?:{defined})(?![\w'])")


def line_twice(code: str, _: random.Random) -> Iterator[Edit]:
    for start, line in lines_of(code):
        if not line.lstrip().startswith(("assert", "config", "}")) and "+=" not in line:
            yield Edit(start, start + len(line), line + line)


def argument_dropped(code: str, _: random.Random) -> Iterator[Edit]:
    for m in CALL.finditer(code):
        yield Edit(*m.span(), f"({m[2][2:]})")


def argument_added(code: str, _: random.Random) -> Iterator[Edit]:
    for m in CALL.finditer(code):
        yield Edit(m.end() - 1, m.end() - 1, f", {m[1]}")


def other_name(code: str, source: random.Random) -> Iterator[Edit]:
    """A wire or an axis in place of another one of the file."""
    wires = sorted({m[0] for m in names(code) if m[0][0].isupper()})
    for m in names(code):
        if m[0] in wires and len(wires) > 1:
            yield Edit(*m.span(), source.choice([wire for wire in wires if wire != m[0]]))


KINDS: dict[str, Callable[[str, random.Random], Iterator[Edit]]] = {
    "misspelt name": misspelt,
    "letters exchanged": with_letters_exchanged,
    "axis dropped in an index": axes(dropped, False),
    "axis dropped in a type": axes(dropped, True),
    "axes swapped in an index": axes(swapped, False),
    "axes swapped in a type": axes(swapped, True),
    "index twice": axes(twice, False),
    "axis twice in a type": axes(twice, True),
    "extra index": axes(extra, False),
    "extra axis in a type": axes(extra, True),
    "result transposed": transposed_result,
    "size changed": size_changed,
    "window widened": wider_window,
    "brace forgotten": without_brace,
    "bracket forgotten": without(r"[\[\]()]"),
    "other bracket": other_bracket,
    "bracket twice": without(r"\)", "))"),
    "comma forgotten": without(r","),
    "colon forgotten": without(r":(?= )"),
    "arrow forgotten": without(r" ->"),
    "equals sign forgotten": without(r" =(?= )"),
    "operator forgotten": without(r" [*+](?= \w)"),
    "operator twice": without(r" \*(?= \w)", " * *"),
    "return forgotten": without(r"return (?=\w)"),
    "factor dropped": without(FACTOR.pattern),
    "brackets dropped": without(r"(?<=[A-Z])\[[\w ]+\](?= [*+/])"),
    "axis to act along dropped": without(r"(?<=[a-z])\[\w\](?=\()"),
    "wrong keyword": wrong_keyword,
    "line dropped": line_dropped,
    "line twice": line_twice,
    "argument dropped": argument_dropped,
    "argument added": argument_added,
    "other wire": other_name,
}


def mutants(texts: dict[str, str], each: int, seed: int) -> Iterator[Mutant]:
    """Up to `each` mutants of every kind."""
    for kind, make in KINDS.items():
        source = random.Random(f"{kind} {seed}")
        found: list[Mutant] = []
        for file, text in texts.items():
            found += (Mutant(file, kind, text, edit) for edit in make(code_of(text), source))
        yield from source.sample(found, min(each, len(found)))
