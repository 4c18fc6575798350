"""`ncdc check --fix`: what it changes, what it writes, and what it says about both."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ncdlang import api, fixing
from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.console import CommandError, complain
from ncdlang.diagnostics import Diagnostic
from ncdlang.project import STDIN, Project, ProjectError
from ncdlang.source import Source


def add_options(parser: ArgumentParser) -> None:
    """The options of `check` that change files."""
    parser.add_argument(
        "--fix",
        action="store_true",
        help="apply the fixes of errors to the files named; the text of - goes to stdout",
    )
    parser.add_argument(
        "--unsafe-fixes",
        action="store_true",
        help="also those that are one of several ways out (implies --fix)",
    )
    parser.add_argument(
        "--diff", action="store_true", help="print what --fix would change, and write nothing"
    )


def is_wanted(options: Namespace) -> bool:
    """Whether files are to be fixed, or what that would do is to be shown."""
    return bool(options.fix or options.unsafe_fixes or options.diff)


def refuse_mixtures(options: Namespace) -> None:
    """Raise CommandError where the changes and something else would both go to stdout."""
    if not (options.diff or (is_wanted(options) and STDIN in options.files)):
        return
    if options.message_format in ("json", "sarif"):
        raise CommandError(f"changes and {options.message_format} can't both go to stdout")
    if options.types:
        raise CommandError("changes and --types can't both go to stdout")


class Fixes:
    """Fixes files one after the other; those before are seen fixed by those after them."""

    def __init__(self, project: Project, options: Namespace) -> None:
        self._project = project
        self._options = options
        self.applied: list[Diagnostic] = []
        self.failed = False

    def run(self) -> None:
        """Fix every file that can be read and written. What is wrong with others is told."""
        for path in dict.fromkeys(self._options.files):
            try:
                self._file(path, self._project.open(path))
            except ProjectError:
                continue  # the check of the same file tells
            except api.NcdError:
                continue
            except CommandError as error:
                complain(error)
                self.failed = True

    def _file(self, path: str, source: Source) -> None:
        fixed = fixing.fix_source(source, self._check, unsafe=self._options.unsafe_fixes)
        text = fixed.source.text
        data = self._project.encoded(source, text)
        if self._options.diff:
            output.write(None, output.difference(source.name, source.text, text))
        elif path == STDIN or text != source.text:
            output.overwrite(path, data)
        self._project.replace(source, fixed.source)
        self.applied += fixed.applied

    def _check(self, source: Source) -> tuple[Diagnostic, ...]:
        options = self._options
        checked = api.check(source, self._project.find, options.config, shared.sizes(options))
        return checked.diagnostics

    def tell(self) -> None:
        """Say on stderr what was fixed."""
        from ncdlang.report.columns import visible

        verb = "would fix" if self._options.diff else "fixed"
        for found in self.applied:
            title = found.fix.title if found.fix is not None else ""
            place = f"{found.span.file}:{found.span.line}:{found.span.column}"
            print(visible(f"{verb} {place}: {found.code}: {title}"), file=sys.stderr)

    def remaining(self, left: Sequence[Diagnostic]) -> str:
        """`Found 3 errors (2 fixed, 1 remaining).`"""
        from ncdlang.report.text import summary

        if not (self.applied or left):
            return "All checks passed; there is nothing to fix."
        found = summary([*self.applied, *left])
        word = "fixable" if self._options.diff else "fixed"
        return f"Found {found} ({len(self.applied)} {word}, {len(left)} remaining)."


def ending(found: Sequence[Diagnostic], named: Sequence[Source]) -> str:
    """The line under the findings of a check that changes nothing; it tells of --fix."""
    if not found:
        return ""
    from ncdlang.report.text import summary

    count = sum(any(fixing.is_fixable(d, source) for source in named) for d in found)
    fixable = f"\n{count} can be fixed by `ncdc check --fix`." if count else ""
    return f"Found {summary(found)}.{fixable}"
