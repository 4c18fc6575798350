"""A cache of computed tables in a folder that only its user can write to.

The files are data (JSON), never code, and a file that is damaged, foreign or of another version
is ignored. `NCDLANG_CACHE=0` switches the cache off; a folder that can't be written is no error.
"""

from __future__ import annotations

import json
import os
import stat
from importlib.machinery import PathFinder
from typing import Any, NamedTuple
from zlib import crc32


class Key(NamedTuple):
    """Everything that the cached tables depend on, besides Lark."""

    version: int
    grammar: str
    errors: str

    def text(self) -> str:
        """The key as one text; a cache file repeats it whole, so no two keys are ever confused."""
        return "\0".join((str(self.version), _lark_version(), self.grammar, self.errors))


def load(key: Key) -> dict[str, Any] | None:
    """The cached data for `key`, or None."""
    folder = _folder()
    if folder is None or not _is_private(folder):
        return None
    try:
        text = _read_own_file(_path(folder, key))
        checksum, _, payload = text.partition("\n")
        if text and int(checksum, 16) == crc32(payload.encode()):
            data: Any = json.loads(payload)
            if data["key"] == key.text():
                return data["tables"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def save(key: Key, data: dict[str, Any]) -> None:
    """Keep `data` for `key`; does nothing where that is not possible."""
    folder = _folder()
    if folder is None:
        return
    payload = json.dumps({"key": key.text(), "tables": data}, separators=(",", ":"))
    text = f"{crc32(payload.encode()):08x}\n{payload}"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if _is_private(folder):
            _write_atomically(_path(folder, key), text.encode())
    except OSError:
        pass


def _folder() -> str | None:
    if os.environ.get("NCDLANG_CACHE") == "0":
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ncdlang") if os.path.isabs(base) else None


def _path(folder: str, key: Key) -> str:
    return os.path.join(folder, f"syntax-{crc32(key.text().encode()):08x}.json")


def _is_private(folder: str) -> bool:
    try:
        return _is_ours(os.stat(folder), stat.S_ISDIR)
    except OSError:
        return False


def _is_ours(status: os.stat_result, is_kind: Any) -> bool:
    """Whether nobody but this user (or root) could have put the data there."""
    if not is_kind(status.st_mode):
        return False
    if not hasattr(os, "getuid"):  # Windows keeps a user's folders apart itself
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _read_own_file(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(descriptor, encoding="utf-8") as file:
        return file.read() if _is_ours(os.fstat(descriptor), stat.S_ISREG) else ""


def _write_atomically(path: str, content: bytes) -> None:
    temporary = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _lark_version() -> str:
    """Lark's version without importing Lark, which takes longer than parsing most files."""
    spec = PathFinder.find_spec("lark")
    if spec is None or spec.origin is None:
        return "unknown"
    try:
        with open(spec.origin, encoding="utf-8") as file:
            for line in file:
                if line.startswith("__version__"):
                    return line.partition("=")[2].strip().strip("\"'")
    except OSError:
        pass
    return "unknown"
