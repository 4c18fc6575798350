"""What every diagram of the standard library computes, written by hand in PyTorch.

A case is a diagram that uses one of the library, and a function of its parameters and inputs that
gives the same. Axes are counted from the right, so that both take further leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
Hand = Callable[..., Tensor | tuple[Tensor, ...]]


def same(*inputs: Tensor) -> tuple[Tensor, ...]:
    return inputs


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """`text` is the diagram after its name; `sizes` are alternatives, one a word for each axis.

    `changed` makes legal inputs of normal ones. `native` is what the emitted code says, where
    PyTorch has a function for it.
    """

    of: str
    text: str
    hand: Hand
    sizes: tuple[str, ...]
    native: str = ""
    changed: Callable[..., tuple[Tensor, ...]] = same
    lifts: bool = True

    @property
    def source(self) -> str:
        """A file with the diagram alone."""
        module, _, name = self.of.rpartition(".")
        use = "" if module == "std.prelude" else f"use {module}.{{{name}}}\n"
        return f"{use}diagram {self.name}{self.text}"

    @property
    def name(self) -> str:
        """The name of the case's own diagram, which no other has."""
        return f"case_{CASES.index(self)}"


CASES: list[Case] = []


def case(
    of: str,
    text: str,
    hand: Hand,
    *sizes: str,
    **more: object,
) -> None:
    CASES.append(Case(of, text, hand, sizes, **more))  # type: ignore[arg-type]


# ---- elementwise ---------------------------------------------------------------------------------

ELEMENTWISE = ("n=7 m=3", "n=1 m=1", "n=0 m=2")


def elementwise(
    name: str, call: str, hand: Callable[[Tensor], Tensor], native: str, **more: object
) -> None:
    text = f"(x: [n m]) -> [n m] {{ return {call} }}"
    case(f"std.prelude.{name}", text, lambda w, x: hand(x), *ELEMENTWISE, native=native, **more)


def wide(x: Tensor) -> tuple[Tensor]:
    return (20 * x,)


elementwise(
    "clamp", "clamp[-1, 0.5](x)", lambda x: x.clamp(-1, 0.5), "torch.clamp(x, min=-1, max=0.5)"
)
elementwise("log2", "log2(x)", torch.log2, "torch.log2(x)", changed=lambda x: (x.exp(),))
elementwise("log10", "log10(x)", torch.log10, "torch.log10(x)", changed=lambda x: (x.exp(),))
elementwise("sinh", "sinh(x)", torch.sinh, "torch.sinh(x)", changed=wide)
elementwise("cosh", "cosh(x)", torch.cosh, "torch.cosh(x)", changed=wide)
elementwise("logit", "logit(x)", torch.logit, "torch.logit(x)", changed=lambda x: (x.sigmoid(),))
elementwise("relu", "relu(x)", F.relu, "torch.relu(x)")
elementwise("relu6", "relu6(x)", F.relu6, "F.relu6(x)", changed=wide)
elementwise("leaky_relu", "leaky_relu(x)", F.leaky_relu, "F.leaky_relu(x, negative_slope=0.01)")
elementwise(
    "leaky_relu", "leaky_relu[0.2](x)", lambda x: F.leaky_relu(x, 0.2), "negative_slope=0.2"
)
elementwise("elu", "elu(x)", F.elu, "F.elu(x, alpha=1)", changed=wide)
elementwise("elu", "elu[alpha = 0.5](x)", lambda x: F.elu(x, 0.5), "alpha=0.5")
elementwise("selu", "selu(x)", F.selu, "F.selu(x)")
elementwise("gelu", "gelu(x)", F.gelu, "F.gelu(x)", changed=wide)
elementwise(
    "gelu_tanh",
    "gelu_tanh(x)",
    lambda x: F.gelu(x, approximate="tanh"),
    'F.gelu(x, approximate="tanh")',
    changed=wide,
)
elementwise("silu", "silu(x)", F.silu, "F.silu(x)", changed=wide)
elementwise(
    "softplus", "softplus(x)", lambda x: torch.logaddexp(x, x * 0), "F.softplus(x", changed=wide
)
elementwise("log_sigmoid", "log_sigmoid(x)", F.logsigmoid, "F.logsigmoid(x)", changed=wide)
elementwise("mish", "mish(x)", F.mish, "F.mish(x)")
elementwise(
    "hardsigmoid", "hardsigmoid(x)", lambda x: (x + 3).clamp(0, 6) / 6, ".clamp(", changed=wide
)
elementwise("hardswish", "hardswish(x)", F.hardswish, "F.hardswish(x)", changed=wide)


