"""After any edits, what is told of a file by remembering its last checks is what a fresh check
tells: the same findings at the same places, the same diagrams."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from clock import processor_seconds, within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project
from ncdlang.semantics.check import check_source, check_steps
from ncdlang.semantics.compilation import Compilation
from ncdlang.semantics.memory import Memory
from ncdlang.semantics.program import CheckedProgram
from ncdlang.semantics.text import render_checked
from ncdlang.source import Source, Span
from ncdlang.syntax.incremental import Parser
from ncdlang.syntax.parser import parse
from ncdlang.syntax.text import render_tree
from tests.test_suite import CASES

ROOT = Path(__file__).parent.parent
FULL = bool(os.environ.get("NCDLANG_FULL"))
PIECE = re.compile(r"\w+'*|\s+|[^\w\s]")

FILES = {
    "main.ncd": """use std.nn.{linear, rms_norm}
use layers.{scaled, wide}
use layers as l

axis v = 100
const depth = 2

## Scores.
diagram scores(Q: [q k], K: [x k]) -> [q x] {
  S[q x] = Q[q k] * K[x k] / sqrt(size(k))
  return softmax[x](S)
}

diagram attend[k](X: [x m]) -> [x m] {
  learn Lq, Lk: linear[m -> k]
  learn Lv: linear[m -> m]
  P = scores(Lq(X), Lk(X))
  V = Lv(X)
  block "Mix" {
    Y[q m] = P[q x] * V[x m]
  }
  return R[x m] = X[x m] + Y[x, m]
}

diagram layer[k](X: [x m]) -> [x m] {
  N = rms_norm[m](X)
  return X + scaled(attend(N))
}

diagram stack[k] : [x m] -> [x m] = layer^depth

diagram table[m](T: N(v)[n]) -> [n m] {
  learn E: [v m]
  return Y[n m] = E[T[n], m]
}

diagram sums(A: [t d], U: [t d]) -> [t d] {
  return H[t d] = A[t d] * where(t > 0, H[t - 1, d], 0) + U[t d]
}

diagram windows[w = 4](X: [x]) -> [n w] {
  axis n = size(x) // 4
  return Y[n w] = X[4*n + w]
}

diagram kept(X: [x]) -> [x] { return l.scaled(X) }

config small { v = 10, k = 4, depth = 3 }
config large { v = 20, w = 3 }
""",
    "layers.ncd": """axis h = 4

## Half of it.
diagram scaled(X: [n]) -> [n] { return 0.5 * X }

