"""The ahead-of-time gate: derived kernels compile for GPUs that are not here, without faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).parent / "kernel_gate.py"
PROGRAMS = ("causal", "spherical", "rms_norm_linear", "gated", "linear_logsumexp")
PROGRAMS += ("gated_recurrence", "gather", "experts")
FULL = ("grouped", "alibi", "sigmoid_causal", "differential", "layer_norm_linear", "soft_capped")
FULL += ("scatter",)
ROOT = Path(__file__).parent.parent
# All that is there to be built: it takes some 10 minutes, one file stands for it in short runs.
FILES = {
    folder: tuple(map(str, sorted((ROOT / folder).glob("*.ncd"))))
    for folder in ("examples", "stdlib/std")
}
SHORT = {"mlp": (str(ROOT / "examples" / "mlp.ncd"),)}
LOGSUMEXP = """
diagram lse(X: [x m], W: [v m]) -> [x] {
  L[x v] = W[v m] * X[x m]
  return l[x] = logsumexp[v](L)
}
"""
COLUMNS = ("program", "direction", "makes", "arch", "tiles", "warps")
COLUMNS += ("registers", "spills", "shared", "matrix")


def measured(names: tuple[str, ...]) -> list[dict[str, object]]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(GATE), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_kernels_compile_for_ampere_and_hopper(golden) -> None:
    rows = measured(PROGRAMS)
    assert not [row for row in rows if row["faults"]]
    assert {row["arch"] for row in rows} == {80, 90}
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(str(row[column]) for column in COLUMNS)} |" for row in rows]
    golden("kernel_resources.md", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", FULL if os.environ.get("NCDLANG_FULL") else FULL[:1])
def test_further_kernels_compile(name: str) -> None:
    assert not [row for row in measured((name,)) if row["faults"]]


@pytest.mark.parametrize("files", FILES if os.environ.get("NCDLANG_FULL") else SHORT)
def test_all_kernels_of_examples_and_library_compile(files: str) -> None:
    rows = measured((FILES | SHORT)[files])
    assert {row["arch"] for row in rows} == {80, 90}
    assert {row["direction"] for row in rows} == {"forward", "backward", "in parts"}
    assert not [row for row in rows if row["faults"]]


def test_parts_are_cut_as_the_whole_is(tmp_path: Path) -> None:
    """The inner product is over more than a tile holds: it is a loop in the parts, too."""
    file = tmp_path / "lse.ncd"
    file.write_text(LOGSUMEXP, encoding="utf-8")
    rows = measured((str(file),))
    assert {row["direction"] for row in rows} == {"forward", "in parts"}
    assert not [row for row in rows if row["faults"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "arguments are required: NAME"),
        (("casual",), "no program 'casual', only scatter, gather, "),
        (("causal", "lost.ncd"), "cannot read lost.ncd: no such file"),
    ],
)
def test_what_the_gate_cannot_compile(arguments: tuple[str, ...], words: str) -> None:
    """It is told before anything is compiled."""
    done = subprocess.run(
        [sys.executable, str(GATE), *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    usage, error = done.stderr.splitlines()
    assert usage.startswith("usage: ")
    assert words in error


def test_the_page_shows_the_table() -> None:
    table = (ROOT / "tests" / "golden" / "kernel_resources.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8").endswith(table)
