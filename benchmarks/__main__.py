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
from pathlib import Path
from typing import Any

GOAL = 1.05


def main() -> int:
    """Check, measure, print, write. The exit status is 1 where a kernel is wrong."""
    options = _options()
    if options.check:
        return _check(options)
    import torch

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    checks = _checks(options, device)
    for row in checks:
        verdict = "right" if row["right"] else "WRONG"
        ran = ", ".join(row["kernels"]) or "the library"
        print(f"{row['case']:16} {row['format']:5} {verdict}  error {row['error']:.1e}  by {ran}")
    if not all(row["right"] for row in checks):
        return 1
    rows: list[dict[str, Any]] = []
    for case in _cases(options):
        rows.append(_row(case, options, device))
        print(f"{case.name}: {rows[-1]['ratio']}", file=sys.stderr, flush=True)
    print(_table(rows))
    if options.output:
        _write(options.output, device, checks, rows)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--dtype", choices=("f32", "bf16", "f16"), help="bf16, on the CPU f32")
    parser.add_argument("--only", nargs="*", metavar="CASE", help="some cases")
    parser.add_argument("--rounds", type=int, default=51)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--check", action="store_true", help="check kernels and do nothing else")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write JSON")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> list[Any]:
    from .cases import CASES

    return [case for case in CASES if not options.only or case.name in options.only]


def _formats(options: argparse.Namespace) -> list[str]:
    return [options.dtype] if options.dtype else ["f32", "bf16"]


def _check(options: argparse.Namespace) -> int:
    """One JSON object a line."""
    import torch

    from .harness import checked

    torch.set_float32_matmul_precision("highest")
    device = options.device or "cpu"
    for case in _cases(options):
        for dtype in _formats(options):
            print(json.dumps(checked(case, dtype, device)), flush=True)
    return 0


def _checks(options: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """The checks: on a GPU here, else in a process in which Triton interprets."""
    from .harness import checked

    if device == "cuda":
        formats = _formats(options)
        return [checked(case, dtype, device) for case in _cases(options) for dtype in formats]
    command = [sys.executable, "-m", "benchmarks", "--check", "--device", "cpu"]
    command += ["--only", *options.only] if options.only else []
    command += ["--dtype", options.dtype] if options.dtype else []
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _row(case: Any, options: argparse.Namespace, device: str) -> dict[str, Any]:
    import torch

    from .harness import alternating, ways

    dtype = options.dtype or ("bf16" if device == "cuda" else "f32")
    # All modules share one `forward`, which is only so often compiled anew.
    torch.compiler.reset()
    with torch.no_grad():
        found = ways(case, dtype, device, options.compile)
    times = alternating(found, options.rounds, device)
    best = min(time for name, time in times.items() if name in ("eager", "library"))
    row: dict[str, Any] = {
        "case": case.name,
        "format": dtype,
        "sizes": case.cuda if device == "cuda" else case.cpu,
        "milliseconds": {name: round(time, 4) for name, time in times.items()},
        "ratio": round(times["ours"] / best, 3),
    }
    if "ours compiled" in times and "eager compiled" in times:
        row["ratio compiled"] = round(times["ours compiled"] / times["eager compiled"], 3)
    return row


def _table(rows: list[dict[str, Any]]) -> str:
    """The times of all ways, and ours to the best of eager code and the library call."""
    names = list(dict.fromkeys(name for row in rows for name in row["milliseconds"]))
    lines = [f"| case | {' | '.join(names)} | ratio | compiled |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        times = (row["milliseconds"].get(name) for name in names)
        shown = ["-" if time is None else f"{time:.3f}" for time in times]
        shown += [f"{row['ratio']:.3f}", str(row.get("ratio compiled", "-"))]
        lines.append(f"| {row['case']} | {' | '.join(shown)} |")
    slow = [row["case"] for row in rows if max(row["ratio"], row.get("ratio compiled", 0)) > GOAL]
    lines.append(f"\nslower than {GOAL} times the best: {', '.join(slow) or 'none'}")
    return "\n".join(lines)


def _write(path: Path, device: str, checks: list[Any], rows: list[Any]) -> None:
    from .harness import machine

    found = {"machine": machine(device), "device": device, "checks": checks, "rows": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
