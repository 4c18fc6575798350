"""What diagrams of the standard library become in PyTorch, where it has them built in.

Keyed by the library module and the diagram's name. Whatever is not here is emitted from its own
equations, which mean the same: the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ncdlang.ir.diagram import Edge, Library
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import Axis

from .code import Code, call
from .nodes import Along, Node, Scalar, mapped, repeated
from .pointwise import cast
from .render import Writer

Key = tuple[str, str]

_FUNCTIONS: dict[Key, str] = {
    ("std.prelude", "relu"): "torch.relu",
    ("std.prelude", "gelu"): "F.gelu",
    ("std.prelude", "silu"): "F.silu",
}
_ALONG: dict[Key, str] = {("std.prelude", "softmax"): "softmax"}


def key_of(diagram: CheckedDiagram) -> Key:
    """The name of a diagram in the registry; a user's own diagram has none there."""
    return (diagram.library, diagram.name)


def is_native(edge: Edge) -> bool:
    """Whether an edge is written as a function of PyTorch, without a module of its own."""
    operator = edge.operator
    if not isinstance(operator, Library) or operator.instance is not None:
        return False
    key = key_of(operator.callee)
    return key in _FUNCTIONS or (key in _ALONG and sum(edge.inputs[0].weave) == 1)


def native(
    w: Writer, edge: Edge, arguments: Sequence[Node], axes: Sequence[Axis], maybe_dead: bool
) -> Node:
    """The value of a native edge. `axes` are its targets; with `maybe_dead` a row may be all -inf."""
    operator = edge.operator
    assert isinstance(operator, Library)
    key = key_of(operator.callee)
    if key in _FUNCTIONS:
        return _function(w, _FUNCTIONS[key], arguments)
    (axis,) = axes
    (child,) = arguments
    child = cast(w, child, "wide") if child.domain == "wide" else child
    function = w.helper("_softmax") if maybe_dead else "torch.softmax"
    return Along(_softmax(function), repeated(child, (axis,)), axis, child.domain)


def _softmax(function: str) -> Callable[[Code, int], Code]:
    return lambda code, dim: call(function, code.text, f"dim={dim}")


def _function(w: Writer, name: str, arguments: Sequence[Node]) -> Node:
    (child,) = arguments
    if isinstance(child, Scalar):
        child = repeated(child, ())
    child = cast(w, child, "wide") if child.domain == "wide" else child
    return mapped(lambda codes: call(name, codes[0].text), (child,), child.domain)
