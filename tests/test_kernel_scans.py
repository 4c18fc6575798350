"""Linear recurrences as associative scans in Triton's interpreter, and what is none."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from ncdlang.backends.kernels.helpers import SOURCES
from term_values import Values

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import Opaque, Opened, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.recurrences import Recurrence

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3, torch.float16: 2e-3}

STEPS = {
    "ssm": """(A: [t d], U: [t d], H0: [d]) -> [t d] {
  return H[t d] = tanh(A[t d]) * where(t > 0, H[t - 1, d], H0[d]) + U[t d]
}""",
    "backwards": """(A: [t d], U: [t d]) -> [t d] {
  return H[t d] = U[t d] - sigmoid(A[t d]) * where(t < size(t) - 1, H[t + 1, d], 1)
}""",
    "running_sum": "(X: [t]) -> [t] { return S[t] = where(t > 0, S[t - 1], 0) + X[t] }",
    "average": """(X: [t d]) -> [t d] {
  return M[t d] = where(t > 0, (t * M[t - 1, d] + X[t d]) / (t + 1), X[t d])
}""",
    "gated": """(G: [d t], X: [d t]) -> [d t] {
  F[d t] = sigmoid(G[d t])
  return H[d t] = F[d t] * where(t > 0, H[d, t - 1], 0) + (1 - F[d t]) * X[d t]
}""",
    "decayed_attention": """(Q: [t k], K: [t k], V: [t e], a: [t]) -> [t e] {
  S[t k e] = exp(-abs(a[t])) * where(t > 0, S[t - 1, k, e], 0) + K[t k] * V[t e]
  return O[t e] = Q[t k] * S[t k e]
}""",
    "two_states": """(X: [t d], c: []) -> ([t d], [t d]) {
  H[t d] = 0.9 * where(t > 0, H[t - 1, d], 0) + X[t d]
  R[t d] = c * where(t > 0, 0.3 * R[t - 1, d] + H[t - 1, d], 0) - H[t d]
  return H, R
}""",
    "resets": """(X: [t d], D: N(d)[t]) -> [t d] {
  return H[t d] = where(t > 0 and D[t] > 0, H[t - 1, d], 0) + X[t d]
}""",
    "in_tiles": """(A: [t k], U: [t k], K: [t k], V: [t e]) -> [t e] {
  H[t k] = sigmoid(A[t k]) * where(t > 0, H[t - 1, k], 0) + U[t k]
  S[t s] = where(s <= t, sum[k](H[t k] * K[s k]), 0)
  return O[t e] = sum[s](S[t s] * V[s e])
}""",
    "learned": """(X: [t m]) -> [t m] {
  learn F, V: linear[m -> m]
  A[t m] = sigmoid(F(X))
  B = V(X)
  H[t m] = A[t m] * where(t > 0, H[t - 1, m], 0) + B[t m]
  return Y[t m] = H[t m] * X[t m]
}""",
}
SIZES = {"t": 73, "d": 19, "k": 5, "e": 6, "m": 11}


@pytest.fixture(autouse=True)
def exact_products() -> None:
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")


def library(name: str) -> ncdlang.Library:
    return ncdlang.loads(f"use std.nn.{{linear}}\ndiagram {name}{STEPS[name]}\n")


def opened(text: str) -> Opened:
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    return open_diagram(diagram)


def both(name: str, sizes: dict[str, int], dtype: torch.dtype, lift: tuple[int, ...] = ()) -> None:
    """Compare values and gradients with the emitted loop in float64."""
    file = library(name)
    diagram = file.program.diagram(name)
    assert diagram is not None
    short = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}[dtype]
    known = {symbol.name: sizes[symbol.name] for symbol in diagram.unknowns}
    derived = file.module(name, sizes=known, backend="triton", dtype=short)
    exact = file.module(name, sizes=known)
    exact.load_state_dict(derived.state_dict())
    exact = exact.double()
    own, wide = [], []
    for wire in diagram.parameters:
        shape = [*lift, *(sizes[axis.name] for axis in wire.type.axes)]
        if wire.type.kind.name == "natural":
            own.append(torch.randint(0, 4, shape))
            wide.append(own[-1])
            continue
        own.append(torch.randn(shape).to(dtype).requires_grad_())
        wide.append(own[-1].detach().double().requires_grad_())
    made, wanted = derived(*own), exact(*wide)
    made = made if isinstance(made, tuple) else (made,)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    assert derived.last_run
    starts = [torch.randn(each.shape) for each in wanted]
    torch.autograd.backward(made, [s.to(dtype) for s in starts])
    if sizes["t"]:
        torch.autograd.backward(wanted, [s.to(dtype).double() for s in starts])
    pairs = list(zip(made, wanted, strict=True))
    leaves = zip((*own, *derived.parameters()), (*wide, *exact.parameters()), strict=True)
    zero = torch.zeros(())
    pairs += [
        (a.grad, zero.expand_as(b) if b.grad is None else b.grad)
        for a, b in leaves
        if a.is_floating_point()
    ]
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape
        # A sum of many that cancel has no more digits than its terms.
        loose = 4 if ours.numel() == 1 and dtype != torch.float32 else 1
        assert (ours.double() - theirs).norm() <= loose * TOLERANCE[dtype] * theirs.norm()


DTYPES = list(TOLERANCE)[: 3 if os.environ.get("NCDLANG_FULL") else 2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STEPS)
def test_scans_are_right_forward_and_backward(name: str, dtype: torch.dtype) -> None:
    both(name, SIZES, dtype)


@pytest.mark.parametrize("t", [0, 1, 2, 64, 65])
@pytest.mark.parametrize("name", ["ssm", "backwards"])
def test_any_length(name: str, t: int) -> None:
    both(name, SIZES | {"t": t, "d": 3}, torch.float32)


def test_sums_in_another_order_read_states_in_tiles() -> None:
    sizes = SIZES | {"t": 330, "k": 8, "e": 8}
    diagram = library("in_tiles").program.diagram("in_tiles")
    assert diagram is not None
    plan = make_plan(open_diagram(diagram), {s: sizes[s.name] for s in diagram.unknowns})
    assert [choice.taken for choice in plan.choices] == [True]
    both("in_tiles", sizes, torch.float32)


@pytest.mark.parametrize("lift", [(2,), (2, 3)])
def test_leading_axes_are_lifted(lift: tuple[int, ...]) -> None:
    both("gated", SIZES | {"d": 3, "t": 20}, torch.float32, lift)


def test_a_call_that_is_lifted_over_an_axis() -> None:
    text = f"""
