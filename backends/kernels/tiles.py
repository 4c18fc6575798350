"""Tiles: the dimensions of a kernel, the values in it, and where their lines stand."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field

from ncdlang.analysis.terms import Term
from ncdlang.semantics.types import Axis

LETTERS = re.compile(r"[^0-9A-Za-z_]")


@dataclass(eq=False, slots=True)
class Dim:
    """One dimension of tiles: some axes flattened row-major.

    `offset` names the vector of flattened indices and `valid` its mask. A dimension without
    `block` is a batch: its indices are scalars.
    """

    role: str
    axes: tuple[Axis, ...]
    offset: str = ""
    valid: str = ""
    block: str = ""
    length: str = ""
    indices: dict[Axis, str] = field(default_factory=dict[Axis, str])


@dataclass(frozen=True, slots=True)
class Value:
    """An expression of the kernel, and the dimensions of the tile that it is.

    `kind` is `raw` for what was loaded in the format of its array, else `real`, `integer` or
    `boolean`. `atomic` says that it needs no parentheses.
    """

    text: str
    dims: tuple[Dim, ...] = ()
    kind: str = "real"
    atomic: bool = False
    dtype: str = ""

    def wrapped(self) -> str:
        """The text as an operand of anything."""
        return self.text if self.atomic else f"({self.text})"


@dataclass(eq=False, slots=True)
class Scope:
    """A block of lines. What needs only outer indices is written in the outer block.

    What `before` has written already is used again, but nothing is added to it.
    """

    lines: list[str]
    indent: int
    env: dict[Axis, Dim]
    outer: tuple[Scope, ...] = ()
    folds: dict[Term, Value] = field(default_factory=dict[Term, Value])
    memo: dict[object, Value] = field(default_factory=dict[object, Value])
    inside: dict[Dim, Scope] = field(default_factory=dict[Dim, "Scope"])
    before: Scope | None = None

    def write(self, line: str) -> None:
        """Add a line."""
        self.lines.append("    " * self.indent + line)


def within(scope: Scope, dim: Dim) -> Scope:
    """The scope in which the axes of a dimension are known as well, in all scopes round it."""
    known = scope.inside.get(dim)
    if known is None:
        outer: list[Scope] = [scope]
        for each in scope.outer:
            outer += [within(each, dim), each]
        env = {**scope.env, **dict.fromkeys(dim.axes, dim)}
        known = Scope(scope.lines, scope.indent, env, tuple(outer), scope.folds)
        scope.inside[dim] = known
    return known


class Names:
    """Identifiers of the kernel, each given once."""

    def __init__(self) -> None:
        self._taken: set[str] = {"tl", "triton", "float", "range"}

    def claim(self, wanted: str) -> str:
        """A fresh identifier like `wanted`."""
        base = LETTERS.sub("_", wanted.replace("'", "_p")).strip("_") or "a"
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"a{base}"
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}{count}"
        self._taken.add(name)
        return name


def shaped(value: Value, dims: tuple[Dim, ...], cast: bool = True) -> str:
    """The text of a value, so that it broadcasts over a tile with `dims`."""
    text = value.text
    if cast and value.kind == "raw":
        text = f"{value.wrapped()}.to(tl.float32)"
    if len(dims) < 2 or len(value.dims) != 1:
        return text if value.atomic or text is not value.text else f"({text})"
    at = "[:, None]" if value.dims[0] is dims[0] else "[None, :]"
    if cast and value.kind == "raw":
        return f"{value.wrapped()}{at}.to(tl.float32)"
    return f"{value.wrapped()}{at}"


def joined(dims: tuple[Dim, ...], *values: Value) -> tuple[Dim, ...]:
    """The dimensions that values have together, in the order of `dims`."""
    present = {dim for value in values for dim in value.dims}
    return tuple(dim for dim in dims if dim in present)
