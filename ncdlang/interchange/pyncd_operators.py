"""Broadcasted operations of pyncd as equations."""

from __future__ import annotations

from collections.abc import Iterator

from ncdlang.interchange.json_values import Value
from ncdlang.interchange.pyncd_names import Axes, Wire, axis_name, written_name
from ncdlang.records import record

ELEMENTWISE = frozenset(
    [
        "exp",
        "log",
        "sqrt",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "erf",
        "abs",
        "relu",
        "gelu",
        "silu",
        "softplus",
        "elu",
        "selu",
        "mish",
    ]
)


class Body:
    """The statements of one diagram, and the names and axes in it."""

    def __init__(self, axes: Axes, taken: set[str]) -> None:
        self.axes = axes
        self.lines: list[str] = []
        self.uses: set[str] = set()
        self.free: list[str] = []
        self._taken = set(taken)

    def name(self, wanted: str) -> str:
        """A name that nothing has yet."""
        text, number = wanted, 1
        while text in self._taken or text in self.axes.taken:
            number += 1
            text = f"{wanted}{number}"
        self._taken.add(text)
        return text

    def axis(self, wanted: str, others: list[str]) -> str:
        """The name of an axis beside others: a second one of a name gets a prime of its own."""
        if wanted not in others:
            return wanted
        while wanted in others or wanted in self.axes.taken or wanted in self._taken:
            wanted += "'"
        return wanted

    def use(self, axis: str) -> None:
        """Say that the size of an axis must be known."""
        if axis not in self.free:
            self.free.append(axis)


@record(eq=False)
class _Operands:
    """The names of a broadcasted operation's axes.

    `degree` are those it is repeated over, `inputs` the indices of each input, and `targets` those
    of each input that the operator sees.
    """

    degree: list[str]
    inputs: list[list[str]]
    targets: list[list[str]]


def operation(term: Value, wires: tuple[Wire, ...], body: Body) -> tuple[Wire, ...]:
    """Write the equation of an operation; the wire that it makes."""
    weaves = list(term.get("input_weaves").items())
    if len(weaves) != len(wires):
        raise term.fail(f"{len(weaves)} inputs are wanted, {len(wires)} are given")
    operator = term.get("operator")
    names = _operands(term, wires, body)
    match operator.get("__type__").text():
        case "Embedding":
            return (_embedding(term, wires[0], names, body),)
        case "Linear":
            return (_linear(term, wires[0], names, body),)
        case "Einops":
            return (_einops(wires, names, body),)
        case "SoftMax":
            return (_along(wires[0], names, body, "softmax", "P"),)
        case "Normalize":
            body.uses.add("rms_norm")
            return (_along(wires[0], names, body, "rms_norm", "N"),)
        case "AdditionOp":
            texts = [_read(w, i) for w, i in zip(wires, names.inputs, strict=True)]
            return (_equation(body, "A", names.degree, " + ".join(texts)),)
        case "Elementwise":
            return (_elementwise(operator, wires[0], names, body),)
        case "WeightedTriangularLower":
            return (_lower(term, wires[0], names, body),)
        case other:
            raise operator.fail(f"there is no operator `{other}` here")


# ---- axes --------------------------------------------------------------------------------------


def tiled_axes(reindexing: Value, axes: Axes) -> list[str]:
    """The names of the axes that a reindexing reads, one for each tiled place."""
    places, degree = _mapping(reindexing)
    return [axes.name(degree[place]) for place in places]


def _mapping(reindexing: Value) -> tuple[list[int], list[Value]]:
    """The places in the degree that a reindexing reads, and the axes of the degree."""
    match reindexing.get("__type__").text():
        case "Rearrangement":
            degree = list(reindexing.get("_dom").items())
            places = [place.whole() for place in reindexing.get("mapping").items()]
        case "ProductOfMorphisms":
            places, degree = list[int](), list[Value]()
            for part in reindexing.get("content").items():
                inner, more = _mapping(part)
                places += [len(degree) + place for place in inner]
                degree += more
        case other:
            raise reindexing.fail(f"a reindexing by `{other}` is not known here")
    if any(not 0 <= place < len(degree) for place in places):
        raise reindexing.fail("a place in `mapping` is outside the degree")
    return places, degree


