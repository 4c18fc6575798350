"""Calls opened: the equations of a diagram and of all that it calls, as one list.

What is called keeps its equations, with the caller's axes in place of its own and the axes that
the call is lifted over in front. An `op` has no equations and stays a call; so does a diagram
with a gradient of its own (see `rules`), whose whole is simpler than its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from ncdlang.gradients.error import GradientError
from ncdlang.gradients.inside import equation, reduction
from ncdlang.gradients.rewriting import Change
from ncdlang.gradients.terms import atoms, read, reads, row_major, written_from
from ncdlang.records import record, replace
from ncdlang.semantics.program import (
    BlockStep,
    CheckedDiagram,
    Define,
    Invoke,
    Learned,
    Recurrence,
    Requirement,
    Scatter,
    Step,
    Write,
    made_by,
    walk,
)
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, ArrayType, Axis, Kind, Wire

Flat: TypeAlias = Define | Invoke | Scatter | Recurrence


@record(eq=False)
class Opened:
    """A diagram without calls of diagrams. `learned` has every parameter with its full name."""

    diagram: CheckedDiagram
    learned: tuple[Learned, ...]
    steps: tuple[Flat, ...]
    results: tuple[Wire, ...]
    requirements: tuple[Requirement, ...]


def opened(diagram: CheckedDiagram, closed: frozenset[str]) -> Opened:
    """The diagram with all its calls opened but those of the names in `closed`.

    Raises GradientError for a recurrence inside another.
    """
    opening = _Opening(closed, diagram.axes)
    scope = _Scope.top(opening.named)
    for parameter in diagram.learned:
        opening.learned[parameter.wire.name] = parameter
    steps = tuple(opening.steps(diagram.steps, scope))
    results = tuple(scope.images[w].wire if w in scope.images else w for w in diagram.results)
    requirements = [*diagram.requirements, *opening.requirements]
    learned = tuple(opening.learned.values())
    return Opened(diagram, learned, steps, results, tuple(requirements))


def key(callee: CheckedDiagram) -> str:
    """The full name of a diagram of the standard library: `std.prelude.softmax`."""
    return f"{callee.library}.{callee.name}"


@record(eq=False)
class _Image:
    """Where a wire of a callee is found: `places` has an axis or a place in its coordinates."""

    wire: Wire
    places: tuple[int | Axis, ...]


class _Scope:
    """What the names of one callee mean in the diagram that is opened."""

    def __init__(
        self, path: str, sizes: Mapping[Symbol, Size], named: Mapping[Symbol, Axis]
    ) -> None:
        self.path = path
        self.sizes = sizes
        self.named = named
        self.axes: dict[Axis, Axis] = {}
        self.taken: set[Axis] = set()
        self.images: dict[Wire, _Image] = {}
        self.lifts: dict[Wire, tuple[Axis, ...]] = {}
        self.is_top = False

    @staticmethod
    def top(named: Mapping[Symbol, Axis]) -> _Scope:
        """The scope in which everything means itself."""
        scope = _Scope("", {}, named)
        scope.is_top = True
        return scope

    def axis(self, axis: Axis) -> Axis:
        """The axis that stands for one of the callee's."""
        if self.is_top:
            return axis
        found = self.axes.get(axis)
        if found is None:
            if axis.parts:
                parts = tuple(self.axis(part) for part in axis.parts)
                found = Axis(axis.name, axis.size.substitute(self.sizes), parts)
            else:
                found = self._own(axis)
            self.axes[axis] = found
            self.taken.update(found.atoms)
        return found

    def _own(self, axis: Axis) -> Axis:
        """The axis of the whole diagram that has this size, or a new one."""
        made = Axis(axis.name, axis.size.substitute(self.sizes))
        known = self.named.get(made.symbol) if made.symbol is not None else None
        return made if known is None or known in self.taken else known

    def bind(self, formal: Axis, actual: Axis) -> None:
        """Let an axis of the callee be one of the caller, if it is free to be."""
        if formal in self.axes:
            return
        if formal.parts:
            if len(formal.parts) == len(actual.parts):
                for inner, outer in zip(formal.parts, actual.parts, strict=True):
                    self.bind(inner, outer)
            return
        if actual.parts or actual in self.taken:
            self.axis(formal)
            return
        self.axes[formal] = actual
        self.taken.add(actual)

    def kind(self, kind: Kind) -> Kind:
        """The kind of entries, with the caller's sizes."""
        if self.is_top or (kind.bound is None and kind.bound_axis is None):
            return kind
        bound = kind.bound.substitute(self.sizes) if kind.bound is not None else None
        axis = self.axis(kind.bound_axis) if kind.bound_axis is not None else None
        return Kind(kind.name, kind.format, bound, axis)

    def wire(self, wire: Wire, lifts: tuple[Axis, ...]) -> Wire:
        """A new wire that stands for one of the callee, with lifted axes in front."""
        axes = (*lifts, *(self.axis(axis) for axis in wire.type.axes))
        made = Wire(wire.name, ArrayType(axes, self.kind(wire.type.kind)), wire.span)
        self.put(wire, made, lifts)
        return made

    def put(self, wire: Wire, made: Wire, lifts: tuple[Axis, ...]) -> None:
        """Let a wire of the callee be one that has its axes and lifted ones, in any order."""
        own = {self.axis(axis): place for place, axis in enumerate(wire.type.axes)}
        places = tuple(own.get(axis, axis) for axis in made.type.axes)
        self.images[wire] = _Image(made, places)
        self.lifts[wire] = lifts

    def moved(self, wire: Wire, indices: tuple[Affine, ...]) -> tuple[Wire, tuple[Affine, ...]]:
        """A read of a callee's wire as a read in the diagram that is opened."""
        image = self.images.get(wire)
        if image is None:
            return wire, indices
        found = (
            indices[place] if isinstance(place, int) else row_major(place) for place in image.places
        )
        return image.wire, tuple(found)

    @property
    def change(self) -> Change:
        """The rewriting of the callee's expressions."""
        if self.is_top:
            return Change(moved=self.moved)
        return Change(_Indices(self), self.sizes, self.moved)


