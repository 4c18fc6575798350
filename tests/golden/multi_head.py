# Emitted by ncdc from attention.ncd, diagram multi_head.

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _check(name: str, sizes: dict[str, int], *arrays: tuple[str, Tensor, str]) -> None:
    """Check trailing axes and kind of every array: ("tok", tok, "N[n]"). Batch axes may lead."""
    known = dict(sizes)
    for wire, array, spec in arrays:
        # Commas stand between axes where some have parts.
        kind, _, inner = spec[:-1].partition("[")
        axes, shape = inner.split(", " if "(" in inner else None), array.shape
        lead = len(shape) - len(axes)
        if lead < 0:
            raise ValueError(f"{name}: {wire} is {spec}, but its shape is {tuple(shape)}")
        for axis, size in zip(axes, shape[lead:], strict=True):
            if known.setdefault(axis, size) != size:
                where = "the module" if axis in sizes else _first(axis, *arrays)
                why = f"axis {axis} is {known[axis]} in {where} but {size} in {wire}"
                raise ValueError(f"{name}: {why}")
        if array.is_floating_point():
            found = ""
        else:
            found = "C" if array.is_complex() else "B" if array.dtype == torch.bool else "N"
        if kind != found:
            raise TypeError(f"{name}: {wire} is {spec}, but its dtype is {array.dtype}")


def _first(axis: str, *arrays: tuple[str, Tensor, str]) -> str:
    """The first of some arrays that has an axis."""
    inner = ((wire, spec[spec.index("[") + 1 : -1]) for wire, _, spec in arrays)
    return next(wire for wire, axes in inner if axis in axes.split(", " if "(" in axes else None))


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """F.scaled_dot_product_attention for any number of broadcast leading axes.

    Its fast kernels want exactly two of them, so the leading axes but one are flattened.
    A row whose scores are all -inf is 0 (torch >= 2.5); `scale` is 1 / sqrt(k.shape[-1]) if None.
    """
    leading = [t.shape[:-2] for t in (q, k, v)]
    if mask is not None:
        mask = mask if mask.dim() > 1 else mask[None]
        leading.append(mask.shape[:-2])
    batch = torch.broadcast_shapes(*leading)
    flat = (math.prod(batch[:-1]), batch[-1] if batch else 1)
    q, k, v = (t.expand((*batch, *t.shape[-2:])).reshape(*flat, *t.shape[-2:]) for t in (q, k, v))
    if mask is not None and mask.dim() > 2:
        mask = mask.expand((*batch, *mask.shape[-2:])).reshape(*flat, *mask.shape[-2:])
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale)
    return out.reshape(*batch, *out.shape[-2:])


class CausalAttention(nn.Module):
    """causal_attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k]"""

    def forward(self, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
        _check(
            "causal_attention",
            {},
            ("Q", Q, "[q h k]"),
            ("K", K, "[x h k]"),
            ("V", V, "[x h k]"),
        )
        # S, M, P and O[q h k]
        return _attention(
            Q.transpose(-3, -2),
            K.transpose(-3, -2),
            V.transpose(-3, -2),
            causal=True,
        ).transpose(-3, -2)


class Linear(nn.Module):
    """A linear map without bias from the trailing axes `ins` to the axes `outs`."""

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...]) -> None:
        super().__init__()
        self.ins, self.outs = ins, outs
        self.weight = nn.Parameter(torch.empty(*outs, *ins))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.ins), 1))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, X: Tensor) -> Tensor:
        if X.shape[-len(self.ins) :] != self.ins:
            raise ValueError(f"linear: wants trailing axes {self.ins}, got {tuple(X.shape)}")
        if self.weight.dim() == 2:
            return F.linear(X, self.weight)
        weight = self.weight.reshape(math.prod(self.outs), math.prod(self.ins))
        return F.linear(X.flatten(-len(self.ins)), weight).unflatten(-1, self.outs)


class MultiHead(nn.Module):
    """Multi-head self-attention. h and k are free axes: sizes a caller or a config gives.

    multi_head[h, k](X: [x m]) -> [x m]
    """

    def __init__(self, *, m: int, h: int, k: int) -> None:
        super().__init__()
        self.m = m
        self.Lq = Linear((m,), (h, k))
        self.Lk = Linear((m,), (h, k))
        self.Lv = Linear((m,), (h, k))
        self.Lo = Linear((h, k), (m,))
        self.causal_attention = CausalAttention()

    def forward(self, X: Tensor) -> Tensor:
        _check("multi_head", {"m": self.m}, ("X", X, "[x m]"))
        # Attention core
        C = self.causal_attention(self.Lq(X), self.Lk(X), self.Lv(X))  # C[x h k]
        return self.Lo(C)  # [x m]