diagram wide(X: [x h]) -> [x] {
  return Y[x] = sum[h](X)
}
""",
}
ADDED = (
    *"()[]{}=,:+-*/^#\n'\"",
    *("diagram ", "axis x\n", "return ", "x", "k", "X", "scaled", "linear", " >> ", "->", "\n\n"),
    *("\ndiagram more(X: [x]) -> [x] { return X }\n", "assert equivariant[x](layer)\n"),
    *("use std.nn.{affine}\n", "## more\n", "const c = 3\n", "assert size(v) == 3\n", "  }\n"),
)


@st.composite
def edits(draw: st.DrawFn, most: int) -> list[tuple[str, float, int, str]]:
    """Edits: of which file, where, how many pieces are dropped, and what is put there."""
    edit = st.tuples(
        st.sampled_from(("main.ncd", "main.ncd", "main.ncd", "layers.ncd")),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from((0, 0, 1, 1, 2, 20)),
        st.sampled_from(("", "", *ADDED)),
    )
    return draw(st.lists(edit, min_size=1, max_size=most))


def edited(text: str, place: float, dropped: int, put: str) -> str:
    pieces = PIECE.findall(text)
    at = int(place * len(pieces))
    return "".join([*pieces[:at], put, *pieces[at + dropped :]])


def finder(files: Mapping[str, Source]) -> Any:
    library = Project()

    def find(importer: Source, dotted: tuple[str, ...]) -> Source | None:
        return files.get(f"{'.'.join(dotted)}.ncd") or library.find(importer, dotted)

    return find


def flat(found: Diagnostic, files: Mapping[str, Source]) -> tuple[Any, ...]:
    def place(span: Span) -> tuple[str, int, int]:
        if not span.source.is_library:
            assert span.source is files[span.source.name], (span, found)
        return span.source.name, span.start, span.end

    fix = found.fix
    return (
        *(found.code, found.message, found.label, found.notes, found.help, place(found.span)),
        [(place(label.span), label.text) for label in found.labels],
        fix and (fix.title, fix.safe, [(place(span), text) for span, text in fix.edits]),
    )


def by_memory(files: Mapping[str, Source], main: str, memory: Memory) -> Any:
    checking = check_steps(files[main], Compilation(finder(files), {}, memory=memory))
    while True:
        try:
            next(checking)
        except StopIteration as done:
            return done.value


def told(
    result: tuple[CheckedProgram, tuple[Diagnostic, ...]], files: Mapping[str, Source]
) -> tuple[Any, ...]:
    program, found = result
    return [flat(each, files) for each in found], [
        render_checked(diagram) for diagram in program.diagrams
    ]


def agree(texts: Mapping[str, str], main: str, memory: Memory) -> None:
    files = {name: Source(name, text) for name, text in texts.items()}
    remembered = told(by_memory(files, main, memory), files)
    fresh = told(check_source(files[main], finder(files)), files)
    assert remembered == fresh, "\n".join(f"==== {n}\n{t}" for n, t in texts.items())


@settings(
    max_examples=1500 if FULL else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=not FULL,
)
@given(edits(12))
def test_after_random_edits_findings_are_those_of_a_fresh_check(
    changes: list[tuple[str, float, int, str]],
) -> None:
    memory = Memory()
    texts = dict(FILES)
    agree(texts, "main.ncd", memory)
    for file, place, dropped, put in changes:
        before = texts[file]
        texts[file] = edited(before, place, dropped, put)
        agree(texts, "main.ncd", memory)
        if not put:  # and back: what was remembered of the text before counts again
            agree({**texts, file: before}, "main.ncd", memory)


@pytest.mark.parametrize(
    ("stem", "name"), [(stem, each.name) for stem, each in CASES[:: 1 if FULL else 12]]
)
def test_cases_of_the_suite_one_after_the_other(stem: str, name: str) -> None:
    given = next(each for other, each in CASES if (other, each.name) == (stem, name))
    memory = Memory()
    for gap in ("", "\n", ""):
        files = {file: f"{gap}{text}" for file, text in given.files.items()}
        agree(files, next(iter(files)), memory)
    for main in list(given.files):
        lines = given.files[main].splitlines(keepends=True)
        for i in range(0, len(lines), 3):
            shorter = {**given.files, main: "".join(lines[:i] + lines[i + 1 :])}
            agree(shorter, next(iter(shorter)), memory)


def tree_of(text: str, parser: Parser) -> tuple[Any, ...]:
    source = Source("a.ncd", text)
    files = {"a.ncd": source}
    parsed = parser.parse(source)
    rendered = render_tree(parsed.file, spans=True).replace("_Moved", "Diagram")
    broken = [(span.start, span.end) for span in parsed.broken]
    comments = [(span.start, span.end) for span in parsed.file.comments]
    found = [flat(each, files) for each in parsed.diagnostics]
    return rendered, comments, found, broken, parsed.lost


class Fresh(Parser):
    """Parses every text from its start."""

    parse = staticmethod(parse)  # type: ignore[assignment]


@settings(max_examples=500 if FULL else 15, deadline=None, database=None, derandomize=not FULL)
@given(st.sampled_from([text for _, each in CASES for text in each.files.values()]), edits(10))
def test_after_random_edits_a_text_is_parsed_as_from_its_start(
    text: str, changes: list[tuple[str, float, int, str]]
) -> None:
    parser = Parser()
    text = FILES["layers.ncd"] + text + FILES["main.ncd"]
    for _, place, dropped, put in changes:
        text = edited(text, place, dropped, put)
        assert tree_of(text, parser) == tree_of(text, Fresh())


def test_a_change_of_one_diagram_costs_a_fraction_of_a_check() -> None:
    whole = FILES["main.ncd"]
    head, part = whole[: whole.index("## Scores")], whole[whole.index("## Scores") :]
    part = part[: part.index("config")]
    names = ("scores", "attend", "layer", "stack", "table", "sums", "windows", "kept")
    text = head
    for number in range(12):
        text += re.sub(rf"\b({'|'.join(names)})\b", rf"\g<1>{number}", part)
    place = text.rindex("  return softmax")

    def changed(typed: str, memory: Memory) -> float:
        files = {name: Source(name, each) for name, each in FILES.items()}
        files["main.ncd"] = Source("main.ncd", text[:place] + typed + text[place:])
        return processor_seconds(lambda: by_memory(files, "main.ncd", memory))

    def part_of_a_check() -> float:
        memory = Memory()
        first = changed("", memory)
        typed = (*("  Z = S"[: n + 1] for n in range(7)), "  Z = S\n")
        return median(changed(each, memory) for each in typed) / first

    passed, seen = within(1 / 3, part_of_a_check)
    assert passed, seen
