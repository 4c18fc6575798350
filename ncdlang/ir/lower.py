"""From the checked program to the hypergraph: each equation becomes broadcasted operations.

The rule has no special cases for operators. A read whose indices are distinct plain axes is the
reindexing of the operation that uses it; any other read is a `Reindex` operation of its own. A
wire that repeats values, permutes axes or has a composite axis is made by a last `Reindex`.
"""

from __future__ import annotations

from typing import assert_never

from ncdlang.ir.diagram import (
    Block,
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Operand,
    Operator,
    Pointwise,
    Reduction,
    Reindex,
    Result,
    Scan,
    Scattering,
)
from ncdlang.records import record, replace
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    BlockStep,
    CheckedDiagram,
    Constant,
    Contract,
    Define,
    Expression,
    IndexValue,
    Invoke,
    Read,
    Recurrence,
    Reduce,
    Scatter,
    Select,
    SizeValue,
    Step,
    Write,
)
from ncdlang.semantics.types import (
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Kind,
    Mod,
    Wire,
    gathered,
    plain_index,
)
from ncdlang.source import Span

# Operators whose value or derivative can be infinite, with the arguments that make it so. In a
# branch of `where` these are replaced by 1 where the branch is not chosen: a NaN or an infinite
# derivative there would reach the gradient as 0 * inf.
SINGULAR: dict[str, tuple[int, ...]] = {
    "div": (0, 1),
    "pow": (0, 1),
    "log": (0,),
    "log1p": (0,),
    "sqrt": (0,),
    "rsqrt": (0,),
    "exp": (0,),
    "expm1": (0,),
    "tan": (0,),
}
SINGULAR_REDUCTIONS = frozenset({"norm", "logsumexp", "prod"})


def lower(diagram: CheckedDiagram) -> Graph:
    """The hypergraph of a diagram's own body; calls stay single operations."""
    lowering = _Lowering()
    lowering.steps(diagram.steps, ())
    return Graph(
        diagram.name,
        diagram,
        diagram.parameters,
        diagram.results,
        diagram.learned,
        tuple(lowering.edges),
    )


@record
class _Branch:
    """A branch of a `where` that an expression stands in."""

    condition: Wire
    holds: bool
    hidden: bool = False


