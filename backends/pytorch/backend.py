"""The PyTorch backend: readable modules as text, and the same modules ready to run."""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.targets import Artifact, Request, TargetError

from .emitter import Emitted, emit_module
from .planning import make_plans

if TYPE_CHECKING:
    from torch import nn

_LOCK = threading.Lock()
_DTYPES = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class PyTorchBackend:
    """Emits self-contained PyTorch modules (`ncdc build`), or builds them (`Library.module`)."""

    name = "torch"
    options: tuple[str, ...] = ()

    def emit(self, request: Request) -> Artifact:
        """The Python file of a diagram and of all that it uses. Needs no PyTorch."""
        return Artifact(self._emitted(request).text, ".py")

    def module(self, request: Request) -> nn.Module:
        """The emitted module, built in the format of the request.

        Raises TargetError where a size that its parameters need is not given, and for a format
        that PyTorch does not compute in.
        """
        import torch

        if request.dtype not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise TargetError(f"there is no module format `{request.dtype}`; it is one of {known}")
        missing = missing_sizes(request)
        if missing:
            raise TargetError(_missing(request.diagram, missing))
        emitted = self._emitted(request)
        cls = _load(emitted, request.diagram.name)
        # Built in the format rather than converted: what declares a format of its own keeps it.
        default = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, _DTYPES[request.dtype]))
        try:
            module: nn.Module = cls()
        finally:
            torch.set_default_dtype(default)
        return module

    def _emitted(self, request: Request) -> Emitted:
        title = request.program.source.name
        return emit_module(request.diagram, title, request.sizes, lower)


def missing_sizes(request: Request) -> tuple[str, ...]:
    """The sizes that a module of the request can't be built without."""
    diagram = request.diagram
    given = tuple(symbol for symbol in diagram.unknowns if symbol.name in request.sizes)
    plan = make_plans(diagram, given, lower)[-1]
    defaulted = {free.axis.symbol for free in diagram.free if free.default is not None}
    known = {*defaulted, *given}
    return tuple(symbol.name for symbol in plan.built if symbol not in known)


def _missing(diagram: CheckedDiagram, names: tuple[str, ...]) -> str:
    *others, last = names
    what = f"{', '.join(others)} and {last}" if others else last
    plural = "sizes" if len(names) > 1 else "size"
    python = ", ".join(f'"{name}": ...' for name in names)
    flags = " ".join(f"--size {name}=..." for name in names)
    purpose = "to make its parameters" if diagram.is_learned else "to be built"
    return (
        f"{diagram.name} needs the {plural} of {what} {purpose}; "
        f"give {'them' if len(names) > 1 else 'it'} with sizes={{{python}}} or {flags}"
    )


def _load(emitted: Emitted, name: str) -> Any:
    """Run the emitted file once under a name of its own, with its lines where tracebacks look.

    torch.compile and pickle find the module of a class among those that are imported.
    """
    digest = hashlib.sha256(emitted.text.encode()).hexdigest()[:16]
    title = f"ncd_{digest}"
    with _LOCK:
        if title not in sys.modules:
            sys.modules[title] = _module(emitted.text, title, f"<ncd {name} {digest}>")
        return getattr(sys.modules[title], emitted.class_name)


def _module(text: str, title: str, filename: str) -> types.ModuleType:
    lines = text.splitlines(keepends=True)
    linecache.cache[filename] = (len(text), None, lines, filename)
    module = types.ModuleType(title)
    module.__file__ = filename
    exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)
    return module
