"""Layer norm and cross entropy that were found in a graph, as calls of PyTorch's own."""

from __future__ import annotations

from collections.abc import Sequence

from ncdlang.ir.diagram import Reduction
from ncdlang.semantics.types import REAL, Axis

from .code import call, number
from .nodes import Fixed, Node, Scalar, repeated
from .operators import reduction
from .pointwise import in_format, pointwise
from .render import Writer, full, operands, render, shape_text
from .rows import CrossEntropy, LayerNorm, Product
from .views import Reader

_DEFAULT_EPS = 1e-5


def layer_norm_node(w: Writer, reader: Reader, found: LayerNorm) -> Node:
    """A call of `F.layer_norm`, with what does not fit into it around it."""
    source = repeated(in_format(w, reader.read(found.source), "real"), found.axes)
    order = (*(axis for axis in source.axes if axis not in found.axes), *found.axes)
    weight, bias = (_factors(w, reader, product) for product in (found.weight, found.bias))
    inside = found.fits and not any(node.batched for node in (*weight, *bias))
    arguments = [shape_text(w, found.axes)]
    if inside and (weight or bias):
        given = [full(w, p[0], found.axes).text if p else "None" for p in (weight, bias)]
        arguments += given if bias else given[:1]
    if found.eps != _DEFAULT_EPS:
        arguments.append(f"eps={number(found.eps).text}")
    made: Node = Fixed(
        call("F.layer_norm", render(w, source, order).text, *arguments),
        order,
        source.batched,
        "real",
    )
    if inside:
        return made
    made = _times(w, made, found.weight.number, weight)
    if not bias and found.bias.number == 0:
        return made
    shift = _times(w, Scalar(number(found.bias.number), found.bias.number, "real"), 1, bias)
    return pointwise(w, "add", REAL, [made, shift])


def _factors(w: Writer, reader: Reader, product: Product) -> list[Node]:
    return [in_format(w, reader.read(read), "real") for read in product.reads]


def _times(w: Writer, node: Node, factor: float, factors: Sequence[Node]) -> Node:
    if factor != 1:
        node = pointwise(w, "mul", REAL, [node, Scalar(number(factor), factor, "real")])
    for other in factors:
        is_one = isinstance(node, Scalar) and node.value == 1
        node = other if is_one else pointwise(w, "mul", REAL, [node, other])
    return node


def cross_entropy_node(w: Writer, reader: Reader, found: CrossEntropy) -> Node:
    """A call of `F.cross_entropy` for each row, and the mean of that."""
    lead: tuple[Axis, ...] = found.lead
    logits = in_format(w, reader.read(found.logits), "real")
    target = reader.read(found.target)
    nodes = [repeated(logits, (*lead, found.classes)), target]
    codes = operands(w, nodes, [(*lead, found.classes), lead])
    code = call(w.helper("_cross_entropy"), *(code.text for code in codes))
    made: Node = Fixed(code, lead, logits.batched or target.batched, "real")
    made = reduction(w, Reduction("mean", found.mean), REAL, made) if found.mean else made
    return pointwise(w, "neg", REAL, [made]) if found.negated else made
