"""Expressions of the checked program, built and rewritten: what the derivation computes with.

The constructors simplify as they build (a product with 1, a choice by a condition that always
holds), so that a derived equation reads like one that a person writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from ncdlang.gradients.ranges import decided
from ncdlang.semantics.program import (
    Apply,
    ApplyDiagram,
    CheckedDiagram,
    Constant,
    Contract,
    Expression,
    IndexValue,
    Read,
    Reduce,
    Select,
    SizeValue,
    Write,
)
from ncdlang.semantics.size import ONE, ZERO, Size, product
from ncdlang.semantics.types import (
    BOOLEAN,
    INTEGER,
    REAL,
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Mod,
    Wire,
    gathered,
)
from ncdlang.source import Span

# ---- what an expression has --------------------------------------------------------------------


def atoms(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes with composite ones replaced by their parts, each once."""
    return tuple(dict.fromkeys(atom for axis in axes for atom in axis.atoms))


def free(*expressions: Expression) -> tuple[Axis, ...]:
    """The free axes of expressions, each once, in order."""
    return atoms(axis for expression in expressions for axis in expression.axes)


def children(value: Expression) -> tuple[Expression, ...]:
    """The expressions directly below one."""
    match value:
        case Apply() | ApplyDiagram():
            return value.arguments
        case Select():
            return (value.condition, value.then, value.otherwise)
        case Contract():
            return value.factors
        case Reduce():
            return (value.body,)
        case Constant() | SizeValue() | IndexValue() | Read():
            return ()
        case _:
            assert_never(value)


def walk(value: Expression) -> Iterator[Expression]:
    """The expression and all below it."""
    yield value
    for child in children(value):
        yield from walk(child)


def reads(value: Expression) -> Iterator[Wire]:
    """Every wire that is read, arrays of indices included."""
    for part in walk(value):
        if isinstance(part, Read):
            yield part.wire
            yield from (gather.wire for gather in gathered(part.indices))


def written_from(write: Write) -> Iterator[Wire]:
    """The wires that one write of a scatter reads, in its value and in its place."""
    yield from reads(write.expression)
    yield from (gather.wire for gather in gathered(write.indices))


def felt(value: Expression) -> Iterator[Wire]:
    """The wires that a change of the value can come from: what is detached passes none on."""
    if isinstance(value, Read):
        yield from reads(value)
    elif not is_detached(value):
        for child in children(value):
            yield from felt(child)


def is_detached(value: Expression) -> bool:
    """Whether the value is `detach` of something, which has derivative 0."""
    return isinstance(value, ApplyDiagram) and is_detach(value.callee)


def is_detach(callee: CheckedDiagram) -> bool:
    """Whether the diagram is the operator that no gradient flows through."""
    return (callee.library, callee.name) == ("std.prelude", "detach")


def is_atomic(value: Expression) -> bool:
    """Whether it costs nothing to write the value twice."""
    return isinstance(value, Read | Constant | SizeValue | IndexValue)


def weight(value: Expression) -> int:
    """How much there is to write."""
    return sum(1 for _ in walk(value))


# ---- reads -------------------------------------------------------------------------------------


def row_major(axis: Axis) -> Affine:
    """The coordinate that runs along an axis: a composite one is written by its parts."""
    terms: list[tuple[IndexVariable, Size]] = []
    stride = ONE
    for atom in reversed(axis.atoms):
        terms.insert(0, (atom, stride))
        stride = stride * atom.size
    return Affine(ZERO, tuple(terms))


def read(wire: Wire, indices: tuple[Affine, ...], span: Span) -> Read:
    """A read at the given coordinates."""
    axes = atoms(axis for index in indices for axis in index.axes())
    return Read(wire, indices, wire.type.kind, axes, span)


def whole(wire: Wire, span: Span) -> Read:
    """A wire at its own axes."""
    return read(wire, tuple(row_major(axis) for axis in wire.type.axes), span)


# ---- constructors ------------------------------------------------------------------------------


def number(value: float) -> Constant:
    """A real constant."""
    return Constant(int(value) if float(value).is_integer() else value, REAL)


def is_number(value: Expression, wanted: float) -> bool:
    """Whether the expression is that constant."""
    return isinstance(value, Constant) and value.value == wanted


