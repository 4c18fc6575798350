"""The table of what was faster on a GPU: rows of `backends/kernels/winners.py`."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

from ncdlang.backends.kernels.dispatch import fingerprint
from ncdlang.backends.kernels.training import Runner

import ncdlang
from ncdlang.analysis.opening import Opaque, open_diagram
from ncdlang.analysis.plan import make_plan

from .cases import Case

_TABLE = "ROWS: list[dict[str, Any]] = "
_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_KEY = ("program", "capability", "format", "sizes")


def winner(case: Case, row: dict[str, Any], capability: Sequence[int]) -> dict[str, Any] | None:
    """The row of the table that a measured forward row makes, None where none is to be chosen."""
    times = row["milliseconds"]
    if row["direction"] != "forward" or not {"derived", "plain"} <= times.keys():
        return None
    diagram = ncdlang.loads(case.text).program.diagrams[-1]
    sizes = {s: row["sizes"][s.name] for s in diagram.unknowns}
    try:
        runner = Runner(make_plan(open_diagram(diagram), sizes, "cheapest"), sizes)
    except Opaque:
        return None
    if not runner.names:
        return None
    return {
        "program": fingerprint(runner),
        "capability": list(capability),
        "format": _DTYPES[row["format"]],
        "sizes": [size.bit_length() for size in sizes.values()],
        "derived": times["derived"],
        "library": times["plain"],
    }


def updated(text: str, rows: list[dict[str, Any]]) -> str:
    """The text of the table with rows added; one of the same program, GPU and sizes goes."""
    head, _, tail = text.partition(_TABLE)
    kept = {_key(row): row for row in [*ast.literal_eval(tail.strip()), *rows]}
    lines = [f"    {_written(kept[key])}," for key in sorted(kept)]
    return (
        f"{head}{_TABLE}[" + "".join(f"\n{line}" for line in lines) + ("\n]\n" if lines else "]\n")
    )


def _key(row: dict[str, Any]) -> str:
    return json.dumps([row[name] for name in _KEY])


def _written(row: dict[str, Any]) -> str:
    return json.dumps({name: row[name] for name in (*_KEY, "derived", "library")})
