"""Times that tests measure, so that other work on the machine does not decide them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 4


def processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of processor time, without collecting garbage, as in the command."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        work()
        return time.process_time() - start
    finally:
        gc.enable()


def within(limit: float, measure: Callable[[], float]) -> tuple[bool, list[float]]:
    """Whether what is measured is within its limit at one of some tries, and all that was seen."""
    seen: list[float] = []
    for _ in range(TRIES):
        seen.append(measure())
        if seen[-1] <= limit:
            return True, seen
    return False, seen
