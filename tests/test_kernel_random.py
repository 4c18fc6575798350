"""Random programs: kernels agree with the reference forward, and with f64 autograd backward.

12 programs in `make test`, 400 in the full mode. Tiles are small, so that most axes need several.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kernel_judge import small_tiles
from kernel_programs import FORMATS, Drawn, arguments, drawn

import ncdlang

COUNT = 400 if os.environ.get("NCDLANG_FULL") else 12
TOLERANCE = {"f32": 2e-6, "bf16": 8e-3, "f16": 2e-3}
# How many of the programs have to run through kernels.
SHARE = 0.8
# A norm of entries below this part of 1 is rounding.
NOTHING = 1.5
# What a sum that cancels may lose beyond what PyTorch loses in the format, as a factor. In short
# formats kernels often know the mean gradient of a row from the rounded result only.
LOOSER = {"f32": 1.5, "bf16": 2.0, "f16": 2.0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ran, and by how much the worst result or gradient misses what it may be off."""

    ran: tuple[str, ...]
    forward: float
    backward: float
    worst: str = ""


@pytest.fixture(autouse=True, scope="module")
def tiles() -> Iterator[None]:
    with small_tiles():
        yield


def distance(made: torch.Tensor, exact: torch.Tensor) -> float:
    """How far a result or gradient is from what is meant, infinite where it is no number."""
    if made.shape != exact.shape:
        return math.inf
    found = (made.double() - exact).norm().item()
    return found if math.isfinite(found) else math.inf


def judge(
    mine: torch.Tensor, plain: Callable[[], torch.Tensor], exact: torch.Tensor, dtype: str
) -> float:
    """The distance in units of what it may be: of the norm, or of what PyTorch is off by.

    Where sums cancel to nothing, rounding of the summands, which are about 1, is left.
    """
    limit = TOLERANCE[dtype] * exact.norm().item()
    off = distance(mine, exact)
    if off <= limit:
        return off / limit if limit else 0.0
    theirs = distance(plain(), exact)
    rest = TOLERANCE[dtype] * math.sqrt(exact.numel()) * NOTHING
    limit = max(limit, LOOSER[dtype] * theirs if math.isfinite(theirs) else 0.0, rest)
    return off / limit if limit else math.inf


def judged(made: Drawn, seed: int = 0) -> Verdict:
    """Run a program. Sums that cancel may lose what PyTorch loses with them, and no more."""
    library = ncdlang.loads(made.text)
    diagram = library.program.diagram("f")
    assert diagram is not None
    inputs = arguments(diagram, made, torch.Generator().manual_seed(seed))
    options = {"sizes": {s.name: made.sizes[s.name] for s in diagram.unknowns}}
    module = library.module(
        "f", backend="triton", dtype=made.dtype, derived=made.derived, **options
    )
    exact = library.module("f", dtype="f64", **options)
    plain = copy.deepcopy(exact).to(FORMATS[made.dtype])
    reference = library.module("f", backend="reference", **options)
    wide = [i.double() if i.is_floating_point() else i for i in inputs]
    with torch.no_grad():
        wanted = reference(*wide)
        forward = judge(module(*inputs), lambda: plain(*inputs), wanted, made.dtype)
    ran = module.last_run
    start = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(seed + 1))
    start = start.to(FORMATS[made.dtype])
    grads, wanted = gradients(module, inputs, start), gradients(exact, wide, start)
    theirs: list[torch.Tensor] = []

    def plainly(place: int) -> torch.Tensor:
        theirs.extend([] if theirs else gradients(plain, inputs, start))
        return theirs[place]

    worst, backward = "", 0.0
    for i, wire in enumerate(diagram.parameters):
        if wire.type.kind.name != "real":
            continue
        off = judge(grads[i], partial(plainly, i), wanted[i], made.dtype)
        if off > backward:
            worst, backward = wire.name, off
    return Verdict(ran, forward, backward, worst)


def gradients(
    module: torch.nn.Module, inputs: list[torch.Tensor], start: torch.Tensor
) -> list[torch.Tensor]:
    own = [i.clone().requires_grad_() if i.is_floating_point() else i for i in inputs]
    result = module(*own)
    if result.requires_grad:
        result.backward(start.to(result.dtype))
    return [torch.zeros_like(i) if i.grad is None else i.grad for i in own]


def test_kernels_of_random_programs() -> None:
    ran: list[bool] = []

    @settings(
        max_examples=COUNT,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.integers(0, 10**9))
    def check(seed: int) -> None:
        made = drawn(Random(seed))
        verdict = judged(made, seed)
        told = f"{made.text}\n{made}\n{verdict}"
        assert verdict.forward <= 1, told
        assert verdict.backward <= 1, told
        assert verdict.ran or not made.streams, told
        ran.append(bool(verdict.ran))

    check()
    assert sum(ran) >= SHARE * len(ran)


