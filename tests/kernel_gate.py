"""Compiles kernels ahead of time and prints what they take, one JSON object a line.

Run in a process of its own, since Triton decides when it is imported whether it interprets.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

os.environ.pop("TRITON_INTERPRET", None)
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

from ncdlang.backends.kernels.ahead import measure
from ncdlang.backends.kernels.runner import label
from ncdlang.backends.kernels.schedule import choose
from ncdlang.backends.kernels.source import Kernel
from ncdlang.backends.kernels.splits import parts_of_few
from ncdlang.backends.kernels.steps import is_ordered
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.split import PARTS
from ncdlang.semantics.program import CheckedDiagram

SIZES = dict(
    zip(
        "qxhgrketmfnvw",
        (4096, 4096, 16, 4, 4, 128, 128, 4096, 4096, 4096, 8192, 32768, 8192),
        strict=True,
    )
)
# Programs of the tests of which the kernels in parts are compiled, too.
PARTED = ("causal",)


def kernels(runner: Runner) -> list[tuple[str, Kernel]]:
    found: list[tuple[str, Kernel]] = []
    for step, launcher in runner.program.launchers.items():
        backward = runner.backward(step)
        forward = launcher if backward is None else backward.forward
        found += [("forward", kernel) for kernel in forward.kernels]
        if backward is not None:
            others = backward.program.launchers.values()
            found += [("backward", kernel) for each in others for kernel in each.kernels]
    return found


def in_parts(runner: Runner) -> list[tuple[str, Kernel]]:
    """The kernels of the parts of the forward pass, and those that merge them."""
    launchers = runner.program.launchers.values()
    found = [parts_of_few(launcher, runner.sizes) for launcher in launchers]
    return [("in parts", kernel) for parts in found if parts for kernel in parts.kernels]


def manner(kernel: Kernel) -> str:
    """How a kernel combines what meets at one place."""
    if "tl.atomic" in kernel.text:
        return ", atomically"
    return ", sorted" if is_ordered(kernel) else ""


def measured(name: str, diagram: CheckedDiagram, seen: set[str], with_parts: bool) -> None:
    """Compile the kernels of a diagram that no other one had before."""
    sizes = {symbol: SIZES.get(symbol.name, 64) for symbol in diagram.unknowns}
    plan = make_plan(open_diagram(diagram), sizes, "written")
    runner = Runner(plan, sizes)
    parts = in_parts(runner) if with_parts else []
    sizes[PARTS] = 8
    for direction, kernel in (*kernels(runner), *parts):
        text = kernel.text.replace(kernel.name, "kernel")
        if text in seen:
            continue
        seen.add(text)
        made = label(kernel.region) + manner(kernel)
        for arch in (80, 90):
            schedule = choose(kernel, sizes, f"sm_{arch}")
            taken = measure(kernel, schedule, sizes, "bf16", arch)
            row = {
                "program": name,
                "direction": direction,
                "makes": made,
                "arch": arch,
                "tiles": "x".join(str(size) for _, size in schedule.blocks),
                "warps": schedule.warps,
                "registers": taken.registers,
                "spills": taken.spills,
                "shared": taken.shared,
                "matrix": sum(taken.matrix.values()),
                "faults": taken.faults(arch, "tl.dot" in kernel.text),
            }
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def main(names: list[str]) -> None:
    """Compile programs of the tests by their names, and all diagrams of files by their paths."""
    folder = Path(__file__).parent / "data"
    libraries = [ncdlang.load(folder / file) for file in ("kernels.ncd", "indexed.ncd")]
    seen: set[str] = set()
    for name in names:
        if name.endswith(".ncd"):
            for diagram in ncdlang.load(name).program.diagrams:
                with suppress(Opaque):
                    measured(diagram.name, diagram, seen, with_parts=True)
            continue
        found = (library.program.diagram(name) for library in libraries)
        diagram = next(each for each in found if each is not None)
        measured(name, diagram, seen, with_parts=name in PARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
