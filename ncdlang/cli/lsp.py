"""Serve an editor by the Language Server Protocol, over standard input and output.

An editor starts this; on its own it waits for messages. It needs pygls: pip install 'ncdlang[lsp]'.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from ncdlang.cli.console import CommandError


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "-I",
        "--include",
        metavar="DIR",
        action="append",
        default=[],
        help="a further folder to look for modules in (may be repeated)",
    )
    parser.add_argument("--stdio", action="store_true", help="accepted for editors that pass it")


def run(options: Namespace) -> int:
    """Serve until the editor says goodbye."""
    try:
        from ncdlang.lsp.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        hint = "pip install 'ncdlang[lsp]'"
        raise CommandError("ncdc lsp needs pygls", hint) from error
    # What else is printed, by whatever library, must not come between the messages.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(output, options.include)
    return 0
