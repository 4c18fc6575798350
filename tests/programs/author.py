"""What a generated file and a diagram in it consist of, with all sizes and types known."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

T = TypeVar("T")
AXES = ("a", "b", "c", "d", "i", "j", "k", "m", "n", "p", "q", "s", "t", "u", "v", "w", "x", "y")
SIZES = (2, 3, 2, 3, 1, 5, 2, 3, 4, 1, 7, 0)
KINDS = ("real", "bool", "complex")
FORMATS = ("f32", "bf16", "f16", "f8e4m3", "f8e5m2", "f64")
VOLUME = 700


@dataclass(frozen=True, slots=True)
class Wire:
    """A wire in scope. `kind` is one of KINDS, or the axis that its naturals stay below.

    `bound` is about how large entries are, and `raw` says that they are inputs, without ties.
    A composite axis is written `(h k)`.
    """

    name: str
    axes: tuple[str, ...]
    kind: str = "real"
    bound: float = 2.0
    raw: bool = False
    form: str = ""

    @property
    def type(self) -> str:
        prefix = {"real": self.form, "bool": "B", "complex": "C"}.get(self.kind, f"N({self.kind})")
        return f"{prefix}{bracket(self.axes)}"

    @property
    def atoms(self) -> tuple[str, ...]:
        return atoms(self.axes)

    @property
    def is_plain(self) -> bool:
        return all(axis[0] != "(" for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression of reals: `level` 1 is a sum, 2 a product, 3 a power, 4 needs no brackets."""

    text: str
    bound: float
    level: int = 4

    def at(self, level: int) -> str:
        """The text where an operand of that level stands."""
        return self.text if self.level >= level else f"({self.text})"


def atoms(axes: Iterable[str]) -> tuple[str, ...]:
    """The axes, composite ones as their parts."""
    return tuple(part for axis in axes for part in axis.strip("()").split())


def bracket(axes: Sequence[str]) -> str:
    """`[q h k]`, or with commas where one is no plain name."""
    plain = all(re.fullmatch(r"[^\W\d][\w']*", axis) for axis in axes)
    return f"[{(' ' if plain else ', ').join(axes)}]"


@dataclass(slots=True)
class File:
    """A file that is being written."""

    random: Random
    smooth: bool = False
    only: frozenset[str] = frozenset()
    uses: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    imports: list[str] = field(default_factory=list[str])
    heads: list[str] = field(default_factory=list[str])
    diagrams: list[str] = field(default_factory=list[str])
    helpers: list[tuple[str, int, float]] = field(default_factory=list[tuple[str, int, float]])
    consts: dict[str, float] = field(default_factory=dict[str, float])
    axes: dict[str, int] = field(default_factory=dict[str, int])
    given: dict[str, int] = field(default_factory=dict[str, int])
    used: set[str] = field(default_factory=set[str])
    counters: dict[str, int] = field(default_factory=dict[str, int])
    liftable: bool = True
    names: set[str] = field(default_factory=set[str])

    def name(self, stem: str) -> str:
        """A name that nothing else in the file has."""
        self.counters[stem] = self.counters.get(stem, 0) + 1
        made = f"{stem}{self.counters[stem]}"
        self.names.add(made)
        return made

    def use(self, module: str, name: str) -> str:
        """Import a diagram of the library."""
        self.uses.setdefault(module, set()).add(name)
        self.used.add(f"library:{name}")
        return name

    def text(self, main: str) -> str:
        """The whole file."""
        lines = [
            f"use {m}.{{{', '.join(sorted(names))}}}" for m, names in sorted(self.uses.items())
        ]
        return "\n".join([*lines, *self.imports, *self.heads, *self.diagrams, main]) + "\n"


@dataclass(slots=True)
class Author:
    """A diagram that is being written. `depth` is how many levels of calls may still be made."""

    file: File
    depth: int
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    overridden: set[str] = field(default_factory=set[str])  # axes whose default is another size
    wires: list[Wire] = field(default_factory=list[Wire])
    lines: list[str] = field(default_factory=list[str])
    formals: list[str] = field(default_factory=list[str])
    bare: bool = False
    margin: str = "  "
    learns: int = 0
    consts: dict[str, float] = field(default_factory=dict[str, float])

    # ---- choices -------------------------------------------------------------------------------

    @property
    def random(self) -> Random:
        return self.file.random

    @property
    def smooth(self) -> bool:
        return self.file.smooth

    def chance(self, percent: int) -> bool:
        return self.random.randint(0, 99) >= 100 - percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.random.randint(0, len(items) - 1)]

    def some(self, items: Sequence[T], least: int, most: int) -> list[T]:
        """Between `least` and `most` of the items, in any order."""
        rest = list(items)
        count = self.random.randint(min(least, len(rest)), min(most, len(rest)))
        return [rest.pop(self.random.randint(0, len(rest) - 1)) for _ in range(count)]

    # ---- names and sizes -----------------------------------------------------------------------

    def axis(self, size: int, stem: str = "") -> str:
        """A new axis of that size. The caller declares it or lets it be inferred."""
        free = [name for name in AXES if name not in self.sizes and name not in self.file.axes]
        primed = [f"{name}'" for name in list(self.sizes)[:2] if f"{name}'" not in self.sizes]
        name = self.pick(free) if free else self.file.name("ax")
        if primed and self.chance(15) and primed[0][-2] != "'":
            name = primed[0]
        self.sizes[name] = size
        self.file.names.add(name)
        return name

    def declared(self, size: int) -> str:
        """A new local axis that the body declares with a number."""
        name = self.axis(size)
        self.say(f"axis {name} = {size}")
        return name

    def size(self, axis: str) -> int:
        return math.prod(self.sizes[atom] for atom in atoms((axis,)))

    def volume(self, axes: Iterable[str]) -> int:
        return math.prod(max(self.sizes[atom], 1) for atom in atoms(axes))

    def fits(self, axes: Iterable[str]) -> bool:
        return self.volume(dict.fromkeys(atoms(axes))) <= VOLUME

    # ---- wires and lines -----------------------------------------------------------------------

    def say(self, line: str) -> None:
        self.lines.append(f"{self.margin}{line}")

    def wire(self) -> str:
        return self.file.name(self.pick(("W", "A", "B", "P", "W'")).replace("'", "_"))

    def add(
        self, name: str, axes: Iterable[str], kind: str = "real", bound: float = 2.0, form: str = ""
    ) -> Wire:
        made = Wire(name, tuple(axes), kind, bound, False, form)
        self.wires.append(made)
        return made

    def reals(self, least: int = 0, raw: bool = False, plain: bool = True) -> list[Wire]:
        """Wires of reals with at least so many axes, the newest last."""
        return [
            w
            for w in self.wires
            if w.kind == "real"
            and len(w.axes) >= least
            and (w.raw or not raw)
            and (w.is_plain or not plain)
            and not w.form
        ]

    def natural(self) -> list[Wire]:
        return [w for w in self.wires if w.kind not in KINDS]

    def recent(self, wires: Sequence[Wire]) -> Wire:
        """One of the wires, rather a new one."""
        return wires[
            max(self.random.randint(0, len(wires) - 1), self.random.randint(0, len(wires) - 1))
        ]

    def choose_axes(self, least: int = 0, most: int = 3) -> list[str]:
        """Axes for a new wire."""
        axes = self.some(list(self.sizes), least, most)
        while not self.fits(axes):
            axes.pop()
        return axes
