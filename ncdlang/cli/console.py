"""What the command line writes to the terminal, apart from artefacts."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TextIO

from ncdlang.diagnostics import Diagnostic

FORMATS = ("full", "concise", "json", "sarif", "github")


class CommandError(Exception):
    """The command can't be carried out as asked: wrong usage, or something is missing."""

    def __init__(self, message: str, hint: str = "", exit_code: int = 2) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


def complain(error: CommandError) -> None:
    """Write an error of usage or environment to stderr."""
    from ncdlang.report.columns import visible

    head = _bold_red("error") if wants_colour("auto", sys.stderr) else "error"
    lines = "\n  ".join(visible(line) for line in str(error).split("\n"))
    hint = f"\n  {visible(error.hint)}" if error.hint else ""
    print(f"{head}: {lines}{hint}", file=sys.stderr)


def remark(text: str) -> None:
    """Write a remark on what the command does to stderr."""
    print(f"ncdc: {text}", file=sys.stderr)


def show(
    diagnostics: Sequence[Diagnostic], options: Namespace, stream: TextIO, ending: str = ""
) -> None:
    """Write diagnostics to a stream in the format that was asked for.

    `ending` closes what is written for people, where a count of the findings says too little.
    """
    from ncdlang import report

    colour = wants_colour(options.color, stream)
    stream.write(
        report.render(
            diagnostics, options.message_format, colour=colour, width=_terminal_width(stream)
        )
    )
    if options.message_format in ("full", "concise") and diagnostics:
        from ncdlang.report.text import summary

        blank = "\n" if options.message_format == "full" else ""
        ending = ending or f"Found {summary(diagnostics)}."
        stream.write(f"{blank}{ending}\n")


def wants_colour(choice: str, stream: TextIO) -> bool:
    """Whether to write colours: as asked, else to terminals unless NO_COLOR is set."""
    if choice == "auto":
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return not plain and stream.isatty()
    return choice == "always"


def _terminal_width(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    try:
        return max(40, os.get_terminal_size(stream.fileno()).columns)
    except OSError:
        return None


def _bold_red(text: str) -> str:
    return f"\x1b[1;31m{text}\x1b[0m"
