"""Where scatters collide, which of their axes move in slices, how much indexing they need.

A write `Y[I[t], c] += U[t c]` is an x-variator (Tensor Data Scattering, Def. 8): each dimension of
what is written either copies an axis of the source or is worked out from several. The classes of
axes and the criterion of slicing are those of the project's correction of its Theorem 2: an axis
can be sliced exactly if it is copied and nothing else depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Literal

from ncdlang.ir.diagram import Edge, Scattering
from ncdlang.records import record
from ncdlang.semantics.collisions import determined_axes, find_collision
from ncdlang.semantics.facts import Collision, Facts, Unknown
from ncdlang.semantics.program import CheckedDiagram, Invoke, Scatter, Write, walk
from ncdlang.semantics.size import ONE, ZERO, Size, product
from ncdlang.semantics.sizes import composite_index
from ncdlang.semantics.types import Affine, Axis, Wire, gathered, plain_index
from ncdlang.semantics.uniqueness import one_to_one

Class = Literal["slice", "entangled", "index", "dropped"]


@record(eq=False)
class Dimension:
    """One dimension of what is written; a composite axis that its own parts index is several."""

    axis: Axis
    index: Affine

    @property
    def copied(self) -> Axis | None:
        """The axis of the source whose index is the place along this dimension."""
        if len(self.index.terms) == 1 and self.index.constant == ZERO:
            variable, coefficient = self.index.terms[0]
            if isinstance(variable, Axis) and coefficient == ONE:
                return variable
        return None

    @property
    def is_whole(self) -> bool:
        """Whether a copied axis covers it from end to end."""
        return self.copied is not None and self.copied.size == self.axis.size


@record(eq=False)
class AxisRole:
    """What an axis of the source does: the dimensions that copy it, and that read it otherwise.

    `stride` is set for a window: an axis that only one dimension reads, at equal distances, so
    that for fixed other axes its entries never meet. `is_parallel`: sources at different places
    along it never meet.
    """

    axis: Axis
    name: Class
    copies: tuple[int, ...]
    reads: tuple[int, ...]
    stride: Size | None
    is_parallel: bool


@record(eq=False)
class Variator:
    """The left-hand side of a write: source axes, and a dimension of the target at a time."""

    dimensions: tuple[Dimension, ...]
    roles: tuple[AxisRole, ...]
    collision: Collision | Unknown | None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the source."""
        return tuple(role.axis for role in self.roles)

    def of_class(self, name: Class) -> tuple[Axis, ...]:
        """The axes of one class, in order."""
        return tuple(role.axis for role in self.roles if role.name == name)

    @property
    def is_one_to_one(self) -> bool:
        """Whether it is proved that no two sources meet: nothing has to be combined."""
        return self.collision is None

    @property
    def meeting(self) -> tuple[Axis, ...]:
        """The axes along which sources may meet."""
        return tuple(role.axis for role in self.roles if not role.is_parallel)

    @property
    def is_weakly_sliceable(self) -> bool:
        """Def. 9: some axis can be moved in slices, wherever it stands."""
        return bool(self.of_class("slice"))

    @property
    def slice_dimensions(self) -> int:
        """The longest suffix of the dimensions that is sliced (Def. 7); 0 if not sliceable."""
        slices = frozenset(self.of_class("slice"))
        found = 0
        for count in range(1, len(self.dimensions) + 1):
            copied = self.dimensions[-count].copied
            if copied is None or copied not in slices:
                break
            start = len(self.dimensions) - count
            inside = {d.copied for d in self.dimensions[start:]}
            own = [role for role in self.roles if role.axis in inside]
            if all(min(role.copies) >= start for role in own):
                found = count
        return found

    @property
    def run(self) -> tuple[Axis, ...]:
        """The axes whose slice fills one piece of the target, from its last dimension on."""
        slices = frozenset(self.of_class("slice"))
        found: list[Axis] = []
        for dimension in reversed(self.dimensions):
            axis = dimension.copied
            if axis is None or axis not in slices or axis in found:
                break
            if len(self._role(axis).copies) > 1:
                break
            found.insert(0, axis)
            if not dimension.is_whole:
                break
        return tuple(found)

    def _role(self, axis: Axis) -> AxisRole:
        return next(role for role in self.roles if role.axis is axis)

    @property
    def computed(self) -> tuple[int, ...]:
        """The dimensions that copy no axis."""
        return tuple(i for i, d in enumerate(self.dimensions) if d.copied is None)

    @property
    def index_axes(self) -> tuple[Axis, ...]:
        """The axes that these dimensions depend on (p1 of the paper)."""
        return tuple(role.axis for role in self.roles if role.reads)

    @property
    def sparsity(self) -> tuple[Fraction, Size]:
        """Def. 11, the numbers that name places to those that a list of entries would need.

        It is the first over the second: what the two share is cancelled. 1 for a list of entries,
        0 where every dimension copies.
        """
        rest = product(axis.size for axis in self.axes if axis not in self.index_axes)
        return Fraction(len(self.computed), max(1, len(self.dimensions))), rest

    def sparsity_at(self, sizes: Mapping[Axis, int]) -> Fraction:
        """The sparsity where the axes of the source have these sizes."""
        number, _ = self.sparsity
        for axis in self.axes:
            if axis not in self.index_axes:
                number /= sizes[axis]
        return number

    @property
    def tables(self) -> tuple[Wire, ...]:
        """The arrays of naturals that places are looked up in."""
        found: dict[Wire, None] = {}
        for dimension in self.dimensions:
            found.update(dict.fromkeys(each.wire for each in gathered((dimension.index,))))
        return tuple(found)


