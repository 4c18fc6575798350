"""`ncdc`: chooses the subcommand, and turns everything that goes wrong into a message and a code.

Exit codes: 0 clean, 1 findings, 2 usage or environment; 130 when interrupted and 141 when the
reader of the output went away, as shells count signals.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper

from ncdlang.cli.console import CommandError, complain

COMMANDS = {
    "check": "check files: names, types, sizes, bounds",
    "draw": "draw a diagram",
    "build": "write the PyTorch module of a diagram",
    "run": "run a diagram on random or given arrays",
    "ir": "print a stage of the compiler",
    "equal": "compare diagrams up to structure",
    "grad": "derive the gradient of a diagram",
    "import": "read a diagram that another tool wrote",
    "fmt": "format files",
    "explain": "say what the code of an error means, or how a diagram's kernels are derived",
    "lsp": "serve an editor over standard input and output",
    "cost": "predict transfers, operations and time of a diagram on a device",
    "completion": "print a script that completes ncdc's arguments in a shell",
}
# Commands whose name no module can have.
MODULES = {"import": "importing"}

INTERNAL = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Never raises, never shows a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    try:
        return _guarded(lambda: _dispatch(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence()
        return BROKEN_PIPE


def _guarded(run: Callable[[], int]) -> int:
    """The exit code of a run. What goes wrong in it becomes a message, but not an interrupt."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 0
    except BrokenPipeError:
        raise
    except CommandError as error:
        complain(error)
        return error.exit_code
    except OSError as error:
        _silence()
        complain(CommandError(f"cannot write the output: {error.strerror or error}"))
        return 2
    except RecursionError:
        complain(CommandError("the file is nested too deeply for this machine's stack"))
        return 1
    except Exception as error:
        return _internal(error)


def module_of(command: str) -> str:
    """The module that carries a command out."""
    return f"ncdlang.cli.{MODULES.get(command, command)}"


class _Help(RawDescriptionHelpFormatter):
    """Help of a fixed width: to ask the terminal, argparse imports what a check has no use for."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=96)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        return _without_command(arguments)
    name, *rest = arguments
    command = import_module(module_of(name))
    parser = ArgumentParser(
        prog=f"ncdc {name}",
        description=command.__doc__,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    command.configure(parser)
    options = parser.parse_args(rest)
    if getattr(options, "watch", False):
        from ncdlang.cli.watching import watch

        return watch(command.run, options, _guarded)
    return command.run(options)


def _without_command(arguments: list[str]) -> int:
    listed = "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
    parser = ArgumentParser(
        prog="ncdc",
        usage="ncdc COMMAND ...",
        description="The compiler of neural circuit diagrams.",
        epilog=f"commands:\n{listed}\n\n`ncdc COMMAND --help` tells more.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    if arguments[0].startswith("-"):
        if parser.parse_args(arguments).version:
            from importlib.metadata import version

            print(f"ncdc {version('ncdlang')}")
        return 0
    from ncdlang.semantics.scope import closest

    near = closest(arguments[0], COMMANDS)
    hint = f"did you mean `ncdc {near}`?" if near else f"the commands are {', '.join(COMMANDS)}"
    raise CommandError(f"there is no command `{arguments[0]}`", hint)


def _prepare_streams() -> None:
    if sys.stdout is None or sys.stderr is None:  # closed by the caller: `>&-`
        null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stdout, sys.stderr = sys.stdout or null, sys.stderr or null
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not be an error of its own.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence() -> None:
    """Keep Python from trying once more, when it exits, to write what could not be written."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def _internal(error: Exception) -> int:
    if os.environ.get("NCDLANG_DEBUG"):
        import traceback

        traceback.print_exc()
    else:
        text = f"{type(error).__name__}: {error}".split("\n")[0]
        hint = "this is a bug in ncdc, not in your file; NCDLANG_DEBUG=1 shows the traceback"
        complain(CommandError(f"internal error: {text}", hint))
    return INTERNAL
