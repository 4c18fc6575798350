"""Modules that no kernel makes, called between kernels: they keep a state, or are no scan."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan

ROOT = Path(__file__).parent.parent
FILES = [
    *ROOT.glob("examples/*.ncd"),
    *ROOT.glob("stdlib/std/*.ncd"),
    *ROOT.glob("tests/data/*.ncd"),
]
ATTENTION = """  S[b q x] = Q[b q k] * K[x k]
  P = softmax[x](S)
  O[b q e] = P[b q x] * V[x e]
"""
HEAD = "diagram f(Q: [b q k], K: [x k], V: [x e]) -> [b q e] {\n"
CELL = """diagram cell(X: [t e]) -> [t e] {
  axis d = size(e)
  learn W: [e d]
  C[t e] = where(t > 0, H[t - 1, e], 0)
  H[t e] = tanh(X[t e] + W[e d] * C[t, d])
  return H
}
"""
PROGRAMS = {
    "after": (
        f"use std.nn.{{batch_norm}}\n{HEAD}{ATTENTION}  return batch_norm[b q -> e](O)\n}}",
        "batch_norm keeps a state",
    ),
    "before": (
        (
            "use std.nn.{batch_norm}\ndiagram f(Q: [b q k], C: [x k], V: [x e]) -> [b q e] {\n"
            f"  K = batch_norm[x -> k](C)\n{ATTENTION}  return O\n}}"
        ),
        "batch_norm keeps a state",
    ),
    "inside": (
        (
            "use std.nn.{batch_norm}\ndiagram block1(O: [b q e]) -> [b q e] {\n"
            "  learn n: batch_norm[b q -> e]\n  return n(O) * 2 + n(O)\n}\n"
            f"{HEAD}{ATTENTION}  learn inner: block1\n  return inner(O) + O\n}}"
        ),
        "batch_norm keeps a state",
    ),
    "cell": (
        f"{CELL}{HEAD}{ATTENTION}  learn rnn: cell\n  return rnn(O)\n}}",
        "a recurrence is no associative scan",
    ),
}
SIZES = {"b": 3, "q": 5, "x": 14, "k": 4, "e": 7}
SHAPES = ((3, 5, 4), (14, 4), (14, 7))


def modules(text: str, sizes: dict[str, int]):
    file = ncdlang.loads(text)
    derived = file.module("f", sizes=sizes, backend="triton")
    exact = file.module("f", sizes=sizes).double()
    exact.load_state_dict({k: v.double() for k, v in derived.state_dict().items()})
    return derived, exact


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_round_a_module(name: str, training: bool) -> None:
    torch.manual_seed(0)
    text, _ = PROGRAMS[name]
    derived, exact = modules(text, {"e": 7, "k": 4})
    own = [torch.randn(shape, requires_grad=True) for shape in SHAPES]
    wide = [t.detach().double().requires_grad_() for t in own]
    for module in (derived, exact):
        module.train(training)
    for _ in range(2):
        made, wanted = derived(*own), exact(*wide)
    assert derived.last_run
    torch.testing.assert_close(made.double(), wanted, rtol=1e-5, atol=1e-5)
    start = torch.randn(wanted.shape)
    made.backward(start)
    wanted.backward(start.double())
    pairs = [(a.grad, b.grad) for a, b in zip(own, wide, strict=True)]
    pairs += [
        (a.grad, b.grad) for a, b in zip(derived.parameters(), exact.parameters(), strict=True)
    ]
    assert all(a is not None for a, _ in pairs)
    for ours, theirs in pairs:
        error = (ours.double() - theirs).norm()
        assert error <= 2e-5 * theirs.norm() + 1e-5
    for ours, theirs in zip(derived.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_reason_is_told(name: str) -> None:
    text, reason = PROGRAMS[name]
    file = ncdlang.loads(text)
    diagram = file.program.diagram("f")
    assert diagram is not None
    shown = explain(make_plan(open_diagram(diagram)), "f", {}, DEVICES["h200"])
    assert reason in shown
    assert f"# {reason}" in file.source("f", sizes={"e": 7, "k": 4}, backend="triton")


def test_further_axes_are_left_to_the_eager_class() -> None:
    text, _ = PROGRAMS["cell"]
    derived, exact = modules(text, {"e": 7, "k": 4})
    given = [torch.randn(2, *shape) for shape in SHAPES]
    made, wanted = derived(*given), exact(*(t.double() for t in given))
    assert derived.last_run == ()
    torch.testing.assert_close(made.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_diagram_opens_or_says_why(path: Path) -> None:
    for diagram in ncdlang.load(path).program.diagrams:
        with suppress(Opaque):
            open_diagram(diagram)


def test_what_a_step_writes_at_indices_is_no_scan() -> None:
    text = """diagram turned(P: [s]) -> [s] {
      R: [s]
      R[size(s) - 1 - s] = P[s]
      return R
    }
    diagram f(X: [t s]) -> [t s] {
      P[t s] = where(t > 0, H[t - 1, s], 0.5)
      R = turned(P)
      return H[t s] = 0.5 * R[t s] + P[t s] + X[t s]
    }"""
    (diagram,) = (d for d in ncdlang.loads(text).program.diagrams if d.name == "f")
    with pytest.raises(Opaque, match="no associative scan: a step makes an array of H"):
        open_diagram(diagram)


def test_inputs_may_be_named() -> None:
    module = ncdlang.loads(f"{HEAD}{ATTENTION}  return O\n}}").module("f", backend="triton")
    q, k, v = (torch.randn(shape) for shape in SHAPES)
    made = module(q, k, v)
    assert torch.equal(module(q, V=v, K=k), made)
    assert module.last_run == ("O",)
    for wrong in ({"K": k}, {"K": k, "V": v, "Q": q}, {"K": k, "W": v}):
        with pytest.raises(TypeError):
            module(q, **wrong)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(q, V=v, K=k), made)
