"""Circuits: which pictograms stand for what, how wires meet them, and what the files hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ncdlang.backends.draw.circuit.build import Context, circuit
from ncdlang.backends.draw.circuit.colours import DARK, LIGHT, Colours
from ncdlang.backends.draw.circuit.drawing import draw, draw_stages, draw_streams
from ncdlang.backends.draw.circuit.ids import Ids
from ncdlang.backends.draw.circuit.layers import columns
from ncdlang.backends.draw.circuit.measure import crossings
from ncdlang.backends.draw.circuit.metrics import text_width
from ncdlang.backends.draw.circuit.model import Circuit, Element, Picture, Port
from ncdlang.backends.draw.circuit.paint import lay_out
from ncdlang.backends.draw.circuit.pictograms import Pictograms
from ncdlang.backends.draw.circuit.scene import Scene, Shape
from ncdlang.backends.draw.circuit.stages import stages
from ncdlang.backends.draw.notation import Notation
from ncdlang.backends.draw.options import DEEPEST, parse_options

import ncdlang
from ncdlang.ir.lower import lower

EXAMPLES = Path(__file__).parent.parent / "examples"
ATTENTION = (EXAMPLES / "attention.ncd").read_text(encoding="utf-8")
CONVOLUTION = (EXAMPLES / "convolution.ncd").read_text(encoding="utf-8")
TRANSFORMER = (EXAMPLES / "transformer.ncd").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"
needs_graphviz = pytest.mark.skipif(
    shutil.which("neato") is None, reason="Graphviz is not installed"
)


class Drawn:
    """A circuit with those in its frames, before they are laid out."""

    def __init__(self, text: str, name: str | None = None, **options: str) -> None:
        diagram = ncdlang.loads(text).program.diagrams[-1]
        if name is not None:
            diagram = ncdlang.loads(text).program.diagram(name)
        assert diagram is not None
        self.inner: list[Circuit] = []
        chosen = parse_options({"style": "circuit", **options})

        def lay(inner: Circuit, _: int) -> Scene:
            self.inner.append(inner)
            return lay_out(inner, chosen.font, is_frame=True)

        context = Context(chosen, Ids(), Pictograms(Ids(), chosen.font), lay)
        depth = DEEPEST if chosen.depth is None else chosen.depth
        notation = Notation(chosen.labels)
        self.circuits = [circuit(lower(diagram), context, notation, depth), *self.inner]

    def elements(self) -> Iterator[Element]:
        """All elements."""
        for each in self.circuits:
            for node in each.nodes:
                for part in node.parts:
                    yield from part.elements

    def pictured(self, shape: str) -> list[Element]:
        """The elements with a pictogram of a shape."""
        return [e for e in self.elements() if e.picture is not None and e.picture.shape == shape]

    def pictures(self) -> list[Picture]:
        """All pictograms."""
        return [e.picture for e in self.elements() if e.picture is not None]

    def words(self) -> list[str]:
        """The words of all pictograms that have words."""
        return [" ".join((p.text + p.subscript, *p.lines)).strip() for p in self.pictures()]


def labels(bundles: list[list[Port]]) -> list[list[str]]:
    return [[port.strand.label for port in bundle] for bundle in bundles]


def diagram(signature: str, body: str, uses: str = "") -> str:
    return f"{uses}\ndiagram f{signature} {{\n{body}\n}}\n"


def scene(text: str, name: str | None = None, **options: str) -> Scene:
    program = ncdlang.loads(text).program
    chosen = parse_options({"style": "circuit", **options})
    found = program.diagrams[-1] if name is None else program.diagram(name)
    assert found is not None
    return draw(lower(found), chosen, Notation(chosen.labels)).scene


# ---- pictograms ---------------------------------------------------------------------------------


def test_targets_enter_and_tiled_axes_pass() -> None:
    drawn = Drawn(diagram("(S: [h q x]) -> [h q x]", "return softmax[x](S)"))
    (softmax,) = drawn.pictured("triangle")
    assert labels(softmax.ins) == labels(softmax.outs) == [["x"]]
    passing = [labels(e.ins) for e in drawn.elements() if e.picture is None and e.ins and e.outs]
    assert passing == [[["h"]], [["q"]]]


def test_tiled_axes_pass_over_or_below_as_they_stand() -> None:
    drawn = Drawn(diagram("(S: [h q x]) -> [h q x]", "return softmax[q](S)"))
    (part,) = [n.parts[0] for n in drawn.circuits[0].nodes if len(n.parts[0].elements) == 3]
    assert [labels(element.ins) for element in part.elements] == [[["h"]], [["q"]], [["x"]]]


SPREAD = "axis y = size(x) + size(j) - 1\nZ: [y]\nZ[x + j] += X[x] * W[j]\nreturn Z"
USES = "use std.nn.{linear, affine, embedding, rms_norm, layer_norm}"


@pytest.mark.parametrize(
    ("signature", "body", "shape", "words"),
    [
        ("[k](X: [x m]) -> [x k]", "learn Lq: linear[m -> k]\nreturn Lq(X)", "cut", "Lq"),
        ("[k](X: [x m]) -> [x k]", "learn up: linear[m -> k]\nreturn up(X)", "cut", "Lup"),
        ("[k](X: [x m]) -> [x k]", "learn W: affine[m -> k]\nreturn W(X)", "cut", "W"),
        ("[k](X: [x m]) -> [x k]", "return linear[m -> k](X)", "cut", "L"),
        ("[m](T: N(v)[x]) -> [x m]", "learn E: embedding[v -> m]\nreturn E(T)", "house", "E"),
        ("(X: [x m]) -> [x m]", "return rms_norm[m](X)", "vee", "V"),
        ("(X: [x m]) -> [x m]", "return layer_norm[m](X)", "circle", "LN"),
        ("(X: [x m]) -> [x m]", "return relu(X)", "pill", "relu"),
        ("(X: [x m]) -> [x m]", "return Y[x m] = X[x m] / sqrt(size(m))", "pill", "÷ √m"),
        ("(X: [x m]) -> [x m]", "return Y[x m] = X[x m] * 2 + 1", "pill", "× 2 + 1"),
        ("(X: [x m]) -> [x m]", "return Y[x m] = X[x m] ^ 2", "pill", "X²"),
        ("(X: [x m]) -> [x]", "return sum[m](X)", "bar", ""),
        ("(X: [x m]) -> [x]", "return max[m](X)", "box", "max"),
        ("(X: [x m]) -> [x m]", "return cumsum[m](X)", "box", "cumsum[m]"),
        ("(X: [x m]) -> [x m]", "return sort[m](X)", "box", "sort[m]"),
        ("(X: [x m], W: [m k]) -> [x k]", "return Y[x k] = 2 * X[x m] * W[m k]", "pill", "× 2"),
        ("(A: [x], B: [x]) -> [x]", "return Y[x] = A[x] + B[x]", "sign", "+"),
        ("(A: [x], B: [x]) -> [x]", "return Y[x] = A[x] / B[x]", "sign", "÷"),
        ("(A: [x], B: [x]) -> [x]", "return Y[x] = max(A[x], B[x])", "pill", "max(A, B)"),
        ("(X: [x m]) -> [m]", "assert size(x) > 2\nreturn Y[m] = X[2, m]", "pentagon", "2"),
        ("(X: [x]) -> [x]", "return Y[x] = X[size(x) - 1 - x]", "pentagon", "−x + |x| − 1"),
        ("(X: [x]) -> [i j]", "axis j = 3\nreturn Y[i j] = X[2*i + j]", "hexagon", "2i + j"),
        ("(X: [x m]) -> [(x m)]", "return Y[(x m)] = X[x m]", "hexagon", "(x m)"),
        ("(X: [(x m)]) -> [x m]", "return Y[x m] = X[(x m)]", "hexagon", "(x m)"),
        ("(E: [v m], T: N(v)[n]) -> [n m]", "return Y[n m] = E[T[n], m]", "pentagon", "T"),
        ("(T: N(v)[n]) -> [v]", "Z: [v]\nZ[T[n]] += 1\nreturn Z", "tail", "+= T"),
        ("(X: [x], W: [j]) -> [y]", SPREAD, "hexagon", "+= x + j"),
        ("(X: [x]) -> [x]", "return Y[x] = X[x] + where(x > 0, Y[x - 1], 0)", "scan", "scan x"),
    ],
)  # fmt: skip
def test_pictograms(signature: str, body: str, shape: str, words: str) -> None:
    drawn = Drawn(diagram(signature, body, USES))
    of_shape = [p for p in drawn.pictures() if p.shape == shape]
    assert words in [" ".join((p.text + p.subscript, *p.lines)).strip() for p in of_shape]


def test_learned_operations_are_bold() -> None:
    drawn = Drawn(TRANSFORMER)
    bold = {p.shape for p in drawn.pictures() if p.is_bold}
    assert bold == {"cut", "vee", "house"}
    assert not any(p.is_bold for p in drawn.pictures() if p.shape in ("triangle", "mask", "pill"))


# ---- masks --------------------------------------------------------------------------------------


def area(points: tuple[tuple[float, float], ...]) -> float:
    """The area of a polygon (the surveyor's formula)."""
    turned = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in turned)) / 2


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("x <= q", 0.5),
        ("x > q", 0.5),
        ("x <= q and q - x < 10", 1 - (0.5 - 0.75**2 / 2)),
        ("not (x < q)", 0.5),
        ("x < size(x) // 2", 0.5),
        ("(q // 5) % 2 == 0", 0.5),
    ],
)
def test_a_mask_is_filled_where_its_condition_fails(condition: str, taken: float) -> None:
    body = f"return M[q x] = where({condition}, S[q x], -inf)"
    (square,) = Drawn(diagram("(S: [q x]) -> [q x]", body)).pictured("mask")
    assert square.picture is not None
    assert sum(map(area, square.picture.points)) == pytest.approx(taken, abs=0.03)