def _operands(term: Value, wires: tuple[Wire, ...], body: Body) -> _Operands:
    mappings = [_mapping(r) for r in term.get("reindexings").items()]
    if len(mappings) != len(wires):
        raise term.fail("there must be one reindexing for each input")
    shapes = [list(w.get("_shape").items()) for w in term.get("input_weaves").items()]
    size = max((len(degree) for _, degree in mappings), default=0)
    degree: list[str | None] = [None] * size
    for wire, shape, (places, _) in zip(wires, shapes, mappings, strict=True):
        tiled = _tiled(term, wire, shape)
        if len(tiled) != len(places):
            raise term.fail(f"{len(tiled)} axes are tiled, but {len(places)} are reindexed")
        for axis, place in zip(tiled, places, strict=True):
            if place < size and degree[place] is None:
                degree[place] = body.axis(axis, [name for name in degree if name])
    names = [
        name if name is not None else body.axes.name(mappings[0][1][place])
        for place, name in enumerate(degree)
    ]
    return _indexed(term, wires, shapes, names, body)


def _tiled(term: Value, wire: Wire, shape: list[Value]) -> list[str]:
    if len(shape) != len(wire.axes):
        raise term.fail(f"a wire with {len(wire.axes)} axes is read as one with {len(shape)}")
    return [a for a, slot in zip(wire.axes, shape, strict=True) if axis_name(slot) is None]


def _indexed(
    term: Value,
    wires: tuple[Wire, ...],
    shapes: list[list[Value]],
    degree: list[str],
    body: Body,
) -> _Operands:
    """The indices of every input; targets with one label of the signature are one axis."""
    labels = _labels(term, shapes)
    known: dict[int, str] = {}
    inputs: list[list[str]] = []
    targets: list[list[str]] = []
    mappings = [_mapping(r)[0] for r in term.get("reindexings").items()]
    for wire, shape, places, own in zip(wires, shapes, mappings, labels, strict=True):
        tiled, marks = iter(places), iter(own)
        indices: list[str] = []
        seen: list[str] = []
        for axis, slot in zip(wire.axes, shape, strict=True):
            if axis_name(slot) is None:
                indices.append(degree[next(tiled)])
                continue
            label = next(marks)
            if label not in known:
                known[label] = body.axis(axis, [*degree, *known.values()])
            indices.append(known[label])
            seen.append(known[label])
        inputs.append(indices)
        targets.append(seen)
    return _Operands(degree, inputs, targets)


def _labels(term: Value, shapes: list[list[Value]]) -> list[list[int]]:
    """A number for each target of each input: equal ones are summed together."""
    operator = term.get("operator")
    counts = [sum(axis_name(slot) is not None for slot in shape) for shape in shapes]
    if not operator.has("signature"):
        starts = [sum(counts[:n]) for n in range(len(counts))]
        return [list(range(s, s + c)) for s, c in zip(starts, counts, strict=True)]
    found = [
        [label.whole() for label in labels.items()] for labels in operator.get("signature").items()
    ]
    if [len(labels) for labels in found] != counts:
        raise operator.get("signature").fail("there must be one label for each target")
    return found


def _made(term: Value, names: _Operands, body: Body) -> Iterator[str]:
    """The names of the targets of the result."""
    weaves = list(term.get("output_weaves").items())
    if len(weaves) != 1:
        raise term.get("output_weaves").fail(f"one result is wanted, not {len(weaves)}")
    others = list(names.degree)
    for slot in weaves[0].get("_shape").items():
        if axis_name(slot) is not None:
            name = body.axis(body.axes.name(slot), others)
            others.append(name)
            yield name


# ---- operators ---------------------------------------------------------------------------------