diagram ssm{STEPS["ssm"]}
diagram f(A: [b t d], U: [b t d], H0: [d]) -> [b d t] {{
  H[b t d] = ssm(A, U, H0)
  return Y[b d t] = H[b t d] * 2
}}
"""
    file = ncdlang.loads(text)
    derived, exact = file.module("f", backend="triton"), file.module("f")
    inputs = [torch.randn(3, 20, 4), torch.randn(3, 20, 4), torch.randn(4)]
    made, wanted = derived(*inputs), exact(*(i.double() for i in inputs))
    assert derived.last_run == ("H",)
    assert (made.double() - wanted).norm() < 2e-6 * wanted.norm()


@pytest.mark.parametrize("t", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("reverse", [False, True])
def test_without_a_kernel_steps_are_composed_by_doubling(t: int, reverse: bool) -> None:
    namespace: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor}
    exec(SOURCES["_scan"], namespace)
    factor, offset = torch.randn(2, 1, t, 3, dtype=torch.float64)
    made = namespace["_scan"](factor, offset, 1, reverse)
    state = torch.zeros(1, 3, dtype=torch.float64)
    for step in reversed(range(t)) if reverse else range(t):
        state = factor[:, step] * state + offset[:, step]
        torch.testing.assert_close(made[:, step], state)
    assert made.shape == factor.shape


def test_the_factor_and_the_offset_are_those_of_the_step() -> None:
    found = opened(f"diagram f{STEPS['average']}")
    (recurrence,) = found.made
    assert isinstance(recurrence, Recurrence)
    t, d = recurrence.array.axes
    source = torch.randn(4, 4, dtype=torch.float64)
    values = Values({found.inputs[0]: source}, {axis.symbol: 4 for axis in (t, d) if axis.symbol})
    index = torch.arange(4, dtype=torch.float64)
    assert torch.equal(values.over(recurrence.factor, (t,)), index / (index + 1))
    offset = values.over(recurrence.offset, (t, d))
    torch.testing.assert_close(offset, source / (index + 1)[:, None])


NONE = {
    "tanh of H is not linear": "tanh(where(t > 0, H[t - 1, d], 0)) + X[t d]",
    "mul of H is not linear": "where(t > 0, H[t - 1, d] * H[t - 1, d], 0) + X[t d]",
    "div of H is not linear": "X[t d] / where(t > 0, H[t - 1, d], 1)",
    "max of H is not linear": "max(where(t > 0, H[t - 1, d], 0), X[t d])",
    "more than one position back along t": "where(t > 1, H[t - 2, d], 0) + X[t d]",
    "mixes entries along d": "where(t > 0, H[t - 1, size(d) - 1 - d], 0) + X[t d]",
}


@pytest.mark.parametrize("reason", NONE)
def test_what_is_no_associative_scan_is_refused(reason: str) -> None:
    text = f"diagram f(X: [t d]) -> [t d] {{ return H[t d] = {NONE[reason]} }}"
    with pytest.raises(Opaque, match=reason):
        opened(text)
    module = ncdlang.loads(text).module("f", backend="triton")
    X = torch.rand(5, 3)
    assert torch.equal(module(X), ncdlang.loads(text).module("f")(X))
    assert module.kernels == ()


def test_states_that_read_each_other_are_refused() -> None:
    text = """
diagram f(X: [t]) -> [t] {
  H[t] = where(t > 0, H[t - 1] + C[t - 1], 0) + X[t]
  C[t] = where(t > 0, C[t - 1] - H[t - 1], 0)
  return H
}
"""
    with pytest.raises(Opaque, match="each read the other"):
        opened(text)


def test_a_state_of_which_nothing_is_needed_is_left_out() -> None:
    text = """
diagram f(X: [t]) -> [] {
  H[t] = where(t > 0, H[t - 1], 0) + X[t]
  return sum[t](X[t] * X[t])
}
"""
    assert opened(text).made == ()


def test_the_argument_of_a_scan() -> None:
    found = opened(f"diagram f{STEPS['gated']}")
    text = explain(make_plan(found), "f", {}, DEVICES["h200"])
    assert "1 recurrence is a scan" in text
    assert "H = a * H[t - 1] + b along t" in text
    assert "t streamed in tiles; d grouped" in text
