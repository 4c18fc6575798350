"""A whole Python file: a class for every diagram that is used, and the helpers they need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Symbol

from .classes import ClassWriter
from .helpers import SOURCES, sources_of
from .names import GLOBALS, Scope, class_name, comment
from .planning import Lower, Plan, make_plans
from .ready import ready_made

_PLACEHOLDER = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Emitted:
    """The text of a module, and the name of the class of the diagram that was asked for."""

    text: str
    class_name: str


@dataclass(slots=True)
class _File:
    """Collects the classes and helpers of one file."""

    plans: dict[CheckedDiagram, Plan]
    names: dict[CheckedDiagram, str] = field(default_factory=dict[CheckedDiagram, str])
    sizes: dict[CheckedDiagram, Mapping[Symbol, str]] = field(
        default_factory=dict[CheckedDiagram, Mapping[Symbol, str]]
    )
    texts: dict[str, str] = field(default_factory=dict[str, str])
    scope: Scope = field(default_factory=lambda: Scope({*GLOBALS, *SOURCES}))

    def helper(self, name: str) -> str:
        """A helper function under its name; the file gets those that its classes call."""
        return name

    def taken(self) -> frozenset[str]:
        """The names that methods may refer to."""
        return frozenset(SOURCES)

    def class_of(self, diagram: CheckedDiagram) -> str:
        """The class of a diagram; a ready-made one is written when it is first asked for."""
        if diagram not in self.names:
            ready = ready_made(diagram)
            assert ready is not None
            text = ready.source.strip().format(name=_PLACEHOLDER, label=diagram.name)
            self._keep(diagram, text)
        return self.names[diagram]

    def names_of(self, diagram: CheckedDiagram) -> Mapping[Symbol, str]:
        """How the class of a diagram calls its sizes."""
        return self.sizes[diagram]

    def plan_of(self, diagram: CheckedDiagram) -> Plan | None:
        """The plan of a diagram, None for a ready-made one."""
        return self.plans.get(diagram)

    def add(self, diagram: CheckedDiagram, defaults: Mapping[Symbol, int]) -> None:
        """Write the class of a diagram whose callees are written."""
        writer = ClassWriter(self.plans[diagram], self, defaults)
        self.sizes[diagram] = writer.sizes
        self._keep(diagram, "\n".join(writer.write(_PLACEHOLDER)))

    def _keep(self, diagram: CheckedDiagram, text: str) -> None:
        """Classes with the same text are one class."""
        wanted = class_name(diagram.name)
        for name, known in self.texts.items():
            if known == text and re.fullmatch(rf"{re.escape(wanted)}(_\d+)?", name):
                self.names[diagram] = name
                return
        name = self.scope.claim_numbered(wanted)
        self.names[diagram] = name
        self.texts[name] = text


def emit_module(
    diagram: CheckedDiagram, title: str, sizes: Mapping[str, int], lower: Lower
) -> Emitted:
    """The Python file of a diagram. `sizes` gives sizes of its axes by name."""
    given = {symbol: sizes[symbol.name] for symbol in diagram.unknowns if symbol.name in sizes}
    plans = make_plans(diagram, tuple(given), lower)
    file = _File({plan.diagram: plan for plan in plans})
    for plan in plans:
        file.add(plan.diagram, given if plan.diagram is diagram else {})
    classes = [text.replace(_PLACEHOLDER, name) for name, text in file.texts.items()]
    # An expression that asked for a helper may have been simplified away.
    body = "\n\n\n".join([*sources_of("\n".join(classes)), *classes])
    header = f"# Emitted by ncdc from {comment(title)}, diagram {comment(diagram.name)}."
    text = f"{header}\n\n{_imports(body)}\n\n\n{body}\n"
    return Emitted(text, file.names[diagram])


def _imports(body: str) -> str:
    """The imports that the text uses; annotations stay unevaluated on every version of Python."""
    lines = ["from __future__ import annotations", ""]
    if re.search(r"\bmath\.", body):
        lines += ["import math", ""]
    lines.append("import torch")
    lines.append("from torch import Tensor, nn")
    if re.search(r"\bF\.", body):
        lines.insert(-1, "import torch.nn.functional as F")
    return "\n".join(lines)
