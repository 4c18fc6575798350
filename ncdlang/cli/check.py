"""Check files: names, types, sizes, bounds. Exit code 0 if there are no errors, else 1."""

from __future__ import annotations

import gc
import sys
from argparse import ArgumentParser, Namespace

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli.console import CommandError, complain, show
from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project, ProjectError


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="a .ncd file; - is standard input")
    parser.add_argument(
        "--types", action="store_true", help="print the type of every diagram and wire"
    )
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Check all files and report what is found in any of them."""
    if options.types and _is_data(options):
        raise CommandError(f"--types is for people: it can't go with {options.message_format}")
    collects = gc.isenabled()
    # A check makes much and drops little: to look for garbage all the time finds none.
    gc.disable()
    try:
        return _check(options)
    finally:
        if collects:
            gc.enable()


def _check(options: Namespace) -> int:
    project = Project(options.include)
    results: list[api.Checked] = []
    unreadable = False
    for path in options.files:
        try:
            source = project.open(path)
            results.append(api.check(source, project.find, options.config, shared.sizes(options)))
        except (ProjectError, api.NcdError) as error:
            complain(CommandError(str(error)))
            unreadable = True
    found = _once([d for checked in results for d in checked.diagnostics])
    failed = any(checked.has_errors for checked in results)
    _report(found, options)
    if options.types:
        _print_types(results)
    elif not (found or unreadable or _is_data(options)):
        count = sum(len(checked.program.diagrams) for checked in results)
        print(f"All checks passed: {count} diagram{'' if count == 1 else 's'}")
    return 2 if unreadable else int(failed)


def _once(found: list[Diagnostic]) -> list[Diagnostic]:
    """Each finding once: two files may use the same broken module."""
    return list({(d.code, d.span, d.message): d for d in found}.values())


def _is_data(options: Namespace) -> bool:
    return options.message_format in ("json", "sarif")


def _report(found: list[Diagnostic], options: Namespace) -> None:
    if found or _is_data(options):
        show(found, options, sys.stdout if _is_data(options) else sys.stderr)


def _print_types(results: list[api.Checked]) -> None:
    from ncdlang.report.types import render_types

    texts = [render_types(d) for checked in results for d in checked.program.diagrams]
    print("\n".join(texts), end="")