class _Indices(Mapping[Axis, Affine]):
    """The coordinates that stand for the axes of a callee."""

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    def __getitem__(self, axis: Axis) -> Affine:
        return row_major(self._scope.axis(axis))

    def __iter__(self) -> Iterator[Axis]:
        return iter(self._scope.axes)

    def __len__(self) -> int:
        return len(self._scope.axes)


class _Opening:
    """Opens the steps of one diagram."""

    def __init__(self, closed: frozenset[str], axes: tuple[Axis, ...]) -> None:
        self._closed = closed
        self.named = {a.symbol: a for a in atoms(axes) if a.symbol is not None}
        self.learned: dict[str, Learned] = {}
        self.requirements: list[Requirement] = []
        self._depth = 0

    def steps(self, steps: Iterable[Step], scope: _Scope) -> Iterator[Flat]:
        for step in steps:
            match step:
                case BlockStep():
                    yield from self.steps(step.steps, scope)
                case Define():
                    yield self._define(step, scope)
                case Scatter():
                    yield self._scatter(step, scope)
                case Recurrence():
                    yield from self._recurrence(step, scope)
                case Invoke():
                    yield from self._invoke(step, scope)

    # ---- equations -----------------------------------------------------------------------------

    def _target(self, wire: Wire, needed: Iterable[Wire], scope: _Scope) -> Wire:
        """The wire that an equation defines in the diagram that is opened."""
        if scope.is_top:
            return wire
        lifts = _joined(scope.lifts.get(source, ()) for source in needed)
        image = scope.images.get(wire)
        return image.wire if image is not None else scope.wire(wire, lifts)

    def _define(self, step: Define, scope: _Scope) -> Define:
        wire = self._target(step.wire, reads(step.expression), scope)
        return Define(wire, scope.change.expression(step.expression), step.span)

    def _scatter(self, step: Scatter, scope: _Scope) -> Scatter:
        if scope.is_top:
            change = scope.change
            writes = tuple(
                Write(
                    w.op,
                    tuple(map(change.index, w.indices)),
                    w.axes,
                    change.expression(w.expression),
                    w.span,
                )
                for w in step.writes
            )
            return Scatter(step.wire, writes, step.span)
        needed = [wire for write in step.writes for wire in written_from(write)]
        wire = self._target(step.wire, needed, scope)
        return Scatter(wire, tuple(self._write(w, step, scope) for w in step.writes), step.span)

    def _write(self, write: Write, step: Scatter, scope: _Scope) -> Write:
        change = scope.change
        _, indices = scope.moved(step.wire, tuple(change.index(i) for i in write.indices))
        axes = atoms(axis for index in indices for axis in index.axes())
        return Write(write.op, indices, axes, change.expression(write.expression), write.span)

    def _recurrence(self, step: Recurrence, scope: _Scope) -> Iterator[Flat]:
        made = [wire for inner in walk(step.steps) for wire in made_by(inner)]
        if not scope.is_top:
            lifts = _joined(
                scope.lifts.get(wire, ()) for inner in walk(step.steps) for wire in _needed(inner)
            )
            for wire in made:
                if wire not in scope.images:
                    scope.wire(wire, lifts)
        self._depth += 1
        steps = tuple(self.steps(step.steps, scope))
        self._depth -= 1
        axis = scope.axis(step.axis)
        if self._depth:
            reduced = reduction(axis, steps)
            if reduced is None:
                raise GradientError("a recurrence inside a recurrence has no gradient", step.span)
            yield reduced
            return
        plain = tuple(equation(s) if isinstance(s, Scatter) else s for s in steps)
        inner = tuple(s for s in plain if isinstance(s, Define | Invoke))
        yield Recurrence(axis, step.reverse, inner, step.span)

    # ---- calls ---------------------------------------------------------------------------------

    def _invoke(self, step: Invoke, outer: _Scope) -> Iterator[Flat]:
        callee = step.callee
        if callee.primitive or key(callee) in self._closed:
            yield from self._closed_call(step, outer)
            return
        path = f"{outer.path}{step.instance.name}." if step.instance else outer.path
        sizes = {symbol: outer.change.size(size) for symbol, size in step.binding}
        scope = _Scope(path, sizes, self.named)
        scope.taken.update(atoms(outer.axis(axis) for axis in step.lifted))
        for argument in step.arguments:
            scope.taken.update(atoms(outer.lifts.get(argument, ())))
        for wire, weave in zip(step.arguments, step.argument_weaves, strict=True):
            for formal, actual in zip(weave, wire.type.axes, strict=True):
                if formal is not None:
                    scope.bind(formal, outer.axis(actual))
        for wire, weave in zip(step.results, step.result_weaves, strict=True):
            for formal, actual in zip(weave, wire.type.axes, strict=True):
                if formal is not None:
                    scope.bind(formal, outer.axis(actual))
        for place, parameter in enumerate(callee.parameters):
            self._pass(parameter, step.arguments[place], step.argument_weaves[place], scope, outer)
        self._parameters(callee, scope)
        self.requirements += [
            replace(r, left=scope.change.size(r.left), right=scope.change.size(r.right))
            for r in callee.requirements
        ]
        aliased = self._name_results(step, scope, outer)
        yield from self.steps(callee.steps, scope)
        for place, result in enumerate(callee.results):
            if result not in aliased or aliased[result] != place:
                yield self._copied(step, place, scope, outer)

    def _pass(
        self,
        parameter: Wire,
        argument: Wire,
        weave: tuple[Axis | None, ...],
        scope: _Scope,
        outer: _Scope,
    ) -> None:
        """Let reads of a parameter be reads of its argument."""
        image = outer.images.get(argument)
        own = {formal: place for place, formal in enumerate(parameter.type.axes)}
        slots = tuple(
            own[formal] if formal is not None else outer.axis(actual)
            for formal, actual in zip(weave, argument.type.axes, strict=True)
        )
        if image is None:
            scope.images[parameter] = _Image(argument, slots)
        else:
            places = tuple(slots[p] if isinstance(p, int) else p for p in image.places)
            scope.images[parameter] = _Image(image.wire, places)
        lifted = tuple(slot for slot in slots if isinstance(slot, Axis))
        scope.lifts[parameter] = _joined((lifted, outer.lifts.get(argument, ())))

    def _parameters(self, callee: CheckedDiagram, scope: _Scope) -> None:
        """Let a callee's own parameters be parameters of the whole, one for each instance."""
        for parameter in callee.learned:
            name = scope.path + parameter.wire.name
            known = self.learned.get(name)
            if known is None:
                axes = tuple(_plain(scope.axis(axis)) for axis in parameter.wire.type.axes)
                kind = scope.kind(parameter.wire.type.kind)
                named = Wire(name, ArrayType(axes, kind), parameter.wire.span)
                known = Learned(named, parameter.init, parameter.init_arguments, parameter.frozen)
                self.learned[name] = known
            places = tuple(range(len(parameter.wire.type.axes)))
            scope.images[parameter.wire] = _Image(known.wire, places)
            scope.lifts[parameter.wire] = ()

    def _name_results(self, step: Invoke, scope: _Scope, outer: _Scope) -> dict[Wire, int]:
        """Let results be the caller's wires where these have just their axes."""
        made = {wire for inner in walk(step.callee.steps) for wire in made_by(inner)}
        lifts = self._lifts_of(step.callee.steps, scope)
        aliased: dict[Wire, int] = {}
        for place, (result, wire) in enumerate(zip(step.callee.results, step.results, strict=True)):
            if result not in made or result in aliased:
                continue
            target = self._result_wire(wire, step, outer)
            axes = {*lifts[result], *(scope.axis(axis) for axis in result.type.axes)}
            if axes == set(target.type.axes) and len(axes) == len(target.type.axes):
                scope.put(result, target, lifts[result])
                aliased[result] = place
        return aliased

    def _result_wire(self, wire: Wire, step: Invoke, outer: _Scope) -> Wire:
        if outer.is_top:
            return wire
        image = outer.images.get(wire)
        if image is None:
            lifts = _joined(outer.lifts.get(argument, ()) for argument in step.arguments)
            outer.wire(wire, lifts)
            image = outer.images[wire]
        return image.wire

    def _lifts_of(self, steps: tuple[Step, ...], scope: _Scope) -> dict[Wire, tuple[Axis, ...]]:
        """The lifted axes that every wire of a callee depends on."""
        lifts = dict(scope.lifts)
        for step in steps:
            inner = tuple(walk((step,)))
            together = _joined(lifts.get(w, ()) for part in inner for w in _needed(part))
            if isinstance(step, BlockStep):
                lifts.update(self._lifts_of(step.steps, _with(scope, lifts)))
                continue
            for part in inner:
                for wire in made_by(part):
                    lifts[wire] = together
        return lifts

    def _copied(self, step: Invoke, place: int, scope: _Scope, outer: _Scope) -> Define:
        """The equation that gives a result of a call to the wire of the caller."""
        result, wire = step.callee.results[place], step.results[place]
        target = self._result_wire(wire, step, outer)
        weave = step.result_weaves[place]
        own = {
            formal: row_major(outer.axis(actual))
            for formal, actual in zip(weave, wire.type.axes, strict=True)
            if formal is not None
        }
        source, indices = scope.moved(result, tuple(own[axis] for axis in result.type.axes))
        return Define(target, read(source, indices, step.span), step.span)

    def _closed_call(self, step: Invoke, outer: _Scope) -> Iterator[Flat]:
        """A call that stays one, of wires that have just the axes it speaks of."""
        if outer.is_top:
            yield step
            return
        arguments: list[Wire] = []
        weaves: list[tuple[Axis | None, ...]] = []
        for argument, weave in zip(step.arguments, step.argument_weaves, strict=True):
            formals = {
                outer.axis(axis): formal
                for axis, formal in zip(argument.type.axes, weave, strict=True)
            }
            wire, copy = _as_wire(argument, outer)
            if copy is not None:
                yield copy
            arguments.append(wire)
            weaves.append(tuple(formals.get(axis) for axis in wire.type.axes))
        results: list[Wire] = []
        result_weaves: list[tuple[Axis | None, ...]] = []
        for wire, weave in zip(step.results, step.result_weaves, strict=True):
            formals = {
                outer.axis(axis): formal for axis, formal in zip(wire.type.axes, weave, strict=True)
            }
            target = self._result_wire(wire, step, outer)
            results.append(target)
            result_weaves.append(tuple(formals.get(axis) for axis in target.type.axes))
        lifted = _joined(
            tuple(
                axis for axis, formal in zip(wire.type.axes, weave, strict=True) if formal is None
            )
            for wire, weave in zip(arguments, weaves, strict=True)
        )
        binding = tuple((symbol, outer.change.size(size)) for symbol, size in step.binding)
        yield Invoke(
            tuple(results),
            step.callee,
            step.instance,
            tuple(arguments),
            tuple(weaves),
            tuple(result_weaves),
            lifted,
            binding,
            step.span,
        )


