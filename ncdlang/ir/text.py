"""The diagram IR as text, for `ncdc ir --stage diagram`.

One line for each broadcasted operation (WWM, Def. 13), which reads like the equation that it is:

    %1: [h q x] = contract[k](Q[q h <k>], K[x h <k>]) for h q x

The brackets of an operand are its weave and its reindexing at once, one entry for each axis of
the wire: `<k>` is a target, which the operator sees whole; any other entry is the coordinate at
which the operand is read for each index of the degree, the axes after `for`. The brackets of an
output show its type, with its targets marked likewise. `<y:x>` is a target that a library
diagram calls y. `scatter += [I[n], d]` writes its first operand to these coordinates of an array
of identities, or of the second operand where that is whole. The operations in the braces of
`scan[t](...)` are carried out in order for one index along t after another.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.ir.diagram import (
    Block,
    Contraction,
    Edge,
    Graph,
    Iota,
    Library,
    Number,
    Operand,
    Operator,
    Pointwise,
    Reduction,
    Reindex,
    Result,
    Scan,
    Scattering,
)
from ncdlang.semantics.naming import Names, joined
from ncdlang.semantics.size import Size
from ncdlang.semantics.text import (
    application,
    axis_sizes,
    binding_text,
    called,
    header,
    learned_text,
    number,
    quoted,
    scan_text,
    target_slot,
)
from ncdlang.semantics.types import Axis

_INDENT = "  "


def render(graph: Graph) -> str:
    """The graph as text, ending in a line end. Equal graphs give equal texts."""
    names = Names()
    head = header(graph.diagram, names)
    learned = [learned_text(parameter, names) for parameter in graph.learned]
    edges = _edges(graph, names)
    returned = ", ".join(names.wire(wire) for wire in graph.outputs)
    facts = [*axis_sizes(names), *learned]
    lines = [head, *(_INDENT + fact for fact in facts), *edges, f"{_INDENT}return {returned}"]
    return "\n".join(lines) + "\n"


def _edges(graph: Graph, names: Names) -> list[str]:
    """The edges in order, inside the braces of their blocks."""
    lines: list[str] = []
    opened: tuple[Block, ...] = ()
    for edge in graph.edges:
        lines.extend(_moved(opened, edge.blocks))
        opened = edge.blocks
        lines.extend(_edge(edge, names, _INDENT * (1 + len(opened))))
    lines.extend(_moved(opened, ()))
    return lines


def _moved(opened: tuple[Block, ...], wanted: tuple[Block, ...]) -> Iterator[str]:
    """The braces that lead from inside `opened` to inside `wanted`."""
    shared = 0
    for left, right in zip(opened, wanted, strict=False):
        if left is not right:
            break
        shared += 1
    for depth in range(len(opened), shared, -1):
        yield _INDENT * depth + "}"
    for depth in range(shared, len(wanted)):
        yield f"{_INDENT * (1 + depth)}block {quoted(wanted[depth].title)} {{"


def _edge(edge: Edge, names: Names, indent: str) -> list[str]:
    """One operation on one line, or with an operand on each line where that is too long."""
    inputs = [_operand(edge, position, names) for position in range(len(edge.inputs))]
    if isinstance(edge.operator, Scan):
        return _scan(edge.operator, inputs, names, indent)
    outputs = ", ".join(_result(edge, position, names) for position in range(len(edge.outputs)))
    operator = _operator(edge.operator, names)
    degree = f" for {' '.join(names.axis(axis) for axis in edge.degree)}" if edge.degree else ""
    tail = degree + _binding(edge.operator, names)
    head = f"{outputs} = {operator}"
    return application(indent, head, inputs, tail) if inputs else [f"{indent}{head}{tail}"]


def _scan(scan: Scan, inputs: list[str], names: Names, indent: str) -> list[str]:
    """The head with the arrays from outside, then the operations, whose outputs are the scan's."""
    head = scan_text(scan.axis, scan.reverse, names)
    lines = application(indent, head, inputs, " {")
    for edge in scan.edges:
        lines.extend(_edge(edge, names, indent + _INDENT))
    return [*lines, indent + "}"]


def _operator(operator: Operator, names: Names) -> str:
    match operator:
        case Pointwise():
            return operator.name
        case Number():
            value = operator.value
            return f"number {names.size(value) if isinstance(value, Size) else number(value)}"
        case Iota():
            return "index"
        case Reindex():
            return "reindex guarded" if operator.guarded else "reindex"
        case Contraction():
            return f"contract[{joined(names.axis(axis) for axis in operator.axes)}]"
        case Reduction():
            axes = joined(names.axis(axis) for axis in operator.axes)
            initial = operator.initial
            start = f", initial = {number(initial)}" if initial is not None else ""
            return f"{operator.name}[{axes}{start}]"
        case Library():
            name = called(operator.callee)
            return f"{operator.instance.name}: {name}" if operator.instance else name
        case Scattering():
            place = joined(names.affine(index) for index in operator.indices)
            return f"scatter {operator.op} [{place}]"
        case Scan():
            return scan_text(operator.axis, operator.reverse, names)


def _binding(operator: Operator, names: Names) -> str:
    return binding_text(operator.binding, names) if isinstance(operator, Library) else ""


def _operand(edge: Edge, position: int, names: Names) -> str:
    """`K[x h <k>]`: the wire with a target or a coordinate for each of its axes."""
    operand: Operand = edge.inputs[position]
    operator = edge.operator
    formal = operator.input_targets[position] if isinstance(operator, Library) else None
    targets = iter(formal or _targets(operand))
    coordinates = iter(operand.reindexing)
    slots = [
        target_slot(axis, next(targets), names) if is_target else names.affine(next(coordinates))
        for axis, is_target in zip(operand.wire.type.axes, operand.weave, strict=True)
    ]
    return f"{names.wire(operand.wire)}[{joined(slots)}]"


def _result(edge: Edge, position: int, names: Names) -> str:
    """`P: [h q <x>]`: the wire's type, its targets marked."""
    result: Result = edge.outputs[position]
    operator = edge.operator
    formal = operator.output_targets[position] if isinstance(operator, Library) else None
    targets = iter(formal or _targets(result))
    slots = [
        target_slot(axis, next(targets) if is_target else None, names)
        for axis, is_target in zip(result.wire.type.axes, result.weave, strict=True)
    ]
    return f"{names.wire(result.wire)}: {names.kind(result.wire.type.kind)}[{joined(slots)}]"


def _targets(woven: Operand | Result) -> tuple[Axis, ...]:
    """The axes of a wire that its weave marks."""
    pairs = zip(woven.wire.type.axes, woven.weave, strict=True)
    return tuple(axis for axis, is_target in pairs if is_target)
