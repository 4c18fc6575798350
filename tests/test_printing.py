"""The printed stages: surface tree, checked program and diagram IR."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ncdlang
from ncdlang.ir.lower import lower
from ncdlang.ir.text import render
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.program import walk
from ncdlang.semantics.text import render_checked
from ncdlang.source import Source
from ncdlang.syntax.parser import parse
from ncdlang.syntax.text import render_tree

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(EXAMPLES.glob("*.ncd"))
EVERYTHING = """# one of each
use std.nn.{linear, rms_norm}
const n = 3
axis v = 7

## A "documented" diagram.
diagram f[h, k = 2 * size(h), const p = 0.5](X: [b m], T: N(v)[b]) -> ([b m], B[b]) {
  learn W: [v m] ~ normal(0, 0.02)
  learn C: [m] ~ frozen(zeros)
  learn L: linear[m -> h k]
  assert size(m) % 2 == 0
  block "Look \\up" {
    E[b m] = W[T[b], m] * p + C[m]
    N = rms_norm[m](E)
  }
  H = L(N)
  S[b] = max[h k](H) - sum[h, k, m](H[b h k] * N[b m]) / (sqrt(size(k)) - n)
  Y[b m] = where(S > -inf and not (m % 2 == 0), X^2, -(X + 1))
  return Y, S > 0
}
"""


def checked(text: str, name: str) -> str:
    diagram = ncdlang.loads(text).program.diagram(name)
    assert diagram is not None
    return render_checked(diagram)


def diagram_text(text: str, name: str) -> str:
    diagram = ncdlang.loads(text).program.diagram(name)
    assert diagram is not None
    return render(lower(diagram))


def tree_text(text: str, **options: bool) -> str:
    parsed = parse(Source("test.ncd", text))
    assert not parsed.diagnostics
    return render_tree(parsed.file, **options)


# ---- golden texts -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_are_printed(path, golden):
    program = ncdlang.load(path).program
    golden(f"{path.stem}.checked.txt", "\n".join(map(render_checked, program.diagrams)))
    golden(f"{path.stem}.diagram.txt", "\n".join(render(lower(d)) for d in program.diagrams))


def test_a_file_with_everything_is_printed(golden):
    golden("everything.checked.txt", checked(EVERYTHING, "f"))
    golden("everything.diagram.txt", diagram_text(EVERYTHING, "f"))
    golden("everything.tree.txt", tree_text(EVERYTHING))


# ---- the checked program ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ("(X + 1) * X", "(X[x] + 1.0) * X[x]"),
        ("X - (X - X)", "X[x] - (X[x] - X[x])"),
        ("X - X - X", "X[x] - X[x] - X[x]"),
        ("X / (X * X)", "X[x] / (X[x] * X[x])"),
        ("2 ^ X ^ X", "2.0 ^ X[x] ^ X[x]"),
        ("(2 ^ X) ^ X", "(2.0 ^ X[x]) ^ X[x]"),
        ("-(X + 1) ^ 2", "-(X[x] + 1.0) ^ 2.0"),
        ("(-X) ^ 2", "(-X[x]) ^ 2.0"),
        ("where(not (X > 0 or X < -1), X, -X)", None),
        ("max(X, min(X, pi))", "max(X[x], min(X[x], pi))"),
        ("sum[y](X * A) - X", "sum[y](X[x] * A[x y]) - X[x]"),
        ("A[x y] * B[y] - X", "(sum y. A[x y] * B[y]) - X[x]"),
    ],
)
def test_expressions_keep_their_meaning(body, printed):
    text = "diagram f(X: [x], A: [x y], B: [y]) -> [x] { return Y[x] = %s }"
    line = checked(text % body, "f").splitlines()[1].partition(" = ")[2]
    if printed is not None:
        assert line == printed
    if "sum y." not in line:
        again = checked(text % line, "f").splitlines()[1].partition(" = ")[2]
        assert again == line


def test_two_axes_of_one_name_are_told_apart():
    text = """diagram g(X: [x]) -> [x'] {
      return Y[x'] = X[x' + 1]
    }
    diagram f(X: [x], Z: [z]) -> [] {
      A = g(X)
      B = g(Z)
      C = real(argmax[x](X))
      return C
    }"""
    printed = checked(text, "f")
    assert "A: [<x'>] = g(X[<x>])" in printed
    assert "axis x' = size(x) - 1" in printed
    assert "x'~2" in printed
    assert "axis x'~2 = size(z) - 1" in printed


def test_lifting_binding_and_instances_are_shown():
    text = """use std.nn.{linear}
    diagram row(A: [i j]) -> [i] { return Y[i] = max[j](A) }
    diagram f[h](X: [b n m]) -> [b n] {
      learn L: linear[m -> h]
      return row(L(X))
    }"""
    printed = checked(text, "f")
    assert "learn L: linear" in printed
    assert "%2: [b n <h>] = L: linear(X[b n <m>]) for b n" in printed
    assert "row(%2[b <i:n> <j:h>]) for b with i = size(n), j = size(h)" in printed


# ---- the diagram IR -----------------------------------------------------------------------------


def test_weaves_and_reindexings_are_seen():
    text = """diagram f[j = 3](X: [x c]) -> [x'] {
      return Y[x'] = sum[j c](X[x' + j, c])
    }"""
    printed = diagram_text(text, "f")
    assert "%1: [x' j c] = reindex(X[x' + j, c]) for x' j c" in printed
    assert "Y: [x'] = sum[j c](%1[x' <j> <c>]) for x'" in printed


def test_blocks_are_opened_and_closed():
    text = """diagram f(X: [x]) -> [x] {
      block "a" {
        A[x] = X[x] + 1
        block "b \\"c\\"" { B[x] = A[x] * 2 }
      }
      return C[x] = B[x] * 3
    }""".replace('\\"', "'")
    lines = diagram_text(text, "f").splitlines()
    opening = [line for line in lines if line.endswith("{")]
    assert [line.strip() for line in opening] == ['block "a" {', "block \"b 'c'\" {"]
    assert [line for line in lines if line.strip() == "}"] == ["    }", "  }"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_operation_is_on_a_line_of_its_own(path):
    for diagram in ncdlang.load(path).program.diagrams:
        graph = lower(diagram)
        printed = render(graph)
        assert printed == render(lower(diagram))
        assert len(re.findall(r" = .*\(| = number | = index", printed)) >= len(graph.edges)
        for wire in graph.wires():
            assert is_anonymous(wire) or f"{wire.name}: " in printed
        steps = render_checked(diagram)
        assert all(
            is_anonymous(made) or f"{made.name}: " in steps
            for step in walk(diagram.steps)
            for made in (getattr(step, "results", None) or (getattr(step, "wire", None),))
            if made is not None
        )


# ---- the tree -----------------------------------------------------------------------------------


def test_places_are_shown_on_request():
    text = "diagram f(X: [x]) -> [x] { return X }\n"
    assert 'name: Name "f" @1:9' in tree_text(text, spans=True)
    assert "@" not in tree_text(text)


def test_a_deep_expression_is_printed():
    text = f"diagram f(X: [x]) -> [x] {{ return Y[x] = {' + '.join(['X'] * 90)} }}\n"
    assert tree_text(text).count('right: Name "X"') == 89


def test_texts_are_escaped():
    printed = tree_text('diagram f(X: [x]) -> [x] { block "a\tb\u202e" { Y = X }\n return Y }\n')
    assert '"a\\tb\\u202e"' in printed
