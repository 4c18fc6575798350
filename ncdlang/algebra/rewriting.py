"""Rewriting: patches that touch different operations are carried out at once, until there are none.

What is inside a scan is rewritten as `scans` says. Random operations are neither copied nor
merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ncdlang.algebra.patches import Extents, Patch, Rewrite, apart, patched
from ncdlang.algebra.scans import body, entered, inner_patches, scans
from ncdlang.ir.diagram import Graph
from ncdlang.records import record
from ncdlang.source import Span

MAX_SWEEPS = 200


@record
class Applied:
    """A place where a rewrite was applied."""

    rewrite: str
    what: str
    span: Span


@record(eq=False)
class Rewritten:
    """A graph and how it was come by."""

    graph: Graph
    applied: tuple[Applied, ...]


def rewrite(graph: Graph, rule: Rewrite, extents: Extents | None = None) -> Rewritten:
    """Apply a rewrite wherever it applies, and where it applies then."""
    sizes = extents or Extents()
    applied: list[Applied] = []
    for _ in range(MAX_SWEEPS):
        chosen = apart(rule.patches(graph, sizes))
        graph = patched(graph, chosen) if chosen else graph
        for number in range(sum(1 for _ in scans(graph))):
            edge, scan = list(scans(graph))[number]
            inside = body(graph, edge, scan)
            inner = apart(inner_patches(inside, scan, rule, sizes))
            if inner:
                graph = patched(graph, [entered(edge, scan, inside, inner)])
                chosen += inner
        if not chosen:
            break
        applied += [Applied(rule.name, patch.what, patch.span) for patch in chosen]
    return Rewritten(graph, tuple(applied))


def rewrite_all(
    graph: Graph, rules: Iterable[Rewrite], extents: Extents | None = None
) -> Rewritten:
    """Apply rewrites one after another."""
    applied: list[Applied] = []
    for rule in rules:
        done = rewrite(graph, rule, extents)
        graph = done.graph
        applied += done.applied
    return Rewritten(graph, tuple(applied))


def places(graph: Graph, rule: Rewrite, extents: Extents) -> Iterator[Patch]:
    """Where a rewrite applies, one patch of the whole graph for each place."""
    yield from rule.patches(graph, extents)
    for edge, scan in scans(graph):
        inside = body(graph, edge, scan)
        for patch in inner_patches(inside, scan, rule, extents):
            yield entered(edge, scan, inside, [patch])