def pairwise(name: str, hand: Callable[[Tensor, Tensor], Tensor], **more: object) -> None:
    text = f"(a: [n m], b: [m]) -> [n m] {{ return {name}(a, b) }}"
    case(
        f"std.prelude.{name}", text, lambda w, a, b: hand(a, b[..., None, :]), *ELEMENTWISE, **more
    )


pairwise("logaddexp", torch.logaddexp, changed=lambda a, b: (20 * a, 20 * b))
pairwise("swiglu", lambda a, b: F.silu(a) * b)
pairwise("geglu", lambda a, b: F.gelu(a) * b)

# ---- along axes ----------------------------------------------------------------------------------

ALONG = ("b=3 x=5 c=2", "b=1 x=1 c=1", "b=2 x=0 c=3")
NONEMPTY = ("b=3 x=5 c=2", "b=1 x=1 c=1", "b=0 x=7 c=1")


def along(name: str, call: str, hand: Callable[[Tensor], Tensor], native: str, *sizes: str) -> None:
    text = f"(X: [b x c]) -> [b x c] {{ return {call} }}"
    case(f"std.prelude.{name}", text, lambda w, X: hand(X), *(sizes or ALONG), native=native)


along("softmax", "softmax[x](X)", lambda X: X.softmax(-2), "_softmax(X, dim=-2)")
along("softmax", "softmax[c](X * 2)", lambda X: (2 * X).softmax(-1), "dim=-1)")
along("log_softmax", "log_softmax[x](X)", lambda X: X.log_softmax(-2), "_log_softmax(X, dim=-2)")
along("cumsum", "cumsum[x](X)", lambda X: X.cumsum(-2), "torch.cumsum(X, dim=-2)")
along("cumprod", "cumprod[x](X)", lambda X: X.cumprod(-2), "torch.cumprod(X, dim=-2)")
along("cummax", "cummax[x](X)", lambda X: X.cummax(-2).values, "torch.cummax(X, dim=-2).values")
along("sort", "sort[x](X)", lambda X: X.sort(-2).values, "torch.sort(X, stable=True)")


def joined(w: Weights, A: Tensor, B: Tensor) -> Tensor:
    lead = torch.broadcast_shapes(A.shape[:-2], B[..., None, :, :].shape[:-2])
    return torch.cat(
        (A.expand(*lead, *A.shape[-2:]), B[..., None, :, :].expand(*lead, *B.shape[-2:])), -2
    )


