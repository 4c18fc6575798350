"""What diagrams of the standard library become in PyTorch, where it has them built in.

Keyed by the library module and the diagram's name. Whatever is not here is emitted from its own
equations, which mean the same: the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ncdlang.ir.diagram import Edge, Library
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import Axis

from .code import Code, call, number
from .functions import FUNCTIONS, Function
from .nodes import Along, Node, Scalar, domain_of, mapped, repeated
from .pointwise import as_tensor, cast, common_format
from .render import Writer

Key = tuple[str, str]
Build = Callable[[Writer, Edge, Sequence[Node], bool], Node]


def key_of(diagram: CheckedDiagram) -> Key:
    """The name of a diagram in the registry; a user's own diagram has none there."""
    return (diagram.library, diagram.name)


def is_native(edge: Edge) -> bool:
    """Whether an edge is written as a function of PyTorch, without a module of its own."""
    operator = edge.operator
    if not isinstance(operator, Library) or operator.instance is not None:
        return False
    key = key_of(operator.callee)
    if key in FUNCTIONS:
        return True
    if any(sum(operand.weave) != 1 for operand in (*edge.inputs, *edge.outputs)):
        return False
    real = all(operand.wire.type.kind.name == "real" for operand in edge.inputs)
    return key in _ALONG and real


def native(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
    """The value of a native edge; with `maybe_dead` a row of its operand may be all -inf."""
    operator = edge.operator
    assert isinstance(operator, Library)
    key = key_of(operator.callee)
    if key in FUNCTIONS:
        return _function(w, FUNCTIONS[key], operator.callee, arguments)
    return _ALONG[key](w, edge, arguments, maybe_dead)


def _function(
    w: Writer, function: Function, callee: CheckedDiagram, arguments: Sequence[Node]
) -> Node:
    (child,) = arguments
    if isinstance(child, Scalar):
        child = as_tensor(w, child, "wide")
    child = cast(w, child, "wide") if child.domain == "wide" else child
    further = function.written(callee)
    return mapped(lambda c: call(function.name, c[0].text, *further), (child,), child.domain)


# ---- along one axis ------------------------------------------------------------------------------


def _along(
    w: Writer,
    edge: Edge,
    arguments: Sequence[Node],
    write: Callable[[Sequence[Code], int], Code],
) -> Along:
    places = [_target(operand.wire.type.axes, operand.weave) for operand in edge.inputs]
    result = edge.outputs[0]
    nodes, domain = common_format(
        w,
        [repeated(node, (place,)) for node, place in zip(arguments, places, strict=True)],
        domain_of(result.wire.type.kind),
    )
    axis = _target(result.wire.type.axes, result.weave)
    return Along(write, tuple(nodes), tuple(places), axis, domain)


def _target(axes: Sequence[Axis], weave: Sequence[bool]) -> Axis:
    return next(axis for axis, target in zip(axes, weave, strict=True) if target)


def _softmax(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
    function = w.helper("_softmax") if maybe_dead else "torch.softmax"
    return _along(w, edge, arguments, lambda c, dim: call(function, c[0].text, f"dim={dim}"))


def _log_softmax(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
    function = w.helper("_log_softmax") if maybe_dead else "torch.log_softmax"
    return _along(w, edge, arguments, lambda c, dim: call(function, c[0].text, f"dim={dim}"))


def _running(function: str, entry: str = "") -> Build:
    """A function along one dimension, of whose result `entry` is taken."""

    def build(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
        del maybe_dead

        def write(codes: Sequence[Code], dim: int) -> Code:
            return Code(f"{call(function, codes[0].text, f'dim={dim}').text}{entry}")

        return _along(w, edge, arguments, write)

    return build


def _pad(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
    del maybe_dead
    assert isinstance(edge.operator, Library)
    settings = dict(edge.operator.callee.settings)
    before, after, value = settings["before"], settings["after"], float(settings["value"])
    fill = [f"value={number(value).text}"] if value else []

    def write(codes: Sequence[Code], dim: int) -> Code:
        amounts = ["0"] * (2 * (-dim - 1)) + [str(before), str(after)]
        return call("F.pad", codes[0].text, f"({', '.join(amounts)})", *fill)

    return _along(w, edge, arguments, write)


def _concat(w: Writer, edge: Edge, arguments: Sequence[Node], maybe_dead: bool) -> Node:
    del maybe_dead
    helper = w.helper("_concat")
    return _along(
        w, edge, arguments, lambda c, dim: call(helper, c[0].text, c[1].text, f"dim={dim}")
    )


_ALONG: dict[Key, Build] = {
    ("std.prelude", "softmax"): _softmax,
    ("std.prelude", "log_softmax"): _log_softmax,
    ("std.prelude", "cumsum"): _running("torch.cumsum"),
    ("std.prelude", "cumprod"): _running("torch.cumprod"),
    ("std.prelude", "cummax"): _running("torch.cummax", ".values"),
    ("std.prelude", "pad"): _pad,
    ("std.prelude", "concat"): _concat,
}