def apply(op: str, *arguments: Expression, span: Span) -> Expression:
    """An elementwise primitive, simplified where it is arithmetic."""
    folded = _folded(op, arguments)
    if folded is not None:
        return folded
    simple = _SIMPLE.get(op)
    found = simple(arguments, span) if simple else None
    if found is not None:
        return found
    kind = BOOLEAN if op in ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not") else REAL
    made = Apply(op, arguments, kind, free(*arguments), span)
    if kind is BOOLEAN:
        truth = decided(made)
        if truth is not None:
            return Constant(truth, BOOLEAN)
    return made


def _folded(op: str, arguments: tuple[Expression, ...]) -> Expression | None:
    """Arithmetic of whole numbers."""
    if op not in ("add", "sub", "mul"):
        return None
    left, right = (a.value if isinstance(a, Constant) else None for a in arguments)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    if not (float(left).is_integer() and float(right).is_integer()):
        return None
    return number(left + right if op == "add" else left - right if op == "sub" else left * right)


def _add(arguments: tuple[Expression, ...], span: Span) -> Expression | None:
    left, right = arguments
    if is_number(left, 0):
        return right
    if is_number(right, 0):
        return left
    if isinstance(right, Apply) and right.op == "neg":
        return apply("sub", left, right.arguments[0], span=span)
    return None


def _sub(arguments: tuple[Expression, ...], span: Span) -> Expression | None:
    left, right = arguments
    if is_number(right, 0):
        return left
    return apply("neg", right, span=span) if is_number(left, 0) else None


def _mul(arguments: tuple[Expression, ...], span: Span) -> Expression | None:
    left, right = arguments
    for one, other in ((left, right), (right, left)):
        if is_number(one, 0):
            return one
        if is_number(one, 1):
            return other
        if is_number(one, -1):
            return apply("neg", other, span=span)
        if isinstance(one, Apply) and one.op == "neg":
            return apply("neg", apply("mul", *_swapped(one, other, left), span=span), span=span)
    if isinstance(right, Apply) and right.op == "div":
        top, bottom = right.arguments
        return apply("div", apply("mul", left, top, span=span), bottom, span=span)
    if isinstance(right, Select) and is_number(right.otherwise, 0):
        return select(right.condition, True, apply("mul", left, right.then, span=span), span)
    if isinstance(right, Select) and is_number(right.then, 0):
        return select(right.condition, False, apply("mul", left, right.otherwise, span=span), span)
    return None


def _swapped(negated: Apply, other: Expression, left: Expression) -> tuple[Expression, Expression]:
    inner = negated.arguments[0]
    return (inner, other) if negated is left else (other, inner)


def _div(arguments: tuple[Expression, ...], span: Span) -> Expression | None:
    left, right = arguments
    if is_number(left, 0) or is_number(right, 1):
        return left
    if isinstance(left, Apply) and left.op == "neg":
        return apply("neg", apply("div", left.arguments[0], right, span=span), span=span)
    return None


def _neg(arguments: tuple[Expression, ...], _: Span) -> Expression | None:
    (only,) = arguments
    if isinstance(only, Constant):
        return number(-only.value)
    return only.arguments[0] if isinstance(only, Apply) and only.op == "neg" else None


def _pow(arguments: tuple[Expression, ...], _: Span) -> Expression | None:
    left, right = arguments
    if is_number(right, 1):
        return left
    return number(1) if is_number(right, 0) else None


def _not(arguments: tuple[Expression, ...], _: Span) -> Expression | None:
    (only,) = arguments
    return Constant(not only.value, BOOLEAN) if isinstance(only, Constant) else None


def _and(arguments: tuple[Expression, ...], _: Span) -> Expression | None:
    left, right = arguments
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Constant):
            return other if one.value else one
    return None


def _or(arguments: tuple[Expression, ...], _: Span) -> Expression | None:
    left, right = arguments
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Constant):
            return one if one.value else other
    return None


_SIMPLE: dict[str, Callable[[tuple[Expression, ...], Span], Expression | None]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "not": _not,
    "and": _and,
    "or": _or,
}


def select(condition: Expression, truth: bool, value: Expression, span: Span) -> Expression:
    """`value` where the condition is `truth`, else 0."""
    zero = number(0)
    if is_number(value, 0):
        return zero
    if isinstance(condition, Constant):
        return value if bool(condition.value) is truth else zero
    then, otherwise = (value, zero) if truth else (zero, value)
    axes = free(condition, value)
    return Select(condition, then, otherwise, REAL, axes, span)


