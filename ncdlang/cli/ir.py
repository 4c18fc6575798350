"""Print a stage of the compiler.

tree: the surface tree of the whole file, one to one with the text. checked: the checked program,
every axis, size and index map resolved. diagram: the hypergraph of broadcasted operations.
Without DIAGRAM the stages checked and diagram show all diagrams of the file.

With --rewrite the hypergraph is shown before and after a rewrite, with the places where it was
applied. `pipeline` is what is done by default, `search` looks for the cheapest derivation, at the
sizes of --size (an unknown size counts as 64). `ncdc explain pipeline` lists the rewrites.
With -o x.svg the stages of a rewrite are drawn side by side, as `ncdc draw --rewrite` does.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ncdlang import api
from ncdlang.cli import options as shared
from ncdlang.cli import output
from ncdlang.cli.console import CommandError, remark
from ncdlang.semantics.program import CheckedDiagram

if TYPE_CHECKING:
    from ncdlang.ir.diagram import Graph

STAGES = ("tree", "checked", "diagram")
DRAWN = (".svg", ".pdf", ".png", ".gv")
WHOLE, SEARCH = "pipeline", "search"

Values = Mapping[str, int | float]


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    shared.add_file(parser, "all of them if left out")
    parser.add_argument("--stage", choices=STAGES, default="diagram", help="default: diagram")
    parser.add_argument(
        "--open", action="store_true", help="replace calls by the operations of what they call"
    )
    parser.add_argument(
        "--rewrite", metavar="NAME", help="show the hypergraph before and after this rewrite"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write to a file; .svg, .pdf, .png or .gv is drawn"
    )
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Print the stage."""
    if options.stage != "diagram" and (options.rewrite or options.open):
        raise CommandError("--rewrite and --open are about the stage diagram")
    if options.rewrite is not None:
        _check_name(options.rewrite)
        ending = os.path.splitext(options.output or "")[1].lower()
        if ending in DRAWN:
            output.write(options.output, _drawn(options, ending[1:]))
            return 0
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
    render = _renderer(options, checked.values)
    return "\n".join(render(diagram) for diagram in diagrams)


def _renderer(options: Namespace, values: Values) -> Callable[[CheckedDiagram], str]:
    if options.stage == "checked":
        from ncdlang.semantics.text import render_checked

        return render_checked
    from ncdlang.ir.lower import lower
    from ncdlang.ir.text import render

    if options.rewrite is None and not options.open:
        return lambda diagram: render(lower(diagram))
    from ncdlang.algebra.opening import opened

    def graph(diagram: CheckedDiagram) -> Graph:
        made = lower(diagram)
        return opened(made) if options.open or options.rewrite == SEARCH else made

    if options.rewrite is None:
        return lambda diagram: render(graph(diagram))
    return lambda diagram: _rewritten(graph(diagram), options.rewrite, values)


# ---- rewrites ----------------------------------------------------------------------------------


def _drawn(options: Namespace, form: str) -> str | bytes:
    """The stages of the rewrite as circuits."""
    checked = shared.load(options)
    diagram = shared.choose(checked.program, options.diagram, "drawing")
    given = {"format": form, "rewrite": options.rewrite}
    given |= {"library": "open"} if options.open else {}
    made = shared.ask("draw", "emit", api.request(checked, diagram, options=given))
    for note in made.notes:
        remark(note)
    content: str | bytes = made.content
    return content


def _check_name(name: str) -> None:
    from ncdlang.algebra.rewrites import REWRITES
    from ncdlang.semantics.scope import closest

    names = [rule.name for rule in REWRITES] + [WHOLE, SEARCH]
    if name not in names:
        near = closest(name, names)
        hint = f"did you mean {near}?" if near else f"the rewrites are {', '.join(names)}"
        raise CommandError(f"there is no rewrite `{name}`", hint)


def _rewritten(graph: Graph, name: str, values: Values) -> str:
    """The graph before, what was done to it, and the graph after."""
    from ncdlang.algebra.patches import Extents
    from ncdlang.algebra.rewrites import PIPELINE, named
    from ncdlang.algebra.rewriting import rewrite_all
    from ncdlang.algebra.search import derive
    from ncdlang.ir.text import render

    known = {
        symbol: value
        for symbol in graph.diagram.unknowns
        if isinstance(value := values.get(symbol.name), int)
    }
    extents = Extents(known)
    if name == SEARCH:
        derivation = derive(graph, extents)
        applied, after = derivation.steps, derivation.graph
        costs = [f"# {derivation.before}", f"# {derivation.after}"]
    else:
        rule = named(name)
        done = rewrite_all(graph, PIPELINE if rule is None else (rule,), extents)
        applied, after = done.applied, done.graph
        costs = ["# before", "# after"]
    places = [f"# {each.rewrite}: {each.what} ({each.span!r})" for each in applied]
    steps = "\n".join(places or [f"# {name}: applies nowhere"])
    return f"{costs[0]}\n{render(graph)}\n{steps}\n\n{costs[1]}\n{render(after)}"