def test_the_causal_mask_keeps_the_lower_left() -> None:
    (square,) = Drawn(ATTENTION, "causal_attention").pictured("mask")
    assert square.picture is not None
    (points,) = square.picture.points
    x = sum(x for x, _ in points) / len(points)
    y = sum(y for _, y in points) / len(points)
    assert x > 0.5 > y
    assert labels(square.ins) == [["q", "x"]]


@pytest.mark.parametrize("condition", ["S[q x] > 0", "x >= 0", "x + q > 3 * size(x)"])
def test_what_is_no_mask_is_told_in_words(condition: str) -> None:
    body = f"return M[q x] = where({condition}, S[q x], -inf)"
    drawn = Drawn(diagram("(S: [q x]) -> [q x]", body))
    assert not drawn.pictured("mask")
    assert any("where" in words for words in drawn.words())


# ---- arrays -------------------------------------------------------------------------------------


def test_a_contraction_has_cups_and_dots() -> None:
    drawn = Drawn(ATTENTION, "attention")
    cups = [cup for each in drawn.circuits for cup in each.cups]
    assert [[port.strand.label for port in cup.ports] for cup in cups] == [["k", "k"], ["x", "x"]]
    dots = [p.strand.label for e in drawn.elements() for b in e.ins for p in b if p.is_dot]
    assert dots == ["h", "h"]


