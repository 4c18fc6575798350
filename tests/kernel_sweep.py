"""`make test-kernels`: compiles all kernels for all tiles, and says which of them survive.

A tile survives where the kernel neither spills nor leaves the limits of the GPU (`ahead.faults`).
The exit status is 1 where the default tile of a kernel does not. What was compiled is kept in
`.cache/kernels.json`, by the text of the kernel, the schedule, the GPU and the version of Triton.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parent))

import triton
from kernel_gate import SIZES, kernels
from ncdlang.backends.kernels.ahead import measure
from ncdlang.backends.kernels.runner import label
from ncdlang.backends.kernels.schedule import Schedule, choose
from ncdlang.backends.kernels.source import Kernel
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.semantics.size import Symbol

CACHE = Path(__file__).parent.parent / ".cache" / "kernels.json"
FORMATS = ("bf16", "f16")
SURVIVORS = 8
KEPT_EVERY = 10


def candidates(kernel: Kernel, default: Schedule) -> Iterator[Schedule]:
    """The default schedule, and those with other rows, other streamed tiles, warps and stages."""
    yield default
    blocks = dict(default.blocks)
    tiled = [d.block for d in (kernel.rows, kernel.stream) if d.block in blocks]
    for sizes in product((32, 64, 128), repeat=len(tiled)):
        for warps, stages in product((4, 8), (2, 3)):
            changed = blocks | dict(zip(tiled, sizes, strict=True))
            made = replace(default, blocks=tuple(changed.items()), warps=warps, stages=stages)
            if made != default:
                yield made


def key(kernel: Kernel, schedule: Schedule, dtype: str, arch: int) -> str:
    """What the outcome depends on."""
    parts = (triton.__version__, kernel.text, schedule, dtype, arch, sorted(SIZES.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


class Cache:
    """Faults by key, written as they are found."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.new = 0
        if CACHE.exists():
            self.known = json.loads(CACHE.read_text(encoding="utf-8"))

    def faults(
        self, kernel: Kernel, schedule: Schedule, sizes: dict[Symbol, int], dtype: str, arch: int
    ) -> list[str]:
        """What is wrong with a kernel and a schedule."""
        name = key(kernel, schedule, dtype, arch)
        if name not in self.known:
            try:
                taken = measure(kernel, schedule, sizes, dtype, arch)
                self.known[name] = taken.faults(arch, "tl.dot" in kernel.text)
            except Exception as error:  # noqa: BLE001
                # Triton's passes fail in many ways on tiles that are too large for them.
                self.known[name] = [f"{type(error).__name__}: {str(error)[:80]}"]
            self.new += 1
            if self.new % KEPT_EVERY == 0:
                self.write()
        return self.known[name]

    def write(self) -> None:
        """Keep what is known."""
        CACHE.parent.mkdir(exist_ok=True)
        CACHE.write_text(json.dumps(self.known), encoding="utf-8")


def swept(name: str, library: ncdlang.Library, cache: Cache, every: bool) -> bool:
    """Whether the default tiles of all kernels of a program are without faults."""
    diagram = library.program.diagram(name)
    assert diagram is not None
    sizes = {symbol: SIZES[symbol.name] for symbol in diagram.unknowns}
    runner = Runner(make_plan(open_diagram(diagram), sizes, "written"), sizes)
    right = True
    for (direction, kernel), arch, dtype in product(kernels(runner), (80, 90), FORMATS):
        default = choose(kernel, sizes, f"sm_{arch}")
        tried = list(candidates(kernel, default)) if every else [default]
        outcomes = [(s, cache.faults(kernel, s, sizes, dtype, arch)) for s in tried]
        alive = [schedule for schedule, faults in outcomes if not faults]
        right = right and not outcomes[0][1]
        made = label(kernel.region)
        verdict = "; ".join(outcomes[0][1]) or "default survives"
        told = f"{name} {direction} {made} sm_{arch} {dtype}: {len(alive)} of {len(tried)} tiles"
        sys.stdout.write(f"{told}, {verdict}\n")
        for schedule in alive[:SURVIVORS] if every else ():
            tiles = "x".join(str(size) for _, size in schedule.blocks)
            sys.stdout.write(f"    {tiles} {schedule.warps} warps {schedule.stages} stages\n")
        sys.stdout.flush()
    return right


def main() -> int:
    """Sweep the programs that are named, all of them without names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--defaults", action="store_true", help="only the default tiles")
    options = parser.parse_args()
    library = ncdlang.load(Path(__file__).parent / "data" / "kernels.ncd")
    cache = Cache()
    sys.stdout.write(f"Triton {triton.__version__}\n")
    right = [
        swept(name, library, cache, not options.defaults)
        for name in options.programs or library.diagrams
    ]
    cache.write()
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
