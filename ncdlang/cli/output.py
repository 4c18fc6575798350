"""Artefacts: written to stdout, or to a file at once and whole."""

from __future__ import annotations

import os
import stat
import sys

from ncdlang.cli.console import CommandError


def write(path: str | None, content: str | bytes) -> None:
    """Write an artefact to a file, to stdout for None and `-`.

    A file appears only when it is complete: the content goes to a file next to it that is then
    renamed. Raises CommandError where it can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path is None or path == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        _replace(os.path.realpath(path), data)
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"cannot write {path}: {reason.lower()}") from error


def overwrite(path: str, content: bytes) -> None:
    """As `write`, over a file that was read: a pipe or a device has nothing to be changed."""
    if path != "-":
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            raise CommandError(f"cannot change {path}: it is not a regular file")
    write(path, content)


def difference(name: str, before: str, after: str) -> str:
    """What changes in a text, as a unified diff; "" for nothing."""
    from difflib import unified_diff

    changed = unified_diff(_lines(before), _lines(after), name, name)
    no_end = "\n\\ No newline at end of file\n"
    return "".join(line if line.endswith("\n") else line + no_end for line in changed)


def _lines(text: str) -> list[str]:
    """Lines with their ends; unlike `splitlines`, what `ncdc` counts as lines."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *filter(None, [last])]


def _replace(path: str, data: bytes) -> None:
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        # A device or a pipe is written to; to rename over it would destroy it.
        with open(path, "wb") as file:
            file.write(data)
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None
