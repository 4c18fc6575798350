"""What is measured: programs, their sizes, and their peers as a PyTorch user writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Peer = Callable[..., Tensor]
HEADS = "Q: [q h k], K: [x h k], V: [x h e]"
SCORES = "  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))\n"
VALUES = "  return O[q h e] = P[h q x] * V[x h e]\n}\n"


@dataclass(frozen=True)
class Case:
    """One program. Peers take the inputs, then parameters; `small` sizes are for the checks.

    `eager` is what a user writes with plain operators, `library` the call that is made for it.
    `learned` are the parameters in the order in which peers take them, `sized` the axes whose
    sizes they get by name.
    """

    name: str
    text: str
    cpu: dict[str, int]
    cuda: dict[str, int]
    small: dict[str, int]
    eager: Peer
    library: Peer | None = None
    others: dict[str, Peer] = field(default_factory=dict)
    naturals: dict[str, str] = field(default_factory=dict)
    learned: tuple[str, ...] = ()
    sized: tuple[str, ...] = ()


# ---- attention -----------------------------------------------------------------------------------


def heads_first(*arrays: Tensor) -> tuple[Tensor, ...]:
    return tuple(a.transpose(0, 1)[None] for a in arrays)


def heads_last(made: Tensor) -> Tensor:
    return made[0].transpose(0, 1)


def attention(
    score: Callable[[Tensor], Tensor], normal: Callable[[Tensor], Tensor], scaled: bool = True
) -> Peer:
    """Attention written out: scores, a change of them, a normaliser, and the values."""

    def run(q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        s = torch.einsum("qhk,xhk->hqx", q, k)
        s = s / math.sqrt(q.shape[-1]) if scaled else s
        p = normal(score(s, *rest) if rest else score(s))
        return torch.einsum("hqx,xhe->qhe", p, v)

    return run


def sdpa(mask: Callable[..., Tensor] | None = None, **options: Any) -> Peer:
    """`scaled_dot_product_attention` in the layout that it wants."""

    def run(q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        given = dict(options)
        if mask is not None:
            given["attn_mask"] = mask(q, k, *rest)
        made = F.scaled_dot_product_attention(*heads_first(q, k, v), **given)
        return heads_last(made)

    return run


def forced(backend: str, peer: Peer) -> Peer:
    """SDPA with one of its backends."""

    def run(*arrays: Tensor) -> Tensor:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(getattr(SDPBackend, backend)):
            return peer(*arrays)

    return run


@cache
def _flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


@cache
def _blocks(mask: Callable[..., Tensor], q: int, x: int, device: str) -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    return create_block_mask(mask, None, None, q, x, device=device)


def flex(mask: Callable[..., Tensor] | None = None, score: Any = None) -> Peer:
    """FlexAttention with a mask or a change of the scores by index."""

    def run(q: Tensor, k: Tensor, v: Tensor, *rest: Tensor) -> Tensor:
        blocks = _blocks(mask, len(q), len(k), str(q.device)) if mask is not None else None
        change = (lambda s, b, h, i, j: score(s, h, i, j, *rest)) if score is not None else None
        made = _flex()(*heads_first(q, k, v), score_mod=change, block_mask=blocks)
        return heads_last(made)

    return run


def causal(s: Tensor) -> Tensor:
    hidden = torch.ones(s.shape[-2:], dtype=torch.bool, device=s.device).triu(1)
    return s.masked_fill(hidden, -torch.inf)


def banded(s: Tensor, width: int = 256) -> Tensor:
    return s.masked_fill(~_band(s.shape[-2], s.shape[-1], width, s.device), -torch.inf)


def _band(q: int, x: int, width: int, device: torch.device) -> Tensor:
    back = torch.arange(q, device=device)[:, None] - torch.arange(x, device=device)
    return (back >= 0) & (back < width)


def softmax(s: Tensor) -> Tensor:
    return s.softmax(-1)


def spherical(s: Tensor) -> Tensor:
    return s / s.square().sum(-1, keepdim=True).sqrt()


def sloped(s: Tensor, slopes: Tensor) -> Tensor:
    q, x = s.shape[-2:]
    distance = torch.arange(x, device=s.device) - torch.arange(q, device=s.device)[:, None]
    return s + slopes[:, None, None] * distance


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("qhk,hke->qhe", q, torch.einsum("xhk,xhe->hke", k, v))


BACKENDS = ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")


def backends(peer: Peer) -> dict[str, Peer]:
    return {f"sdpa {name.split('_')[0].lower()}": forced(name, peer) for name in BACKENDS}


LONG = {"q": 4096, "x": 4096, "h": 16, "k": 128, "e": 128}
SHORT = {"q": 1024, "x": 1024, "h": 8, "k": 64, "e": 64}
TINY = {"q": 37, "x": 37, "h": 2, "k": 12, "e": 20}


def on_heads(
    name: str, head: str, body: str, eager: Peer, library: Peer | None = None, **more: Any
) -> Case:
    text = f"diagram {name}_attention({HEADS}{head}) -> [q h e] {{\n{body}{VALUES}"
    return Case(name, text, SHORT, LONG, TINY, eager, library, **more)


# ---- the rest ------------------------------------------------------------------------------------


def rms_linear(x: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    normal = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * scale
    return normal @ weight.T


def rms_linear_library(x: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    return F.linear(F.rms_norm(x, scale.shape, scale, 1e-6), weight)


def gated(x: Tensor, gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(F.linear(x, gate)) * F.linear(x, up)


def cross_entropy(x: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    scores = x @ weight.T
    return (scores.logsumexp(-1) - scores.gather(1, target[:, None])[:, 0]).mean()


def cross_entropy_library(x: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(x, weight), target)


def moe_combine(x: Tensor, weight: Tensor, token: Tensor, t: int) -> Tensor:
    rows = (weight[..., None] * x).flatten(0, 1)
    return x.new_zeros(t, x.shape[-1]).index_add(0, token.flatten(), rows)


def layer_norm(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.var(-1, False, keepdim=True) + 1e-5)


WIDE = {"t": 4096, "m": 4096, "f": 14336}
NARROW = {"t": 512, "m": 512, "f": 1024}
FEW = {"t": 21, "m": 43, "f": 19}
ROWS = {"t": 2048, "m": 1024}
USES = "use std.nn.{linear, rms_norm}\n"

CASES: tuple[Case, ...] = (
    on_heads(
        "softmax",
        "",
        SCORES + "  P = softmax[x](S)\n",
        attention(lambda s: s, softmax),
        sdpa(),
        others={**backends(sdpa()), "flex": flex()},
    ),
    on_heads(
        "causal",
        "",
        SCORES + "  P = softmax[x](where(x <= q, S, -inf))\n",
        attention(causal, softmax),
        sdpa(is_causal=True),
        others={
            **backends(sdpa(is_causal=True)),
            "flex": flex(lambda b, h, i, j: i >= j),
        },
    ),
    on_heads(
        "sliding",
        "",
        SCORES + "  P = softmax[x](where(x <= q and q - x < 256, S, -inf))\n",
        attention(banded, softmax),
        sdpa(lambda q, k: _band(len(q), len(k), 256, q.device)),
        others={"flex": flex(lambda b, h, i, j: (i >= j) & (i - j < 256))},
    ),
    on_heads(
        "alibi",
        ", s: [h]",
        SCORES + "  P = softmax[x](S[h q x] + s[h] * (x - q))\n",
        attention(sloped, softmax),
        sdpa(
            lambda q, k, s: sloped(
                torch.zeros(len(s), len(q), len(k), dtype=q.dtype, device=q.device), s
            ).to(q.dtype)
        ),
        others={"flex": flex(None, lambda s, h, i, j, slopes: s + slopes[h] * (j - i))},
    ),
    on_heads(
        "spherical",
        "",
        "  S[h q x] = Q[q h k] * K[x h k]\n  z[h q] = sum[x](S[h q x]^2)\n"
        "  P[h q x] = S[h q x] / sqrt(z[h q])\n",
        attention(lambda s: s, spherical, False),
    ),
    on_heads(
        "causal_spherical",
        "",
        "  S[h q x] = Q[q h k] * K[x h k]\n  M[h q x] = where(x <= q, S[h q x], 0)\n"
        "  z[h q] = sum[x](M[h q x]^2)\n  P[h q x] = M[h q x] / sqrt(z[h q])\n",
        attention(torch.tril, spherical, False),
    ),
    on_heads(
        "linear",
        "",
        "  P[h q x] = Q[q h k] * K[x h k]\n",
        attention(lambda s: s, lambda s: s, False),
        linear_attention,
    ),
    on_heads(
        "sigmoid",
        "",
        SCORES + "  P[h q x] = sigmoid(S)\n",
        attention(lambda s: s, torch.sigmoid),
    ),
    Case(
        "rms_norm_linear",
        USES + "diagram rms_norm_linear[f](X: [t m]) -> [t f] {\n"
        "  learn W: linear[m -> f]\n  return W(rms_norm[m](X))\n}\n",
        NARROW,
        WIDE,
        FEW,
        rms_linear,
        rms_linear_library,
        learned=("rms_norm.weight", "W.weight"),
    ),
    Case(
        "rms_norm_linear_decoding",
        USES + "diagram rms_norm_linear[f](X: [t m]) -> [t f] {\n"
        "  learn W: linear[m -> f]\n  return W(rms_norm[m](X))\n}\n",
        {"t": 16, "m": 2048, "f": 2048},
        {"t": 16, "m": 4096, "f": 14336},
        {"t": 5, "m": 43, "f": 19},
        rms_linear,
        rms_linear_library,
        learned=("rms_norm.weight", "W.weight"),
    ),
    Case(
        "gated",
        USES + "diagram gated[f](X: [t m]) -> [t f] {\n  learn G, U: linear[m -> f]\n"
        "  A = G(X)\n  B = U(X)\n  return Y[t f] = silu(A[t f]) * B[t f]\n}\n",
        NARROW,
        WIDE,
        FEW,
        gated,
        learned=("G.weight", "U.weight"),
    ),
    Case(
        "cross_entropy",
        "diagram cross_entropy(L: [n m], W: [v m], T: N(v)[n]) -> [] {\n"
        "  Z[n v] = L[n m] * W[v m]\n  z[n] = logsumexp[v](Z[n v])\n"
        "  return mean[n](z[n] - Z[n, T[n]])\n}\n",
        {"n": 512, "m": 256, "v": 8192},
        {"n": 8192, "m": 4096, "v": 128256},
        {"n": 19, "m": 21, "v": 50},
        cross_entropy,
        cross_entropy_library,
        naturals={"T": "v"},
    ),
    Case(
        "softmax_rows",
        "diagram softmax_rows(X: [t m]) -> [t m] { return softmax[m](X) }\n",
        ROWS,
        {"t": 32768, "m": 4096},
        {"t": 21, "m": 43},
        lambda x: (x - x.amax(-1, True)).exp() / (x - x.amax(-1, True)).exp().sum(-1, True),
        lambda x: F.softmax(x, -1),
    ),
    Case(
        "layer_norm",
        "diagram layer_norm(X: [t m]) -> [t m] {\n  a[t] = mean[m](X)\n"
        "  C[t m] = X[t m] - a[t]\n  b[t] = mean[m](C * C)\n"
        "  return Y[t m] = C[t m] / sqrt(b[t] + 1e-5)\n}\n",
        ROWS,
        {"t": 32768, "m": 4096},
        {"t": 21, "m": 43},
        layer_norm,
        lambda x: F.layer_norm(x, x.shape[-1:]),
    ),
    Case(
        "gather",
        "diagram gather(E: [v m], T: N(v)[t]) -> [t m] { return Y[t m] = E[T[t], m] }\n",
        {"v": 8192, "m": 512, "t": 4096},
        {"v": 128256, "m": 4096, "t": 8192},
        {"v": 50, "m": 21, "t": 33},
        lambda e, t: e[t],
        lambda e, t: F.embedding(t, e),
        naturals={"T": "v"},
    ),
    Case(
        "scatter",
        "diagram scatter[v](X: [t m], T: N(v)[t]) -> [v m] {\n"
        "  Y: [v m]\n  Y[T[t], m] += X[t m]\n  return Y\n}\n",
        {"v": 512, "m": 256, "t": 4096},
        {"v": 4096, "m": 4096, "t": 32768},
        {"v": 50, "m": 21, "t": 33},
        lambda x, t, v: x.new_zeros(v, x.shape[1]).index_add(0, t, x),
        naturals={"T": "v"},
        sized=("v",),
    ),
    Case(
        "moe_combine",
        "diagram moe_combine[t](X: [e c m], W: [e c], T: N(t)[e c]) -> [t m] {\n"
        "  Y: [t m]\n  Y[T[e c], m] += W[e c] * X[e c m]\n  return Y\n}\n",
        {"e": 8, "c": 512, "m": 512, "t": 2048},
        {"e": 8, "c": 8192, "m": 4096, "t": 32768},
        {"e": 3, "c": 7, "m": 21, "t": 9},
        moe_combine,
        naturals={"T": "t"},
        sized=("t",),
    ),
)
