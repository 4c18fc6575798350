"""How long a check takes, beside importing Lark, and how that grows with the file."""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
import time
from pathlib import Path

from clock import processor_seconds, within

from ncdlang.api import check
from ncdlang.project import Project
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
ATTENTION = ROOT / "examples" / "attention.ncd"


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def start_ratio(command: list[str], other: list[str]) -> float:
    """How much longer one command takes than another: the best of each, run in turns."""
    times = [(seconds(command), seconds(other)) for _ in range(7)]
    return min(mine for mine, _ in times) / min(theirs for _, theirs in times)


def test_a_check_starts_fast() -> None:
    """`ncdc check` of a small file takes at most twice as long as importing Lark."""
    # As an installation does: the environment may forbid Python to keep what it compiles.
    assert compileall.compile_dir(ROOT / "ncdlang", quiet=2)
    ncdc = [sys.executable, "-m", "ncdlang.cli", "check", str(ATTENTION)]
    lark = [sys.executable, "-c", "import lark"]
    subprocess.run(ncdc, check=True, capture_output=True)
    passed, seen = within(2.0, lambda: start_ratio(ncdc, lark))
    assert passed, seen


def model(diagrams: int) -> str:
    """A file of many diagrams, ten lines each, that use each other."""
    parts = ["use std.nn.{linear, rms_norm}\n"]
    for number in range(diagrams):
        inner = f"layer{number - 1}[f](A)" if number % 10 else "A"
        parts.append(
            f"\n## Layer {number}.\n"
            f"diagram layer{number}[f](X: [x m]) -> [x m] {{\n"
            "  learn up: linear[m -> f]\n"
            "  learn down: linear[f -> m]\n"
            "  N = rms_norm[m](X)\n"
            "  H = relu(up(N))\n"
            "  A[x m] = X[x m] + down(H)\n"
            f"  B = {inner}\n"
            "  return C[x m] = A[x m] * B[x m]\n"
            "}\n"
        )
    return "".join(parts)


def check_time(text: str) -> float:
    project = Project()
    return processor_seconds(lambda: check(Source("model.ncd", text), project.find))


def test_checking_is_linear() -> None:
    small, large = model(20), model(200)
    check_time(small)
    assert not check(Source("model.ncd", small), Project().find).diagnostics

    def measure() -> float:
        one = statistics.median(check_time(small) for _ in range(5))
        return statistics.median(check_time(large) for _ in range(3)) / one

    passed, seen = within(12.0, measure)
    assert passed, seen


def test_checking_is_fast() -> None:
    """At least 2,000 lines a second."""
    text = model(200)
    lines = text.count("\n")
    assert not check(Source("model.ncd", text), Project().find).diagnostics
    passed, seen = within(1 / 2000, lambda: check_time(text) / lines)
    assert passed, [f"{1 / each:.0f} lines a second" for each in seen]
