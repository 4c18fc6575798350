"""Contractions of a parameter with windows become convolutions, and nothing else does."""

from __future__ import annotations

import pytest
import torch
from torch_judge import Case, build, judge, source

AT = {"x": 7, "y": 6, "z": 5, "a": 2, "b": 3, "c": 2, "g": 2}


def convolution(types: str, body: str, **built: int) -> Case:
    return Case(f"diagram f{types} {{\n{body}\n}}", {**AT, **built}, built=built)


MATCHES = {
    "one axis": convolution(
        "[j = 3, o](X: [x c]) -> [x' o]",
        "learn W: [o j c]\nreturn Y[x' o] = W[o j c] * X[x' + j, c]",
        j=3,
        o=4,
        c=2,
    ),
    "kernel in another order, scaled": convolution(
        "[j = 3, o](X: [x c a]) -> [a o x']",
        "learn W: [j c o]\nreturn Y[a o x'] = 0.5 * X[x' + j, c, a] * W[j c o] / sqrt(size(c))",
        j=2,
        o=4,
        c=2,
    ),
    "no channels": convolution(
        "[j = 3](X: [b x]) -> [b x']", "learn W: [j]\nreturn Y[b x'] = W[j] * X[b, x' + j]", j=3
    ),
    "each channel its own": convolution(
        "[j = 3](X: [x c]) -> [x' c]",
        "learn W: [j c]\nreturn Y[x' c] = W[j c] * X[x' + j, c]",
        j=3,
        c=2,
    ),
    "groups": convolution(
        "[j = 2, o](X: [x g c]) -> [x' g o]",
        "learn W: [g o j c]\nreturn Y[x' g o] = W[g o j c] * X[x' + j, g, c]",
        j=2,
        o=3,
        c=2,
        g=2,
    ),
    "two axes": convolution(
        "[i = 3, j = 2, o](X: [y x c]) -> [y' x' o]",
        "learn W: [o i j c]\nreturn Y[y' x' o] = W[o i j c] * X[y' + i, x' + j, c]",
        i=3,
        j=2,
        o=2,
        c=2,
    ),
    "three axes, two channels": convolution(
        "[i = 2, o](X: [z y x a b]) -> [z' y' x' o]",
        """axis j = 2
        axis k = 3
        learn W: [o i j k a b]
        return Y[z' y' x' o] = W[o i j k a b] * X[z' + i, y' + j, x' + k, a, b]""",
        i=2,
        o=2,
        a=2,
        b=3,
    ),
    "strides and gaps": convolution(
        "[j = 2, o](X: [b x c]) -> [b x' o]",
        """axis x' = (size(x) - 2*size(j) + 1) // 2 + 1
        learn W: [o j c]
        return Y[b x' o] = W[o j c] * X[b, 2*x' + 2*j, c]""",
        j=2,
        o=3,
        c=2,
    ),
    "strides of a plane": convolution(
        "[i = 2, j = 3, o](X: [y x c]) -> [y' x' o]",
        """axis y' = (size(y) - size(i)) // 2 + 1
        axis x' = (size(x) - size(j)) // 2 + 1
        learn W: [o i j c]
        return Y[y' x' o] = W[o i j c] * X[2*y' + i, 2*x' + j, c]""",
        i=2,
        j=3,
        o=3,
        c=2,
    ),
}

OTHERS = {
    "a kernel that is an input": convolution(
        "(X: [x c], W: [o j c]) -> [x' o]", "return Y[x' o] = W[o j c] * X[x' + j, c]", j=2, o=3
    ),
    "an offset": convolution(
        "[j = 3](X: [x]) -> [n]",
        "axis n = size(x) - 3\nlearn W: [j]\nreturn Y[n] = W[j] * X[n + j + 1]",
        j=3,
    ),
    "fewer windows than fit": convolution(
        "[j = 3](X: [x]) -> [n]",
        "axis n = size(x) - 4\nlearn W: [j]\nreturn Y[n] = W[j] * X[n + j]",
        j=3,
    ),
    "a kernel for each place": convolution(
        "[j = 3](X: [x]) -> [j]",
        "axis m = size(x) - size(j) + 1\nlearn W: [j m]\nreturn Y[j] = W[j m] * X[m + j]",
        j=3,
        x=7,
    ),
}


@pytest.mark.parametrize("name", MATCHES)
def test_convolutions_are_found(name: str) -> None:
    case = MATCHES[name]
    text = source(case.text, sizes=case.sizes)
    assert "_convolve(" in text
    assert "_windows" not in text
    judge(case)


@pytest.mark.parametrize("name", OTHERS)
def test_other_windows_stay_views(name: str) -> None:
    case = OTHERS[name]
    assert "_convolve(" not in source(case.text, sizes=case.sizes)
    judge(case)


def test_nothing_to_slide_over() -> None:
    case = MATCHES["one axis"]
    module = build(case.text, sizes=case.sizes)
    assert module(torch.zeros(2, 2, dtype=torch.float64)).shape == (0, 4)
    assert module(torch.zeros(0, 5, 2, dtype=torch.float64)).shape == (0, 3, 4)
    assert (
        build(case.text, sizes={**case.sizes, "c": 0})(
            torch.zeros(5, 0, dtype=torch.float64)
        ).tolist()
        == [[0.0] * 4] * 3
    )


def test_gradients_of_convolutions() -> None:
    case = MATCHES["groups"]
    module = build(case.text, sizes=case.sizes)
    array = torch.randn(2, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, [array])
