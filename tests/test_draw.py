"""The dataflow drawing: its text, its words, its colours, and what Graphviz makes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ncdlang.backends.draw import DrawBackend, GraphvizError, GraphvizMissing
from ncdlang.backends.draw.dot import dot_text, tooltips
from ncdlang.backends.draw.palette import DARK, LIGHT, Palette
from ncdlang.backends.draw.picture import End, Frame, Label, Link, Node, Picture, Port
from ncdlang.backends.draw.render import render
from ncdlang.backends.draw.text import identifier, wrapped

import ncdlang
from ncdlang.ir.diagram import Graph, Scan
from ncdlang.ir.lower import lower
from ncdlang.semantics.naming import is_anonymous
from ncdlang.targets import Request, TargetError

EXAMPLES = Path(__file__).parent.parent / "examples"
ATTENTION = (EXAMPLES / "attention.ncd").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def gv(text: str, name: str | None = None, **options: Any) -> str:
    return ncdlang.loads(text).draw(name, style="graph", **options).gv()


def shown(gv_text: str) -> list[str]:
    """The labels of boxes, terminals, wires and frames as a reader sees them, ports apart."""
    plain: list[str] = []
    for label in re.findall(r"label=<(.*?)>[,\]]", gv_text):
        words = re.sub(r"<TD PORT.*?</TD>", "", label).replace("<BR/>", " ")
        words = re.sub(r"<[^>]*>", "", words)
        plain.append(" ".join(_unescaped(words).split()))
    return plain


def ports(gv_text: str) -> list[str]:
    """The texts of the ports that tell something."""
    cells = re.findall(r"<TD PORT[^>]*>(.*?)</TD>", gv_text)
    texts = (_unescaped(re.sub(r"<[^>]*>", "", cell)).strip() for cell in cells)
    return [text for text in texts if text]


def consumed(gv_text: str) -> list[str]:
    """The axes that stand out because an operation consumes or makes them."""
    return re.findall(rf'COLOR="{LIGHT.target}"><B>(.*?)</B>', gv_text)


def _unescaped(text: str) -> str:
    for entity, character in (("&#93;", "]"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"')):
        text = text.replace(entity, character)
    return text.replace("&amp;", "&")


# ---- golden texts -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["attention", "multi_head"])
def test_golden(name, golden):
    golden(f"{name}.gv", gv(ATTENTION, name))


def test_the_same_program_gives_the_same_text_in_every_process():
    script = (
        "import sys, ncdlang; sys.stdout.reconfigure(encoding='utf-8');"
        "drawn = ncdlang.loads(sys.stdin.read()).draw('multi_head', style='graph', depth='all');"
        "print(drawn.gv(), end='')"
    )
    texts = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=ATTENTION,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        texts.add(done.stdout)
    assert texts == {gv(ATTENTION, "multi_head", depth="all")}


# ---- words --------------------------------------------------------------------------------------


def test_one_box_for_each_equation_and_call():
    labels = shown(gv(ATTENTION, "causal_attention"))
    boxes = [label for label in labels if "=" in label or "softmax" in label]
    assert boxes == [
        "S = Q \N{MIDDLE DOT} K / \N{SQUARE ROOT}k over k",
        "M = where(x \N{LESS-THAN OR EQUAL TO} q, S, \N{MINUS SIGN}\N{INFINITY})",
        "softmax[x]",
        "O = P \N{MIDDLE DOT} V over x",
    ]


def test_terminals_and_wires_are_labelled_once():
    labels = shown(gv(ATTENTION, "attention"))
    for name in ("Q [q h k]", "K [x h k]", "V [x h k]", "O [q h k]", "S [h q x]", "P [h q x]"):
        assert labels.count(name) == 1


@pytest.mark.parametrize(
    ("signature", "body", "words"),
    [
        ("(X: [i j]) -> [j i]", "Y[j i] = X[i j]", "Y[j i] = X[i j]"),
        ("(X: [i i']) -> [i]", "Y[i] = X[i i]", "Y[i] = X[i i]"),
        ("(X: [x h k]) -> [x, (h k)]", "Y[x, (h k)] = X[x h k]", "Y[x, (h k)] = X[x h k]"),
        ("(X: [x]) -> [x]", "Y[x] = (X[x] + 1) * X[x]", "Y = (X + 1) · X"),
        ("(X: [x]) -> [x]", "Y[x] = X[x] - (X[x] - 1)", "Y = X − (X − 1)"),
        ("(X: [x]) -> [x]", "Y[x] = -X[x]^2", "Y = −X²"),
        ("(X: [x]) -> [x]", "Y[x] = (2 * X[x])^(X[x] + 1)", "Y = (2 · X)^(X + 1)"),
        ("(X: [x]) -> [x]", "Y[x] = sqrt(X[x] + 1) / 2", "Y = √(X + 1) / 2"),
        ("(X: [x]) -> [x]", "Y[x] = relu(exp(X[x]))", "Y = relu(exp(X))"),
        ("(X: [x]) -> [x]", "Y[x] = X[x] + x", "Y = X + x"),
        ("(X: [x]) -> [x]", "Y[x] = X[x] + x / size(x)", "Y = X + x / |x|"),
        ("(X: [x m]) -> [x]", "Y[x] = sum[m](X[x m] * 2) + 1", "Y = sum[m](X · 2) + 1"),
        ("(X: [x]) -> [x]", "Y[x] = where(X[x] > 0, 1 / X[x], 0)", "Y = where(X > 0, 1 / X, 0)"),
        (
            "(X: [x]) -> [x]",
            "Y[x] = where(x >= 2, log(X[x - 2]), exp(X[x]))",
            "Y = where(x ≥ 2, log(X[x − 2]), exp(X))",
        ),
        (
            "(A: [i k], B: [k j], C: [i l], D: [l j]) -> [i j]",
            "Y[i j] = A[i k] * B[k j] + C[i l] * D[l j]",
            "Y = sum[k](A · B) + sum[l](C · D)",
        ),
        ("(E: [v m], T: N(v)[n]) -> [n m]", "Y[n m] = E[T[n], m] * 2", "Y = E[T, m] · 2"),
    ],
)  # fmt: skip
def test_words_are_what_was_written(signature, body, words):
    text = f"diagram f{signature} {{ return {body} }}"
    assert words in shown(gv(text))


def test_a_convolution_shows_its_index_and_its_window():
    text = """diagram conv1d[j = 3, c'](X: [x c]) -> [x' c'] {
      learn W: [c' j c]
      return Y[x' c'] = W[c' j c] * X[x' + j, c]
    }"""
    drawn = gv(text)
    assert "Y = W · X[x' + j, c] over j, c" in shown(drawn)
    assert "W [c' j c]" in shown(drawn)
    assert ports(drawn) == ["c' j c", "x c"]
    assert consumed(drawn) == ["j", "c", "x", "c"]


def test_calls_name_their_axes_and_instances():
    labels = shown(gv(ATTENTION, "multi_head"))
    assert {"Lq: linear[m → h k]", "Lo: linear[h k → m]", "causal_attention"} <= set(labels)
    assert "Attention core" in labels


def test_a_nameless_input_is_told_by_the_call_that_made_it():
    text = """use std.nn.{linear}
    diagram f(X: [x m]) -> [x m] {
      learn L: linear[m -> m]
      return Y[x m] = X[x m] + L(X)
    }"""
    assert "Y = X + L(…)" in shown(gv(text))


def test_a_learned_square_map_shows_both_sides():
    text = """use std.nn.{linear}
    diagram f(X: [m]) -> [m] {
      learn A,  # linear[x]
        B: linear[m ->
                  m]
      C = B(A(X))
      return softmax[m](C)
    }"""
    labels = shown(gv(text))
    assert "B: linear[m → m]" in labels
    assert "softmax[m]" in labels


def test_every_operation_on_request():
    labels = shown(gv(ATTENTION, "attention", detail="ops"))
    assert "Q · K over k" in labels
    assert "S = ① / √k" in labels


def test_a_square_of_squares_does_not_grow_without_end():
    steps = "".join(f"  A{i + 1} = exp(A{i} * A{i}) + exp(A{i} * A{i})\n" for i in range(40))
    nested = "X"
    for _ in range(40):
        nested = f"max({nested}, {nested} + 1)" if len(nested) < 4000 else f"exp({nested})"
    text = f"diagram f(A0: [x]) -> [x] {{\n{steps}  return A40\n}}\n"
    assert len(gv(text)) < 200_000
    assert len(gv(f"diagram g(X: [x]) -> [x] {{ return Y[x] = {nested} }}")) < 3_000_000


# ---- structure ----------------------------------------------------------------------------------


def test_learned_boxes_are_bold():
    drawn = gv(ATTENTION, "multi_head")
    boxes = [line for line in drawn.splitlines() if "linear" in line and "label=<<" in line]
    assert len(boxes) == 4
    assert all('BORDER="2"' in box and "<B>L" in box for box in boxes)
    call = next(line for line in drawn.splitlines() if ">causal_attention<" in line)
    assert 'BORDER="1"' in call


def test_a_raw_parameter_is_a_bold_node_and_makes_its_reader_bold():
    text = "diagram g[f](X: [m]) -> [f] { learn W: [f m]\n return Y[f] = W[f m] * X[m] }"
    lines = gv(text).splitlines()
    bold = [line for line in lines if 'BORDER="2"' in line]
    assert len(bold) == 2


def test_blocks_are_nested_frames():
    text = """diagram f(X: [x]) -> [x] {
      block "Outer <&>" {
        A[x] = X[x] + 1
        block "Inner" { B[x] = A[x] * 2 }
      }
      return B
    }"""
    drawn = gv(text)
    assert drawn.count("subgraph cluster_") == 2
    outer = drawn.index("Outer &lt;&amp;&gt;")
    assert outer < drawn.index("<B>Inner</B>") < drawn.index("\n  }\n", outer)


def test_depth_opens_calls_and_leaves_the_library_closed():
    closed = gv(ATTENTION, "multi_head")
    opened = gv(ATTENTION, "multi_head", depth="1")
    everything = gv(ATTENTION, "multi_head", depth="all", library="open")
    assert closed.count("subgraph") == 1
    assert opened.count("subgraph") == 2
    assert "O = P · V over x" in shown(opened)
    assert "softmax[x]" in shown(opened)
    assert "Y = weight · X over m" in shown(everything)
    assert "P = where(z = 0, 0, E / z)" in shown(everything)


def test_axis_labels():
    loaded = ncdlang.loads(ATTENTION)
    sizes = {"h": 8, "k": 64, "m": 512}
    names = shown(loaded.draw("multi_head", style="graph", sizes=sizes).gv())
    numbers = shown(loaded.draw("multi_head", style="graph", sizes=sizes, labels="sizes").gv())
    both = shown(loaded.draw("multi_head", style="graph", sizes=sizes, labels="both").gv())
    assert "X [x m]" in names
    assert "X [x 512]" in numbers
    assert "C [x h=8 k=64]" in both


def _counted(drawn: str) -> tuple[int, int]:
    nodes = len(re.findall(r"^ +n\d+ \[", drawn, re.MULTILINE))
    wires = len(re.findall(r"^ +n\d+\S* -> .*id=", drawn, re.MULTILINE))
    return nodes, wires


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ncd")), ids=lambda path: path.stem)
@pytest.mark.parametrize("detail", ["equations", "ops"])
def test_every_named_wire_of_every_example_is_drawn(path, detail):
    for diagram in ncdlang.load(path).program.diagrams:
        drawn = _artifact(path, diagram.name, format="gv", detail=detail)
        graph = lower(diagram)
        named = [wire for wire in graph.wires() if not is_anonymous(wire)]
        assert all(f'tooltip="{wire}' in drawn for wire in named if _is_used(graph, wire))
        assert _counted(drawn)[0] >= len(graph.inputs) + len(graph.outputs)


def _is_used(graph: Graph, wire: object) -> bool:
    """Whether a wire is read or a result; what only a loop reads is in the loop's own text."""
    if wire in graph.outputs:
        return True
    made = (o for e in graph.edges if not isinstance(e.operator, Scan) for o in e.outputs)
    read = (o for edge in graph.edges for o in edge.inputs)
    return any(o.wire is wire for o in (*made, *read))


def _artifact(path: Path, name: str, **options: str) -> str:
    program = ncdlang.load(path).program
    diagram = program.diagram(name)
    assert diagram is not None
    content = (
        DrawBackend().emit(Request(program, diagram, options={"style": "graph", **options})).content
    )
    return content if isinstance(content, str) else ""


@needs_dot
def test_a_deep_stack_is_laid_out_in_reasonable_time():
    text = """use std.nn.{linear, rms_norm}
    diagram ffn[f] : [x m] -> [x m] = linear[m -> f] >> gelu >> linear[f -> m]
    diagram layer[f] : [x m] -> [x m] = id + (rms_norm[m] >> ffn[f])
    diagram stack[f] : [x m] -> [x m] = layer[f]^12
    """
    started = time.perf_counter()
    ncdlang.loads(text).draw("stack", style="graph", depth="all", library="open").svg()
    assert time.perf_counter() - started < 30


# ---- ids, titles, formats -----------------------------------------------------------------------


@needs_dot
def test_svg_ids_and_titles():
    svg = ncdlang.loads(ATTENTION).draw("attention", style="graph").svg()
    root = ElementTree.fromstring(svg.encode())
    groups = {g.get("id"): g for g in root.iter(f"{SVG}g") if g.get("class") in ("node", "edge")}
    title = groups["attention.S.L6"].find(f"{SVG}title")
    assert title is not None
    assert (title.text or "").splitlines()[0] == "S: [h q x]"
    assert "attention.Q.L5.to.attention.S.L6" in groups
    assert all(": [" in (g.findtext(f"{SVG}title") or "") for g in groups.values())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert "Graphviz" not in svg
    assert "version" not in svg.split("<svg", 1)[1]


@needs_dot
@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_formats_are_the_same_bytes_every_time(form):
    program = ncdlang.loads(ATTENTION).program
    diagram = program.diagram("multi_head")
    assert diagram is not None
    request = Request(program, diagram, options={"format": form})
    first, second = DrawBackend().emit(request), DrawBackend().emit(request)
    assert first == second
    assert first.suffix == f".{form}"
    start = first.content if isinstance(first.content, bytes) else first.content.encode()
    assert start.startswith({"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG"}[form])


def test_without_graphviz_the_text_is_kept(monkeypatch):
    monkeypatch.setenv("PATH", "")
    program = ncdlang.loads(ATTENTION).program
    diagram = program.diagrams[0]
    with pytest.raises(GraphvizMissing, match="apt-get install graphviz") as caught:
        DrawBackend().emit(Request(program, diagram, options={"format": "png"}))
    assert (
        caught.value.gv
        == DrawBackend().emit(Request(program, diagram, options={"format": "gv"})).content
    )


@needs_dot
def test_a_text_that_graphviz_refuses_is_an_error_with_its_words():
    with pytest.raises(GraphvizError, match="syntax error") as caught:
        render("digraph {", "svg")
    assert caught.value.gv == "digraph {"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("format", "gif"),
        ("theme", "blue"),
        ("labels", "none"),
        ("depth", "-1"),
        ("depth", "²"),
        ("style", "circle"),
        ("colour", "red"),
    ],
)
def test_bad_options_are_told(option, value):
    program = ncdlang.loads(ATTENTION).program
    with pytest.raises(TargetError, match=f"`{option}`"):
        DrawBackend().emit(Request(program, program.diagrams[0], options={option: value}))


