"""Calls whose arguments or results have composite axes, and gathers that data can lead astray."""

from __future__ import annotations

import pytest
import torch

import ncdlang

MERGE = "diagram merge(X: [x h k]) -> [x, (h k)] { return Y[x, (h k)] = X[x h k] }\n"
GROW = "diagram grow[r = 2](X: [x c]) -> [(x r), c] { return Y[(x r), c] = X[x c] }\n"
HEAD = "diagram f(X: [x h k]) -> "

CASES = [
    HEAD + "[x, (h k)] { return merge(X) }",
    HEAD + "[x, (h k)] {\n  Z = merge(X)\n  return Z\n}",
    HEAD + "[x, (h k)] {\n  Z = merge(X)\n  return Y[x, (h k)] = Z[x, (h k)] * 2\n}",
    HEAD + "[x h k] {\n  Z = merge(X)\n  return Y[x h k] = Z[x, (h k)]\n}",
    HEAD + "[x, (h k)] { return relu(merge(X)) }",
    HEAD + "[x, (h k)] { return softmax[x](merge(X)) }",
]


@pytest.mark.parametrize("text", CASES)
def test_backends_agree(text: str) -> None:
    library = ncdlang.loads(MERGE + text)
    given = torch.randn(2, 3, 5, dtype=torch.float64)
    judge = library.module("f", backend="reference")
    torch.testing.assert_close(library.module("f", dtype="f64")(given), judge(given))
    batched = library.module("f", dtype="f64")(given.expand(4, 2, 3, 5))
    torch.testing.assert_close(batched[1], judge(given))


def test_a_derived_composite_keeps_its_place() -> None:
    text = GROW + "diagram f(X: [n c]) -> [(n s), c] {\n  axis s = 3\n  return grow[r = s](X)\n}"
    given = torch.randn(2, 5)
    wanted = given.repeat_interleave(3, dim=0)
    torch.testing.assert_close(ncdlang.loads(text).module("f")(given), wanted)


@pytest.mark.parametrize(("index", "token", "worst"), [("t[n] - 1", 0, -1), ("t[n] + 1", 2, 3)])
def test_a_gather_never_leaves_its_array(index: str, token: int, worst: int) -> None:
    text = f"diagram f(E: [v m], t: N(v)[n]) -> [n m] {{ return Y[n m] = E[{index}, m] }}"
    module = ncdlang.loads(text).module("f")
    table = torch.randn(3, 2)
    inside = torch.tensor([1])
    assert module(table, inside).shape == (1, 2)
    with pytest.raises(ValueError, match=f"is {worst}, but must stay in 0 .. 2"):
        module(table, torch.tensor([1, token]))


def test_softmax_does_not_hide_what_is_no_number() -> None:
    library = ncdlang.loads("diagram f(X: [n c]) -> [n c] { return softmax[c](X) }")
    given = torch.tensor([[0.0, float("nan")], [0.0, float("inf")], [-torch.inf, -torch.inf]])
    for backend in ("torch", "reference"):
        result = library.module("f", backend=backend)(given)
        assert result[:2].isnan().any(-1).all()
        assert (result[2] == 0).all()
