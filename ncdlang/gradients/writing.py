"""Steps as the text of equations."""

from __future__ import annotations

import math

from ncdlang.gradients.spelling import Spelling
from ncdlang.gradients.steps import Cycle, Flat, OpCall
from ncdlang.gradients.terms import children, factors, free, walk
from ncdlang.semantics.naming import joined
from ncdlang.semantics.primitives import COMPARISONS, INFIX
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    Constant,
    Contract,
    Define,
    Expression,
    IndexValue,
    Read,
    Reduce,
    Scatter,
    Select,
    SizeValue,
    Write,
)
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Affine, Axis, Wire

_SYMBOLS = {name: symbol for symbol, name in INFIX.items()}
_OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _NEGATE, _POWER, _ATOM = range(9)
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


def lines(step: Flat, names: Spelling) -> list[str]:
    """The statements of a step."""
    match step:
        case Define():
            return [f"{_left(step.wire, names)} = {_root(step.expression, names)}"]
        case OpCall():
            results = ", ".join(_left(wire, names) for wire in step.results)
            return [f"{results} = {_called(step, names)}"]
        case Scatter():
            kind = names.kind(step.wire.type.kind)
            declared = f"{names.wire(step.wire)}: {kind}{_axes(step.wire, names)}"
            return [declared, *(_write(step.wire, write, names) for write in step.writes)]
        case Cycle():
            return [line for inner in step.steps for line in lines(inner, names)]


def _axes(wire: Wire, names: Spelling) -> str:
    return f"[{joined(names.axis(axis) for axis in wire.type.axes)}]"


def _left(wire: Wire, names: Spelling) -> str:
    return f"{names.wire(wire)}{_axes(wire, names)}"


def _write(wire: Wire, write: Write, names: Spelling) -> str:
    return f"{_at(wire, write.indices, names)} {write.op} {_text(write.expression, names, _OR)}"


def _at(wire: Wire, indices: tuple[Affine, ...], names: Spelling) -> str:
    slots = [
        names.coordinate(own, index) for own, index in zip(wire.type.axes, indices, strict=True)
    ]
    return f"{names.wire(wire)}[{_listed_slots(slots)}]"


def _listed_slots(slots: list[str]) -> str:
    """Slots with spaces between where all are names of axes, else with commas."""
    return ", ".join(slots) if any(slot[:1].isdigit() for slot in slots) else joined(slots)


def _called(step: OpCall, names: Spelling) -> str:
    arguments = ", ".join(names.wire(wire) for wire in step.arguments)
    settings = [f"{name} = {number(value)}" for name, value in step.settings]
    slots = [_entry(axis, step, names) for axis in step.axes]
    listed = [joined(slots)] if step.is_packed and slots else slots
    inner = ", ".join([*listed, *settings])
    return f"{step.name}{f'[{inner}]' if inner else ''}({arguments})"


def _entry(axis: Axis, step: OpCall, names: Spelling) -> str:
    """An axis that the argument has, or the size of one that the operator makes."""
    size = axis.size.value
    return names.axis(axis) if axis in step.targets or size is None else str(size)


def number(value: float) -> str:
    """A number as the language writes it."""
    if isinstance(value, bool):
        return "0 == 0" if value else "0 == 1"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == math.pi:
        return "pi"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def _root(value: Expression, names: Spelling) -> str:
    """The right-hand side of an equation, which keeps its kind."""
    if isinstance(value, Apply) and _is_conversion(value):
        return f"real({_text(value.arguments[0], names, _OR)})"
    return _text(value, names, _OR)


def _text(value: Expression, names: Spelling, least: int) -> str:
    """The text of a value, in parentheses if it binds less tightly than `least`."""
    text, binding = _bound(value, names)
    return f"({text})" if binding < least else text


def _bound(value: Expression, names: Spelling) -> tuple[str, int]:
    match value:
        case Constant():
            text = number(value.value)
            if isinstance(value.value, bool):
                return text, _COMPARE
            return text, _NEGATE if text.startswith("-") else _ATOM
        case SizeValue():
            return _size(value.size, names)
        case IndexValue():
            return _index(value.axis, names)
        case Read():
            return _at(value.wire, value.indices, names), _ATOM
        case Select():
            return f"where({_listed(children(value), names)})", _ATOM
        case ApplyDiagram():
            settings = ", ".join(f"{n} = {number(v)}" for n, v in value.callee.settings)
            name = value.callee.name + (f"[{settings}]" if settings else "")
            return f"{name}({_listed(value.arguments, names)})", _ATOM
        case Contract():
            return _product(value, names)
        case Reduce():
            axes = joined(names.axis(axis) for axis in value.bound)
            initial = f", initial = {number(value.initial)}" if value.initial is not None else ""
            return f"{value.op}[{axes}{initial}]({_text(value.body, names, _OR)})", _ATOM
        case Apply():
            return _applied(value, names)


