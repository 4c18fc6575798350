"""The checked program as text, for `ncdc ir --stage checked`.

One line for each fact: axes with a size of their own, parameters, instances, requirements, then
the steps with every contraction, conversion and weave written out. In a call `<x>` is an axis
that the callee sees (`<y:x>` when the callee calls it y), any other axis is lifted. The equations
inside `scan[t] { ... }` are evaluated in order for one index along t after another.
"""

from __future__ import annotations

import math

from ncdlang.semantics.naming import Names, joined
from ncdlang.semantics.primitives import COMPARISONS, INFIX
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
    Instance,
    Invoke,
    Learned,
    Read,
    Recurrence,
    Reduce,
    Requirement,
    Scatter,
    Select,
    SizeValue,
    Step,
)
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis, Wire

_INDENT = "  "
_WIDTH = 100
_SYMBOLS = {name: symbol for symbol, name in INFIX.items()}

# How tightly each operator binds, as in section 6 of the language reference.
_SUM, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _NEGATE, _POWER, _ATOM = range(10)
_BINDING = {
    "or": _OR,
    "and": _AND,
    "not": _NOT,
    **dict.fromkeys(COMPARISONS, _COMPARE),
    **dict.fromkeys(("add", "sub"), _ADD),
    **dict.fromkeys(("mul", "div", "floordiv", "mod"), _MULTIPLY),
    "neg": _NEGATE,
    "pow": _POWER,
}


def render_checked(diagram: CheckedDiagram) -> str:
    """The checked diagram as text, ending in a line end."""
    names = Names()
    head = header(diagram, names)
    if diagram.primitive:
        return _operator(diagram, head, names)
    learned = [learned_text(parameter, names) for parameter in diagram.learned]
    instances = [_instance(instance, names) for instance in diagram.instances]
    requirements = [_requirement(requirement, names) for requirement in diagram.requirements]
    steps = _steps(diagram.steps, names, 1)
    returned = ", ".join(names.wire(wire) for wire in diagram.results)
    facts = [*axis_sizes(names), *learned, *instances, *requirements]
    lines = [head, *(_INDENT + fact for fact in facts), *steps, f"{_INDENT}return {returned}"]
    return "\n".join(lines) + "\n"


def _operator(diagram: CheckedDiagram, head: str, names: Names) -> str:
    """An `op`: its type, its properties and what it requires; it has no steps."""
    properties = f" {{ {', '.join(diagram.properties)} }}" if diagram.properties else ""
    requirements = [_requirement(requirement, names) for requirement in diagram.requirements]
    lines = [head + properties, *(_INDENT + requirement for requirement in requirements)]
    return "\n".join(lines) + "\n"


def header(diagram: CheckedDiagram, names: Names) -> str:
    """The first line: name, brackets, typed inputs and typed results."""
    free: list[str] = []
    for entry in diagram.free:
        default = f" = {names.size(entry.default)}" if entry.default is not None else ""
        free.append(names.axis(entry.axis) + default)
    free.extend(f"const {name} = {number(value)}" for name, value in diagram.settings)
    brackets = f"[{', '.join(free)}]" if free else ""
    inputs = ", ".join(names.typed(wire) for wire in diagram.parameters)
    outputs = ", ".join(names.typed(wire) for wire in diagram.results)
    result = outputs if len(diagram.results) == 1 else f"({outputs})"
    word = "op" if diagram.primitive else "diagram"
    return f"{word} {diagram.name}{brackets}({inputs}) -> {result}"


def axis_sizes(names: Names) -> list[str]:
    """`axis x' = size(x) - 2` for every axis named so far whose size is no unknown of its own."""
    return [
        f"axis {names.axis(axis)} = {names.size(axis.size)}"
        for axis in names.known_axes
        if names.size(axis.size) != f"size({names.axis(axis)})"
    ]


