"""Compiles kernels for a GPU on a machine without one, and reads what they need of it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.terms import Array
from ncdlang.semantics.size import Symbol
from ncdlang.targets import TargetError

from .launch import HEADER, compiled
from .schedule import SHARED, Schedule
from .source import Kernel

LIMITS = {80: SHARED["sm_80"], 90: SHARED["sm_90"]}
TYPES = {"f32": "*fp32", "bf16": "*bf16", "f16": "*fp16"}
INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Resources:
    """What a compiled kernel takes. `matrix` and `loads` count instructions by their names."""

    registers: int
    stack: int
    spills: int
    shared: int
    serialized: bool
    matrix: dict[str, int]
    loads: dict[str, int]

    def faults(self, arch: int, has_products: bool) -> list[str]:
        """What keeps the kernel from running well, or at all."""
        found: list[str] = []
        if self.stack or self.spills:
            found.append(f"{self.stack} bytes of stack, {self.spills} bytes spilled")
        if self.serialized:
            found.append("wgmma serialized")
        if self.shared > LIMITS[arch]:
            found.append(f"{self.shared} bytes of shared memory, {LIMITS[arch]} there are")
        if has_products and arch >= 90 and not self.matrix.get("HGMMA"):
            found.append("no HGMMA")
        if has_products and arch >= 90 and self.matrix.get("HMMA"):
            found.append(f"{self.matrix['HMMA']} HMMA beside HGMMA")
        if has_products and arch < 90 and not self.matrix.get("HMMA"):
            found.append("no HMMA")
        if has_products and not sum(self.loads.values()):
            found.append("no asynchronous loads")
        return found


def measure(
    kernel: Kernel, schedule: Schedule, sizes: dict[Symbol, int], dtype: str, arch: int
) -> Resources:
    """Compile a kernel for `sm_<arch>`. Raises TargetError in a process with the interpreter."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise TargetError("kernels are not compiled where TRITON_INTERPRET=1")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = compiled(HEADER + "".join(kernel.calls) + kernel.text, kernel.name)
    signature, constants, attributes = _arguments(kernel, schedule, sizes, dtype)
    names = function.arg_names
    source = ASTSource(
        fn=function,
        signature={name: signature.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in attributes},
    )
    options = {"num_warps": schedule.warps, "num_stages": schedule.stages}
    made: Any = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    return _resources(made, arch)


def _added_up(kernel: Kernel) -> Array | None:
    """What is combined atomically, which is not rounded in between."""
    region = kernel.region
    return region.array if isinstance(region, Scattered) and region.collides else None


def _arguments(
    kernel: Kernel, schedule: Schedule, sizes: dict[Symbol, int], dtype: str
) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """The types of the arguments, those that are constants, those that 16 divides.

    Arrays are taken to be contiguous, as Triton sees them when it is called.
    """
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {**dict(schedule.blocks), "PRECISION": "tf32"}
    divisible: list[str] = []

    def whole(name: str, value: int) -> None:
        if value == 1:
            constants[name] = 1
            return
        signature[name] = "i32" if value < 1 << 31 else "i64"
        if value % 16 == 0:
            divisible.append(name)

    for array, argument in kernel.arguments.arrays.items():
        kinds = {"natural": "*i64", "integer": "*i64", "boolean": "*i1"}
        is_single = array.kind.format == "f32" or array is _added_up(kernel)
        pointer = "*fp32" if is_single else kinds.get(array.kind.name, TYPES[dtype])
        signature[argument.pointer] = pointer
        divisible.append(argument.pointer)
        step = 1
        strides: list[int] = []
        for axis in reversed(array.axes):
            strides.insert(0, step)
            step *= axis.size.evaluate(sizes)
        for name, stride in zip(argument.strides, strides, strict=True):
            whole(name, stride)
        whole(argument.batch, step)
    for size, name in kernel.arguments.sizes.items():
        whole(name, size.evaluate(sizes))
    return signature, constants, divisible


def _resources(made: Any, arch: int) -> Resources:
    import triton
    from triton.backends.nvidia.compiler import get_ptxas

    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        cubin, text = Path(folder) / "k.cubin", Path(folder) / "k.ptx"
        cubin.write_bytes(made.asm["cubin"])
        text.write_text(made.asm["ptx"])
        usage = _output([tools / "cuobjdump", "-res-usage", cubin])
        code = _output([tools / "cuobjdump", "-sass", cubin])
        target = re.search(r"\.target (\w+)", made.asm["ptx"])
        name = target[1] if target else f"sm_{arch}"
        ptxas = Path(get_ptxas(arch).path)
        told = _output([ptxas, "-v", f"-arch={name}", text, "-o", "/dev/null"])
    counts = Counter(INSTRUCTION.findall(code))
    registers = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", told)
    return Resources(
        int(registers[1]) if registers else 0,
        int(registers[2]) if registers else 0,
        int(spills[1]) + int(spills[2]) if spills else 0,
        made.metadata.shared,
        "serialized" in told,
        {name: counts[name] for name in ("HGMMA", "HMMA") if counts[name]},
        {name: counts[name] for name in ("LDGSTS", "UTMALDG") if counts[name]},
    )


def _output(command: list[Any]) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.stdout + done.stderr
