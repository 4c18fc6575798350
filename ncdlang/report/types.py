"""The types of a checked diagram, for `ncdc check --types`."""

from __future__ import annotations

from ncdlang.semantics.naming import Names, is_anonymous
from ncdlang.semantics.program import CheckedDiagram, Define, walk
from ncdlang.semantics.text import axis_sizes, header, learned_text
from ncdlang.semantics.types import Wire


def render_types(diagram: CheckedDiagram) -> str:
    """The signature of a diagram, then what it learns, its named wires and its sizes."""
    names = Names()
    head = header(diagram, names).removeprefix("diagram ")
    lines = [learned_text(parameter, names) for parameter in diagram.learned]
    lines += [f"learn {instance.name}: {instance.callee.name}" for instance in diagram.instances]
    lines += [names.typed(wire) for wire in _wires(diagram) if not is_anonymous(wire)]
    lines += axis_sizes(names)
    return "\n  ".join([head, *lines]) + "\n"


def _wires(diagram: CheckedDiagram) -> tuple[Wire, ...]:
    made: dict[Wire, None] = {}
    for step in walk(diagram.steps):
        made.update(dict.fromkeys([step.wire] if isinstance(step, Define) else step.results))
    return tuple(made)
