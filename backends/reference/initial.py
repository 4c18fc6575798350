"""Initialisers of raw parameters, in place."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import TYPE_CHECKING

from ncdlang.semantics.program import Learned

from .solving import Sizes

if TYPE_CHECKING:
    import torch


def initialise(
    tensor: torch.Tensor, learned: Learned, siblings: Sequence[Learned], sizes: Sizes
) -> None:
    """Fill the tensor as the parameter's initialiser says.

    The default is that of torch.nn.Linear, uniform up to 1/sqrt(fan-in) with the first axis as
    the output; a vector takes the fan-in of a sibling that begins with its axis, as a bias does.
    """
    from torch import nn

    fan_in = max(_fan_in(learned, siblings, sizes), 1)
    match learned.init:
        case "zeros":
            nn.init.zeros_(tensor)
        case "ones":
            nn.init.ones_(tensor)
        case "normal":
            mean, std = learned.init_arguments
            nn.init.normal_(tensor, mean, std)
        case "uniform":
            low, high = learned.init_arguments
            nn.init.uniform_(tensor, low, high)
        case "kaiming":
            nn.init.normal_(tensor, 0.0, sqrt(2 / fan_in))
        case "xavier":
            fan_out = tensor.shape[0] if tensor.ndim else 1
            bound = sqrt(6 / max(_fan_in(learned, siblings, sizes) + fan_out, 1))
            nn.init.uniform_(tensor, -bound, bound)
        case _:
            nn.init.uniform_(tensor, -1 / sqrt(fan_in), 1 / sqrt(fan_in))


def _fan_in(learned: Learned, siblings: Sequence[Learned], sizes: Sizes) -> int:
    axes = learned.wire.type.axes
    if len(axes) == 1:
        for other in siblings:
            longer = other.wire.type.axes
            if len(longer) > 1 and longer[0] is axes[0] and other.init == learned.init:
                axes = longer
                break
    return prod(axis.size.evaluate(sizes) for axis in axes[1:])
