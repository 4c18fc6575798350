"""What the tests of the checker ask of a checked program, in the words of the language."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import (
    CheckedDiagram,
    CheckedProgram,
    Define,
    Invoke,
    walk,
)
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Source

PROJECT = Project()


def check(text: str, **overrides: int | float) -> tuple[CheckedProgram, tuple[Diagnostic, ...]]:
    """A text checked as a file of its own, beside the standard library."""
    return check_source(Source("test.ncd", text), PROJECT.find, overrides)


def program(text: str, **overrides: int | float) -> CheckedProgram:
    """The checked program of a text without mistakes."""
    checked, found = check(text, **overrides)
    assert not found, [f"{d.code} {d.span} {d.message}" for d in found]
    return checked


def diagram(text: str, name: str = "f", **overrides: int | float) -> CheckedDiagram:
    """One checked diagram of a text without mistakes."""
    found = program(text, **overrides).diagram(name)
    assert found is not None
    return found


def messages(text: str, **overrides: int | float) -> list[str]:
    """What is wrong with a text, as `NCD2001 there is no ...`."""
    return [f"{d.code} {d.message}" for d in check(text, **overrides)[1]]


def wires(checked: CheckedDiagram) -> dict[str, str]:
    """The types of the inputs, the parameters, all named wires, and the results as `return`."""
    named = {wire.name: str(wire.type) for wire in all_wires(checked) if wire.name[0] != "_"}
    return named | {"return": ", ".join(str(wire.type) for wire in checked.results)}


def all_wires(checked: CheckedDiagram) -> Iterator[Wire]:
    """Every wire of a diagram."""
    yield from checked.parameters
    yield from (learned.wire for learned in checked.learned)
    for step in walk(checked.steps):
        match step:
            case Define():
                yield step.wire
            case Invoke():
                yield from step.results
    yield from checked.results


def sizes(checked: CheckedDiagram) -> dict[str, str]:
    """The size of every named axis, where it is more than its own unknown."""
    axes: dict[Axis, None] = {}
    for wire in all_wires(checked):
        for axis in wire.type.axes:
            axes.update(dict.fromkeys(axis.atoms))
    axes.update(dict.fromkeys(checked.axes))
    return {a.name: str(a.size) for a in axes if str(a.size) != f"size({a.name})"}


def requirements(checked: CheckedDiagram) -> list[str]:
    """What callers and the emitted code have to see to: `size(i) == size(j)`."""
    return [f"{r.left} {r.op} {r.right}" for r in checked.requirements]


def calls(checked: CheckedDiagram) -> list[Invoke]:
    """The calls of a diagram, in order."""
    return [step for step in walk(checked.steps) if isinstance(step, Invoke)]


def lifted(call: Invoke) -> str:
    """The axes that a call is broadcast over."""
    return " ".join(str(axis) for axis in call.lifted)


def free(checked: CheckedDiagram) -> list[str]:
    """The free axes, with their defaults."""
    return [f"{f.axis}" if f.default is None else f"{f.axis} = {f.default}" for f in checked.free]
