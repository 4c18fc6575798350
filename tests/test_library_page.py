"""`docs/library.md` is what the files of the standard library say of themselves.

`make docs` (`--update-golden`) writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "library.md"
FILES = sorted(
    (ROOT / "stdlib" / "std").glob("*.ncd"), key=lambda path: (path.stem != "prelude", path.stem)
)
SECTION = re.compile(r"^# -{4,} (.+?) -{4,}$")

HEAD = """# The standard library

Written by `make docs` from the documentation in `stdlib/std`.

The names of `std.prelude` are known everywhere; those of the other modules come with `use`, as in
`use std.nn.{linear, rms_norm}`. What stands in brackets is given where a diagram is used:

- an axis that an input carries is a target, found in the argument by its name: `softmax[x](S)`;
- an axis that no input carries is a size: `conv1d[j = 5, c' = 64](X)`;
- a name with two dots stands for any number of axes: `linear[m -> h k](X)`;
- a `const` is a setting: `rms_norm[m, eps = 1e-5](X)`.

All further axes of the arguments are lifted. Whatever has parameters is named by `learn`, or has
parameters of its own at the place where it is called.
"""


def built_in() -> Iterator[str]:
    """What the compiler knows by itself."""
    yield "## Built in"
    yield "Elementwise functions: " + listed(FUNCTIONS) + "; `where(condition, a, b)` chooses."
    empty = [name for name, has_identity in REDUCTIONS.items() if has_identity]
    yield (
        f"Reductions over axes, as in `sum[x](X)`: {listed(REDUCTIONS)}. Of an empty axis only "
        f"{listed(empty)} have a value."
    )
    yield "Stages of pipelines: `einsum[...]`, `scale[...]`, `route[...]`, `cast[...]`, `id`."


def listed(names: object) -> str:
    assert isinstance(names, dict | frozenset | list)
    return ", ".join(f"`{name}`" for name in sorted(names))


def module(path: Path) -> Iterator[str]:
    """The chapter of one file."""
    text = path.read_text(encoding="utf-8")
    source = Source(path.name, text)
    yield f"## `std.{path.stem}`"
    yield introduction(text)
    titles = {
        number: match[1]
        for number, line in enumerate(text.splitlines(), 1)
        if (match := SECTION.match(line))
    }
    for declared in parse(source).file.declarations:
        if not isinstance(declared, tree.Diagram | tree.Op):
            continue
        for number in [n for n in titles if n < declared.span.line]:
            yield f"### {titles.pop(number).capitalize()}"
        yield from entry(declared)


def introduction(text: str) -> str:
    """The comment at the top of a file."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return "\n".join(lines)


def entry(declared: tree.Diagram | tree.Op) -> Iterator[str]:
    """One diagram: how it is called, what it learns, what it is."""
    yield f"#### `{declared.name.text}`"
    yield f"```text\n{signature(declared)}\n```"
    yield declared.doc
    learned = list(parameters(declared.body or ()) if isinstance(declared, tree.Diagram) else ())
    if learned:
        yield "Learns " + ", ".join(f"`{parameter}`" for parameter in learned) + "."


def signature(declared: tree.Diagram | tree.Op) -> str:
    text = declared.header.text if isinstance(declared, tree.Diagram) else declared.span.text
    text = text.partition("{" if isinstance(declared, tree.Op) else "\0")[0]
    return " ".join(text.split()).removeprefix("diagram ").removeprefix("op ")


def parameters(body: tuple[tree.Statement, ...]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, tree.Learn):
            yield " ".join(statement.span.text.removeprefix("learn ").split())


def page() -> str:
    parts = [HEAD.strip(), *built_in()]
    for path in FILES:
        parts += module(path)
    return "\n\n".join(parts) + "\n"


def test_the_page_says_what_the_files_say(request: pytest.FixtureRequest) -> None:
    fresh = page()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(fresh, encoding="utf-8", newline="\n")
    assert PAGE.exists(), "run `make docs`"
    assert fresh == PAGE.read_text(encoding="utf-8"), "run `make docs`"
