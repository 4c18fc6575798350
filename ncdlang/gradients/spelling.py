"""Names in a derived file: one namespace for axes and wires, none that hides what is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.semantics.naming import Names
from ncdlang.semantics.primitives import FUNCTIONS, REDUCTIONS
from ncdlang.semantics.size import ONE, ZERO, Symbol
from ncdlang.semantics.types import Affine, Axis, Wire

_WORDS = (
    "use axis const config op diagram learn block return assert as size and or not inf pi "
    "where cast"
)
RESERVED = frozenset(_WORDS.split()) | FUNCTIONS | frozenset(REDUCTIONS)


class Spelling(Names):
    """Gives axes and wires names that a file may have; a later axis `x` is `x'`, a wire `X2`."""

    def __init__(self, reserved: Iterable[str], sizes: Mapping[Symbol, Axis]) -> None:
        super().__init__()
        self._used = {*RESERVED, *reserved}
        self._sizes = sizes

    def _unique(self, space: str, name: str) -> str:
        text, number = name, 1
        while text in self._used:
            number += 1
            text = f"{text}'" if space == "axis" else f"{name}{number}"
        self._used.add(text)
        return text

    def take(self, name: str) -> str:
        """A name for something that is neither an axis nor a wire."""
        return self._unique("wire", name)

    def symbol(self, symbol: Symbol) -> str:
        """The axis whose size an unknown is."""
        axis = self._sizes.get(symbol)
        return self.axis(axis) if axis is not None else symbol.name

    def wire(self, wire: Wire) -> str:
        """The name of a wire; one that nobody named has a short one."""
        name = self._wires.get(wire)
        if name is None:
            stem = wire.name.lstrip("_").replace(".", "_") or "t"
            name = self._wires[wire] = self._unique("wire", stem if not stem[0].isdigit() else "t")
        return name

    def coordinate(self, own: Axis, index: Affine) -> str:
        """A coordinate along an axis of a wire: a composite one where it runs along all of it."""
        parts: list[Axis] = []
        stride = ONE
        for variable, coefficient in reversed(index.terms):
            if not isinstance(variable, Axis) or coefficient != stride:
                return self._written(index)
            parts.insert(0, variable)
            stride = stride * variable.size
        if len(parts) > 1 and index.constant == ZERO and stride == own.size and not index.partial:
            return f"({' '.join(self.axis(part) for part in parts)})"
        return self._written(index)

    def _written(self, index: Affine) -> str:
        return f"{self.affine(index)} + 0" if _looks_plain(index) else self.affine(index)


def _looks_plain(index: Affine) -> bool:
    """Whether the text would be that of a plain axis, which must have the size of the array's."""
    return index.partial and index.constant == ZERO and len(index.terms) == 1
