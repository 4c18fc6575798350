"""The types of a checked diagram, for `ncdc check --types`."""

from __future__ import annotations

from ncdlang.semantics.naming import Names, is_anonymous
from ncdlang.semantics.program import CheckedDiagram, Instance, made_by, signature, walk
from ncdlang.semantics.text import axis_sizes, learned_text
from ncdlang.semantics.types import Wire


def render_types(diagram: CheckedDiagram) -> str:
    """The signature of a diagram, then what it learns, its named wires and its sizes."""
    names = Names()
    for wire in diagram.parameters:
        names.typed(wire)
    lines = [learned_text(parameter, names) for parameter in diagram.learned]
    lines += map(_instance, diagram.instances)
    lines += [names.typed(wire) for wire in _wires(diagram) if not is_anonymous(wire)]
    lines += axis_sizes(names)
    return "\n  ".join([signature(diagram), *lines]) + "\n"


def _instance(instance: Instance) -> str:
    """`learn Lq: linear ([m] -> [h k])`, the type in the names of what it is an instance of."""
    inputs = ", ".join(str(wire.type) for wire in instance.callee.parameters)
    results = ", ".join(str(wire.type) for wire in instance.callee.results)
    return f"learn {instance.name}: {instance.callee.name} ({inputs} -> {results})"


def _wires(diagram: CheckedDiagram) -> tuple[Wire, ...]:
    made: dict[Wire, None] = {}
    for step in walk(diagram.steps):
        made.update(dict.fromkeys(made_by(step)))
    return tuple(made)
