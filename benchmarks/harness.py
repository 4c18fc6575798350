"""How it is measured: all ways in one process, taking turns, and only after they agree."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

import ncdlang

from .cases import Case, Peer

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


def keep_memory() -> bool:
    """Let the allocator keep what is freed, where it is glibc's.

    It gives large arrays back to the system at once or keeps them, as it happened to learn. New
    pages cost up to half of the time of a small matrix product, for any way, by chance.
    """
    most_mapped, trim = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of mallopt(3)
    try:
        allocator = ctypes.CDLL("libc.so.6")
        return bool(allocator.mallopt(most_mapped, 0) and allocator.mallopt(trim, 2**31 - 1))
    except (OSError, AttributeError):
        return False


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
            bound = sizes[case.naturals[wire.name]]
            made.append(torch.randint(0, bound, shape, device=device))
        else:
            made.append(torch.randn(shape, device=device).to(dtype))
    return made


def ours(case: Case, sizes: dict[str, int], dtype: str, derived: str) -> torch.nn.Module:
    """The module that the compiler makes."""
    library = ncdlang.loads(case.text)
    names = {symbol.name for symbol in library.program.diagrams[-1].unknowns}
    known = {name: size for name, size in sizes.items() if name in names}
    return library.module(sizes=known, backend="triton", dtype=dtype, derived=derived)


class Written(torch.nn.Module):
    """A peer as a user of PyTorch has it: as a module, like ours."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer

    def forward(self, *arrays: Tensor, **sizes: int) -> Tensor:
        """What the peer makes."""
        return self.peer(*arrays, **sizes)


@dataclass(frozen=True)
class Trial:
    """A case at some sizes: the module, its inputs, and what is differentiated."""

    case: Case
    sizes: dict[str, int]
    module: torch.nn.Module
    given: list[Tensor]
    leaves: list[Tensor]
    backward: bool

    @staticmethod
    def of(
        case: Case, sizes: dict[str, int], dtype: str, derived: str, device: str, backward: bool
    ) -> Trial:
        """The case on a device."""
        module = ours(case, sizes, dtype, derived).to(device).requires_grad_(backward)
        given = inputs(case, sizes, DTYPES[dtype], device)
        floats = [t.requires_grad_(backward) for t in given if t.is_floating_point()]
        leaves = [*floats, *(module.get_parameter(name) for name in case.learned)]
        return Trial(case, sizes, module, given, leaves, backward)

    def exact(self) -> list[Tensor]:
        """The result and the gradients of eager code in float64."""
        wide = [t.detach().double().requires_grad_(self.backward) for t in self.leaves]
        floats = iter(wide)
        given = [next(floats) if t.is_floating_point() else t for t in self.given]
        return self._run(lambda: self._called(self.case.eager, given, list(floats)), wide)

    def made(self, run: Callable[..., Tensor]) -> list[Tensor]:
        """The result and the gradients of a module."""
        return self._run(lambda: run(*self.given), self.leaves)

    def peer(self, peer: Peer) -> list[Tensor]:
        """The result and the gradients of a peer."""
        learned = self.leaves[len(self.leaves) - len(self.case.learned) :]
        return self._run(lambda: self._called(peer, self.given, learned), self.leaves)

    def _called(self, peer: Peer, given: list[Tensor], learned: list[Tensor]) -> Tensor:
        # Parameters as a user of PyTorch has them: matrices.
        matrices = [p.flatten(1) if p.dim() > 2 else p for p in learned]
        return peer(*given, *matrices, **{name: self.sizes[name] for name in self.case.sized})

    def _run(self, call: Callable[[], Tensor], leaves: list[Tensor]) -> list[Tensor]:
        with torch.set_grad_enabled(self.backward):
            made = call()
        if not self.backward:
            return [made]
        return [made.detach(), *torch.autograd.grad(made, leaves, _cotangent(made))]


def _cotangent(made: Tensor) -> Tensor:
    """What the result is multiplied with: different for each entry, and quick to make."""
    steps = torch.arange(made.shape[-1] if made.dim() else 1, device=made.device)
    return (steps % 7 - 3.5).to(made.dtype).expand(made.shape or (1,)).reshape(made.shape)


