"""Check files: names, types, sizes, bounds. Exit code 0 if there are no errors, else 1.

With --fix the errors that carry a fix are mended first, in the files named and in no others. A fix
counts only if its error is gone after it and no further one has come; this is repeated until there
is nothing more to mend. Exit code 0 if nothing is left. --diff writes nothing: it exits with 1 if
there is anything to mend.
"""

from __future__ import annotations

import gc
import sys
from argparse import ArgumentParser, Namespace

from ncdlang import api
from ncdlang.cli import fixes, watching
from ncdlang.cli import options as shared
from ncdlang.cli.console import CommandError, complain, show
from ncdlang.diagnostics import Diagnostic
from ncdlang.project import ProjectError


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="a .ncd file; - is standard input")
    parser.add_argument(
        "--types", action="store_true", help="print the type of every diagram and wire"
    )
    fixes.add_options(parser)
    shared.add_source_options(parser)
    watching.add_option(parser)


def run(options: Namespace) -> int:
    """Check all files and report what is found in any of them."""
    if options.types and _is_data(options):
        raise CommandError(f"--types is for people: it can't go with {options.message_format}")
    fixes.refuse_mixtures(options)
    collects = gc.isenabled()
    # A check makes much and drops little: to look for garbage all the time finds none.
    gc.disable()
    try:
        return _check(options)
    finally:
        if collects:
            gc.enable()


def _check(options: Namespace) -> int:
    project = shared.project_of(options)
    fixer = fixes.Fixes(project, options) if fixes.is_wanted(options) else None
    if fixer is not None:
        fixer.run()
    results: list[api.Checked] = []
    status = 2 if fixer is not None and fixer.failed else 0
    for path in options.files:
        try:
            source = project.open(path)
            results.append(api.check(source, project.find, options.config, shared.sizes(options)))
        except (ProjectError, api.NcdError) as error:
            complain(CommandError(str(error)))
            status = max(status, error.exit_code if isinstance(error, ProjectError) else 2)
    found = _once([d for checked in results for d in checked.diagnostics])
    failed = any(checked.has_errors for checked in results)
    if fixer is not None:
        fixer.tell()
        failed = failed or bool(options.diff and fixer.applied)
    _report(found, results, fixer, options)
    if options.types:
        _print_types(results)
    elif not (found or status or _is_data(options) or fixer):
        count = sum(len(checked.program.diagrams) for checked in results)
        print(f"All checks passed: {count} diagram{'' if count == 1 else 's'}")
    return max(status, int(failed))


def _once(found: list[Diagnostic]) -> list[Diagnostic]:
    """Each finding once: two files may use the same broken module."""
    return list({(d.code, d.span, d.message): d for d in found}.values())


def _is_data(options: Namespace) -> bool:
    return options.message_format in ("json", "sarif")


def _report(
    found: list[Diagnostic],
    results: list[api.Checked],
    fixer: fixes.Fixes | None,
    options: Namespace,
) -> None:
    if fixer is not None:
        ending = fixer.remaining(found)
    else:
        ending = fixes.ending(found, [checked.program.source for checked in results])
    if found or _is_data(options):
        show(found, options, sys.stdout if _is_data(options) else sys.stderr, ending)
    elif fixer is not None:
        print(ending, file=sys.stderr)


def _print_types(results: list[api.Checked]) -> None:
    from ncdlang.report.types import render_types

    texts = [render_types(d) for checked in results for d in checked.program.diagrams]
    print("\n".join(texts), end="")
