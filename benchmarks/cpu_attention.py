"""Emitted multi-head attention against hand-written PyTorch, on the CPU.

Both run in one process and take turns; the ratio is the median of those of the rounds, so that
a machine that is busy for a while does not decide. Run it as
`python benchmarks/cpu_attention.py [--rounds 31] [--backward]`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.source import Source
from ncdlang.targets import Request, backend

TEXT = """
use std.nn.{linear}

diagram causal_attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
  M[h q x] = where(x <= q, S[h q x], -inf)
  P = softmax[x](M)
  return O[q h k] = P[h q x] * V[x h k]
}

diagram multi_head[h, k](X: [x m]) -> [x m] {
  learn Lq, Lk, Lv: linear[m -> h k]
  learn Lo: linear[h k -> m]
  return Lo(causal_attention(Lq(X), Lk(X), Lv(X)))
}
"""
HEADS, WIDTH, MODEL = 8, 64, 512
SHAPES = ((4, 512), (2, 2, 512))
GOAL = 1.05


class Peer(nn.Module):
    """What a careful PyTorch user writes."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(MODEL, HEADS * WIDTH, bias=False) for _ in range(3))
        self.o = nn.Linear(HEADS * WIDTH, MODEL, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, n = x.shape[:-2], x.shape[-2]
        flat = x.reshape(-1, n, MODEL)

        def heads(layer: nn.Linear) -> Tensor:
            return layer(flat).view(-1, n, HEADS, WIDTH).transpose(1, 2)

        q, k, v = heads(self.q), heads(self.k), heads(self.v)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / math.sqrt(WIDTH))
        return self.o(out.transpose(1, 2).reshape(*batch, n, HEADS * WIDTH))


def emitted() -> nn.Module:
    """The module that the compiler makes of TEXT."""
    program, _ = check_source(Source("multi_head.ncd", TEXT), Project().find)
    diagram = program.diagram("multi_head")
    assert diagram is not None
    sizes = {"h": HEADS, "k": WIDTH, "m": MODEL}
    module: nn.Module = backend("torch").module(Request(program, diagram, sizes=sizes))
    return module


def paired() -> tuple[nn.Module, nn.Module]:
    """The emitted module and its peer, with the same weights."""
    module, peer = emitted(), Peer()
    state = module.state_dict()
    with torch.no_grad():
        for name, layer in (("Lq", peer.q), ("Lk", peer.k), ("Lv", peer.v), ("Lo", peer.o)):
            layer.weight.copy_(state[f"{name}.weight"].reshape(layer.weight.shape))
    return module, peer


def runner(module: nn.Module, x: Tensor, backward: bool) -> Callable[[], None]:
    """One timed step."""

    def forward_only() -> None:
        with torch.no_grad():
            module(x)

    def both() -> None:
        module.zero_grad(set_to_none=True)
        module(x).square().mean().backward()

    return both if backward else forward_only


def measure(steps: list[Callable[[], None]], rounds: int) -> tuple[list[float], float]:
    """Median times of two steps that take turns, in milliseconds, and their median ratio."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 3):
        turn = range(len(steps)) if number % 2 else reversed(range(len(steps)))
        for i in turn:
            start = time.perf_counter()
            steps[i]()
            if number >= 3:
                times[i].append((time.perf_counter() - start) * 1e3)
    ratio = statistics.median(own / other for own, other in zip(*times, strict=True))
    return [statistics.median(t) for t in times], ratio


def main() -> None:
    """Print the medians and their ratio for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--backward", action="store_true")
    arguments = parser.parse_args()
    module, peer = paired()
    for shape in SHAPES:
        x = torch.randn(*shape, MODEL)
        torch.testing.assert_close(module(x), peer(x), rtol=1e-4, atol=1e-5)
        steps = [runner(m, x, arguments.backward) for m in (module, peer)]
        (own, other), ratio = measure(steps, arguments.rounds)
        verdict = "within" if ratio <= GOAL else "beyond"
        print(
            f"{'x'.join(map(str, (*shape, MODEL))):>14}  emitted {own:7.2f} ms  "
            f"hand-written {other:7.2f} ms  ratio {ratio:.3f} ({verdict} {GOAL})"
        )


if __name__ == "__main__":
    main()
