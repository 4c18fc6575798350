"""Where source texts come from: the only module that reads `.ncd` files."""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from io import FileIO

from ncdlang.resources import stdlib_root
from ncdlang.source import Source

MAX_BYTES = 10_000_000
PATIENCE = 1.0
STDIN = "-"
LIBRARY = "std"


class ProjectError(OSError):
    """A file can't be read, or may not be; the message is for the user and names the file."""

    exit_code = 2


class NotText(ProjectError):
    """A file can be read, but what is in it is not UTF-8: a mistake in the file itself."""

    exit_code = 1


class Project:
    """Opens files and finds the modules that they use.

    A file is read once: asking for it again, under any path, gives the same `Source`. `include`
    are the folders of `-I`, searched in order after the importing file's own folder. `buffers` are
    the texts of files that are open in an editor, by their real paths: they stand for what is on
    the disk, and for files that are not there yet.
    """

    def __init__(
        self,
        include: Iterable[str | os.PathLike[str]] = (),
        buffers: Mapping[str, Source] | None = None,
    ) -> None:
        self.include = tuple(os.fspath(folder) for folder in include)
        self._buffers = buffers or {}
        self._library = os.path.realpath(stdlib_root())
        self._sources: dict[str, Source] = {}
        self._folders: dict[Source, str] = {}
        # Of texts that are tried in place of those that were read.
        self._places: dict[str, str] = {}
        self._marked: set[str] = set()
        self.asked: dict[str, None] = {}
        """The files that were opened and, before a module was found, those looked for."""

    def open(self, path: str | os.PathLike[str]) -> Source:
        """The text of a file, named as the user named it; `-` is standard input.

        Raises ProjectError for what can't be read, is no UTF-8 or is larger than 10 MB.
        """
        name = os.fspath(path)
        self.asked[name] = None
        key = STDIN if name == STDIN else _real(name)
        if key in self._sources:
            return self._sources[key]
        if key in self._buffers:
            return self._keep(key, self._buffers[key], os.path.dirname(name))
        if name == STDIN:
            return self._keep(key, Source("<stdin>", _decode("<stdin>", _read_stdin())), "")
        data = _read(name, pipes=True)
        if data.startswith(codecs.BOM_UTF8):
            self._marked.add(name)
        return self._keep(key, Source(name, _decode(name, data)), os.path.dirname(name))

    def find(self, importer: Source, dotted: tuple[str, ...]) -> Source | None:
        """The module that `use a.b` in `importer` means, or None where there is none.

        Looks in the importer's folder, then in the `-I` folders. `std.` is the standard library
        and nothing else: what its operators become is registered by their names there. Raises
        ProjectError for a module that exists but can't be read, or leaves the folder it is in.
        """
        if not dotted or not all(map(_is_module_name, dotted)):
            return None
        relative = os.path.join(*dotted[:-1], f"{dotted[-1]}.ncd")
        if dotted[0] == LIBRARY:
            return self._find_in_library(relative)
        for folder in self._search(importer):
            path = os.path.join(folder, relative)
            self.asked[path] = None
            if os.path.lexists(path) or _real(path) in self._buffers:
                return self._open_inside(folder, path)
        return None

    def replace(self, source: Source, changed: Source) -> None:
        """From now on the file of `source` reads as `changed`, in this project only."""
        for key, kept in self._sources.items():
            if kept is source:
                self._keep(key, changed, self._folders[source])
                return

    def encoded(self, source: Source, text: str) -> bytes:
        """A text for the file of `source`: with a byte order mark if the file began with one."""
        return (codecs.BOM_UTF8 if source.name in self._marked else b"") + text.encode()

    def files(self, folder: str | os.PathLike[str], most: int) -> Iterator[str]:
        """The paths of the `.ncd` files in a folder and below, links and hidden folders aside.

        Folders are read until `most` files are found or a hundred times as many names are seen.
        """
        left, seen = most, 100 * most
        for parent, folders, names in os.walk(folder):
            folders[:] = sorted(
                name for name in folders if not name.startswith((".", "node_modules"))
            )
            seen -= len(names) + len(folders)
            for name in sorted(names):
                if name.endswith(".ncd") and left > 0:
                    left -= 1
                    yield os.path.join(parent, name)
            if left <= 0 or seen < 0:
                return

    def _search(self, importer: Source) -> Iterable[str]:
        folder = self._folders.get(importer, self._places.get(importer.name))
        return self.include if folder is None else (folder, *self.include)

    def _open_inside(self, folder: str, path: str) -> Source:
        real = _real(path)
        if not _is_inside(real, _real(folder or os.curdir)):
            raise ProjectError(f"cannot read {path}: it is a link that leaves its folder")
        if real in self._buffers:
            return self._keep(real, self._buffers[real], os.path.dirname(path))
        if real not in self._sources:
            text = _decode(path, _read(path, pipes=False))
            return self._keep(real, Source(path, text), os.path.dirname(path))
        return self._sources[real]

    def _find_in_library(self, relative: str) -> Source | None:
        path = os.path.join(self._library, relative)
        real = _real(path)
        if real in self._sources:
            return self._sources[real]
        if not (_is_inside(real, self._library) and os.path.isfile(real)):
            return None
        # Named by its place in the library, so that messages are the same on every machine.
        name = f"<{LIBRARY}>/{relative[len(LIBRARY) + 1 :].replace(os.sep, '/')}"
        source = _library_source(name, _read(path, pipes=False))
        return self._keep(real, source, self._library)

    def _keep(self, key: str, source: Source, folder: str) -> Source:
        self._sources[key] = source
        self._folders[source] = self._places[source.name] = folder
        return source


