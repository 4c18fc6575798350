"""Several operations that were found to be one call of PyTorch."""

from __future__ import annotations

from typing import assert_never

from .attention import Attention
from .convolution import Convolution, convolution_node
from .fused import attention_node
from .nodes import Node
from .planning import Fusion
from .render import Writer
from .row_calls import cross_entropy_node, layer_norm_node
from .rows import CrossEntropy, LayerNorm
from .views import Reader


def fusion_node(w: Writer, reader: Reader, found: Fusion) -> Node:
    """The value of what was found."""
    match found:
        case Attention():
            return attention_node(w, reader, found)
        case Convolution():
            return convolution_node(w, reader, found)
        case LayerNorm():
            return layer_norm_node(w, reader, found)
        case CrossEntropy():
            return cross_entropy_node(w, reader, found)
        case _:
            assert_never(found)
