"""Printed names of axes, sizes and wires, unique within one printed diagram."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.semantics.size import ZERO, Size, Symbol
from ncdlang.semantics.types import (
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Kind,
    Mod,
    Wire,
)


class Names:
    """Gives every axis, size and wire the name that it is printed by.

    Two axes of one name are printed apart, the later as `x~2`, and so are two unknown sizes.
    Wires that the compiler made (`_...`) are numbered in the order of their first use: `%1`.
    """

    def __init__(self) -> None:
        self._axes: dict[Axis, str] = {}
        self._symbols: dict[Symbol, str] = {}
        self._wires: dict[Wire, str] = {}
        self._taken: dict[str, set[str]] = {"axis": set(), "size": set(), "wire": set()}
        self._anonymous = 0

    def _unique(self, space: str, name: str) -> str:
        taken = self._taken[space]
        text, number = name, 1
        while text in taken:
            number += 1
            text = f"{name}~{number}"
        taken.add(text)
        return text

    def axis(self, axis: Axis) -> str:
        """The name of an axis; a composite one is `(h k)`."""
        if axis.parts:
            return "(" + " ".join(self.axis(part) for part in axis.parts) + ")"
        name = self._axes.get(axis)
        if name is None:
            name = self._axes[axis] = self._unique("axis", axis.name)
        return name

    @property
    def known_axes(self) -> tuple[Axis, ...]:
        """The axes that were named so far, in order, composite ones by their parts."""
        return tuple(self._axes)

    def symbol(self, symbol: Symbol) -> str:
        """The name of an unknown size, without `size(...)`."""
        name = self._symbols.get(symbol)
        if name is None:
            name = self._symbols[symbol] = self._unique("size", symbol.name)
        return name

    def size(self, size: Size) -> str:
        """A size as the language writes it: `size(x) - size(j) + 1`."""
        return size.render(lambda symbol: f"size({self.symbol(symbol)})")

    def wire(self, wire: Wire) -> str:
        """The name of a wire; one that the compiler made is numbered."""
        name = self._wires.get(wire)
        if name is None:
            if is_anonymous(wire):
                self._anonymous += 1
                name = f"%{self._anonymous}"
            else:
                name = self._unique("wire", wire.name)
            self._wires[wire] = name
        return name

    def kind(self, kind: Kind) -> str:
        """What stands before the brackets of a type: `N(v)`."""
        if kind.name != "natural":
            return str(kind)
        if kind.bound_axis is not None:
            return f"N({self.axis(kind.bound_axis)})"
        return f"N({self.size(kind.bound)})" if kind.bound is not None else "N"

    def type(self, array: ArrayType) -> str:
        """An array type: `N(v)[n]`."""
        slots = [self.axis(axis) for axis in array.axes]
        return f"{self.kind(array.kind)}[{joined(slots)}]"

    def typed(self, wire: Wire) -> str:
        """A wire with its type: `S: [h q x]`."""
        return f"{self.wire(wire)}: {self.type(wire.type)}"

    def affine(self, index: Affine) -> str:
        """A coordinate of an index map: `2*i + j`."""
        text = ""
        for variable, coefficient in index.terms:
            number = coefficient.value
            negative = number is not None and number < 0
            term = self._term(variable, -coefficient if negative else coefficient)
            if text:
                text += f" - {term}" if negative else f" + {term}"
            else:
                text = f"-{term}" if negative else term
        if not text:
            return self.size(index.constant)
        if index.constant == ZERO:
            return text
        number = index.constant.value
        if number is not None and number < 0:
            return f"{text} - {-number}"
        return f"{text} + {self.size(index.constant)}"

    def _term(self, variable: IndexVariable, coefficient: Size) -> str:
        name = self._variable(variable)
        if coefficient.value == 1:
            return name
        number = self.size(coefficient)
        wrapped = len(coefficient.terms) > 1 or " // " in number
        return f"({number})*{name}" if wrapped else f"{number}*{name}"

    def _variable(self, variable: IndexVariable) -> str:
        match variable:
            case Axis():
                return self.axis(variable)
            case Floor():
                return f"({self._divided(variable.numerator)} // {variable.divisor})"
            case Mod():
                return f"({self._divided(variable.numerator)} % {variable.divisor})"
            case Gathered():
                inner = [self.affine(index) for index in variable.indices]
                return self.wire(variable.wire) + (f"[{joined(inner)}]" if inner else "")

    def _divided(self, numerator: Affine) -> str:
        text = self.affine(numerator)
        return text if numerator.axis is not None else f"({text})"


def is_anonymous(wire: Wire) -> bool:
    """Whether the compiler made the wire: nobody wrote its name."""
    return wire.name.startswith("_")


def joined(slots: Iterable[str]) -> str:
    """Slots of a bracket: with spaces if all are plain names, else with commas."""
    texts = list(slots)
    plain = all(_is_plain(text) for text in texts)
    return (" " if plain else ", ").join(texts)


def _is_plain(slot: str) -> bool:
    return not any(character in " ()[]*+-" for character in slot.strip("<>"))
