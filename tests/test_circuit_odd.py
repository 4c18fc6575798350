"""Circuits of odd programs: nothing overlaps, and what is drawn is well-formed."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree

import pytest
from ncdlang.backends.draw.circuit.drawing import draw
from ncdlang.backends.draw.circuit.fitting import Drawn
from ncdlang.backends.draw.notation import Notation
from ncdlang.backends.draw.options import parse_options
from test_circuit_geometry import faults

import ncdlang
from ncdlang.ir.lower import lower

TWELVE = "a b c d e g h i j k l m"
FIFTEEN = ", ".join(f"A{i}: [x]" for i in range(15))
LINEAR = "use std.nn.{linear}\n"


def body(signature: str, text: str) -> str:
    return f"diagram f{signature} {{\n{text}\n}}\n"


ODD = {
    "no inputs": body("[x]() -> [x]", "return Y[x] = x * 1.0"),
    "a constant": "diagram f() -> [] { return Y[] = 3.0 }",
    "nothing done": "diagram f(X: [x]) -> [x] { return X }",
    "one wire twice": "diagram f(X: [x]) -> ([x], [x]) { return X, X }",
    "wires swapped": "diagram f(X: [x], Y: [y]) -> ([y], [x]) { return Y, X }",
    "unused inputs": "diagram f(X: [x], Y: [y], Z: []) -> [x] { return tanh(X) }",
    "inputs as results": body("(X: [x], Y: [x]) -> ([x], [x])", "Z = X + Y\nreturn X, Z"),
    "twelve axes": body(f"(X: [{TWELVE}]) -> [{TWELVE}]", "return tanh(X)"),
    "twelve axes turned round": body(
        f"(X: [{TWELVE}]) -> [{TWELVE[::-1]}]", f"return Y[{TWELVE[::-1]}] = X[{TWELVE}]"
    ),
    "fifteen inputs": body(
        f"({FIFTEEN}) -> [x]", "return Y[x] = " + " + ".join(f"A{i}[x]" for i in range(15))
    ),
    "fifteen factors": body(
        f"({FIFTEEN}) -> []", "return Y[] = " + " * ".join(f"A{i}[x]" for i in range(15))
    ),
    "long names": body(f"({'X' * 80}: [{'a' * 60}]) -> [{'a' * 60}]", f"return tanh({'X' * 80})"),
    "other alphabets": body("(Ψ: [α 列]) -> [α]", "return sum[列](Ψ)"),
    "a title of markup": body(
        "(X: [x]) -> [x]",
        'block "<b>x</b> & \\"q\\" <!-- --> ]]> %s \\\\N" {\nY = tanh(X)\n}\nreturn Y',
    ),
    "a long title": body(
        "(X: [x]) -> [x]", f'block "{"A very long title " * 9}" {{\nY = tanh(X)\n}}\nreturn Y'
    ),
    "a title of marks": body(
        "(X: [x]) -> [x]",
        'block "e\u0301a\u0308\u20dd\u202eabc\u200d" {\nY = tanh(X)\n}\nreturn Y',
    ),
    "a tuple in a pipeline": "diagram f : ([a], [b]) -> ([b], [a])"
    " = route[a b -> b a] >> (tanh | exp)",
    "copies of copies": LINEAR
    + "diagram g[h] : [m] -> [m] = linear[m -> h] >> relu >> linear[h -> m]\n"
    "diagram k[h] : [m] -> [m] = g[h]^3 >> tanh\ndiagram f[h] : [x m] -> [x m] = (k[h])^4",
    "a scatter into a scatter": body(
        "(X: [n], I: N(v)[n], J: N(w)[v]) -> [w]",
        "Y: [v]\nY[I[n]] += X[n]\nZ: [w]\nZ[J[v]] += Y[v]\nreturn Z",
    ),
    "three writes": body(
        "(X: [n], I: N(v)[n]) -> [v]",
        "Y: [v]\nY[I[n]] += X[n]\nY[I[n]] max= X[n]\nY[I[n]] *= X[n]\nreturn Y",
    ),
    "a recurrence of two wires": body(
        "(X: [t]) -> ([t], [t])",
        "A[t] = where(t > 0, B[t - 1], 0) + X[t]\n"
        "B[t] = A[t] * where(t > 0, A[t - 1], 1)\nreturn A, B",
    ),
    "a diagonal of three": body("(M: [i i' i'']) -> [i]", "return Y[i] = M[i i i]"),
    "an outer product": body(
        "(A: [i], B: [j], C: [k]) -> [i j k]", "return Y[i j k] = A[i] * B[j] * C[k]"
    ),
    "composite axes": body(
        "(X: [a, (b c), d]) -> [(a b), (c d)]", "return Y[(a b), (c d)] = X[a, (b c), d]"
    ),
    "indices of indices": body(
        "(E: [v m], I: N(v)[w], J: N(w)[n]) -> [n m]", "return Y[n m] = E[I[J[n]], m]"
    ),
    "calls in calls": "".join(
        f"diagram d{i}(X: [x]) -> [x] {{ return {f'd{i - 1}' if i else 'tanh'}(X) }}\n"
        for i in range(12)
    ),
    "booleans": body("(A: B[n], X: [n]) -> [n]", "return Y[n] = where(not A[n], X[n], 0)"),
}


def drawn(text: str, **options: str) -> Drawn:
    chosen = parse_options(options)
    diagram = ncdlang.loads(text).program.diagrams[-1]
    return draw(lower(diagram), chosen, Notation(chosen.labels))


@pytest.mark.parametrize("name", ODD)
def test_odd_programs_are_drawn(name: str) -> None:
    for options in ({}, {"depth": "0"}, {"width": "300"}):
        assert not faults(drawn(ODD[name], **options).scene), options


@pytest.mark.skipif(shutil.which("neato") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("name", ["a title of markup", "a title of marks", "other alphabets"])
def test_odd_text_gives_well_formed_files(name: str) -> None:
    ElementTree.fromstring(ncdlang.loads(ODD[name]).draw().svg().encode())


# ---- what fits and reads well -------------------------------------------------------------------

CHAIN = body(
    "(X: [a b]) -> [a b]",
    "\n".join(f"W{i} = softmax[b]({f'W{i - 1}' if i else 'X'})" for i in range(30))
    + "\nreturn W29",
)


@pytest.mark.parametrize("width", [240, 333, 640, 900])
def test_a_sheet_is_as_wide_as_it_may_be(width: int) -> None:
    found = drawn(CHAIN, width=str(width))
    assert found.scene.width + 20 <= width
    assert not found.notes
    assert not faults(found.scene)


def test_a_column_that_is_wider_than_the_sheet_is_told() -> None:
    found = drawn(ODD["long names"], width="200")
    (note,) = found.notes
    assert note.endswith("no break makes it fit into 200")


def test_what_is_too_large_to_read_is_folded() -> None:
    stage = "diagram g(X: [a b]) -> [a b] {\n" + CHAIN.split("{\n", 1)[1]
    text = stage + body("(X: [a b]) -> [a b]", "Y = g(X)\nreturn Z = g(Y)")
    folded, whole = drawn(text), drawn(text, depth="all")
    assert folded.scene.width < 3200 < whole.scene.width
    assert folded.notes == ("drawn to the depth 0, which reads well; all is opened by --depth all",)
    assert not whole.notes
    assert not drawn(CHAIN).notes


def test_notebooks_show_a_drawing() -> None:
    shown = ncdlang.loads(ODD["nothing done"]).draw()
    fitting = shown._repr_svg_().replace(' style="max-width:100%;height:auto"', "")
    assert fitting == shown.svg() != shown._repr_svg_()
