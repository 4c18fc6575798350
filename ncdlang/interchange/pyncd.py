"""Terms of pyncd (their JSON has a `uid_repository` and `data`) as text of diagrams.

A broadcasted operation becomes an equation: its degree names the axes of the result, its
reindexings and weaves the indices of what it reads. Composition, products and rearrangements of
wires disappear into names. Blocks stay blocks; one that is repeated becomes a diagram of its own
and a stack of it. Operators: Embedding, Linear, Einops, SoftMax, AdditionOp, Normalize (the RMS
norm), Elementwise and WeightedTriangularLower, which masks rows and divides them by what is left.
"""

from __future__ import annotations

from ncdlang.interchange.json_values import FormatError, Value, parsed
from ncdlang.interchange.pyncd_names import Axes, Wire, axis_name, plain_name
from ncdlang.interchange.pyncd_operators import Body, operation, tiled_axes
from ncdlang.records import record


def imported(text: str, name: str = "model") -> str:
    """The text of a file whose last diagram, `name`, is the term. Raises FormatError."""
    from ncdlang.source import Source
    from ncdlang.syntax.format import format_file
    from ncdlang.syntax.parser import parse

    source = Source("imported", _Import(parsed(text)).file(plain_name(name) or "model"))
    return format_file(source, parse(source))


@record(eq=False)
class _Diagram:
    """One diagram as it was read."""

    name: str
    inputs: tuple[Wire, ...]
    outputs: tuple[Wire, ...]
    body: Body


