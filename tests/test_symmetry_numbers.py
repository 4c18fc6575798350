"""Asserted symmetries against numbers: what is proved is never contradicted by the reference.

What is not proved is either refuted by numbers, which the message gives, or said to be undecided.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from ncdlang import api
from ncdlang.project import Project
from ncdlang.semantics.program import CheckedDiagram, Claim
from ncdlang.source import Source
from ncdlang.targets import backend

HEAD = """
use std.attention.{dense_attention, causal_attention, sliding_attention}
use std.nn.{linear, affine, layer_norm, rms_norm, dropout, embedding}
use std.position.{rotary}
axis c : cyclic
axis s : ordered
"""
SET, CYCLIC, ORDERED = "x", "c", "s"
PROVED, REFUTED, OPEN = "proved", "does not hold", "is not proved"

# name of the diagram in its text -> (text, assertions with what becomes of them)
PROGRAMS: dict[str, tuple[str, dict[str, str]]] = {
    "dense": (
        "(Q: [x h k], K: [y h k], V: [y h k]) -> [x h k] { return dense_attention(Q, K, V) }",
        {"equivariant[x]": PROVED, "invariant[y]": PROVED, "invariant[x]": REFUTED},
    ),
    "causal": (
        "(Q: [x h k], K: [y h k], V: [y h k]) -> [x h k] { return causal_attention(Q, K, V) }",
        {"equivariant[x]": REFUTED, "invariant[y]": REFUTED, "equivariant[h]": PROVED},
    ),
    "relative": (
        """(X: [x k], B: [d]) -> [x k] {
  axis y = size(x)
  assert size(d) >= 2 * size(x)
  S[x y] = X[x k] * X[y k] + B[x - y + size(x)]
  P = softmax[y](S)
  return O[x k] = P[x y] * X[y k]
}""",
        {"equivariant[x]": REFUTED, "equivariant[k]": PROVED},
    ),
    "bias": (
        """(X: [s k], K: [t k]) -> [s t] {
  axis a = 1
  return S[s t] = X[s k] * K[t k] + sum[a](exp(-abs(s - s)) * a)
}""",
        {"equivariant[s]": PROVED},
    ),
    "distances": (
        """(X: [s]) -> [s t] {
  axis t = size(s)
  return S[s t] = X[s] * X[t] - abs(s - t)
}""",
        {"equivariant[s]": PROVED},
    ),
    "absolute": (
        "(X: [s k]) -> [s k] { return Y[s k] = X[s k] + cos(s / 10^k) }",
        {"equivariant[s]": REFUTED, "equivariant[k]": REFUTED},
    ),
    "circular": (
        """[m'](X: [c m]) -> [c m'] {
  axis j = 3
  learn W: [j m m']
  assert size(c) >= 3
  Z[c j m] = where(c + j < size(c), X[c + j, m], X[c + j - size(c), m])
  return Y[c m'] = W[j m m'] * Z[c j m]
}""",
        {"equivariant[c]": PROVED},
    ),
    "before": (
        "(X: [c]) -> [c] { return Y[c] = X[c] + where(c > 0, X[c - 1], X[size(c) - 1]) }",
        {"equivariant[c]": PROVED, "invariant[c]": REFUTED},
    ),
    "after": (
        "(X: [c]) -> [c] { return Y[c] = where(c == size(c) - 1, X[0], X[c + 1]) * X[c] }",
        {"equivariant[c]": PROVED},
    ),
    "padded": (
        """(X: [c]) -> [c] {
  Z[z] = pad[c, 1, 1](X)
  return Y[c] = Z[c + 0] - Z[c + 2]
}""",
        {"equivariant[c]": REFUTED},
    ),
    "reflected": (
        "(X: [c]) -> [c] { return Y[c] = where(c > 0, X[c - 1], X[0]) }",
        {"equivariant[c]": REFUTED},
    ),
    "valid": (
        "(X: [s m]) -> [r m] {\n  axis j = 3\n  return Y[r m] = sum[j](X[r + j, m] / (1 + j))\n}",
        {"equivariant[s]": PROVED},
    ),
    "dilated": (
        "(X: [s]) -> [r] {\n  axis r = size(s) // 2\n  return Y[r] = X[2 * r]\n}",
        {"equivariant[s]": REFUTED},
    ),
    "average": ("(X: [x m]) -> [m] { return mean[x](X) }", {"invariant[x]": PROVED}),
    "largest": ("(X: [x m]) -> [m] { return max[x](X) }", {"invariant[x]": PROVED}),
    "product": ("(X: [x m]) -> [m] { return prod[x](X) }", {"invariant[x]": PROVED}),
    "ordered": ("(X: [x]) -> [x] { return sort[x](X) }", {"equivariant[x]": REFUTED}),
    "best": (
        """(X: [x]) -> [] {
  assert size(x) >= 1
  S = sort[x](X)
  return Y[] = S[size(x) - 1]
}""",
        {"invariant[x]": OPEN},
    ),
    "probabilities": (
        "(X: [x m]) -> [x m] { return softmax[x](X) }",
        {"equivariant[x]": PROVED, "equivariant[m]": PROVED, "invariant[x]": REFUTED},
    ),
    "normed": (
        "(X: [x m]) -> [x m] { return layer_norm[m](X) }",
        {"equivariant[x]": PROVED, "equivariant[m]": REFUTED},
    ),
    "routed": (
        """(X: [x m], E: [e m]) -> [x m] {
  G[x e] = X[x m] * E[e m]
  axis k = 1
  assert size(e) >= 1
  V[x k], I[x k] = top_k[e, 1](G)
  return Y[x m] = V[x k] * E[I[x k], m]
}""",
        {"equivariant[x]": PROVED},
    ),
    "turning": (
        "(X: [x k]) -> [x k] {\n  assert size(k) % 2 == 0\n  return rotary[x, k](X)\n}",
        {"equivariant[x]": REFUTED},
    ),
    "dropped": ("(X: [x m]) -> [x m] { return dropout(X) }", {"equivariant[x]": PROVED}),
    "mixed": (
        "(X: [x m]) -> [x m] {\n  learn A: affine[m -> m]\n  return X + relu(A(X))\n}",
        {"equivariant[x]": PROVED, "equivariant[m]": REFUTED},
    ),
    "reversed_twice": (
        """(X: [x]) -> [x] {
  Z[x] = X[size(x) - 1 - x]
  return Y[x] = Z[size(x) - 1 - x] + 0 * x
}""",
        {"equivariant[x]": OPEN},
    ),
    "moved_twice": (
        "(X: [x], Z: [x]) -> [x] { return Y[x] = X[x] * Z[x] }",
        {"equivariant[x]": PROVED},
    ),
    "bins": (
        "(T: N(v)[x], W: [v]) -> [v] {\n  Y: [v]\n  Y[T[x]] += W[T[x]]\n  return Y\n}",
        {"invariant[x]": PROVED},
    ),
    "looked_up": (
        "[m](T: N(v)[x]) -> [x m] {\n  learn E: embedding[v -> m]\n  return E(T)\n}",
        {"equivariant[x]": PROVED},
    ),
}
CASES = [
    (name, assertion, said)
    for name, (_, told) in PROGRAMS.items()
    for assertion, said in told.items()
]


def judged(text: str, assertion: str) -> tuple[str, str, CheckedDiagram]:
    """What is said of an assertion about the last diagram of a text, the notes, and the diagram."""
    source = Source("symmetry.ncd", f"{HEAD}{text}\nassert {assertion}\n")
    checked = api.check(source, Project().find)
    assert {d.code for d in checked.diagnostics} <= {"NCD3010"}, checked.diagnostics
    diagram = checked.program.diagrams[-1]
    if not checked.diagnostics:
        return PROVED, "", diagram
    (found,) = checked.diagnostics
    said = REFUTED if REFUTED in found.message else OPEN
    assert said in found.message
    return said, " ".join(found.notes), diagram


def contradiction(diagram: CheckedDiagram, word: str, name: str) -> str | None:
    axes = tuple({a for w in diagram.parameters for a in w.type.axes if a.name == name})
    group = {CYCLIC: "cyclic", ORDERED: "ordered"}.get(name, "set")
    claim = Claim(word, diagram, axes, group, name, "", diagram.span)
    found: str | None = backend("reference").counterexample(claim)
    return found


@pytest.mark.parametrize(("name", "assertion", "wanted"), CASES)
def test_what_is_known_of_common_diagrams(name: str, assertion: str, wanted: str) -> None:
    text, _ = PROGRAMS[name]
    said, notes, diagram = judged(f"diagram {name}{text}", f"{assertion}({name})")
    assert said == wanted
    word, axis = assertion.rstrip("]").split("[")
    numbers = contradiction(diagram, word, axis)
    assert (numbers is not None) is (said == REFUTED)
    if said == REFUTED:
        assert " is " in notes
        assert "but must be" in notes
    if said == OPEN:
        assert "no counterexample is known" in notes


# ---- random programs ----------------------------------------------------------------------------

LINES = (
    "{y}[x m] = {a}[x m] * {b}[x m]",
    "{y}[x m] = {a}[x m] + exp(-abs({b}[x m]))",
    "{y}[x m] = {a}[x m] - mean[y]({b}[y + 0, m])",
    "{y}[x m] = {a}[x m] * sum[y](where(x == y, 0, {b}[y m]))",
    "{y}[x m] = sum[y](where(y <= x, {a}[y m], 0))",
    "{y}[x m] = {a}[size(x) - 1 - x, m]",
    "{y}[x m] = where(x > 0, {a}[x - 1, m], {a}[size(x) - 1, m])",
    "{y}[x m] = where(x > 0, {a}[x - 1, m], 0) + {b}[x m]",
    "{y} = softmax[x]({a})",
    "{y} = cumsum[x]({a})",
    "{y} = sort[x]({a})",
    "{y} = layer_norm[m]({a})",
    "{y}[x m] = {a}[x m] * real(x)",
    "{y}[x m] = {a}[x m] + {b}[x m] * 0 * x",
    "{y}[x m] = {a}[x m] / (1 + max[y](abs({b}[y m])))",
    "{y}[x m] = softmax[y]({a}[x m] * {b}[y m])",
)
ENDS = (
    "{a}",
    "mean[x]({a})",
    "max[x]({a})",
    "R[m] = sum[x]({a}[x m] * {b}[x m])",
    "R[m] = {a}[0, m]",
)
COUNT = 400 if os.environ.get("NCDLANG_FULL") else 30


def random_program(seed: int) -> tuple[str, str]:
    """A diagram `f` and an assertion about it."""
    rng = random.Random(seed)
    wires = ["X"]
    lines: list[str] = []
    for number in range(rng.randint(1, 3)):
        chosen = rng.choice(LINES[:-1]) if rng.random() < 0.8 else LINES[0]
        lines.append(chosen.format(y=f"A{number}", a=rng.choice(wires), b=rng.choice(wires)))
        wires.append(f"A{number}")
    end = rng.choice(ENDS).format(a=wires[-1], b=rng.choice(wires))
    result = "[x m]" if end == wires[-1] else "[m]"
    body = "\n".join(f"  {line}" for line in (*lines, f"return {end}"))
    group = rng.choice(("set", "cyclic"))
    text = f"axis x : {group}\ndiagram f(X: [x m]) -> {result} {{\n"
    text += f"  axis y = size(x)\n  assert size(x) >= 1\n{body}\n}}"
    return text, f"{'equivariant' if result == '[x m]' else 'invariant'}[x](f)"


def test_random_symmetries_are_not_contradicted() -> None:
    seen: dict[str, int] = {}
    for seed in range(COUNT):
        text, assertion = random_program(seed)
        said, notes, diagram = judged(text, assertion)
        seen[said] = seen.get(said, 0) + 1
        word = assertion.split("[")[0]
        group = "cyclic" if "axis x : cyclic" in text else "set"
        axis = diagram.parameters[0].type.axes[0]
        claim = Claim(word, diagram, (axis,), group, "x", "", diagram.span)
        numbers = backend("reference").counterexample(claim)
        assert (numbers is not None) is (said == REFUTED), text
        assert ("no counterexample is known" in notes) is (said == OPEN), text
    assert seen.get(PROVED, 0) > COUNT // 10
    assert seen.get(REFUTED, 0) > COUNT // 10


def test_a_counterexample_needs_no_torch() -> None:
    text = "diagram f(X: [x]) -> [x] { return cumsum[x](X) }\nassert equivariant[x](f)\n"
    code = (
        "import sys; from ncdlang import api; from ncdlang.project import Project; "
        "from ncdlang.source import Source; "
        f"found = api.check(Source('f.ncd', {text!r}), Project().find).diagnostics; "
        "print(found[0].notes, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "but must be" in done.stdout
    assert done.stdout.rstrip().endswith("False")
