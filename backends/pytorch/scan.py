"""Recurrences as loops: one step after another along an axis.

The operations of a step are those of the scan at one position. What they read at other positions
comes from lists of what was made so far, and the arrays of all positions are stacked at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ncdlang.ir.diagram import Edge, Number, Operand, Pointwise, Reindex, Result, Scan
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, ArrayType, Gathered, Wire

from .code import CONDITIONAL, OR, Code, call
from .formats import rounded
from .lines import Line
from .nodes import Axes, Fixed, Scalar, domain_of, is_real
from .position import Facts, is_known, position_along
from .render import filled, full, shape_text
from .steps import entries, split
from .wires import label_of

if TYPE_CHECKING:
    from .forward import Method


class Loop:
    """Writes one scan into a method."""

    def __init__(self, method: Method, edge: Edge) -> None:
        assert isinstance(edge.operator, Scan)
        self.method = method
        self.edge = edge
        self.scan = edge.operator
        self.symbol = method.new_symbol("step")
        self.position = position_along(self.scan.axis, self.symbol, method.new_symbol)
        size = self.scan.axis.size
        required = [r for r in method.plan.diagram.requirements if r.op in (">=", ">")]
        self.beyond: Facts = (
            size - 1 - self.position.step,
            *(r.left - r.right - (r.op == ">") for r in required),
        )
        wanted = frozenset(
            result.wire
            for result in edge.outputs
            if method.uses.get(result.wire) or result.wire in method.plan.graph.outputs
        )
        self.steps = split(self.scan, self.position, wanted, self.beyond)
        self.wanted = wanted
        self.makers = {r.wire: e for e in self.steps.inside for r in e.outputs}
        self.local: dict[Wire, Wire] = {}
        self.lists: dict[Wire, str] = {}
        self.unbound: dict[tuple[Wire, int], str] = {}
        self.added: set[Wire] = set()
        self.so_far: dict[tuple[Wire, bool], Wire] = {}

    def write(self) -> None:
        """The lines before the loop, the loop, and the arrays that are read after it."""
        method = self.method
        self._before()
        outer, method.lines = method.lines, []
        method.before = outer
        for edge in self.steps.inside:
            self._step(edge)
        body, method.lines, method.before = method.lines, outer, None
        self._line(self._head(), f"along {self.scan.axis}")
        for line in (*self._parts(), *body):
            deeper = Line(line.text, line.comment, line.blocks, line.depth + 1)
            method.lines.append(deeper)
        for wire in self.steps.kept & self.wanted:
            self._stacked(wire)

    # ---- before the loop ------------------------------------------------------------------------

    def _before(self) -> None:
        """What no step changes, and the lists that the steps fill."""
        method = self.method
        for edge in self.steps.before:
            for operand in edge.inputs:
                method.uses[operand.wire] = method.uses.get(operand.wire, 0) + 1
        made = {result.wire for edge in self.steps.before for result in edge.outputs}
        for wire in made & self.steps.uses.keys():
            # A value that the steps read is made once.
            method.uses[wire] = method.uses.get(wire, 0) + 2
        for edge in self.steps.before:
            method.edge(edge)
        for edge in self.steps.inside:
            for result in edge.outputs:
                self.local[result.wire] = self._local(result.wire)
                if result.wire in self.steps.kept:
                    name = method.scope.claim_numbered(f"{_base(result.wire)}_steps")
                    self.lists[result.wire] = name
                    self._line(f"{name}: list[Tensor] = []")

    def _local(self, wire: Wire) -> Wire:
        """A wire at the position; one that only goes into a list needs no name."""
        read = self.steps.uses.get(wire, 0)
        is_named = not wire.name.startswith("_") and read > 0
        axes = self.position.without(wire.type.axes)
        name = f"{wire.name}_step" if is_named else "_"
        local = Wire(name, ArrayType(axes, wire.type.kind), wire.span)
        self.method.uses[local] = read + (wire in self.steps.kept)
        return local

    def _head(self) -> str:
        step = self.method.symbol(self.symbol).text
        positions = call("range", self.method.size(self.scan.axis.size).text)
        if self.scan.reverse:
            positions = call("reversed", positions.text)
        return f"for {step} in {positions.text}:"

    def _parts(self) -> list[Line]:
        """The indices along the parts of a composite axis."""
        size = self.method.size
        return [
            Line(f"{self.method.symbol(symbol).text} = {size(value).text}", "", self.edge.blocks)
            for symbol, value in self.position.divided
        ]

    def _line(self, text: str, comment: str = "") -> None:
        self.method.lines.append(Line(text, comment, self.edge.blocks))

    # ---- one step -------------------------------------------------------------------------------

    def _step(self, edge: Edge) -> None:
        self.method.edge(self._here(edge))
        for result in edge.outputs:
            if result.wire in self.lists:
                self._append(result.wire)

    def _append(self, wire: Wire) -> None:
        """Keep the value of a wire at the position."""
        method, local = self.method, self.local[wire]
        node = method.values[local]
        domain = domain_of(wire.type.kind)
        if is_real(domain):
            node = rounded(method, node, domain)
        code = full(method, node, local.type.axes)
        text = f"{self.lists[wire]}.append({code.text})"
        method.lines.append(Line(text, label_of(wire), self.edge.blocks))
        self.added.add(wire)

    def _here(self, edge: Edge) -> Edge:
        """The operation at the position."""
        operator = edge.operator
        facts = self.steps.facts[edge]
        inputs = edge.inputs
        number = self.steps.conditions.number(edge.outputs[0].wire)
        if number is not None:
            operator, inputs = Number(number), ()
        elif isinstance(operator, Pointwise) and operator.name == "select":
            holds = self.steps.conditions.is_decided(inputs[0].wire, facts)
            if holds is not None:
                operator, inputs = Reindex(), (inputs[1 if holds else 2],)
        is_guarded = isinstance(operator, Reindex) and operator.guarded
        known = facts if is_guarded else None
        moved = tuple(self._operand(operand, known) for operand in inputs)
        outputs = tuple(self._result(result) for result in edge.outputs)
        degree = self.position.without(edge.degree)
        return Edge(operator, degree, moved, outputs, edge.span, edge.blocks)

    def _result(self, result: Result) -> Result:
        axes = result.wire.type.axes
        dims = self.position.dims(axes)
        weave = tuple(target for i, target in enumerate(result.weave) if i not in dims)
        return Result(self.local[result.wire], weave)

    def _operand(self, operand: Operand, known: Facts | None) -> Operand:
        """An operand at the position; `known` are facts where its index may leave the array."""
        indices = [self._index(index, known) for index in entries(operand)]
        for i, target in enumerate(operand.weave):
            if target:
                indices[i] = entries(operand)[i]
        wire, dims = self._read(operand.wire, indices, operand.weave, known)
        weave = tuple(target for i, target in enumerate(operand.weave) if i not in dims)
        left = [index for i, index in enumerate(indices) if i not in dims]
        tiled = tuple(index for index, target in zip(left, weave, strict=True) if not target)
        return Operand(wire, weave, tiled)

    def _index(self, index: Affine, known: Facts | None) -> Affine:
        return self.position.at(index, lambda gathered: self._gathered(gathered, known))

    def _gathered(self, gathered: Gathered, known: Facts | None) -> Gathered:
        indices = [self._index(index, known) for index in gathered.indices]
        wire, dims = self._read(gathered.wire, indices, (False,) * len(indices), known)
        return Gathered(wire, tuple(x for i, x in enumerate(indices) if i not in dims))

    # ---- what is read ---------------------------------------------------------------------------

    def _read(
        self, wire: Wire, indices: Sequence[Affine], weave: Sequence[bool], known: Facts | None
    ) -> tuple[Wire, Sequence[int]]:
        """The wire that holds what is read, and the dimensions that it lacks."""
        axes = wire.type.axes
        if wire not in self.makers:
            return self._outside(wire, indices, weave, known)
        dims = self.position.dims(axes)
        here = [self.position.indices[axes[i]] for i in dims]
        if all(not indices[i].terms for i in dims):
            if [indices[i].constant for i in dims] == here:
                return self.local[wire], dims
            return self._past(wire, indices[dims[0]].constant, known), dims
        return self._history(wire), ()

    def _outside(
        self, wire: Wire, indices: Sequence[Affine], weave: Sequence[bool], known: Facts | None
    ) -> tuple[Wire, Sequence[int]]:
        """An array from outside the loop is taken apart along the axis that the position picks.

        A selection in every step would have a gradient as large as the array in every step.
        """
        if isinstance(self.method.values[wire], Scalar):
            return wire, ()
        for i, (index, is_target) in enumerate(zip(indices, weave, strict=True)):
            if is_target or index.terms or self.symbols.isdisjoint(index.constant.symbols()):
                continue
            place, size = index.constant, wire.type.axes[i].size
            if known is None or _is_within(place, size, known):
                name = self._unbound(wire, i)
                return self._picked(wire, [i], Code(name).index(self._text(place))), [i]
        return wire, ()

    @property
    def symbols(self) -> frozenset[Symbol]:
        """The symbols that change from step to step."""
        return frozenset((self.symbol, *(symbol for symbol, _ in self.position.divided)))

    def _unbound(self, wire: Wire, dim: int) -> str:
        key = (wire, dim)
        if key not in self.unbound:
            method, axes = self.method, wire.type.axes
            code = full(method, method.values[wire], axes)
            name = method.scope.claim_numbered(f"{_base(wire)}_steps")
            text = code.method(f"unbind({dim - len(axes)})").text
            assert method.before is not None
            method.before.append(Line(f"{name} = {text}", label_of(wire), self.edge.blocks))
            self.unbound[key] = name
        return self.unbound[key]

    def _past(self, wire: Wire, place: Size, known: Facts | None) -> Wire:
        """The value of a wire at another position; zeros where there is none yet."""
        axes = wire.type.axes
        name = self.lists[wire]
        size, step, made = self.scan.axis.size, self.position.step, wire in self.added
        distance = place - step if self.scan.reverse else step - place
        order = size - 1 - place if self.scan.reverse else place
        if distance.value is not None:
            index = Code(name).index(str(-distance.value - made))
            test = f"len({name}) >= {distance.value + made}"
        else:
            index = Code(name).index(self._text(order))
            test = f"0 <= {self._text(order)} < len({name})"
        facts = (*(known or ()), *self.beyond)
        before = distance if made else distance - 1
        if not (is_known(order, facts) and is_known(before, facts)):
            zeros = self._zeros(wire, self.position.without(axes))
            index = Code(f"{index.at(OR)} if {test} else {zeros}", CONDITIONAL)
        return self._picked(wire, self.position.dims(axes), index)

    def _picked(self, wire: Wire, dims: Sequence[int], code: Code) -> Wire:
        """A wire without some of its dimensions, with the code that makes it."""
        axes = tuple(axis for i, axis in enumerate(wire.type.axes) if i not in dims)
        picked = Wire(f"_{wire.name}", ArrayType(axes, wire.type.kind), wire.span)
        node = Fixed(code, axes, True, domain_of(wire.type.kind))
        self.method.values[picked] = node
        return picked

    # ---- whole arrays ---------------------------------------------------------------------------

    def _history(self, wire: Wire) -> Wire:
        """A whole array as far as it is made, with zeros where it is not."""
        key = (wire, wire in self.added)
        if key not in self.so_far:
            name = self.method.scope.claim_numbered(f"{_base(wire)}_so_far")
            line = Line(f"{name} = {self._joined(wire)}", label_of(wire), self.edge.blocks)
            self.method.lines.append(line)
            self.so_far[key] = self._picked(wire, (), Code(name))
        return self.so_far[key]

    def _stacked(self, wire: Wire) -> None:
        method = self.method
        name = method.scope.claim_numbered(_base(wire))
        self._line(f"{name} = {self._joined(wire)}", label_of(wire))
        method.labels[wire] = label_of(wire)
        method.values[wire] = Fixed(Code(name), wire.type.axes, True, domain_of(wire.type.kind))
        method.made.add(name)

    def _joined(self, wire: Wire) -> str:
        axes = wire.type.axes
        dim = axes.index(self.scan.axis) - len(axes)
        arguments = [self.lists[wire], str(dim), shape_text(self.method, axes), self._like(wire)]
        if self.scan.reverse:
            arguments.append("reverse=True")
        return call(self.method.helper("_joined"), *arguments).text

    def _zeros(self, wire: Wire, axes: Axes) -> str:
        domain = domain_of(wire.type.kind)
        return filled(
            self.method, Scalar(Code("0"), 0, domain), axes, self.method.dtype(domain)
        ).text

    def _like(self, wire: Wire) -> str:
        """A tensor of the wire's dtype."""
        dtype = self.method.dtype(domain_of(wire.type.kind))
        if dtype.endswith(".dtype"):
            return dtype.removesuffix(".dtype")
        options = (f"dtype={dtype}", f"device={self.method.device()}")
        return call("torch.empty", "0", *options).text

    def _text(self, size: Size) -> str:
        return self.method.size(size).text


def _is_within(place: Size, size: Size, known: Facts) -> bool:
    return is_known(place, known) and is_known(size - 1 - place, known)


def _base(wire: Wire) -> str:
    return "t" if wire.name.startswith("_") else wire.name
