"""Number formats: `cast`, and arithmetic on reals that are held in a narrow format."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.semantics.types import REAL, Kind

from .code import call
from .nodes import Converted, Node, Scalar, domain_of, mapped
from .pointwise import as_tensor, cast, pointwise
from .render import Writer

DTYPES = {
    "f64": "torch.float64",
    "f32": "torch.float32",
    "bf16": "torch.bfloat16",
    "f16": "torch.float16",
    "f8e4m3": "torch.float8_e4m3fn",
    "f8e5m2": "torch.float8_e5m2",
}


def dtype_of(w: Writer, kind: Kind) -> str:
    """The `torch.dtype` of a kind, as an expression."""
    if kind.format:
        return DTYPES[kind.format]
    if kind.name == "complex":
        return f"{w.dtype('real')}.to_complex()"
    return w.dtype(domain_of(kind))


def elementwise(w: Writer, name: str, kind: Kind, nodes: Sequence[Node]) -> Node:
    """An elementwise primitive that gives a value of `kind`."""
    if name == "cast":
        return held_in(w, nodes[0], kind)
    return pointwise(w, name, kind, computable(w, nodes))


def computable(w: Writer, nodes: Sequence[Node]) -> list[Node]:
    """The values in formats that PyTorch computes with."""
    return [held_in(w, node, REAL) if node.domain == "held" else node for node in nodes]


def as_held(w: Writer, node: Node, kind: Kind) -> Node:
    """The value as an array of its kind holds it, if PyTorch does not compute with its format."""
    return held_in(w, node, kind) if domain_of(kind) == "held" != node.domain else node


def held_in(w: Writer, node: Node, kind: Kind) -> Node:
    """The value rounded to the format of a kind."""
    if isinstance(node, Converted):
        node = cast(w, node, "wide")
    if isinstance(node, Scalar):
        node = as_tensor(w, node, "wide")
    dtype = dtype_of(w, kind)
    return mapped(lambda codes: codes[0].method(call("to", dtype).text), (node,), domain_of(kind))