case(
    "std.prelude.softmax",
    "(X: [b x c]) -> [b x c] { return softmax[x c](X) }",
    lambda w, X: X.flatten(-2).softmax(-1).unflatten(-1, X.shape[-2:]),
    *NONEMPTY,
)
case(
    "std.prelude.log_softmax",
    "(X: [b x c]) -> [b x c] { return log_softmax[c x](X) }",
    lambda w, X: X.flatten(-2).log_softmax(-1).unflatten(-1, X.shape[-2:]),
    *NONEMPTY,
)
case(
    "std.prelude.variance",
    "(X: [b x c]) -> [b] { return variance[x c](X) }",
    lambda w, X: (X - X.mean((-2, -1), True)).square().mean((-2, -1)),
    *NONEMPTY,
)
case(
    "std.prelude.argsort",
    "(X: [b x c]) -> N(x)[b x c] { return argsort[x](X) }",
    lambda w, X: torch.argsort(X, dim=-2, stable=True),
    *ALONG,
    native="torch.argsort(X, stable=True)",
    changed=lambda X: (X.round(),),
)
case(
    "std.prelude.top_k",
    """(X: [b x c]) -> ([b t c], N(x)[b t c]) {
      V[b t c], I[b t c] = top_k[x, 2](X)
      return V, I
    }""",
    lambda w, X: tuple(
        part.narrow(-2, 0, 2) for part in torch.sort(X, dim=-2, descending=True, stable=True)
    ),
    "b=3 x=5 c=2",
    "b=1 x=2 c=1",
    "b=0 x=3 c=1",
    native="torch.sort(X, descending=True, stable=True)",
    changed=lambda X: (X.round(),),
)
case(
    "std.prelude.pad",
    "(X: [b x c]) -> [b z c] { P[b z c] = pad[x, 2, 1, value = -inf](X)\n return P }",
    lambda w, X: F.pad(X, (0, 0, 2, 1), value=-math.inf),
    *ALONG,
    native="F.pad(X, (0, 0, 2, 1), value=-math.inf)",
)
case(
    "std.prelude.crop",
    "(X: [b x c]) -> [b z c] { P[b z c] = crop[x, 1, 2](X)\n return P }",
    lambda w, X: X[..., 1:-2, :],
    "b=3 x=5 c=2",
    "b=1 x=3 c=1",
)
case(
    "std.prelude.concat",
    "(A: [b x c], B: [y c]) -> [b z c] { P[b z c] = concat[x, y](A, B)\n return P }",
    joined,
    "b=3 x=5 y=2 c=2",
    "b=1 x=0 y=1 c=1",
    native="_concat(A, B[..., None, :, :], dim=-2)",
)
case(
    "std.prelude.one_hot",
    "[v](T: N(v)[b n]) -> [b n v] { return one_hot[v](T) }",
    lambda w, T: F.one_hot(T, 5).double(),
    "v=5 b=2 n=3",
    "v=5 b=0 n=1",
)

# ---- std.nn --------------------------------------------------------------------------------------

case(
    "std.nn.linear",
    "[f](X: [b x m]) -> [b x f] { return linear[m -> f](X) }",
    lambda w, X: X @ w["weight"].mT,
    "b=2 x=3 m=5 f=7",
    "b=0 x=1 m=1 f=1",
    "b=2 x=1 m=0 f=2",
    native="F.linear(",
)
case(
    "std.nn.linear",
    "[h, k](X: [m b]) -> [h k b] { return linear[m -> h k](X) }",
    lambda w, X: torch.einsum("hkm,...mb->...hkb", w["weight"], X),
    "m=3 b=2 h=2 k=5",
)
case(
    "std.nn.affine",
    "[f](X: [b h k]) -> [b f] { return affine[h k -> f](X) }",
    lambda w, X: X.flatten(-2) @ w["weight"].flatten(1).mT + w["bias"],
    "b=2 h=3 k=5 f=7",
    "b=1 h=1 k=1 f=1",
    "b=0 h=2 k=0 f=3",
    native="F.linear(",
)
case(
    "std.nn.embedding",
    "[v, m](T: N(v)[b n]) -> [b n m] { return embedding[v -> m](T) }",
    lambda w, T: F.embedding(T, w["weight"]),
    "v=7 m=3 b=2 n=5",
    "v=1 m=1 b=1 n=1",
    "v=3 m=2 b=2 n=0",
    native="F.embedding(",
)
case(
    "std.nn.embedding",
    "[v, h, k](T: N(v)[n]) -> [n h k] { return embedding[v -> h k](T) }",
    lambda w, T: w["weight"][T],
    "v=5 h=2 k=3 n=4",
)
case(
    "std.nn.rms_norm",
    "(X: [b m]) -> [b m] { return rms_norm[m](X) }",
    lambda w, X: F.rms_norm(X, X.shape[-1:], w["weight"], 1e-6),
    "b=3 m=5",
    "b=1 m=1",
    "b=0 m=2",
    native="F.rms_norm(",
)
case(
    "std.nn.rms_norm",
    "(X: [m b k]) -> [m b k] { return rms_norm[m k, eps = 0.5](X) }",
    lambda w, X: X * w["weight"][:, None] * torch.rsqrt((X * X).mean((-3, -1), True) + 0.5),
    "m=2 b=3 k=5",
)
case(
    "std.nn.layer_norm",
    "(X: [b m]) -> [b m] { return layer_norm[m](X) }",
    lambda w, X: F.layer_norm(X, X.shape[-1:], w["weight"], w["bias"], 1e-5),
    "b=3 m=5",
    "b=1 m=1",
    "b=0 m=2",
    native="F.layer_norm(",
)


