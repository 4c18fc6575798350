"""Plans of a read as Python: slices, views, and lookups by index tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ncdlang.semantics.size import Size
from ncdlang.semantics.types import INTEGER, Affine, Axis, Floor, Gathered, Mod, Wire

from .code import Code, call, number
from .names import quoted
from .nodes import HELD, Axes, Fixed, Index, Node, Scalar, mapped, within
from .pointwise import as_tensor, pointwise
from .reads import (
    Equal,
    Keep,
    Lookup,
    Plan,
    Reading,
    Select,
    Slice,
    Split,
    Windows,
    bounded,
    plain_axes,
    plans,
)
from .render import Writer, full, permuted, render


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads wires. `value` gives the node of a wire, `equal` decides which sizes are the same."""

    w: Writer
    value: Callable[[Wire], Node]
    equal: Equal

    def read(self, what: Reading) -> Node:
        """The value of an operand, with the axes that index it."""
        node = self.value(what.wire)
        if isinstance(node, Scalar):
            return node
        axes = plain_axes(what, self.equal)
        if axes is not None:
            return self._renamed(node, what.wire.type.axes, axes)
        code = full(self.w, node, what.wire.type.axes)
        base = Fixed(code, what.wire.type.axes, node.batched, node.domain)
        return self._planned(base, plans(what, self.equal))

    def _renamed(self, node: Node, own: Axes, axes: Axes) -> Node:
        if all(a is b for a, b in zip(own, axes, strict=True)):
            return node
        names = dict(zip(own, axes, strict=True))
        if isinstance(node, Index):
            return Index(names[node.axis])
        present = within(own, node.axes)
        code = render(self.w, node, present)
        return Fixed(code, tuple(names[a] for a in present), node.batched, node.domain)

    # ---- views ----------------------------------------------------------------------------------

    def _planned(self, base: Fixed, todo: list[Plan]) -> Node:
        # A dimension that is looked up may have the axis of another one: it gets a stand-in.
        stands = [Axis(axis.name, axis.size) for axis in base.axes]
        view = _View(self, replace(base, axes=tuple(stands)))
        view.slice(todo)
        view.split(todo)
        result = view.diagonals()
        lookups = [
            (a, plan) for a, plan in zip(stands, todo, strict=True) if isinstance(plan, Lookup)
        ]
        return self._looked_up(result, lookups) if lookups else result

    # ---- lookups --------------------------------------------------------------------------------

    def _looked_up(self, base: Fixed, lookups: list[tuple[Axis, Lookup]]) -> Node:
        w = self.w
        code = base.code
        for axis, plan in lookups:
            if plan.nonempty:
                dim = base.axes.index(axis) - len(base.axes)
                code = call(w.helper("_nonempty"), code.text, str(dim))
        indices = [self._index(plan) for _, plan in lookups]
        looked = tuple(axis for axis, _ in lookups)
        found = dict.fromkeys(a for index in indices for a in index.axes)
        order = tuple(found)
        rest = tuple(axis for axis in base.axes if axis not in looked)
        batched = any(index.batched for index in indices)
        if batched:
            indices = [as_tensor(w, i, "integer") if isinstance(i, Scalar) else i for i in indices]
        texts = [render(w, index, order).text for index in indices]
        if not batched:
            return self._in_place(base, code, looked, texts, order)
        code = permuted(code, base.axes, (*looked, *rest), base.batched)
        if base.batched:
            index = f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
            sizes = (f"kept={len(rest)}", f"new={len(order)}", *self._told(lookups))
            code = call(w.helper("_gather"), code.text, index, *sizes)
        elif len(looked) == 1 and len(rest) == 1:
            told = self._told(lookups)
            helper = w.helper("_embedding") if told else "F.embedding"
            code = call(helper, texts[0], code.text, *told)
        else:
            code = code.index(", ".join(texts))
        return Fixed(code, (*order, *rest), True, base.domain)

    def _told(self, lookups: list[tuple[Axis, Lookup]]) -> tuple[str, ...]:
        """Where indices are an input as it is, which may stay unchecked until it is used."""
        (_, plan), *others = lookups
        clamped = plan.below or plan.above
        wire = None if others or clamped else bounded(plan.index, plan.size, self.equal)
        told = self.w.told(wire) if wire is not None else ""
        return (told,) if told else ()

    def _in_place(
        self, base: Fixed, code: Code, looked: Axes, texts: list[str], order: Axes
    ) -> Fixed:
        """Index tensors without batch axes stand where the dimensions stood."""
        axes = base.axes
        places = [axes.index(axis) for axis in looked]
        if places != list(range(places[0], places[0] + len(places))):
            axes = (*(a for a in axes if a not in looked), *looked)
            code = permuted(code, base.axes, axes, base.batched)
        items = dict(zip(looked, texts, strict=True))
        marks = [items.get(axis, ":") for axis in axes]
        code = _indexed(code, marks, base.batched)
        first = axes.index(looked[0])
        kept = axes[first + len(looked) :]
        return Fixed(code, (*axes[:first], *order, *kept), base.batched, base.domain)

    def _index(self, plan: Lookup) -> Node:
        index = self.affine(plan.index)
        if plan.checked:
            return self._checked(plan, index)
        if not (plan.below or plan.above):
            return index
        last = self.w.size(plan.size - 1).text
        if isinstance(index, Scalar):
            code = call("max", index.code.text, "0") if plan.below else index.code
            code = call("min", code.text, last) if plan.above else code
            return Scalar(code, None, "integer")
        if plan.below and plan.above:
            bounds = f"0, {last}"
        else:
            bounds = "min=0" if plan.below else f"max={last}"
        return mapped(lambda codes: codes[0].method(f"clamp({bounds})"), (index,), "integer")

    def _checked(self, plan: Lookup, index: Node) -> Node:
        """An index made of data, which must stay inside the array."""
        size = self.w.size(plan.size).text
        what = quoted(f"index {plan.index}")
        helper = self.w.helper("_inside")
        return mapped(lambda codes: call(helper, codes[0].text, size, what), (index,), "integer")

    def _number(self, size: Size) -> Scalar:
        value = size.value
        code = number(value) if value is not None else self.w.size(size)
        return Scalar(code, value, "integer")

    def affine(self, index: Affine) -> Node:
        """An index as an expression over index tensors."""
        result: Node | None = None
        for variable, coefficient in index.terms:
            term = self._variable(variable)
            negative = result is not None and all(c < 0 for _, c in coefficient.terms)
            magnitude = -coefficient if negative else coefficient
            if magnitude.value != 1:
                term = pointwise(self.w, "mul", INTEGER, [self._number(magnitude), term])
            if result is None:
                result = term
            else:
                result = pointwise(self.w, "sub" if negative else "add", INTEGER, [result, term])
        if result is None:
            return self._number(index.constant)
        if index.constant.value == 0:
            return result
        below = all(coefficient < 0 for _, coefficient in index.constant.terms)
        offset = self._number(-index.constant if below else index.constant)
        return pointwise(self.w, "sub" if below else "add", INTEGER, [result, offset])

    def _variable(self, variable: Axis | Floor | Mod | Gathered) -> Node:
        match variable:
            case Axis():
                return Index(variable)
            case Floor() | Mod():
                name = "floordiv" if isinstance(variable, Floor) else "mod"
                inner = self.affine(variable.numerator)
                divisor = Scalar(number(variable.divisor), variable.divisor, "integer")
                return pointwise(self.w, name, INTEGER, [inner, divisor])
            case Gathered():
                return self.read(Reading(variable.wire, variable.indices))


