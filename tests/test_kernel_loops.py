"""How kernels loop over matrices: what waits for the end of a loop, and loops over nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from kernel_judge import judged

import ncdlang

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
SIZES = {"x": 20, "m": 43, "f": 21}
SUM = """
diagram product(X: [x m], r: [x], c: [f], W: [m f], V: [m f]) -> [x f] {{
  N[x] = sum[m](X[x m] * X[x m])
  return O[x f] = sum[m]({}) / (N[x] + 1)
}}
"""
# Summands, and the factors that both have when nothing more is put into a matrix.
SHARED = {
    "X[x m] * r[x] * W[m f] + X[x m] * r[x] * V[m f]": ["r"],
    "X[x m] * r[x] * c[f] * W[m f] - X[x m] * r[x] * V[m f]": ["r"],
    "X[x m] * r[x] * c[f] * W[m f] + exp(X[x m]) * r[x] * c[f] * V[m f]": ["c"],
    "X[x m] * r[x] * W[m f] + X[x m] * c[f] * V[m f]": [],
}
LOOP = re.compile(r"    for start in range\((.*)\):\n((?:        .*\n)*)((?:    .*\n)*)")


@pytest.fixture(autouse=True)
def exact_products() -> None:
    torch.set_float32_matmul_precision("highest")


def loop_of(text: str, name: str = "product") -> tuple[str, str, str]:
    """The range of the loop of the first kernel of an emitted file, its body, and what follows."""
    source = ncdlang.loads(text).source(name, backend="triton", derived="true")
    found = LOOP.search(source, source.index("@triton.jit"))
    assert found is not None
    return found[1], found[2], found[3]


@pytest.mark.parametrize("summands", SHARED)
def test_what_all_products_share_waits_for_the_end(summands: str) -> None:
    text = SUM.format(summands)
    _, body, after = loop_of(text)
    scales = re.findall(r"^    total = total \* (\w)2\[", after, re.MULTILINE)
    assert scales == SHARED[summands]
    # What is shared is left out of every product in the loop.
    outside = re.findall(r"PRECISION\) \* (\w)2\[", body)
    assert not set(scales) & set(outside)
    if not scales:
        assert set(outside) == {"r", "c"}
    assert judged(text, "product", SIZES, torch.float32) == ("O",)


def test_one_condition_is_evaluated_once_for_all_factors() -> None:
    text = SUM.format("where(r[x] > 0, X[x m], 0) * where(r[x] > 0, exp(X[x m]), 0) * W[m f]")
    _, body, _ = loop_of(text)
    (line,) = [line for line in body.splitlines() if "tl.dot" in line]
    assert line.count("> 0.0") + line.count("t[:, None]") == 1
    assert judged(text, "product", SIZES, torch.float32) == ("O",)


def test_a_loop_over_matrices_runs_at_least_once() -> None:
    limits, _, _ = loop_of(SUM.format("X[x m] * W[m f] + X[x m] * V[m f]"))
    assert limits == "0, tl.maximum(n_m, 1), BLOCK_M"


@pytest.mark.parametrize("empty", ["x", "q"])
def test_nothing_to_stream_is_zero(empty: str) -> None:
    sizes = {"q": 5, "x": 6, "h": 2, "k": 3, "e": 4} | {empty: 0}
    assert judged(TEXT, "softmax_dense", sizes, torch.float32) == ("O",)


@pytest.mark.parametrize("empty", ["h", "k"])
def test_nothing_along_one_of_two_streamed_axes(empty: str) -> None:
    text = """
    diagram two(X: [x h k], U: [h k f]) -> [x f] {
      N[x] = sum[h k](X[x h k] * X[x h k])
      return O[x f] = sum[h k](X[x h k] / (N[x] + 1) * U[h k f])
    }
    """
    sizes = {"x": 20, "h": 3, "k": 5, "f": 7} | {empty: 0}
    assert judged(text, "two", sizes, torch.float32) == ("O",)


def test_statistics_are_made_where_there_are_no_rows() -> None:
    """The gradient needs them, and PyTorch gives room that holds anything, here NaN."""
    text = """
    diagram pooled(S: [x], V: [x e]) -> [e] {
      return O[e] = softmax[x](S)[x] * V[x e]
    }
    """
    module = ncdlang.loads(text).module("pooled", backend="triton")
    scores, values = torch.randn(5, requires_grad=True), torch.randn(5, 0, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        module(scores, values).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert module.last_run == ("O",)
    assert torch.equal(scores.grad, torch.zeros(5))


def test_what_an_inner_loop_does_not_change_is_made_before_it() -> None:
    text = """
    diagram gated(X: [x m], W: [f m], A: [x f], s: [x], V: [x e]) -> [m e] {
      r[x] = rsqrt(s[x]^2 + 1)
      P[m x] = relu(r[x] * A[x f]) * W[f m] / size(f) + X[x m]
      return O[m e] = tanh(P[m x]) * V[x e]
    }
    """
    sizes = {"x": 20, "m": 9, "f": 300, "e": 5}
    assert judged(text, "gated", sizes, torch.float32) == ("O",)
