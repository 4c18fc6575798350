"""Emitted scatters against hand-written PyTorch: forward, or forward and backward.

Both run in one process and take turns; the medians are compared. Run it as
`python benchmarks/scatters.py [--rounds 31] [--backward] [--device cuda]`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import ncdlang

TEXT = """
## The gradient of an embedding.
diagram embedding_gradient(T: N(v)[n], G: [n m]) -> [v m] {
  E: [v m]
  E[T[n], m] += G[n m]
  return E
}

## The results of experts, weighted, back at their tokens.
diagram moe_combine(X: [e c m], W: [e c], T: N(t)[e c]) -> [t m] {
  Y: [t m]
  Y[T[e c], m] += W[e c] * X[e c m]
  return Y
}

## What a pooling with windows of size(w) kept goes back to where it stood.
diagram unpool(X: [b c n], P: N(w)[b c n]) -> [b c, (n w)] {
  Y: [b c, (n w)]
  Y[b, c, size(w) * n + P[b c n]] = X[b c n]
  return Y
}

diagram histogram(I: N(v)[n]) -> [v] {
  Y: [v]
  Y[I[n]] += 1
  return Y
}
"""
GOAL = 1.05
TOKENS, WORDS, WIDTH, EXPERTS, WINDOW = 8192, 32000, 512, 8, 4
Case = tuple[Callable[..., Tensor], tuple[Tensor, ...]]


def hand_embedding_gradient(tokens: Tensor, gradient: Tensor) -> Tensor:
    """`index_add_` into zeros."""
    return gradient.new_zeros(WORDS, gradient.shape[-1]).index_add_(0, tokens, gradient)


def hand_moe_combine(x: Tensor, weights: Tensor, tokens: Tensor) -> Tensor:
    """`index_add_` of the flattened results."""
    rows = (weights[..., None] * x).flatten(0, 1)
    return x.new_zeros(TOKENS, x.shape[-1]).index_add_(0, tokens.flatten(), rows)


def hand_unpool(x: Tensor, places: Tensor) -> Tensor:
    """`scatter_` along the last axis."""
    n = x.shape[-1]
    index = WINDOW * torch.arange(n, device=x.device) + places
    return x.new_zeros(*x.shape[:-1], n * WINDOW).scatter_(-1, index, x)


def hand_histogram(values: Tensor) -> Tensor:
    """`bincount`."""
    return torch.bincount(values, minlength=WORDS).float()


def cases(device: str) -> dict[str, Case]:
    """For each diagram the peer and the inputs."""
    torch.manual_seed(0)
    tokens = torch.randint(0, WORDS, (TOKENS,), device=device)
    choice = torch.randint(0, TOKENS, (EXPERTS, TOKENS // 4), device=device)
    x = torch.randn(EXPERTS, TOKENS // 4, WIDTH, device=device)
    pooled = torch.randn(32, 64, 1024, device=device)
    places = torch.randint(0, WINDOW, pooled.shape, device=device)
    many = torch.randint(0, WORDS, (2_000_000,), device=device)
    gradient = torch.randn(TOKENS, WIDTH, device=device)
    return {
        "embedding_gradient": (hand_embedding_gradient, (tokens, gradient)),
        "moe_combine": (hand_moe_combine, (x, torch.rand(x.shape[:2], device=device), choice)),
        "unpool": (hand_unpool, (pooled, places)),
        "histogram": (hand_histogram, (many,)),
    }


def step(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], backward: bool) -> None:
    """One timed step."""
    with torch.set_grad_enabled(backward):
        made = function(*inputs)
    if made.requires_grad:
        made.backward(made.detach())
    if made.is_cuda:
        torch.cuda.synchronize()


def measure(functions: list[Callable[[], None]], rounds: int) -> list[float]:
    """Medians of the times of several functions that take turns, in milliseconds."""
    times: list[list[float]] = [[] for _ in functions]
    for number in range(rounds + 3):
        turn = range(len(functions)) if number % 2 else reversed(range(len(functions)))
        for i in turn:
            start = time.perf_counter()
            functions[i]()
            if number >= 3:
                times[i].append((time.perf_counter() - start) * 1e3)
    return [statistics.median(t) for t in times]


def main() -> None:
    """Print the medians and their ratio for each scatter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    library = ncdlang.loads(TEXT)
    sizes = {"v": WORDS, "t": TOKENS, "w": WINDOW}
    for name, (peer, inputs) in cases(arguments.device).items():
        diagram = library.program.diagram(name)
        known = {symbol.name for symbol in diagram.unknowns} if diagram else set[str]()
        wanted = {axis: size for axis, size in sizes.items() if axis in known}
        module = library.module(name, sizes=wanted).to(arguments.device)
        torch.testing.assert_close(module(*inputs), peer(*inputs), rtol=1e-4, atol=1e-5)
        if arguments.backward:
            inputs = tuple(x.requires_grad_() if x.is_floating_point() else x for x in inputs)
        steps = [partial(step, f, inputs, arguments.backward) for f in (module, peer)]
        own, other = measure(steps, arguments.rounds)
        verdict = "within" if own <= GOAL * other else "beyond"
        print(
            f"{name:>18}  emitted {own:7.3f} ms  hand-written {other:7.3f} ms  "
            f"ratio {own / other:.3f} ({verdict} {GOAL})"
        )


if __name__ == "__main__":
    main()
