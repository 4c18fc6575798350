"""Derived gradients equal those of automatic differentiation, and say what they keep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from gradient_judge import derived, judge
from stdlib_cases import CASES, Case

import ncdlang
from ncdlang.cli import arrays
from ncdlang.gradients.derivation import gradient
from ncdlang.gradients.error import GradientError
from ncdlang.gradients.file import written

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples").glob("*.ncd"))
EXAMPLES = [
    (file, name)
    for file in FILES
    for name in ncdlang.load(file).diagrams
    if (file.stem, name) != ("routing", "load")
]
SIZES = {"q": 3, "x": 8, "y": 7, "h": 2, "k": 4, "m": 6, "f": 5, "c": 3, "c'": 2, "i": 3, "i'": 3}

TEXT = (ROOT / "tests" / "data" / "gradients.ncd").read_text()
CONSTRUCTIONS = ncdlang.loads(TEXT)
TOLERANCE = 1e-8


def sizes_of(library: ncdlang.Library, name: str, given: dict[str, int]) -> dict[str, int]:
    diagram = library.program.diagram(name)
    assert diagram is not None
    known = {free.axis.name for free in diagram.free if free.default is not None}
    return {s.name: given.get(s.name, 3) for s in diagram.unknowns if s.name not in known}


@pytest.mark.parametrize("item", EXAMPLES, ids=lambda item: f"{item[0].stem}-{item[1]}")
def test_every_example_has_the_gradient_of_autograd(item: tuple[Path, str]) -> None:
    library = ncdlang.load(item[0])
    assert judge(library, item[1], sizes_of(library, item[1], SIZES)) < TOLERANCE


def _is_differentiable(case: Case) -> bool:
    return case.of not in ("std.prelude.argsort", "std.prelude.one_hot")


@pytest.mark.parametrize(
    "case", [c for c in CASES if _is_differentiable(c)], ids=lambda c: f"{c.of}-{c.name}"
)
def test_every_library_diagram_has_the_gradient_of_autograd(case: Case) -> None:
    library = ncdlang.loads(case.source)
    words = dict(word.split("=") for word in case.sizes[0].split())
    sizes = {name: int(size) for name, size in words.items()}
    diagram = library.program.diagrams[0]
    inputs = arrays.fill_inputs(diagram, {}, arrays.solve_sizes(diagram, {}, sizes), 0)
    tensors = case.changed(*(torch.from_numpy(array) for array in inputs))
    assert judge(library, case.name, sizes, inputs=tensors) < TOLERANCE


@pytest.mark.parametrize("name", CONSTRUCTIONS.diagrams)
def test_gradients_of_single_constructions(name: str) -> None:
    sizes = sizes_of(CONSTRUCTIONS, name, _sizes_above(name))
    for seed in range(3):
        assert judge(CONSTRUCTIONS, name, sizes, seed=seed) < TOLERANCE


def _sizes_above(name: str) -> dict[str, int]:
    """The sizes in the comment above a construction."""
    found = re.search(rf"# sizes (.*)\ndiagram {name}[(\[]", TEXT)
    words = [word.split("=") for word in found[1].split()] if found else []
    return {axis: int(size) for axis, size in words}


# ---- what is kept ------------------------------------------------------------------------------


def kept(name: str, **options: bool) -> set[str]:
    diagram = ncdlang.load(ROOT / "examples" / "attention.ncd").program.diagram(name)
    assert diagram is not None
    return {wire.name for wire in gradient(diagram, **options).kept}


def test_attention_keeps_its_probabilities() -> None:
    assert kept("attention") == {"Q", "K", "V", "P"}


@pytest.mark.parametrize("name", ["attention", "causal_attention"])
def test_attention_keeps_one_number_a_row_when_it_recomputes(name: str) -> None:
    assert kept(name, recompute=True) == {"Q", "K", "V", "O", "LP"}


def test_multi_head_keeps_queries_keys_values_results_and_one_number_a_row() -> None:
    # t, t2 and t3 are the queries, keys and values: [x h k] for an input [x m].
    diagram = ncdlang.load(ROOT / "examples" / "attention.ncd").program.diagram("multi_head")
    assert diagram is not None
    found = {str(wire.type) for wire in gradient(diagram, recompute=True).kept}
    assert found == {"[x m]", "[h k m]", "[m h k]", "[x h k]", "[h x]"}
    assert {str(wire.type) for wire in gradient(diagram).kept} - found == {"[h x x]"}


def test_the_kept_wires_are_listed_in_the_text() -> None:
    library = ncdlang.load(ROOT / "examples" / "attention.ncd")
    text = library.gradient("attention", recompute=True)
    assert "# Kept from the forward pass: Q: [q h k], K: [x h k], LP: [h q]," in text


def test_no_line_of_a_gradient_breaks_a_type_or_copies_a_wire() -> None:
    text = """
