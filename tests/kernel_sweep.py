"""`make test-kernels`: compiles kernels for many tiles, and says which of them survive.

The cost model ranks tiles by the bytes that they move; a tile survives where the kernel neither
spills nor leaves the limits of the GPU (`ahead.faults`), and the first few that all kernels of
one kind survive are those that tuning tries (`backends/kernels/survivors.py`, which `--write`
makes anew). The exit status is 1 where the default tiles of a kernel do not survive, by the Triton
that runs this; by another one than they were chosen with a few registers may spill. The others are
told, and counted: they are listed for all kernels of a kind and for all versions of Triton, and
tuning measures each before it takes one. What was compiled is kept in `.cache/kernels.json`, by the
text of the kernel, the schedule, the GPU and the version of Triton.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)
sys.path.insert(0, str(Path(__file__).parent))

import triton
from kernel_gate import SIZES, kernels
from ncdlang.backends.kernels import survivors
from ncdlang.backends.kernels.ahead import LIMITS, measure
from ncdlang.backends.kernels.runner import label
from ncdlang.backends.kernels.schedule import (
    LENGTHS,
    TILES,
    Row,
    Schedule,
    choose,
    kind_of,
    rows_of,
    whole,
)
from ncdlang.backends.kernels.source import Kernel
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.cost import memory, transfers
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import Region, make_plan
from ncdlang.analysis.region_cost import region_problem
from ncdlang.semantics.size import Symbol

CACHE = Path(__file__).parent.parent / ".cache" / "kernels.json"
# A target with the formats and the architectures that it stands for.
TARGETS = {
    "sm_90": (("bf16",), (90,)),
    "sm_80": (("bf16",), (80,)),
    "f32": (("f32",), (80, 90)),
}
SURVIVORS = 6
# Programs whose kernels stand for their kinds.
SWEPT = ("causal", "spherical", "rms_norm_linear", "gated", "linear_logsumexp")
# The version of Triton that default tiles are chosen with, and how many bytes others may spill.
CHOSEN_WITH = "3.9.0"
FEW = 64
SPILLED = re.compile(r"stack, (\d+) bytes spilled")
# What accumulators and scores may take of the 255 registers of a thread.
REGISTERS = 160


@dataclass(frozen=True, slots=True)
class Case:
    """A kernel with the sizes that it is compiled for."""

    name: str
    kernel: Kernel
    sizes: dict[Symbol, int]

    @property
    def longest(self) -> int:
        """The class of lengths of what a tile holds whole."""
        made = dict(choose(self.kernel, self.sizes, "f32", row=TILES["f32"][0]).blocks)
        most = max((made[dim.block] for dim in whole(self.kernel)), default=0)
        return LENGTHS[0] if most <= LENGTHS[0] else LENGTHS[1]


def key(kernel: Kernel, schedule: Schedule, dtype: str, arch: int, sizes: object) -> str:
    """What the outcome depends on."""
    parts = (triton.__version__, kernel.text, schedule, dtype, arch, sizes)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


class Cache:
    """Faults by key, written as they are found."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        if CACHE.exists():
            self.known = json.loads(CACHE.read_text(encoding="utf-8"))

    def faults(self, case: Case, schedule: Schedule, dtype: str, arch: int) -> list[str]:
        """What is wrong with a kernel and a schedule."""
        sizes = sorted((symbol.name, size) for symbol, size in case.sizes.items())
        name = key(case.kernel, schedule, dtype, arch, sizes)
        if name not in self.known:
            try:
                taken = measure(case.kernel, schedule, case.sizes, dtype, arch)
                has_products = dtype != "f32" and "tl.dot" in case.kernel.text
                self.known[name] = taken.faults(arch, has_products)
            except Exception as error:  # noqa: BLE001
                # Triton's passes fail in many ways on tiles that are too large for them.
                self.known[name] = [f"{type(error).__name__}: {str(error)[:80]}"]
            CACHE.parent.mkdir(exist_ok=True)
            CACHE.write_text(json.dumps(self.known), encoding="utf-8")
        return self.known[name]

    def of_target(self, case: Case, target: str, row: Row) -> list[str]:
        """What is wrong with a row of tiles, in the formats and for the GPUs of a target."""
        schedule = choose(case.kernel, case.sizes, target, row=row)
        found: list[str] = []
        for dtype, arch in product(*TARGETS[target]):
            found += self.faults(case, schedule, dtype, arch)
            if found:
                break
        return found


