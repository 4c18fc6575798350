"""The checked program: every axis resolved, every size solved or named, every index map affine.

This is what a `.ncd` file *means*, still equation by equation: contractions are explicit, calls
stand as steps of their own, and nothing refers to the surface tree. The `reference` backend
evaluates it; `ncdlang.ir.lower` turns it into the hypergraph of broadcasted operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal as OneOf
from typing import TypeAlias

from ncdlang.records import field, record
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Affine, Axis, Kind, Wire
from ncdlang.source import Source, Span

# ---- expressions: one value for each index of `axes`, the free axes in order -------------------


@record(eq=False)
class Constant:
    """A number or truth value; `inf` and `pi` are such numbers."""

    value: float | int | bool
    kind: Kind
    axes: tuple[Axis, ...] = ()


@record(eq=False)
class SizeValue:
    """A size as a number: `size(k)`."""

    size: Size
    kind: Kind
    axes: tuple[Axis, ...] = ()


@record(eq=False)
class IndexValue:
    """The index along an axis as a number."""

    axis: Axis
    kind: Kind
    axes: tuple[Axis, ...]


@record(eq=False)
class Read:
    """`wire[indices]`, one coordinate for each axis of the wire."""

    wire: Wire
    indices: tuple[Affine, ...]
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span


@record(eq=False)
class Apply:
    """An elementwise primitive (see `primitives.ELEMENTWISE`) at each index."""

    op: str
    arguments: tuple[Expression, ...]
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span


@record(eq=False)
class ApplyDiagram:
    """An elementwise operator that is defined by equations (`gelu`): all its types are scalars.

    `callee.parameters` and `callee.results` (one) have no axes; it is applied at each index.
    """

    callee: CheckedDiagram
    arguments: tuple[Expression, ...]
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span


@record(eq=False)
class Select:
    """`where(condition, then, otherwise)`: only the chosen branch is evaluated."""

    condition: Expression
    then: Expression
    otherwise: Expression
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span


@record(eq=False)
class Contract:
    """The sum over `bound` of the product of two or more factors (0 for an empty axis)."""

    bound: tuple[Axis, ...]
    factors: tuple[Expression, ...]
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span


@record(eq=False)
class Reduce:
    """A reduction (see `primitives.REDUCTIONS`) of `body` over the axes `bound`.

    `initial` joins the values of `max` and `min`, which makes an empty axis legal.
    """

    op: str
    bound: tuple[Axis, ...]
    body: Expression
    kind: Kind
    axes: tuple[Axis, ...]
    span: Span
    initial: float | None = None


Expression: TypeAlias = (
    Constant | SizeValue | IndexValue | Read | Apply | ApplyDiagram | Select | Contract | Reduce
)


# ---- steps ------------------------------------------------------------------------------------


@record(eq=False)
class Define:
    """`wire[axes] = expression`: the axes are those of the wire's type, in order.

    An axis of the wire that the expression lacks repeats the value. Where the wire has a
    composite axis the expression has its parts.
    """

    wire: Wire
    expression: Expression
    span: Span


@record(eq=False)
class Invoke:
    """A call of a diagram, broadcast over the `lifted` axes.

    `arguments[i]` goes to `callee.parameters[i]`. `argument_weaves[i]` has one entry for each
    axis of that argument: the callee's formal axis that it is bound to (a target), or None
    where the axis is lifted. An argument that lacks a lifted axis is shared along it. The
    targets of an argument occur in the order of the wire, which may differ from the order of
    the formal type. `result_weaves` says the same of the results. `binding` gives the callee's
    unknown sizes in the caller's.
    """

    results: tuple[Wire, ...]
    callee: CheckedDiagram
    instance: Instance | None
    arguments: tuple[Wire, ...]
    argument_weaves: tuple[tuple[Axis | None, ...], ...]
    result_weaves: tuple[tuple[Axis | None, ...], ...]
    lifted: tuple[Axis, ...]
    binding: tuple[tuple[Symbol, Size], ...]
    span: Span


@record(eq=False)
class Write:
    """An equation with an indexed left-hand side: `wire[indices] op expression`.

    It holds for every index over `axes`, the axes that `indices` mention, in order.
    """

    op: OneOf["=", "+=", "*=", "max=", "min="]
    indices: tuple[Affine, ...]
    axes: tuple[Axis, ...]
    expression: Expression
    span: Span


@record(eq=False)
class Scatter:
    """A declared wire with the equations that write it, applied in order.

    Entries that nothing writes hold the identity of the first operator: 0 for `=` and `+=`, 1
    for `*=`, -inf for `max=`, inf for `min=` (for naturals 0, and the largest below their bound).
    No two sources of a write by `=` meet. Naturals that are summed or multiplied must turn out to
    be below the bound of the wire.
    """

    wire: Wire
    writes: tuple[Write, ...]
    span: Span


@record(eq=False)
class Recurrence:
    """Equations that read each other strictly earlier along `axis` (later, if `reverse`).

    For each index along `axis`, from the first to the last (or back), the steps are evaluated in
    order for that index; the axis is one of each wire, and lifted by every call.
    """

    axis: Axis
    reverse: bool
    steps: tuple[Define | Invoke, ...]
    span: Span


@record(eq=False)
class BlockStep:
    """`block "Title" { ... }`: a title round steps, without meaning."""

    title: str
    steps: tuple[Step, ...]
    span: Span


Step: TypeAlias = Define | Invoke | Scatter | Recurrence | BlockStep


# ---- diagrams ---------------------------------------------------------------------------------


@record(eq=False)
class Learned:
    """A raw parameter: `init` names its initialiser, with its numbers; frozen ones are buffers."""

    wire: Wire
    init: str
    init_arguments: tuple[float, ...]
    frozen: bool


@record(eq=False)
class Instance:
    """A learned diagram with its own parameters. `binding` as in `Invoke`."""

    name: str
    callee: CheckedDiagram
    binding: tuple[tuple[Symbol, Size], ...]
    span: Span


@record(eq=False)
class Requirement:
    """`left op right` must hold; undecided here, so a caller or the emitted code checks it.

    `reason` is a phrase in the file's own names: "axis j of K is indexed by axis i".
    """

    left: Size
    op: OneOf["==", "!=", ">=", "<=", ">", "<"]
    right: Size
    reason: str
    span: Span


@record(eq=False)
class FreeAxis:
    """An axis of the diagram's brackets that no input carries, with its default size."""

    axis: Axis
    default: Size | None


