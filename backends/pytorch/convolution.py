"""Convolutions in a graph: a parameter contracted with windows of an array.

Views of windows overlap, so an einsum over them copies every entry once for each window that it
is in; `F.conv1d` to `F.conv3d` do not. The kernel may share axes with both the array and the
result: those are groups (a depthwise convolution).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ncdlang.ir.diagram import Contraction, Edge, Graph, Operand, Reindex
from ncdlang.semantics.types import REAL, Axis, Wire

from .code import Code, call
from .nodes import Axes, Fixed, Node, is_real, within
from .pointwise import in_format, pointwise
from .reads import Equal, Keep, Reading, Windows, plain_axes, plans, reading
from .render import Writer, full, operands
from .views import Reader

_MOST_AXES = 3


@dataclass(frozen=True, slots=True)
class Convolution:
    """The windows of `source` contracted with `kernel`, times numbers without axes.

    `places` are the axes of the source, `windows` how some of them are read: step and stride of
    (outer, inner). Channels are contracted (`inner`), made (`outer`) or kept apart (`groups`).
    """

    source: Wire
    kernel: Reading
    kept: tuple[Axis | None, ...]
    windows: tuple[Windows, ...]
    lead: Axes
    groups: Axes
    inner: Axes
    outer: Axes
    factors: tuple[Wire, ...]

    def wires(self) -> Iterator[Wire]:
        """Every wire that is read."""
        yield self.source
        yield self.kernel.wire
        yield from self.factors


def find_convolutions(
    graph: Graph, uses: Mapping[Wire, int], equal: Equal
) -> dict[Edge, Convolution]:
    """Every convolution of the graph, by its contraction."""
    makers = graph.makers()
    parameters = frozenset(learned.wire for learned in graph.learned)
    found: dict[Edge, Convolution] = {}
    for edge in graph.edges:
        operands_ = [operand for operand in edge.inputs if operand.wire.type.axes]
        if not isinstance(edge.operator, Contraction) or len(operands_) != 2:
            continue
        for kernel, windows in (operands_, reversed(operands_)):
            view = makers.get(windows.wire)
            private = uses.get(windows.wire) == 1 and windows.wire not in graph.outputs
            if kernel.wire not in parameters or view is None or not private:
                continue
            convolution = _matched(edge, kernel, windows, view, equal)
            if convolution is not None:
                found[edge] = convolution
    return found


def _matched(
    edge: Edge, kernel: Operand, windows: Operand, view: Edge, equal: Equal
) -> Convolution | None:
    """The convolution, if every axis has a part in it."""
    assert isinstance(edge.operator, Contraction)
    if view.operator != Reindex() or len(view.inputs) != 1:
        return None
    read, weight = reading(edge, windows), reading(edge, kernel)
    kernel_axes = plain_axes(weight, equal)
    if plain_axes(read, equal) != windows.wire.type.axes or kernel_axes is None:
        return None
    source = view.inputs[0].wire
    if not is_plain_real(source) or not is_plain_real(weight.wire):
        return None
    todo = plans(reading(view, view.inputs[0]), equal)
    if not all(isinstance(plan, (Keep, Windows)) for plan in todo):
        return None
    seen = tuple(plan for plan in todo if isinstance(plan, Windows))
    kept = tuple(plan.axis if isinstance(plan, Keep) else None for plan in todo)
    own = [axis for axis in kept if axis is not None]
    bound = edge.operator.axes
    inner = tuple(axis for axis in own if axis in bound)
    groups = tuple(axis for axis in own if axis in kernel_axes and axis not in bound)
    lead = tuple(axis for axis in own if axis not in kernel_axes)
    sliding = [plan.inner for plan in seen]
    outer = tuple(a for a in kernel_axes if a not in (*bound, *groups))
    fits = (
        1 <= len(seen) <= _MOST_AXES
        and set(bound) == {*inner, *sliding}
        and set(bound) <= set(kernel_axes)
        and not any(axis in bound for axis in lead)
        and not any(plan.outer in kernel_axes or plan.outer in bound for plan in seen)
        and all(
            _covers(plan, axis, equal)
            for plan, axis in zip(todo, source.type.axes, strict=True)
            if isinstance(plan, Windows)
        )
    )
    factors = tuple(operand.wire for operand in edge.inputs if not operand.wire.type.axes)
    if not fits:
        return None
    return Convolution(source, weight, kept, seen, lead, groups, inner, outer, factors)


def is_plain_real(wire: Wire) -> bool:
    """Whether a wire holds reals in the module's own format."""
    return wire.type.kind.name == "real" and wire.type.kind.format is None


