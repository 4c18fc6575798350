"""Draw a diagram as SVG, PDF, PNG or as the text (gv) that Graphviz draws from.

The format is that of the output file's ending unless --format names one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output, watching
from ncdlang.cli.console import CommandError, remark

FORMATS = ("svg", "pdf", "png", "gv")
_ENDINGS = {".svg": "svg", ".pdf": "pdf", ".png": "png", ".gv": "gv", ".dot": "gv"}


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    parser.add_argument("--style", help="circuit, the neural circuit diagram, or graph: dataflow")
    parser.add_argument("--format", choices=FORMATS, help="default: the file's ending, or svg")
    parser.add_argument("--theme", help="light or dark")
    parser.add_argument("--labels", help="what axes show: names, sizes or both")
    parser.add_argument("--detail", help="of a graph: a box for each of the equations, or the ops")
    parser.add_argument("--depth", help="how many levels are opened, or all")
    parser.add_argument("--library", help="closed, or open: draw the standard library's boxes too")
    parser.add_argument("--font", metavar="NAME", help="of a circuit: a family of fonts")
    parser.add_argument("--width", metavar="POINTS", help="of a circuit: begin a new line there")
    parser.add_argument(
        "--streams", action="store_const", const="on", help="of a circuit: its kernels' tiles"
    )
    parser.add_argument("--rewrite", metavar="NAME", help="of a circuit: before and after this")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    parser.add_argument("--open", action="store_true", help="show the drawing on the desktop")
    shared.add_source_options(parser, format_option="--message-format")
    watching.add_option(parser)


def run(options: Namespace) -> int:
    """Write the drawing; nothing is written if the file has errors."""
    format = options.format or _format_of(options.output)
    is_shown = options.output is not None or options.open
    if not is_shown and format in ("pdf", "png") and sys.stdout.isatty():
        raise CommandError(f"a {format} is no text for a terminal", f"give -o name.{format}")
    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "drawing")
    names = ("style", "theme", "labels", "detail", "depth", "library", "font", "width")
    names += ("rewrite", "streams")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    wanted = api.request(checked, diagram, options=given | {"format": format})
    try:
        made = api.ask("draw", "emit", wanted)
    except api.NcdError as error:
        raise CommandError(str(error), _keep_text(error, options.output)) from error
    path: str | None = options.output
    if options.open and (path is None or path == "-"):
        path = os.path.join(tempfile.mkdtemp(prefix="ncdc-"), f"{diagram.name}.{format}")
    for note in made.notes:
        remark(note)
    output.write(path, made.content)
    if options.open and path is not None:
        _show(path)
    return 0


def _show(path: str) -> None:
    """Open the drawing with the program that the desktop has for it."""
    has_desktop = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not has_desktop or not webbrowser.open(Path(path).absolute().as_uri()):
        raise CommandError(f"there is no desktop to show {path} on", "leave out --open")


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
