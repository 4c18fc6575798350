"""Diagrams of a text on inputs with batch axes, for comparing backends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch

import ncdlang
from ncdlang.semantics.program import CheckedDiagram

Sizes = Mapping[str, int]
BATCHES: list[list[tuple[int, ...]]] = [[()], [(2,), ()], [(), (3,)], [(2, 1), (3,), ()]]


@cache
def library(text: str) -> ncdlang.Library:
    return ncdlang.loads(text)


def names(text: str) -> list[str]:
    return [name for name in re.findall(r"^diagram (\w+)", text, re.MULTILINE) if name != "cell"]


def inputs_of(
    diagram: CheckedDiagram, sizes: Sizes, batch: Sequence[tuple[int, ...]]
) -> list[torch.Tensor]:
    torch.manual_seed(7)
    values = {symbol: sizes[symbol.name] for symbol in diagram.unknowns}
    found: list[torch.Tensor] = []
    for position, wire in enumerate(diagram.parameters):
        own = [axis.size.evaluate(values) for axis in wire.type.axes]
        shape = (*batch[position % len(batch)], *own)
        kind = wire.type.kind
        if kind.bound is not None:
            found.append(torch.randint(0, max(kind.bound.evaluate(values), 1), shape))
        elif kind.name == "boolean":
            found.append(torch.rand(shape) > 0.5)
        else:
            found.append(torch.randn(shape, dtype=torch.float64))
    return found


def built(lib: ncdlang.Library, name: str, sizes: Sizes, backend: str = "torch") -> Any:
    diagram = lib.program.diagram(name)
    assert diagram is not None
    wanted = {symbol.name: sizes[symbol.name] for symbol in diagram.unknowns}
    return lib.module(name, sizes=wanted, dtype="f64", backend=backend).eval()


def as_tuple(value: Any) -> tuple[torch.Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)
