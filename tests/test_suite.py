"""The cases of `tests/suite`: each mistake gives exactly one error, at the place it was planted.

A file holds cases, each opened by `#### name`. A comment `# error[NCD2004] 21-29 "axis `j`"` says
that an error with that code stands on this line, or on the next one where the comment stands alone.
It covers the columns from 21 to 29 (`21-3:5` where it ends in column 5 of the third line below),
and its message holds the quoted words. A case without such a comment must check cleanly.

`#### name with h = 8` checks with a size or a const changed, as a config does, and
`##### layers.ncd` opens a further file of the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
SUITE = Path(__file__).parent / "suite"
MAIN = "main.ncd"
EXPECTED = re.compile(r'# error\[(NCD\d{4})\] (\d+)-(?:(\d+):)?(\d+) "([^"]*)"')
TITLE = re.compile(r"#### (?P<name>[^#\n]+?)(?: with (?P<changes>\S+ = .+))?")
FILE = re.compile(r"##### (?P<path>\S+)")


@dataclass(frozen=True)
class Place:
    """Where an error stands: file, line, first column, lines down to its end, last column."""

    file: str
    line: int
    first: int
    down: int
    last: int


@dataclass(frozen=True)
class Expected:
    """One error that a case must give."""

    place: Place
    code: str
    words: str


@dataclass(frozen=True)
class Case:
    """One named program, with its files by name."""

    name: str
    files: Mapping[str, str]
    changes: Mapping[str, int | float]
    expected: tuple[Expected, ...]


def cases_of(path: Path) -> Iterator[Case]:
    """The cases of one file of the suite."""
    name, changes = "", ""
    files: dict[str, list[str]] = {}
    current: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        title, file = TITLE.fullmatch(line), FILE.fullmatch(line)
        if title is not None:
            if name:
                yield case(name, changes, files)
            name, changes, current = title["name"], title["changes"] or "", []
            files = {MAIN: current}
        elif file is not None:
            current = files[file["path"]] = []
        else:
            current.append(line)
    if name:
        yield case(name, changes, files)


def case(name: str, changes: str, files: Mapping[str, list[str]]) -> Case:
    """A case from its lines."""
    pairs = [pair.split("=") for pair in changes.split(",") if pair]
    values = {key.strip(): number(value) for key, value in pairs}
    expected = [e for file, lines in files.items() for e in expectations(file, lines)]
    texts = {file: "".join(f"{line}\n" for line in lines) for file, lines in files.items()}
    return Case(name, texts, values, tuple(expected))


def number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def expectations(file: str, lines: list[str]) -> Iterator[Expected]:
    """The errors that the comments of one file announce."""
    for i, line in enumerate(lines):
        below = i
        while EXPECTED.match(lines[below].strip()):
            below += 1
        for code, first, down, last, words in EXPECTED.findall(line):
            place = Place(file, below + 1, int(first), int(down or 0), int(last))
            yield Expected(place, code, words)


def check(given: Case) -> tuple[Diagnostic, ...]:
    """What the checker finds in a case."""
    project = Project()
    sources = {file: Source(file, text) for file, text in given.files.items()}

    def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
        return sources.get(f"{'/'.join(dotted)}.ncd") or project.find(importer, dotted)

    return check_source(sources[MAIN], find, given.changes)[1]


def place_of(found: Diagnostic) -> Place:
    source, end = found.span.source, max(found.span.end - 1, found.span.start)
    down = source.line_of(end) - found.span.line
    return Place(source.name, found.span.line, found.span.column, down, source.column_of(end))


CASES = [(path.stem, given) for path in sorted(SUITE.glob("*.ncd")) for given in cases_of(path)]


@pytest.mark.parametrize("given", [c for _, c in CASES], ids=[f"{f}: {c.name}" for f, c in CASES])
def test_case(given: Case) -> None:
    found = check(given)
    shown = [f"{d.code} {place_of(d)} {d.message}" for d in found]
    places = sorted((e.code, str(e.place)) for e in given.expected)
    assert sorted((d.code, str(place_of(d))) for d in found) == places, shown
    for expected in given.expected:
        messages = [d.message for d in found if place_of(d) == expected.place]
        assert any(expected.words in message for message in messages), shown


def test_names_of_cases_are_unique() -> None:
    names = [(file, given.name) for file, given in CASES]
    assert len(names) == len(set(names))


def test_every_code_occurs_in_the_suite() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "ncdlang").rglob("*.py")]
    texts.append((ROOT / "grammar" / "syntax_errors.toml").read_text(encoding="utf-8"))
    given = {code for text in texts for code in re.findall(r'"(NCD\d{4})"', text)}
    assert given <= {expected.code for _, c in CASES for expected in c.expected}