@record(eq=False)
class CheckedDiagram:
    """One diagram. `axes` are all the axes that its signature names, in order.

    `unknowns` are the sizes that a use must supply, in order: those of the inputs' axes and the
    free axes. `needed` are the unknowns that a parameter's shape needs, so that they must be
    known when a module is built. `library` is the dotted module of the standard library that
    declares it (`std.nn`), "" for a user's own file. An `op` has no steps: it is `primitive`, and
    what it computes is registered in each backend. `properties` are the words of its declaration.
    `is_stateful` says that it moves buffers in training (see `state`), itself or through others.
    """

    name: str
    library: str
    doc: str
    parameters: tuple[Wire, ...]
    results: tuple[Wire, ...]
    axes: tuple[Axis, ...]
    free: tuple[FreeAxis, ...]
    settings: tuple[tuple[str, float | int], ...]
    learned: tuple[Learned, ...]
    instances: tuple[Instance, ...]
    steps: tuple[Step, ...]
    requirements: tuple[Requirement, ...]
    unknowns: tuple[Symbol, ...]
    needed: tuple[Symbol, ...]
    span: Span
    is_elementwise: bool = False
    primitive: bool = False
    properties: tuple[str, ...] = ()
    is_stateful: bool = False

    @property
    def is_learned(self) -> bool:
        """Whether it has parameters of its own, directly or in an instance."""
        return bool(self.learned or self.instances)

    def __repr__(self) -> str:
        return f"CheckedDiagram({self.name})"


def walk(steps: tuple[Step, ...]) -> Iterator[Define | Invoke | Scatter]:
    """All steps in order, those inside blocks and recurrences included."""
    for step in steps:
        if isinstance(step, (BlockStep, Recurrence)):
            yield from walk(step.steps)
        else:
            yield step


def made_by(step: Define | Invoke | Scatter) -> tuple[Wire, ...]:
    """The wires that a step defines."""
    return step.results if isinstance(step, Invoke) else (step.wire,)


@record(eq=False)
class Claim:
    """An asserted symmetry that sliding does not prove, and what it does not slide through.

    `word` is "equivariant" or "invariant", `group` "set", "cyclic" or "ordered"; `axes` are those
    of the diagram's inputs that move, all alike, and `name` is what they are called at `span`,
    where it is asserted.
    """

    word: OneOf["equivariant", "invariant"]
    diagram: CheckedDiagram
    axes: tuple[Axis, ...]
    group: str
    name: str
    reason: str
    span: Span


@record
class CheckedProgram:
    """A file that was checked: its diagrams in the order of the text, and its configs.

    `configs` maps a config's name to its settings, evaluated. `claims` are asserted symmetries
    that are not proved; numbers may refute them.
    """

    source: Source
    diagrams: tuple[CheckedDiagram, ...]
    configs: tuple[tuple[str, tuple[tuple[str, float | int], ...]], ...] = field(default=())
    claims: tuple[Claim, ...] = field(default=())

    def diagram(self, name: str) -> CheckedDiagram | None:
        """The diagram of that name, if the file declares one."""
        return next((d for d in self.diagrams if d.name == name), None)


def signature(diagram: CheckedDiagram) -> str:
    """The type of a diagram as a person reads it: `f[h](X: [x m]) -> [x h]`."""
    brackets = ", ".join(
        f"{f.axis.name} = {f.default}" if f.default is not None else f.axis.name
        for f in diagram.free
    )
    inputs = ", ".join(str(wire) for wire in diagram.parameters)
    outputs = [str(wire.type) for wire in diagram.results]
    result = outputs[0] if len(outputs) == 1 else f"({', '.join(outputs)})"
    return f"{diagram.name}{f'[{brackets}]' if brackets else ''}({inputs}) -> {result}"