@record
class _Place:
    """Where an expression stands: the order of the axes, the branches, the source, the blocks."""

    order: tuple[Axis, ...]
    branches: tuple[_Branch, ...]
    span: Span
    blocks: tuple[Block, ...]

    def ordered(self, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        """The axes in the order of the defined wire, further ones after them."""
        first = [axis for axis in self.order if axis in axes]
        return (*first, *(axis for axis in axes if axis not in self.order))

    def binding(self, axes: tuple[Axis, ...]) -> _Place:
        """The same place inside a bracket that binds `axes`.

        A condition that mentions one of them speaks of the axis outside, so it says nothing of
        the values that are read inside.
        """
        branches = tuple(
            _Branch(b.condition, b.holds, True)
            if not set(axes).isdisjoint(b.condition.type.axes)
            else b
            for b in self.branches
        )
        return _Place(self.order, branches, self.span, self.blocks)

    def within(self, branch: _Branch) -> _Place:
        """The same place inside a branch."""
        return _Place(self.order, (*self.branches, branch), self.span, self.blocks)


class _Lowering:
    """Collects the operations of one diagram."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self._count = 0

    # ---- steps ---------------------------------------------------------------------------------

    def steps(self, steps: tuple[Step, ...], blocks: tuple[Block, ...]) -> None:
        for step in steps:
            match step:
                case BlockStep():
                    self.steps(step.steps, (*blocks, Block(step.title)))
                case Define():
                    self._define(step, blocks)
                case Invoke():
                    self._invoke(step, blocks)
                case Scatter():
                    self._scatter(step, blocks)
                case Recurrence():
                    self._recurrence(step, blocks)
                case _:
                    assert_never(step)

    def _define(self, step: Define, blocks: tuple[Block, ...]) -> None:
        wire = step.wire
        atoms = tuple(atom for axis in wire.type.axes for atom in axis.atoms)
        place = _Place(atoms, (), step.span, blocks)
        value = step.expression
        degree = place.ordered(value.axes)
        whole = degree == wire.type.axes and value.kind.name == wire.type.kind.name
        if whole and not isinstance(value, Read):
            self._value(value, place, wire)
            return
        if isinstance(value, Read) and not value.axes and not wire.type.axes:
            self._edge(Reindex(), (), self._read_operands(value, place), wire, place)
            return
        if isinstance(value, Read) and set(degree) == set(atoms):
            self._edge(Reindex(), atoms, self._read_operands(value, place), wire, place)
            return
        self._edge(Reindex(), atoms, (self._operand(value, place),), wire, place)

    def _invoke(self, step: Invoke, blocks: tuple[Block, ...]) -> None:
        inputs = tuple(
            Operand(
                wire,
                tuple(formal is not None for formal in weave),
                tuple(
                    plain_index(axis)
                    for axis, formal in zip(wire.type.axes, weave, strict=True)
                    if formal is None
                ),
            )
            for wire, weave in zip(step.arguments, step.argument_weaves, strict=True)
        )
        outputs = tuple(
            Result(wire, tuple(formal is not None for formal in weave))
            for wire, weave in zip(step.results, step.result_weaves, strict=True)
        )
        operator = Library(
            step.callee,
            step.instance,
            step.binding,
            tuple(_targets(weave) for weave in step.argument_weaves),
            tuple(_targets(weave) for weave in step.result_weaves),
        )
        self.edges.append(Edge(operator, step.lifted, inputs, outputs, step.span, blocks))

    def _scatter(self, step: Scatter, blocks: tuple[Block, ...]) -> None:
        current: Wire | None = None
        for i, write in enumerate(step.writes):
            is_last = i + 1 == len(step.writes)
            output = step.wire if is_last else self._like(step.wire)
            self._write(write, current, output, blocks)
            current = output

    def _like(self, wire: Wire) -> Wire:
        return self._wire(wire.type.axes, wire.type.kind, wire.span)

    def _write(
        self, write: Write, current: Wire | None, output: Wire, blocks: tuple[Block, ...]
    ) -> None:
        place = _Place(write.axes, (), write.span, blocks)
        inputs = [self._operand(write.expression, place)]
        if current is not None:
            inputs.append(_whole(current))
        inputs += [_gathered_operand(each) for each in dict.fromkeys(gathered(write.indices))]
        operator = Scattering(write.op, write.indices, current is None)
        result = Result(output, tuple(True for _ in output.type.axes))
        self.edges.append(Edge(operator, write.axes, tuple(inputs), (result,), write.span, blocks))

    def _recurrence(self, step: Recurrence, blocks: tuple[Block, ...]) -> None:
        outer, self.edges = self.edges, []
        self.steps(step.steps, blocks)
        inner, self.edges = tuple(self.edges), outer
        made = dict.fromkeys(result.wire for edge in inner for result in edge.outputs)
        read = dict.fromkeys(
            operand.wire for edge in inner for operand in edge.inputs if operand.wire not in made
        )
        outputs = tuple(Result(wire, tuple(True for _ in wire.type.axes)) for wire in made)
        operator = Scan(step.axis, step.reverse, inner)
        inputs = tuple(_whole(wire) for wire in read)
        self.edges.append(Edge(operator, (), inputs, outputs, step.span, blocks))

    # ---- expressions ---------------------------------------------------------------------------

    def _wire(self, axes: tuple[Axis, ...], kind: Kind, span: Span) -> Wire:
        self._count += 1
        return Wire(f"_e{self._count}", ArrayType(axes, kind), span)

    def _edge(
        self,
        operator: Operator,
        degree: tuple[Axis, ...],
        inputs: tuple[Operand, ...],
        output: Wire,
        place: _Place,
    ) -> Wire:
        if place.branches:
            degree, output = self._widened(degree, inputs, output, place)
        result = Result(output, tuple(False for _ in output.type.axes))
        self.edges.append(Edge(operator, degree, inputs, (result,), place.span, place.blocks))
        return output

    def _widened(
        self, degree: tuple[Axis, ...], inputs: tuple[Operand, ...], output: Wire, place: _Place
    ) -> tuple[tuple[Axis, ...], Wire]:
        """The degree with the axes that conditions brought into the inputs (see `_safe`)."""
        axes = [axis for each in inputs for index in each.reindexing for axis in index.axes()]
        wide = tuple(dict.fromkeys((*degree, *axes)))
        if len(wide) == len(degree):
            return degree, output
        wide = place.ordered(wide)
        return wide, self._wire(wide, output.type.kind, place.span)

    def _value(self, value: Expression, place: _Place, into: Wire | None = None) -> Wire:
        """Add the operations that compute an expression; the wire that holds it."""
        degree = place.ordered(value.axes)
        output = into or self._wire(degree, value.kind, place.span)
        match value:
            case Constant():
                return self._edge(Number(value.value), (), (), output, place)
            case SizeValue():
                return self._edge(Number(value.size), (), (), output, place)
            case IndexValue():
                return self._edge(Iota(), (value.axis,), (), output, place)
            case Read():
                guarded = bool(place.branches)
                operands = self._read_operands(value, place)
                return self._edge(Reindex(guarded), degree, operands, output, place)
            case Apply():
                return self._apply(value, place, degree, output)
            case ApplyDiagram():
                return self._apply_diagram(value, place, degree, output)
            case Select():
                return self._select(value, place, degree, output)
            case Contract():
                inside = place.binding(value.bound)
                operands = tuple(self._operand(f, inside, value.bound) for f in value.factors)
                return self._edge(Contraction(value.bound), degree, operands, output, place)
            case Reduce():
                return self._reduce(value, place, degree, output)
            case _:
                assert_never(value)

    def _operand(self, value: Expression, place: _Place, targets: tuple[Axis, ...] = ()) -> Operand:
        """An input of an operation: a plain read directly, anything else through a wire."""
        if isinstance(value, Read) and (axes := _plain_axes(value)) is not None:
            own = zip(value.wire.type.axes, axes, strict=True)
            if all(axis is given for axis, given in own if given in targets):
                return _as_operand(value.wire, axes, targets)
        wire = self._value(value, place)
        return _as_operand(wire, wire.type.axes, targets)

    def _read_operands(self, read: Read, place: _Place) -> tuple[Operand, ...]:
        """The array that is read, then the arrays of naturals that its index gathers from."""
        indices = read.indices
        if place.branches:
            indices = tuple(self._safe_index(index, place) for index in indices)
        operands = [Operand(read.wire, tuple(False for _ in indices), indices)]
        operands += [_gathered_operand(each) for each in dict.fromkeys(gathered(indices))]
        return tuple(operands)

    def _safe_index(self, index: Affine, place: _Place) -> Affine:
        """The index with naturals that may be read out of range read by operations of their own."""
        terms = tuple((self._safe_variable(v, place), c) for v, c in index.terms)
        return replace(index, terms=terms)

    def _safe_variable(self, variable: IndexVariable, place: _Place) -> IndexVariable:
        match variable:
            case Floor():
                return Floor(self._safe_index(variable.numerator, place), variable.divisor)
            case Mod():
                return Mod(self._safe_index(variable.numerator, place), variable.divisor)
            case Gathered() if any(index.axis is None for index in variable.indices):
                wire, indices = variable.wire, variable.indices
                axes = tuple(dict.fromkeys(axis for index in indices for axis in index.axes()))
                read = Read(wire, indices, wire.type.kind, axes, place.span)
                held = self._value(read, place)
                return Gathered(held, tuple(plain_index(axis) for axis in held.type.axes))
            case Axis() | Gathered():
                return variable

    def _apply(self, value: Apply, place: _Place, degree: tuple[Axis, ...], output: Wire) -> Wire:
        singular = SINGULAR.get(value.op, ())
        operands = tuple(
            self._safe(argument, place) if i in singular else self._operand(argument, place)
            for i, argument in enumerate(value.arguments)
        )
        return self._edge(Pointwise(value.op), degree, operands, output, place)

    def _apply_diagram(
        self, value: ApplyDiagram, place: _Place, degree: tuple[Axis, ...], output: Wire
    ) -> Wire:
        operands = tuple(self._safe(argument, place) for argument in value.arguments)
        nothing = tuple(() for _ in operands)
        operator = Library(value.callee, None, (), nothing, ((),))
        return self._edge(operator, degree, operands, output, place)

    def _select(self, value: Select, place: _Place, degree: tuple[Axis, ...], output: Wire) -> Wire:
        condition = self._operand(value.condition, place)
        wire = condition.wire
        if condition.reindexing != tuple(plain_index(axis) for axis in wire.type.axes):
            wire = self._value(value.condition, place)
            condition = _as_operand(wire, wire.type.axes, ())
        then = self._operand(value.then, place.within(_Branch(wire, True)))
        otherwise = self._operand(value.otherwise, place.within(_Branch(wire, False)))
        operands = (condition, then, otherwise)
        return self._edge(Pointwise("select"), degree, operands, output, place)

    def _reduce(self, value: Reduce, place: _Place, degree: tuple[Axis, ...], output: Wire) -> Wire:
        inside = place.binding(value.bound)
        if value.op in SINGULAR_REDUCTIONS:
            operand = self._safe(value.body, inside, value.bound)
        else:
            operand = self._operand(value.body, inside, value.bound)
        operator = Reduction(value.op, value.bound, value.initial)
        return self._edge(operator, degree, (operand,), output, place)

    def _safe(self, value: Expression, place: _Place, targets: tuple[Axis, ...] = ()) -> Operand:
        """An operand that is 1 wherever a branch round it is not chosen."""
        operand = self._operand(value, place, targets)
        if not place.branches or not _reads_data(value):
            return operand
        current = self._as_wire(operand, value, place)
        for branch in reversed(place.branches):
            if branch.hidden:
                continue
            axes = tuple(dict.fromkeys((*branch.condition.type.axes, *current.type.axes)))
            degree = place.ordered(axes)
            one = self._value(Constant(1.0, current.type.kind), place)
            parts = (current, one) if branch.holds else (one, current)
            operands = tuple(
                _as_operand(wire, wire.type.axes, ()) for wire in (branch.condition, *parts)
            )
            output = self._wire(degree, current.type.kind, place.span)
            current = self._edge(Pointwise("select"), degree, operands, output, place)
        return _as_operand(current, current.type.axes, targets)

    def _as_wire(self, operand: Operand, value: Expression, place: _Place) -> Wire:
        """The wire that holds exactly the operand's value, axis by axis."""
        axes = operand.wire.type.axes
        if isinstance(value, Read) and operand.wire is value.wire and _plain_axes(value) != axes:
            return self._value(value, place)
        return operand.wire


def _as_operand(wire: Wire, axes: tuple[Axis, ...], targets: tuple[Axis, ...]) -> Operand:
    """A wire read at plain axes, of which some are targets."""
    weave = tuple(axis in targets for axis in axes)
    return Operand(wire, weave, tuple(plain_index(axis) for axis in axes if axis not in targets))


def _whole(wire: Wire) -> Operand:
    """A wire of which every axis is a target."""
    return Operand(wire, tuple(True for _ in wire.type.axes), ())


def _gathered_operand(gathered: Gathered) -> Operand:
    weave = tuple(False for _ in gathered.wire.type.axes)
    return Operand(gathered.wire, weave, gathered.indices)


def _targets(weave: tuple[Axis | None, ...]) -> tuple[Axis, ...]:
    return tuple(formal for formal in weave if formal is not None)


def _plain_axes(read: Read) -> tuple[Axis, ...] | None:
    """The axes of a read whose indices are plain and distinct, else None."""
    axes = [index.axis for index in read.indices]
    found = tuple(axis for axis in axes if axis is not None)
    if len(found) < len(axes) or len(set(found)) < len(found):
        return None
    return found


def _reads_data(value: Expression) -> bool:
    """Whether a value depends on an array, not only on sizes and indices."""
    match value:
        case Read():
            return True
        case Apply() | ApplyDiagram():
            return any(_reads_data(argument) for argument in value.arguments)
        case Select():
            return any(_reads_data(e) for e in (value.condition, value.then, value.otherwise))
        case Contract():
            return any(_reads_data(factor) for factor in value.factors)
        case Reduce():
            return _reads_data(value.body)
        case Constant() | SizeValue() | IndexValue():
            return False
        case _:
            assert_never(value)
