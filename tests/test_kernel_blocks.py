"""Whole blocks, two attentions and gated layers with residuals, through kernels both ways."""

from __future__ import annotations

import os

import pytest
import torch

import ncdlang

TOLERANCE = {"f32": 2e-6, "bf16": 8e-3}
FORMATS = {"f32": torch.float32, "bf16": torch.bfloat16}
# No size is a multiple of a tile.
SIZES = {"x": 19, "h": 2, "k": 6, "m": 20, "f": 27}
TEXT = """
use std.nn.{linear, rms_norm}

diagram causal(Q: [q h k], K: [x h k], V: [x h k], s: [h]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k)) + s[h] * (x - q)
  P = softmax[x](where(x <= q, S[h q x], -inf))
  return O[q h k] = P[h q x] * V[x h k]
}
diagram spherical(Q: [q h k], K: [x h k], V: [x h k], b: []) -> [q h k] {
  S[h q x] = where(x <= q and q - x < 7, Q[q h k] * K[x h k] + b, 0)
  z[h q] = sum[x](S[h q x]^2)
  P[h q x] = where(z[h q] > 0, S[h q x] / sqrt(z[h q]), 0)
  return O[q h k] = P[h q x] * V[x h k]
}
diagram think[f](X: [m]) -> [m] {
  learn gate, up: linear[m -> f]
  learn down: linear[f -> m]
  G = silu(gate(X))
  U = up(X)
  return down(G[f] * U[f])
}
diagram block2[h, k, f](X: [x m], s: [h], b: []) -> [x m] {
  learn Lq, Lk, Lv, Mq, Mk, Mv: linear[m -> h k]
  learn Lo, Mo: linear[h k -> m]
  learn first, second: think[f]
  N = rms_norm[m](X)
  A[x m] = X + Lo(causal(Lq(N), Lk(N), Lv(N), s))
  B[x m] = A + first(rms_norm[m](A))
  M = rms_norm[m](B)
  C[x m] = B + Mo(spherical(Mq(M), Mk(M), Mv(M), b))
  return D[x m] = C + second(rms_norm[m](C))
}
"""


def ran(
    module: torch.nn.Module, state: dict[str, torch.Tensor], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """The result and all gradients with these parameters, and inputs that are the same each time.

    Inputs are rounded to the format of the parameters of `state`.
    """
    short = next(iter(state.values())).dtype
    module.load_state_dict({name: value.to(dtype) for name, value in state.items()})
    generator = torch.Generator().manual_seed(1)
    shapes = {"X": (SIZES["x"], SIZES["m"]), "s": (SIZES["h"],), "b": ()}
    given = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    inputs = [value.to(short).to(dtype).requires_grad_() for value in given.values()]
    made = module(*inputs)
    made.backward(torch.randn(made.shape, generator=generator).to(short).to(dtype))
    learned = {name: value.grad for name, value in module.named_parameters()}
    grads = dict(zip(given, (value.grad for value in inputs), strict=True))
    return {"result": made.detach(), **grads, **learned}


def errors(dtype: str) -> dict[str, tuple[float, float]]:
    """How far each result and gradient is from f64, by kernels and by PyTorch in the format."""
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    library = ncdlang.loads(TEXT)
    short = FORMATS[dtype]
    derived = library.module("block2", sizes=SIZES, backend="triton", dtype=dtype, derived="true")
    exact, plain = (library.module("block2", sizes=SIZES, dtype=d) for d in ("f64", dtype))
    state = {name: torch.randn(v.shape) / 4 for name, v in exact.state_dict().items()}
    state = {name: value.to(short) for name, value in state.items()}
    ours, wanted = ran(derived, state, short), ran(exact, state, torch.float64)
    theirs = ran(plain, state, short)
    assert len(derived.last_run) >= 6, derived.last_run
    assert len(wanted) == 4 + len(state)

    def off(made: torch.Tensor, right: torch.Tensor) -> float:
        return ((made.double() - right).norm() / right.norm()).item()

    return {name: (off(ours[name], w), off(theirs[name], w)) for name, w in wanted.items()}


@pytest.mark.parametrize("dtype", TOLERANCE if os.environ.get("NCDLANG_FULL") else ["f32"])
def test_a_block_of_two_attentions(dtype: str) -> None:
    """Within the bound of the format, or as near as PyTorch comes through ten rounded layers."""
    found = errors(dtype)
    assert all(ours <= max(TOLERANCE[dtype], theirs) for ours, theirs in found.values()), found
