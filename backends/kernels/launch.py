"""Compiles the source of kernels and launches them."""

from __future__ import annotations

import hashlib
import linecache
import os
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ncdlang.analysis.terms import Array
from ncdlang.semantics.size import Symbol

from .interpreter import install
from .schedule import Schedule, grid
from .source import Kernel

if TYPE_CHECKING:
    import torch

HEADER = "import triton\nimport triton.language as tl\n\n\n"


def compiled(text: str, name: str) -> Any:
    """The function `name` of a text of kernels. Triton reads its source where tracebacks do."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        install()
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    filename = f"<ncd kernels {digest}>"
    lines = text.splitlines(keepends=True)
    linecache.cache[filename] = (len(text), None, lines, filename)
    module = types.ModuleType(f"ncd_kernels_{digest}")
    module.__file__ = filename
    exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)
    return getattr(module, name)


def launch(
    kernel: Kernel,
    function: Any,
    schedule: Schedule,
    arrays: Mapping[Array, torch.Tensor],
    sizes: dict[Symbol, int],
    lifted: int,
    precision: str,
) -> None:
    """Run a kernel. `arrays` has the outputs as well; each has the lifted dimension in front."""
    programs = grid(kernel, schedule, sizes, lifted)
    if not programs:
        return
    values: list[Any] = []
    for array, argument in kernel.arguments.arrays.items():
        tensor = arrays[array]
        strides = tensor.stride()
        values += [tensor, *strides[1:], 0 if tensor.shape[0] == 1 else strides[0]]
        assert len(argument.strides) == len(strides) - 1
    values += [size.evaluate(sizes) for size in kernel.arguments.sizes]
    blocks = dict(schedule.blocks)
    options = {"num_warps": schedule.warps, "num_stages": schedule.stages}
    function[(programs,)](*values, **blocks, PRECISION=precision, **options)