# ---- what is tried ------------------------------------------------------------------------------


def ranked(cases: list[Case], target: str) -> list[Row]:
    """The tiles that may fit, by the bytes that the cost model says they move, least first."""
    columns = TILES[target][0][2]
    costs: dict[Row, tuple[float, int, int, int]] = {}
    # HGMMA takes 64 rows at least.
    lengths = (64, 128) if target == "sm_90" else (16, 32, 64, 128)
    for rows, streamed, warps, stages in product(lengths, (16, 32, 64, 128), (4, 8), (2, 3)):
        row = (rows, streamed, columns, warps, stages)
        moved = [cost(case, target, row) for case in cases]
        known = [each for each in moved if each is not None]
        if len(known) == len(cases):
            costs[row] = (sum(known), -streamed, stages, warps)
    return sorted(costs, key=lambda row: costs[row])


def cost(case: Case, target: str, row: Row) -> float | None:
    """The bytes that a kernel moves with some tiles, None where they can't fit."""
    region = case.kernel.region
    assert isinstance(region, Region)
    blocks = dict(choose(case.kernel, case.sizes, target, row=row).blocks)
    problem = region_problem(region, case.sizes, "f32" if target == "f32" else "bf16")
    tiles = dict.fromkeys(region.batch, 1)
    for dim in case.kernel.dims:
        tiles |= {axis: blocks[dim.block] for axis in dim.axes if len(dim.axes) == 1}
    live = sum(problem.tile(block, tiles) for block in problem.live)
    if live > REGISTERS * 4 * 32 * row[3]:
        return None
    held = memory(problem, tiles) - live
    limit = LIMITS[90 if target == "sm_90" else 80]
    return float(transfers(problem, tiles)) if held <= limit else None


# ---- what survives ------------------------------------------------------------------------------


def cases(library: ncdlang.Library, name: str, inner: int) -> list[Case]:
    """The kernels of a program, with features of a length."""
    diagram = library.program.diagram(name)
    assert diagram is not None
    lengths = SIZES | {"k": inner, "e": inner}
    sizes = {symbol: lengths[symbol.name] for symbol in diagram.unknowns}
    runner = Runner(make_plan(open_diagram(diagram), sizes, "written"), sizes)
    return [
        Case(f"{name} {direction} {label(kernel.region)}", kernel, sizes)
        for direction, kernel in kernels(runner)
        if isinstance(kernel.region, Region)
    ]


def write(library: ncdlang.Library, names: list[str], cache: Cache) -> None:
    """Find what survives for each kind of kernel, and keep it in the package."""
    kinds: dict[tuple[int, int, int], list[Case]] = {}
    for name, inner in product(names, LENGTHS):
        for case in cases(library, name, inner):
            kind = kind_of(case.kernel)
            assert kind is not None
            if case.longest == inner or inner == LENGTHS[0]:
                kinds.setdefault((*kind, case.longest), []).append(case)
    found = dict(survivors.ROWS)
    for target, (kind, own) in product(TARGETS, sorted(kinds.items())):
        alive: list[Row] = []
        rows = ranked(own, target)
        for row in rows:
            if not any(cache.of_target(case, target, row) for case in reversed(own)):
                alive.append(row)
            if len(alive) == SURVIVORS:
                break
        if not alive:
            alive = least_bad(own, target, rows, cache)
        found[target, *kind] = tuple(alive)
        sys.stdout.write(f"{target} {kind}: {alive}\n")
        sys.stdout.flush()
        kept(found)


