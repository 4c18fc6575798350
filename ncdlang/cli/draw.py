"""Draw a diagram as SVG, PDF, PNG or as the text (gv) that Graphviz draws from.

The format is that of the output file's ending unless --format names one.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.console import CommandError

FORMATS = ("svg", "pdf", "png", "gv")
_ENDINGS = {".svg": "svg", ".pdf": "pdf", ".png": "png", ".gv": "gv", ".dot": "gv"}


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    parser.add_argument("--style", default="graph", help="default: graph, the dataflow")
    parser.add_argument("--format", choices=FORMATS, help="default: the file's ending, or svg")
    parser.add_argument("--theme", help="light or dark")
    parser.add_argument("--labels", help="what axes show: names, sizes or both")
    parser.add_argument("--detail", help="a box for each of the equations, or of the ops")
    parser.add_argument("--depth", help="how many levels of calls are drawn opened, or all")
    parser.add_argument("--library", help="closed, or open: draw the standard library's boxes too")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    shared.add_source_options(parser, format_option="--message-format")


def run(options: Namespace) -> int:
    """Write the drawing; nothing is written if the file has errors."""
    format = options.format or _format_of(options.output)
    if options.output is None and format in ("pdf", "png") and sys.stdout.isatty():
        raise CommandError(f"a {format} is no text for a terminal", f"give -o name.{format}")
    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "drawing")
    names = ("style", "theme", "labels", "detail", "depth", "library")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    wanted = api.request(checked, diagram, options=given | {"format": format})
    try:
        content = api.ask("draw", "emit", wanted).content
    except api.NcdError as error:
        raise CommandError(str(error), _keep_text(error, options.output)) from error
    output.write(options.output, content)
    return 0


def _keep_text(error: api.NcdError, path: str | None) -> str:
    """Where Graphviz is missing or fails, keep the text that it would have drawn from."""
    text: str | None = getattr(error.__cause__, "gv", None)
    if text is None or path is None or path == "-":
        return ""
    kept = os.path.splitext(path)[0] + ".gv"
    output.write(kept, text)
    return f"the drawing as text is in {kept}"


def _format_of(path: str | None) -> str:
    if path is None or path == "-":
        return "svg"
    ending = os.path.splitext(path)[1].lower()
    if ending not in _ENDINGS:
        told = f"`{ending}`" if ending else "no ending"
        raise CommandError(
            f"{path} has {told}, so what to draw is open", f"give --format {'|'.join(FORMATS)}"
        )
    return _ENDINGS[ending]
