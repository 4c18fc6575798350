"""A condition of `where` speaks of the axes outside, not of one that a bracket inside binds."""

from __future__ import annotations

import pytest
import torch

import ncdlang

BODIES = [
    "where(x > 0, X[x] / sum[x](exp(X[x])), 0)",
    "where(x > 1, norm[x](X[x]) * X[x], 0)",
    "where(x > 1, log(sum[x](X[x] ^ 2)), X[x])",
]


@pytest.mark.parametrize("body", BODIES)
def test_an_axis_bound_in_a_branch_is_not_that_of_its_condition(body: str) -> None:
    library = ncdlang.loads(f"diagram f(X: [x]) -> [x] {{ return Y[x] = {body} }}")
    given = torch.linspace(0.5, 2, 5, dtype=torch.float64, requires_grad=True)
    result = library.module("f", dtype="f64")(given)
    torch.testing.assert_close(
        result.detach(), library.module("f", backend="reference")(given.detach())
    )
    result.sum().backward()
    assert given.grad is not None
    assert given.grad.isfinite().all()
