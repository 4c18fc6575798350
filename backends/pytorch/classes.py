"""One diagram as the text of one `nn.Module` class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ncdlang.ir.diagram import Library
from ncdlang.semantics.program import CheckedDiagram, Instance, Learned, signature
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Wire

from .checks import Checks
from .code import Code
from .forward import Method, write_body
from .initial import initialiser
from .lines import INDENT, statement
from .names import BUILTINS, GLOBALS, MODULE_ATTRIBUTES, Scope, attribute_names, docstring
from .nodes import FORMATS
from .orders import choose
from .planning import Binding, Plan
from .ready import ready_made
from .sizes import size_code

Position = tuple[int, ...]


class Module(Protocol):
    """What a class needs of the file that it stands in."""

    def helper(self, name: str) -> str:
        """The name of a helper function, which is then written into the file."""
        ...

    def taken(self) -> frozenset[str]:
        """The names of helpers."""
        ...

    def class_of(self, diagram: CheckedDiagram) -> str:
        """The name of the class of a diagram."""
        ...

    def names_of(self, diagram: CheckedDiagram) -> Mapping[Symbol, str]:
        """How the class of a diagram calls the sizes that it takes."""
        ...

    def plan_of(self, diagram: CheckedDiagram) -> Plan | None:
        """The plan of a diagram that has a class of its own."""
        ...


@dataclass(slots=True)
class ClassWriter:
    """Writes one class. `defaults` are the sizes that are given for it."""

    plan: Plan
    module: Module
    defaults: Mapping[Symbol, int]
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    sizes: dict[Symbol, str] = field(default_factory=dict[Symbol, str])
    children: dict[tuple[CheckedDiagram, str], str] = field(
        default_factory=dict[tuple[CheckedDiagram, str], str]
    )
    deferred: dict[Symbol, Size] = field(default_factory=dict[Symbol, Size])
    anchored: str = ""
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        diagram = self.plan.diagram
        self.attributes = attribute_names(diagram)
        taken = {*MODULE_ATTRIBUTES, *GLOBALS, *BUILTINS, "self", *self.attributes.values()}
        self.scope = Scope(taken)
        for symbol in self.plan.layout.built:
            self.sizes[symbol] = self.scope.claim(symbol.name)
        self.deferred = {
            symbol: default
            for symbol in self.plan.built
            if (default := self._default(symbol)) is not None
            and not default.symbols() <= frozenset(self.plan.built)
        }

    # ---- the Owner of the method ----------------------------------------------------------------

    def parameter(self, wire: Wire) -> str:
        """The attribute of a raw parameter."""
        return f"self.{self.attributes[wire.name]}"

    def built_size(self, symbol: Symbol) -> str:
        """The attribute of a size that the constructor takes."""
        return f"self.{self.sizes[symbol]}"

    def submodule(self, operator: Library) -> str:
        """The attribute of the module that a call calls: an instance, or one without state."""
        if operator.instance is not None:
            return f"self.{self._instance(operator.instance)}"
        callee = operator.callee
        arguments = self._arguments(callee, operator.binding)
        key = (callee, arguments)
        if key not in self.children:
            self.children[key] = self.scope.claim_numbered(callee.name)
        return f"self.{self.children[key]}"

    def late_sizes(self, operator: Library) -> list[tuple[str, Size]]:
        """Sizes that the callee wants with every call."""
        bound = dict(operator.binding)
        ready = ready_made(operator.callee)
        if ready is not None and ready.late is not None:
            wanted = ready.late(operator.callee)
            return [(name, size.substitute(bound)) for name, size in wanted]
        plan = self.module.plan_of(operator.callee)
        if plan is None:
            return []
        names = self.module.names_of(operator.callee)
        late = [symbol for symbol in plan.layout.built if symbol in plan.late]
        return [(names[symbol], bound.get(symbol, Size.of(symbol))) for symbol in late]

    def helper(self, name: str) -> str:
        """A helper function of the file."""
        return self.module.helper(name)

    def taken(self) -> frozenset[str]:
        """Names that local variables must not hide."""
        return self.module.taken()

    def anchor(self) -> str:
        """A buffer that follows the module's dtype and device."""
        if not self.anchored:
            self.anchored = self.scope.claim("like")
        return f"self.{self.anchored}"

    # ---- text -----------------------------------------------------------------------------------

    def write(self, name: str) -> list[str]:
        """The lines of the class."""
        diagram = self.plan.diagram
        method = write_body(self.plan, self)
        checks = Checks(self.plan, method)
        other = self._other(method)
        forward = [*self._forward(method, checks), *other]
        reset = self._reset()
        doc = "\n\n".join(part for part in (diagram.doc.strip(), signature(diagram)) if part)
        return [
            f"class {name}(nn.Module):",
            *docstring(doc, "    "),
            "",
            *self._constructor(checks, "\n".join([*forward, *reset])),
            *reset,
            *forward,
        ]

    def _forward(self, method: Method, checks: Checks) -> list[str]:
        body = method.body()
        return [*self._signature("forward", method), *checks.preamble(), *body]

    def _late(self) -> list[str]:
        return [self.sizes[s] for s in self.plan.layout.built if s in self.plan.late]

    def _signature(self, name: str, method: Method) -> list[str]:
        late = self._late()
        inputs = [f"{name}: Tensor" for name in method.inputs.values()]
        keywords = ["*", *(f"{name}: int" for name in late)] if late else []
        count = len(self.plan.graph.outputs)
        returned = "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
        return _head(f"def {name}({', '.join(['self', *inputs, *keywords])}) -> {returned}:")

    def _other(self, method: Method) -> list[str]:
        """A second method with the sums in another order, which `forward` calls where it pays."""
        other = self.plan.other
        if other is None:
            return []
        name = self.scope.claim_numbered("reordered")
        arguments = [*method.inputs.values(), *(f"{late}={late}" for late in self._late())]
        choose(method, other, f"self.{name}({', '.join(arguments)})")
        body = write_body(other.plan, self)
        sizes = Checks(other.plan, body).sizes()
        doc = '        """The same sums in an order that takes fewer operations for some sizes."""'
        return ["", *self._signature(name, body), doc, *sizes, *body.body()]

    def _constructor(self, checks: Checks, methods: str) -> list[str]:
        plan = self.plan
        body: list[str] = []
        defaulted = [line for symbol in plan.built for line in self._default_line(symbol)]
        body += checks.early(self._early_size)
        for learned in plan.graph.learned:
            body += self._parameter_lines(learned)
        body += self._instances()
        for (callee, arguments), attribute in self.children.items():
            made = f"{self.module.class_of(callee)}({arguments})"
            body += statement(f"self.{attribute} = {made}", INDENT)
        if self.anchored:
            body.append(
                f"{INDENT}# Follows the module's dtype and device; it is no part of its state."
            )
            line = f'self.register_buffer("{self.anchored}", torch.empty(0), persistent=False)'
            body += statement(line, INDENT)
        if plan.graph.learned:
            body.append(f"{INDENT}self.reset_parameters()")
        stored = [s for s in plan.built if _mentions(methods + "\n".join(body), self.built_size(s))]
        lines = [f"{INDENT}{self.built_size(s)} = {self.sizes[s]}" for s in stored]
        arguments = [self._argument(symbol) for symbol in plan.built]
        if not (lines or body or arguments):
            return []
        parameters = ", ".join(["self", *(["*", *arguments] if arguments else [])])
        head = f"def __init__({parameters}) -> None:"
        return [*_head(head), f"{INDENT}super().__init__()", *defaulted, *lines, *body, ""]

    def _reset(self) -> list[str]:
        """Initialises the raw parameters; instances do it themselves."""
        learned = self.plan.graph.learned
        if not learned:
            return []
        lines = ["    def reset_parameters(self) -> None:"]
        for parameter in learned:
            target = self.parameter(parameter.wire)
            added = initialiser(parameter, learned, target, self._written)
            bounds = [line for line in lines if line.lstrip().startswith("bound = ")]
            lines += added[1:] if bounds and added[0] == bounds[-1] else added
        return [*lines, ""]

    # ---- sizes ----------------------------------------------------------------------------------

    def _default(self, symbol: Symbol) -> Size | None:
        if symbol in self.defaults:
            return Size({(): self.defaults[symbol]})
        for free in self.plan.diagram.free:
            if free.axis.symbol == symbol:
                return free.default
        return None

    def _argument(self, symbol: Symbol) -> str:
        name, default = self.sizes[symbol], self._default(symbol)
        if default is None:
            return f"{name}: int"
        if default.value is None:
            return f"{name}: int | None = None"
        return f"{name}: int = {default.value}"

    def _default_line(self, symbol: Symbol) -> list[str]:
        """A default that is made of other sizes."""
        default = self._default(symbol)
        if default is None or default.value is not None or symbol in self.deferred:
            return []
        name = self.sizes[symbol]
        return [f"{INDENT}{name} = {self._early_size(default).text} if {name} is None else {name}"]

    def _early_size(self, size: Size) -> Code:
        """A size in the names of the constructor's arguments."""
        return size_code(size, lambda symbol: Code(self.sizes[symbol]))

    def _written(self, size: Size) -> Code:
        """A size in the names of the module's attributes."""
        return size_code(size, lambda symbol: Code(self.built_size(symbol)))

    # ---- parameters and submodules --------------------------------------------------------------

    def _parameter_lines(self, learned: Learned) -> list[str]:
        shape = ", ".join(self._early_size(axis.size).text for axis in learned.wire.type.axes)
        kind = learned.wire.type.kind
        dtype = f", dtype=torch.{FORMATS[kind.format]}" if kind.format in FORMATS else ""
        made = f"torch.empty({shape or '()'}{dtype})"
        name = self.attributes[learned.wire.name]
        axes = " ".join(str(axis) for axis in learned.wire.type.axes)
        if learned.frozen:
            return statement(f'self.register_buffer("{name}", {made})', INDENT, f"[{axes}]")
        return statement(f"self.{name} = nn.Parameter({made})", INDENT, f"[{axes}]")

    def _instances(self) -> list[str]:
        """Instances under their names; `layer.0`, `layer.1`, ... become a list."""
        made: dict[str, list[tuple[list[str], str]]] = {}
        for instance in self.plan.diagram.instances:
            stem, *path = instance.name.split(".")
            text = self._made(instance.callee, instance.binding)
            made.setdefault(stem, []).append((path, text))
        lines: list[str] = []
        for stem, parts in made.items():
            lines += statement(f"self.{self.attributes[stem]} = {_nested(parts)}", INDENT)
        return lines

    def _instance(self, instance: Instance) -> str:
        stem, *path = instance.name.split(".")
        places = (part if part.isdigit() else f'"{part}"' for part in path)
        return self.attributes[stem] + "".join(f"[{place}]" for place in places)

    def _made(self, callee: CheckedDiagram, binding: Binding) -> str:
        return f"{self.module.class_of(callee)}({self._arguments(callee, binding)})"

    def _arguments(self, callee: CheckedDiagram, binding: Binding) -> str:
        """The sizes that a callee's constructor gets."""
        bound = dict(binding)

        def write(size: Size) -> str:
            return self._early_size(size.substitute(bound)).text

        ready = ready_made(callee)
        if ready is not None:
            return ready.arguments(callee, write)
        plan = self.module.plan_of(callee)
        assert plan is not None
        names = self.module.names_of(callee)
        return ", ".join(f"{names[s]}={write(Size.of(s))}" for s in plan.built)


def _nested(parts: list[tuple[list[str], str]]) -> str:
    """What holds modules by the rest of their names: itself, a list of copies, or by names."""
    if not parts[0][0]:
        return parts[0][1]
    inner: dict[str, list[tuple[list[str], str]]] = {}
    for (first, *rest), text in parts:
        inner.setdefault(first, []).append((rest, text))
    made = {name: _nested(held) for name, held in inner.items()}
    if all(name.isdigit() for name in made):
        return f"nn.ModuleList({_copies(list(made.values()))})"
    entries = ", ".join(f'"{name}": {text}' for name, text in made.items())
    return f"nn.ModuleDict({{{entries}}})"


def _copies(made: list[str]) -> str:
    """The modules of a stack: a loop if they are built alike."""
    if len(made) > 1 and len(set(made)) == 1:
        return f"{made[0]} for _ in range({len(made)})"
    return f"[{', '.join(made)}]"


def _head(text: str) -> list[str]:
    """A `def` line, one argument a line if it is too long."""
    return statement(text, "    ")


def _mentions(text: str, attribute: str) -> bool:
    return re.search(rf"{re.escape(attribute)}\b", text) is not None
