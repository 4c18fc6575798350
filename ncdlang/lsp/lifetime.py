"""The server ends with its editor, even if another process keeps its standard input open."""

from __future__ import annotations

import os
import sys
import time
from threading import Thread

INTERVAL = 2.0
"""How often the editor is looked for, in seconds."""


def end_with(process: int | None) -> None:
    """End this process once another one is gone. One that can't be seen is not waited for: the
    number may be that of a process outside of a container."""
    if process is None or process <= 0 or sys.platform == "win32" or not is_there(process):
        return
    Thread(target=_wait_for, args=(process,), daemon=True).start()


def is_there(process: int) -> bool:
    """Whether there is a process with a number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's
        return True
    return True


def _wait_for(process: int) -> None:
    while is_there(process):
        time.sleep(INTERVAL)
    os._exit(1)
