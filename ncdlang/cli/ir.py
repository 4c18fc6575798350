"""Print a stage of the compiler.

tree: the surface tree of the whole file, one to one with the text. checked: the checked program,
every axis, size and index map resolved. diagram: the hypergraph of broadcasted operations.
Without DIAGRAM the stages checked and diagram show all diagrams of the file.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.semantics.program import CheckedDiagram

STAGES = ("tree", "checked", "diagram")


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser, "all of them if left out")
    parser.add_argument("--stage", choices=STAGES, default="diagram", help="default: diagram")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file")
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Print the stage."""
    text = _tree(options) if options.stage == "tree" else _diagrams(options)
    output.write(options.output, text)
    return 0


def _tree(options: Namespace) -> str:
    from ncdlang.cli.console import show
    from ncdlang.project import Project
    from ncdlang.syntax.parser import parse
    from ncdlang.syntax.text import render_tree

    parsed = parse(shared.open_file(options, Project(options.include)))
    if parsed.diagnostics:
        show(parsed.diagnostics, options, sys.stderr)
        raise SystemExit(1)
    return render_tree(parsed.file)


def _diagrams(options: Namespace) -> str:
    checked = shared.load(options)
    if options.diagram is None:
        diagrams = checked.program.diagrams
    else:
        diagrams = (shared.choose(checked.program, options.diagram, "printing"),)
    render = _renderer(options.stage)
    return "\n".join(render(diagram) for diagram in diagrams)


def _renderer(stage: str) -> Callable[[CheckedDiagram], str]:
    if stage == "checked":
        from ncdlang.semantics.text import render_checked

        return render_checked
    from ncdlang.ir.lower import lower
    from ncdlang.ir.text import render

    return lambda diagram: render(lower(diagram))