@lru_cache(maxsize=64)
def _library_source(name: str, data: bytes) -> Source:
    """A file of the standard library: one object, so that it is parsed once in a process."""
    return Source(name, _decode(name, data), is_library=True)


def _is_module_name(part: str) -> bool:
    return bool(part) and part.replace("'", "").isidentifier()


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as error:
        raise ProjectError(f"cannot read {path!r}: {error}") from error


def _read_stdin() -> bytes:
    try:
        return _limited("<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1))
    except ProjectError:
        raise
    except (AttributeError, OSError) as error:  # sys.stdin is None where it is closed
        raise ProjectError("cannot read <stdin>: it is closed") from error


def _read(path: str, *, pipes: bool) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ProjectError(f"cannot read {path}: it is a folder")
        if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise ProjectError(f"cannot read {path}: it is not a regular file")
        if stat.S_ISFIFO(mode):
            return _limited(path, _read_pipe(path))
        with open(path, "rb") as file:
            return _limited(path, file.read(MAX_BYTES + 1))
    except ProjectError:
        raise
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {_reason(error)}") from error


def _read_pipe(path: str) -> bytes:
    """What is written to a pipe. One that nobody writes to would be waited for without end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as pipe:
        patience = time.monotonic() + PATIENCE
        while True:
            start = pipe.read(1)  # None while a writer is silent, nothing while there is none
            if start is None:
                select.select([pipe], [], [])
            elif start:
                os.set_blocking(descriptor, True)
                return start + _all_of(pipe)
            elif time.monotonic() > patience:
                raise ProjectError(f"cannot read {path}: nothing writes to this pipe")
            else:
                time.sleep(0.01)


def _all_of(pipe: FileIO) -> bytes:
    data = bytearray()
    while len(data) <= MAX_BYTES and (part := pipe.read(MAX_BYTES)):
        data += part
    return bytes(data)


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case PermissionError():
            return "permission denied"
        case _:
            return (error.strerror or str(error)).lower()


def _limited(name: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise ProjectError(f"cannot read {name}: it is larger than {MAX_BYTES // 10**6} MB")
    return data


def _decode(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotText(
            f"cannot read {name}: it is not UTF-8 (byte 0x{data[error.start]:02x} in line {line})"
        ) from error
