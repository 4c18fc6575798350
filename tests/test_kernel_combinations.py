"""Normalisers, masks and scores together: kernels, forward and backward, against f64 autograd.

Every result and every gradient is held to the bound of its format, without exceptions. Tiles are
small and no size is a multiple of one; masks that are given hide whole rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from kernel_judge import small_tiles

import ncdlang
from ncdlang.semantics.types import Wire

TOLERANCE = {"f32": 2e-6, "bf16": 8e-3}
FORMATS = {"f32": torch.float32, "bf16": torch.bfloat16}
SIZES = {"q": 21, "x": 21, "h": 2, "g": 2, "r": 2, "k": 12, "e": 10, "w": 42}
SIZES |= {"n": 21, "v": 37, "m": 13}
HIDDEN = (0, 5, 20)

# What a score is made of, by the names of the arrays that have a gradient.
SCORES = {
    "plain": "{qk}",
    "temperature t": "t * {qk}",
    "slope s": "{qk} + s[h] * (x - q)",
    "bias b": "{qk} + b[q x]",
    "keys c": "{qk} + c[x]",
    "cap u": "u * tanh({qk} / u)",
    "relative B": "{qk} + B[q - x + size(x), h]",
    "all t s b": "t * {qk} + s[h] * (x - q) + b[q x]",
}
INPUTS = {"t": "[]", "s": "[h]", "b": "[q x]", "c": "[x]", "u": "[]", "B": "[w h]"}
MASKS = {
    "dense": "",
    "causal": "x <= q",
    "sliding": "x <= q and q - x < 6",
    "prefix": "x <= q or x < 4",
    "documents": "D[q] == E[x] and x <= q",
    "given": "M[q x]",
}
MASK_INPUTS = {"documents": ", D: N(v)[q], E: N(v)[x]", "given": ", M: B[q x]"}
SOFTMAX = ("P = softmax[x]({hidden})",)
NORMALISERS = {
    "softmax": SOFTMAX,
    "softmax plus one": (
        "m[h q] = max[x](S[h q x])",
        "w[h q x] = {zero}exp(S[h q x] - m[h q]){end}",
        "P[h q x] = w[h q x] / (exp(-m[h q]) + sum[x](w[h q x]))",
    ),
    "sigmoid": ("P[h q x] = {zero}sigmoid(S[h q x] - 2){end}",),
    "spherical": (
        "H[h q x] = {zero}S[h q x]{end}",
        "z[h q] = sum[x](H[h q x]^2)",
        "P[h q x] = where(z[h q] > 0, H[h q x] / sqrt(z[h q]), 0)",
    ),
    "l1": (
        "H[h q x] = {zero}S[h q x]{end}",
        "z[h q] = sum[x](abs(H[h q x]))",
        "P[h q x] = where(z[h q] > 0, H[h q x] / z[h q], 0)",
    ),
    "linear": (
        "H[h q x] = {zero}S[h q x]{end}",
        "P[h q x] = H[h q x] / (sum[x](H[h q x]) + 1)",
    ),
}


@dataclass(frozen=True, slots=True)
class Combination:
    """A normaliser, a mask and what scores are made of."""

    normaliser: str
    mask: str = "dense"
    score: str = "plain"

    @property
    def name(self) -> str:
        return f"{self.normaliser}, {self.mask}, {self.score}"

    def text(self) -> str:
        _, *extra = self.score.split()
        more = "".join(f", {name}: {INPUTS[name]}" for name in extra)
        more += MASK_INPUTS.get(self.mask, "")
        mask = MASKS[self.mask]
        images = {
            "hidden": f"where({mask}, S[h q x], -inf)" if mask else "S[h q x]",
            "zero": f"where({mask}, " if mask else "(",
            "end": ", 0)" if mask else ")",
        }
        sides = ("Q[q h k]", "K[x h k]")
        if self.normaliser == "linear":
            sides = ("relu(Q[q h k])", "relu(K[x h k])")
        product = f"{' * '.join(sides)} / sqrt(size(k))"
        lines = [f"S[h q x] = {SCORES[self.score].format(qk=product)}"]
        lines += [line.format(**images) for line in NORMALISERS[self.normaliser]]
        if "B" in extra:
            lines.insert(0, "assert size(w) == size(q) + size(x)")
        body = "\n".join(f"  {line}" for line in lines)
        head = f"diagram f(Q: [q h k], K: [x h k], V: [x h e]{more}) -> [q h e]"
        return f"{head} {{\n{body}\n  return O[q h e] = P[h q x] * V[x h e]\n}}\n"


GRID = [
    Combination("softmax"),
    Combination("softmax", "causal"),
    Combination("softmax", "sliding"),
    Combination("softmax", "prefix", "bias b"),
    Combination("softmax", "causal", "slope s"),
    Combination("softmax", "causal", "temperature t"),
    Combination("softmax", "causal", "cap u"),
    Combination("softmax", "documents", "temperature t"),
    Combination("softmax", "given", "all t s b"),
    Combination("softmax", "dense", "relative B"),
    Combination("softmax", "causal", "keys c"),
    Combination("softmax plus one"),
    Combination("softmax plus one", "sliding", "slope s"),
    Combination("softmax plus one", "given", "bias b"),
    Combination("sigmoid", "dense", "bias b"),
    Combination("sigmoid", "causal", "slope s"),
    Combination("sigmoid", "documents"),
    Combination("spherical"),
    Combination("spherical", "sliding", "bias b"),
    Combination("spherical", "given", "keys c"),
    Combination("l1"),
    Combination("l1", "causal", "bias b"),
    Combination("l1", "given"),
    Combination("linear"),
    Combination("linear", "causal"),
    Combination("linear", "given"),
]
GROUPED = """
diagram f(Q: [q g r k], K: [x g k], V: [x g e], s: [g r]) -> [q g r e] {
  S[g r q x] = Q[q g r k] * K[x g k] / sqrt(size(k)) + s[g r] * (x - q)
  P = softmax[x](where(x <= q, S, -inf))
  return O[q g r e] = P[g r q x] * V[x g e]
}
"""
DIFFERENTIAL = """
diagram f(Q: [q h k], Q2: [q h k], K: [x h k], K2: [x h k], V: [x h e], l: [], s: [h])
    -> [q h e] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k)) + s[h] * (x - q)
  R[h q x] = Q2[q h k] * K2[x h k] / sqrt(size(k))
  P = softmax[x](where(x <= q, S, -inf))
  T = softmax[x](where(x <= q, R, -inf))
  D[h q x] = P - l * T
  return O[q h e] = D[h q x] * V[x h e]
}
"""
CROSS_ENTROPY = """
diagram f(L: [n m], W: [v m], T: N(v)[n], t: [], c: [v]) -> [] {
  Z[n v] = t * L[n m] * W[v m] + c[v]
  z[n] = logsumexp[v](Z[n v])
  return mean[n](z[n] - Z[n, T[n]])
}
"""
CASES = {each.name: each.text() for each in GRID}
CASES |= {
    "grouped query, causal, slope s": GROUPED,
    "differential, causal, slope s": DIFFERENTIAL,
    "cross-entropy, temperature t": CROSS_ENTROPY,
}
# What the bounds are promised for.
NAMED = (
    *("softmax, dense", "causal", "sliding", "slope", "grouped query", "cap", "documents"),
    *("sigmoid", "spherical", "l1", "plus one", "linear", "differential", "cross-entropy"),
    *("bias", "temperature", "given"),
)


@pytest.fixture(autouse=True, scope="module")
def tiles() -> Iterator[None]:
    with small_tiles():
        yield


def given(wire: Wire, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    shape = [SIZES[axis.name] for axis in wire.type.axes]
    match wire.name, wire.type.kind.name:
        case _, "boolean":
            shown = torch.rand(shape, generator=generator) > 0.4
            shown[list(HIDDEN)] = False
            return shown
        case "D", _:
            # The queries of the last document have no keys.
            return torch.arange(shape[0]) // 6
        case "E", _:
            return torch.arange(shape[0]).clamp(max=17) // 6
        case _, "natural":
            return torch.randint(0, SIZES["v"], shape, generator=generator)
        case "s", _:
            return (torch.rand(shape, generator=generator) / 2).to(dtype)
        case "u" | "l" | "t", _:
            return (torch.rand(shape, generator=generator) + 0.5).to(dtype)
        case _:
            return torch.randn(shape, generator=generator).to(dtype)


def test_combinations_are_many_and_all_that_is_named() -> None:
    assert len(set(CASES.values())) >= 20
    for name in NAMED:
        assert any(name in case for case in CASES), name


def errors(text: str, dtype: str, seed: int = 0) -> dict[str, float]:
    """How far the result and each gradient are from f64, as a part of their norms."""
    library = ncdlang.loads(text)
    diagram = library.program.diagram("f")
    assert diagram is not None
    sizes = {symbol.name: SIZES[symbol.name] for symbol in diagram.unknowns}
    derived = library.module("f", sizes=sizes, backend="triton", dtype=dtype, derived="true")
    exact = library.module("f", sizes=sizes, dtype="f64")
    generator = torch.Generator().manual_seed(seed)
    inputs = [given(wire, generator, FORMATS[dtype]) for wire in diagram.parameters]
    own = [i.clone().requires_grad_() if i.is_floating_point() else i for i in inputs]
    wide = [i.double().requires_grad_() if i.is_floating_point() else i for i in inputs]
    made, wanted = derived(*own), exact(*wide)
    assert derived.last_run, "no kernel ran"
    start = torch.randn(wanted.shape, generator=generator).to(made.dtype)
    made.backward(start)
    wanted.backward(start.double())
    pairs = {"result": (made, wanted)}
    for wire, ours, theirs in zip(diagram.parameters, own, wide, strict=True):
        if ours.is_floating_point():
            pairs[wire.name] = (ours.grad, theirs.grad)
    return {
        name: ((ours.double() - theirs).norm() / theirs.norm()).item()
        for name, (ours, theirs) in pairs.items()
    }


# In bf16 every sixth one, and all of them in the full mode.
SHORT = list(CASES) if os.environ.get("NCDLANG_FULL") else list(CASES)[::6]


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, "f32") for name in CASES] + [(name, "bf16") for name in SHORT]
)
def test_combination(name: str, dtype: str) -> None:
    found = errors(CASES[name], dtype)
    assert all(error < TOLERANCE[dtype] for error in found.values()), found
