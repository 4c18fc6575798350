"""How axes, sizes and index maps are written in a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ncdlang.semantics.naming import is_anonymous
from ncdlang.semantics.size import ONE, ZERO, Size, Symbol
from ncdlang.semantics.types import (
    Affine,
    Axis,
    Floor,
    Gathered,
    IndexVariable,
    Kind,
    Mod,
    Wire,
    plain_index,
)

from .options import LabelMode

MINUS = "\N{MINUS SIGN}"
DOT = "\N{MIDDLE DOT}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, slots=True)
class Notation:
    """Writes names or sizes, as `mode` says. `known` gives the sizes that were chosen."""

    mode: LabelMode = "names"
    known: Mapping[Symbol, Size] = field(default_factory=dict[Symbol, Size])

    def inside(self, binding: tuple[tuple[Symbol, Size], ...]) -> Notation:
        """The notation inside a callee, whose unknown sizes are `binding`."""
        inner = {symbol: size.substitute(self.known) for symbol, size in binding}
        return Notation(self.mode, {s: size for s, size in inner.items() if size.value is not None})

    def axis(self, axis: Axis) -> str:
        """The label of an axis wire: `h`, `8`, or `h=8`; the name where no size is known."""
        size = axis.size.substitute(self.known).value
        if self.mode == "names" or size is None:
            if axis.parts:
                return "(" + " ".join(self.axis(part) for part in axis.parts) + ")"
            return axis.name
        return str(size) if self.mode == "sizes" else f"{axis}={size}"

    def kind(self, kind: Kind) -> str:
        """What stands before the axes of an array: `N(v)`, `B`, `bf16`; "" for reals."""
        if kind.name == "integer":
            return "Z"
        if kind.name != "natural":
            return str(kind)
        if kind.bound_axis is not None:
            return f"N({self.axis(kind.bound_axis)})"
        return f"N({self.size(kind.bound)})" if kind.bound is not None else "N"

    def size(self, size: Size, *, bars: bool = False) -> str:
        """A size as a number: `k`, or `|k|` with `bars`, where k could be taken for an index."""
        if self.mode == "sizes":
            size = size.substitute(self.known)
        text = size.render(lambda symbol: f"|{symbol.name}|" if bars else symbol.name)
        return text.replace("*", DOT).replace("-", MINUS)

    def affine(self, index: Affine) -> str:
        """A coordinate of an index map: `2i + j`."""
        text = ""
        for variable, coefficient in index.terms:
            number = coefficient.value
            negative = number is not None and number < 0
            term = self._term(variable, -coefficient if negative else coefficient)
            if text:
                text += f" {MINUS} {term}" if negative else f" + {term}"
            else:
                text = f"{MINUS}{term}" if negative else term
        if not text:
            return self.size(index.constant, bars=True)
        if index.constant == ZERO:
            return text
        number = index.constant.value
        if number is not None and number < 0:
            return f"{text} {MINUS} {-number}"
        return f"{text} + {self.size(index.constant, bars=True)}"

    def _term(self, variable: IndexVariable, coefficient: Size) -> str:
        name = self._variable(variable)
        if coefficient == ONE:
            return name
        if coefficient.value is not None:
            return f"{coefficient.value}{name}"
        text = self.size(coefficient, bars=True)
        return f"({text}){name}" if len(coefficient.terms) > 1 else f"{text}{DOT}{name}"

    def _variable(self, variable: IndexVariable) -> str:
        match variable:
            case Axis():
                return variable.name
            case Floor() | Mod():
                inner = self.affine(variable.numerator)
                inner = inner if variable.numerator.axis is not None else f"({inner})"
                sign = "//" if isinstance(variable, Floor) else "%"
                return f"({inner} {sign} {variable.divisor})"
            case Gathered():
                name = ELLIPSIS if is_anonymous(variable.wire) else variable.wire.name
                return self.read(name, variable.wire, variable.indices)

    def read(
        self, name: str, wire: Wire, indices: tuple[Affine, ...], in_full: bool = False
    ) -> str:
        """A wire at indices; its name alone where each is the axis itself, unless `in_full`."""
        pairs = list(zip(indices, wire.type.axes, strict=True))
        if not pairs or (not in_full and all(is_own_index(i, axis) for i, axis in pairs)):
            return name
        texts = [str(axis) if is_own_index(i, axis) else self.affine(i) for i, axis in pairs]
        plain = all(i.axis is not None for i in indices)
        return f"{name}[{(' ' if plain else ', ').join(texts)}]"


def is_own_index(index: Affine, axis: Axis) -> bool:
    """Whether a coordinate just runs along the axis that it indexes."""
    if index.axis is axis or not axis.parts:
        return index.axis is axis
    return composite_coordinates(index, axis) == {atom: plain_index(atom) for atom in axis.atoms}


def composite_coordinates(index: Affine, axis: Axis) -> dict[Axis, Affine] | None:
    """The coordinates of a composite axis' parts, where `index` is their row-major position."""
    strides: list[Size] = []
    stride = ONE
    for atom in reversed(axis.atoms):
        strides.insert(0, stride)
        stride = stride * atom.size
    if index.constant != ZERO or len(index.terms) != len(strides):
        return None
    found: dict[Axis, Affine] = {}
    for atom, (variable, coefficient), expected in zip(
        axis.atoms, index.terms, strides, strict=True
    ):
        if coefficient != expected:
            return None
        found[atom] = Affine(ZERO, ((variable, ONE),))
    return found


def substitute(index: Affine, images: Mapping[Axis, Affine]) -> Affine:
    """The coordinate with every axis replaced by its image; other axes stay (WWM, Def. 8)."""
    constant = index.constant
    terms: dict[IndexVariable, Size] = {}
    for variable, coefficient in index.terms:
        image = _image(variable, images)
        constant = constant + image.constant * coefficient
        for inner, factor in image.terms:
            terms[inner] = terms.get(inner, ZERO) + factor * coefficient
    return Affine(constant, tuple((v, c) for v, c in terms.items() if c != ZERO))


def _image(variable: IndexVariable, images: Mapping[Axis, Affine]) -> Affine:
    match variable:
        case Axis():
            return images.get(variable) or plain_index(variable)
        case Floor() | Mod():
            inner = type(variable)(substitute(variable.numerator, images), variable.divisor)
            return Affine(ZERO, ((inner, ONE),))
        case Gathered():
            indices = tuple(substitute(index, images) for index in variable.indices)
            return Affine(ZERO, ((Gathered(variable.wire, indices), ONE),))
