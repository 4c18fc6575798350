"""Kernels and operations that are the same up to names are written once."""

from __future__ import annotations

import re

import pytest
import torch
from kernel_judge import judged
from ncdlang.backends.kernels.sharing import alike

import ncdlang

LAYERS = """use std.nn.{linear}
diagram attention(Q: [q k], K: [x k], V: [x k]) -> [q k] {
  S[q x] = Q[q k] * K[x k] * SCALE
  P = softmax[x](where(x <= q, S, -inf))
  return O[q k] = P[q x] * V[x k]
}
diagram layer(X: [t m]) -> [t m] {
  learn Lq, Lk, Lv: linear[m -> m]
  return X + attention(Lq(X), Lk(X), Lv(X))
}
diagram deep(X: [t m]) -> [t m] {
  learn layers: layer^COUNT
  return layers(X)
}
"""
TWO = """diagram attention(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  P = softmax[x](Q[q k] * K[x k] * FIRST)
  return O[q e] = P[q x] * V[x e]
}
diagram other(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  P = softmax[x](Q[q k] * K[x k] * SECOND)
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
    return LAYERS.replace("COUNT", str(count)).replace("SCALE", "0.3")


def two(first: str, second: str) -> str:
    return TWO.replace("FIRST", first).replace("SECOND", second)


def operations(text: str) -> list[str]:
    return re.findall(r'"ncd_\w+::(\w+)"', text)


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
    assert ran == module.kernels
    assert len(ran) >= 3


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
