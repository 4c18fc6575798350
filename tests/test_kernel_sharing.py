"""Kernels and operations that are the same up to names are written once."""

from __future__ import annotations

import re

import pytest
import torch
from kernel_judge import judged
from ncdlang.backends.kernels.sharing import alike

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.steps import Plan, arrays_of

LAYERS = """use std.nn.{linear}
diagram attention(Q: [q k], K: [x k], V: [x k]) -> [q k] {
  S[q x] = Q[q k] * K[x k] * SCALE
  P = softmax[x](where(x <= q, S, -inf))
  return O[q k] = P[q x] * V[x k]
}
diagram layer(X: [t m]) -> [t m] {
  learn Lq, Lk, Lv: linear[m -> m]
  return X + attention(Lq(X), Lk(X), Lv(X)) / 9
}
diagram deep(X: [t m]) -> [t m] {
  learn layers: layer^COUNT
  return layers(X)
}
"""
TWO = """diagram attention(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k] * FIRST
  P = softmax[x](S)
  return O[q e] = P[q x] * V[x e]
}
diagram other(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k] * SECOND
  P = softmax[x](S)
  return O[q e] = P[q x] * V[x e]
}
diagram f(Q: [q k], K: [x k], V: [x e], A: [i k], B: [j k], C: [j e]) -> ([q e], [i e]) {
  return attention(Q, K, V), other(A, B, C)
}
"""
SIZES = {"t": 21, "m": 9, "q": 13, "x": 17, "k": 5, "e": 7, "i": 9, "j": 20}


def emitted(text: str, name: str) -> str:
    return ncdlang.loads(text).source(name, backend="triton")


def deep(count: int) -> str:
    return LAYERS.replace("COUNT", str(count)).replace("SCALE", "0.02")


def two(first: str, second: str) -> str:
    return TWO.replace("FIRST", first).replace("SECOND", second)


def operations(text: str) -> list[str]:
    return re.findall(r'\{OPERATIONS\}::(\w+)"', text)


def test_layers_add_no_kernels() -> None:
    shallow, deeper = (emitted(deep(count), "deep") for count in (2, 4))
    assert deeper.count("@triton.jit") == shallow.count("@triton.jit")
    assert len(operations(deeper)) == len(operations(shallow))
    assert deeper.count("# the same for") > shallow.count("# the same for")


def test_layers_share_kernels_and_are_right() -> None:
    torch.set_float32_matmul_precision("highest")
    text = deep(3)
    ran = judged(text, "deep", SIZES, torch.float32, factor=4)
    module = ncdlang.loads(text).module("deep", sizes={"m": 9}, backend="triton")
    assert ran == tuple(dict.fromkeys(module.kernels))


PRODUCTS = ("n_q * n_e * n_x", "n_x * n_q * n_e", "n_e * (n_x * n_q)", "n_q * n_e * n_e")
PRODUCTS += ("a * b", "b * a")


@pytest.mark.parametrize("scales", [("0.5", "0.5"), ("0.5", "0.25")])
def test_calls_with_other_axes_share_what_is_the_same(scales: tuple[str, str]) -> None:
    torch.set_float32_matmul_precision("highest")
    text = two(*scales)
    names = operations(emitted(text, "f"))
    assert len(names) == (2 if scales[0] == scales[1] else 4)
    assert len(judged(text, "f", SIZES, torch.float32, factor=2)) == 2


def test_names_do_not_count_but_what_they_name_does() -> None:
    first = "def one(a, b):\n    '''One.'''\n    c = a + f(b, a=1)  # c\n    return c\n"
    same = first.replace("c = a", "d = a").replace("return c", "return d").replace("one", "two")
    assert alike(first, {"one": "it"}) == alike(same, {"two": "it"})
    for old, new in [("a + f(b", "b + f(a"), ("a=1", "b=1"), ("f(", "g("), ("a, b)", "b, a)")]:
        other = first.replace(old, new, 1)
        assert other != first
        assert alike(first, {"one": "it"}) != alike(other, {"one": "it"}), (old, new)


def test_sizes_are_multiplied_in_any_order() -> None:
    """The order in a launch is that of making, which a call with other axes does not keep."""
    texts = [f"def f(n_q, n_e, n_x, a, b):\n    return {text}\n" for text in PRODUCTS]
    first, *same, other, floats, swapped = (alike(text, {}) for text in texts)
    assert set(same) == {first}
    assert first != other
    assert floats != swapped


def plan(text: str, name: str) -> Plan:
    diagram = ncdlang.loads(text).program.diagram(name)
    assert diagram is not None
    return make_plan(open_diagram(diagram), order="written")


def test_an_attention_is_made_once_for_all_who_read_it() -> None:
    """Layers without norms: keys, values and residuals of the next layer read one array."""
    for count in (1, 2, 3):
        found = plan(deep(count), "deep")
        assert len(found.regions) == count
        assert len(found.steps) == 4 * count


@pytest.mark.parametrize(
    "later",
    [
        "Y[q m] = O[q e] * W[m e]",
        "Y[q m] = (A[q e] + O[q e]) * W[m e]",
        "Y[q m] = relu(O[q e]) * W[m e]",
    ],
)
def test_scores_are_not_written_for_a_projection(later: str) -> None:
    head = "diagram f(A: [q e], Q: [q k], K: [x k], V: [x e], W: [m e]) -> [q m] {\n"
    body = "  S[q x] = Q[q k] * K[x k]\n  P = softmax[x](S)\n  O[q e] = P[q x] * V[x e]\n"
    found = plan(f"{head}{body}  {later}\n  return Y\n}}", "f")
    assert len(found.regions) == 1
    scores = {axis.name for axis in found.regions[0].stream}
    assert scores == {"x"}
    assert all({"q", "x"} - {a.name for a in b.axes} for s in found.steps for b in arrays_of(s))


def test_projected_queries_still_stream() -> None:
    """Keys and queries that are made by sums are made first, and their scores stay in a tile."""
    head = "diagram f(X: [q m], Z: [x m], U: [k m], W: [k m], V: [x e]) -> [q e] {\n"
    body = "  Q[q k] = X[q m] * U[k m]\n  K[x k] = Z[x m] * W[k m]\n  S[q x] = Q[q k] * K[x k]\n"
    for last in ("softmax[x](S)", "where(x <= q, S, 0)"):
        found = plan(f"{head}{body}  P = {last}\n  return O[q e] = P[q x] * V[x e]\n}}", "f")
        assert [{a.name for a in region.stream} for region in found.regions] == [{"x"}]