def test_differences_keep_their_digits() -> None:
    """A mean of 10,000 with a deviation of 1, where sums of squares have lost all digits."""
    text = """
diagram f(X: [t m], g: [m], W: [p m]) -> [t p] {
  d[t m] = X[t m] - mean[m](X)
  N[t m] = d[t m] * g[m] / sqrt(mean[m](d[t m]^2) + 1e-5)
  return O[t p] = N[t m] * W[p m]
}
"""
    torch.manual_seed(0)
    library = ncdlang.loads(text)
    derived, exact = (library.module("f", backend=b) for b in ("triton", "torch"))
    inputs = [torch.randn(19, 50) + 1e4, torch.rand(50), torch.randn(7, 50)]
    start = torch.randn(19, 7)
    wanted = gradients(exact, [i.double() for i in inputs], start)
    with torch.no_grad():
        made, right = derived(*inputs), exact(*(i.double() for i in inputs))
    assert derived.last_run == ("O",)
    assert distance(made, right) < TOLERANCE["f32"] * right.norm()
    for mine, other in zip(gradients(derived, inputs, start), wanted, strict=True):
        assert distance(mine, other) < TOLERANCE["f32"] * other.norm()


@pytest.mark.parametrize("call", ["tanh(S[q x])", "expm1(S[q x])", "log1p(abs(S[q x]))"])
def test_functions_are_exact_near_zero(call: str) -> None:
    """Where `exp(x) - 1` and its like have no digits left."""
    text = f"""
diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {{
  S[q x] = Q[q k] * K[x k]
  P[q x] = {call}
  return O[q e] = P[q x] * V[x e]
}}
"""
    torch.manual_seed(0)
    library = ncdlang.loads(text)
    derived, exact = (library.module("f", backend=b) for b in ("triton", "torch"))
    for scale in (1e-4, 1e-2, 1.0):
        inputs = [torch.randn(5, 3) * scale, torch.randn(19, 3), torch.randn(19, 4)]
        with torch.no_grad():
            made, wanted = derived(*inputs), exact(*(i.double() for i in inputs))
        assert derived.last_run == ("O",)
        assert distance(made, wanted) < 1e-6 * wanted.norm()


def test_heads_that_share_keys_by_their_number() -> None:
    """A batch index that is no plain axis is a condition on a single number."""
    text = """
diagram f(Q: [q h k], K: [x g k], V: [x g e]) -> [q h e] {
  assert size(h) == 2 * size(g)
  S[h q x] = Q[q h k] * K[x, h // 2, k]
  P = softmax[x](where(x <= q, S, -inf))
  return O[q h e] = P[h q x] * V[x, h // 2, e]
}
"""
    torch.manual_seed(0)
    library = ncdlang.loads(text)
    derived, exact = (library.module("f", backend=b) for b in ("triton", "torch"))
    inputs = [torch.randn(5, 4, 3), torch.randn(19, 2, 3), torch.randn(19, 2, 6)]
    with torch.no_grad():
        made, wanted = derived(*inputs), exact(*(i.double() for i in inputs))
    assert derived.last_run == ("O",)
    assert distance(made, wanted) < TOLERANCE["f32"] * wanted.norm()


HOSTILE = (
    ("tl", "pid", "acc", "start", "lift", "float_", "range", "int", "then", "torch", "Tensor"),
    (
        "lambda",
        "_tanh",
        "None",
        "None'",
        "q'",
        "\u03c0",
        "K2",
        "INTERPRETED",
        "_fits",
        "self",
        "triton",
    ),
)


@pytest.mark.parametrize("names", HOSTILE)
def test_names_of_programs_mean_nothing_in_files(names: tuple[str, ...]) -> None:
    q, x, h, k, e, left, right, given_, scores, weights, made = names
    text = f"""
diagram f({left}: [{q} {h} {k}], {right}: [{x} {h} {k}], {given_}: [{x} {h} {e}])
    -> [{q} {h} {e}] {{
  {scores}[{h} {q} {x}] = 3 * tanh({left}[{q} {h} {k}] * {right}[{x} {h} {k}] / 3)
  {weights} = softmax[{x}]({scores})
  return {made}[{q} {h} {e}] = {weights}[{h} {q} {x}] * {given_}[{x} {h} {e}]
}}
"""
    torch.manual_seed(0)
    library = ncdlang.loads(text)
    derived, exact = (library.module("f", backend=b) for b in ("triton", "torch"))
    inputs = [torch.randn(5, 2, 3), torch.randn(7, 2, 3), torch.randn(7, 2, 4)]
    with torch.no_grad():
        derived(*inputs)
    assert derived.last_run == (made,)
    start = torch.randn(5, 2, 4)
    wanted = gradients(exact, [i.double() for i in inputs], start)
    for mine, other in zip(gradients(derived, inputs, start), wanted, strict=True):
        assert distance(mine, other) < TOLERANCE["f32"] * other.norm()