def number(value: float | int | bool) -> str:
    """A number as the language writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return "pi" if value == math.pi else repr(value)


def binding_text(binding: tuple[tuple[Symbol, Size], ...], names: Names) -> str:
    """` with k = size(m)`: the callee's sizes that are not the caller's of the same name."""
    pairs = [(symbol.name, names.size(size)) for symbol, size in binding]
    told = [f"{name} = {size}" for name, size in pairs if size != f"size({name})"]
    return f" with {', '.join(told)}" if told else ""


def target_slot(actual: Axis, formal: Axis | None, names: Names) -> str:
    """One axis of a call's argument or result: `<x>`, `<y:x>`, or plain where it is lifted."""
    name = names.axis(actual)
    if formal is None:
        return name
    told = str(formal)
    return f"<{name}>" if told == name else f"<{told}:{name}>"


def learned_text(parameter: Learned, names: Names) -> str:
    """`learn W: [f m] ~ normal(0, 0.02)`."""
    arguments = ", ".join(number(value) for value in parameter.init_arguments)
    init = f"{parameter.init}({arguments})" if arguments else parameter.init
    if parameter.frozen:
        init = f"frozen({init})"
    told = f" ~ {init}" if init != "default" else ""
    return f"learn {names.typed(parameter.wire)}{told}"


def _instance(instance: Instance, names: Names) -> str:
    callee = instance.callee
    inputs = ", ".join(map(str, callee.parameters))
    outputs = ", ".join(str(wire.type) for wire in callee.results)
    result = outputs if len(callee.results) == 1 else f"({outputs})"
    binding = binding_text(instance.binding, names)
    return f"learn {instance.name}: {callee.name}({inputs}) -> {result}{binding}"


def _requirement(requirement: Requirement, names: Names) -> str:
    relation = f"{names.size(requirement.left)} {requirement.op} {names.size(requirement.right)}"
    return f"assert {relation}  # {' '.join(requirement.reason.split())}"


def _steps(steps: tuple[Step, ...], names: Names, depth: int) -> list[str]:
    lines: list[str] = []
    indent = _INDENT * depth
    for step in steps:
        match step:
            case Define():
                value = expression(step.expression, names)
                lines.append(f"{indent}{names.typed(step.wire)} = {value}")
            case Invoke():
                lines.extend(_invoke(step, names, indent))
            case Scatter():
                lines.extend(_scatter(step, names, indent))
            case Recurrence():
                lines.append(f"{indent}{scan_text(step.axis, step.reverse, names)} {{")
                lines.extend(_steps(step.steps, names, depth + 1))
                lines.append(indent + "}")
            case BlockStep():
                lines.append(f"{indent}block {quoted(step.title)} {{")
                lines.extend(_steps(step.steps, names, depth + 1))
                lines.append(indent + "}")
    return lines


def _scatter(step: Scatter, names: Names, indent: str) -> list[str]:
    """The declared wire and the equations that write it."""
    lines = [indent + names.typed(step.wire)]
    for write in step.writes:
        place = joined(names.affine(index) for index in write.indices)
        value = expression(write.expression, names)
        lines.append(f"{indent}{names.wire(step.wire)}[{place}] {write.op} {value}")
    return lines


def scan_text(axis: Axis, reverse: bool, names: Names) -> str:
    """`scan[t]`: what follows is done for one index along an axis after another."""
    return f"scan[{names.axis(axis)}{', reverse' if reverse else ''}]"


def called(callee: CheckedDiagram) -> str:
    """The name of a callee; an `op` with its settings, as no equations show them."""
    if not callee.primitive or not callee.settings:
        return callee.name
    settings = ", ".join(f"{name} = {number(value)}" for name, value in callee.settings)
    return f"{callee.name}[{settings}]"


