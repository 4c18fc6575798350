"""Whether the records of a checked diagram fit together, as those that the checker makes do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

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
    made_by,
    walk,
)
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, Mod, Wire

Weaves = tuple[tuple[Axis | None, ...], ...]


def misfit(diagram: CheckedDiagram) -> str | None:
    """What does not fit in a diagram whose callees do, in words; None if all does."""
    return next(_misfits(diagram), None)


def _misfits(diagram: CheckedDiagram) -> Iterator[str]:
    known = {*diagram.parameters, *(learned.wire for learned in diagram.learned)}
    yield from _sizes(diagram, known)
    for step in diagram.steps:
        yield from _step(diagram, step, known)
    if diagram.primitive:
        return
    for wire in diagram.results:
        if wire not in known:
            yield f"the result `{wire.name}` is not made"


def _sizes(diagram: CheckedDiagram, first: set[Wire]) -> Iterator[str]:
    """The sizes of all wires are made of those that a use supplies."""
    made = [wire for step in walk(diagram.steps) for wire in made_by(step)]
    for wire in (*first, *made, *diagram.results):
        sizes = [axis.size for axis in wire.type.axes]
        bound = wire.type.kind.bound
        for size in (*sizes, *([bound] if bound is not None else [])):
            for symbol in sorted(size.symbols() - set(diagram.unknowns)):
                yield f"nothing gives size({symbol.name}) of `{wire.name}`"
    if not set(diagram.needed) <= set(diagram.unknowns):
        yield "a size that is needed is not one of the unknown ones"


def _step(diagram: CheckedDiagram, step: Step, known: set[Wire]) -> Iterator[str]:
    match step:
        case BlockStep():
            for inner in step.steps:
                yield from _step(diagram, inner, known)
        case Recurrence():
            known |= {wire for inner in step.steps for wire in made_by(inner)}
            for inner in step.steps:
                if any(step.axis not in _atoms(wire.type.axes) for wire in made_by(inner)):
                    yield f"a wire of the recurrence lacks `{step.axis}`"
                yield from _step(diagram, inner, known)
        case Define():
            yield from _expression(step.expression, known, _atoms(step.wire.type.axes))
            known.add(step.wire)
        case Scatter():
            for write in step.writes:
                yield from _indices(step.wire, write.indices, known, frozenset(write.axes))
                yield from _expression(write.expression, known, frozenset(write.axes))
            known.add(step.wire)
        case Invoke():
            yield from _invoke(diagram, step, known)
            known.update(step.results)
        case _:
            assert_never(step)


def _atoms(axes: Sequence[Axis]) -> frozenset[Axis]:
    return frozenset((*axes, *(atom for axis in axes for atom in axis.atoms)))


# ---- calls --------------------------------------------------------------------------------------


def _invoke(diagram: CheckedDiagram, step: Invoke, known: set[Wire]) -> Iterator[str]:
    callee = step.callee
    for wire in step.arguments:
        if wire not in known:
            yield f"`{wire.name}` is read before it is made"
    yield from _woven(step, step.arguments, step.argument_weaves, callee.parameters)
    yield from _woven(step, step.results, step.result_weaves, callee.results)
    carried = _atoms([axis for wire in step.arguments for axis in wire.type.axes])
    if any(not _atoms([axis]) & carried for axis in step.lifted):
        yield f"an axis that `{callee.name}` is lifted over is in no argument"
    if step.instance is None:
        if callee.is_learned:
            yield f"`{callee.name}` has parameters, but is called without an instance"
    elif step.instance not in diagram.instances or step.instance.callee is not callee:
        yield f"`{step.instance.name}` is no instance of `{callee.name}` here"


def _woven(
    step: Invoke, wires: Sequence[Wire], weaves: Weaves, formals: Sequence[Wire]
) -> Iterator[str]:
    name = step.callee.name
    if not len(wires) == len(weaves) == len(formals):
        yield f"a call of `{name}` has another number of wires than `{name}`"
        return
    lifted = {axis.atoms for axis in step.lifted}
    for wire, weave, formal in zip(wires, weaves, formals, strict=True):
        if len(weave) != len(wire.type.axes):
            yield f"the weave of `{wire.name}` is not as long as its axes"
            continue
        targets = [target for target in weave if target is not None]
        if len(set(targets)) < len(targets) or set(targets) != set(formal.type.axes):
            yield f"the weave of `{wire.name}` does not have the axes of `{formal.name}`"
        for axis, target in zip(wire.type.axes, weave, strict=True):
            if target is None and axis.atoms not in lifted:
                yield f"`{name}` is not lifted over `{axis}` of `{wire.name}`"


# ---- expressions --------------------------------------------------------------------------------


def _expression(value: Expression, known: set[Wire], axes: frozenset[Axis]) -> Iterator[str]:
    """`axes` are those that the place of the value has."""
    match value:
        case Constant() | SizeValue():
            pass
        case IndexValue():
            if value.axis not in axes:
                yield f"the index along `{value.axis}` is read where there is no such axis"
        case Read():
            yield from _indices(value.wire, value.indices, known, axes)
            if value.wire not in known:
                yield f"`{value.wire.name}` is read before it is made"
        case Apply():
            for argument in value.arguments:
                yield from _expression(argument, known, axes)
        case ApplyDiagram():
            if len(value.arguments) != len(value.callee.parameters):
                yield f"`{value.callee.name}` has another number of inputs"
            for argument in value.arguments:
                yield from _expression(argument, known, axes)
        case Select():
            for part in (value.condition, value.then, value.otherwise):
                yield from _expression(part, known, axes)
        case Contract():
            for factor in value.factors:
                yield from _expression(factor, known, axes | _atoms(value.bound))
        case Reduce():
            yield from _expression(value.body, known, axes | _atoms(value.bound))
        case _:
            assert_never(value)


def _indices(
    wire: Wire, indices: Sequence[Affine], known: set[Wire], axes: frozenset[Axis]
) -> Iterator[str]:
    if len(indices) != len(wire.type.axes):
        yield f"`{wire.name}` has {len(wire.type.axes)} axes, but {len(indices)} indices"
    for index in indices:
        yield from _index(index, known, axes)


def _index(index: Affine, known: set[Wire], axes: frozenset[Axis]) -> Iterator[str]:
    for variable, _ in index.terms:
        match variable:
            case Axis():
                if variable not in axes:
                    yield f"`{variable}` is an index where there is no such axis"
            case Gathered():
                if variable.wire not in known:
                    yield f"`{variable.wire.name}` is read before it is made"
                yield from _indices(variable.wire, variable.indices, known, axes)
            case Floor() | Mod():
                if variable.divisor < 1:
                    yield "an index is divided by a number below 1"
                yield from _index(variable.numerator, known, axes)
            case _:
                assert_never(variable)
