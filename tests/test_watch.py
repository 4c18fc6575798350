"""`--watch`, as a process that files are changed under, and that Ctrl-C ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ncdlang.cli.main import main

USES = "use parts.{twice}\ndiagram four(X: [x]) -> [x] { return twice(twice(X)) }\n"
TWICE = "diagram twice(X: [x]) -> [x] { return Y[x] = X[x] + X[x] }\n"
BROKEN = "diagram twice(X: [x]) -> [x] { return Y[x] = X[z] }\n"
PATIENCE = 60.0
COMMAND = [sys.executable, "-c", "import sys; from ncdlang.cli.main import main; sys.exit(main())"]


class Watched:
    """A running command and what it wrote so far."""

    def __init__(self, process: subprocess.Popen[bytes], stream: int) -> None:
        self.process = process
        self.text = ""
        self._stream = stream
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while part := os.read(self._stream, 4096):
                self.text += part.decode()
        except OSError:
            pass  # the other side of a terminal was closed

    def until(self, holds: Callable[[str], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds(self.text):
            assert time.monotonic() < end, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.02)

    def rounds(self, count: int) -> None:
        """Wait for the end of that many runs in all."""
        self.until(lambda text: text.count("Ctrl-C ends it") >= count)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code


@contextmanager
def watched(folder: Path, *arguments: str, terminal: bool = False) -> Iterator[Watched]:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen([*COMMAND, *arguments], cwd=folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Watched(process, ours)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.ncd").write_text(USES)
    (tmp_path / "parts.ncd").write_text(TWICE)
    return tmp_path


def test_check_follows_the_file_and_what_it_uses(folder: Path) -> None:
    with watched(folder, "check", "--watch", "main.ncd") as ncdc:
        ncdc.rounds(1)
        assert ncdc.text.count("All checks passed: 1 diagram") == 1
        assert "watching 2 files" in ncdc.text
        (folder / "parts.ncd").write_text(BROKEN)
        ncdc.rounds(2)
        assert "ncdc: parts.ncd changed" in ncdc.text
        assert "error[NCD2004]" in ncdc.text
        (folder / "parts.ncd").unlink()
        ncdc.rounds(3)
        assert "there is no module" in ncdc.text
        other = folder / "new.ncd"  # as many editors save
        other.write_text(TWICE)
        other.rename(folder / "parts.ncd")
        ncdc.rounds(4)
        assert ncdc.text.count("All checks passed") == 2
        (folder / "main.ncd").unlink()
        ncdc.rounds(5)
        assert "cannot read main.ncd: no such file" in ncdc.text
        assert ncdc.interrupt() == 0
    assert "Traceback" not in ncdc.text
    assert "\x1b[2J" not in ncdc.text
    assert ncdc.text.count("Ctrl-C ends it") == 5


def test_a_terminal_is_cleared_before_each_run(folder: Path) -> None:
    with watched(folder, "check", "--watch", "main.ncd", terminal=True) as ncdc:
        ncdc.rounds(1)
        (folder / "main.ncd").write_text(USES + TWICE.replace("twice", "other"))
        ncdc.rounds(2)
        assert ncdc.interrupt() == 0
    assert ncdc.text.count("\x1b[2J") == 2
    assert "Traceback" not in ncdc.text


def test_draw_and_build_write_their_files_again(folder: Path) -> None:
    for command, name in (("draw", "out.gv"), ("build", "out.py")):
        (folder / "parts.ncd").write_text(TWICE)
        out = folder / name
        with watched(folder, command, "parts.ncd", "--watch", "-o", name) as ncdc:
            ncdc.rounds(1)
            assert "triple" not in out.read_text().lower()
            (folder / "parts.ncd").write_text(BROKEN)
            ncdc.rounds(2)
            before = out.read_bytes()
            (folder / "parts.ncd").write_text(TWICE.replace("twice", "triple"))
            ncdc.rounds(3)
            assert ncdc.interrupt() == 0
        assert out.read_bytes() != before
        assert "triple" in out.read_text().lower()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "--watch", "-"], "- is standard input"),
        (["check", "--watch", "--fix", "main.ncd"], "--watch and --fix"),
        (["check", "--watch", "--diff", "main.ncd"], "--watch and --diff"),
        (["check", "--watch", "--format", "sarif", "main.ncd"], "can't go with sarif"),
        (["draw", "--watch", "--message-format", "json", "main.ncd"], "can't go with json"),
    ],
)
def test_what_can_not_be_watched(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