def test_three_factors_make_a_chain_of_cups() -> None:
    body = "return Y[i j] = A[i k] * B[k] * C[k j]"
    drawn = Drawn(diagram("(A: [i k], B: [k], C: [k j]) -> [i j]", body))
    (cup,) = drawn.circuits[0].cups
    assert len(cup.ports) == 3
    wires = lay_out(drawn.circuits[0], "Times", is_frame=False).wires
    assert sum(wire.role == "cup" for wire in wires) == 2


def test_other_datatypes_have_a_wire_of_their_own() -> None:
    drawn = Drawn(diagram("(T: N(v)[n], E: [v m]) -> [n m]", "return Y[n m] = E[T[n], m]"))
    source = drawn.circuits[0].inputs
    assert [[port.strand.label for port in ports] for ports in source] == [
        ["n", "N(v)"],
        ["v", "m"],
    ]
    assert source[0][1].strand.is_datum


def test_arguments_that_are_read_askew_are_reindexed_first() -> None:
    """Broadcasts whose inputs are reindexed differently are drawn, each index at its wire."""
    body = "return Y[i] = X[2*i] * X[2*i + 1] + where(i > 0, X[i - 1], 0)"
    drawn = Drawn(diagram("(X: [x]) -> [i]", f"axis i = size(x) // 2\n{body}"))
    words = drawn.words()
    assert {"2i", "2i + 1", "i − 1"} <= set(words)


