"""Composite axes on the left of a call, by value."""

from __future__ import annotations

import pytest
import torch

import ncdlang

TEXT = """
diagram up[r = 2](X: [x]) -> [(x r)] { return Y[(x r)] = X[x] + r }
diagram named(X: [a x]) -> [a, (x r)] {
  axis r = 2
  return Y[a, (x r)] = up(X)
}
diagram apart(X: [a x]) -> [r a x] {
  axis r = 2
  return Y[r a x] = up[r = r](X)
}
diagram joined(X: [a b x]) -> [x, (a b)] { return Y[x, (a b)] = softmax[x](X) }
"""
X = torch.randn(3, 4, dtype=torch.float64)
UP = X[..., None] + torch.arange(2)
EXPECTED = {"named": UP.flatten(-2), "apart": UP.movedim(-1, 0)}


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_values(backend: str) -> None:
    library = ncdlang.loads(TEXT)
    for name, expected in EXPECTED.items():
        module = library.module(name, backend=backend, dtype="f64")
        torch.testing.assert_close(module(X), expected)
    given = torch.randn(2, 3, 5, dtype=torch.float64)
    found = library.module("joined", backend=backend, dtype="f64")(given)
    torch.testing.assert_close(found, torch.softmax(given, -1).flatten(0, 1).T)
