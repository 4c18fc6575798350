"""Contractions, reductions and calls as nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Library,
    Reduction,
)
from ncdlang.semantics.types import Axis, Kind, Wire

from .code import Code, call, number
from .emptiness import may_be_empty
from .nodes import (
    Axes,
    Converted,
    Einsum,
    Fixed,
    Node,
    Reduced,
    Scalar,
    domain_of,
    repeated,
)
from .planning import Plan
from .pointwise import as_tensor, cast, common_format, in_format, pointwise
from .registry import native
from .render import Writer, dims_text, operands, render


def contraction(w: Writer, operator: Contraction, kind: Kind, nodes: Sequence[Node]) -> Node:
    """The sum over the operator's axes of the product of its operands."""
    numbers = [node for node in nodes if isinstance(node, Scalar)]
    tensors = [node for node in nodes if not isinstance(node, Scalar)]
    present = {axis for node in tensors for axis in node.axes}
    missing = tuple(axis for axis in operator.axes if axis not in present)
    if missing or not tensors:
        # Nothing has these axes: the sum over them is a sum of equal terms.
        tensors = [repeated(tensors[0] if tensors else numbers.pop(), missing), *tensors[1:]]
    tensors, domain = common_format(w, tensors, domain_of(kind))
    tensors = [cast(w, n, "wide") if isinstance(n, Converted) else n for n in tensors]
    kinds = {node.domain for node in tensors}
    if len(tensors) == 1 or domain == "integer" or len(kinds) > 1:
        # Integers have no fast einsum, and none converts between reals and complex numbers.
        product = reduce(lambda a, b: pointwise(w, "mul", kind, [a, b]), tensors)
        result = _summed(w, operator.axes, product)
    else:
        union = dict.fromkeys(axis for node in tensors for axis in node.axes)
        axes = tuple(axis for axis in union if axis not in operator.axes)
        batched = any(node.batched for node in tensors)
        result = Einsum(tuple(tensors), operator.axes, axes, batched, domain)
    for value in numbers:
        result = pointwise(w, "mul", kind, [result, value])
    return result


def _summed(w: Writer, axes: Axes, node: Node) -> Node:
    return reduction(w, Reduction("sum", axes), Kind("real"), node)


# ---- reductions ----------------------------------------------------------------------------------


def reduction(w: Writer, operator: Reduction, kind: Kind, node: Node) -> Node:
    """A reduction by name over axes that the node is made to have."""
    node = repeated(node, operator.axes)
    if isinstance(node, Converted) or (node.domain == "integer" and operator.name in _REAL_ONLY):
        node = cast(w, node, "wide")
    write = _writer(w, operator)
    axes = tuple(axis for axis in node.axes if axis not in operator.axes)
    domain = "integer" if operator.name in ("argmax", "argmin") else node.domain
    if operator.name == "norm" and domain == "complex":
        domain = domain_of(kind)
    return Reduced(write, node, operator.axes, axes, node.batched, domain)


_REAL_ONLY = frozenset({"mean", "norm", "logsumexp"})


def _writer(w: Writer, operator: Reduction) -> Callable[[Code, Sequence[int]], Code]:
    name = operator.name
    match name:
        case "sum" | "mean" | "any" | "all" | "argmax" | "argmin":
            return lambda code, dims: code.method(f"{name}(dim={dims_text(dims)})")
        case "max" | "min":
            return _extreme(w, operator)
        case "prod":
            return _product
        case "norm":
            return lambda code, dims: call(
                "torch.linalg.vector_norm", code.text, f"dim={dims_text(dims)}"
            )
        case _:
            return lambda code, dims: call("torch.logsumexp", code.text, f"dim={dims_text(dims)}")


def _extreme(w: Writer, operator: Reduction) -> Callable[[Code, Sequence[int]], Code]:
    method = f"a{operator.name}"
    if operator.initial is None:
        return lambda code, dims: code.method(f"{method}(dim={dims_text(dims)})")
    helper = w.helper(f"_{method}")
    initial = number(operator.initial).text

    def write(code: Code, dims: Sequence[int]) -> Code:
        dim = f"({dims[0]},)" if len(dims) == 1 else dims_text(dims)
        return call(helper, code.text, dim, initial)

    return write


def _product(code: Code, dims: Sequence[int]) -> Code:
    """One axis after the other, from the left: what is left keeps its place from the right."""
    for dim in sorted(dims):
        code = code.method(f"prod(dim={dim})")
    return code


# ---- calls ---------------------------------------------------------------------------------------


def library(w: Writer, edge: Edge, nodes: list[Node], plan: Plan) -> Node:
    """A call that PyTorch has a function for."""
    return native(w, edge, nodes, may_be_empty(plan.graph, edge.inputs[0].wire))


def result_axes(edge: Edge, position: int) -> Axes:
    """The trailing dimensions in which a call returns a result: lifted axes, then the callee's."""
    operator, result = edge.operator, edge.outputs[position]
    assert isinstance(operator, Library)
    formal = operator.callee.results[position].type.axes
    targets = operator.output_targets[position]
    return (*edge.degree, *_in_formal_order(result.wire, result.weave, targets, formal))


def _in_formal_order(
    wire: Wire, weave: Sequence[bool], targets: Sequence[Axis], formal: Axes
) -> Axes:
    own = [axis for axis, target in zip(wire.type.axes, weave, strict=True) if target]
    bound = dict(zip(targets, own, strict=True))
    return tuple(bound[axis] for axis in formal)


def call_arguments(w: Writer, edge: Edge, nodes: Sequence[Node]) -> tuple[list[str], bool]:
    """The arguments of a call: lifted axes lead, in the same order in each of them.

    Gives back whether an argument, and so every result, may have batch axes, too.
    """
    operator = edge.operator
    assert isinstance(operator, Library)
    arguments: list[Node] = []
    orders: list[Axes] = []
    for i, (operand, node) in enumerate(zip(edge.inputs, nodes, strict=True)):
        formal = operator.callee.parameters[i].type.axes
        targets = operand_targets(edge, i)
        tiled = [axis for entry in operand.reindexing for axis in entry.axes()]
        node = in_format(w, node, domain_of(operator.callee.parameters[i].type.kind))
        node = repeated(node, tuple(dict.fromkeys((*tiled, *targets))))
        if isinstance(node, Scalar):
            node = as_tensor(w, node, node.domain)
        if any(axis in edge.degree for axis in targets):
            node, targets = _renamed(w, node, edge.degree, targets, formal)
        arguments.append(node)
        orders.append((*edge.degree, *targets))
    codes = operands(w, arguments, orders)
    return [code.text for code in codes], any(node.batched for node in arguments)


def operand_targets(edge: Edge, position: int) -> Axes:
    """The targets of an argument, in the order in which the callee has them."""
    operator, operand = edge.operator, edge.inputs[position]
    assert isinstance(operator, Library)
    formal = operator.callee.parameters[position].type.axes
    return _in_formal_order(operand.wire, operand.weave, operator.input_targets[position], formal)


def _renamed(w: Writer, node: Node, degree: Axes, targets: Axes, formal: Axes) -> tuple[Node, Axes]:
    """A target of one argument that another argument lifts gets the callee's name."""
    tiled = tuple(axis for axis in degree if axis in node.axes and axis not in targets)
    code = render(w, node, (*tiled, *targets))
    return Fixed(code, (*tiled, *formal), node.batched, node.domain), formal
