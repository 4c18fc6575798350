"""Scatters: arrays that are written at indices.

Where the indices are the array's own axes the value is the source itself, or an elementwise
combination with what is there; where they are slices, the slices are written; anything else
becomes a scatter along the dimensions that have to be looked up. The classes of axes choose it:
sources that never meet are copied to their places, others are combined; an axis that is sliced
stays a dimension, and so does one that is copied and that the places depend on (entangled), along
which the scatters are independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ncdlang.analysis.scatter import Variator, facts_of, variator_of
from ncdlang.ir.diagram import Edge, Scattering
from ncdlang.semantics.bounds import Inside, prove_inside
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import REAL, Affine, Axis, Floor, Gathered, Kind, Mod, Wire

from .code import Code, call, number
from .formats import computed, rounded
from .names import quoted
from .nodes import Axes, Fixed, Node, Scalar, domain_of, mapped, repeated
from .pointwise import pointwise
from .reads import Keep, Plan, Reading, Select, Slice, Split, bounded, plans, reading
from .render import Writer, filled, full, render
from .views import Reader
from .wires import merged

_COMBINE = {"+=": "add", "*=": "mul", "max=": "max", "min=": "min"}
_JOINED = {"+=": "add", "*=": "prod", "max=": "amax", "min=": "amin"}
_SAID = {"add": "added", "prod": "multiplied", "amax": "joined by max", "amin": "joined by min"}
# What autograd needs of a result is not written over by what follows.
_UNNEEDED = ("=", "+=")


@dataclass(frozen=True, slots=True)
class Written:
    """The array that an operation writes, and what is to be said of how."""

    node: Node
    remark: str


def scattering(w: Writer, reader: Reader, edge: Edge, diagram: CheckedDiagram) -> Written:
    """The array that an edge writes, with the axes of its wire, composite ones whole."""
    operator, wire = edge.operator, edge.outputs[0].wire
    assert isinstance(operator, Scattering)
    base = None if operator.is_first else _operand(w, reader, edge, 1)
    source = repeated(_operand(w, reader, edge, 0), edge.degree)
    kind = wire.type.kind
    writing = _Writing(w, reader, edge, diagram, computed(kind), source, base)
    node, remark = writing.node()
    grows = operator.op in ("+=", "*=") or edge.inputs[0].wire.type.kind.bound is None
    if kind.bound is not None and grows and not wire.name.startswith("_"):
        helper, options = w.helper("_inside"), (w.size(kind.bound).text, quoted(wire.name))
        node = mapped(lambda c: call(helper, c[0].text, *options), (node,), "integer")
    return Written(node, remark)


def _operand(w: Writer, reader: Reader, edge: Edge, position: int) -> Node:
    """The source or what is written into; reals in the format that is computed with."""
    operand, kind = edge.inputs[position], computed(edge.outputs[0].wire.type.kind)
    node = reader.read(reading(edge, operand))
    if kind.name in ("real", "complex") and node.domain == "integer":
        node = pointwise(w, "real", REAL, [node])
    return rounded(w, node, domain_of(kind)) if kind.name == "real" else node


@dataclass(frozen=True, slots=True)
class _Writing:
    """One write: what is written where. `base` is what is written into, None for the identity."""

    w: Writer
    reader: Reader
    edge: Edge
    diagram: CheckedDiagram
    kind: Kind
    source: Node
    base: Node | None

    @property
    def operator(self) -> Scattering:
        """What is written where."""
        operator = self.edge.operator
        assert isinstance(operator, Scattering)
        return operator

    @property
    def wire(self) -> Wire:
        """What is written into."""
        return self.edge.outputs[0].wire

    def node(self) -> tuple[Node, str]:
        """The array afterwards, and a remark on how it is made."""
        todo = self._plans()
        if all(_is_whole(plan) for plan in todo):
            return self._elementwise(todo), ""
        if all(isinstance(p, (Select, Slice)) or _is_whole(p) for p in todo):
            return self._sliced(todo), "written as slices"
        made = variator_of(self.edge, self.diagram)
        how = _JOINED.get(self.operator.op, "copy")
        if made.is_one_to_one and (self.base is None or self.operator.op == "="):
            how = "copy"
        return self._scattered(todo, how), _remark(made, how)

    def _plans(self) -> list[Plan | None]:
        """How each dimension is indexed; None where it takes a tensor of indices."""
        found = plans(Reading(self.wire, self.operator.indices), self.reader.equal)
        todo: list[Plan | None] = []
        for i, (plan, index) in enumerate(zip(found, self.operator.indices, strict=True)):
            others = {a for j, o in enumerate(self.operator.indices) if j != i for a in o.axes()}
            direct = _is_whole(plan) or isinstance(plan, Select)
            direct = direct or isinstance(plan, Slice)
            todo.append(plan if direct and others.isdisjoint(index.axes()) else None)
        return todo

    # ---- the own axes ---------------------------------------------------------------------------

    def _elementwise(self, todo: Sequence[Plan | None]) -> Node:
        new = self._in_place(todo, self.source)
        if self.base is None or self.operator.op == "=":
            return new
        return pointwise(self.w, _COMBINE[self.operator.op], self.kind, [self.base, new])

    def _in_place(self, todo: Sequence[Plan | None], node: Node) -> Fixed:
        """The source with the axes of the array in place of those that index them whole."""
        order = tuple(axis for plan in todo for axis in _axes(plan))
        code = full(self.w, node, order)
        axes: list[Axis] = []
        for plan, axis in zip(todo, self.wire.type.axes, strict=True):
            axes += [axis] if _is_whole(plan) else _axes(plan)
        code = merged(code, [len(_axes(plan)) for plan in todo if _axes(plan)])
        return Fixed(code, tuple(axes), node.batched, node.domain)

    # ---- slices ---------------------------------------------------------------------------------

    def _sliced(self, todo: Sequence[Plan | None]) -> Node:
        source = _flipped(self._in_place(todo, self.source), todo)
        base = self._base(self.wire.type.axes)
        places = [self._place(plan) for plan in todo]
        place = f"({places[0]},)" if len(places) == 1 else f"({', '.join(places)})"
        op = quoted(self.operator.op)
        code = call(self.w.helper("_write"), base.text, place, source.code.text, op)
        is_own = self.operator.op in _UNNEEDED
        return Fixed(code, self.wire.type.axes, self._batched(), source.domain, is_own)

    def _place(self, plan: Plan | None) -> str:
        match plan:
            case Select(place=place):
                return self.w.size(place).text
            case Slice(axis=axis, start=start, step=step):
                low = start if step > 0 else start + (axis.size - 1) * step
                high = low + axis.size * abs(step)
                bounds = [self.w.size(low).text, self.w.size(high).text]
                return call("slice", *bounds, *([str(abs(step))] if abs(step) != 1 else [])).text
            case _:
                return "slice(None)"

    # ---- tensors of indices ---------------------------------------------------------------------

    def _scattered(self, todo: Sequence[Plan | None], how: str) -> Node:
        """Entangled dimensions lead, those that are looked up follow, whole ones stand last."""
        w, axes = self.w, self.wire.type.axes
        whole = [i for i, plan in enumerate(todo) if _is_whole(plan)]
        apart = self._apart([i for i in range(len(axes)) if i not in whole])
        looked = [i for i in range(len(axes)) if i not in (*whole, *apart)]
        indices = [self.operator.indices[i] for i in looked]
        outer = tuple(a for i in apart for a in self.operator.indices[i].axes())
        found = dict.fromkeys(axis for index in indices for axis in index.axes())
        new = tuple(axis for axis in found if axis not in outer)
        rest = tuple(axis for i in whole for axis in _axes(todo[i]))
        order = tuple(axes[i] for i in (*apart, *looked, *whole))
        nodes = [self._index(i) for i in looked]
        texts = [render(w, node, (*outer, *new)).text for node in nodes]
        index = f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
        widths = [*(1 for _ in (*outer, *new)), *(len(_axes(todo[i])) for i in whole)]
        source = merged(full(w, self.source, (*outer, *new, *rest)), widths)
        sizes = [f"new={len(new)}", f"kept={len(whole)}"]
        if len(looked) == 1:
            wire = bounded(indices[0], axes[looked[0]].size, self.reader.equal)
            sizes += [told for told in (w.told(wire) if wire is not None else "",) if told]
        base = self._base(order)
        code = call(w.helper("_scatter"), base.text, index, source.text, quoted(how), *sizes)
        batched = self._batched() or any(node.batched for node in nodes)
        return Fixed(code, order, batched, self.source.domain, self.operator.op in _UNNEEDED)

    def _apart(self, dimensions: Sequence[int]) -> list[int]:
        """The dimensions that copy an axis which other ones only look places up with."""
        found: dict[Axis, list[int]] = {}
        for i in dimensions:
            axis, own = self.operator.indices[i].axis, self.wire.type.axes[i]
            if axis is not None and self.reader.equal(axis.size, own.size):
                found.setdefault(axis, []).append(i)
        apart = [same[0] for same in found.values() if len(same) == 1]
        return apart if len(apart) < len(dimensions) else []

    def _index(self, position: int) -> Node:
        """The index along one dimension, looked at where numbers come from outside."""
        index, size = self.operator.indices[position], self.wire.type.axes[position].size
        node = self.reader.affine(index)
        if isinstance(node, Scalar) or not _gathers(index) or self._is_bounded(index, size):
            return node
        options = (self.w.size(size).text, quoted(f"index {index}"))
        helper = self.w.helper("_inside")
        return mapped(lambda codes: call(helper, codes[0].text, *options), (node,), "integer")

    def _is_bounded(self, index: Affine, size: Size) -> bool:
        """Whether it stays inside because the naturals stay below the bounds of their types."""
        if bounded(index, size, self.reader.equal) is not None:
            return True
        return isinstance(prove_inside(index, size, (), facts_of(self.diagram)), Inside)

    # ---- what is written into -------------------------------------------------------------------

    def _batched(self) -> bool:
        return self.source.batched or (self.base is not None and self.base.batched)

    def _base(self, order: Axes) -> Code:
        if self.base is not None:
            code = full(self.w, self.base, order)
            is_own = isinstance(self.base, Fixed) and self.base.is_own
            return code if is_own else code.method("clone()")
        dtype = self.w.dtype(domain_of(self.kind))
        return filled(self.w, self._identity(self.kind), order, dtype)

    def _identity(self, kind: Kind) -> Scalar:
        """What combines with a value to just that value; that of naturals is a natural."""
        domain = domain_of(kind)
        match self.operator.op:
            case "*=":
                return Scalar(Code("1"), 1, domain)
            case "max=" if kind.name == "real":
                return Scalar(number(-math.inf), -math.inf, domain)
            case "min=" if kind.name == "real":
                return Scalar(number(math.inf), math.inf, domain)
            case "min=" if kind.bound is not None:
                last = self.w.size(kind.bound - 1)
                return Scalar(call("max", last.text, "0"), None, domain)
            case _ if kind.name == "boolean":
                return Scalar(Code("False"), False, domain)
            case _:
                return Scalar(Code("0"), 0, domain)


def _remark(made: Variator, how: str) -> str:
    """Why places are written as they are."""
    if how == "copy":
        return "each place has one source"
    if made.is_one_to_one:
        return f"each place has one source, {_SAID[how]} to what is there"
    along = " ".join(str(axis) for axis in made.meeting)
    return f"sources along {along} may meet and are {_SAID[how]}"


def _flipped(node: Fixed, todo: Sequence[Plan | None]) -> Fixed:
    """The source as slices have it that count up, where the indices count down."""
    kept = [plan for plan in todo if _axes(plan)]
    dims = [str(i - len(kept)) for i, p in enumerate(kept) if isinstance(p, Slice) and p.step < 0]
    return replace(node, code=node.code.method(call("flip", *dims).text)) if dims else node


def _is_whole(plan: Plan | None) -> bool:
    return isinstance(plan, Keep) or (isinstance(plan, Split) and plan.whole)


def _axes(plan: Plan | None) -> Axes:
    """The axes of the degree that run along a dimension, outermost first."""
    match plan:
        case Keep(axis=axis) | Slice(axis=axis):
            return (axis,)
        case Split(axes=axes):
            return axes
        case _:
            return ()


def _gathers(index: Affine) -> bool:
    return any(
        isinstance(variable, Gathered)
        or (isinstance(variable, (Floor, Mod)) and _gathers(variable.numerator))
        for variable, _ in index.terms
    )