def _covers(plan: Windows, axis: Axis, equal: Equal) -> bool:
    """Whether there are as many windows as fit, which is what a convolution takes."""
    span = (plan.inner.size - 1) * plan.stride + 1
    most = (axis.size - span) // plan.step + 1
    return plan.start.value == 0 and equal(plan.outer.size, most)


def convolution_node(w: Writer, reader: Reader, found: Convolution) -> Node:
    """The value of a convolution, with axes in the order in which the call returns them."""
    kernel = in_format(w, reader.read(found.kernel), "real")
    source = in_format(w, reader.value(found.source), "real")
    assert is_real(source.domain)
    places = found.source.type.axes
    whole = Fixed(full(w, source, places), places, source.batched, "real")
    named = dict(zip(places, found.kept, strict=True))
    space = tuple(axis for axis in places if named[axis] is None)
    back = {new: axis for axis, new in named.items() if new is not None}
    channels = tuple(back[axis] for axis in (*found.groups, *found.inner))
    lead = tuple(back[axis] for axis in found.lead)
    sliding = tuple(plan.inner for plan in found.windows)
    orders = [
        (*lead, *channels, *space),
        (*found.groups, *found.outer, *found.inner, *sliding),
    ]
    codes = operands(w, [whole, kernel], orders, limit=160)
    count = len(space)
    array = _grouped(codes[0], len(channels), count)
    weight = _grouped(codes[1], len(found.groups) + len(found.outer), count + len(found.inner))
    weight = _grouped(Code(weight), len(found.inner), count)
    code = call(w.helper("_convolve"), array, weight, *_options(w, found))
    made = (*found.groups, *found.outer)
    if len(made) > 1:
        sizes = ", ".join(w.size(axis.size).text for axis in made)
        code = code.method(f"unflatten({-count - 1}, ({sizes}))")
    elif not made:
        code = code.method(f"squeeze({-count - 1})")
    axes = (*found.lead, *made, *(plan.outer for plan in found.windows))
    node: Node = Fixed(code, within(axes, axes), source.batched, "real")
    for factor in found.factors:
        node = pointwise(w, "mul", REAL, [node, reader.value(factor)])
    return node


def _grouped(code: Code, width: int, behind: int) -> str:
    """So many axes in front of the last ones as one: flattened, or of size 1 for none."""
    if width > 1:
        code = code.method(f"flatten({-width - behind}, {-behind - 1})")
    elif width == 0:
        code = code.index(", ".join(["...", "None", *[":"] * behind]))
    return code.text


def _options(w: Writer, found: Convolution) -> list[str]:
    """Strides, dilations and groups, where they are not 1."""
    options: list[str] = []
    for name, steps in (
        ("stride", [plan.step for plan in found.windows]),
        ("dilation", [plan.stride for plan in found.windows]),
    ):
        if set(steps) != {1}:
            options.append(f"{name}={_shared(steps)}")
    if found.groups:
        sizes = [w.size(axis.size).text for axis in found.groups]
        options.append(f"groups={' * '.join(sizes)}")
    return options


def _shared(steps: Sequence[int]) -> str:
    return str(steps[0]) if len(set(steps)) == 1 else f"({', '.join(map(str, steps))})"
