"""Derive the gradient of a diagram: an ordinary diagram of the adjoints of its results.

It takes the inputs, the parameters (`Lq.weight` as `Lq_weight`) and the adjoints of the real
results, and gives the adjoints of what --wrt names. The comment at its head lists what the reverse
pass keeps from the forward pass.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.build import DTYPES
from ncdlang.cli.console import CommandError, complain
from ncdlang.project import Project
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.source import Source

EMITTED = ("ncd", "python", "ir", "svg", "pdf", "png", "gv")
_ENDINGS = {"py": "python", "dot": "gv"} | {name: name for name in EMITTED}


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser)
    parser.add_argument(
        "--wrt",
        metavar="X,Lq.weight",
        help="inputs and parameters to differentiate in; default: all that are real",
    )
    parser.add_argument(
        "--emit",
        choices=EMITTED,
        help="text, code or drawing; default: what the output file's ending says, or ncd",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="keep only what is no larger than inputs and results, and compute the rest again",
    )
    parser.add_argument(
        "--train", action="store_true", help="of what batch norms do in training, not in eval mode"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="of --emit python")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Write the gradient; nothing is written if there is none."""
    from ncdlang.gradients.error import GradientError

    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "differentiating")
    try:
        text = _text(options, diagram)
    except GradientError as error:
        if error.span is None:
            raise CommandError(str(error)) from error
        place = f"{error.span.file}:{error.span.line}:{error.span.column}"
        complain(CommandError(str(error), f"--> {place}"))
        return 1
    output.write(options.output, _emitted(options, text))
    return 0


def _form(options: Namespace) -> str:
    """What to write: as asked, else what the ending of the output file says."""
    if options.emit is not None:
        return str(options.emit)
    ending = os.path.splitext(options.output or "")[1].lower().removeprefix(".")
    return _ENDINGS.get(ending, "ncd")


def _text(options: Namespace, diagram: CheckedDiagram) -> str:
    from ncdlang.gradients.derivation import gradient
    from ncdlang.gradients.file import written

    wrt = [name.strip() for name in options.wrt.split(",")] if options.wrt else None
    found = gradient(diagram, wrt, options.train, options.recompute)
    return written(found, Project(options.include).find)


def _emitted(options: Namespace, text: str) -> str | bytes:
    form = _form(options)
    if form == "ncd":
        return text
    name = f"{os.path.splitext(options.file)[0]}_grad.ncd"
    checked = api.check(Source(name, text), Project(options.include).find)
    derived = checked.program.diagrams[-1]
    if form == "ir":
        from ncdlang.ir.lower import lower
        from ncdlang.ir.text import render

        return render(lower(derived))
    backend, given = "torch", dict[str, str]()
    if form != "python":
        backend, given = "draw", {"format": form}
    wanted = api.request(checked, derived, options.dtype, options=given)
    content: str | bytes = shared.ask(backend, "emit", wanted).content
    return content
