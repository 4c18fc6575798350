"""The words of a box: what a person would write for the operations that it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Iota,
    Library,
    Number,
    Operand,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
    Scattering,
)
from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Affine, Axis, Wire, gathered, plain_index

from .groups import Group, wires_read
from .notation import DOT, ELLIPSIS, MINUS, Notation, composite_coordinates, substitute

# How tightly operators bind, as in the language.
_OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _NEGATE, _POWER, _ATOM = range(9)

_INFIX = {
    "or": ("or", _OR),
    "and": ("and", _AND),
    "eq": ("=", _COMPARE),
    "ne": ("\N{NOT EQUAL TO}", _COMPARE),
    "lt": ("<", _COMPARE),
    "le": ("\N{LESS-THAN OR EQUAL TO}", _COMPARE),
    "gt": (">", _COMPARE),
    "ge": ("\N{GREATER-THAN OR EQUAL TO}", _COMPARE),
    "add": ("+", _ADD),
    "sub": (MINUS, _ADD),
    "mul": (DOT, _MULTIPLY),
    "div": ("/", _MULTIPLY),
    "floordiv": ("//", _MULTIPLY),
    "mod": ("%", _MULTIPLY),
    "pow": ("^", _POWER),
}
_ROOT = "\N{SQUARE ROOT}"
_INFINITY = "\N{INFINITY}"
_PI = "\N{GREEK SMALL LETTER PI}"
# The signs of an operation whose left side is left out.
_APPLIED = {"div": "\N{DIVISION SIGN}", "mul": "\N{MULTIPLICATION SIGN}"}
_POWERS = {"2": "\N{SUPERSCRIPT TWO}", "3": "\N{SUPERSCRIPT THREE}"}


@dataclass(frozen=True, slots=True)
class Read:
    """A wire that a box reads, how its words call it, and which of its axes it consumes."""

    wire: Wire
    mark: str
    targets: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """The words of a box, a note below them (`over k`), and what it reads, in order.

    `has_indices` tells that the box does nothing but read one wire at other indices, which are
    written out: the axes of the result then belong to the words too.
    """

    text: str
    note: str
    reads: tuple[Read, ...]
    has_indices: bool = False


@dataclass(frozen=True, slots=True)
class _Term:
    text: str
    binding: int
    is_integer: bool = False


def phrase(group: Group, notation: Notation, call_name: Callable[[Wire], str]) -> Phrase:
    """Word a box that is no call. `call_name` gives the name of the call that made a wire, or "".

    Axes of the result are left out, and so are the indices of an input that is read as it is.
    A single contraction is told in the note, because its axes stand out in the inputs already.
    """
    return _Writer(group, notation, call_name).phrase()


class _Writer:
    """Writes one box. What it finds out on the way, its reads, it keeps for the phrase."""

    def __init__(self, group: Group, notation: Notation, call_name: Callable[[Wire], str]) -> None:
        self.group = group
        self.notation = notation
        edges = [group.root, *group.folded.values()]
        sums = [edge.operator for edge in edges if isinstance(edge.operator, Contraction)]
        self.single_sum = sums[0] if len(sums) == 1 else None
        self.bars = False
        self.shows_indices = any(isinstance(edge.operator, Iota) for edge in edges)
        self.only_reads = isinstance(group.root.operator, Reindex) and not group.folded
        self.bound: set[Axis] = set()
        self.targets: dict[Wire, list[bool]] = {}
        self.calls, self.numbered = self._nameless(edges, call_name)
        # What the conditions around the current place are known to be.
        self.assumed: dict[str, bool] = {}

    def _nameless(
        self, edges: list[Edge], call_name: Callable[[Wire], str]
    ) -> tuple[dict[Wire, str], dict[Wire, str]]:
        """What to call the inputs that nobody named: the call that made them, or a number."""
        found = dict.fromkeys(wire for edge in edges for wire, _ in wires_read(edge))
        outside = [w for w in found if w not in self.group.folded and is_anonymous(w)]
        calls = {wire: f"{call_name(wire)}({ELLIPSIS})" for wire in outside if call_name(wire)}
        rest = [wire for wire in outside if wire not in calls]
        return calls, {wire: _circled(number) for number, wire in enumerate(rest)}

    def phrase(self) -> Phrase:
        """The words, and the reads in the order in which the words have them."""
        root = self.group.root
        text, note = self._root(root)
        if self.shows_indices:
            # A name in these words may be an index: sizes are told apart by bars.
            self.bars = True
            text, note = self._root(root)
        if self.single_sum is not None:
            note = f"over {', '.join(map(str, self.single_sum.axes))}"
        reads: list[Read] = []
        for wire, flags in self.targets.items():
            mark = self.numbered.get(wire, "")
            reads.append(Read(wire, mark if mark in text else "", tuple(flags)))
        return Phrase(text, note, tuple(reads), self.only_reads)

    # ---- the root -------------------------------------------------------------------------------

    def _root(self, root: Edge) -> tuple[str, str]:
        """The words of the whole box and the note on them.

        A box without a name is told without its input where that has none either: `relu`.
        """
        operator = root.operator
        is_named = not all(is_anonymous(result.wire) for result in root.outputs)
        if is_named or len(self.calls) + len(self.numbered) != 1:
            return self._edge(root, {}).text, ""
        if isinstance(operator, Pointwise) and operator.name == "select":
            return self._root_select(root)
        term = self._edge(root, {})
        (mark,) = (*self.calls.values(), *self.numbered.values())
        if term.text.count(mark) == 1 and term.text.endswith(f"({mark})"):
            return term.text.removesuffix(f"({mark})"), ""
        if mark in self.calls.values() or not isinstance(operator, Pointwise):
            return term.text, ""
        sign, _ = _INFIX.get(operator.name, ("", 0))
        before = f"{mark} {sign} "
        if sign and term.text.startswith(before) and term.text.count(mark) == 1:
            return f"{_APPLIED.get(operator.name, sign)} {term.text.removeprefix(before)}", ""
        return term.text, ""

    def _root_select(self, root: Edge) -> tuple[str, str]:
        """`where x <= q`, with `else` in the note, for a choice that keeps a nameless input."""
        condition, then, otherwise = self._branches(root, {})
        marks = (*self.calls.values(), *self.numbered.values())
        if (
            len(marks) == 1
            and then.text == marks[0]
            and marks[0] not in (condition.text + otherwise.text)
        ):
            return f"where {condition.text}", f"else {otherwise.text}"
        return _where(condition, then, otherwise).text, ""

    # ---- operations -----------------------------------------------------------------------------

    def _edge(self, edge: Edge, at: Mapping[Axis, Affine]) -> _Term:
        """What an operation gives where the axes of its degree are at the coordinates `at`."""
        operator = edge.operator
        match operator:
            case Number():
                return self._number(operator)
            case Iota():
                axis = edge.degree[0]
                index = at.get(axis) or plain_index(axis)
                binding = _ATOM if index.axis is not None else _ADD
                return _Term(self.notation.affine(index), binding, True)
            case Reindex():
                return self._operand(edge.inputs[0], at)
            case Contraction():
                return self._contraction(edge, operator, at)
            case Reduction():
                return self._reduction(edge, operator, at)
            case Library():
                return self._call(operator.callee.name, self._arguments(edge, at))
            case Pointwise():
                if operator.name == "select":
                    return _where(*self._branches(edge, at))
                return self._pointwise(operator.name, self._arguments(edge, at))
            case Scattering() | Scan():
                raise AssertionError("boxes of their own")
            case _:
                assert_never(operator)

    def _arguments(self, edge: Edge, at: Mapping[Axis, Affine]) -> list[_Term]:
        return [self._operand(operand, at) for operand in edge.inputs]

    def _number(self, number: Number) -> _Term:
        value = number.value
        if isinstance(value, Size):
            text = self.notation.size(value, bars=self.bars)
            return _Term(text, _ATOM if len(value.terms) < 2 else _ADD, True)
        text = _number_text(value)
        return _Term(text, _NEGATE if text.startswith(MINUS) else _ATOM, isinstance(value, int))

    def _contraction(
        self, edge: Edge, contraction: Contraction, at: Mapping[Axis, Affine]
    ) -> _Term:
        self.bound.update(contraction.axes)
        text = ""
        for factor in self._arguments(edge, at):
            if text and _is_inverse(factor):
                text += factor.text.removeprefix("1")
            else:
                text += f" {DOT} " * bool(text) + _within(factor, _NEGATE)
        if contraction is self.single_sum:
            return _Term(text, _MULTIPLY)
        return _Term(f"sum[{_axes(contraction.axes)}]({text})", _ATOM)

    def _reduction(self, edge: Edge, reduction: Reduction, at: Mapping[Axis, Affine]) -> _Term:
        self.bound.update(reduction.axes)
        (body,) = self._arguments(edge, at)
        axes = _axes(reduction.axes)
        if reduction.initial is not None:
            axes += f", initial = {_number_text(reduction.initial)}"
        return _Term(f"{reduction.name}[{axes}]({body.text})", _ATOM)

    def _pointwise(self, name: str, arguments: list[_Term]) -> _Term:
        if name == "real" and arguments[0].is_integer:
            return arguments[0]
        if name in _INFIX:
            return _infix(name, *arguments)
        if name == "neg":
            return _Term(MINUS + _within(arguments[0], _NEGATE), _NEGATE)
        if name == "not":
            return _Term(f"not {_within(arguments[0], _NOT)}", _NOT)
        if name == "sqrt":
            return _Term(_ROOT + _within(arguments[0], _ATOM), _ATOM)
        return self._call(name, arguments)

    def _call(self, name: str, arguments: list[_Term]) -> _Term:
        return _Term(f"{name}({', '.join(argument.text for argument in arguments)})", _ATOM)

    def _branches(self, edge: Edge, at: Mapping[Axis, Affine]) -> tuple[_Term, _Term, _Term]:
        """Condition and branches of a choice, each branch knowing what the condition is there.

        A choice on the same condition inside a branch is decided: the lowering adds such choices
        to keep values that are not chosen out of operations that they would break.
        """
        condition = self._operand(edge.inputs[0], at)
        branches: list[_Term] = []
        outer = self.assumed
        for operand, holds in zip(edge.inputs[1:], (True, False), strict=True):
            self.assumed = {**outer, condition.text: holds}
            branches.append(self._operand(operand, at))
        self.assumed = outer
        return condition, branches[0], branches[1]

    # ---- operands -------------------------------------------------------------------------------

    def _operand(self, operand: Operand, at: Mapping[Axis, Affine]) -> _Term:
        coordinates = iter(operand.reindexing)
        indices = tuple(
            plain_index(axis) if is_target else substitute(next(coordinates), at)
            for axis, is_target in zip(operand.wire.type.axes, operand.weave, strict=True)
        )
        inner = self.group.folded.get(operand.wire)
        if inner is None:
            return self._read(operand.wire, indices)
        images = _images(operand.wire, indices)
        if images is None:
            term = self._inner(inner, {})
            inside = ", ".join(self.notation.affine(index) for index in indices)
            return _Term(f"({term.text})[{inside}]", _ATOM)
        return self._inner(inner, images)

    def _inner(self, edge: Edge, at: Mapping[Axis, Affine]) -> _Term:
        """A folded operation; a choice whose condition is known here is the branch it takes."""
        operator = edge.operator
        if isinstance(operator, Pointwise) and operator.name == "select" and self.assumed:
            holds = self.assumed.get(self._operand(edge.inputs[0], at).text)
            if holds is not None:
                return self._operand(edge.inputs[1 if holds else 2], at)
        return self._edge(edge, at)

    def _read(self, wire: Wire, indices: tuple[Affine, ...]) -> _Term:
        targets = self.targets.setdefault(wire, [False] * len(wire.type.axes))
        for position, index in enumerate(indices):
            if not self.bound.isdisjoint(index.axes()):
                targets[position] = True
            for gather in gathered((index,)):
                self.targets.setdefault(gather.wire, [False] * len(gather.wire.type.axes))
        name = self.calls.get(wire) or self.numbered.get(wire) or wire.name
        text = self.notation.read(name, wire, indices, self.only_reads)
        self.shows_indices = self.shows_indices or text != name
        return _Term(text, _ATOM, wire.type.kind.name == "integer")


def _images(wire: Wire, indices: tuple[Affine, ...]) -> dict[Axis, Affine] | None:
    """Where the axes of a wire are, those of a composite axis too, if it can be told."""
    images: dict[Axis, Affine] = {}
    for axis, index in zip(wire.type.axes, indices, strict=True):
        if not axis.parts:
            images[axis] = index
            continue
        parts = composite_coordinates(index, axis)
        if parts is None:
            return None
        images.update(parts)
    return images


def _axes(axes: tuple[Axis, ...]) -> str:
    return " ".join(map(str, axes))


def _within(term: _Term, least: int) -> str:
    return f"({term.text})" if term.binding < least else term.text


def _infix(name: str, left: _Term, right: _Term) -> _Term:
    sign, binding = _INFIX[name]
    if name == "pow" and right.text in _POWERS:
        return _Term(_within(left, _ATOM) + _POWERS[right.text], _POWER)
    left_text = _within(left, binding + (name == "pow" or binding == _COMPARE))
    if name == "mul" and _is_inverse(right):
        return _Term(left_text + right.text.removeprefix("1"), binding)
    right_text = _within(right, binding + (name != "pow"))
    is_integer = left.is_integer and right.is_integer and name != "div"
    gap = "" if name == "pow" else " "
    return _Term(f"{left_text}{gap}{sign}{gap}{right_text}", binding, is_integer)


def _is_inverse(term: _Term) -> bool:
    """Whether a factor is `1 / x`, which is told as a division."""
    return term.binding == _MULTIPLY and term.text.startswith("1 / ")


def _where(condition: _Term, then: _Term, otherwise: _Term) -> _Term:
    return _Term(f"where({condition.text}, {then.text}, {otherwise.text})", _ATOM)


def _number_text(value: float | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if math.isinf(value):
        return _INFINITY if value > 0 else MINUS + _INFINITY
    if value == math.pi:
        return _PI
    text = str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
    return text.replace("-", MINUS)


def _circled(number: int) -> str:
    """Circled digits from 1 to 20, then numbers in parentheses."""
    return chr(0x2460 + number) if number < 20 else f"({number + 1})"