# ---- anyone's text ------------------------------------------------------------------------------

HOSTILE = [
    '"quoted"',
    r"\N \G \E \T \H \L \n \l \r",
    "back\\",
    "<script>alert(1)</script>",
    "a & b &amp; &#93; ]]> ] [",
    "two\nlines\r\n\ttabs",
    "\x00\x07\x1b[31m\x7f\ud800",
    "Größe ξ 注意 \N{GRINNING FACE}",
    "turned \u202e around",
    "-->",
    "",
    " ",
]


def _hostile_picture(text: str) -> Picture:
    label = Label(text, text, ((text, True), (text, False)))
    node = Node("n1", "a", "call", (text,), title=text, note=text, inputs=(Port("i0", label),))
    inside = Frame("n2", "b", text, False, (text,), (node,))
    terminal = Node("n3", "c", "input", (text,), label=label)
    link = Link("d", End("n3"), End("n1", "i0"), text, label)
    return Picture(text, text, (terminal,), (), (inside,), (link,))


def _check_rendering(text: str) -> None:
    picture = _hostile_picture(text)
    for colours in (LIGHT, DARK):
        drawn = dot_text(picture, colours)
        svg = render(drawn, "svg", tooltips(picture))
        root = ElementTree.fromstring(svg)
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
            *("svg", "g", "title", "a", "path", "polygon", "text", "polyline", "ellipse"),
        }
        visible = "".join(element.text or "" for element in root.iter(f"{SVG}text"))
        for word in re.findall(r"[A-Za-z]{2,25}|\\[NGETHL]", text):
            assert word in visible


