"""Number formats: `cast`, and arithmetic on reals that are held in a narrow format."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.semantics.types import Kind

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

# PyTorch holds numbers in these formats, but does not compute with them.
_HELD = frozenset({"f8e4m3", "f8e5m2"})


def dtype_of(w: Writer, kind: Kind) -> str:
    """The `torch.dtype` of a kind, as an expression."""
    if kind.format:
        return DTYPES[kind.format]
    if kind.name == "complex":
        return f"{w.dtype('real')}.to_complex()"
    return w.dtype(domain_of(kind))


def in_formats(
    w: Writer, name: str, kind: Kind, nodes: Sequence[Node], kinds: Sequence[Kind]
) -> Node:
    """An elementwise primitive of values of these kinds that gives a value of `kind`."""
    if name == "cast":
        (node,) = nodes
        return held_in(w, node, kind)
    if not any(k.format in _HELD for k in (kind, *kinds)):
        return pointwise(w, name, kind, nodes)
    computed = [
        held_in(w, node, Kind("real")) if k.format in _HELD else node
        for node, k in zip(nodes, kinds, strict=True)
    ]
    result = pointwise(w, name, kind, computed)
    return held_in(w, result, kind) if kind.format in _HELD else result


def held_in(w: Writer, node: Node, kind: Kind) -> Node:
    """The value rounded to the format of a kind."""
    if isinstance(node, Converted):
        node = cast(w, node, "wide")
    if isinstance(node, Scalar):
        node = as_tensor(w, node, "wide")
    dtype = dtype_of(w, kind)
    return mapped(lambda codes: codes[0].method(call("to", dtype).text), (node,), "real")
