"""The benchmarks: what they compare is equal, and what they write can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from ncdlang.backends.kernels import dispatch, winners  # noqa: E402

import ncdlang  # noqa: E402
from benchmarks.cases import CASES  # noqa: E402
from benchmarks.harness import Trial, checked, ratio, worst  # noqa: E402
from benchmarks.winners import updated, winner  # noqa: E402

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize(
    ("name", "backward"),
    [("causal", False), ("rms_norm_linear", True), ("cross_entropy", False), ("softmax", True)],
)
def test_kernels_are_checked_before_they_are_measured(name: str, backward: bool) -> None:
    row = checked(BY_NAME[name], "f32", "cpu", backward)
    assert row["kernels"]
    assert row["right"]


def test_a_check_that_runs_no_kernel_is_wrong() -> None:
    text = "diagram twice(X: [t m]) -> [t m] { return Y[t m] = 2 * X[t m] }\n"
    case = replace(BY_NAME["softmax_rows"], text=text, eager=lambda x: 2 * x)
    row = checked(case, "f32", "cpu")
    assert row["kernels"] == []
    assert row["error"] < 1e-6
    assert row["right"] is False


def ran(*options: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, who has not said that Triton interprets."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks", "--device", "cpu", *options]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_check_interprets_on_the_cpu() -> None:
    done = ran("--check", "--only", "softmax_rows", "--dtype", "f32", "--direction", "forward")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["kernels"]
    assert row["right"]


def test_cases_that_there_are_not() -> None:
    done = ran("--check", "--only", "softmax", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no case 'nonsense'; there are softmax, causal, " in done.stderr


@pytest.mark.parametrize("name", BY_NAME)
def test_peers_say_what_the_program_says(name: str) -> None:
    case = BY_NAME[name]
    trial = Trial.of(case, case.small, "f32", "false", "cpu", backward=True)
    exact = trial.exact()
    assert len(exact) == 1 + len(trial.leaves)
    assert worst(trial.made(trial.module), exact) < 1e-5
    for peer in [case.eager, *([case.library] if case.library else [])]:
        assert worst(trial.peer(peer), exact) < 1e-5


def test_a_wrong_peer_is_noticed() -> None:
    case = BY_NAME["softmax_rows"]
    trial = Trial.of(case, case.small, "f32", "false", "cpu", backward=True)
    assert worst(trial.peer(lambda x: x.sigmoid()), trial.exact()) > 0.1
    same = trial.peer(lambda x: x.softmax(-1).detach() + 0 * x)
    assert worst(same[:1], trial.exact()[:1]) < 1e-5
    assert worst(same, trial.exact()) > 0.1


def test_ratios_are_taken_within_rounds() -> None:
    """A round in which the machine is slow tells as much as any other."""
    times = {"ours": [1.0, 20.0, 1.1], "eager": [2.0, 30.0, 2.0], "library": [1.0, 10.0, 1.0]}
    assert ratio(times, "ours", "eager", "library") == pytest.approx(1.1)
    assert ratio(times, "ours compiled", "eager") is None


def test_one_command_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "made.json"
    options = ("--only", "scatter", "--rounds", "3", "--no-compile", "--dtype", "f32")
    done = ran(*options, "-o", str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "| scatter | forward |" in done.stdout
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["machine"]["torch"] == torch.__version__
    forward, backward = found["rows"]
    assert backward["direction"] == "forward and backward"
    for row in (forward, backward):
        assert row["ratio"] > 0
        assert set(row["milliseconds"]) == {"ours", "eager"}


def test_results_that_are_kept_are_of_all_cases() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert {row["case"] for row in found["rows"]} <= set(BY_NAME)
        assert all(check["right"] for check in found["checks"])


# ---- the table of winners ------------------------------------------------------------------------


def measured(name: str, derived: float, plain: float) -> dict[str, Any]:
    """A row with made-up times."""
    return {
        "case": name,
        "direction": "forward",
        "format": "bf16",
        "sizes": BY_NAME[name].cuda,
        "milliseconds": {"ours": derived, "derived": derived, "plain": plain},
    }


def at(library: ncdlang.Library, sizes: dict[str, int]) -> dict[str, int]:
    return {s.name: sizes[s.name] for s in library.program.diagrams[-1].unknowns}


def rows_of(text: str) -> list[dict[str, Any]]:
    scope: dict[str, Any] = {}
    exec(text, scope)
    return scope["ROWS"]


@pytest.mark.parametrize("name", ["softmax", "scatter"])
@pytest.mark.parametrize(("derived", "plain"), [(1.0, 2.0), (2.0, 1.0)])
def test_the_faster_way_is_taken(
    name: str, derived: float, plain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written into the table is what an emitted file goes by."""
    case, text = BY_NAME[name], Path(winners.__file__).read_text(encoding="utf-8")
    row = winner(case, measured(name, derived, plain), (9, 0))
    assert row is not None
    monkeypatch.setattr(dispatch, "ROWS", rows_of(updated(text, [row])))
    library = ncdlang.loads(case.text)
    file = library.source(sizes=at(library, case.cuda), backend="triton")
    asked = [line for line in file.splitlines() if "if not _preferred(self.derived, " in line]
    assert len(asked) == 1
    assert asked[0].count(",") == 1 + len(row["sizes"])
    key = ((9, 0), "bfloat16", *row["sizes"])
    assert f"    {key!r}: {plain < derived},\n" in file


def test_the_table_keeps_rows_and_replaces_those_that_are_measured_again() -> None:
    text = Path(winners.__file__).read_text(encoding="utf-8")
    first, second = (
        winner(BY_NAME[name], measured(name, 1.0, 2.0), (9, 0)) for name in ("softmax", "causal")
    )
    again = winner(BY_NAME["softmax"], measured("softmax", 3.0, 2.0), (9, 0))
    other = winner(BY_NAME["softmax"], measured("softmax", 3.0, 2.0), (8, 0))
    assert first is not None
    assert second is not None
    assert again is not None
    assert other is not None
    made = updated(updated(text, [first, second]), [again, other])
    known = rows_of(text)
    assert len(rows_of(made)) == len(known) + 3
    assert {row["derived"] for row in rows_of(made) if row["program"] == first["program"]} == {3.0}
    assert updated(made, []) == made


def test_what_has_no_kernels_has_no_row() -> None:
    text = "diagram twice(X: [t m]) -> [t m] { return Y[t m] = 2 * X[t m] }\n"
    twice = replace(BY_NAME["softmax_rows"], text=text)
    assert winner(twice, measured("softmax_rows", 1.0, 2.0), (9, 0)) is None
    backward = measured("softmax", 1.0, 2.0) | {"direction": "forward and backward"}
    assert winner(BY_NAME["softmax"], backward, (9, 0)) is None


def test_every_program_has_a_row_of_its_own() -> None:
    names = ("gather", "scatter", "softmax", "layer_norm", "cross_entropy")
    rows = [winner(BY_NAME[name], measured(name, 1.0, 2.0), (9, 0)) for name in names]
    assert len({row["program"] for row in rows if row is not None}) == len(names)


def test_winners_are_of_gpus(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--device", "cpu", "--winners", "table.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is none here" in done.stderr