def quoted(title: str) -> str:
    """A title between quotes, on one line."""
    return '"' + title.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _invoke(step: Invoke, names: Names, indent: str) -> list[str]:
    results = ", ".join(
        f"{names.wire(wire)}: {names.kind(wire.type.kind)}{_woven(wire, weave, names)}"
        for wire, weave in zip(step.results, step.result_weaves, strict=True)
    )
    arguments = [
        f"{names.wire(wire)}{_woven(wire, weave, names)}"
        for wire, weave in zip(step.arguments, step.argument_weaves, strict=True)
    ]
    name = called(step.callee)
    callee = f"{step.instance.name}: {name}" if step.instance else name
    lifted = f" for {' '.join(names.axis(axis) for axis in step.lifted)}" if step.lifted else ""
    tail = lifted + binding_text(step.binding, names)
    return application(indent, f"{results} = {callee}", arguments, tail)


def application(indent: str, head: str, arguments: list[str], tail: str) -> list[str]:
    """`head(arguments) tail` on one line, or an argument on each line where that is too long."""
    line = f"{indent}{head}({', '.join(arguments)}){tail}"
    if len(line) <= _WIDTH or not arguments:
        return [line]
    listed = [f"{indent}{_INDENT * 2}{argument}," for argument in arguments]
    return [f"{indent}{head}(", *listed, f"{indent}){tail}"]


def _woven(wire: Wire, weave: tuple[Axis | None, ...], names: Names) -> str:
    slots = (
        target_slot(axis, formal, names) for axis, formal in zip(wire.type.axes, weave, strict=True)
    )
    return f"[{joined(slots)}]"


# ---- expressions ------------------------------------------------------------------------------


def expression(value: Expression, names: Names) -> str:
    """An expression in the language's own notation; a contraction is `sum k. A[k] * B[k]`."""
    return _expression(value, names, _SUM)


def _expression(value: Expression, names: Names, least: int) -> str:
    """The text of a value, in parentheses if it binds less tightly than `least`."""
    text, binding = _bound_text(value, names)
    return f"({text})" if binding < least else text


def _bound_text(value: Expression, names: Names) -> tuple[str, int]:
    match value:
        case Constant():
            text = number(value.value)
            return text, _NEGATE if text.startswith("-") else _ATOM
        case SizeValue():
            text = names.size(value.size)
            return text, _ATOM if len(value.size.terms) < 2 and "*" not in text else _ADD
        case IndexValue():
            return names.axis(value.axis), _ATOM
        case Read():
            inner = joined(names.affine(index) for index in value.indices)
            return f"{names.wire(value.wire)}[{inner}]", _ATOM
        case Select():
            branches = (value.condition, value.then, value.otherwise)
            return f"where({_listed(branches, names)})", _ATOM
        case ApplyDiagram():
            return f"{called(value.callee)}({_listed(value.arguments, names)})", _ATOM
        case Contract():
            bound = " ".join(names.axis(axis) for axis in value.bound)
            factors = (_expression(factor, names, _NEGATE) for factor in value.factors)
            return f"sum {bound}. {' * '.join(factors)}", _SUM
        case Reduce():
            bound = joined(names.axis(axis) for axis in value.bound)
            initial = f", initial = {number(value.initial)}" if value.initial is not None else ""
            return f"{value.op}[{bound}{initial}]({expression(value.body, names)})", _ATOM
        case Apply():
            return _applied(value, names)


def _listed(values: tuple[Expression, ...], names: Names) -> str:
    return ", ".join(expression(value, names) for value in values)


def _applied(value: Apply, names: Names) -> tuple[str, int]:
    binding = _BINDING.get(value.op)
    if binding is None:
        form = f"[{value.kind.format}]" if value.op == "cast" and value.kind.format else ""
        return f"{value.op}{form}({_listed(value.arguments, names)})", _ATOM
    if len(value.arguments) == 1:
        word = "-" if value.op == "neg" else "not "
        return word + _expression(value.arguments[0], names, binding), binding
    left, right = value.arguments
    # `^` groups to the right, comparisons not at all, everything else to the left.
    tight_left = binding + (value.op == "pow" or binding == _COMPARE)
    tight_right = binding + (value.op != "pow")
    left_text = _expression(left, names, tight_left)
    right_text = _expression(right, names, tight_right)
    return f"{left_text} {_SYMBOLS[value.op]} {right_text}", binding
