"""Format files in place; `-` formats standard input to standard output.

Spacing and line ends become uniform, lines get at most 100 columns, and nothing else changes: no
comment is lost, and what was spread over lines with intent stays so. A file with syntax errors is
reported and left alone. Exit code 0 if all is well, 1 if a file has syntax errors or, with --check
or --diff, is not formatted.
"""

from __future__ import annotations

import gc
import sys
from argparse import ArgumentParser, Namespace

from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.console import CommandError, complain, show
from ncdlang.project import STDIN, Project, ProjectError
from ncdlang.source import Source


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="a .ncd file; - is standard input")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file would change"
    )
    parser.add_argument(
        "--diff", action="store_true", help="as --check, and print what would change"
    )
    shared.add_report_options(parser)


def run(options: Namespace) -> int:
    """Format all files. What is wrong with one does not keep the others from it."""
    collects = gc.isenabled()
    gc.disable()  # as for a check, there is next to no garbage
    try:
        return _Run(options).run()
    finally:
        if collects:
            gc.enable()


class _Run:
    """Formats files and counts what became of them."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.is_dry = bool(options.check or options.diff)
        self.changed = 0
        self.unchanged = 0
        self.refused = 0
        self.failed = 0
        self.status = 0

    def run(self) -> int:
        """Format all files, and say how many changed."""
        project = Project()
        for path in dict.fromkeys(self.options.files):
            try:
                self._file(path, project.open(path))
            except (ProjectError, CommandError) as error:
                complain(error if isinstance(error, CommandError) else CommandError(str(error)))
                self.failed += 1
                self.status = max(self.status, error.exit_code)
        if STDIN not in self.options.files:
            self._summarise()
        return max(self.status, int(bool(self.refused or (self.is_dry and self.changed))))

    def _file(self, path: str, source: Source) -> None:
        text = self._formatted(source)
        if text is None:
            self.refused += 1
            return
        is_same = text == source.text
        self.changed += not is_same
        self.unchanged += is_same
        if self.is_dry:
            self._tell(source, text)
        elif path == STDIN or not is_same:
            output.write(path, text)

    def _formatted(self, source: Source) -> str | None:
        """The formatted text; None if there are syntax errors, which are shown."""
        from ncdlang.syntax.format import Unfaithful, format_file
        from ncdlang.syntax.parser import parse

        parsed = parse(source)
        if parsed.diagnostics:
            show(parsed.diagnostics, self.options, sys.stderr)
            return None
        try:
            return format_file(source, parsed)
        except Unfaithful as error:
            hint = "this is a bug in ncdc, not in your file; the file is left as it is"
            raise CommandError(f"internal error: {error}", hint) from error

    def _tell(self, source: Source, text: str) -> None:
        if text == source.text:
            return
        if self.options.diff:
            output.write(None, output.difference(source.name, source.text, text))
        else:
            print(f"would reformat {source.name}", file=sys.stderr)

    def _summarise(self) -> None:
        verb = "would be reformatted" if self.is_dry else "reformatted"
        parts: list[str] = []
        if self.changed:
            parts.append(f"{_files(self.changed)} {verb}")
        if self.unchanged:
            state = "already formatted" if self.is_dry else "left unchanged"
            parts.append(f"{_files(self.unchanged)} {state}")
        if self.refused:
            parts.append(f"{_files(self.refused)} with syntax errors")
        if parts:
            print(", ".join(parts), file=sys.stderr if self.is_dry else sys.stdout)


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
