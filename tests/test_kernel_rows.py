"""Kernels over whole rows: softmax over its own axis, norms whose output escapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_judge import judged
from ncdlang.backends.kernels import row_tiles
from ncdlang.backends.kernels.loading import loaded
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.steps import Library, Plan, Region, Rows, arrays_of

TEXT = """
use std.loss.{cross_entropy}
use std.nn.{rms_norm, layer_norm, group_norm, linear}
diagram rows(X: [t m]) -> [t m] { return softmax[m](X) }
diagram logs(X: [b t m]) -> [b t m] { return log_softmax[m](X) }
diagram norm_affine(X: [t m]) -> [t m] { return layer_norm[m](X) }
diagram residual(X: [t m], Y: [t m]) -> ([t m], [t m]) {
  H[t m] = X[t m] + Y[t m]
  return rms_norm[m](H), H
}
diagram unit(X: [t m], s: [t]) -> [m t] { return Y[m t] = s[t] * X[t m] / norm[m](X[t m]) }
diagram across(X: [t m]) -> [t m] { return softmax[t](X) }
diagram image(X: [b y x]) -> [b y x] { return softmax[y x](X) }
diagram causal(X: [q x], T: []) -> [q x] { return softmax[x](where(x <= q, X[q x] * T, -inf)) }
diagram shown(Q: [q k], K: [x k], V: [x e]) -> ([q x], [q e]) {
  S[q x] = Q[q k] * K[x k] / sqrt(size(k))
  P = softmax[x](S)
  O[q e] = P[q x] * V[x e]
  return P, O
}
diagram masked(X: [h q x], B: [h x], M: [q x], s: [h]) -> [h q x] {
  return softmax[x](s[h] * X[h q x] + B[h x] + M[q x])
}
diagram wide(X: [t m], V: [d]) -> [t m d] { return Y[t m d] = softmax[m](X)[t m] * V[d] }
diagram post(X: [t m], W: [m n]) -> [t m] {
  H[t n] = relu(X[t m] * W[m n])
  return layer_norm[m](X + linear[n -> m](H))
}
diagram both_ways(X: [t m]) -> [t m] { return softmax[t](softmax[m](X)) }
diagram numbers(X: [t m]) -> ([t m], [t], [t]) {
  return softmax[m](X), logsumexp[m](X), mean[m](X)
}
diagram largest(X: [t m]) -> [t m] { return Y[t m] = X[t m] / max[m](abs(X[t m])) }
diagram entropy(L: [n v], T: N(v)[n]) -> [n] { return cross_entropy[v](L, T) }
diagram chosen(L: [n v], T: N(v)[n]) -> ([n v], [n]) {
  P = softmax[v](L)
  Z[n] = P[n, T[n]]
  return P, Z
}
diagram groups(X: [y, x, (g d)]) -> [y, x, (g d)] { return group_norm[y x, g](X) }
diagram renamed(X: [q x]) -> [q z] {
  axis z = size(x)
  P = softmax[x](X)
  return Y[q z] = 2 * P[q z]
}
diagram one_row(X: [m]) -> [m] { return softmax[m](X) }
diagram looked_up(E: [v m], T: N(v)[t]) -> [t m] { return softmax[m](E[T[t], m]) }
diagram columns(X: [t m], W: [t e]) -> [m e] {
  P = softmax[m](X)
  return O[m e] = P[t m] * W[t e]
}
diagram norm_linear(X: [t m], W: [f m]) -> [t f] {
  Z = rms_norm[m](X)
  return O[t f] = Z[t m] * W[f m]
}
"""
LIBRARY = ncdlang.loads(TEXT)
LENGTHS = (5, 37, 3, 3, 7, 6, 4, 3, 2, 2, 9, 11, 2)
SIZES = dict(zip("tmbyxqkehdnvg", LENGTHS, strict=True))
FULL = bool(os.environ.get("NCDLANG_FULL"))
SHORT = (torch.bfloat16, torch.float16)
FEW = ("rows", "norm_affine", "residual", "shown")
REST = ("logs", "unit", "across", "image", "causal", "masked", "wide", "post", "both_ways")
REST += ("groups", "renamed", "entropy", "chosen", "numbers", "one_row", "looked_up", "columns")


def plan_of(name: str) -> Plan:
    diagram = LIBRARY.program.diagram(name)
    assert diagram is not None
    return make_plan(open_diagram(diagram))


# ---- what is planned ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows", "logs", "norm_affine", "residual", "image", "numbers"])
def test_all_that_reads_the_rows_is_one_kernel(name: str) -> None:
    plan = plan_of(name)
    (step,) = plan.steps
    assert isinstance(step, Rows)
    assert set(arrays_of(step)) == set(plan.results)


def test_its_gradient_is_one_kernel_with_sums_over_rows_in_parts() -> None:
    runner = Runner(plan_of("norm_affine"), {})
    backward = runner.backward(runner.plan.steps[0])
    assert backward is not None
    first, *rest = backward.program.steps
    assert isinstance(first, Rows)
    assert first.part is not None
    assert len(first.outputs) == 3
    assert all(isinstance(step, Library) and step.term.bound == (first.part,) for step in rest)


def test_a_read_at_one_place_of_each_row_needs_no_scatter() -> None:
    runner = Runner(plan_of("entropy"), {})
    backward = runner.backward(runner.plan.steps[0])
    assert backward is not None
    assert [type(step) for step in backward.program.steps] == [Rows]


def test_what_is_added_to_its_norm_is_made_once() -> None:
    """The rows that a sum over other axes and the result share are made first."""
    text = """
