"""The gallery: every diagram of the examples, its source beside its drawing.

`make docs` (`--update-golden`) writes the page and the pictures. A picture differs between versions
of Graphviz; the text that it is made from does not, so the digest of that text is what is compared.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ncdlang
from ncdlang.api import Drawing, Library
from ncdlang.semantics.program import CheckedDiagram

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "images" / "gallery"
EXAMPLES = sorted((ROOT / "examples").glob("*.ncd"))
WIDTH = "1300"

BEGIN, END = "<!-- generated: gallery -->\n", "<!-- end -->\n"
HEAD = f"""# Gallery

Every diagram of the examples, as `ncdc draw FILE DIAGRAM --width {WIDTH}` draws it. A wire is an
axis, an array is a stack of wires, and a dashed line separates the arrays of a tuple. Axes that an
operation is broadcast over pass by its box; those that it acts on enter it. Dots are copies and
shared axes, cups are contractions. In the pictures, hovering shows the type of what is under the
pointer.

A drawing is opened as deep as reads well: at most 3200 points wide, at most 150 crossings; `--depth
all` opens everything. `--streams` colours wires by the memory that holds them and tells the tiles
of the kernels that `ncdc explain` derives. `--rewrite NAME` draws what is before a rewrite and what
is after it.

"""


def drawing(library: Library, name: str) -> Drawing:
    return library.draw(name, width=WIDTH)


def source(path: Path, diagram: CheckedDiagram, following: CheckedDiagram | None) -> str:
    """The text of a diagram, with its documentation, up to the next declaration."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = diagram.span.line - 1
    while start and lines[start - 1].startswith("## "):
        start -= 1
    end = following.span.line - 1 if following else len(lines)
    body = lines[diagram.span.line - 1 : end]
    stop = next(
        (i for i, line in enumerate(body) if i and line.startswith(("#", "config", "const"))),
        len(body),
    )
    return "\n".join([*lines[start : diagram.span.line - 1], *body[:stop]]).rstrip() + "\n"


def page() -> str:
    parts = [HEAD, BEGIN]
    for path in EXAMPLES:
        parts.append(f"## {path.stem}\n\n[`examples/{path.name}`](../examples/{path.name})\n\n")
        diagrams = ncdlang.load(path).program.diagrams
        for diagram, following in zip(diagrams, (*diagrams[1:], None), strict=True):
            image = f"images/gallery/{path.stem}.{diagram.name}.svg"
            text = source(path, diagram, following)
            parts.append(f"### {diagram.name}\n\n```ncd\n{text}```\n\n")
            parts.append(f"![{diagram.name} as a circuit]({image})\n\n")
    return "".join([*parts, END])


def test_the_gallery_is_of_these_examples(request: pytest.FixtureRequest) -> None:
    fresh = page()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(fresh, encoding="utf-8", newline="\n")
    assert PAGE.read_text(encoding="utf-8") == fresh, "run `make docs`"


def test_the_pictures_are_of_these_drawings(
    request: pytest.FixtureRequest, golden: Callable[[str, str], None]
) -> None:
    digests: list[str] = []
    names: set[str] = set()
    for path in EXAMPLES:
        library = ncdlang.load(path)
        for name in library.diagrams:
            drawn = drawing(library, name)
            digest = hashlib.sha256(drawn.gv().encode()).hexdigest()[:16]
            digests.append(f"{path.stem}.{name} {digest}\n")
            picture = PICTURES / f"{path.stem}.{name}.svg"
            names.add(picture.name)
            if request.config.getoption("--update-golden") and shutil.which("neato"):
                PICTURES.mkdir(parents=True, exist_ok=True)
                picture.write_text(drawn.svg(), encoding="utf-8", newline="\n")
            ElementTree.parse(picture)
    golden("gallery.txt", "".join(digests))
    assert {path.name for path in PICTURES.glob("*.svg")} == names
