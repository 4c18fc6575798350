"""How long a check takes, beside importing Lark, and how that grows with the file."""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ncdlang.api import check
from ncdlang.project import Project
from ncdlang.source import Source

ROOT = Path(__file__).parent.parent
ATTENTION = ROOT / "examples" / "attention.ncd"
TRIES = 4


def ratio_within(limit: float, measure: Callable[[], float]) -> tuple[bool, list[float]]:
    """Whether a ratio of times is within its limit. Other work on the machine gets new tries."""
    seen: list[float] = []
    for _ in range(TRIES):
        seen.append(measure())
        if seen[-1] <= limit:
            return True, seen
    return False, seen


def seconds(command: list[str], runs: int = 7) -> float:
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_a_check_starts_fast() -> None:
    """`ncdc check` of a small file takes at most twice as long as importing Lark."""
    # As an installation does: the environment may forbid Python to keep what it compiles.
    assert compileall.compile_dir(ROOT / "ncdlang", quiet=2)
    ncdc = [sys.executable, "-m", "ncdlang.cli", "check", str(ATTENTION)]
    lark = [sys.executable, "-c", "import lark"]
    subprocess.run(ncdc, check=True, capture_output=True)
    passed, seen = ratio_within(2.0, lambda: seconds(ncdc) / seconds(lark))
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
    start = time.perf_counter()
    checked = check(Source("model.ncd", text), project.find)
    elapsed = time.perf_counter() - start
    assert not checked.diagnostics, checked.diagnostics[0].message
    return elapsed


def test_checking_is_linear() -> None:
    small, large = model(20), model(200)
    check_time(small)

    def measure() -> float:
        one = statistics.median(check_time(small) for _ in range(5))
        return statistics.median(check_time(large) for _ in range(3)) / one

    passed, seen = ratio_within(12.0, measure)
    assert passed, seen


def test_checking_is_fast() -> None:
    """At least 2,000 lines a second."""
    text = model(200)
    lines = text.count("\n")
    check_time(text)
    passed, seen = ratio_within(1 / 2000, lambda: check_time(text) / lines)
    assert passed, [f"{1 / each:.0f} lines a second" for each in seen]