use std.nn.{rms_norm, linear}
diagram f(X: [t m], W: [m n]) -> [t m] {
  N = rms_norm[m](X)
  H[t n] = relu(N[t m] * W[m n])
  return rms_norm[m](N + linear[n -> m](H))
}
"""
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    steps = make_plan(open_diagram(diagram)).steps
    rows = [step for step in steps if isinstance(step, Rows)]
    assert [len(step.folds) for step in rows] == [1, 1]


STREAMED = {
    "attention": """diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = Q[q k] * K[x k]
  P = softmax[x](where(x <= q, S, -inf))
  O[q e] = P[q x] * V[x e]
  return rms_norm[e](O)
}
""",
    "heads": """diagram f[h, k](X: [t m]) -> [t h k] {
  return rms_norm[k](linear[m -> h k](layer_norm[m](X)))
}
""",
    "quotients": """diagram f(X: [t m], W: [m n], g: [n]) -> [t n] {
  s[t] = norm[m](X) + 1
  A[t n] = X[t m] * W[m n] / s[t]
  return Y[t n] = g[n] * A[t n] * rsqrt(mean[n](2 * A[t n]^2) + 0.001)
}
""",
}


@pytest.mark.parametrize("name", STREAMED)
def test_rows_of_what_streams_are_made_once(name: str) -> None:
    """No product of matrices is taken both with the scale of a norm and squared; rows are dense."""
    text = "use std.nn.{rms_norm, layer_norm, linear}\n" + STREAMED[name]
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    region, rows = make_plan(open_diagram(diagram)).steps
    assert isinstance(region, Region)
    assert isinstance(rows, Rows)
    full = [array for array in arrays_of(region) if array.axes[-1:] == rows.barrier]
    assert len(full) == 1
    sizes = {"q": 5, "k": 3, "x": 9, "e": 4, "t": 5, "m": 7, "h": 2, "n": 6}
    kernels = judged(text, "f", sizes, torch.float32, factor=4)
    assert len(kernels) == 2


def test_products_of_matrices_are_no_rows() -> None:
    """Their folds run over an axis that the result has as well, but over other entries."""
    text = """
use std.nn.{linear}
diagram f[n](X: [m]) -> [m] { return linear[n -> m](relu(linear[m -> n](X))) }
"""
    diagram = ncdlang.loads(text).program.diagram("f")
    assert diagram is not None
    assert not [s for s in make_plan(open_diagram(diagram)).steps if isinstance(s, Rows)]


def test_what_streams_still_streams() -> None:
    assert [type(step) for step in plan_of("norm_linear").steps] == [Region]
    assert [type(step) for step in plan_of("shown").steps[-2:]] == [Rows, Region]


def test_why_nothing_streams_is_still_told() -> None:
    shown = explain(plan_of("rows"), "rows", {}, DEVICES["h200"])
    assert "1 kernel over rows" in shown
    assert "m a barrier, held whole" in shown
    assert "reads all of m for each entry of a result that has m itself" in shown


def test_a_maximum_with_a_gradient_is_left_to_pytorch() -> None:
    runner = Runner(plan_of("largest"), {})
    assert runner.backward(runner.plan.steps[0]) is None


# ---- what is made -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW + REST)
def test_values_and_gradients(name: str) -> None:
    assert judged(TEXT, name, SIZES, torch.float32)


@pytest.mark.parametrize("dtype", SHORT if FULL else SHORT[:1])
@pytest.mark.parametrize("name", FEW)
def test_short_formats(name: str, dtype: torch.dtype) -> None:
    assert judged(TEXT, name, SIZES, dtype)


@pytest.mark.parametrize("name", ["norm_affine", "masked"])
def test_leading_axes_and_several_tiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that adds up rows has more than one tile of them."""
    monkeypatch.setattr(row_tiles, "MOST_ROWS", 2)
    assert judged(TEXT, name, {**SIZES, "t": 11, "q": 11}, torch.float32, lead=2)