# ---- blocks, calls, copies ----------------------------------------------------------------------


def test_copies_of_a_layer_are_drawn_once() -> None:
    drawn = Drawn(TRANSFORMER, "transformer")
    (brackets,) = drawn.pictured("brackets")
    assert brackets.picture is not None
    assert (brackets.picture.text, brackets.picture.subscript) == ("layer[h, k, f]", "6")
    assert len(drawn.pictured("triangle")) == 1
    closed = Drawn(TRANSFORMER, "transformer", depth="0")
    assert "layer ^ 6" in closed.words()


def test_depth_folds_calls_and_blocks() -> None:
    def frames(depth: str) -> list[str]:
        drawn = Drawn(ATTENTION, "multi_head", depth=depth)
        return sorted(p.text for p in drawn.pictures() if p.inner is not None)

    assert frames("0") == []
    assert frames("1") == ["Attention core"]
    assert frames("2") == frames("all") == ["Attention core", "causal_attention"]
    assert "Attention core" in Drawn(ATTENTION, "multi_head", depth="0").words()


def test_a_frame_is_entered_where_its_wires_are() -> None:
    drawn = Drawn(ATTENTION, "multi_head")
    block = next(e for e in drawn.elements() if e.picture and e.picture.text == "Attention core")
    (inner,) = [c for c in drawn.inner if len(c.inputs) == 1]
    assert block.fixed is not None
    places = {port.strand.label: y for port, y in block.fixed.items() if port in block.ins[0]}
    assert places == {port.strand.label: port.y for port in inner.inputs[0]}


def test_columns_are_the_depth_of_composition() -> None:
    drawn = Drawn(
        diagram(
            "(X: [x]) -> [x]",
            "Y = tanh(X)\nreturn Z[x] = X[x] + exp(Y)[x]".replace("exp(Y)[x]", "exp(Y[x])"),
        )
    )
    found = columns(drawn.circuits[0])
    for layer, links in enumerate(found.links):
        assert all(link.tail.part.node.layer == layer for link in links)
        assert all(link.head.part.node.layer == layer + 1 for link in links)


# ---- options ------------------------------------------------------------------------------------


def shown(drawn: Scene) -> set[str]:
    return {label.text for label in drawn.all_labels()}


def test_labels_are_names_sizes_or_both() -> None:
    loaded = ncdlang.loads(ATTENTION)
    sizes = {"h": 8, "k": 64, "m": 512}
    assert "-m T" not in loaded.draw("multi_head", sizes=sizes, labels="sizes").gv()
    assert "-512" in loaded.draw("multi_head", sizes=sizes, labels="sizes").gv()
    assert "-m=512" in loaded.draw("multi_head", sizes=sizes, labels="both").gv()


def test_a_wide_diagram_is_broken_into_lines() -> None:
    wide, narrow = scene(TRANSFORMER), scene(TRANSFORMER, width="900")
    assert narrow.width <= 900
    assert narrow.height > wide.height
    broken = {text for text in shown(narrow) if "\N{HORIZONTAL ELLIPSIS}" in text}
    assert {"x", "m"} <= {text.strip("\N{HORIZONTAL ELLIPSIS} ") for text in broken}
    assert shown(narrow) - broken == shown(wide)