def instance_norm(w: Weights, X: Tensor) -> Tensor:
    D = X - X.mean((-3, -2), True)
    r = torch.rsqrt(D.square().mean((-3, -2), True) + 1e-5)
    return D * r * w["weight"] + w["bias"]


def group_norm(w: Weights, X: Tensor) -> Tensor:
    G = X.unflatten(-1, (2, X.shape[-1] // 2))
    D = G - G.mean((-4, -3, -1), True)
    r = torch.rsqrt(D.square().mean((-4, -3, -1), True) + 1e-5)
    return (D * r).flatten(-2) * w["weight"] + w["bias"]


def batch_norm(w: Weights, X: Tensor) -> Tensor:
    mean, var = w["running_mean"], w["running_var"]
    return F.batch_norm(X.movedim(-1, 1), mean, var, w["weight"], w["bias"]).movedim(1, -1)


NORMED = ("b=2 y=3 x=5 c=4", "b=1 y=1 x=1 c=2", "b=0 y=2 x=1 c=2")
case(
    "std.nn.instance_norm",
    "(X: [b y x c]) -> [b y x c] { return instance_norm[y x -> c](X) }",
    instance_norm,
    *NORMED,
    native="torch.group_norm(",
)
case(
    "std.nn.instance_norm",
    "(X: [b c y k]) -> [b c y k] { return instance_norm[y -> c k](X) }",
    lambda w, X: (
        instance_norm(
            {name: part.flatten() for name, part in w.items()},
            X.transpose(-3, -2).flatten(-2)[..., None, :],
        )[..., 0, :]
        .unflatten(-1, w["weight"].shape)
        .transpose(-3, -2)
    ),
    "b=2 c=2 y=5 k=3",
)
case(
    "std.nn.group_norm",
    "(X: [b y x c]) -> [b y x c] { return group_norm[y x, g = 2](X) }",
    group_norm,
    *NORMED,
    native="torch.group_norm(",
)
case(
    "std.nn.group_norm",
    "(X: [b c y x]) -> [b c y x] { return group_norm[y x, 2](X) }",
    lambda w, X: group_norm(w, X.movedim(-3, -1)).movedim(-1, -3),
    "b=2 c=6 y=3 x=1",
)
case(
    "std.nn.batch_norm",
    "(X: [b y x c]) -> [b y x c] { return batch_norm[b y x -> c](X) }",
    batch_norm,
    "b=2 y=3 x=5 c=4",
    "b=1 y=1 x=1 c=2",
    native="F.batch_norm(",
    lifts=False,
)
case(
    "std.nn.running",
    """(X: [b c]) -> [b c] {
      learn average: [c] ~ frozen(zeros)
      mu = mean[b](X)
      m = running[c](mu, mu, average)
      return X - m
    }""",
    lambda w, X: X - w["average"],
    "b=3 c=2",
    lifts=False,
)
case(
    "std.prelude.detach",
    "(X: [b c]) -> [b c] { return detach(X) }",
    lambda w, X: X.detach(),
    "b=3 c=2",
    "b=0 c=1",
    native="torch.detach(X)",
)
case(
    "std.nn.dropout",
    "(X: [b c]) -> [b c] { return dropout[0.25](X) }",
    lambda w, X: X,
    "b=3 c=2",
    "b=0 c=1",
    native="F.dropout(X, p=0.25, training=self.training)",
)