@needs_dot
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_they_are(text):
    _check_rendering(text)


@needs_dot
@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60))
def test_any_text_renders(text):
    _check_rendering(text)


@given(st.text(max_size=120), st.integers(4, 30))
def test_wrapping_keeps_every_character_and_the_width(text, width):
    lines = wrapped(text, width)
    assert all(len(line) <= width for line in lines)
    squeezed = "".join("".join(lines).split())
    assert len(squeezed) == len("".join(text.split()))


@given(st.text(max_size=40))
def test_ids_are_words(text):
    assert re.fullmatch(r"\w*", identifier(text))


def test_long_formulas_break_outside_of_inner_parentheses():
    text = "where(x \N{LESS-THAN OR EQUAL TO} q, exp(a + b + c + d + e), exp(f + g + h + i + j))"
    assert wrapped(text, 34) == (
        "where(x \N{LESS-THAN OR EQUAL TO} q,",
        "exp(a + b + c + d + e),",
        "exp(f + g + h + i + j))",
    )


# ---- colours ------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
_SEEN_AS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def _linear(colour: str) -> list[float]:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def _seen(colour: str, by: str) -> list[float]:
    rgb = _linear(colour)
    mixed = [sum(m * v for m, v in zip(row, rgb, strict=True)) for row in _SEEN_AS[by]]
    return [min(max(v, 0.0), 1.0) for v in mixed]