@pytest.mark.parametrize(
    ("option", "value"),
    [("width", "10"), ("width", "wide"), ("width", "-3"), ("font", 'x"y'), ("font", ""),
     ("style", "round"), ("depth", "-1")],
)  # fmt: skip
def test_bad_options_are_refused(option: str, value: str) -> None:
    with pytest.raises(ncdlang.NcdError, match=option):
        ncdlang.loads(ATTENTION).draw("attention", **{option: value}).gv()


def test_another_font_is_given_more_room() -> None:
    assert text_width("wire", 15, "italic", "Arial") > text_width("wire", 15, "italic")
    assert scene(ATTENTION, font="Arial").width > scene(ATTENTION).width
    assert "-Arial" in ncdlang.loads(ATTENTION).draw(font="Arial").gv()


# ---- files --------------------------------------------------------------------------------------


def test_the_same_program_gives_the_same_text_in_every_process() -> None:
    script = (
        "import sys, ncdlang; sys.stdout.reconfigure(encoding='utf-8');"
        "print(ncdlang.loads(sys.stdin.read()).draw('transformer').gv(), end='')"
    )
    texts: set[str] = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=TRANSFORMER,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        texts.add(done.stdout)
    assert texts == {ncdlang.loads(TRANSFORMER).draw("transformer").gv()}


@needs_graphviz
@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_files_are_the_same_byte_for_byte(form: str) -> None:
    first, second = (ncdlang.loads(ATTENTION).draw("multi_head") for _ in range(2))
    assert getattr(first, form)() == getattr(second, form)()


@needs_graphviz
def test_svg_ids_and_titles() -> None:
    svg = ncdlang.loads(ATTENTION).draw("causal_attention").svg()
    root = ElementTree.fromstring(svg.encode())
    groups = {g.get("id"): g for g in root.iter(f"{SVG}g") if g.get("id")}
    for name, title in (
        ("causal_attention.S.L12", "S: [h q x]"),
        ("causal_attention.M.L13", "M: [h q x]"),
        ("causal_attention.P.L14", "P: [h q x]"),
        ("Q.q", "Q: [q h k]"),
    ):
        assert (groups[name].findtext(f"{SVG}title") or "").splitlines()[0] == title
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    drawn = [g for g in root.iter(f"{SVG}g") if g.get("class") in ("box", "frame", "edge", "dot")]
    assert all(g.findtext(f"{SVG}title") for g in drawn)
    assert "Graphviz" not in svg


@needs_graphviz
def test_graphviz_keeps_every_position() -> None:
    drawn = scene(ATTENTION, "attention")
    svg = ncdlang.loads(ATTENTION).draw("attention").svg()
    root = ElementTree.fromstring(svg.encode())
    text = next(t for t in root.iter(f"{SVG}text") if t.text == "Q")
    label = next(label for label in drawn.labels if label.text == "Q")
    assert float(text.get("x", "")) == pytest.approx(label.x, abs=0.01)
    assert float(text.get("y", "")) + drawn.height == pytest.approx(label.baseline, abs=0.01)
    path = next(g for g in root.iter(f"{SVG}g") if g.get("id") == "Q.q").find(f"{SVG}path")
    assert path is not None
    start = re.findall(r"-?[\d.]+", path.get("d", ""))[:2]
    wire = next(wire for wire in drawn.wires if wire.id == "Q.q")
    assert float(start[0]) == pytest.approx(wire.points[0][0], abs=0.01)
    assert float(start[1]) + drawn.height == pytest.approx(wire.points[0][1], abs=0.01)


@needs_graphviz
def test_a_large_drawing_is_rendered() -> None:
    """Graphviz refuses strings of more than 16384 characters."""
    sums = "\n".join(f"W{i} = softmax[x](W{i - 1} + X)" for i in range(1, 60))
    svg = ncdlang.loads(diagram("(X: [x]) -> [x]", f"W0 = X\n{sums}\nreturn W59")).draw().svg()
    assert svg.count('class="box"') == 59 * 2


