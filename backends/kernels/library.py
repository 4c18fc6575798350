"""What no kernel does: a term evaluated by PyTorch's own operators, as a library call would.

Every array has a leading dimension of lifted axes, of size 1 where it has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.chosen import chosen
from ncdlang.analysis.terms import Array, Term, Terms, number_kind, parts
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis

if TYPE_CHECKING:
    import torch

_BINARY = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "eq": "eq",
    "ne": "ne",
    "lt": "lt",
    "le": "le",
    "gt": "gt",
    "ge": "ge",
    "and": "logical_and",
    "or": "logical_or",
    "max": "maximum",
    "min": "minimum",
    "pow": "pow",
    "mod": "remainder",
    "div": "true_divide",
}
_UNARY = {
    "abs": "abs",
    "sign": "sign",
    "exp": "exp",
    "log": "log",
    "log1p": "log1p",
    "expm1": "expm1",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "erf": "erf",
    "floor": "floor",
    "ceil": "ceil",
    "round": "round",
    "not": "logical_not",
    "neg": "neg",
    "still": "detach",
}


@dataclass(frozen=True, slots=True)
class Named:
    """A tensor whose dimensions are the lifted one, then the axes."""

    tensor: torch.Tensor
    axes: tuple[Axis, ...]


@dataclass(eq=False, slots=True)
class Evaluator:
    """Evaluates terms, each once. `arrays` are those that loads read.

    Where it is `exact`, products of matrices are taken in f32 at least.
    """

    terms: Terms
    arrays: Mapping[Array, torch.Tensor]
    sizes: Mapping[Symbol, int]
    dtype: torch.dtype
    device: torch.device
    exact: bool = False
    memo: dict[Term, Named] = field(default_factory=dict[Term, Named])

    def run(self, term: Term, axes: tuple[Axis, ...]) -> torch.Tensor:
        """The values of a term over the axes."""
        named = self.value(term if self.exact else chosen(self.terms, term))
        tensor = self.over(named, axes)
        shape = (tensor.shape[0], *(self.length(axis.size) for axis in axes))
        return tensor.expand(shape)

    def length(self, size: Size) -> int:
        """A size as a number."""
        return size.evaluate(self.sizes)

    def over(self, named: Named, axes: tuple[Axis, ...]) -> torch.Tensor:
        """The tensor with a dimension for each axis, of size 1 where it lacks it."""
        order = [named.axes.index(axis) + 1 for axis in axes if axis in named.axes]
        tensor = named.tensor.permute(0, *order)
        for position, axis in enumerate(axes):
            if axis not in named.axes:
                tensor = tensor.unsqueeze(position + 1)
        return tensor

    def value(self, term: Term) -> Named:
        """The value of a term over its free axes."""
        if term not in self.memo:
            self.memo[term] = self._made(term)
        return self.memo[term]

    def _made(self, term: Term) -> Named:
        import torch

        match term.op:
            case "number":
                return self._scalar(term.data)
            case "size":
                return self._scalar(self.length(term.data))
            case "index":
                count = self.length(term.data.size)
                return Named(torch.arange(count, device=self.device)[None], (term.data,))
            case "load":
                return self._load(term)
            case "fold":
                return self._fold(term)
            case _:
                return self._apply(term)

    def _scalar(self, value: float | int | bool) -> Named:
        import torch

        kinds = {bool: torch.bool, int: torch.int64}
        dtype = kinds.get(type(value), self.wide)
        return Named(torch.tensor([value], dtype=dtype, device=self.device), ())

    @property
    def wide(self) -> torch.dtype:
        """The format that everything pointwise is worked out in."""
        import torch

        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def _widened(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.wide) if tensor.is_floating_point() else tensor

    # ---- elementwise -----------------------------------------------------------------------------

    def _joined(self, values: list[Named]) -> tuple[list[torch.Tensor], tuple[Axis, ...]]:
        axes = tuple(dict.fromkeys(axis for value in values for axis in value.axes))
        return [self.over(value, axes) for value in values], axes

    def _apply(self, term: Term) -> Named:
        import torch

        values = [self.value(arg) for arg in term.args]
        tensors, axes = self._joined(values)
        if term.op == "real" or term.op == "cast":
            made = tensors[0] if tensors[0].is_floating_point() else tensors[0].to(self.wide)
            return Named(made, axes)
        tensors = [self._widened(tensor) for tensor in tensors]
        if number_kind(term) == "real" and term.op != "select":
            tensors = [t if t.is_floating_point() else t.to(self.wide) for t in tensors]
        if term.op == "select":
            condition, then, otherwise = tensors
            return Named(torch.where(condition, then, otherwise), axes)
        if term.op == "floordiv":
            return Named(torch.div(tensors[0], tensors[1], rounding_mode="floor"), axes)
        name = _BINARY.get(term.op) or _UNARY[term.op]
        call: Any = getattr(torch, name)
        return Named(call(*tensors), axes)

    # ---- reads -----------------------------------------------------------------------------------

    def _load(self, term: Term) -> Named:
        import torch

        tensor = self.arrays[term.data]
        plain = [arg.data for arg in term.args if arg.op == "index"]
        own = [
            arg.op == "index" and self.length(arg.data.size) == tensor.shape[i + 1]
            for i, arg in enumerate(term.args)
        ]
        if all(own) and len(set(plain)) == len(term.args):
            return Named(tensor, tuple(plain))
        indices, axes = self._joined([self.value(arg) for arg in term.args])
        # Where a branch is not chosen an index may lie outside: any entry will do there.
        clamped = [
            index.clamp(0, max(tensor.shape[i + 1] - 1, 0)) for i, index in enumerate(indices)
        ]
        lift = torch.arange(tensor.shape[0], device=self.device)
        lift = lift.reshape(-1, *(1 for _ in axes))
        return Named(tensor[(lift, *clamped)], axes)

    # ---- folds -----------------------------------------------------------------------------------

    def _fold(self, term: Term) -> Named:
        if term.kind == "sum":
            factors = parts(self.terms, term.args[0])
            if len(factors) > 1:
                return self._contraction(term, factors)
        body = self.value(term.args[0])
        return self._reduction(term, body)

    def _reduction(self, term: Term, body: Named) -> Named:
        import torch

        kept = tuple(axis for axis in body.axes if axis not in term.bound)
        lengths = [self.length(axis.size) for axis in term.bound]
        tensor = self.over(body, (*kept, *term.bound))
        tensor = tensor.expand(*tensor.shape[: len(kept) + 1], *lengths)
        tensor = self._widened(tensor).flatten(len(kept) + 1)
        call: dict[str, Any] = {
            "sum": torch.sum,
            "max": torch.amax,
            "min": torch.amin,
            "prod": torch.prod,
            "any": torch.any,
            "all": torch.all,
            "argmax": torch.argmax,
            "argmin": torch.argmin,
        }
        if not math.prod(lengths) and term.kind in ("max", "min"):
            worst = float("-inf") if term.kind == "max" else float("inf")
            return Named(torch.full(tensor.shape[:-1], worst, device=self.device), kept)
        return Named(call[term.kind](tensor, dim=-1), kept)

    def _contraction(self, term: Term, factors: list[Term]) -> Named:
        """An einsum in the format of the module, as a library call would do it."""
        import torch

        values = [self.value(factor) for factor in factors]
        kept = tuple(
            dict.fromkeys(a for value in values for a in value.axes if a not in term.bound)
        )
        every = tuple(dict.fromkeys((*kept, *term.bound)))
        letters = {axis: chr(ord("a") + i) for i, axis in enumerate(every)}
        lifted = max(value.tensor.shape[0] for value in values)
        operands: list[torch.Tensor] = []
        inputs: list[str] = []
        missing = 1
        for axis in term.bound:
            if not any(axis in value.axes for value in values):
                missing *= self.length(axis.size)
        # A sum of squares leaves the range of f16, and is no product of matrices.
        is_wide = self.exact or len({frozenset(value.axes) for value in values}) == 1
        dtype = self.wide if is_wide else self.dtype
        for value in values:
            tensor = value.tensor.to(dtype)
            has_lift = tensor.shape[0] == lifted and lifted > 1
            operands.append(tensor if has_lift else tensor[0])
            inputs.append(("Z" if has_lift else "") + "".join(letters[a] for a in value.axes))
        output = ("Z" if lifted > 1 else "") + "".join(letters[a] for a in kept)
        made = torch.einsum(f"{','.join(inputs)}->{output}", *operands)
        made = made * missing if missing != 1 else made
        return Named(made if lifted > 1 else made[None], kept)
