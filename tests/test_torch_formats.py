"""Number formats in emitted PyTorch, also those of 8 bits, which PyTorch only holds."""

from __future__ import annotations

import re

import pytest
import torch
from torch_cases import BATCHES, as_tuple, built, inputs_of, names

import ncdlang

FORMATS = {
    "f64": torch.float64,
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
    "f8e4m3": torch.float8_e4m3fn,
    "f8e5m2": torch.float8_e5m2,
}


@pytest.mark.parametrize("form", FORMATS)
def test_casts_round_to_the_format(form: str) -> None:
    lib = ncdlang.loads(f"""
diagram held(X: [n d]) -> {form}[n d] {{ return cast[{form}](X) }}
diagram used(X: [n d]) -> [n d] {{
  A = cast[{form}](X)
  return H[n d] = exp(A[n d]) + where(n > 0, H[n - 1, d], 0)
}}
diagram kept(X: [n d], I: N(v)[n], B: [v]) -> {form}[v d] {{
  Y: {form}[v d]
  Y[I[n], d] max= cast[{form}](X[n d])
  return Y
}}
""")
    X = torch.randn(3, 2, dtype=torch.float64)
    held = lib.module("held", dtype="f64")(X)
    assert held.dtype == FORMATS[form]
    wanted = lib.module("held", dtype="f64", backend="reference")(X)
    torch.testing.assert_close(held.double(), wanted.double(), rtol=0, atol=0)
    kept = lib.module("kept", dtype="f64")(X, torch.tensor([1, 1, 0]), torch.zeros(2))
    assert kept.dtype == FORMATS[form]
    used = [lib.module("used", dtype="f64", backend=b)(X) for b in ("torch", "reference")]
    precision = torch.finfo(FORMATS[form]).eps if form[:2] != "f8" else 1e-12
    torch.testing.assert_close(used[0].double(), used[1], rtol=4 * precision, atol=1e-9)


HELD = """
diagram sums(X: F[t d]) -> F[t d] { return H[t d] = X[t d] + where(t > 0, H[t - 1, d], 0) }
diagram all_before(X: F[t d]) -> F[t d] {
  return H[t d] = X[t d] + sum[s](where(s < t, H[s d], 0))
}
diagram backwards(X: F[t d]) -> F[t d] { return X[size(t) - 1 - t, d] }
diagram written(X: F[t d]) -> F[t d] {
  Y: F[t d]
  Y[size(t) - 1 - t, d] = 2 * X[t d]
  return Y
}
diagram gathered(X: F[t d], I: N(t)[n]) -> (F[n d], F[n]) {
  Y = X[I[n], d]
  return Y, sum[d](Y)
}
diagram chosen(X: F[t d], Y: [t d]) -> [t d] {
  return where(Y > 0, X, Y) + where(size(d) > 2, X, Y) + softmax[d](X)
}
diagram literal(X: [t]) -> (F[], [t]) { return cast[F](0.1), X + cast[F](0.1) }
diagram learned(X: [m t]) -> F[d t] {
  axis d = 2
  learn W: F[d m]
  learn V: F[d m] ~ normal(0, 1)
  return Y[d t] = X[m t] * W[d m] + X[m t] * V[d m]
}
"""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", names(HELD))
def test_arrays_are_held_in_their_formats(name: str, form: str) -> None:
    lib = ncdlang.loads(re.sub(r"\bF\b", form, HELD))
    sizes = {"t": 3, "d": 2, "n": 2, "m": 3}
    diagram = lib.program.diagram(name)
    assert diagram is not None
    for batch in BATCHES:
        inputs = [
            x.to(FORMATS[wire.type.kind.format]) if wire.type.kind.format else x
            for x, wire in zip(inputs_of(diagram, sizes, batch), diagram.parameters, strict=True)
        ]
        module, judge = (built(lib, name, sizes, backend) for backend in ("torch", "reference"))
        judge.load_state_dict(module.state_dict())
        found, wanted = as_tuple(module(*inputs)), as_tuple(judge(*inputs))
        for y, z, wire in zip(found, wanted, diagram.results, strict=True):
            assert y.dtype == FORMATS[wire.type.kind.format or "f64"]
            precision = torch.finfo(y.dtype).eps if form[:2] != "f8" else 1e-12
            torch.testing.assert_close(y.double(), z.double(), rtol=4 * precision, atol=precision)
