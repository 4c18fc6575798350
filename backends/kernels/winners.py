"""What was measured: how long kernels and library calls took, written by `python -m benchmarks`.

A row has the program (`dispatch.fingerprint`), the compute capability of the GPU, the format, the
bits of the sizes in the order of the program's unknowns, and the medians in milliseconds.
"""

from __future__ import annotations

from typing import Any

ROWS: list[dict[str, Any]] = []
