"""The Triton backend: kernels derived from the equations of a diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import RESIDENT, make_plan
from ncdlang.semantics.size import Size, Symbol
from ncdlang.targets import Artifact, Request, TargetError

from .dispatch import choice, tunes
from .expressions import Unsupported
from .file import write_file
from .module import triton_module
from .training import Runner

if TYPE_CHECKING:
    from torch import nn

# A length that notes give as an example of one that no tile holds whole.
LONG = 4096


class TritonBackend:
    """Writes the kernels of a diagram (`ncdc build --backend triton`), or runs them.

    The option `derived` is `true` for kernels wherever they can run, `false` for what PyTorch
    offers, and `auto` for what was measured to be faster. With `tune` a GPU measures tiles.
    """

    name = "triton"
    options = ("derived", "tune")

    def emit(self, request: Request) -> Artifact:
        """A file with a class that runs the kernels. Raises TargetError where there are none."""
        diagram = request.diagram
        choice(request)
        tunes(request)
        try:
            opened = open_diagram(diagram)
        except Opaque as opaque:
            raise TargetError(f"{diagram.name} has no kernels: {opaque.what}") from None
        sizes = {s: request.sizes[s.name] for s in diagram.unknowns if s.name in request.sizes}
        runner = Runner(make_plan(opened, sizes), sizes)
        if not runner.names:
            raise TargetError(f"{diagram.name} has no region that streams")
        try:
            file = write_file(request, runner)
            return Artifact(file.text, ".py", _notes(runner, sizes, file.held))
        except Unsupported as found:
            if any(isinstance(step, Foreign) for step in runner.plan.steps):
                raise TargetError(f"{diagram.name} has no kernels: {found}") from None
            # The kernels alone, where no operation can be made of a step.
            return Artifact(runner.source(), ".py")

    def module(self, request: Request) -> nn.Module:
        """A module with the parameters of the PyTorch backend's, run by derived kernels."""
        return triton_module(request)


def _notes(runner: Runner, sizes: dict[Symbol, int], held: tuple[Size, ...]) -> tuple[str, ...]:
    """Where the kernels of a file run, if not for all sizes, and how to have others."""
    if not held:
        return ()
    lengths = [size.render(lambda symbol: symbol.name, as_made=True) for size in held]
    are = "is" if len(lengths) == 1 else "are"
    told = f"kernels run where {' and '.join(lengths)} {are} at most {RESIDENT}"
    symbols = {symbol for size in held for symbol in size.symbols()} - sizes.keys()
    asked = dict.fromkeys(sorted(symbols, key=lambda symbol: symbol.uid), LONG)
    longer = {**sizes, **asked}
    if not Runner(make_plan(runner.plan.opened, longer), longer).names:
        return (told,)
    given = ",".join(f"{symbol.name}={length}" for symbol, length in asked.items())
    return (f"{told}; --size {given} writes them for longer ones",)
