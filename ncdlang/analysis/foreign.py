"""Calls of what has no equations: they stand between kernels, and PyTorch makes them.

What a call reads is made before it, by kernels too, and what it makes is read by those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ncdlang.analysis.terms import Array, Term, Terms, ordered, reads
from ncdlang.ir.diagram import Edge, Library
from ncdlang.records import record
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis, Wire


@record(eq=False)
class Foreign:
    """`arrays = callee(arguments)`, once for each index of the lifted axes, which lead.

    `arguments` are terms, each over `lifted` and the axes of its own that stand beside it, in the
    order of the callee. `sizes` gives the sizes of the callee. `path` names the instances on the
    way to the module that is called, from the outside in, none for a function; `reason` says why
    no kernel does it.
    """

    terms: Terms
    callee: CheckedDiagram
    arrays: tuple[Array, ...]
    lifted: tuple[Axis, ...]
    arguments: tuple[tuple[Term, tuple[Axis, ...]], ...]
    sizes: tuple[tuple[Symbol, Size], ...]
    path: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_stateful(self) -> bool:
        """Whether it moves buffers, so that it is called even where nothing reads its results."""
        return self.callee.is_stateful

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that it reads."""
        return tuple(reads(*self.parts))

    @property
    def parts(self) -> tuple[Term, ...]:
        """The terms that it works with."""
        return tuple(term for term, _ in self.arguments)

    @property
    def values(self) -> tuple[Term, ...]:
        """The terms that read what it makes."""
        load, index = self.terms.load, self.terms.index
        return tuple(load(array, tuple(map(index, array.axes))) for array in self.arrays)


def foreign(
    terms: Terms,
    edge: Edge,
    library: Library,
    axis: Callable[[Axis], Axis],
    values: Sequence[Term],
    sizes: Mapping[Symbol, Size],
) -> Foreign | None:
    """A call with its arguments as terms, None where its axes are not plain ones.

    `axis` and `sizes` give what axes and sizes of the graph stand for.
    """
    callee = library.callee
    sides = zip(callee.parameters, edge.inputs, library.input_targets, strict=True)
    owned = [_own(wire, o.wire, o.weave, targets, axis) for wire, o, targets in sides]
    made = zip(callee.results, edge.outputs, library.output_targets, strict=True)
    results = [_own(wire, o.wire, o.weave, targets, axis) for wire, o, targets in made]
    degree = tuple(atom for a in edge.degree for atom in axis(a).atoms)
    found = [a for term in values for a in ordered(term)]
    targets = {a for axes in owned for a in axes}
    lifted = tuple(dict.fromkeys(a for a in (*degree, *found) if a not in targets))
    every = [(*lifted, *axes) for axes in (*owned, *results)]
    if any(a.parts for axes in every for a in axes) or any(len(set(e)) < len(e) for e in every):
        return None
    if any(not term.axes <= {*lifted, *axes} for term, axes in zip(values, owned, strict=True)):
        return None
    arrays = tuple(
        Array(o.wire.name, (*lifted, *own), o.wire.type.kind, (), "made")
        for o, own in zip(edge.outputs, results, strict=True)
    )
    arguments = tuple(zip(values, owned, strict=True))
    bound = tuple((symbol, value.substitute(sizes)) for symbol, value in library.binding)
    return Foreign(terms, callee, arrays, lifted, arguments, bound)


def _own(
    formal: Wire,
    actual: Wire,
    weave: Sequence[bool],
    targets: Sequence[Axis],
    axis: Callable[[Axis], Axis],
) -> tuple[Axis, ...]:
    """The axes that the callee sees of a wire, in its own order."""
    marked = [a for a, target in zip(actual.type.axes, weave, strict=True) if target]
    bound = dict(zip(targets, map(axis, marked), strict=True))
    return tuple(bound[a] for a in formal.type.axes)
