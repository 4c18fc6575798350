"""Loads files with kernels in this process, and tells which kernels ran."""

from __future__ import annotations

import hashlib
import linecache
import os
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .interpreter import install

# The functions of a file that launch kernels.
LAUNCHERS = {"_launch", "_launch_rows"}

_LOCK = threading.Lock()
_RAN: ContextVar[list[str] | None] = ContextVar("ran", default=None)


def interprets() -> bool:
    """Whether Triton interprets the kernels that are made now."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def loaded(text: str) -> types.ModuleType:
    """The module of a text, made once: its operations are registered under one name each.

    Triton reads the source of kernels where tracebacks do, and torch.compile finds the module of
    a class among those that are imported.
    """
    way = "interpreted" if interprets() else "compiled"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    name = f"ncd_kernels_{digest}_{way}"
    with _LOCK:
        if name not in sys.modules:
            sys.modules[name] = _module(text, name, f"<ncd kernels {digest}>")
        return sys.modules[name]


def _module(text: str, name: str, filename: str) -> types.ModuleType:
    if interprets():
        install()
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    module = types.ModuleType(name)
    module.__file__ = filename
    exec(compile(text, filename, "exec", dont_inherit=True), module.__dict__)
    for launcher in LAUNCHERS & module.__dict__.keys():
        module.__dict__[launcher] = _telling(module.__dict__[launcher])
    return module


def _telling(launch: Any) -> Any:
    """A launcher of kernels that says which it has run to who wants to know."""

    def told(kernel: Any, *given: Any, **options: Any) -> None:
        ran = _RAN.get()
        if ran is not None:
            ran.append(kernel.__name__)
        launch(kernel, *given, **options)

    return told


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of the kernels that are launched meanwhile, by this thread."""
    ran: list[str] = []
    token = _RAN.set(ran)
    try:
        yield ran
    finally:
        _RAN.reset(token)
