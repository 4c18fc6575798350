"""Runs a plan step by step, where it holds steps that no file can be written of."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.terms import Array
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.targets import Request

from ..pytorch import attribute_names
from .runner import Call
from .sizes import solve
from .training import Runner

if TYPE_CHECKING:
    import torch

FORMATS = ("float32", "bfloat16", "float16")


class Derivation:
    """The opened diagram, and a runner for each choice of sizes that plans differently."""

    def __init__(self, diagram: CheckedDiagram, given: Mapping[str, int]) -> None:
        self.diagram = diagram
        self.given = given
        self.opened = open_diagram(diagram)
        self.runners: dict[Any, Runner] = {}

    @staticmethod
    def of(diagram: CheckedDiagram, given: Mapping[str, int]) -> Derivation | None:
        """The derivation, None where the diagram holds what has no equations."""
        try:
            return Derivation(diagram, given)
        except Opaque:
            return None

    def runner(self, sizes: dict[Any, int]) -> Runner:
        """The kernels for some sizes; what is short enough for a tile decides the plan."""
        key = tuple((symbol, _class_of(sizes[symbol])) for symbol in sorted(sizes))
        if key not in self.runners:
            self.runners[key] = Runner(make_plan(self.opened, sizes), sizes)
        return self.runners[key]

    def names(self, sizes: dict[Any, int] | None) -> tuple[str, ...]:
        """The names of the kernels."""
        return self.runner(sizes if sizes is not None else {}).names


def _class_of(length: int) -> int:
    """Sizes that plan alike: short ones, those that a tile holds, and all others."""
    return 0 if length <= 256 else 1


def called(
    module: Any, request: Request, derivation: Derivation | None, inputs: tuple[Any, ...]
) -> tuple[Any, tuple[str, ...]] | None:
    """The results and the kernels that ran, None where the emitted code has to do it."""
    import torch

    diagram = request.diagram
    if derivation is None or len(inputs) != len(diagram.parameters):
        return None
    if not all(isinstance(value, torch.Tensor) for value in inputs):
        return None
    if not _runs_on(inputs, module):
        return None
    ranks = [len(wire.type.axes) for wire in diagram.parameters]
    extra = [value.dim() - rank for value, rank in zip(inputs, ranks, strict=True)]
    if min(extra, default=0) < 0:
        return None
    shapes = [tuple(v.shape[e:]) for v, e in zip(inputs, extra, strict=True)]
    sizes = solve(diagram, shapes, derivation.given)
    if sizes is None:
        return None
    try:
        lifted = torch.broadcast_shapes(
            *(tuple(v.shape[:e]) for v, e in zip(inputs, extra, strict=True))
        )
    except RuntimeError:
        return None
    runner = derivation.runner(sizes)
    if not runner.names or not runner.is_stepwise:
        return None
    arrays: dict[Array, torch.Tensor] = {}
    for array, value, count in zip(derivation.opened.inputs, inputs, extra, strict=True):
        arrays[array] = _with_lift(value, count, tuple(lifted))
    for array in derivation.opened.parameters:
        arrays[array] = _parameter(module, diagram, array)[None]
    tensors = (*inputs, *module.parameters(), *module.buffers())
    anchor = next(tensor for tensor in tensors if tensor.is_floating_point())
    call = Call(sizes, math.prod(lifted), anchor.dtype, anchor.device)
    made, ran = runner.run(arrays, call)
    shaped = tuple(
        tensor.expand(math.prod(lifted), *tensor.shape[1:]).reshape(
            (*lifted, *(axis.size.evaluate(sizes) for axis in wire.type.axes))
        )
        for tensor, wire in zip(made, diagram.results, strict=True)
    )
    return (shaped[0] if len(shaped) == 1 else shaped), ran


def _runs_on(inputs: tuple[Any, ...], module: Any) -> bool:
    """Whether kernels run here: on a GPU, or in Triton's interpreter."""
    tensors = [*inputs, *module.parameters(), *module.buffers()]
    if not tensors:
        return False
    kinds = {tensor.device.type for tensor in tensors}
    if not any(tensor.is_floating_point() for tensor in tensors):
        return False
    floats = {str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point()}
    if not floats <= set(FORMATS) or len(floats) != 1:
        return False
    return kinds == {"cuda"} or (kinds == {"cpu"} and os.environ.get("TRITON_INTERPRET") == "1")


def _with_lift(value: Any, count: int, lifted: tuple[int, ...]) -> torch.Tensor:
    """One lifted dimension in front, of size 1 where the input has none."""
    if not count:
        return value[None]
    own = tuple(value.shape[count:])
    if math.prod(value.shape[:count]) == 1:
        return value.reshape(1, *own)
    return value.expand(*lifted, *own).reshape(math.prod(lifted), *own)


def _parameter(module: Any, diagram: CheckedDiagram, array: Array) -> torch.Tensor:
    """The tensor of a parameter, found by the instances on its path."""
    for name in array.path:
        stem, dot, count = name.partition(".")
        attribute = attribute_names(diagram)[stem]
        module = module.get_submodule(f"{attribute}.{count}" if dot else attribute)
        diagram = next(i.callee for i in diagram.instances if i.name == name)
    return getattr(module, attribute_names(diagram)[array.name])
