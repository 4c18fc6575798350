"""The geometry of circuits: nothing overlaps, and crossings and bends don't grow."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from clock import processor_seconds, within
from ncdlang.backends.draw.circuit import fitting
from ncdlang.backends.draw.circuit.drawing import draw
from ncdlang.backends.draw.circuit.measure import (
    bends,
    box_overlaps,
    crossings,
    label_overlaps,
    wires_through_boxes,
)
from ncdlang.backends.draw.circuit.metrics import text_box
from ncdlang.backends.draw.circuit.model import Box
from ncdlang.backends.draw.circuit.scene import Label, Outline, Scene, Shape, Wire
from ncdlang.backends.draw.notation import Notation
from ncdlang.backends.draw.options import Options, parse_options
from test_pytorch_random import Author

import ncdlang
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram

ROOT = Path(__file__).parent.parent
MEASURES = Path(__file__).parent / "golden" / "circuits.txt"
EXAMPLES = sorted((ROOT / "examples").glob("*.ncd"))
LIBRARY = sorted((ROOT / "stdlib" / "std").glob("*.ncd"))
CIRCUIT = parse_options({"style": "circuit"})
RANDOM, CHUNKS = 200, 8

# Crossings of wires in pictures that another tool drew of the same diagrams, counted by hand.
# Attention with projections and residual: forks 1 + 3, queries and keys 6, heads 1, residual 1.
# A layer of a transformer: a fork 1 (two more lie beyond the edge of the picture), attention 7,
# residual 1, feed-forward 1 + 1.
COUNTED = {"attention_residual": 12, "layer": 11}


def scene(diagram: CheckedDiagram, options: Options = CIRCUIT) -> Scene:
    return draw(lower(diagram), options, Notation(options.labels)).scene


def faults(drawn: Scene) -> list[str]:
    return label_overlaps(drawn) + wires_through_boxes(drawn) + box_overlaps(drawn)


def diagrams(path: Path) -> tuple[CheckedDiagram, ...]:
    return ncdlang.load(path).program.diagrams


# ---- every example, the library, random programs ------------------------------------------------


@pytest.fixture
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layout of each diagram: the variants to choose from are laid out alike."""
    monkeypatch.setattr(fitting, "VARIANTS", 1)


OPTIONS = (
    {"depth": "all"},
    {"library": "open", "depth": "all"},
    {"depth": "1", "labels": "both"},
    {"width": "700", "depth": "1"},
    {"font": "DejaVu Sans"},
    {"depth": "0"},
)
ALL = os.environ.get("NCDLANG_FULL") == "1"


@pytest.mark.usefixtures("single")
@pytest.mark.parametrize(
    ("path", "options"),
    [(path, options) for path in EXAMPLES for options in OPTIONS]
    + [(path, options) for path in LIBRARY for options in OPTIONS[: None if ALL else 2]],
    ids=lambda value: value.stem if isinstance(value, Path) else str(value),
)
def test_nothing_overlaps(path: Path, options: dict[str, str]) -> None:
    chosen = parse_options({"style": "circuit", **options})
    found = {d.name: faults(scene(d, chosen)) for d in diagrams(path)}
    assert not any(found.values()), found


@pytest.mark.usefixtures("single")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_overlaps_in_random_programs(chunk: int) -> None:
    chosen = parse_options({"depth": "all"})
    drawn, seed = 0, chunk * 10_000
    while drawn < RANDOM // CHUNKS:
        seed += 1
        text = Author(Random(seed)).write()
        try:
            library = ncdlang.loads(text)
        except ncdlang.NcdError:
            continue
        drawn += 1
        for diagram in library.program.diagrams:
            assert not faults(scene(diagram, chosen)), text


def test_crossings_and_bends_do_not_grow(request: pytest.FixtureRequest) -> None:
    """One line a diagram of the examples: its name, crossings and bends."""
    measured = {
        f"{path.stem}.{diagram.name}": (crossings(drawn), bends(drawn))
        for path in EXAMPLES
        for diagram in diagrams(path)
        for drawn in [scene(diagram)]
    }
    if request.config.getoption("--update-golden"):
        lines = [f"{name} {a} {b}\n" for name, (a, b) in measured.items()]
        MEASURES.write_text("".join(lines), encoding="utf-8", newline="\n")
    known = {
        name: (int(a), int(b))
        for name, a, b in map(str.split, MEASURES.read_text(encoding="utf-8").splitlines())
    }
    assert known.keys() == measured.keys(), "run pytest with --update-golden"
    worse = {
        name: (measured[name], known[name])
        for name in known
        if any(now > then for now, then in zip(measured[name], known[name], strict=True))
    }
    assert not worse


@pytest.mark.parametrize("name", COUNTED)
def test_no_more_crossings_than_in_the_pictures_of_another_tool(name: str) -> None:
    diagram = ncdlang.load(ROOT / "examples" / "transformer.ncd").program.diagram(name)
    assert diagram is not None
    assert crossings(scene(diagram)) <= COUNTED[name]