def _lab(rgb: list[float]) -> tuple[float, float, float]:
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    xyz = [sum(m * v for m, v in zip(row, rgb, strict=True)) for row in to_xyz]
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
        for t in (v / w for v, w in zip(xyz, white, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _distance(left: str, right: str, by: str) -> float:
    pairs = zip(_lab(_seen(left, by)), _lab(_seen(right, by)), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) ** 0.5


def _contrast(left: str, right: str, by: str) -> float:
    light = sorted(
        sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), _seen(colour, by), strict=True))
        for colour in (left, right)
    )
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("by", _SEEN_AS)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_palette_for_every_kind_of_eye(colours: Palette, by):
    fills = (colours.equation, colours.call, colours.learned)
    for left, right in combinations(fills, 2):
        assert _distance(left, right, by) > 10
    for fill in (*fills, colours.paper, *colours.blocks):
        for text in (colours.ink, colours.muted, colours.target):
            assert _contrast(fill, text, by) > 4.5
        assert _contrast(fill, colours.line, by) > 3
    for border, behind in (
        (colours.equation_border, colours.paper),
        (colours.call_border, colours.paper),
        (colours.learned_border, colours.paper),
    ):
        assert _contrast(border, behind, by) > 3
    assert _distance(colours.target, colours.muted, by) > 15
