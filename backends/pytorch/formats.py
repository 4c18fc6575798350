"""Number formats: `cast`, and arithmetic on reals held in a format that is not computed with."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.semantics.types import REAL, Kind

from .nodes import HELD, Converted, Domain, Node, Scalar, domain_of
from .pointwise import as_tensor, cast, in_format, pointwise
from .render import Writer


def computed(kind: Kind) -> Kind:
    """The kind that values of a kind are computed in."""
    return REAL if domain_of(kind) in HELD else kind


def computable(w: Writer, nodes: Sequence[Node]) -> list[Node]:
    """The values in formats that PyTorch computes with."""
    return [cast(w, node, "real") if node.domain in HELD else node for node in nodes]


def elementwise(w: Writer, name: str, kind: Kind, nodes: Sequence[Node]) -> Node:
    """An elementwise primitive that gives a value of `kind`."""
    if name == "cast":
        return rounded(w, nodes[0], domain_of(kind))
    return pointwise(w, name, computed(kind), computable(w, nodes))


def kept(w: Writer, node: Node, domain: Domain) -> Node:
    """The value as an array keeps it: in its own format, plain numbers and `wide` reals as such.

    A format that is not computed with has to be rounded to.
    """
    if domain in HELD:
        return rounded(w, node, domain)
    if node.domain == "wide" or isinstance(node, Scalar):
        return node
    return in_format(w, node, domain)


def rounded(w: Writer, node: Node, domain: Domain) -> Node:
    """The real rounded to a format; a number is exact in the module's own."""
    if isinstance(node, Scalar):
        if domain == "real":
            return node
        node = as_tensor(w, node, "wide")
    if isinstance(node, Converted):
        node = cast(w, node, "wide")
    return cast(w, node, domain)
