"""What attention, convolutions, losses and positions of the standard library compute, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from stdlib_cases import NONEMPTY, Hand, Weights, case, same
from torch import Tensor

# ---- std.attention -------------------------------------------------------------------------------


def attend(
    Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, bias: float | Tensor = 0.0
) -> Tensor:
    """Attention written out; Q is [q h k], K and V [x h k]. A row without keys is 0."""
    S = torch.einsum("...qhk,...xhk->...hqx", Q, K) / math.sqrt(max(Q.shape[-1], 1)) + bias
    S = S if mask is None else S.masked_fill(~mask, -math.inf)
    top = S.detach().amax(-1, keepdim=True) if S.shape[-1] else S.sum(-1, keepdim=True)
    E = (S - top.masked_fill(top == -math.inf, 0)).exp()
    z = E.sum(-1, keepdim=True)
    P = E / torch.where(z > 0, z, 1)
    return torch.einsum("...hqx,...xhe->...qhe", P, V)


def distance(Q: Tensor, K: Tensor) -> Tensor:
    """How far before query q key x stands."""
    return torch.arange(Q.shape[-3])[:, None] - torch.arange(K.shape[-3])


def grouped(Q: Tensor, K: Tensor, V: Tensor, causal: bool) -> Tensor:
    K, V = (part.repeat_interleave(Q.shape[-2], -2) for part in (K, V))
    mask = distance(Q[..., 0, :], K) >= 0 if causal else None
    return attend(Q.flatten(-3, -2), K, V, mask).unflatten(-2, Q.shape[-3:-1])


def linear_attention(w: Weights, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    S = torch.einsum("...qhk,...xhk->...hqx", F.elu(Q) + 1, F.elu(K) + 1)
    z = S.sum(-1, keepdim=True)
    return torch.einsum("...hqx,...xhe->...qhe", S / torch.where(z > 0, z, 1), V)


def spherical_attention(w: Weights, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
    S = torch.einsum("...qhk,...xhk->...hqx", Q, K)
    return torch.einsum("...hqx,...xhe->...qhe", F.normalize(S, dim=-1), V)


HEADS = ("b=2 q=5 x=3 h=2 k=3 e=1", "b=1 q=1 x=1 h=1 k=1 e=2", "b=1 q=2 x=0 h=2 k=3 e=2")
SDPA = "F.scaled_dot_product_attention("


def attention(name: str, hand: Hand, native: str = SDPA, extra: str = "") -> None:
    """An attention with a batch axis; `extra` is the type of a further argument."""
    call = name.replace("sliding_attention", "sliding_attention[2]")
    inputs = f"(Q: [b q h k], K: [b x h k], V: [b x h e]{extra and ', M: '}{extra})"
    text = f"{inputs} -> [b q h e] {{ return {call}(Q, K, V{extra and ', M'}) }}"
    case(f"std.attention.{name}", text, hand, *HEADS, native=native)


attention("dense_attention", lambda w, Q, K, V: attend(Q, K, V))
attention("causal_attention", lambda w, Q, K, V: attend(Q, K, V, distance(Q, K) >= 0))
attention(
    "sliding_attention",
    lambda w, Q, K, V: attend(Q, K, V, (distance(Q, K) >= 0) & (distance(Q, K) < 2)),
)
attention(
    "masked_attention",
    lambda w, Q, K, V, M: attend(Q, K, V, M[..., None, None, :, :]),
    extra="B[q x]",
)
attention(
    "alibi_attention",
    lambda w, Q, K, V, M: attend(
        Q, K, V, distance(Q, K) >= 0, -M[..., None, :, None, None] * distance(Q, K)
    ),
    extra="[h]",
)
attention("linear_attention", linear_attention, "")
attention("spherical_attention", spherical_attention, "")
for name, causal in (("grouped_attention", False), ("causal_grouped_attention", True)):
    case(
        f"std.attention.{name}",
        f"(Q: [b q g r k], K: [b x g k], V: [b x g e]) -> [b q g r e] {{ return {name}(Q, K, V) }}",
        lambda w, Q, K, V, causal=causal: grouped(Q, K, V, causal),
        "b=2 q=5 x=3 g=2 r=3 k=2 e=1",
        "b=1 q=1 x=1 g=1 r=1 k=1 e=1",
        native=SDPA,
    )


def multi_head(w: Weights, X: Tensor, C: Tensor, causal: bool = False) -> Tensor:
    def heads(weight: str, Z: Tensor) -> Tensor:
        return torch.einsum("hkm,...xm->...xhk", w[f"{weight}.weight"], Z)

    Q, K, V = heads("Lq", X), heads("Lk", C), heads("Lv", C)
    Y = attend(Q, K, V, distance(Q, K) >= 0 if causal else None)
    return torch.einsum("mhk,...xhk->...xm", w["Lo.weight"], Y)


for name, causal in (("multi_head", False), ("causal_multi_head", True)):
    case(
        f"std.attention.{name}",
        f"[h, k](X: [b x m]) -> [b x m] {{ return {name}(X) }}",
        lambda w, X, causal=causal: multi_head(w, X, X, causal),
        "h=2 k=3 b=2 x=5 m=3",
        "h=1 k=1 b=1 x=1 m=1",
        native=SDPA,
    )
case(
    "std.attention.cross_multi_head",
    "[h, k](X: [b q m], C: [b x n]) -> [b q m] { return cross_multi_head(X, C) }",
    multi_head,
    "h=2 k=3 b=2 q=2 x=5 m=3 n=4",
    native=SDPA,
)

# ---- std.conv ------------------------------------------------------------------------------------


def channels_first(function: Hand, dims: int, **settings: int) -> Hand:
    """A function of PyTorch on channels that stand last, with any number of leading axes."""

    def hand(w: Weights, X: Tensor) -> Tensor:
        rows = X.flatten(0, -dims - 2) if X.dim() > dims + 1 else X[None]
        weights = [w[name] for name in ("weight", "bias") if name in w]
        Y = function(rows.movedim(-1, 1), *weights, **settings).movedim(1, -1)
        return Y.unflatten(0, X.shape[: -dims - 1]) if X.dim() > dims + 1 else Y[0]

    return hand


ONE, TWO = "[c'](X: [b x c]) -> [b x' c']", "[c'](X: [b y x c]) -> [b y' x' c']"
SIGNALS = ("b=2 x=11 c=3 c'=5", "b=1 x=5 c=1 c'=1", "b=0 x=7 c=2 c'=2")
IMAGES = ("b=2 y=7 x=11 c=3 c'=2", "b=1 y=3 x=5 c=1 c'=1")


def convolution(of: str, text: str, hand: Hand, native: str, *sizes: str) -> None:
    case(f"std.conv.{of}", text, hand, *sizes, native=native)


for bias in ("", "linear_"):
    convolution(
        f"{bias}conv1d",
        f"{ONE} {{ return {bias}conv1d[c' = c'](X) }}",
        channels_first(F.conv1d, 1),
        "F.conv1d(",
        *SIGNALS,
    )
    convolution(
        f"{bias}conv1d",
        f"{ONE} {{ return {bias}conv1d[2, c', stride = 3, dilation = 2](X) }}",
        channels_first(F.conv1d, 1, stride=3, dilation=2),
        "F.conv1d(",
        *SIGNALS,
    )
    convolution(
        f"{bias}conv2d",
        f"{TWO} {{ return {bias}conv2d[2, 3, c', stride = 2, dilation = 1](X) }}",
        channels_first(F.conv2d, 2, stride=2),
        "F.conv2d(",
        *IMAGES,
    )
convolution(
    "grouped_conv1d",
    "[e](X: [b x c]) -> [b x' f] { return grouped_conv1d[3, 2, e, stride = 2](X) }",
    channels_first(F.conv1d, 1, stride=2, groups=2),
    "F.conv1d(",
    "b=2 x=11 c=4 e=3",
    "b=1 x=3 c=2 e=1",
)
convolution(
    "grouped_conv2d",
    "[e](X: [b y x c]) -> [b y' x' f] { return grouped_conv2d[3, 2, 2, e](X) }",
    channels_first(F.conv2d, 2, groups=2),
    "F.conv2d(",
    "b=2 y=5 x=3 c=4 e=3",
)
convolution(
    "depthwise_conv1d",
    "(X: [b x c]) -> [b x' c] { return depthwise_conv1d[3, stride = 2, dilation = 2](X) }",
    lambda w, X: channels_first(F.conv1d, 1, stride=2, dilation=2, groups=X.shape[-1])(
        {"weight": w["weight"][:, None], "bias": w["bias"]}, X
    ),
    "F.conv1d(",
    "b=2 x=11 c=3",
    "b=1 x=5 c=1",
)
convolution(
    "depthwise_conv2d",
    "(X: [b y x c]) -> [b y' x' c] { return depthwise_conv2d[2, 3](X) }",
    lambda w, X: channels_first(F.conv2d, 2, groups=X.shape[-1])(
        {"weight": w["weight"][:, None], "bias": w["bias"]}, X
    ),
    "F.conv2d(",
    "b=2 y=5 x=7 c=3",
)
convolution(
    "conv_transpose1d",
    f"{ONE} {{ return conv_transpose1d[3, c', stride = 2, dilation = 2](X) }}",
    channels_first(F.conv_transpose1d, 1, stride=2, dilation=2),
    "F.conv_transpose1d(",
    "b=2 x=5 c=3 c'=2",
    "b=1 x=1 c=1 c'=1",
)
convolution(
    "conv_transpose2d",
    f"{TWO} {{ return conv_transpose2d[2, 3, c', stride = 2](X) }}",
    channels_first(F.conv_transpose2d, 2, stride=2),
    "F.conv_transpose2d(",
    "b=2 y=2 x=3 c=3 c'=2",
)
for call, native, change in (
    ("pad1d[2, 1]", "F.pad(", lambda X: F.pad(X, (0, 0, 2, 1))),
    ("crop1d[1, 2]", "", lambda X: X[..., 1:-2, :]),
):
    convolution(
        call.partition("[")[0],
        f"(X: [b x c]) -> [b x' c] {{ return {call}(X) }}",
        lambda w, X, change=change: change(X),
        native,
        *("b=2 x=5 c=3", "b=1 x=3 c=1"),
    )
for call, native, change in (
    (
        "pad2d[2, 1, value = -inf]",
        "F.pad(",
        lambda X: F.pad(X, (0, 0, 2, 1, 2, 1), value=-math.inf),
    ),
    ("crop2d[1, 0]", "", lambda X: X[..., 1:, 1:, :]),
):
    convolution(
        call.partition("[")[0],
        f"(X: [b y x c]) -> [b y' x' c] {{ return {call}(X) }}",
        lambda w, X, change=change: change(X),
        native,
        *("b=2 y=2 x=5 c=3", "b=1 y=1 x=1 c=1"),
    )
for kind, function in (
    ("max", (F.max_pool1d, F.max_pool2d)),
    ("avg", (F.avg_pool1d, F.avg_pool2d)),
):
    convolution(
        f"{kind}_pool1d",
        f"(X: [b x c]) -> [b x' c] {{ return {kind}_pool1d[3, stride = 2](X) }}",
        channels_first(function[0], 1, kernel_size=3, stride=2),
        f"F.{kind}_pool1d(",
        "b=2 x=11 c=3",
        "b=1 x=3 c=1",
    )
    convolution(
        f"{kind}_pool2d",
        f"(X: [b y x c]) -> [b y' x' c] {{ return {kind}_pool2d[2](X) }}",
        channels_first(function[1], 2, kernel_size=2, stride=2),
        f"F.{kind}_pool2d(",
        "b=2 y=5 x=7 c=3",
        "b=1 y=2 x=2 c=1",
    )
convolution(
    "upsample1d",
    "(X: [b x c]) -> [b x' c] { return upsample1d[3](X) }",
    lambda w, X: X.repeat_interleave(3, -2),
    "",
    *("b=2 x=5 c=3", "b=1 x=0 c=1"),
)
convolution(
    "upsample2d",
    "(X: [b y x c]) -> [b y' x' c] { return upsample2d[2](X) }",
    lambda w, X: X.repeat_interleave(2, -2).repeat_interleave(2, -3),
    "",
    "b=2 y=3 x=5 c=3",
)

# ---- std.loss ------------------------------------------------------------------------------------


def probabilities(*inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.softmax(-1) for part in inputs)


def loss(
    name: str,
    call: str,
    hand: Hand,
    changed: Callable[..., tuple[Tensor, ...]] = same,
) -> None:
    text = f"(A: [b x c], B: [b x c]) -> [b] {{ return {call}(A, B) }}"
    case(f"std.loss.{name}", text, lambda w, A, B: hand(A, B), *NONEMPTY, changed=changed)


def over(function: Hand, **settings: float) -> Hand:
    """A loss of PyTorch, averaged over two axes; it wants inputs of the same shape."""

    def hand(A: Tensor, B: Tensor) -> Tensor:
        pair = torch.broadcast_tensors(A, B)
        return function(*pair, reduction="none", **settings).mean((-2, -1))

    return hand


loss("mse", "mse[x c]", over(F.mse_loss))
loss("mae", "mae[x c]", over(F.l1_loss))
loss("huber", "huber[x c]", over(F.huber_loss))
loss("huber", "huber[x c, delta = 0.3]", over(F.huber_loss, delta=0.3))
loss(
    "bce_with_logits",
    "bce_with_logits[x c]",
    over(F.binary_cross_entropy_with_logits),
    lambda A, B: (20 * A, B.sigmoid()),
)
TOKENS = ("b=2 n=5 v=3", "b=1 n=1 v=1", "b=0 n=2 v=4")
for name, text, hand in (
    (
        "cross_entropy",
        "(L: [b n v], T: N(v)[b n]) -> [b n] { return cross_entropy[v](L, T) }",
        F.log_softmax,
    ),
    ("nll", "(L: [b n v], T: N(v)[b n]) -> [b n] { return nll[v](L, T) }", lambda L, dim: L),
):
    case(
        f"std.loss.{name}",
        text,
        lambda w, L, T, hand=hand: (
            -torch.gather(
                *torch.broadcast_tensors(hand(L, -1), T[..., None])[:1],
                -1,
                T[..., None].expand(*torch.broadcast_shapes(L.shape[:-1], T.shape), 1),
            )[..., 0]
        ),
        *TOKENS,
        native="F.cross_entropy(" if name == "cross_entropy" else "",
    )
case(
    "std.loss.cross_entropy",
    "(L: [b v n], T: N(v)[b n]) -> [] { return z[] = mean[b n](cross_entropy[v](L, T)) }",
    lambda w, L, T: -L.log_softmax(-2).gather(-2, T[..., None, :]).mean((-3, -2, -1)),
    "b=2 v=3 n=5",
    lifts=False,
)
case(
    "std.loss.soft_cross_entropy",
    "(L: [b v], P: [b v]) -> [b] { return soft_cross_entropy[v](L, P) }",
    lambda w, L, P: -(P * L.log_softmax(-1)).sum(-1),
    *("b=3 v=5", "b=1 v=1", "b=0 v=2"),
    changed=lambda L, P: (L, P.softmax(-1)),
)
case(
    "std.loss.kl",
    "(P: [b v], Q: [b v]) -> [b] { return kl[v](P, Q) }",
    lambda w, P, Q: F.kl_div(*torch.broadcast_tensors(Q.log(), P), reduction="none").sum(-1),
    *("b=3 v=5", "b=1 v=1", "b=0 v=2"),
    changed=probabilities,
)

# ---- std.position --------------------------------------------------------------------------------


def angles(X: Tensor, base: float = 10000) -> Tensor:
    half = (X.shape[-1] + 1) // 2
    rates = base ** (-2 * torch.arange(half, dtype=torch.float64) / max(X.shape[-1], 1))
    return torch.arange(X.shape[-2])[:, None] * rates


def sinusoidal(w: Weights, X: Tensor) -> Tensor:
    A = angles(X)
    return X + torch.stack((A.sin(), A.cos()), -1).flatten(-2)[:, : X.shape[-1]]


def turned(a: Tensor, b: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    turned = torch.complex(a, b) * torch.polar(torch.ones_like(A), A)
    return turned.real, turned.imag


def rotary(w: Weights, X: Tensor, base: float = 10000) -> Tensor:
    return torch.cat(turned(*X.chunk(2, -1), angles(X, base)), -1)


def rotary_pairs(w: Weights, X: Tensor) -> Tensor:
    return torch.stack(turned(X[..., 0::2], X[..., 1::2], angles(X)), -1).flatten(-2)


POSITIONS = ("b=2 x=5 k=6", "b=1 x=1 k=2", "b=2 x=0 k=4")
for name, hand, sizes in (
    ("sinusoidal", sinusoidal, (*POSITIONS, "b=2 x=3 k=5")),
    ("rotary", rotary, POSITIONS),
    ("rotary_pairs", rotary_pairs, POSITIONS),
):
    case(
        f"std.position.{name}",
        f"(X: [b x k]) -> [b x k] {{ return {name}[x, k](X) }}",
        hand,
        *sizes,
        native="torch.cat((" if name == "rotary" else "torch.stack((" if "_" in name else "",
    )
case(
    "std.position.rotary",
    "(X: [x h k]) -> [x h k] { return rotary[x, k, base = 500](X) }",
    lambda w, X: rotary(w, X.transpose(-3, -2), 500).transpose(-3, -2),
    "x=5 h=2 k=4",
)
case(
    "std.position.alibi_slopes",
    "[h]() -> [h] { return alibi_slopes() }",
    lambda w: torch.tensor([2.0 ** (-8 * (i + 1) / 4) for i in range(4)], dtype=torch.float64),
    "h=4",
    lifts=False,
)