use std.nn.{linear}
use std.attention.{dense_attention}
diagram layer[hhh, kkk](X: [x m]) -> [x m] {
  learn Lq, Lk, Lv: linear[m -> hhh kkk]
  learn a_long_name_of_the_output: linear[hhh kkk -> m]
  A = dense_attention(Lq(X), Lk(X), Lv(X))
  return a_long_name_of_the_output(A)
}
"""
    library = ncdlang.loads(text)
    for recompute in (False, True):
        derived_text = library.gradient("layer", recompute=recompute)
        comments = [line for line in derived_text.splitlines() if line.startswith("#")]
        assert len(comments) > 4
        assert all(len(line) <= 100 for line in comments)
        assert all(line.count("[") == line.count("]") for line in comments)
        assert not re.search(r"^ *[\w']+\[([^]]*)\] = [\w']+\[\1\]$", derived_text, re.MULTILINE)
        assert judge(library, "layer", {"x": 3, "m": 2, "hhh": 2, "kkk": 2}) < TOLERANCE


def test_a_gradient_whose_text_does_not_check_is_refused() -> None:
    text = "use std.nn.{dropout}\ndiagram f(X: [x]) -> [x] { return dropout[0.5](X) }"
    diagram = ncdlang.loads(text).program.diagrams[-1]
    with pytest.raises(GradientError, match=r"`f` can't be written down: .* NCD"):
        written(gradient(diagram))


def test_a_sum_of_many_terms() -> None:
    terms = " + ".join(f"sin({i} * X[x])" for i in range(1, 81))
    half = f"diagram f(X: [x]) -> [x] {{ A[x] = {terms}\nreturn Y[x] = A + sin(X) }}"
    many = half.replace("return", f"B[x] = {terms.replace('sin', 'cos')}\nreturn")
    library = ncdlang.loads(many.replace("= A +", "= A * B +"))
    assert judge(library, "f", {"x": 3}) < TOLERANCE


@pytest.mark.parametrize("name", ["attention", "causal_attention", "multi_head"])
def test_recomputing_changes_no_gradient(name: str) -> None:
    library = ncdlang.load(ROOT / "examples" / "attention.ncd")
    sizes = sizes_of(library, name, SIZES)
    assert judge(library, name, sizes, recompute=True) < TOLERANCE


def test_recomputing_softmax_of_rows_that_are_masked() -> None:
    text = """
diagram f(S: [q x]) -> [q x] {
  P = softmax[x](where(q > 0, S, -inf))
  L = log_softmax[x](S)
  return Y[q x] = P[q x] * L[q x]
}
"""
    library = ncdlang.loads(text)
    for recompute in (False, True):
        assert judge(library, "f", {"q": 3, "x": 4}, recompute=recompute) < TOLERANCE


def test_recurrences_keep_their_states() -> None:
    diagram = ncdlang.load(ROOT / "examples" / "recurrence.ncd").program.diagram("ssm")
    assert diagram is not None
    assert {wire.name for wire in gradient(diagram).kept} == {"A", "H", "H0"}


# ---- the reference, batches, choices -----------------------------------------------------------


@pytest.mark.parametrize("name", ["windows", "gathering", "a_linear_recurrence", "reductions"])
def test_the_reference_agrees(name: str) -> None:
    sizes = sizes_of(CONSTRUCTIONS, name, _sizes_above(name))
    assert judge(CONSTRUCTIONS, name, sizes, backend="reference") < TOLERANCE


def test_gradients_in_chosen_arrays() -> None:
    library = ncdlang.load(ROOT / "examples" / "attention.ncd")
    text = library.gradient("multi_head", wrt=["Lo.weight", "X"])
    (diagram,) = ncdlang.loads(text).program.diagrams
    assert [str(w.type) for w in diagram.results] == ["[m h k]", "[x m]"]
    assert [w.name for w in diagram.parameters][-2:] == ["Lo_weight", "dY"]


def test_batch_norm_in_training_and_in_eval_mode() -> None:
    text = """
use std.nn.{batch_norm}
diagram f(X: [b c]) -> [b c] { return batch_norm[b -> c](X) }
"""
    library = ncdlang.loads(text)
    sizes = {"b": 4, "c": 2}
    assert judge(library, "f", sizes) < TOLERANCE
    assert judge(library, "f", sizes, training=True) < TOLERANCE


def test_the_gradient_of_a_gradient() -> None:
    text = "diagram f(X: [x], W: [x]) -> [] { return sum[x](tanh(X * W)^2) }"
    first = ncdlang.loads(ncdlang.loads(text).gradient("f", wrt=["X"]))
    assert judge(first, "f_grad", {"x": 4}) < TOLERANCE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("op g: [] -> []\ndiagram f(X: [x]) -> [x] { return g(X) }", "no derivative is known"),
        ("diagram f(X: C[x]) -> [x] { return real(X * X) }", "no real input"),
        ("diagram f(X: [x]) -> N(x)[] { return argmax[x](X) }", "no result of `f` is real"),
    ],
)
def test_what_has_no_gradient_is_said(text: str, said: str) -> None:
    with pytest.raises(GradientError, match=said):
        derived(ncdlang.loads(text).program.diagrams[-1])
