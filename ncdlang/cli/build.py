"""Write the module of a diagram: readable Python that needs PyTorch and nothing of ncdlang."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output, watching
from ncdlang.cli.console import CommandError, remark

DTYPES = ("f64", "f32", "bf16", "f16")


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    parser.add_argument("--backend", default="torch", help="what to build with; default: torch")
    parser.add_argument(
        "--emit",
        choices=("python", "ir", "json"),
        default="python",
        help="the module, the diagram IR, or the checked diagram as JSON",
    )
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="default: f32")
    parser.add_argument(
        "--tune",
        action="store_true",
        help="with --backend triton: a GPU measures the tiles of kernels when it first runs them",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    shared.add_source_options(parser)
    watching.add_option(parser)


def run(options: Namespace) -> int:
    """Write the module; nothing is written if the file has errors."""
    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "building")
    if options.emit == "ir":
        from ncdlang.ir.lower import lower
        from ncdlang.ir.text import render

        output.write(options.output, render(lower(diagram)))
        return 0
    if options.emit == "json":
        from ncdlang.interchange.json_writing import json_text

        output.write(options.output, json_text(diagram))
        return 0
    if options.tune and options.backend != "triton":
        raise CommandError("--tune needs --backend triton")
    further = {"tune": "true"} if options.tune else {}
    wanted = api.request(checked, diagram, options.dtype, options=further)
    made = shared.ask(options.backend, "emit", wanted)
    for note in made.notes:
        remark(note)
    output.write(options.output, made.content)
    return 0
