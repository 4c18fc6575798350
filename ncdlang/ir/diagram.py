"""The diagram IR: a hypergraph of broadcasted operations (WWM, Defs. 9-13) in SSA form.

Wires are nodes, broadcasted operations are edges. A broadcasted operation is a base operator, a
*degree* (the axes it is repeated over), for every input a *weave* (which axes the operator sees)
and a *reindexing* (a map of the axis-stride category from the degree to the tiled axes), and for
every output a weave. Its meaning: for every index p of the degree, the output slice at p is the
operator applied to the input slices at eta_i(p).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from ncdlang.records import field, record
from ncdlang.semantics.program import CheckedDiagram, Instance, Learned
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, Axis, Wire
from ncdlang.source import Span

# ---- base operators ----------------------------------------------------------------------------


@record
class Pointwise:
    """An elementwise primitive on scalars, one input slice for each argument. No targets.

    `select` is `where(condition, then, otherwise)`: its three inputs are all evaluated, but
    inputs of its branches are made safe by the lowering (see `lower`).
    """

    name: str


@record
class Number:
    """A constant; no inputs, empty degree. `value` is a number, a truth value or a size."""

    value: float | int | bool | Size


@record
class Iota:
    """The index along the one axis of its degree; no inputs."""


@record
class Reindex:
    """The identity on scalars: all is in the reindexing of its first input. No targets.

    Arrays of naturals that the reindexing gathers from follow as further inputs.

    `guarded` marks a read whose index may leave the array where the value is not chosen: a
    backend must clamp it, and the entries out of range may hold any finite value.
    """

    guarded: bool = False


@record
class Contraction:
    """Sum over `axes` (targets) of the product of the input slices: an einsum.

    Every input's targets are a subset of `axes`, each axis at most once; a target is the
    wire's own axis (a read by another axis goes through a `Reindex` first).
    """

    axes: tuple[Axis, ...]


@record
class Reduction:
    """A reduction by its name (`sum`, `max`, `argmax`, ...) over `axes`, all targets of the input.

    `initial` joins the values of `max` and `min`, which makes an empty axis legal.
    """

    name: str
    axes: tuple[Axis, ...]
    initial: float | None = None


@record
class Library:
    """A whole diagram as one operator: it carries its definition until a pass opens it.

    Targets of the inputs and outputs are given by `input_targets` and `output_targets`: one
    entry for each axis of the operand that its weave marks, the formal axis of the callee.
    `instance` is set when it has learned parameters.
    """

    callee: CheckedDiagram
    instance: Instance | None
    binding: tuple[tuple[Symbol, Size], ...]
    input_targets: tuple[tuple[Axis, ...], ...]
    output_targets: tuple[tuple[Axis, ...], ...]


@record
class Scattering:
    """Writes a source, tiled over the degree, into an array at `indices`: the mirror of `Reindex`.

    `op` combines with what is there: `=`, `+=`, `*=`, `max=`, `min=`. The output is a target
    whole. The first input is the source; then comes the array that is written into, whole, unless
    `is_first`: then it is filled with the operator's identity (0 for `=`), that of `max=` and
    `min=` for naturals being 0 and the largest below their bound. Arrays of naturals that the
    indices gather from follow.
    """

    op: str
    indices: tuple[Affine, ...]
    is_first: bool


@record
class Scan:
    """Operations that read each other's results earlier along `axis` (later, if `reverse`).

    They are carried out in order for one index along the axis after another; those whose degree
    lacks the axis (constants) are the same for each. Inputs are all arrays from outside, outputs
    all wires made, both whole. In a branch that is not chosen an operation may read entries that
    are not there yet: they may hold any finite value.
    """

    axis: Axis
    reverse: bool
    edges: tuple[Edge, ...]


Operator: TypeAlias = (
    Pointwise | Number | Iota | Reindex | Contraction | Reduction | Library | Scattering | Scan
)


# ---- edges ------------------------------------------------------------------------------------


@record
class Operand:
    """One input. `weave[i]` says whether axis i of the wire is a target.

    `reindexing` has one coordinate for each axis of the wire that is no target, in order, over
    the axes of the degree.
    """

    wire: Wire
    weave: tuple[bool, ...]
    reindexing: tuple[Affine, ...]


@record
class Result:
    """One output. `weave[i]` says whether axis i of the wire is a target; the tiled axes are
    exactly the degree, each once, in an order of the wire's own (a composite axis of the wire
    stands for its parts)."""

    wire: Wire
    weave: tuple[bool, ...]


@record(eq=False)
class Edge:
    """A broadcasted operation. `blocks` are the titles of the blocks round it, outermost first."""

    operator: Operator
    degree: tuple[Axis, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Result, ...]
    span: Span = field(repr=False)
    blocks: tuple[Block, ...] = ()


@record(eq=False)
class Block:
    """A title round edges. The same block is the same object."""

    title: str


@record(eq=False)
class Graph:
    """One diagram. Edges are in an order in which every wire is made before it is read."""

    name: str
    diagram: CheckedDiagram
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    learned: tuple[Learned, ...]
    edges: tuple[Edge, ...]

    def uses(self) -> dict[Wire, list[Edge]]:
        """For every wire the edges that read it, once for each operand."""
        found: dict[Wire, list[Edge]] = {}
        for edge in self.edges:
            for operand in edge.inputs:
                found.setdefault(operand.wire, []).append(edge)
        return found

    def makers(self) -> dict[Wire, Edge]:
        """For every wire that an edge makes, that edge."""
        return {result.wire: edge for edge in self.edges for result in edge.outputs}

    def wires(self) -> Iterator[Wire]:
        """Inputs, learned parameters, then the wires that edges make."""
        yield from self.inputs
        for learned in self.learned:
            yield learned.wire
        for edge in self.edges:
            for result in edge.outputs:
                yield result.wire