# ---- time ---------------------------------------------------------------------------------------


def long_diagram(count: int) -> str:
    """A diagram of so many operations, which read early ones again and again."""
    forms = (
        "W{i}[a b] = {last}[a b] + X[a b]",
        "W{i} = softmax[b]({last})",
        "W{i}[a b] = tanh({last}[a b])",
        "W{i}[a b] = {last}[a b] * {early}[a b]",
        "W{i}[a b] = max[b]({last}[a b])",
    )
    lines: list[str] = []
    for i in range(count):
        last = f"W{i - 1}" if i else "X"
        early = f"W{i - 3}" if i > 2 else "X"
        lines.append("  " + forms[i % len(forms)].format(i=i, last=last, early=early))
    body = "\n".join(lines)
    return f"diagram long(X: [a b]) -> [a b] {{\n{body}\n  return W{count - 1}\n}}\n"


def test_a_transformer_takes_at_most_two_seconds() -> None:
    diagram = ncdlang.load(ROOT / "examples" / "transformer.ncd").program.diagrams[-1]
    passed, seen = within(2, lambda: processor_seconds(lambda: scene(diagram)))
    assert passed, seen


def test_a_hundred_operations_take_at_most_five_seconds() -> None:
    (diagram,) = ncdlang.loads(long_diagram(100)).program.diagrams
    passed, seen = within(5, lambda: processor_seconds(lambda: scene(diagram)))
    assert passed, seen
    assert not faults(scene(diagram))


# ---- the measures themselves --------------------------------------------------------------------


def square(
    name: str, left: float, top: float, size: float = 20, *, is_frame: bool = False
) -> Shape:
    box = Box(left, top, left + size, top + size)
    corners = (
        (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)
    )  # fmt: skip
    return Shape(name, "", box, (Outline(corners, "box"),), is_frame=is_frame)


def line(name: str, *points: tuple[float, float]) -> Wire:
    (ax, ay), (bx, by) = points
    third = ((bx - ax) / 3, (by - ay) / 3)
    inner = ((ax + third[0], ay + third[1]), (bx - third[0], by - third[1]))
    return Wire(name, "", (points[0], *inner, points[1]), "axis")


def word(text: str, x: float, baseline: float) -> Label:
    box = text_box(text, x, baseline, 15, "italic")
    return Label(text, x, baseline, 15, "italic", box)


def test_labels_on_labels_wires_and_shapes_are_found() -> None:
    drawn = Scene(100, 100)
    drawn.labels += [word("xx", 10, 20), word("y", 15, 20)]
    drawn.wires.append(line("w", (0, 18), (100, 18)))
    drawn.shapes.append(square("s", 0, 0))
    found = label_overlaps(drawn)
    assert "label 'xx' on label 'y'" in found
    assert "label 'xx' on wire w" in found
    assert "label 'y' on s" in found


def test_a_label_may_stand_above_its_wire_and_in_a_frame() -> None:
    drawn = Scene(100, 100)
    drawn.labels.append(word("x", 10, 20))
    drawn.wires.append(line("w", (0, 24.5), (100, 24.5)))
    drawn.shapes.append(square("f", 0, 0, 100, is_frame=True))
    assert not faults(drawn)


def test_the_title_of_a_frame_counts_as_a_label() -> None:
    drawn = Scene(100, 100)
    title = replace(word("title", 10, 20), of="f")
    drawn.shapes.append(replace(square("f", 0, 0, 100, is_frame=True), labels=(title,)))
    drawn.wires.append(line("w", (20, 0), (20, 100)))
    assert label_overlaps(drawn) == ["label 'title' on wire w"]


def test_wires_through_boxes_are_found() -> None:
    drawn = Scene(100, 100)
    drawn.shapes += [square("s", 40, 40), square("f", 0, 0, 100, is_frame=True)]
    drawn.wires += [line("into", (0, 50), (40, 50)), line("past", (0, 39), (100, 39))]
    assert not wires_through_boxes(drawn)
    drawn.wires.append(line("through", (0, 0), (100, 100)))
    assert wires_through_boxes(drawn) == ["through through s"]


def test_overlapping_boxes_are_found() -> None:
    drawn = Scene(100, 100)
    drawn.shapes += [square("s", 40, 40), square("f", 0, 0, 100, is_frame=True)]
    assert not box_overlaps(drawn)
    drawn.shapes += [square("t", 50, 50), square("half", 90, 10)]
    assert box_overlaps(drawn) == ["s on t", "f on half"]


def test_crossings_and_bends_are_counted() -> None:
    drawn = Scene(100, 100)
    drawn.wires += [line("a", (0, 0), (100, 100)), line("b", (0, 100), (100, 0))]
    assert (crossings(drawn), bends(drawn)) == (1, 2)
    # Wires that begin in one dot or end in another's middle do not cross there.
    drawn.wires.append(line("c", (0, 0), (100, 0)))
    assert crossings(drawn) == 1
