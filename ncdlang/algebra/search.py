"""Derivations: a bounded best-first search over the rewrites, in the manner of OLLIE.

A state is a graph; a step applies one patch of one rewrite and tidies up. The cheapest state is
expanded next, equal states once. (Zheng et al., OLLIE: Derivation-based Tensor Program Optimizer,
2022; cost as in `cost`.)
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import islice

from ncdlang.algebra.cost import Cost, cost
from ncdlang.algebra.patches import Extents, Rewrite, patched
from ncdlang.algebra.rewrites import (
    BEFORE_SCANS,
    COMMON_SUBTERMS,
    DEAD_WIRES,
    DIVIDE_ONCE,
    MATRIX_PRODUCT,
    MERGE_CONTRACTIONS,
    MERGE_REINDEXINGS,
    ORDER_CONTRACTIONS,
    PARALLEL_PROJECTIONS,
    SLIDE_IN,
    SLIDE_OUT,
)
from ncdlang.algebra.rewriting import Applied, places, rewrite_all
from ncdlang.ir.diagram import Graph
from ncdlang.ir.text import render
from ncdlang.records import record

STEPS: tuple[Rewrite, ...] = (
    DIVIDE_ONCE,
    MERGE_CONTRACTIONS,
    ORDER_CONTRACTIONS,
    PARALLEL_PROJECTIONS,
    SLIDE_IN,
    SLIDE_OUT,
    MATRIX_PRODUCT,
    BEFORE_SCANS,
)
TIDY: tuple[Rewrite, ...] = (MERGE_REINDEXINGS, COMMON_SUBTERMS, DEAD_WIRES)

MAX_STATES = 200
MAX_STEPS = 64
"""Steps that are tried from one state, the same number for each rewrite."""
MAX_WORK = 40_000
"""States times operations that are looked at."""


@record(eq=False)
class Derivation:
    """What a search found: the graph, how it was derived, and what both ends cost."""

    graph: Graph
    steps: tuple[Applied, ...]
    before: Cost
    after: Cost
    states: int


def derive(graph: Graph, extents: Extents | None = None, states: int | None = None) -> Derivation:
    """The cheapest graph found from this one. Calls are to be opened before.

    At most `states` graphs are expanded, by default 200, fewer for large graphs.
    """
    sizes = extents or Extents()
    limit = states or max(4, min(MAX_STATES, MAX_WORK // max(1, len(graph.edges))))
    start = rewrite_all(graph, TIDY, sizes)
    before = cost(graph, sizes)
    best = Derivation(start.graph, start.applied, before, cost(start.graph, sizes), 0)
    queue: list[tuple[int, int, int]] = [(best.after.time, 0, 0)]
    made: list[tuple[Graph, tuple[Applied, ...]]] = [(start.graph, start.applied)]
    seen = {render(start.graph)}
    expanded = 0
    while queue and expanded < limit:
        _, _, number = heappop(queue)
        current, way = made[number]
        expanded += 1
        for rule in STEPS:
            for patch in islice(places(current, rule, sizes), MAX_STEPS // len(STEPS)):
                done = rewrite_all(patched(current, [patch]), TIDY, sizes)
                text = render(done.graph)
                if text in seen:
                    continue
                seen.add(text)
                steps = (*way, Applied(rule.name, patch.what, patch.span), *done.applied)
                price = cost(done.graph, sizes)
                if price.time < best.after.time:
                    best = Derivation(done.graph, steps, before, price, 0)
                heappush(queue, (price.time, len(steps), len(made)))
                made.append((done.graph, steps))
    return Derivation(best.graph, best.steps, before, best.after, expanded)
