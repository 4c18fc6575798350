"""Options that several subcommands share, and what follows from them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from ncdlang import api
from ncdlang.cli.console import FORMATS, CommandError, complain, remark, show
from ncdlang.project import Project, ProjectError
from ncdlang.semantics.program import CheckedDiagram, CheckedProgram
from ncdlang.source import Source

if TYPE_CHECKING:
    from ncdlang.targets import Request


def add_source_options(parser: ArgumentParser, format_option: str = "--format") -> None:
    """How files are found, and at which sizes they are checked."""
    parser.add_argument(
        "-I",
        "--include",
        metavar="DIR",
        action="append",
        default=[],
        help="a further folder to look for modules in (may be repeated)",
    )
    parser.add_argument("--config", metavar="NAME", help="use the values of this `config`")
    parser.add_argument(
        "--size",
        metavar="h=8,k=64",
        action="append",
        default=[],
        type=_parse_sizes,
        help="sizes of axes and values of constants (may be repeated)",
    )
    add_report_options(parser, format_option)


def add_report_options(parser: ArgumentParser, format_option: str = "--format") -> None:
    """How findings are written."""
    parser.add_argument(
        *dict.fromkeys((format_option, "--message-format")),
        dest="message_format",
        choices=FORMATS,
        default="full",
        metavar="FORMAT",
        help=f"how findings are written: {', '.join(FORMATS)}; default: full",
    )
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colours in findings"
    )


def add_file(parser: ArgumentParser, otherwise: str = "the last one if left out") -> None:
    """One file and one of its diagrams; `otherwise` says what is done without the latter."""
    parser.add_argument("file", metavar="FILE", help="a .ncd file; - is standard input")
    parser.add_argument(
        "diagram",
        metavar="DIAGRAM",
        nargs="?",
        help=f"a diagram of the file; {otherwise}",
    )


def sizes(options: Namespace) -> dict[str, int | float]:
    """All values given by `--size`; a later one wins."""
    return {name: value for given in options.size for name, value in given.items()}


def project_of(options: Namespace) -> Project:
    """A new project for a command. Where files are watched, it is asked which they are."""
    project = Project(options.include)
    if hasattr(options, "projects"):
        options.projects.append(project)
    return project


def open_file(options: Namespace, project: Project) -> Source:
    """The text of the one file of a command."""
    try:
        return project.open(options.file)
    except ProjectError as error:
        raise CommandError(str(error), exit_code=error.exit_code) from error


def load(options: Namespace) -> api.Checked:
    """Check the one file of a command. Findings are shown; SystemExit 1 if there are errors."""
    project = project_of(options)
    source = open_file(options, project)
    if options.file.endswith(".json"):
        return _from_json(options, source)
    try:
        target = getattr(options, "diagram", None) or ""
        checked = api.check(source, project.find, options.config, sizes(options), target)
    except api.NcdError as error:
        raise CommandError(str(error)) from error
    if checked.diagnostics:
        show(checked.diagnostics, options, sys.stderr)
    if checked.has_errors:
        raise SystemExit(1)
    return checked


def _from_json(options: Namespace, source: Source) -> api.Checked:
    """The checked diagram that `ncdc build --emit json` wrote."""
    from ncdlang.interchange.json_reading import program_of
    from ncdlang.interchange.json_values import FormatError

    if options.config is not None:
        raise CommandError(f"{options.file} has no configs", "give one when it is written")
    try:
        return api.Checked(program_of(source.text), (), sizes(options))
    except FormatError as error:
        complain(CommandError(f"{options.file} is no checked diagram", str(error)))
        raise SystemExit(1) from error


def choose(program: CheckedProgram, name: str | None, doing: str) -> CheckedDiagram:
    """The diagram of that name, or the last one of the file: said on stderr if it is a choice."""
    if name is None and len(program.diagrams) > 1:
        count = len(program.diagrams)
        remark(f"{doing} `{program.diagrams[-1].name}`, the last of {count} diagrams")
    try:
        return api.choose(program, name)
    except api.NcdError as error:
        raise CommandError(str(error)) from error


def ask(backend: str, method: str, wanted: Request) -> Any:
    """The answer of a backend. What it can't do is an error of the command."""
    try:
        return api.ask(backend, method, wanted)
    except api.NcdError as error:
        raise CommandError(str(error)) from error


def _parse_sizes(text: str) -> dict[str, int | float]:
    given: dict[str, int | float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not (equals and name.replace("'", "").isidentifier()):
            raise ArgumentTypeError(f"`{item}` is not of the form name=number")
        given[name] = _number(value)
    return given


def _number(text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ArgumentTypeError(f"`{text}` is not a number")
