"""Terms by their definition: one value for each index, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ncdlang.analysis.proof import _BINARY, _UNARY
from ncdlang.analysis.terms import Array, Term
from ncdlang.semantics.size import Symbol
from ncdlang.semantics.types import Axis


class Values:
    """Values of terms where arrays hold these tensors. Reads out of bounds give the nearest."""

    def __init__(self, arrays: Mapping[Array, torch.Tensor], sizes: Mapping[Symbol, int]) -> None:
        self.arrays = arrays
        self.sizes = dict(sizes)

    def over(self, term: Term, axes: tuple[Axis, ...]) -> torch.Tensor:
        """The values of a term over some axes."""
        shape = [axis.size.evaluate(self.sizes) for axis in axes]
        made = torch.empty(shape, dtype=torch.float64)
        for where in torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(axes)):
            index = tuple(where.tolist())
            made[index] = self.at(term, dict(zip(axes, index, strict=True)))
        return made

    def at(self, term: Term, index: Mapping[Axis, int]) -> Any:
        """The value of a term at an index."""
        match term.op:
            case "number":
                return term.data
            case "size":
                return term.data.evaluate(self.sizes)
            case "index":
                return index[term.data]
            case "load":
                array = self.arrays[term.data]
                where = [int(self.at(arg, index)) for arg in term.args]
                inside = [min(max(i, 0), n - 1) for i, n in zip(where, array.shape, strict=True)]
                return array[tuple(inside)].item()
            case "select":
                return self.at(term.args[1 if self.at(term.args[0], index) else 2], index)
            case _:
                given = [self.at(arg, index) for arg in term.args]
                call: Callable[..., Any] = (_UNARY if len(given) == 1 else _BINARY)[term.op]
                return call(*given)
