"""Say what the code of an error means, with an example and how to mend it.

`pipeline` lists the rewrites, and which of them are done by default; the name of a rewrite says
which law it rests on.

With FILE.ncd [DIAGRAM] instead: how kernels are derived from the equations of the diagram, as a
short argument. It names the role of every axis, what is accumulated and how it is corrected, the
tiles that are visited, and what that costs on a device. Before it come the
writes at indices: which of their axes are copied, where sources meet, what moves in slices.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ncdlang import codes
from ncdlang.cli import derivation
from ncdlang.cli import options as shared
from ncdlang.cli.console import CommandError


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "code",
        metavar="CODE",
        nargs="*",
        help="such as NCD2003, the name of a rewrite, or FILE.ncd and a DIAGRAM of it; "
        "all codes are listed if left out",
    )
    derivation.add_device(parser)
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Print the pages of the codes, the list of all codes, or what is known of a diagram."""
    if options.code and (options.code[0] == "-" or options.code[0].endswith((".ncd", ".json"))):
        return _diagram(options)
    if not options.code:
        for code in codes.all_codes():
            page = codes.page(code)
            print(f"{code}  {page.title if page else ''}")
        return 0
    print("\n".join(_page(code) for code in options.code), end="")
    return 0


def _diagram(options: Namespace) -> int:
    """Print the writes of a diagram at indices, and how its kernels are derived."""
    options.file, *rest = options.code
    if len(rest) > 1:
        raise CommandError(f"one diagram at a time: `{rest[0]}` or `{rest[1]}`")
    options.diagram = rest[0] if rest else None
    from ncdlang.analysis.explain import explain
    from ncdlang.analysis.scatter_report import scatter_report

    diagram, sizes = derivation.chosen(options, "explaining")
    report = scatter_report(diagram, sizes)
    if report:
        print(report)
    try:
        plan = derivation.plan_of(diagram, sizes)
    except CommandError as error:
        if not report:
            raise
        print(f"{error}.")
        return 0
    print(explain(plan, diagram.name, sizes, derivation.device(options), options.dtype), end="")
    return 0


def _page(name: str) -> str:
    from ncdlang.algebra.rewrites import named

    if name == "pipeline":
        return _pipeline()
    rule = named(name)
    if rule is not None:
        return f"{rule.name}: {rule.summary}\n\nLaw: {rule.law}\n"
    return _text(name)


def _pipeline() -> str:
    """The rewrites that are done by default, in order, then the others."""
    from ncdlang.algebra.patches import Rewrite
    from ncdlang.algebra.rewrites import PIPELINE, REWRITES

    def line(rule: Rewrite) -> str:
        return f"{rule.name:22} {rule.summary}"

    default = [f"{i:3}. {line(rule)}" for i, rule in enumerate(PIPELINE, 1)]
    others = [f"     {line(rule)}" for rule in REWRITES if rule not in PIPELINE]
    lines = ["By default, in this order:", "", *default, "", "Only on demand:", "", *others]
    return "\n".join(lines) + "\n"


def _text(code: str) -> str:
    page = codes.page(code) or codes.page(f"NCD{code}")
    if page is None:
        from ncdlang.semantics.scope import closest

        near = closest(code.upper(), codes.all_codes())
        hint = f"did you mean {near}?" if near else "`ncdc explain` lists all codes"
        raise CommandError(f"there is no code {code}", hint)
    parts = [f"{page.code}: {page.title}", page.why]
    for path, text in page.modules:
        parts.append(f"With {path}:\n\n{_indented(text)}")
    parts.append(f"This is wrong:\n\n{_indented(page.bad)}")
    parts.append(f"Write instead:\n\n{_indented(page.good)}")
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))
