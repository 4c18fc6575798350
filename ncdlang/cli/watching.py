"""`--watch`: a command is run again whenever a file changes that it read or looked for.

Files are looked at a few times a second. They are few, and this works where notifications do not:
on network drives, in containers, and for editors that put a new file in the place of the old one.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from typing import TypeAlias

from ncdlang.cli.console import CommandError, remark
from ncdlang.project import STDIN, Project

INTERVAL = 0.2
SETTLING = 0.05
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"

Stamp: TypeAlias = tuple[int, int, int] | None
"""When a file was written, its length and its number; None for what can't be looked at."""
_STALE: Stamp = (-1, -1, -1)


def add_option(parser: ArgumentParser) -> None:
    """The option of the commands that can be repeated."""
    parser.add_argument(
        "--watch",
        action="store_true",
        help="do it again whenever the file or one that it uses changes; Ctrl-C ends it",
    )


def watch(
    run: Callable[[Namespace], int], options: Namespace, guarded: Callable[[Callable[[], int]], int]
) -> int:
    """Run a command until the user interrupts it. `guarded` makes messages of what goes wrong."""
    named = _named(options)
    stamps = _stamps(named)
    changed: list[str] = []
    try:
        while True:
            _head(changed)
            options.projects = projects = list[Project]()
            started = time.time_ns()
            guarded(lambda: run(options))
            asked = dict.fromkeys([*named, *(path for each in projects for path in each.asked)])
            for path in asked:
                if path not in stamps:
                    stamps[path] = _first_stamp(path, started)
            options.open = False  # a desktop's viewer follows the file by itself
            remark(f"watching {_count(asked)}; Ctrl-C ends it")
            changed = _wait({path: stamps[path] for path in asked})
            stamps |= _stamps(asked)
    except KeyboardInterrupt:
        return 0


def _named(options: Namespace) -> list[str]:
    """The files of the command line. Raises CommandError for what can't be done repeatedly."""
    files: list[str] = options.files if hasattr(options, "files") else [options.file]
    if STDIN in files:
        raise CommandError("--watch is for files, and - is standard input")
    if options.message_format in ("json", "sarif"):
        raise CommandError(f"--watch is for people: it can't go with {options.message_format}")
    for name in ("fix", "unsafe_fixes", "diff"):
        if getattr(options, name, False):
            option = name.replace("_", "-")
            raise CommandError(f"--watch and --{option} can't go together")
    return files


def _head(changed: list[str]) -> None:
    """Begin a run: on an empty terminal, else under what was written before."""
    if sys.stderr.isatty():
        sys.stderr.write(_CLEAR)
    if changed:
        others = len(changed) - 1
        also = f" and {_count(changed[1:])} more" if others else ""
        remark(f"{changed[0]}{also} changed")


def _wait(known: dict[str, Stamp]) -> list[str]:
    """The files that changed, once they have, and stay as they are for a moment."""
    while (now := _stamps(known)) == known:
        time.sleep(INTERVAL)
    while True:
        time.sleep(SETTLING)
        before, now = now, _stamps(known)
        if before == now:
            return [path for path in known if now[path] != known[path]] or list(known)[:1]


def _stamps(paths: Iterable[str]) -> dict[str, Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _first_stamp(path: str, started: int) -> Stamp:
    """The stamp of a file that was first seen in a run; stale if it was written during it."""
    stamp = _stamp(path)
    return _STALE if stamp is not None and stamp[0] >= started else stamp


def _count(paths: Iterable[str]) -> str:
    count = len(list(paths))
    return f"{count} file{'' if count == 1 else 's'}"