def index_number(index: Affine, span: Span) -> Expression:
    """The value of a coordinate as a number."""
    total: Expression = number(0)
    for variable, coefficient in index.terms:
        term = _variable_number(variable, span)
        if coefficient.value is not None and coefficient.value < 0:
            total = apply("sub", total, _times(-coefficient, term, span), span=span)
        else:
            total = apply("add", total, _times(coefficient, term, span), span=span)
    if index.constant == ZERO:
        return total
    value = index.constant.value
    if value is not None and value < 0:
        return apply("sub", total, number(-value), span=span)
    return apply("add", total, size_number(index.constant), span=span)


def _times(coefficient: Size, term: Expression, span: Span) -> Expression:
    return apply("mul", size_number(coefficient), term, span=span)


def size_number(size: Size) -> Expression:
    """A size as a number."""
    return number(size.value) if size.value is not None else SizeValue(size, INTEGER)


def _variable_number(variable: IndexVariable, span: Span) -> Expression:
    match variable:
        case Axis():
            return IndexValue(variable, INTEGER, (variable,))
        case Floor() | Mod():
            op = "floordiv" if isinstance(variable, Floor) else "mod"
            inner = index_number(variable.numerator, span)
            return Apply(op, (inner, number(variable.divisor)), INTEGER, free(inner), span)
        case Gathered():
            return read(variable.wire, variable.indices, span)


def total(axes: Iterable[Axis], value: Expression, span: Span) -> Expression:
    """The sum over axes: a contraction where two factors have an axis, else a reduction."""
    bound = tuple(dict.fromkeys(axes))
    if not bound or is_number(value, 0):
        return value
    present = free(value)
    lacking = [axis for axis in bound if axis not in present]
    if lacking:
        copies = size_number(product(axis.size for axis in lacking))
        inner = total((axis for axis in bound if axis in present), value, span)
        return apply("mul", inner, copies, span=span)
    if isinstance(value, Apply) and value.op == "neg":
        return apply("neg", total(bound, value.arguments[0], span), span=span)
    if isinstance(value, Select) and set(free(value.condition)).isdisjoint(bound):
        if is_number(value.otherwise, 0):
            return select(value.condition, True, total(bound, value.then, span), span)
        if is_number(value.then, 0):
            return select(value.condition, False, total(bound, value.otherwise, span), span)
    return _summed_product(bound, value, span)


def _summed_product(bound: tuple[Axis, ...], value: Expression, span: Span) -> Expression:
    tops, bottoms = factors(value)
    inside = [f for f in tops if not set(free(f)).isdisjoint(bound)]
    under = [f for f in bottoms if not set(free(f)).isdisjoint(bound)]
    outside = [f for f in tops if f not in inside]
    below = [f for f in bottoms if f not in under]
    counts = [sum(axis in free(f) for f in (*inside, *under)) for axis in bound]
    shared = tuple(axis for axis, count in zip(bound, counts, strict=True) if count > 1)
    single = tuple(axis for axis in bound if axis not in shared)
    inverted = [apply("div", number(1), f, span=span) for f in under]
    if shared:
        parts = tuple(inside + inverted)
        kept = tuple(axis for axis in free(*parts) if axis not in shared)
        result: Expression = Contract(shared, parts, REAL, kept, span)
    else:
        result = multiplied([*inside, *inverted], span)
    if single:
        kept = tuple(axis for axis in free(result) if axis not in single)
        result = Reduce("sum", single, result, REAL, kept, span)
    for factor in outside:
        result = apply("mul", factor, result, span=span)
    for factor in below:
        result = apply("div", result, factor, span=span)
    return result


def multiplied(parts: Iterable[Expression], span: Span) -> Expression:
    """The product of expressions, 1 for none."""
    result: Expression = number(1)
    for part in parts:
        result = apply("mul", result, part, span=span)
    return result


def factors(value: Expression) -> tuple[list[Expression], list[Expression]]:
    """The factors of a product and those it is divided by."""
    if isinstance(value, Apply) and value.op == "mul":
        left, right = (factors(argument) for argument in value.arguments)
        return left[0] + right[0], left[1] + right[1]
    if isinstance(value, Apply) and value.op == "div":
        left, right = (factors(argument) for argument in value.arguments)
        return left[0] + right[1], left[1] + right[0]
    if is_number(value, 1):
        return [], []
    return [value], []