class _Import:
    def __init__(self, root: Value) -> None:
        self._repository = dict(root.get("uid_repository").members())
        self._term = root.get("data")
        self._axes = Axes(self._repository)
        self._diagrams: list[_Diagram] = []
        self._taken: set[str] = set()

    def file(self, name: str) -> str:
        """The whole file, not yet formatted."""
        self._taken.add(name)
        inputs = self._inputs(self._term)
        main = self._diagram(name, self._term, inputs)
        self._diagrams.append(main)
        used = sorted({use for diagram in self._diagrams for use in diagram.body.uses})
        lines = [f"use std.nn.{{{', '.join(used)}}}", ""] if used else []
        for diagram in self._diagrams:
            lines += [*self._text(diagram), ""]
        return "\n".join(lines)

    # ---- diagrams ------------------------------------------------------------------------------

    def _diagram(self, name: str, term: Value, inputs: tuple[Wire, ...]) -> _Diagram:
        body = Body(self._axes, {wire.name for wire in inputs})
        outputs = self._run(term, inputs, body)
        return _Diagram(name, inputs, outputs, body)

    def _text(self, diagram: _Diagram) -> list[str]:
        carried = {axis for wire in diagram.inputs for axis in wire.axes}
        free = [axis for axis in diagram.body.free if axis not in carried]
        brackets = f"[{', '.join(free)}]" if free else ""
        inputs = ", ".join(f"{wire.name}: {wire.type}" for wire in diagram.inputs)
        results = [wire.type for wire in diagram.outputs]
        result = results[0] if len(results) == 1 else f"({', '.join(results)})"
        returned = ", ".join(wire.name for wire in diagram.outputs)
        head = f"diagram {diagram.name}{brackets}({inputs}) -> {result} {{"
        return [head, *diagram.body.lines, f"return {returned}", "}"]

    def _inputs(self, term: Value) -> tuple[Wire, ...]:
        """The wires that a term reads first, one for each input of its first operations."""
        found: list[Wire] = []
        for number, (kind, axes) in enumerate(self._domain(term)):
            found.append(Wire("X" if number == 0 else f"X{number}", axes, kind))
        return tuple(found)

    def _domain(self, term: Value) -> list[tuple[str, tuple[str, ...]]]:
        match term.get("__type__").text():
            case "Composed":
                return self._domain(_first(term.get("content")))
            case "ProductOfMorphisms":
                return [one for part in term.get("content").items() for one in self._domain(part)]
            case "Block":
                return self._domain(term.get("body"))
            case "Rearrangement":
                return [self._array(array) for array in term.get("_dom").items()]
            case "Broadcasted":
                return self._operands(term)
            case other:
                raise term.fail(f"`{other}` is no term")

    def _array(self, array: Value) -> tuple[str, tuple[str, ...]]:
        axes = tuple(self._axes.name(axis) for axis in array.get("_shape").items())
        return self._axes.kind(array.get("datatype")), axes

    def _operands(self, term: Value) -> list[tuple[str, tuple[str, ...]]]:
        found: list[tuple[str, tuple[str, ...]]] = []
        weaves = list(term.get("input_weaves").items())
        for weave, reindexing in zip(weaves, term.get("reindexings").items(), strict=False):
            tiled = iter(tiled_axes(reindexing, self._axes))
            axes = tuple(
                next(tiled, "") if axis_name(slot) is None else self._axes.name(slot)
                for slot in weave.get("_shape").items()
            )
            if not all(axes):
                raise weave.fail("a tiled axis has no place in the reindexing")
            found.append((self._axes.kind(weave.get("datatype")), axes))
        return found

    # ---- terms ---------------------------------------------------------------------------------

    def _run(self, term: Value, wires: tuple[Wire, ...], body: Body) -> tuple[Wire, ...]:
        """The wires that a term makes of others; its equations go to the body."""
        match term.get("__type__").text():
            case "Composed":
                for part in term.get("content").items():
                    wires = self._run(part, wires, body)
                return wires
            case "ProductOfMorphisms":
                return self._beside(term, wires, body)
            case "Rearrangement":
                return self._rearranged(term, wires)
            case "Block":
                return self._block(term, wires, body)
            case "Broadcasted":
                return operation(term, wires, body)
            case other:
                raise term.fail(f"`{other}` is no term")

    def _beside(self, term: Value, wires: tuple[Wire, ...], body: Body) -> tuple[Wire, ...]:
        results: list[Wire] = []
        for part in term.get("content").items():
            count = len(self._domain(part))
            if count > len(wires):
                raise part.fail(f"{count} wires are wanted, {len(wires)} are left")
            results += self._run(part, wires[:count], body)
            wires = wires[count:]
        if wires:
            raise term.fail(f"{len(wires)} wires are left over")
        return tuple(results)

    def _rearranged(self, term: Value, wires: tuple[Wire, ...]) -> tuple[Wire, ...]:
        places = [place.whole() for place in term.get("mapping").items()]
        if any(not 0 <= place < len(wires) for place in places):
            raise term.fail(f"a place in `mapping` is not one of {len(wires)} wires")
        return tuple(wires[place] for place in places)

    def _block(self, term: Value, wires: tuple[Wire, ...], body: Body) -> tuple[Wire, ...]:
        tag = self._resolved(term.get("block_tag"))
        title = " ".join(tag.get("aesthetics").get("title").text().replace("\\", "").split())
        count = tag.get("repetition").get("_value").whole()
        if count == 1:
            body.lines.append(f'block "{title.replace(chr(34), chr(39))}" {{')
            results = self._run(term.get("body"), wires, body)
            body.lines.append("}")
            return results
        return self._stack(term, title, count, wires, body)

    def _stack(
        self, term: Value, title: str, count: int, wires: tuple[Wire, ...], body: Body
    ) -> tuple[Wire, ...]:
        """A block that is repeated: a diagram, and a stack of copies with their own parameters."""
        name = self._unique(plain_name(title.lower().replace(" ", "_")) or "layer")
        inputs = tuple(
            Wire("X" if n == 0 else f"X{n}", wire.axes, wire.kind) for n, wire in enumerate(wires)
        )
        inner = self._diagram(name, term.get("body"), inputs)
        self._diagrams.append(inner)
        if len(inner.outputs) != len(inputs):
            raise term.fail("a repeated block must give as many wires as it takes")
        carried = {axis for wire in inputs for axis in wire.axes}
        free = [axis for axis in inner.body.free if axis not in carried]
        for axis in free:
            body.use(axis)
        instance = body.name(f"{name}s")
        given = f"[{', '.join(f'{axis} = {axis}' for axis in free)}]" if free else ""
        body.lines.append(f"learn {instance}: {name}{given}^{count}")
        results = tuple(Wire(body.name("Y"), wire.axes, wire.kind) for wire in inputs)
        left = ", ".join(wire.name for wire in results)
        body.lines.append(f"{left} = {instance}({', '.join(wire.name for wire in wires)})")
        return results

    def _resolved(self, value: Value) -> Value:
        if not value.has("__ref__"):
            return value
        key = str(value.get("__ref__").content)
        found = self._repository.get(key)
        if found is None:
            raise value.fail(f"nothing in `uid_repository` has the id {key}")
        return found

    def _unique(self, name: str) -> str:
        text, number = name, 1
        while text in self._taken:
            number += 1
            text = f"{name}_{number}"
        self._taken.add(text)
        return text


def _first(items: Value) -> Value:
    for item in items.items():
        return item
    raise FormatError("there is no term in it", items.path)