def variator(
    target: Sequence[Axis],
    indices: Sequence[Affine],
    axes: Sequence[Axis],
    facts: Facts | None = None,
    unique: Mapping[Wire, int] | None = None,
) -> Variator:
    """The classes of `axes`, which write at `indices` into an array with the axes `target`.

    `unique` says of arrays of naturals along which of their axes no entry occurs twice.
    """
    facts, unique = facts or Facts(), unique or {}
    dimensions = tuple(_dimensions(target, indices))
    parallel = determined_axes(indices, axes, facts, unique)
    roles = tuple(_role(axis, dimensions, axis in parallel) for axis in axes)
    collision = find_collision(indices, axes, facts, unique)
    return Variator(dimensions, roles, collision)


def variator_of(edge: Edge, diagram: CheckedDiagram) -> Variator:
    """The classes of the axes of an operation that writes, for whatever carries it out.

    The diagram whose operation it is gives what is known of sizes and of arrays of naturals. A
    plain `=` has been proved to be one-to-one when the diagram was checked.
    """
    operator, wire = edge.operator, edge.outputs[0].wire
    assert isinstance(operator, Scattering)
    unique = one_to_one(walk(diagram.steps))
    made = variator(wire.type.axes, operator.indices, edge.degree, facts_of(diagram), unique)
    if operator.op != "=" or made.is_one_to_one:
        return made
    return Variator(made.dimensions, made.roles, None)


def _dimensions(target: Sequence[Axis], indices: Sequence[Affine]) -> Iterator[Dimension]:
    for axis, index in zip(target, indices, strict=True):
        if axis.parts and index == composite_index([axis]):
            yield from (Dimension(atom, plain_index(atom)) for atom in axis.atoms)
        else:
            yield Dimension(axis, index)


def _role(axis: Axis, dimensions: Sequence[Dimension], is_parallel: bool) -> AxisRole:
    copies = tuple(i for i, d in enumerate(dimensions) if d.copied is axis)
    others = [i for i in range(len(dimensions)) if i not in copies]
    reads = tuple(i for i in others if axis in dimensions[i].index.axes())
    stride = None
    if copies:
        name: Class = "entangled" if reads else "slice"
    else:
        name = "index" if reads else "dropped"
        if len(reads) == 1:
            stride = _stride(axis, dimensions[reads[0]].index)
    return AxisRole(axis, name, copies, reads, stride, is_parallel)


def _stride(axis: Axis, index: Affine) -> Size | None:
    """The distance of neighbours along an axis, where the rest of the index lacks the axis."""
    found: Size | None = None
    for variable, coefficient in index.terms:
        if variable is axis:
            found = coefficient
        elif axis in Affine(ZERO, ((variable, ONE),)).axes():
            return None
    return found


# ---- the writes of a diagram -------------------------------------------------------------------


@record(eq=False)
class Written:
    """An equation with an indexed left-hand side, of a diagram or of one that it calls."""

    diagram: CheckedDiagram
    wire: Wire
    write: Write
    variator: Variator


def writes(diagram: CheckedDiagram) -> Iterator[Written]:
    """The writes of a diagram in the order of the text, then those of the diagrams it calls."""
    reached = [diagram]
    for each in reached:
        yield from _own_writes(each)
        for step in walk(each.steps):
            if isinstance(step, Invoke) and step.callee not in reached:
                reached.append(step.callee)


def facts_of(diagram: CheckedDiagram) -> Facts:
    """What a diagram requires of its sizes."""
    return Facts(tuple((r.left, r.op, r.right) for r in diagram.requirements))


def _own_writes(diagram: CheckedDiagram) -> Iterator[Written]:
    facts = facts_of(diagram)
    steps = tuple(walk(diagram.steps))
    unique = one_to_one(steps)
    for step in steps:
        if isinstance(step, Scatter):
            for write in step.writes:
                made = variator(step.wire.type.axes, write.indices, write.axes, facts, unique)
                yield Written(diagram, step.wire, write, made)
