"""The gradient of a diagram: what is kept from the forward pass, and the diagram as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ncdlang.gradients.copies import without_copies
from ncdlang.gradients.error import GradientError
from ncdlang.gradients.flat import PRIMITIVES, prepared
from ncdlang.gradients.opening import Opened, opened
from ncdlang.gradients.reverse import reversed_steps
from ncdlang.gradients.rules import CLOSED
from ncdlang.gradients.steps import Flat, live, made, needed
from ncdlang.records import record
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import ArrayType, Wire


@record(eq=False)
class Gradient:
    """A derived diagram in parts.

    `inputs` are those of the diagram, its parameters and the adjoints of its results (`seeds`);
    `results` the adjoints of `wrt`. `kept` are the wires of the forward pass, inputs included,
    that the reverse pass reads.
    """

    opened: Opened
    wrt: tuple[Wire, ...]
    inputs: tuple[Wire, ...]
    seeds: tuple[Wire, ...]
    forward: tuple[Flat, ...]
    reverse: tuple[Flat, ...]
    results: tuple[Wire, ...]
    kept: tuple[Wire, ...]
    notes: tuple[str, ...] = ()

    @property
    def wrt_names(self) -> tuple[str, ...]:
        """The names of the arrays that are differentiated in."""
        return tuple(wire.name for wire in self.wrt)


def gradient(
    diagram: CheckedDiagram,
    wrt: Sequence[str] | None = None,
    training: bool = False,
    recompute: bool = False,
) -> Gradient:
    """The reverse-mode gradient of a diagram in some of its inputs and parameters.

    `wrt` names them, parameters of an instance with its name before (`Lq.weight`); by default all
    real inputs and all parameters but frozen ones. `training` takes the gradient of what batch
    norms do in training. `recompute` keeps less from the forward pass (see `recomputing`).
    Raises GradientError for what has no gradient and for a name of `wrt` that is none.
    """
    if diagram.primitive:
        raise GradientError(f"`{diagram.name}` is an op: it has no equations", diagram.span)
    flat = opened(diagram, CLOSED | PRIMITIVES)
    chosen = _chosen(flat, wrt)
    ready = prepared(flat, chosen, training)
    seeds = tuple(
        (result, Wire(f"d{_stem(result)}", ArrayType(result.type.axes), result.span))
        for result in flat.results
        if result.type.kind.name == "real"
    )
    if not seeds:
        raise GradientError(f"no result of `{diagram.name}` is real", diagram.span)
    reverse = reversed_steps(ready.steps, ready.active, seeds, chosen)
    steps, forward = reverse.steps, ready.steps
    if recompute:
        from ncdlang.gradients.recomputing import recomputed

        forward, steps = recomputed(flat, forward, steps)
    results = tuple(reverse.adjoints[wire] for wire in chosen)
    forward, steps = without_copies(forward, steps, (*flat.results, *results))
    steps = live(steps, set(results))
    read = dict.fromkeys(wire for step in steps for wire in needed(step))
    own = {wire for step in steps for wire in made(step)} | {adjoint for _, adjoint in seeds}
    kept = tuple(wire for wire in read if wire not in own)
    return Gradient(
        flat,
        chosen,
        (*diagram.parameters, *(parameter.wire for parameter in flat.learned)),
        tuple(adjoint for _, adjoint in seeds),
        tuple(live(forward, set(kept))),
        tuple(steps),
        results,
        kept,
    )


def _stem(wire: Wire) -> str:
    return "Y" if wire.name.startswith("_") else wire.name


def _chosen(flat: Opened, wrt: Sequence[str] | None) -> tuple[Wire, ...]:
    inputs = {wire.name: wire for wire in flat.diagram.parameters}
    parameters = {p.wire.name: p.wire for p in flat.learned}
    known = inputs | parameters
    if wrt is None:
        frozen = {p.wire for p in flat.learned if p.frozen}
        found = tuple(w for w in known.values() if w.type.kind.name == "real" and w not in frozen)
        if not found:
            raise GradientError(f"`{flat.diagram.name}` has no real input", flat.diagram.span)
        return found
    return tuple(_named(name, known, flat.diagram) for name in dict.fromkeys(wrt))


def _named(name: str, known: dict[str, Wire], diagram: CheckedDiagram) -> Wire:
    wire = known.get(name)
    if wire is None:
        raise GradientError(
            f"`{diagram.name}` has no input or parameter `{name}`: {_listed(known)}", None
        )
    if wire.type.kind.name != "real":
        raise GradientError(f"`{name}` is not real: it has no gradient", wire.span)
    return wire


def _listed(names: Iterable[str]) -> str:
    return "it has " + (", ".join(f"`{name}`" for name in names) or "none")
