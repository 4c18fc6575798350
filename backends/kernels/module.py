"""The module of a diagram whose regions run as derived kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import Plan, make_plan
from ncdlang.semantics.size import Symbol
from ncdlang.targets import Request

from ..pytorch import PyTorchBackend
from .dispatch import choice, tunes
from .expressions import Unsupported
from .file import File, write_file
from .loading import interprets, loaded, recorded
from .sizes import solve
from .stepwise import Derivation, called
from .training import Runner

if TYPE_CHECKING:
    import torch
    from torch import nn


def triton_module(request: Request) -> nn.Module:
    """The PyTorch module of a request, its forward pass through kernels where they run.

    `kernels` lists the regions that have one, `last_run` those that the last call ran.
    """
    import torch

    chosen = choice(request)
    tunes(request)
    plain = PyTorchBackend().module(request)
    cls: Any = type(plain)
    variants = _Variants.of(request)
    # What is compiled has the variant for sizes that are not known: nothing is planned there.
    general = variants.general() if variants is not None else None

    # On the CPU kernels only run where Triton interprets them.
    is_interpreted = interprets()

    class Derived(cls):
        """Runs derived kernels, or what the PyTorch backend emits where there are none."""

        derived = chosen
        last_run: tuple[str, ...] = ()

        def forward(self, *inputs: torch.Tensor) -> Any:
            if is_interpreted or not (inputs and getattr(inputs[0], "is_cpu", True)):
                made = self._by_kernels(inputs)
                if made is not None:
                    return made
            elif self.last_run:
                self.last_run = ()
            return super().forward(*inputs)

        def _by_kernels(self, inputs: tuple[torch.Tensor, ...]) -> Any:
            if torch.compiler.is_compiling():
                return general(self, *inputs) if general is not None else None
            found = variants.of_call(inputs) if variants is not None else None
            made, self.last_run = found(self, inputs) if found is not None else (None, ())
            return made

        @property
        def kernels(self) -> tuple[str, ...]:
            """The names of the kernels that the diagram has at the sizes given."""
            return variants.names if variants is not None else ()

    Derived.__name__ = Derived.__qualname__ = cls.__name__
    plain.__class__ = Derived
    return plain


Made = tuple[Any, tuple[str, ...]]


class _Written:
    """A file that was written for one class of sizes, loaded."""

    def __init__(self, file: File) -> None:
        self.labels = file.labels
        self.fused: Any = getattr(loaded(file.text), file.function)

    def __call__(self, module: Any, inputs: tuple[Any, ...]) -> Made:
        """The results, None where the eager class has to make them, and what ran."""
        with recorded() as ran:
            made = self.fused(module, *inputs)
        found = set(ran)
        return made, tuple(
            label for label, names in self.labels.items() if not found.isdisjoint(names)
        )


class _Stepwise:
    """A plan that runs step by step."""

    fused = None

    def __init__(self, request: Request) -> None:
        self.request = request
        self.derivation = Derivation.of(request.diagram, request.sizes)

    def __call__(self, module: Any, inputs: tuple[Any, ...]) -> Made:
        """The results, None where the eager class has to make them, and what ran."""
        if module.derived is False:
            return None, ()
        found = called(module, self.request, self.derivation, inputs)
        return found if found is not None else (None, ())


class _Variants:
    """The opened diagram, and a file for each choice of sizes that plans differently."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.opened = open_diagram(request.diagram)
        given = request.sizes
        self.given = {s: given[s.name] for s in request.diagram.unknowns if s.name in given}
        self.is_forced = choice(request) is True
        plan = self._plan(self.given)
        self.names = Runner(plan, self.given).names
        self.choices = plan.choices
        self._made: dict[Any, _Written | _Stepwise | None] = {}

    @staticmethod
    def of(request: Request) -> _Variants | None:
        """The variants, None where the diagram holds what has no equations."""
        try:
            return _Variants(request)
        except Opaque:
            return None

    def _plan(self, sizes: dict[Symbol, int], is_narrow: bool = False) -> Plan:
        """The plan for some sizes. Kernels that are forced keep the order of the equations, and
        so does f16, which is too narrow for sums over all of a long axis."""
        order = "written" if self.is_forced or is_narrow else "cheapest"
        return make_plan(self.opened, sizes, order)

    def _variant(
        self, sizes: dict[Symbol, int], is_narrow: bool = False
    ) -> _Written | _Stepwise | None:
        """The kernels for some sizes; what is short enough for a tile decides the plan, and
        which order of sums is the cheaper one."""
        short = tuple((symbol, sizes[symbol] <= 256) for symbol in sorted(sizes))
        pays = tuple(c.association.pays(sizes) for c in self.choices)
        key = (short, pays, is_narrow, interprets())
        if key not in self._made:
            runner = Runner(self._plan(sizes, is_narrow), sizes)
            self._made[key] = self._of(runner) if runner.names else None
        return self._made[key]

    def _of(self, runner: Runner) -> _Written | _Stepwise:
        try:
            suffix = "_interpreted" if interprets() else ""
            return _Written(write_file(self.request, runner, suffix))
        except Unsupported:
            return _Stepwise(self.request)

    def general(self) -> Any:
        """The function for sizes that are not known, None where there are no kernels."""
        found = self._variant(self.given)
        return found.fused if found is not None else None

    def of_call(self, inputs: tuple[Any, ...]) -> _Written | _Stepwise | None:
        """The kernels for the sizes of a call, None where the eager class has to do it."""
        parameters = self.request.diagram.parameters
        if len(inputs) != len(parameters) or not all(hasattr(v, "shape") for v in inputs):
            return None
        ranks = [len(wire.type.axes) for wire in parameters]
        if any(len(v.shape) < rank for v, rank in zip(inputs, ranks, strict=True)):
            return None
        shapes = [tuple(v.shape[len(v.shape) - r :]) for v, r in zip(inputs, ranks, strict=True)]
        sizes = solve(self.request.diagram, shapes, self.request.sizes)
        is_narrow = any(str(value.dtype) == "torch.float16" for value in inputs)
        return self._variant(sizes, is_narrow) if sizes is not None else None
