"""Read a diagram that another tool wrote, as the text of a .ncd file.

pyncd: the JSON of a term, with a `uid_repository` and `data`. What `ncdc build --emit json` writes
needs no import: `build`, `draw`, `run`, `grad` and `ir` read FILE.json.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.console import CommandError, complain
from ncdlang.project import Project

KINDS = ("pyncd",)


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("kind", choices=KINDS, help="what wrote the file")
    parser.add_argument("file", metavar="FILE", help="a file of that tool; - is standard input")
    parser.add_argument("--name", help="the name of the diagram; default: the file's")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")


def run(options: Namespace) -> int:
    """Write the text; nothing is written if the file is not of the format."""
    from ncdlang.interchange.json_values import FormatError

    text = shared.open_file(options, Project()).text
    try:
        made = _imported(options, text)
    except FormatError as error:
        complain(CommandError(f"{options.file} is not what {options.kind} writes", str(error)))
        return 1
    output.write(options.output, made)
    return 0


def _imported(options: Namespace, text: str) -> str:
    from ncdlang.interchange.pyncd import imported

    stem = os.path.splitext(os.path.basename(options.file))[0]
    return imported(text, options.name or stem.replace("-", "_"))