def least_bad(own: list[Case], target: str, rows: list[Row], cache: Cache) -> list[Row]:
    """The tiles that run but spill, those that spill least; none if none run."""
    spilled: dict[Row, int] = {}
    for row in rows:
        faults = [fault for case in own for fault in cache.of_target(case, target, row)]
        amounts = [SPILLED.search(fault) for fault in faults]
        if all(amounts):
            spilled[row] = sum(int(amount[1]) for amount in amounts if amount)
    return [min(spilled, key=lambda row: spilled[row])] if spilled else []


def kept(rows: dict[tuple[str, int, int, int], tuple[Row, ...]]) -> None:
    """Write the module of the package."""
    lines = [
        '"""Tiles that kernels survive compiling with, written by `tests/kernel_sweep.py --write`.',
        "",
        "By target, matrices of accumulators, inner products, longest axis held whole: rows,",
        "streamed indices, columns, warps, stages. What moves least comes first; where all tiles",
        "spill there are those that spill least.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "ROWS: dict[tuple[str, int, int, int], tuple[tuple[int, int, int, int, int], ...]] = {",
    ]
    for name, tiles in sorted(rows.items()):
        quoted = f'("{name[0]}", {", ".join(map(str, name[1:]))})'
        lines.append(f"    {quoted}: (")
        lines += [f"        {row}," for row in tiles]
        lines.append("    ),")
    assert survivors.__file__ is not None
    Path(survivors.__file__).write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")


@dataclass(slots=True)
class Count:
    """How many sets of tiles there were, and how many have faults: default ones, and others."""

    rows: int = 0
    wrong: int = 0
    spare: int = 0

    def add(self, other: Count) -> None:
        """Count more."""
        self.rows += other.rows
        self.wrong += other.wrong
        self.spare += other.spare


def may_be(fault: str, case: Case) -> bool:
    """Whether a fault of default tiles is told only.

    Where axes are long there may be no tiles that do not spill, but they have to run.
    """
    spilled = SPILLED.search(fault)
    if spilled is None:
        return False
    is_little = triton.__version__ != CHOSEN_WITH and int(spilled[1]) <= FEW
    return is_little or case.longest > LENGTHS[0]


def checked(library: ncdlang.Library, name: str, cache: Cache, every: bool) -> Count:
    """Compile all kernels of a program with their default tiles, or with `every` set of them."""
    found = Count()
    every_case = [c for n in LENGTHS for c in cases(library, name, n) if c.longest == n]
    for case, target in product(every_case, TARGETS):
        rows = rows_of(case.kernel, target, case.longest)
        for row in rows if every else rows[:1]:
            wrong = cache.of_target(case, target, row)
            is_wrong = any(not may_be(fault, case) for fault in wrong)
            is_default = row == rows[0]
            found.add(Count(1, is_wrong and is_default, is_wrong and not is_default))
            tiles = "x".join(map(str, row[:3]))
            told = f"{case.name} {target} {tiles} {row[3]} warps {row[4]} stages"
            kind = "" if is_default else " (only for tuning)"
            sys.stdout.write(f"{told}: {'; '.join(wrong) or 'survives'}{kind}\n")
            sys.stdout.flush()
    return found


def main() -> int:
    """Sweep the programs that are named, all of them without names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--defaults", action="store_true", help="only the default tiles")
    parser.add_argument("--write", action="store_true", help="find what survives anew")
    options = parser.parse_args()
    library = ncdlang.load(Path(__file__).parent / "data" / "kernels.ncd")
    cache = Cache()
    sys.stdout.write(f"Triton {triton.__version__}\n")
    if options.write:
        write(library, options.programs or list(SWEPT), cache)
        return 0
    names = options.programs or library.diagrams
    total = Count()
    for name in names:
        total.add(checked(library, name, cache, not options.defaults))
    told = f"{total.wrong} of the default ones have faults, {total.spare} of those for tuning"
    sys.stdout.write(f"{total.rows} sets of tiles: {told}\n")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