@needs_graphviz
def test_any_text_is_drawn() -> None:
    """Titles of blocks may hold anything, quotes and backslashes too."""
    body = 'block "a \\" <b> & \\\\ % \N{GREEK SMALL LETTER ALPHA}" {\n Y = tanh(X)\n}\nreturn Y'
    svg = ncdlang.loads(diagram("(X: [x]) -> [x]", body)).draw().svg()
    assert "tanh" in svg
    ElementTree.fromstring(svg.encode())


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_wires_stand_out(colours: Colours) -> None:
    """Contrast of at least 7 for ink and 4.5 for titles on whatever they may lie on (WCAG)."""

    def contrast(one: str, two: str) -> float:
        low, high = sorted((_luminance(one), _luminance(two)))
        return (high + 0.05) / (low + 0.05)

    grounds = (colours.paper, colours.box, colours.learned, colours.norm, colours.reindex)
    for ground in (*grounds, *colours.frames):
        assert contrast(colours.ink, ground) >= 7
        assert contrast(colours.muted, ground) >= 4.5
        for wire in (colours.shared, colours.registers):
            assert contrast(wire, ground) >= 3
    assert contrast(colours.visible, colours.masked) >= 1.9


# ---- derived graphs -----------------------------------------------------------------------------


def stages_of(text: str, name: str, rewrite: str, **options: str) -> Scene:
    found = ncdlang.loads(text).program.diagram(name)
    assert found is not None
    chosen = parse_options({"rewrite": rewrite, **options})
    made = stages(lower(found), rewrite, {})
    return draw_stages(made, chosen, Notation(chosen.labels)).scene


def test_the_stages_of_a_rewrite_stand_side_by_side() -> None:
    drawn = stages_of(CONVOLUTION, "conv1d", "matrix-product")
    before, after = (shape for shape in drawn.shapes if shape.is_frame)
    assert [shape.labels[0].text for shape in (before, after)] == [
        "before",
        "after matrix-product: Y as a matrix product",
    ]
    assert after.box.left > before.box.right
    assert sum("hexagon" in shape.id or "(j c)" in _words(shape) for shape in drawn.shapes) == 2
    narrow = stages_of(CONVOLUTION, "conv1d", "matrix-product", width="500")
    before, after = (shape for shape in narrow.shapes if shape.is_frame)
    assert after.box.top > before.box.bottom
    assert narrow.width <= 500


def _words(shape: Shape) -> str:
    return " ".join(label.text for label in shape.labels)


def test_a_rewrite_that_does_nothing_says_so() -> None:
    drawn = stages_of(CONVOLUTION, "flip", "matrix-product")
    (only,) = (shape for shape in drawn.shapes if shape.is_frame)
    assert only.labels[0].text == "matrix-product: applies nowhere"


def test_each_rewrite_of_the_pipeline_that_does_something_is_a_stage() -> None:
    body = "Y[i] = tanh(X[i]) + tanh(X[i])\nZ = exp(X)\nreturn Y"
    drawn = stages_of(diagram("(X: [i]) -> [i]", body), "f", "pipeline")
    titles = [shape.labels[0].text.partition(":")[0] for shape in drawn.shapes if shape.is_frame]
    assert titles == ["before", "after common-subterms", "after dead-wires"]


def test_an_unknown_rewrite_is_refused() -> None:
    with pytest.raises(ncdlang.NcdError, match="there is no rewrite `nonsense`; the rewrites are"):
        ncdlang.loads(ATTENTION).draw(rewrite="nonsense").gv()
    with pytest.raises(ncdlang.NcdError, match="`rewrite` is drawn in the style circuit"):
        ncdlang.loads(ATTENTION).draw(style="graph", rewrite="search").gv()


def test_composite_axes_that_nothing_takes_apart_stay_whole() -> None:
    drawn = Drawn(diagram("(X: [x, (h k)]) -> [x, (h k)]", "return relu(X)"))
    assert drawn.words() == ["relu"]
    (pill,) = drawn.pictured("pill")
    assert labels(pill.ins) == labels(pill.outs) == [["(h k)"]]


