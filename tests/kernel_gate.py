"""Compiles kernels ahead of time and prints what they take, one JSON object a line.

Run in a process of its own, since Triton decides when it is imported whether it interprets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
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
from ncdlang.report import render
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


def main() -> None:
    """Compile programs of the tests by their names, and all diagrams of files by their paths."""
    parser = argparse.ArgumentParser(prog="kernel_gate.py", description=__doc__)
    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="a program of the tests, or the path of a .ncd file",
    )
    programs = own_programs()
    wanted: list[tuple[CheckedDiagram, bool]] = []
    for name in parser.parse_args().names:
        if name.endswith(".ncd"):
            wanted += [(diagram, True) for diagram in opened(name, parser)]
        elif name in programs:
            wanted.append((programs[name], name in PARTED))
        else:
            known = ", ".join(programs)
            parser.error(f"the tests have no program {name!r}, only {known}; files end in .ncd")
    seen: set[str] = set()
    for diagram, with_parts in wanted:
        try:
            measured(diagram.name, diagram, seen, with_parts)
        except Opaque as opaque:
            sys.stderr.write(f"{diagram.name} has no kernels: {opaque.what}\n")


def own_programs() -> dict[str, CheckedDiagram]:
    """The programs of the tests by their names."""
    folder = Path(__file__).parent / "data"
    libraries = [ncdlang.load(folder / file) for file in ("kernels.ncd", "indexed.ncd")]
    # The first file goes before the second.
    diagrams = [each for library in reversed(libraries) for each in library.program.diagrams]
    return {diagram.name: diagram for diagram in diagrams}


def opened(path: str, parser: argparse.ArgumentParser) -> tuple[CheckedDiagram, ...]:
    """The diagrams of a file; the parser tells what is wrong with it, and ends."""
    try:
        return tuple(ncdlang.load(path).program.diagrams)
    except ncdlang.NcdError as error:
        parser.error(render(error.diagnostics, "concise").strip())


if __name__ == "__main__":
    main()
