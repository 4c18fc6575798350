"""What kernels keep in registers and in shared memory: what is cut for it, and default tiles."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kernel_judge import judged, small_tiles
from ncdlang.backends.kernels.runner import label
from ncdlang.backends.kernels.schedule import (
    LENGTHS,
    SHARED,
    TILES,
    choose,
    kind_of,
    needs,
    rows_of,
    shared,
)
from ncdlang.backends.kernels.source import Kernel
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis import accumulated
from ncdlang.analysis.accumulated import MOST, columns_kept
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.steps import Region
from ncdlang.semantics.size import Symbol

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
SIZES = {"q": 512, "x": 512, "h": 2, "t": 512, "m": 64, "f": 512, "w": 1024}
# Two attentions of one stream, each with values of its own.
TWO = """
diagram two(Q: [q h k], Q2: [q h k], K: [x h k], K2: [x h k], V: [x h e], W: [x h e]) -> [q h e] {
  S[h q x] = Q[q h k] * K[x h k]
  R[h q x] = Q2[q h k] * K2[x h k]
  P        = softmax[x](S)
  T        = softmax[x](R)
  A[q h e] = P[h q x] * V[x h e]
  B[q h e] = T[h q x] * W[x h e]
  return O[q h e] = A * B
}
"""
# Three accumulators that only one result is made of.
THREE = """
use std.nn.{linear}
diagram three[f](X: [t m]) -> [t f] {
  learn G, U, W: linear[m -> f]
  A[t f] = G(X)
  B[t f] = U(X)
  C[t f] = W(X)
  return Y[t f] = silu(A[t f]) * B[t f] * tanh(C[t f])
}
"""
# Gradients of several arrays of the size of a tile, which are made of each other.
NORMS = """
use std.nn.{rms_norm, linear}
diagram norms[w](X: [t m], Y: [t m], Z: [t m]) -> [t w] {
  learn n, o: rms_norm[m]
  learn U: linear[m -> w]
  A[t m] = n(X) + Y[t m] * Z[t m]
  return U(o(A))
}
"""
# Queries that share keys, with scores that take a function.
SHARED_KEYS = """
diagram capped(Q: [q g r k], K: [x g k], V: [x g e]) -> [q g r e] {
  S[g r q x] = 30 * tanh(Q[q g r k] * K[x g k] / 30)
  P = softmax[x](where(x <= q, S, -inf))
  return O[q g r e] = P[g r q x] * V[x g e]
}
"""

Sizes = dict[Symbol, int]


def kernels(text: str, name: str, width: int | None) -> tuple[list[Kernel], Sizes]:
    """The kernels over a stream of a program and of its gradient, and the sizes it has."""
    diagram = ncdlang.loads(text).program.diagram(name)
    assert diagram is not None
    lengths = SIZES if width is None else SIZES | {"k": width, "e": width}
    sizes = {s: lengths[s.name] for s in diagram.unknowns if s.name in lengths}
    runner = Runner(make_plan(open_diagram(diagram), sizes, "written"), sizes)
    found: list[Kernel] = []
    for step, launcher in runner.program.launchers.items():
        backward = runner.backward(step)
        assert backward is not None
        others = [each.kernel for each in backward.program.launchers.values()]
        found += [launcher.kernel, *others]
    return [kernel for kernel in found if isinstance(kernel.region, Region)], sizes


def made(found: list[Kernel]) -> set[frozenset[str]]:
    return {frozenset(label(kernel.region).split(", ")) for kernel in found}


@pytest.mark.parametrize("width", [None, 64, 128, 256])
def test_accumulators_stay_within_the_registers(width: int | None) -> None:
    """Three matrices of 64 columns share a kernel, three of 128 do not."""
    found, sizes = kernels(TEXT, "differential", width)
    for kernel in found:
        assert isinstance(kernel.region, Region)
        assert columns_kept(kernel.region, kernel.region.outputs, sizes) <= MOST
    most = max(kind[0] for kernel in found if (kind := kind_of(kernel)))
    assert most == (3 if width == 64 else 2)
    assert {"dQ", "dQ2", "dK", "dK2", "dV"} <= set[str]().union(*made(found))


def test_what_shares_inner_products_shares_a_kernel() -> None:
    found, _ = kernels(TWO, "two", 128)
    assert made(found) >= {frozenset(("dK", "dV")), frozenset(("dK2", "dW"))}
    # As few kernels as can be.
    (narrow,) = (k for k in kernels(TWO, "two", 32)[0] if "dV" in label(k.region))
    assert set(label(narrow.region).split(", ")) == {"dK", "dV", "dK2", "dW"}


@pytest.mark.parametrize("name", ["differential", "two"])
def test_cut_kernels_have_the_same_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TWO if name == "two" else TEXT
    sizes = {"q": 19, "x": 21, "h": 1, "k": 5, "e": 5}
    whole = len(kernels(text, name, 5)[0])
    monkeypatch.setattr(accumulated, "MOST", 10)
    assert len(kernels(text, name, 5)[0]) > whole
    with small_tiles():
        judged(text, name, sizes, torch.float32)


def test_one_result_of_many_matrices_has_narrow_tiles() -> None:
    """No tile of it keeps more columns than a kernel that is cut would."""
    forward = kernels(THREE, "three", None)[0][0]
    assert kind_of(forward) == (3, 0)
    for target in TILES:
        rows, _, columns, warps, _ = rows_of(forward, target, LENGTHS[0])[0]
        assert rows * columns * 3 <= MOST // 2 * warps * 32
        assert 2 * columns == TILES[target][0][2]


@pytest.mark.parametrize("longest", LENGTHS)
def test_default_tiles_fit_into_memory(longest: int) -> None:
    found, sizes = kernels(TEXT, "differential", longest)
    for kernel in found:
        for target in TILES:
            first = rows_of(kernel, target, longest)[0]
            assert shared(kernel, target, first, longest) <= SHARED[target]
            assert dict(choose(kernel, sizes, target).blocks)[kernel.rows.block] == first[0]
    # Long axes are why tiles have fewer rows than the table says.
    table = [TILES["sm_90"][needs(kernel)] for kernel in found]
    chosen = [rows_of(kernel, "sm_90", longest)[0] for kernel in found]
    assert (chosen == table) == (longest == LENGTHS[0])


def test_what_takes_more_registers_has_shorter_tiles() -> None:
    for rows in TILES.values():
        sizes = [row[0] * row[1] * row[2] for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    for name, level in (("causal", 3), ("soft_capped", 5), ("documents", 5), ("prefix", 5)):
        found = {label(k.region): needs(k) for k in kernels(TEXT, name, 128)[0]}
        assert found["dV, dK"] == level


def test_results_of_many_arrays_have_smaller_tiles() -> None:
    """All of them are in registers at once, after the loop."""
    forward, backward = kernels(NORMS, "norms", None)[0]
    assert (kind_of(forward), needs(forward)) == ((2, 0), 5)
    assert (kind_of(backward), needs(backward)) == ((1, 0), 6)
    for target in ("sm_80", "sm_90"):
        rows, _, columns, warps, _ = rows_of(backward, target, LENGTHS[0])[0]
        assert rows * columns * 7 <= MOST // 2 * warps * 32


def test_indices_of_several_streamed_axes_take_registers() -> None:
    found = {
        label(k.region): (kind_of(k), needs(k)) for k in kernels(SHARED_KEYS, "capped", 128)[0]
    }
    assert found["dV, dK"] == ((2, 2), 7)
