"""The variables of the functions that are written round kernels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ncdlang.analysis.terms import Array, Terms
from ncdlang.semantics.size import Size, Symbol

from ..pytorch.names import Scope, local_scope
from ..pytorch.sizes import Code, size_code
from .expressions import Unsupported
from .helpers import NAMES
from .torch_text import TorchWriter

LETTERS = re.compile(r"[^0-9A-Za-z_]")


def plain(name: str) -> str:
    """A name in the letters that operations of PyTorch may have."""
    text = LETTERS.sub("_", name)
    return text if text[:1].isalpha() else f"x{text}"


@dataclass(eq=False, slots=True)
class Sizes:
    """The variables of unknown sizes, the same in all functions of a file."""

    names: dict[Symbol, str] = field(default_factory=dict[Symbol, str])
    scope: Scope = field(default_factory=lambda: local_scope(NAMES))

    def name(self, symbol: Symbol) -> str:
        """The variable of an unknown size."""
        if symbol not in self.names:
            self.names[symbol] = self.scope.claim(f"n_{plain(symbol.name)}")
        return self.names[symbol]

    def text(self, size: Size) -> str:
        """A size as an expression, which does not depend on names."""
        return size_code(size, lambda symbol: Code(self.name(symbol)), as_made=True).text

    def listed(self, first: Iterable[Size], rest: Iterable[Size]) -> list[str]:
        """The variables that sizes are made of: the first ones as they stand, then in order."""
        found = [symbol for size in first for symbol in _in_order(size.symbols())]
        found += _in_order(symbol for size in rest for symbol in size.symbols())
        return [self.name(symbol) for symbol in dict.fromkeys(found)]


def _in_order(symbols: Iterable[Symbol]) -> list[Symbol]:
    return sorted(symbols, key=lambda symbol: symbol.uid)


def _no_module(path: tuple[str, ...]) -> str:
    raise Unsupported(f"{path[-1]} is called inside of an operation")


@dataclass(eq=False, slots=True)
class Function:
    """The variables of one function; `module` writes how it reads a module by its instances."""

    sizes: Sizes
    taken: frozenset[str]
    arrays: dict[Array, str] = field(default_factory=dict[Array, str])
    module: Callable[[tuple[str, ...]], str] = field(default=_no_module)
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = local_scope({*NAMES, *self.taken, *self.sizes.names.values(), "self"})
        for name in ("dtype", "wide", "lift", "keep", "fits", "lead", "gradient"):
            self.scope.claim(name)

    def array(self, array: Array) -> str:
        """The variable of an array."""
        if array not in self.arrays:
            self.arrays[array] = self.scope.claim(plain(str(array)))
        return self.arrays[array]

    def writer(
        self, terms: Terms, like: str, exact: bool, differentiated: bool = False
    ) -> TorchWriter:
        """A writer of terms into the function."""
        return TorchWriter(
            terms,
            _Arrays(self),
            self.sizes.text,
            lambda n: self.scope.claim_numbered(plain(n)),
            like,
            exact,
            differentiated,
        )


class _Arrays(dict[Array, str]):
    """The variables of arrays, made when they are asked for."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, array: Array) -> str:
        return self.function.array(array)


def format_of(array: Array) -> str:
    """The format of an array that is made."""
    if array.kind.format == "f32":
        return "wide"
    kinds = {"integer": "torch.int64", "natural": "torch.int64", "boolean": "torch.bool"}
    return kinds.get(array.kind.name, "dtype")


def anchor(arrays: Iterable[Array]) -> Array | None:
    """An array in the format of the module."""
    real = [array for array in arrays if array.kind.name == "real"]
    return next((a for a in real if a.kind.format != "f32"), real[0] if real else None)


def room_for(array: Array, function: Function, like: str) -> str:
    """An array that is to be filled."""
    shape = ", ".join(["lift", *(function.sizes.text(axis.size) for axis in array.axes)])
    return f"{like}.new_empty({shape}, dtype={format_of(array)})"
