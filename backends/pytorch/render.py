"""Nodes as Python text: transposing, inserting axes of size 1, and einsum."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from string import ascii_letters
from typing import Protocol

from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis, Wire

from .code import Code, call, listed
from .nodes import (
    Along,
    Axes,
    Converted,
    Domain,
    Einsum,
    Fixed,
    Index,
    Mapped,
    Node,
    Reduced,
    Repeated,
    Scalar,
    misfit,
    within,
)

# Beyond this length of its operands an expression gets variables for the longest of them.
LIMIT = 76
WORTH_A_NAME = 24


class Writer(Protocol):
    """What rendering needs of the method that is being written."""

    def size(self, size: Size) -> Code:
        """A size as an expression."""
        ...

    def index(self, axis: Axis) -> Code:
        """The tensor of the indices along an axis."""
        ...

    def dtype(self, domain: Domain) -> str:
        """The `torch.dtype` of a domain, as an expression."""
        ...

    def device(self) -> str:
        """The device of the inputs, as an expression."""
        ...

    def helper(self, name: str) -> str:
        """The name of a helper function of the module, which is then written, too."""
        ...

    def variable(self, code: Code, axes: Axes, hint: str) -> str:
        """A new local variable, called something like `hint`, that holds the value."""
        ...

    def told(self, wire: Wire) -> str:
        """How a read names an input whose bound it checks itself; empty where it need not."""
        ...

    @property
    def whole(self) -> bool:
        """Whether an expression has to stay whole, however long it is."""
        ...

    def as_whole(self) -> AbstractContextManager[None]:
        """Inside, expressions stay whole: some of them are evaluated under a condition only."""
        ...


def render(w: Writer, node: Node, order: Axes) -> Code:
    """The node as an expression that broadcasts against a tensor with the axes `order`."""
    own = within(order, node.axes)
    match node:
        case Scalar():
            return node.code
        case Fixed():
            return align(node.code, node.axes, node.batched, order)
        case Index():
            return align(w.index(node.axis), node.axes, False, order)
        case Converted():
            return render(w, node.child, order)
        case Mapped():
            if misfit(node, own) > 1 and misfit(node, node.axes) == 0:
                own = node.axes
            code = node.write(_children(w, node, own))
        case Einsum():
            code = _einsum(w, node, own)
        case Reduced():
            return _reduced(w, node, order)
        case Along():
            orders = [node.inner(own, place) for place in node.places]
            code = node.write(operands(w, node.children, orders), own.index(node.axis) - len(own))
        case Repeated():
            code = _repeated(w, node, own)
    return align(code, own, node.batched, order)


def _children(w: Writer, node: Mapped, order: Axes) -> list[Code]:
    orders = [order] * len(node.children)
    if not node.lazy:
        return operands(w, node.children, orders)
    with w.as_whole():
        return operands(w, node.children, orders)


def operands(
    w: Writer, nodes: Sequence[Node], orders: Sequence[Axes], limit: int = LIMIT
) -> list[Code]:
    """Several operands of one expression, the longest in variables if they are too long."""
    own = [within(order, node.axes) for node, order in zip(nodes, orders, strict=True)]
    codes = [render(w, node, axes) for node, axes in zip(nodes, own, strict=True)]
    while not w.whole and sum(len(code.text) for code in codes) > limit:
        lengths = [
            0 if isinstance(node, Scalar) else len(code.text)
            for node, code in zip(nodes, codes, strict=True)
        ]
        longest = lengths.index(max(lengths))
        if lengths[longest] < WORTH_A_NAME:
            break
        hint = "mask" if nodes[longest].domain == "boolean" else "t"
        codes[longest] = Code(w.variable(codes[longest], own[longest], hint))
    return [
        align(code, axes, node.batched, order)
        for code, axes, node, order in zip(codes, own, nodes, orders, strict=True)
    ]


def full(w: Writer, node: Node, axes: Axes) -> Code:
    """The node as a tensor that really has all of `axes`, in this order."""
    missing = tuple(axis for axis in axes if axis not in node.axes)
    if isinstance(node, Scalar) or missing:
        return _repeated(w, Repeated(node, axes), axes)
    return render(w, node, axes)


# ---- dimensions ----------------------------------------------------------------------------------


def align(code: Code, axes: Axes, batched: bool, order: Axes) -> Code:
    """Bring a tensor with trailing `axes` into `order`, with axes of size 1 for what it lacks."""
    wanted = within(order, axes)
    code = permuted(code, axes, wanted, batched)
    marks = [":" if axis in axes else "None" for axis in order]
    if "None" not in marks:
        return code
    start = marks.index("None")
    if not batched:
        # Missing leading axes are broadcast anyhow.
        marks = marks[marks.index(":") :] if ":" in marks else []
        return code.index(", ".join(marks)) if "None" in marks else code
    return code.index(", ".join(["...", *marks[start:]]))


def permuted(code: Code, axes: Axes, wanted: Axes, batched: bool) -> Code:
    """Transpose the trailing axes, as few as possible."""
    if axes == wanted:
        return code
    places = [axes.index(axis) for axis in wanted]
    rank = len(places)
    moved = [i for i, place in enumerate(places) if i != place]
    if len(moved) == 2:
        first, second = moved
        return code.method(f"transpose({first - rank}, {second - rank})")
    for source in range(rank):
        rest = [i for i in range(rank) if i != source]
        target = places.index(source)
        rest.insert(target, source)
        if rest == places:
            return code.method(f"movedim({source - rank}, {target - rank})")
    if batched:
        letters = letters_for(axes)
        text = f"{spell(axes, letters, True)}->{spell(wanted, letters, True)}"
        return call("torch.einsum", f'"{text}"', code.text)
    return code.method(f"permute({', '.join(map(str, places))})")


def _repeated(w: Writer, node: Repeated, order: Axes) -> Code:
    child = node.child
    if isinstance(child, Scalar):
        return filled(w, child, order, w.dtype(child.domain))
    sizes = [w.size(axis.size).text if axis not in child.axes else "-1" for axis in order]
    code = render(w, child, order)
    if not child.batched:
        return code.method(f"expand({', '.join(sizes)})") if sizes else code
    return call(w.helper("_expand"), code.text, *sizes)


def filled(w: Writer, value: Scalar, axes: Axes, dtype: str) -> Code:
    """A tensor with these axes that holds one number everywhere."""
    shape = shape_text(w, axes)
    like = dtype.removesuffix(".dtype")
    zero = value.value == 0 and not isinstance(value.value, bool)
    if like != dtype and zero:
        return call(f"{like}.new_zeros", *([w.size(a.size).text for a in axes] or ["()"]))
    if like != dtype:
        return call(f"{like}.new_full", shape, value.code.text)
    options = (f"dtype={dtype}", f"device={w.device()}")
    if zero:
        return call("torch.zeros", shape, *options)
    return call("torch.full", shape, value.code.text, *options)


def shape_text(w: Writer, axes: Axes) -> str:
    """The sizes of axes as a tuple."""
    sizes = [w.size(axis.size).text for axis in axes]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _reduced(w: Writer, node: Reduced, order: Axes) -> Code:
    own = within(order, node.axes)
    inner = (*own, *node.bound)
    if misfit(node.child, inner) and not misfit(node.child, node.child.axes):
        inner = node.child.axes
    dims = sorted(inner.index(axis) - len(inner) for axis in node.bound)
    code = node.write(operands(w, [node.child], [inner])[0], dims)
    kept = tuple(axis for axis in inner if axis not in node.bound)
    return align(code, kept, node.batched, order)


# ---- einsum --------------------------------------------------------------------------------------


def letters_for(axes: Axes) -> dict[Axis, str]:
    """One letter for each axis: its own where that is possible."""
    letters: dict[Axis, str] = {}
    single = [a for a in axes if len(a.name) == 1 and a.name in ascii_letters and not a.parts]
    for axis in (*single, *axes):
        if axis not in letters:
            options = (*axis.name, *axis.name.swapcase(), *ascii_letters)
            free = (c for c in options if c in ascii_letters and c not in letters.values())
            letters[axis] = next(free)
    return letters


def spell(axes: Axes, letters: dict[Axis, str], batched: bool) -> str:
    """The subscripts of one operand."""
    return ("..." if batched else "") + "".join(letters[axis] for axis in axes)


def _einsum(w: Writer, node: Einsum, order: Axes) -> Code:
    nodes = _arranged(node.operands, order)
    linear = _linear(w, nodes, node.bound, order)
    if linear is not None:
        return linear
    letters = letters_for((*order, *node.bound))
    subscripts = ",".join(spell(n.axes, letters, n.batched) for n in nodes)
    spec = f'"{subscripts}->{spell(order, letters, node.batched)}"'
    codes = operands(w, nodes, [n.axes for n in nodes])
    return call("torch.einsum", spec, *(code.text for code in codes))


def _arranged(nodes: tuple[Node, ...], order: Axes) -> tuple[Node, ...]:
    """The operand whose own axes lead in the result goes first: then the result is contiguous."""
    if len(nodes) != 2:
        return nodes

    def lead(node: Node, other: Node) -> tuple[bool, int]:
        own = [i for i, axis in enumerate(order) if axis in node.axes and axis not in other.axes]
        return (not node.batched and other.batched, own[0] if own else len(order))

    first, second = nodes
    return nodes if lead(first, second) <= lead(second, first) else (second, first)


def _linear(w: Writer, nodes: tuple[Node, ...], bound: Axes, order: Axes) -> Code | None:
    """`F.linear(x, weight)` where that is what the contraction is."""
    if len(nodes) != 2 or len(bound) != 1:
        return None
    x, weight = nodes
    if weight.batched or len(weight.axes) != 2 or weight.axes[1] is not bound[0]:
        return None
    own = weight.axes[0]
    if own in x.axes or not order or order[-1] is not own or bound[0] not in x.axes:
        return None
    inner = (*order[:-1], bound[0])
    if misfit(x, inner) or set(inner) != set(x.axes) or not x.batched:
        return None
    left, right = operands(w, [x, weight], [inner, weight.axes])
    return call("F.linear", left.text, right.text)


def dims_text(dims: Sequence[int]) -> str:
    """One dimension or a tuple of them."""
    return listed([str(dim) for dim in dims])
