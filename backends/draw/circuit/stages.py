"""The stages of a rewrite: graphs with what was done to get there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncdlang.algebra.opening import opened
from ncdlang.algebra.rewrites import PIPELINE, REWRITES, named
from ncdlang.algebra.rewriting import Applied, Extents, rewrite
from ncdlang.algebra.search import derive
from ncdlang.ir.diagram import Graph
from ncdlang.targets import TargetError

WHOLE, SEARCH = "pipeline", "search"
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Stage:
    """A graph between two rewrites: a title, and what hovering over it tells."""

    title: str
    told: str
    graph: Graph


def stages(
    graph: Graph, name: str, sizes: Mapping[str, int], *, is_opened: bool = False
) -> list[Stage]:
    """The graph before a rewrite, and after each that changed it.

    `pipeline` is every rewrite that is done by default, `search` the cheapest derivation; the
    latter, and where it `is_opened`, calls are replaced by their operations first. Raises
    TargetError for another name that no rewrite has.
    """
    rule = named(name)
    if rule is None and name not in (WHOLE, SEARCH):
        known = ", ".join([each.name for each in REWRITES] + [WHOLE, SEARCH])
        raise TargetError(f"there is no rewrite `{name}`; the rewrites are {known}")
    values = {s: sizes[s.name] for s in graph.diagram.unknowns if s.name in sizes}
    extents = Extents(values)
    graph = opened(graph) if is_opened or name == SEARCH else graph
    if name == SEARCH:
        found = derive(graph, extents)
        after = [_after(SEARCH, found.steps, found.graph)] if found.steps else []
        before = Stage(f"before: {found.before}", "", graph)
        return _whole([before, *(Stage(f"after: {found.after}", s.told, s.graph) for s in after)])
    made = [Stage("before", "", graph)]
    for each in PIPELINE if rule is None else (rule,):
        done = rewrite(made[-1].graph, each, extents)
        if done.applied:
            made.append(_after(each.name, done.applied, done.graph))
    return _whole(made, name)


def _whole(made: list[Stage], name: str = SEARCH) -> list[Stage]:
    if len(made) > 1:
        return made
    return [Stage(f"{name}: applies nowhere", "", made[0].graph)]


def _after(name: str, applied: Sequence[Applied], graph: Graph) -> Stage:
    """A stage that says what was done: the one place where it was, or how many there were."""
    said = applied[0].what.replace("`", "")
    if len(applied) > 1 or len(said) > _LONGEST:
        said = f"at {len(applied)} place{'s' if len(applied) > 1 else ''}"
    told = "\n".join(f"{each.rewrite}: {each.what}" for each in applied)
    return Stage(f"after {name}: {said}", told, graph)