def _plain(axis: Axis) -> Axis:
    """An axis without parts: nothing tells the sizes of the parts of a parameter's axis."""
    if not axis.parts:
        return axis
    return Axis("".join(atom.name for atom in axis.atoms), axis.size)


def _with(scope: _Scope, lifts: dict[Wire, tuple[Axis, ...]]) -> _Scope:
    """A scope that knows more lifted axes, to ask for those of steps inside."""
    inner = _Scope(scope.path, scope.sizes, scope.named)
    inner.lifts = lifts
    return inner


def _as_wire(argument: Wire, scope: _Scope) -> tuple[Wire, Define | None]:
    """A wire with exactly the axes of an argument, and the equation that makes it, if any."""
    image = scope.images.get(argument)
    if image is None:
        return argument, None
    indices = tuple(row_major(scope.axis(axis)) for axis in argument.type.axes)
    wire, at = scope.moved(argument, indices)
    if all(index.axis is axis for index, axis in zip(at, wire.type.axes, strict=True)):
        return wire, None
    own = tuple(scope.axis(axis) for axis in argument.type.axes)
    extra = tuple(axis for axis in scope.lifts.get(argument, ()) if axis not in own)
    kind = scope.kind(argument.type.kind)
    made = Wire(f"{wire.name}", ArrayType((*extra, *own), kind), argument.span)
    return made, Define(made, read(wire, at, argument.span), argument.span)


def _needed(step: Define | Invoke | Scatter) -> Iterator[Wire]:
    """The wires that a step reads."""
    match step:
        case Define():
            yield from reads(step.expression)
        case Invoke():
            yield from step.arguments
        case Scatter():
            for write in step.writes:
                yield from written_from(write)


def _joined(groups: Iterable[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    return tuple(dict.fromkeys(axis for group in groups for axis in group))