def error(made: Tensor, exact: Tensor) -> float:
    """Norm-relative."""
    return ((made.double() - exact).norm() / exact.norm()).item()


def worst(made: list[Tensor], exact: list[Tensor]) -> float:
    """The largest error of a result and its gradients."""
    return max(error(own, other) for own, other in zip(made, exact, strict=True))


def checked(case: Case, dtype: str, device: str, backward: bool = False) -> dict[str, Any]:
    """Kernels (interpreted on the CPU) against float64, on ragged sizes. To run none is wrong."""
    trial = Trial.of(case, case.small, dtype, "true", device, backward)
    found = worst(trial.made(trial.module), trial.exact())
    kernels: Any = trial.module.last_run
    return {
        "case": case.name,
        "direction": direction(backward),
        "format": dtype,
        "kernels": list(kernels),
        "error": found,
        "right": bool(kernels) and found < TOLERANCE[dtype],
    }


def direction(backward: bool) -> str:
    """What rows call it."""
    return "forward and backward" if backward else "forward"


def ways(
    case: Case, dtype: str, device: str, compiles: bool, backward: bool = False
) -> dict[str, Way]:
    """All ways to run a case that work here and agree with eager code."""
    sizes = case.cuda if device == "cuda" else case.cpu
    trial = Trial.of(case, sizes, dtype, "auto", device, backward)
    eager = Written(case.eager)
    found: dict[str, Way] = {
        "ours": lambda: trial.made(trial.module),
        "eager": lambda: trial.peer(eager),
    }
    library = Written(case.library) if case.library is not None else None
    if library is not None:
        found["library"] = lambda: trial.peer(library)
    if device == "cuda":
        for name, peer in case.others.items():
            found[name] = lambda peer=peer: trial.peer(peer)
        for name, derived in (("derived", "true"), ("plain", "false")):
            other = Trial.of(case, sizes, dtype, derived, device, backward)
            found[name] = lambda other=other: other.made(other.module)
    if compiles:
        fast, slow = torch.compile(trial.module), torch.compile(library or eager)
        found["ours compiled"] = lambda: trial.made(fast)
        found["eager compiled"] = lambda: trial.peer(slow)
    wanted = [made.double() for made in found["eager"]()]
    return {name: way for name, way in found.items() if _agrees(way, wanted, dtype)}


def _agrees(way: Way, wanted: list[Tensor], dtype: str) -> bool:
    """Whether a way runs here, with the same result. Peers may lack a backend."""
    try:
        made = way()
    except (RuntimeError, NotImplementedError):
        return False
    return worst(made, wanted) < 10 * TOLERANCE[dtype]


def alternating(
    ways: dict[str, Way], rounds: int, device: str, clock: str = "wall"
) -> dict[str, list[float]]:
    """Times in milliseconds: in each round every way once, in an order of its own.

    What runs before another leaves it caches and memory, so that the orders are drawn. The
    clock of the `processor` counts the time that this process has, for a machine that is busy.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    names, drawn = list(ways), random.Random(0)
    for number in range(rounds + 3):
        drawn.shuffle(names)
        for name in names:
            took = _timed(ways[name], device, clock)
            if number >= 3:
                times[name].append(took)
    return times


def ratio(times: dict[str, list[float]], own: str, *others: str) -> float | None:
    """Median over the rounds of our time to that of the best of others in the same round.

    It is steadier than a ratio of medians: what slows a machine down slows a whole round.
    """
    present = [name for name in others if name in times]
    if own not in times or not present:
        return None
    best = min(present, key=lambda name: statistics.median(times[name]))
    return statistics.median(a / b for a, b in zip(times[own], times[best], strict=True))


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each way."""
    return {name: statistics.median(each) for name, each in times.items()}


def _timed(way: Way, device: str, clock: str) -> float:
    if device != "cuda":
        now = time.perf_counter if clock == "wall" else time.process_time
        start = now()
        way()
        return (now() - start) * 1e3
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    way()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last)