def _read(wire: Wire, indices: list[str]) -> str:
    return f"{wire.name}[{' '.join(indices)}]"


def _equation(body: Body, name: str, axes: list[str], value: str) -> Wire:
    wire = Wire(body.name(name), tuple(axes))
    body.lines.append(f"{wire.name}[{' '.join(axes)}] = {value}")
    return wire


def _embedding(term: Value, wire: Wire, names: _Operands, body: Body) -> Wire:
    outs = list(_made(term, names, body))
    for axis in outs:
        body.use(axis)
    bound = body.axes.bound(wire.kind)
    body.use(bound)
    body.uses.add("embedding")
    instance = body.name(written_name(term.get("operator").get("name")) or "embedding")
    body.lines.append(f"learn {instance}: embedding[{bound} -> {' '.join(outs)}]")
    return _called(body, "X", [*wire.axes, *outs], f"{instance}({wire.name})")


def _linear(term: Value, wire: Wire, names: _Operands, body: Body) -> Wire:
    outs = list(_made(term, names, body))
    for axis in outs:
        body.use(axis)
    operator = term.get("operator")
    kind = "affine" if operator.has("bias") and operator.get("bias").content else "linear"
    body.uses.add(kind)
    instance = body.name((written_name(operator.get("name")) or "L").replace("_", ""))
    ins = " ".join(names.targets[0])
    body.lines.append(f"learn {instance}: {kind}[{ins} -> {' '.join(outs)}]")
    place = next((n for n, a in enumerate(wire.axes) if a in names.targets[0]), len(wire.axes))
    rest = [axis for axis in wire.axes if axis not in names.targets[0]]
    return _called(body, "H", [*rest[:place], *outs, *rest[place:]], f"{instance}({wire.name})")


def _called(body: Body, name: str, axes: list[str], value: str) -> Wire:
    wire = Wire(body.name(name), tuple(axes))
    body.lines.append(f"{wire.name} = {value}")
    return wire


def _einops(wires: tuple[Wire, ...], names: _Operands, body: Body) -> Wire:
    texts = [_read(w, i) for w, i in zip(wires, names.inputs, strict=True)]
    bound = list(dict.fromkeys(axis for seen in names.targets for axis in seen))
    single = [axis for axis in bound if sum(axis in seen for seen in names.targets) == 1]
    value = " * ".join(texts)
    value = f"sum[{' '.join(single)}]({value})" if single else value
    return _equation(body, "S", names.degree, value)


def _along(wire: Wire, names: _Operands, body: Body, function: str, name: str) -> Wire:
    pairs = zip(wire.axes, names.inputs[0], strict=True)
    targets = " ".join(axis for axis, index in pairs if index in names.targets[0])
    return _called(body, name, list(wire.axes), f"{function}[{targets}]({wire.name})")


def _elementwise(operator: Value, wire: Wire, names: _Operands, body: Body) -> Wire:
    function = operator.get("operator").text().lower() if operator.has("operator") else "relu"
    if function not in ELEMENTWISE:
        raise operator.fail(f"there is no elementwise function `{function}` here")
    return _equation(body, "H", names.degree, f"{function}({_read(wire, names.inputs[0])})")


def _lower(term: Value, wire: Wire, names: _Operands, body: Body) -> Wire:
    """A mask that keeps what is at or before the row, and divides it by its sum."""
    if len(names.targets[0]) != 2:
        raise term.fail("a triangle has two axes")
    row, column = (
        a for a, i in zip(wire.axes, names.inputs[0], strict=True) if i in names.targets[0]
    )
    axes = list(wire.axes)
    kept = _equation(body, "T", axes, f"where({column} <= {row}, {_read(wire, axes)}, 0)")
    rest = [axis for axis in axes if axis != column]
    total = _equation(body, "z", rest, f"sum[{column}]({_read(kept, axes)})")
    value = f"where({_read(total, rest)} > 0, {_read(kept, axes)} / {_read(total, rest)}, 0)"
    return _equation(body, "W", axes, value)
