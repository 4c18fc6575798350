"""Arrays that `ncdc run` reads, makes up, summarises and compares."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from ncdlang.cli.console import CommandError
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.scope import closest
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Kind, Wire

Array = np.ndarray
Sizes = dict[Symbol, int]
SHOWN = 6


def read_inputs(items: Sequence[str], diagram: CheckedDiagram) -> dict[str, Array]:
    """The arrays of `--input NAME=FILE.npy`."""
    known = {wire.name: wire for wire in diagram.parameters}
    given: dict[str, Array] = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not equals:
            raise CommandError(f"`--input {item}` is not of the form NAME=FILE.npy")
        if name not in known:
            near = closest(name, known)
            hint = f"did you mean `{near}`?" if near else f"its inputs are {', '.join(known)}"
            raise CommandError(f"{diagram.name} has no input `{name}`", hint)
        given[name] = load_array(path)
        rank = len(known[name].type.axes)
        if given[name].ndim < rank:
            raise CommandError(
                f"{path} has {given[name].ndim} axes, but {known[name]} needs at least {rank}"
            )
    return given


def load_array(path: str) -> Array:
    """The array in a .npy file, which is data: pickled objects are refused."""
    try:
        with open(path, "rb") as file:
            array: object = np.load(file, allow_pickle=False)
    except OSError as error:
        raise CommandError(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except (ValueError, EOFError) as error:
        raise CommandError(f"cannot read {path}: it is no .npy file of numbers") from error
    if not isinstance(array, np.ndarray):
        raise CommandError(
            f"cannot read {path}: it holds several arrays; --input takes a .npy file"
        )
    return cast(Array, array)


def solve_sizes(
    diagram: CheckedDiagram, given: Mapping[str, Array], values: Mapping[str, int | float]
) -> Sizes:
    """The size of every unknown: from `--size` and configs, the given arrays, then defaults."""
    sizes: Sizes = {}
    for symbol in diagram.unknowns:
        value = values.get(symbol.name)
        if isinstance(value, int):
            sizes[symbol] = value
    equations = [
        (axis.size, length)
        for wire in diagram.parameters
        if wire.name in given
        for axis, length in zip(
            reversed(wire.type.axes), reversed(given[wire.name].shape), strict=False
        )
    ]
    # What one input tells may be what another one needs: `[x, (h k)]` gives h once k is known.
    for _ in equations:
        for size, length in equations:
            _solve(size, length, sizes)
    for free in diagram.free:
        symbol = free.axis.symbol
        if symbol is not None and free.default is not None and _is_known(free.default, sizes):
            sizes.setdefault(symbol, free.default.evaluate(sizes))
    missing = [symbol.name for symbol in diagram.unknowns if symbol not in sizes]
    if missing:
        example = ",".join(f"{name}={8}" for name in missing)
        raise CommandError(
            f"{diagram.name} needs the size of {', '.join(missing)}", f"give --size {example}"
        )
    return {symbol: sizes[symbol] for symbol in diagram.unknowns}


def _solve(size: Size, value: int, sizes: Sizes) -> None:
    """Learn the one unknown of `size = value`, if the size is a multiple of it.

    A value that does not fit is left to the module, whose message names the axes.
    """
    open_symbols = size.symbols() - sizes.keys()
    if len(open_symbols) != 1 or len(size.terms) != 1:
        return
    (symbol,) = open_symbols
    monomial, coefficient = size.terms[0]
    if dict(monomial).get(symbol) != 1:
        return
    factor = coefficient
    for atom, power in monomial:
        if atom != symbol:
            factor *= Size.of(atom).evaluate(sizes) ** power
    if factor and value % factor == 0:
        sizes[symbol] = value // factor


def _is_known(size: Size, sizes: Sizes) -> bool:
    return size.symbols() <= sizes.keys()


def fill_inputs(
    diagram: CheckedDiagram, given: Mapping[str, Array], sizes: Sizes, seed: int
) -> list[Array]:
    """All inputs in order; those not given are random, each by a generator of its own."""
    inputs: list[Array] = []
    for number, wire in enumerate(diagram.parameters):
        if wire.name in given:
            inputs.append(given[wire.name])
        else:
            shape = tuple(axis.size.evaluate(sizes) for axis in wire.type.axes)
            generator = np.random.default_rng([abs(seed), number])
            inputs.append(_random(wire, shape, sizes, generator))
    return inputs


def _random(
    wire: Wire, shape: tuple[int, ...], sizes: Sizes, generator: np.random.Generator
) -> Array:
    kind: Kind = wire.type.kind
    match kind.name:
        case "natural" | "integer":
            bound = kind.bound.evaluate(sizes) if kind.bound is not None else 10
            if bound <= 0 and 0 not in shape:
                raise CommandError(f"there is no natural below 0 to fill {wire} with")
            return generator.integers(0, max(bound, 1), shape)
        case "boolean":
            return generator.integers(0, 2, shape).astype(bool)
        case "complex":
            return generator.standard_normal(shape) + 1j * generator.standard_normal(shape)
        case _:
            return generator.standard_normal(shape)


def summary(wire: Wire, name: str, array: Array) -> str:
    """What a person looks at first: the type, the shape, a few numbers about it and of it."""
    shape = " x ".join(map(str, array.shape)) or "a scalar"
    lines = [f"{name}: {wire.type} = {shape}"]
    if array.size and array.dtype.kind in "fiu":
        numbers = array.astype(np.float64)
        with np.errstate(invalid="ignore"):
            told = {
                "mean": numbers.mean(),
                "std": numbers.std(),
                "min": numbers.min(),
                "max": numbers.max(),
            }
        lines.append("  " + "  ".join(f"{what} {number:.6g}" for what, number in told.items()))
    first = [_entry(value) for value in array.ravel()[:SHOWN].tolist()]
    dots = ", ..." if array.size > SHOWN else ""
    lines.append(f"  [{', '.join(first)}{dots}]")
    return "\n".join(lines)


def _entry(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | complex) else str(value).lower()


def difference(result: Array, other: Array) -> float:
    """The largest difference, relative to values above 1; inf where only one is finite."""
    if not result.size:
        return 0.0
    kind = np.complex128 if "c" in (result.dtype.kind, other.dtype.kind) else np.float64
    left, right = result.astype(kind), other.astype(kind)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right) / np.maximum(1.0, np.abs(right))
    apart = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    return float(apart.max())


def npz(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as the content of a .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()
