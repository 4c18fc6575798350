"""Compare diagrams up to structure: exit code 0 if they are equal, else 1 and where they differ.

Names, titles, the order of statements and how a diagram is cut into others do not matter; nor do
dead wires, common subterms, the order of factors and terms, or whether it is written in equations
or point-free. Without a diagram's name all diagrams are compared that both files have; if their
names differ, the last ones.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ncdlang.cli import options as shared
from ncdlang.cli.console import remark
from ncdlang.semantics.program import CheckedDiagram, CheckedProgram


def configure(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("file", metavar="A", help="a .ncd file")
    parser.add_argument("other", metavar="B", help="the file to compare it with; it may be A")
    parser.add_argument("diagram", metavar="DIAGRAM", nargs="?", help="a diagram of A")
    parser.add_argument(
        "counterpart", metavar="OTHER", nargs="?", help="a diagram of B; default: DIAGRAM"
    )
    shared.add_source_options(parser)


def run(options: Namespace) -> int:
    """Compare, and say what was found."""
    counterpart = options.counterpart or options.diagram
    left = shared.load(options).program
    other = Namespace(**{**vars(options), "file": options.other, "diagram": counterpart})
    right = shared.load(other).program
    results = [_compare(a, b) for a, b in _pairs(left, right, options.diagram, counterpart)]
    return 0 if all(results) else 1


def _pairs(
    left: CheckedProgram, right: CheckedProgram, name: str | None, counterpart: str | None
) -> list[tuple[CheckedDiagram, CheckedDiagram]]:
    """The diagrams to compare with each other."""
    if name is None:
        mine = {diagram.name: diagram for diagram in left.diagrams}
        theirs = {diagram.name: diagram for diagram in right.diagrams}
        if mine and mine.keys() == theirs.keys():
            return [(diagram, theirs[name]) for name, diagram in mine.items()]
        first, second = shared.choose(left, None, "comparing"), shared.choose(right, None, "with")
        if len(left.diagrams) == 1 == len(right.diagrams):
            remark(f"comparing `{first.name}` with `{second.name}`")
        return [(first, second)]
    return [(shared.choose(left, name, ""), shared.choose(right, counterpart, ""))]


def _compare(left: CheckedDiagram, right: CheckedDiagram) -> bool:
    from ncdlang.algebra.equal import difference
    from ncdlang.ir.lower import lower

    found = difference(lower(left), lower(right))
    names = f"`{left.name}`" if left.name == right.name else f"`{left.name}` and `{right.name}`"
    if found is None:
        print(f"equal: {names}")
        return True
    print(f"different: {names}: {found.message}")
    for place in (found.left, found.right):
        print(f"  {place.span!r}: {place.text}")
    return False
