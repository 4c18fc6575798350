"""How it is measured: all ways in one process, taking turns, and only after they agree."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

import ncdlang

from .cases import Case

Way = Callable[[], Any]
TOLERANCE = {"f32": 2e-6, "bf16": 8e-3, "f16": 2e-3}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def machine(device: str) -> dict[str, Any]:
    """Where it is measured, and with what."""
    import triton

    found = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "ncdlang": version("ncdlang"),
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
        found["capability"] = list(torch.cuda.get_device_capability())
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def inputs(case: Case, sizes: dict[str, int], dtype: torch.dtype, device: str) -> list[Tensor]:
    """Arrays for the inputs of a program."""
    torch.manual_seed(0)
    diagram = ncdlang.loads(case.text).program.diagrams[-1]
    made: list[Tensor] = []
    for wire in diagram.parameters:
        shape = [sizes[axis.name] for axis in wire.type.axes]
        if wire.name in case.naturals:
            made.append(torch.randint(0, min(sizes["v"], 1 << 30), shape, device=device))
        else:
            made.append(torch.randn(shape, device=device).to(dtype))
    return made


def ours(case: Case, sizes: dict[str, int], dtype: str, derived: str) -> torch.nn.Module:
    """The module that the compiler makes."""
    library = ncdlang.loads(case.text)
    names = {symbol.name for symbol in library.program.diagrams[-1].unknowns}
    known = {name: size for name, size in sizes.items() if name in names}
    module = library.module(sizes=known, backend="triton", dtype=dtype, derived=derived)
    return module.requires_grad_(False)


def parameters(module: torch.nn.Module) -> list[Tensor]:
    """Its parameters as a user of PyTorch has them: matrices."""
    return [p.flatten(1) if p.dim() > 2 else p for p in module.parameters()]


def error(made: Tensor, exact: Tensor) -> float:
    """Norm-relative."""
    return ((made.double() - exact).norm() / exact.norm()).item()


def checked(case: Case, dtype: str, device: str) -> dict[str, Any]:
    """Kernels (interpreted on the CPU) against float64, on ragged sizes."""
    module = ours(case, case.small, dtype, "true").to(device)
    given = inputs(case, case.small, DTYPES[dtype], device)
    wide = [t.double() if t.is_floating_point() else t for t in given]
    weights = [p.double() for p in parameters(module)]
    if case.name == "rms_norm_linear":
        weights = weights[::-1] if weights[0].dim() > 1 else weights
    extra = {"v": case.small["v"]} if case.name == "scatter" else {}
    with torch.no_grad():
        made, exact = module(*given), case.eager(*wide, *weights, **extra)
    found = error(made, exact)
    return {
        "case": case.name,
        "format": dtype,
        "kernels": list(module.last_run),
        "error": found,
        "right": found < TOLERANCE[dtype],
    }


def ways(case: Case, dtype: str, device: str, compiles: bool) -> dict[str, Way]:
    """All ways to run a case that work here and agree with eager code."""
    sizes = case.cuda if device == "cuda" else case.cpu
    module = ours(case, sizes, dtype, "auto").to(device)
    given = inputs(case, sizes, DTYPES[dtype], device)
    weights = parameters(module)
    if case.name == "rms_norm_linear":
        weights = weights[::-1] if weights[0].dim() > 1 else weights
    found: dict[str, Way] = {
        "ours": lambda: module(*given),
        "eager": lambda: case.eager(*given, *weights),
    }
    if case.library is not None:
        library = case.library
        found["library"] = lambda: library(*given, *weights)
    if device == "cuda":
        for name, peer in case.others.items():
            found[name] = lambda peer=peer: peer(*given, *weights)
    if compiles:
        fast, slow = torch.compile(module), torch.compile(case.library or case.eager)
        found["ours compiled"] = lambda: fast(*given)
        found["eager compiled"] = lambda: slow(*given, *weights)
    wanted = found["eager"]()
    return {name: way for name, way in found.items() if _agrees(way, wanted, dtype)}


def _agrees(way: Way, wanted: Tensor, dtype: str) -> bool:
    """Whether a way runs here, with the same result. Peers may lack a backend."""
    try:
        made = way()
    except (RuntimeError, NotImplementedError):
        return False
    return error(made, wanted.double()) < 10 * TOLERANCE[dtype]


def alternating(ways: dict[str, Way], rounds: int, device: str) -> dict[str, float]:
    """Medians in milliseconds of ways that take turns, forwards and backwards."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    with torch.no_grad():
        for number in range(rounds + 3):
            for name in names if number % 2 else reversed(names):
                took = _timed(ways[name], device)
                if number >= 3:
                    times[name].append(took)
    return {name: statistics.median(each) for name, each in times.items()}


def _timed(way: Way, device: str) -> float:
    if device != "cuda":
        start = time.perf_counter()
        way()
        return (time.perf_counter() - start) * 1e3
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    way()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last)
