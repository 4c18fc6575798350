"""An attention that was found in a graph, as a call of `F.scaled_dot_product_attention`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ncdlang.semantics.types import BOOLEAN, REAL, Axis

from .attention import Attention, Factor
from .code import PRODUCT, Code, call
from .nodes import Axes, Fixed, Node, Scalar, repeated, within
from .pointwise import in_format, pointwise
from .render import Writer, operands
from .views import Reader


@dataclass(frozen=True, slots=True)
class _Parts:
    """The operands of the call, and which of their axes become heads, rows, columns and entries."""

    query: Node
    key: Node
    value: Node
    mask: Node | None
    lead: Axes
    rows: Axes
    keys: Axes
    inner: Axes
    entries: Axes


def attention_node(w: Writer, reader: Reader, found: Attention) -> Node:
    """The value of an attention, with axes in the order in which the call returns them."""
    query, key, value = (reader.read(r) for r in (found.query, found.key, found.value))
    scale, dynamic = _scale(w, reader, found.factors)
    query = _times(w, reader, query, dynamic)
    mask = _mask(w, reader, found)
    parts = _parts(found, query, key, value, mask)
    options = ["causal=True"] if found.causal is not None else []
    options += [] if found.standard else [f"scale={scale}"]
    helper = "_biased_attention" if found.biases else "_attention"
    result = _call(w, helper, parts, options)
    return _times(w, reader, result, found.outer)


def _parts(found: Attention, query: Node, key: Node, value: Node, mask: Node | None) -> _Parts:
    own = [
        axis
        for axis in within(found.axes, query.axes)
        if axis not in key.axes and axis not in value.axes
    ]
    if found.causal is not None:
        rows: Axes = (found.causal,)
    elif mask is not None and any(axis in mask.axes for axis in own):
        rows = tuple(axis for axis in own if axis in mask.axes)
    else:
        rows = tuple(own)
    tensors = [query, key, value, *([mask] if mask is not None else [])]
    present = {axis for tensor in tensors for axis in tensor.axes}
    lead = tuple(a for a in found.axes if a in present and a not in (*rows, *found.keys))
    entries = tuple(a for a in value.axes if a not in found.axes)
    return _Parts(
        repeated(query, found.inner),
        repeated(key, found.inner),
        value,
        mask,
        lead,
        rows,
        found.keys,
        found.inner,
        entries,
    )


def _call(w: Writer, helper: str, parts: _Parts, options: list[str]) -> Node:
    lead, rows, keys = parts.lead, parts.rows, parts.keys
    nodes = [in_format(w, node, "real") for node in (parts.query, parts.key, parts.value)]
    orders = [
        (*lead, *rows, *parts.inner),
        (*lead, *keys, *parts.inner),
        (*lead, *keys, *parts.entries),
    ]
    tails = [(rows, parts.inner), (keys, parts.inner), (keys, parts.entries)]
    if parts.mask is not None:
        mask = repeated(parts.mask, keys)
        shown = rows if any(axis in mask.axes for axis in rows) else rows[:1]
        nodes.append(mask)
        tails.append((shown, keys))
    orders = [(*lead, *first, *second) for first, second in tails]
    codes = operands(w, nodes, orders, limit=160)
    matrices = [_matrix(code, *tail) for code, tail in zip(codes, tails, strict=True)]
    options = [*([f"mask={matrices[3]}"] if parts.mask is not None else []), *options]
    code = call(w.helper(helper), *matrices[:3], *options)
    batched = any(node.batched for node in nodes)
    return Fixed(
        _unmatrix(w, code, rows, parts.entries), (*lead, *rows, *parts.entries), batched, "real"
    )


def _matrix(code: Code, rows: Sequence[Axis], columns: Sequence[Axis]) -> str:
    """The trailing axes as exactly two: each group flattened, or of size 1 where it is empty."""
    if len(columns) > 1:
        code = code.method(f"flatten({-len(columns)})")
    elif not columns:
        code = code.index("..., None")
    if len(rows) > 1:
        code = code.method(f"flatten({-len(rows) - 1}, -2)")
    elif not rows:
        code = code.index("..., None, :")
    return code.text


def _unmatrix(w: Writer, code: Code, rows: Sequence[Axis], columns: Sequence[Axis]) -> Code:
    if len(rows) > 1:
        code = code.method(f"unflatten(-2, {_shape(w, rows)})")
    elif not rows:
        code = code.method("squeeze(-2)")
    if len(columns) > 1:
        code = code.method(f"unflatten(-1, {_shape(w, columns)})")
    elif not columns:
        code = code.method("squeeze(-1)")
    return code


def _shape(w: Writer, axes: Sequence[Axis]) -> str:
    return f"({', '.join(w.size(axis.size).text for axis in axes)})"


# ---- scale and mask ------------------------------------------------------------------------------


def _scale(w: Writer, reader: Reader, factors: Sequence[Factor]) -> tuple[str, tuple[Factor, ...]]:
    """The product of the plain numbers, and the factors that are tensors."""
    product: Node = Scalar(Code("1.0"), 1.0, "real")
    dynamic: list[Factor] = []
    plain: list[Factor] = []
    for factor in factors:
        node = reader.read(factor.read) if factor.read is not None else None
        (plain if node is None or isinstance(node, Scalar) else dynamic).append(factor)
    for factor in sorted(plain, key=lambda f: f.inverted):
        product = _scaled(w, reader, product, factor)
    assert isinstance(product, Scalar)
    if product.quotient is not None:
        # By 0 divides only who contracts over nothing: then any scale does.
        above, below = product.quotient
        return f"{above.at(PRODUCT)} / ({below.text} or 1)", tuple(dynamic)
    return product.code.text, tuple(dynamic)


def _scaled(w: Writer, reader: Reader, node: Node, factor: Factor) -> Node:
    if factor.read is None:
        return pointwise(w, "neg", REAL, [node])
    number = reader.read(factor.read)
    if isinstance(node, Scalar) and node.value == 1.0 and not factor.inverted:
        return number
    return pointwise(w, "div" if factor.inverted else "mul", REAL, [node, number])


def _times(w: Writer, reader: Reader, node: Node, factors: Sequence[Factor]) -> Node:
    for factor in factors:
        node = _scaled(w, reader, node, factor)
    return node


def _mask(w: Writer, reader: Reader, found: Attention) -> Node | None:
    """All masks and biases as one: a boolean mask, or reals that are added to the scores."""
    condition: Node | None = None
    for mask in found.masks:
        node = reader.read(mask.read)
        node = pointwise(w, "not", BOOLEAN, [node]) if mask.negated else node
        condition = node if condition is None else pointwise(w, "and", BOOLEAN, [condition, node])
    bias: Node | None = None
    for term in found.biases:
        node = _times(w, reader, reader.read(term.read), term.factors)
        bias = node if bias is None else pointwise(w, "add", REAL, [bias, node])
    if bias is None:
        return condition
    if condition is not None:
        bias = pointwise(
            w, "select", REAL, [condition, bias, Scalar(Code("-math.inf"), -math.inf, "real")]
        )
    return in_format(w, bias, "real")
