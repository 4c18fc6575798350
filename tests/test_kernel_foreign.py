"""Kernels round calls of what has no equations, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from kernel_judge import judged

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan

ATTENTION = """  S[q x] = Q[q k] * K[x k]
  P = softmax[x](S)
  O[q e] = P[q x] * V[x e]
"""
# A program, its call, and how many kernels run.
PROGRAMS = {
    "mixture": (
        """diagram f(X: [t m], W: [v z m], D: [v m z], R: [v m]) -> [t m] {
  L[t v] = X[t m] * R[v m]
  G[t j], E[t j] = top_k[v, 2](softmax[v](L))
  H[t j z] = relu(X[t m] * W[E[t j], z, m])
  return Y[t m] = G[t j] * H[t j z] * D[E[t j], m, z]
}""",
        "top_k",
        2,
    ),
    "after": (
        f"diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {{\n{ATTENTION}  return sort[e](O)\n}}",
        "sort",
        1,
    ),
    "before": (
        (
            "diagram f(Q: [q k], K: [x k], U: [x e]) -> [q e] {\n"
            f"  V = sort[x](U)\n{ATTENTION}  return O\n}}"
        ),
        "sort",
        1,
    ),
    "without gradient": (
        (
            "diagram f(Q: [q k], C: [x k], V: [x e]) -> [q e] {\n"
            f"  K = detach(C)\n{ATTENTION}  return O\n}}"
        ),
        "detach",
        1,
    ),
    "lifted": (
        """diagram order(X: [t m], U: [t]) -> [t m] {
  I = argsort[t](U)
  return Y[t m] = X[I[t], m] * 2
}
diagram f(X: [b t m], U: [b t]) -> [b t m] { return order(X, U) }""",
        "argsort",
        1,
    ),
    "lifted keys": (
        """diagram f(Q: [h q k], K: [h x k], V: [h x e]) -> [h q e] {
  S[h q x] = Q[h q k] * K[h x k]
  T[h q t], I[h q t] = top_k[x, 3](S)
  return O[h q e] = sum[t](softmax[t](T) * V[h, I[h q t], e])
}""",
        "top_k",
        1,
    ),
    "random": (
        (
            "use std.nn.{dropout}\ndiagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {\n"
            f"{ATTENTION}  return dropout[0.0](O)\n}}"
        ),
        "dropout",
        1,
    ),
}
SIZES = {
    "t": 37,
    "m": 19,
    "v": 5,
    "j": 2,
    "z": 23,
    "q": 21,
    "x": 34,
    "k": 5,
    "e": 7,
    "b": 3,
    "h": 2,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_round_a_call(name: str) -> None:
    torch.set_float32_matmul_precision("highest")
    text, call, kernels = PROGRAMS[name]
    ran = judged(text, "f", SIZES, torch.float32, factor=2)
    assert len(ran) >= kernels
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    shown = explain(make_plan(open_diagram(diagram)), "f", {}, DEVICES["h200"])
    assert f"= {call}(" in shown


def test_dropout_is_drawn_once_and_only_in_training() -> None:
    text = PROGRAMS["random"][0].replace(
        "return dropout[0.0](O)", "D = dropout[0.5](O)\n  return D + D"
    )
    module = ncdlang.loads(text).module("f", backend="triton")
    inputs = [torch.randn(21, 5), torch.randn(34, 5), torch.randn(34, 7)]
    module.eval()
    exact = module(*inputs)
    module.train()
    dropped = module(*inputs)
    kept = dropped != 0
    assert module.last_run
    assert 0.2 < kept.float().mean() < 0.8
    assert torch.allclose(dropped[kept], 2 * exact[kept], atol=1e-5)
