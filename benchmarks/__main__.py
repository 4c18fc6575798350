"""`python -m benchmarks`: checks kernels, measures them beside their peers, writes JSON.

Without a GPU the kernels are checked in Triton's interpreter, and what is measured is what the
emitted modules run on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GOAL = 1.05


DIRECTIONS = {"forward": (False,), "backward": (True,), "both": (False, True)}


def main() -> int:
    """Check, measure, print, write. The exit status is 1 where a kernel is wrong, or none ran."""
    options = _options()
    device = options.device or _device()
    if options.check:
        return _check(options, device)
    from .harness import keep_memory, machine

    if options.winners and device != "cuda":
        print("the table of winners is of GPUs: there is none here", file=sys.stderr)
        return 2
    checks = _checks(options, device)
    for row in checks:
        verdict = "right" if row["right"] else "WRONG"
        ran = ", ".join(row["kernels"]) or "no kernel"
        what = f"{row['case']:24} {row['direction']:20} {row['format']:5}"
        print(f"{what} {verdict}  error {row['error']:.1e}  by {ran}")
    if not all(row["right"] for row in checks):
        return 1
    head = {
        "machine": machine(device),
        "device": device,
        "memory": "kept" if device == "cpu" and keep_memory() else "as the system has it",
        "clock": options.clock,
        "ratios": "medians of the ratios within a round",
        "checks": checks,
    }
    rows: list[dict[str, Any]] = []
    for case in _cases(options):
        for backward in DIRECTIONS[options.direction]:
            rows.append(_row(case, options, device, backward))
            said = (rows[-1][key] for key in ("case", "direction", "ratio"))
            print(*said, file=sys.stderr, flush=True)
            _write(options, {**head, "rows": rows})
    print(_table(rows))
    if options.winners:
        _write_winners(options, rows)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--dtype", choices=("f32", "bf16", "f16"), help="bf16, on the CPU f32")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="some cases")
    parser.add_argument("--direction", choices=DIRECTIONS, default="both")
    parser.add_argument("--rounds", type=int, default=51)
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="on the CPU: processor time, of one thread, for a machine that is busy",
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--check", action="store_true", help="check kernels and do nothing else")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write JSON")
    parser.add_argument(
        "--winners",
        type=Path,
        metavar="FILE",
        help="write what was measured on a GPU into the table of winners (winners.py)",
    )
    options = parser.parse_args()
    _refuse_unknown(options.only or [], parser)
    return options


def _refuse_unknown(names: list[str], parser: argparse.ArgumentParser) -> None:
    if not names:
        return
    from .cases import CASES

    known = [case.name for case in CASES]
    for name in names:
        if name not in known:
            parser.error(f"there is no case {name!r}; there are {', '.join(known)}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _cases(options: argparse.Namespace) -> list[Any]:
    from .cases import CASES

    return [case for case in CASES if not options.only or case.name in options.only]


def _formats(options: argparse.Namespace) -> list[str]:
    return [options.dtype] if options.dtype else ["f32", "bf16"]


def _all_checks(options: argparse.Namespace, device: str) -> Iterator[dict[str, Any]]:
    from .harness import checked

    for case in _cases(options):
        for dtype in _formats(options):
            for backward in DIRECTIONS[options.direction]:
                yield checked(case, dtype, device, backward)


def _check(options: argparse.Namespace, device: str) -> int:
    """One JSON object a line."""
    if device == "cpu":
        # Before Triton is imported: it then decides whether its own functions are interpreted.
        os.environ["TRITON_INTERPRET"] = "1"
        warnings.filterwarnings("ignore", module=r"triton\.")
    import torch

    torch.set_float32_matmul_precision("highest")
    right = True
    for row in _all_checks(options, device):
        print(json.dumps(row), flush=True)
        right = right and row["right"]
    return 0 if right else 1


def _checks(options: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """The checks: on a GPU here, else in a process in which Triton interprets."""
    if device == "cuda":
        return list(_all_checks(options, device))
    command = [sys.executable, "-m", "benchmarks", "--check", "--device", "cpu"]
    command += ["--direction", options.direction]
    command += ["--only", *options.only] if options.only else []
    command += ["--dtype", options.dtype] if options.dtype else []
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    if all(row["right"] for row in rows):
        done.check_returncode()
    return rows


def _format(options: argparse.Namespace, device: str) -> str:
    return options.dtype or ("bf16" if device == "cuda" else "f32")


def _row(case: Any, options: argparse.Namespace, device: str, backward: bool) -> dict[str, Any]:
    import torch

    from .harness import alternating, direction, medians, ratio, ways

    dtype = _format(options, device)
    # All modules share one `forward`, which is only so often compiled anew.
    torch.compiler.reset()
    found = ways(case, dtype, device, options.compile, backward)
    times = alternating(found, options.rounds, device, options.clock)
    row: dict[str, Any] = {
        "case": case.name,
        "direction": direction(backward),
        "format": dtype,
        "sizes": case.cuda if device == "cuda" else case.cpu,
        "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 1),
        "milliseconds": {name: round(time, 4) for name, time in medians(times).items()},
    }
    ratios = {
        "ratio": ratio(times, "ours", "eager", "library"),
        "ratio compiled": ratio(times, "ours compiled", "eager compiled"),
    }
    return row | {name: round(found, 3) for name, found in ratios.items() if found is not None}


def _table(rows: list[dict[str, Any]]) -> str:
    """The times of all ways, and ours to the best of eager code and the library call."""
    names = list(dict.fromkeys(name for row in rows for name in row["milliseconds"]))
    heads = ["case", "direction", *names, "ratio", "compiled"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        times = (row["milliseconds"].get(name) for name in names)
        shown = [row["case"], row["direction"]]
        shown += ["-" if time is None else f"{time:.3f}" for time in times]
        shown += [f"{row['ratio']:.3f}", str(row.get("ratio compiled", "-"))]
        lines.append(f"| {' | '.join(shown)} |")
    slow = [
        f"{row['case']} ({row['direction']})"
        for row in rows
        if max(row["ratio"], row.get("ratio compiled", 0)) > GOAL
    ]
    lines.append(f"\nslower than {GOAL} times the best: {', '.join(slow) or 'none'}")
    return "\n".join(lines)


def _write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    """What was found so far."""
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _write_winners(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    import torch

    from .winners import updated, winner

    cases = {case.name: case for case in _cases(options)}
    capability = torch.cuda.get_device_capability()
    found = [winner(cases[row["case"]], row, capability) for row in rows]
    text = options.winners.read_text(encoding="utf-8")
    text = updated(text, [row for row in found if row is not None])
    options.winners.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