@pytest.mark.parametrize("name", ["logs", "norm_affine", "across", "masked", "numbers"])
def test_rows_longer_than_a_tile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tiles, "LONGEST", 16)
    monkeypatch.setattr(row_tiles, "SWEPT", 16)
    sizes = {**SIZES, "b": 1, "t": 33 if name == "across" else 3, "q": 3, "x": 35}
    assert judged(TEXT, name, sizes, torch.float32)


@pytest.mark.parametrize(("t", "m"), [(0, 5), (5, 1), (3, 0), (1, 64)])
def test_empty_and_short_axes(t: int, m: int) -> None:
    module = LIBRARY.module("rows", backend="triton", derived=True)
    x = torch.randn(t, m, requires_grad=True)
    made = module(x)
    made.sum().backward()
    assert torch.allclose(made, torch.softmax(x, -1))
    assert x.grad is not None
    assert x.grad.abs().sum() < 1e-5


@pytest.mark.parametrize("longest", [16384, 16])
def test_rows_of_only_minus_infinity(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tiles, "LONGEST", longest)
    monkeypatch.setattr(row_tiles, "SWEPT", 16)
    # Tables are written into the file, so that one of another length is another file.
    text = TEXT.replace("diagram rows", f"diagram rows{longest}")
    module = ncdlang.loads(text).module(f"rows{longest}", backend="triton")
    x = torch.randn(4, 40)
    x[1] = -torch.inf
    x[2, 3:] = -torch.inf
    x.requires_grad_()
    made = module(x)
    assert module.last_run
    assert not made[1].any()
    assert torch.allclose(made[2], torch.softmax(x[2], -1))
    made.backward(torch.randn(4, 40))
    assert x.grad is not None
    assert not x.grad[1].any()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("longest", [16384, 16])
def test_a_large_mean_costs_no_digits(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tiles, "LONGEST", longest)
    text = TEXT.replace("diagram norm_affine", f"diagram norm_affine{longest}")
    module = ncdlang.loads(text).module(f"norm_affine{longest}", backend="triton", sizes={"m": 200})
    x = torch.randn(5, 200) + 1e4
    exact = torch.nn.functional.layer_norm(x.double(), (200,))
    made = module(x)
    assert module.last_run
    assert (made.double() - exact).norm() <= 2e-6 * exact.norm()


def test_any_strides() -> None:
    module = LIBRARY.module("rows", backend="triton", derived=True)
    x = torch.randn(33, 2, 12)[:, 1].t().requires_grad_()
    start = torch.randn(33, 12).t()
    made = module(x)
    assert module.last_run
    assert torch.allclose(made, torch.softmax(x, -1), atol=1e-6)
    (mine,) = torch.autograd.grad(made, x, start)
    (theirs,) = torch.autograd.grad(torch.softmax(x, -1), x, start)
    assert torch.allclose(mine, theirs, atol=1e-6)


def test_pytorch_knows_the_operation() -> None:
    module = loaded(LIBRARY.source("norm_affine", backend="triton"))
    tensors = [torch.randn(1, 5), torch.randn(2, 5, 5), torch.randn(1, 5)]
    given = [tensor.requires_grad_() for tensor in tensors]
    found = torch.library.opcheck(module.norm_affine_x_1, (*given, 5, 5, True))
    assert set(found.values()) == {"SUCCESS"}
    wide = [tensor.detach().double().requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(lambda *t: module.norm_affine_x_1(*t, 5, 5, True)[0], wide)


# ---- on GPUs that are not here ------------------------------------------------------------------


GATE = Path(__file__).parent / "kernel_gate.py"
GATED = """
use std.nn.{rms_norm, layer_norm}
diagram affine_norm(X: [t n]) -> [t n] { return layer_norm[n](X) }
"""
MORE = """
diagram rows(X: [t v]) -> [t v] { return softmax[v](X) }
diagram across(X: [t m]) -> [t m] { return softmax[t](X) }
diagram residual(X: [t m], Y: [t m]) -> ([t m], [t m]) {
  H[t m] = X[t m] + Y[t m]
  return rms_norm[m](H), H
}
diagram masked(X: [h q x], B: [h x], M: [q x], s: [h]) -> [h q x] {
  return softmax[x](where(x <= q, s[h] * X[h q x] + B[h x] + M[q x], -inf))
}
"""


def test_kernels_compile_for_ampere_and_hopper(tmp_path: Path) -> None:
    """The longest rows that are held whole, with sums over rows, and those that are swept."""
    file = tmp_path / "rows.ncd"
    file.write_text(GATED + (MORE if FULL else ""), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(GATE), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["arch"] for row in rows} == {80, 90}
    assert {row["direction"] for row in rows} == {"forward", "backward"}
    assert not [row for row in rows if row["faults"]]