def _indexed(code: Code, marks: list[str], batched: bool) -> Code:
    """`code[...]` with one mark for each trailing axis, without those that say nothing."""
    if all(mark == ":" for mark in marks):
        return code
    if batched:
        start = next(i for i, mark in enumerate(marks) if mark != ":")
        return code.index(", ".join(["...", *marks[start:]]))
    end = max(i for i, mark in enumerate(marks) if mark != ":")
    return code.index(", ".join(marks[: end + 1]))


class _View:
    """A tensor on its way through slices and splits; every dimension is known by its axis."""

    def __init__(self, reader: Reader, base: Fixed) -> None:
        self.w = reader.w
        self.equal = reader.equal
        self.base = base
        self.code = base.code
        self.axes: list[Axis] = list(base.axes)

    def slice(self, todo: list[Plan]) -> None:
        """All slices and selections at once, then what counts down is flipped."""
        marks = [self._mark(p, a.size) for a, p in zip(self.base.axes, todo, strict=True)]
        self.code = _indexed(self.code, marks, self.base.batched)
        flipped: list[int] = []
        axes: list[Axis] = []
        for axis, plan in zip(self.base.axes, todo, strict=True):
            if not isinstance(plan, Select):
                axes.append(plan.axis if isinstance(plan, (Keep, Slice)) else axis)
        self.axes = axes
        kept = [plan for plan in todo if not isinstance(plan, Select)]
        for position, plan in enumerate(kept):
            if isinstance(plan, Slice) and plan.step < 0:
                flipped.append(position - len(kept))
        if flipped:
            self.code = self._flipped(f"flip({', '.join(map(str, flipped))})")

    def _flipped(self, flip: str) -> Code:
        """PyTorch flips no numbers of 8 bits, so those are flipped as they lie in memory."""
        if self.base.domain not in HELD:
            return self.code.method(flip)
        dtype = self.w.dtype(self.base.domain)
        return self.code.method("view(torch.uint8)").method(flip).method(f"view({dtype})")

    def split(self, todo: list[Plan]) -> None:
        """Row-major splits and windows, from the left: positions count from the right."""
        kept = [plan for plan in todo if not isinstance(plan, Select)]
        position = 0
        for plan in kept:
            dim = position - len(self.axes)
            match plan:
                case Split():
                    sizes = ", ".join(self.w.size(axis.size).text for axis in plan.axes)
                    if len(plan.axes) > 1:
                        self.code = self.code.method(f"unflatten({dim}, ({sizes}))")
                    self.axes[position : position + 1] = plan.axes
                    position += len(plan.axes)
                case Windows():
                    self._windows(plan, dim)
                    self.axes[position : position + 1] = [plan.outer, plan.inner]
                    position += 2
                case _:
                    position += 1

    def _windows(self, plan: Windows, dim: int) -> None:
        count, width = (self.w.size(axis.size).text for axis in (plan.outer, plan.inner))
        steps = [str(plan.step)] + ([str(plan.stride)] if plan.stride != 1 else [])
        arguments = [self.code.text, str(dim), count, width, *steps]
        self.code = call(self.w.helper("_windows"), *arguments)

    def diagonals(self) -> Fixed:
        """One dimension for each axis that indexes several."""
        axes = self.axes
        while len(set(axes)) < len(axes):
            second = next(i for i, axis in enumerate(axes) if axis in axes[:i])
            first = axes.index(axes[second])
            dims = f"dim1={first - len(axes)}, dim2={second - len(axes)}"
            self.code = self.code.method(f"diagonal({dims})")
            axes = [a for i, a in enumerate(axes) if i not in (first, second)] + [axes[second]]
        return Fixed(self.code, tuple(axes), self.base.batched, self.base.domain)

    def _mark(self, plan: Plan, size: Size) -> str:
        match plan:
            case Select():
                return self.w.size(plan.place).text
            case Slice():
                return self._range(plan.start, plan.step, plan.axis.size, size)
            case Split() if plan.whole:
                return ":"
            case Split():
                return self._range(plan.start, plan.step, plan.total, size)
            case Windows() if plan.start.value != 0:
                return f"{self.w.size(plan.start).text}:"
            case _:
                return ":"

    def _range(self, start: Size, step: int, count: Size, size: Size) -> str:
        """`count` entries from `start`; for a negative step those that end there."""
        low, high = start, start + count * step
        if step < 0:
            low, high = start + (count - 1) * step, start + 1
        first = "" if low.value == 0 else self.w.size(low).text
        last = "" if self.equal(high, size) else self.w.size(high).text
        simple = all(re.fullmatch(r"[\w.]*", bound) for bound in (first, last))
        parts = [first, last] + ([str(abs(step))] if abs(step) != 1 else [])
        return ":".join(parts) if simple else " : ".join(parts).strip()
