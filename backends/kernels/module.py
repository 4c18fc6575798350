"""The module of a diagram whose regions run as derived kernels."""

from __future__ import annotations

import math
import os
import sys
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.terms import Array
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.targets import Request

from ..pytorch import PyTorchBackend, attribute_names
from .runner import Call
from .sizes import solve
from .training import Runner

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMATS = ("float32", "bfloat16", "float16")


def triton_module(request: Request) -> nn.Module:
    """The PyTorch module of a request, its forward pass through kernels where they run.

    `kernels` lists the regions that have one, `last_run` those that the last call ran.
    """
    plain = PyTorchBackend().module(request)
    cls: Any = type(plain)

    class Derived(cls):
        """Runs derived kernels, or what the PyTorch backend emits where there are none."""

        def forward(self, *inputs: torch.Tensor) -> Any:
            import torch

            # Kernels are planned from the sizes of a call, which a compiled graph has not yet.
            if torch.compiler.is_compiling():
                return super().forward(*inputs)
            self.last_run = ()
            found = _called(self, request, self._derivation, inputs)
            if found is None:
                return super().forward(*inputs)
            made, self.last_run = found
            return made

        @property
        def kernels(self) -> tuple[str, ...]:
            """The names of the kernels that the diagram has at the sizes given."""
            derivation = self._derivation
            return derivation.names(None) if derivation is not None else ()

    _importable(cls)
    Derived.__name__ = Derived.__qualname__ = cls.__name__
    derivation = _Derivation.of(request.diagram, request.sizes)
    plain.__class__ = Derived
    object.__setattr__(plain, "_derivation", derivation)
    object.__setattr__(plain, "last_run", ())
    return plain


def _importable(cls: Any) -> None:
    """Let torch.compile find the module of an emitted class, whose methods `Derived` calls."""
    if cls.__module__ not in sys.modules:
        module = types.ModuleType(cls.__module__)
        module.__dict__.update(cls.forward.__globals__)
        sys.modules[cls.__module__] = module


class _Derivation:
    """The opened diagram, and a runner for each choice of sizes that plans differently."""

    def __init__(self, diagram: CheckedDiagram, given: Mapping[str, int]) -> None:
        self.diagram = diagram
        self.given = given
        self.opened = open_diagram(diagram)
        self.runners: dict[Any, Runner] = {}
        # Which sums are taken in another order depends on how long their axes are.
        self.choices = make_plan(self.opened).choices

    @staticmethod
    def of(diagram: CheckedDiagram, given: Mapping[str, int]) -> _Derivation | None:
        """The derivation, None where the diagram holds what has no equations."""
        try:
            return _Derivation(diagram, given)
        except Opaque:
            return None

    def runner(self, sizes: dict[Any, int], associates: bool = True) -> Runner:
        """The kernels for some sizes; what is short enough for a tile decides the plan.

        With `associates` sums of scores may be taken in another order.
        """
        classes = tuple((symbol, _class_of(sizes[symbol])) for symbol in sorted(sizes))
        pays = tuple(choice.association.pays(sizes) for choice in self.choices if associates)
        key = classes, pays
        if key not in self.runners:
            order = "cheapest" if any(pays) else "written"
            self.runners[key] = Runner(make_plan(self.opened, sizes, order), sizes)
        return self.runners[key]

    def names(self, sizes: dict[Any, int] | None) -> tuple[str, ...]:
        """The names of the kernels."""
        return self.runner(sizes if sizes is not None else {}).names


def _class_of(length: int) -> int:
    """Sizes that plan alike: short ones, those that a tile holds, and all others."""
    return 0 if length <= 256 else 1


def _called(
    module: Any, request: Request, derivation: _Derivation | None, inputs: tuple[Any, ...]
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
    anchor = next(t for t in (*inputs, *module.parameters()) if t.is_floating_point())
    # Sums over all of a long axis leave the range of f16.
    runner = derivation.runner(sizes, anchor.dtype != torch.float16)
    if not runner.names:
        return None
    arrays: dict[Array, torch.Tensor] = {}
    for array, value, count in zip(derivation.opened.inputs, inputs, extra, strict=True):
        arrays[array] = _with_lift(value, count, tuple(lifted))
    for array in derivation.opened.parameters:
        arrays[array] = _parameter(module, diagram, array)[None]
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
