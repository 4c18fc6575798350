"""Scatters as kernels in Triton's interpreter: as they come, and sorted."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.opening import Opaque, Opened, open_diagram
from ncdlang.analysis.plan import make_plan

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3, torch.float16: 2e-3}

# What is written, and whether sources may meet.
WRITES = {
    "segment_sum": (
        "(U: [n d], I: N(v)[n]) -> [v d] {\n  Y: [v d]\n  Y[I[n], d] += U[n d]\n  return Y\n}",
        True,
    ),
    "of_a_product": (
        """(U: [n d], w: [n], I: N(v)[n]) -> [v d] {
  Y: [v d]
  Y[I[n], d] += w[n] * tanh(U[n d])
  return Y
}""",
        True,
    ),
    "batched": (
        """(U: [b n d], I: N(v)[b n]) -> [b v d] {
  Y: [b v d]
  Y[b, I[b n], d] += U[b n d]
  return Y
}""",
        True,
    ),
    "two_places": (
        """(U: [n d], I: N(v)[n], J: N(b)[n]) -> [b d v] {
  Y: [b d v]
  Y[J[n], d, I[n]] += U[n d]
  return Y
}""",
        True,
    ),
    "numbers": (
        "(U: [n t], I: N(v)[n t]) -> [v] {\n  Y: [v]\n  Y[I[n t]] += U[n t]\n  return Y\n}",
        True,
    ),
    "largest": (
        "(U: [n d], I: N(v)[n]) -> [v d] {\n  Y: [v d]\n  Y[I[n], d] max= U[n d]\n  return Y\n}",
        True,
    ),
    "smallest_onto": (
        """(U: [n d], I: N(v)[n], A: [v d]) -> [v d] {
  Y: [v d]
  Y[v d] = A[v d]
  Y[I[n], d] min= U[n d]
  return Y
}""",
        True,
    ),
    "onto": (
        """(U: [n d], I: N(v)[n], A: [v d]) -> [v d] {
  Y: [v d]
  Y[v d] += A[v d]
  Y[I[n], d] += U[n d]
  return Y
}""",
        True,
    ),
    "spread_out": (
        """[m = 150](U: [n d]) -> [m d] {
  Y: [m d]
  assert 3 * size(n) <= size(m)
  Y[3 * n, d] = U[n d]
  return Y
}""",
        False,
    ),
    "windows": (
        """(G: [n j d]) -> [z d] {
  axis z = size(n) + size(j) - 1
  Y: [z d]
  Y[n + j, d] += G[n j d]
  return Y
}""",
        True,
    ),
    "of_a_sum": (
        """(Q: [n k], W: [d k], I: N(v)[n]) -> [v d] {
  U[n d] = Q[n k] * W[d k]
  Y: [v d]
  Y[I[n], d] += U[n d]
  return Z[v d] = Y[v d] * 2
}""",
        True,
    ),
}
SIZES = {"n": 47, "d": 19, "v": 11, "b": 3, "t": 3, "k": 5, "j": 4, "m": 150}


@pytest.fixture(params=[False, True], ids=["as they come", "sorted"])
def deterministic(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(request.param)
    torch.set_float32_matmul_precision("highest")
    yield request.param
    torch.use_deterministic_algorithms(before)


def both(name: str, sizes: dict[str, int], dtype: torch.dtype) -> tuple[str, ...]:
    """Compare values and gradients with the emitted code in float64."""
    torch.manual_seed(0)
    file = ncdlang.loads(f"diagram {name}{WRITES[name][0]}")
    diagram = file.program.diagram(name)
    assert diagram is not None
    short = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}[dtype]
    lengths = {symbol: sizes[symbol.name] for symbol in diagram.unknowns}
    known = {symbol.name: length for symbol, length in lengths.items()}
    derived = file.module(name, sizes=known, backend="triton", dtype=short)
    exact = file.module(name, sizes=known).double()
    own, wide = [], []
    for wire in diagram.parameters:
        shape = [sizes[axis.name] for axis in wire.type.axes]
        if wire.type.kind.name == "natural":
            bound = wire.type.kind.bound
            assert bound is not None
            own.append(torch.randint(0, bound.evaluate(lengths), shape))
            wide.append(own[-1])
            continue
        own.append(torch.randn(shape).to(dtype).requires_grad_())
        wide.append(own[-1].detach().double().requires_grad_())
    made, wanted = derived(*own), exact(*wide)
    assert made.shape == wanted.shape
    seen = torch.isfinite(wanted)
    assert torch.equal(torch.isfinite(made), seen)
    start = torch.randn(wanted.shape).to(dtype) * seen
    made.backward(start)
    wanted.backward(start.double())
    pairs = [(made[seen], wanted[seen])]
    pairs += [(a.grad, b.grad) for a, b in zip(own, wide, strict=True) if a.is_floating_point()]
    for ours, theirs in pairs:
        assert (ours.double() - theirs).norm() <= TOLERANCE[dtype] * theirs.norm()
    return derived.last_run


# The gradient of an extremum is left to PyTorch.
LEFT = {"largest": (), "smallest_onto": ("_e1",)}
DTYPES = list(TOLERANCE)[: 3 if os.environ.get("NCDLANG_FULL") else 2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WRITES)
def test_scatters_are_right(name: str, dtype: torch.dtype, deterministic: bool) -> None:
    ran = both(name, SIZES, dtype)
    if name in LEFT:
        assert ran == LEFT[name]
    else:
        assert "Y" in ran


@pytest.mark.parametrize("n", [0, 1, 2, 65])
def test_any_number_of_sources(n: int, deterministic: bool) -> None:
    assert both("segment_sum", SIZES | {"n": n, "d": 1}, torch.float32) == ("Y",)


def test_many_sources_at_one_place(deterministic: bool) -> None:
    assert both("segment_sum", SIZES | {"n": 200, "v": 1}, torch.float32) == ("Y",)


def opened(name: str) -> Opened:
    diagram = ncdlang.loads(f"diagram {name}{WRITES[name][0]}").program.diagram(name)
    assert diagram is not None
    return open_diagram(diagram)


@pytest.mark.parametrize("name", WRITES)
def test_atomics_only_where_sources_may_meet(name: str) -> None:
    collides = [step.collides for step in opened(name).made]
    assert collides[-1] == WRITES[name][1]
    file = ncdlang.loads(f"diagram {name}{WRITES[name][0]}")
    assert ("tl.atomic" in file.source(name, backend="triton")) == any(collides)


def test_the_sorted_kernel_gives_the_same_bits_in_any_order_of_places() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        module = ncdlang.loads(f"diagram f{WRITES['segment_sum'][0]}").module(
            "f", sizes={"v": 5}, backend="triton"
        )
        source, places = torch.randn(90, 7), torch.randint(0, 5, (90,))
        first = module(source, places)
        # Sources of other places in between change nothing.
        order = torch.argsort(places, stable=True)
        assert torch.equal(module(source[order], places[order]), first)
    finally:
        torch.use_deterministic_algorithms(False)


REFUSED = {
    "a product": (
        """diagram f(U: [n d], I: N(v)[n]) -> [v d] {
  Y: [v d]
  Y[I[n], d] *= U[n d]
  return Y
}""",
        r"`\*=` into an array of kind real has no kernel: `Y\[I\[n\], d\] \*= U\[n d\]`",
    ),
    "naturals": (
        """diagram f(U: N(v)[n], I: N(v)[n]) -> N(v)[v] {
  Y: N(v)[v]
  Y[I[n]] max= U[n]
  return Y
}""",
        r"an array of kind natural has no kernel: `Y\[I\[n\]\] max= U\[n\]`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_scatters_that_must_not_be_kernels(name: str) -> None:
    text, reason = REFUSED[name]
    library = ncdlang.loads(text)
    diagram = library.program.diagram("f")
    assert diagram is not None
    with pytest.raises(Opaque, match=reason):
        open_diagram(diagram)
    assert library.module("f", sizes={"v": 5}, backend="triton").kernels == ()


def test_the_argument_of_a_scatter() -> None:
    text = explain(make_plan(opened("segment_sum")), "f", {}, DEVICES["h200"])
    assert "1 scatter" in text
    assert "Y[I[n], d] += U[n d]" in text
    assert "n listed; d in slices" in text
    assert "combined atomically" in text