def test_a_gradient_is_drawn() -> None:
    library = ncdlang.loads(ncdlang.loads(ATTENTION).gradient("attention"))
    drawn = Drawn(str(library.program.source.text))
    assert sorted(p.text for p in drawn.pictures() if p.inner) == ["Backward", "Forward"]
    names = [[port.name for port in ports if port.name] for ports in drawn.circuits[0].outputs]
    assert names == [["dQ"], ["dK"], ["dV"]]


def test_wires_enter_a_frame_in_the_order_that_suits_what_is_round_it() -> None:
    body = (
        'block "inside" {\n  P = tanh(A)\n  Q = exp(B)\n}\nR[i] = exp(Q[i])\nS[j] = tanh(P[j])\n'
        "return R, S"
    )
    drawn = scene(diagram("(B: [i], A: [j]) -> ([i], [j])", body))
    assert crossings(drawn) == 0


# ---- kernels ------------------------------------------------------------------------------------


def streams_of(text: str, name: str, sizes: dict[str, int] | None = None) -> Scene:
    found = ncdlang.loads(text).program.diagram(name)
    assert found is not None
    chosen = parse_options({"streams": "on"})
    return draw_streams(found, sizes or {}, chosen, Notation(chosen.labels)).scene


def levels_of(drawn: Scene) -> dict[str, set[str]]:
    """The memories of an array's wires, by the array's name."""
    found: dict[str, set[str]] = {}
    for wire in drawn.wires:
        if wire.role in ("axis", "datum"):
            found.setdefault(wire.id.partition(".")[0], set()).add(wire.level)
    return found


def test_what_a_kernel_reads_is_tiled_and_what_it_works_out_stays_in_registers() -> None:
    drawn = streams_of(ATTENTION, "causal_attention")
    levels = levels_of(drawn)
    assert levels["Q"] == levels["K"] == levels["V"] == {"", "shared"}
    assert levels["S"] | levels["M"] | levels["P"] == {"registers"}
    assert levels["O"] == {""}
    tiles = {label.text for label in drawn.labels if label.face == "bold"}
    assert tiles == {"g", "g1", "s"}
    said = " ".join(label.text for label in drawn.labels if label.paint == "muted")
    assert (
        "kernel 1 makes O[q h k]: one index of h a program; rows of q grouped; k whole; x streamed"
        in said
    )


def test_tiles_have_lengths_where_sizes_are_known() -> None:
    sizes = {"q": 4096, "x": 4096, "h": 8, "k": 64}
    tiles = {
        label.text
        for label in streams_of(ATTENTION, "causal_attention", sizes).labels
        if label.face == "bold"
    }
    assert {"g1", "s64"} <= tiles
    assert any(re.fullmatch(r"g\d{2,}", tile) for tile in tiles)


def test_kernels_are_seen_inside_of_calls_and_blocks() -> None:
    drawn = streams_of(ATTENTION, "multi_head")
    levels = levels_of(drawn)
    assert levels["Q"] == {"", "shared"}
    assert levels["S"] == {"registers"}
    assert levels["X"] == {""}


def test_a_diagram_without_kernels_says_so() -> None:
    drawn = streams_of(CONVOLUTION, "conv1d")
    assert "no part of it streams: all is left to the library" in shown(drawn)
    assert set().union(*levels_of(drawn).values()) == {""}
    recurrence = (EXAMPLES / "recurrence.ncd").read_text(encoding="utf-8")
    with pytest.raises(ncdlang.NcdError, match="lstm has no kernels: a recurrence is no assoc"):
        ncdlang.loads(recurrence).draw("lstm", streams="on").gv()
    with pytest.raises(ncdlang.NcdError, match="`streams` is drawn in the style circuit"):
        ncdlang.loads(ATTENTION).draw(style="graph", streams="on").gv()


@needs_graphviz
def test_memories_differ_in_colour_and_width() -> None:
    text = ncdlang.loads(ATTENTION).draw("causal_attention", streams="on").gv()
    assert f'color="{LIGHT.shared}", penwidth=2.4' in text
    assert f'color="{LIGHT.registers}", penwidth=2.4' in text
    svg = ncdlang.loads(ATTENTION).draw("causal_attention", streams="on", theme="dark").svg()
    assert DARK.registers in svg