def _size(size: Size, names: Spelling) -> tuple[str, int]:
    text = names.size(size)
    if len(size.terms) > 1:
        return text, _ADD
    return text, _MULTIPLY if "*" in text or "//" in text else _ATOM


def _index(axis: Axis, names: Spelling) -> tuple[str, int]:
    if not axis.parts:
        return names.axis(axis), _ATOM
    text = names.axis(axis.atoms[0])
    for atom in axis.atoms[1:]:
        text = f"({text}) * {names.size(atom.size)} + {names.axis(atom)}"
    return text, _ADD


def _listed(values: tuple[Expression, ...], names: Spelling) -> str:
    return ", ".join(_text(value, names, _OR) for value in values)


def _applied(value: Apply, names: Spelling) -> tuple[str, int]:
    if _is_conversion(value):
        return _bound(value.arguments[0], names)
    if value.op in ("mul", "div"):
        return _product(value, names)
    binding = _BINDING.get(value.op)
    if binding is None:
        form = f"[{value.kind.format}]" if value.op == "cast" and value.kind.format else ""
        return f"{value.op}{form}({_listed(value.arguments, names)})", _ATOM
    if len(value.arguments) == 1:
        word = "-" if value.op == "neg" else "not "
        least = _MULTIPLY if value.op == "neg" and _is_product(value.arguments[0]) else binding
        return word + _text(value.arguments[0], names, least), binding
    left, right = value.arguments
    # `^` groups to the right, comparisons not at all, everything else to the left.
    tight_left = binding + (value.op == "pow" or binding == _COMPARE)
    tight_right = binding + (value.op != "pow")
    texts = _text(left, names, tight_left), _text(right, names, tight_right)
    space = "" if value.op == "pow" else " "
    return f"{texts[0]}{space}{_SYMBOLS[value.op]}{space}{texts[1]}", binding


def _is_conversion(value: Apply) -> bool:
    """Whether it makes a real of an index or a size, which happens anyway where one is needed."""
    return value.op == "real" and value.arguments[0].kind.name == "integer"


def _is_product(value: Expression) -> bool:
    return isinstance(value, Contract) or (isinstance(value, Apply) and value.op in ("mul", "div"))


# ---- products ----------------------------------------------------------------------------------


def _product(value: Expression, names: Spelling) -> tuple[str, int]:
    """Factors in a row. A contraction among them needs no bracket where the rule sees it."""
    tops, bottoms = factors(value)
    contracted = [top for top in tops if isinstance(top, Contract)]
    if len(contracted) == 1:
        rest = [f for f in (*tops, *bottoms) if f is not contracted[0]]
        if _is_seen(contracted[0], rest):
            place = tops.index(contracted[0])
            inner = [factors(factor) for factor in contracted[0].factors]
            tops[place : place + 1] = [top for part in inner for top in part[0]]
            bottoms = [bottom for part in inner for bottom in part[1]] + bottoms
    texts = [_factor(top, names) for top in tops] or ["1"]
    text = " * ".join(texts) + "".join(f" / {_factor(bottom, names)}" for bottom in bottoms)
    return text, _MULTIPLY if len(texts) + len(bottoms) > 1 else _ATOM


def _factor(value: Expression, names: Spelling) -> str:
    if isinstance(value, Contract):
        axes = joined(names.axis(axis) for axis in value.bound)
        parts = " * ".join(_factor(factor, names) for factor in value.factors)
        return f"sum[{axes}]({parts})"
    return _text(value, names, _NEGATE)


def _is_seen(value: Contract, rest: list[Expression]) -> bool:
    """Whether the rule of contraction sums just what is meant, of the factors without a bracket."""
    parts: list[Expression] = []
    for factor in value.factors:
        tops, bottoms = factors(factor)
        parts += [*tops, *bottoms]
    for axis in value.bound:
        if sum(axis in free(part) for part in parts) < 2:
            return False
        if any(axis in _mentioned(other) for other in rest):
            return False
        if any(_sums_inside(part, axis) for part in parts):
            return False
    return not any(isinstance(part, Contract) for part in parts)


def _mentioned(value: Expression) -> set[Axis]:
    found = set(free(value))
    for part in walk(value):
        if isinstance(part, Contract | Reduce):
            found.update(part.bound)
    return found


def _sums_inside(value: Expression, axis: Axis) -> bool:
    """Whether a product inside a factor has the axis twice, so that it would be summed there."""
    for part in walk(value):
        if isinstance(part, Apply) and part.op in ("mul", "div"):
            tops, bottoms = factors(part)
            if sum(axis in free(f) for f in (*tops, *bottoms)) > 1:
                return True
    return False
