"""The benchmarks: what they compare is equal, and what they write can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.cases import CASES  # noqa: E402
from benchmarks.harness import (  # noqa: E402
    DTYPES,
    checked,
    error,
    inputs,
    ours,
    parameters,
)

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("name", ["causal", "rms_norm_linear", "cross_entropy"])
def test_kernels_are_checked_before_they_are_measured(name: str) -> None:
    row = checked(BY_NAME[name], "f32", "cpu")
    assert row["kernels"]
    assert row["right"]


@pytest.mark.parametrize("name", BY_NAME)
def test_peers_say_what_the_program_says(name: str) -> None:
    case = BY_NAME[name]
    module = ours(case, case.small, "f32", "false")
    given, weights = inputs(case, case.small, DTYPES["f32"], "cpu"), parameters(module)
    if case.name == "rms_norm_linear":
        weights = weights[::-1] if weights[0].dim() > 1 else weights
    extra = {"v": case.small["v"]} if name == "scatter" else {}
    with torch.no_grad():
        made = module(*given)
        peers = [case.eager, *([case.library] if case.library else [])]
        for peer in peers:
            assert error(peer(*given, *weights, **extra), made.double()) < 1e-5


def test_one_command_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", "--only", "scatter"]
    command += ["--rounds", "3", "--no-compile", "--dtype", "f32", "-o", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| scatter |" in done.stdout
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["machine"]["torch"] == torch.__version__
    (row,) = found["rows"]
    assert row["ratio"] > 0
    assert set(row["milliseconds"]) == {"ours", "eager"}


def test_results_that_are_kept_are_of_all_cases() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert {row["case"] for row in found["rows"]} <= set(BY_NAME)
        assert all(check["right"] for check in found["checks"])
