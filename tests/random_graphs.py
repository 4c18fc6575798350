"""Random well-typed diagrams for the laws and rewrites, with arrays to evaluate them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
from graph_values import graph_values
from hypothesis import strategies as st
from ncdlang.backends.reference.solving import SizeError, check_requirements, solve

from ncdlang.diagnostics import Diagnostic
from ncdlang.ir.diagram import Graph
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Symbol
from ncdlang.source import Source

PROJECT = Project()
UNARY = ("tanh({})", "sin({})", "sigmoid({})", "abs({})", "exp(-abs({}))", "-{}", "relu({})")
UNARY += ("gelu({})", "2 * {}", "{} / 3", "sqrt(abs({}))")
BINARY = ("{} + {}", "{} - {}", "{} * {}", "max({}, {})", "{} / (1 + {} ^ 2)")

seeds = st.integers(0, 2**32)


@dataclass
class Known:
    """A wire that may be read: its name and axes."""

    name: str
    axes: tuple[str, ...]

    def read(self, renamed: dict[str, str] | None = None) -> str:
        slots = [(renamed or {}).get(axis, axis) for axis in self.axes]
        return f"{self.name}[{', '.join(slots)}]"


@dataclass
class Author:
    """Writes a diagram `f` over the axes a, b, c and w, which has size 2."""

    random: Random
    is_random: bool = False
    wires: list[Known] = field(default_factory=list[Known])
    lines: list[str] = field(default_factory=list[str])
    fresh: int = 0

    def write(self) -> str:
        pick = self.random
        for i in range(pick.randint(1, 3)):
            axes = tuple(pick.sample("abc", pick.randint(1, 3)))
            self.wires.append(Known(f"X{i}", axes))
        named = sorted({axis for wire in self.wires for axis in wire.axes})
        bounded = pick.choice(named)
        signature = [f"{w.name}: [{' '.join(w.axes)}]" for w in self.wires]
        signature.append(f"I: N({bounded})[{named[0]}]")
        head = [f"  assert size({axis}) > 1" for axis in named]
        if pick.random() < 0.5:
            head.append(f"  learn P, R: [{bounded} w]")
            self.wires += [Known("P", (bounded, "w")), Known("R", (bounded, "w"))]
        self.gather = (bounded, named[0])
        for _ in range(pick.randint(1, 7)):
            self.line()
        made = [wire for wire in self.wires if wire.name.startswith("Y")] or self.wires[:1]
        results = made[-pick.randint(1, 2) :]
        types = ", ".join(f"[{' '.join(wire.axes)}]" for wire in results)
        types = types if len(results) == 1 else f"({types})"
        names = ", ".join(wire.name for wire in results)
        body = "\n".join([*head, *self.lines])
        return (
            "use std.nn.{dropout}\naxis w = 2\n"
            f"diagram f({', '.join(signature)}) -> {types} {{\n{body}\n  return {names}\n}}\n"
        )

    def line(self) -> None:
        kinds = [self.product, self.product, self.pointwise, self.reduced, self.moved, self.windows]
        kinds += [self.called, self.masked, self.gathered, self.flattened, self.reversed]
        kinds += [self.scattered, self.recurrent, self.projected]
        self.random.choice(kinds)()

    def name(self) -> str:
        self.fresh += 1
        return f"Y{self.fresh}"

    def keep(self, axes: Sequence[str], value: str) -> None:
        name = self.name()
        self.lines.append(f"  {name}[{' '.join(axes)}] = {value}")
        self.wires.append(Known(name, tuple(axes)))

    def one(self, least: int = 0) -> Known:
        fitting = [wire for wire in self.wires if len(wire.axes) >= least]
        return self.random.choice(fitting or self.wires)

    def shuffled(self, axes: Sequence[str]) -> list[str]:
        return self.random.sample(list(axes), len(axes))

    def product(self) -> None:
        factors = [self.one() for _ in range(self.random.randint(2, 4))]
        count = {a: sum(a in f.axes for f in factors) for f in factors for a in f.axes}
        axes = [a for a in count if count[a] == 1 or self.random.random() < 0.5]
        if len(axes) <= 4:
            self.keep(self.shuffled(axes), " * ".join(factor.read() for factor in factors))

    def pointwise(self) -> None:
        first, second = self.one(), self.one()
        if self.random.random() < 0.5:
            self.keep(first.axes, self.random.choice(UNARY).format(first.read()))
            return
        axes = dict.fromkeys((*first.axes, *second.axes))
        if len(axes) > 4:
            return
        value = self.random.choice(BINARY).format(first.read(), second.read())
        if "*" in value and set(first.axes) & set(second.axes) and self.random.random() < 0.5:
            value = f"tanh({value})"
        self.keep(list(axes), value)

    def reduced(self) -> None:
        wire = self.one(1)
        if wire.axes:
            axis = self.random.choice(wire.axes)
            op = self.random.choice(("sum", "max", "mean", "logsumexp", "norm"))
            rest = [each for each in wire.axes if each != axis]
            self.keep(self.shuffled(rest), f"{op}[{axis}]({wire.read()})")

    def moved(self) -> None:
        wire = self.one(1)
        extra = [a for a in "abc" if a not in wire.axes and any(a in w.axes for w in self.wires)]
        axes = [*wire.axes, *(extra[:1] if self.random.random() < 0.4 else [])]
        if len(axes) <= 4:
            self.keep(self.shuffled(axes), wire.read())

    def windows(self) -> None:
        wire = self.one(1)
        plain = [axis for axis in wire.axes if axis in "abc"]
        if not plain or "w" in wire.axes:
            return
        axis, new = self.random.choice(plain), f"n{self.fresh}"
        axes = [new if each == axis else each for each in wire.axes] + ["w"]
        self.keep(axes, wire.read({axis: f"{new} + w"}))

    def called(self) -> None:
        wire = self.one(1)
        if not wire.axes:
            return
        axis = self.random.choice(wire.axes)
        calls = [f"softmax[{axis}]", f"cumsum[{axis}]", f"variance[{axis}]"]
        call = "dropout[0.5]" if self.is_random else self.random.choice(calls)
        rest = [a for a in wire.axes if not (call.startswith("variance") and a == axis)]
        name = self.name()
        self.lines.append(f"  {name} = {call}({wire.name})")
        self.wires.append(Known(name, tuple(rest)))

    def masked(self) -> None:
        wire = self.one(2)
        if len(wire.axes) >= 2:
            first, second = wire.axes[:2]
            zero = self.random.choice(("0", "1 / (2 + abs(" + wire.read() + "))"))
            self.keep(wire.axes, f"where({first} <= {second}, {wire.read()}, {zero})")

    def gathered(self) -> None:
        bounded, along = self.gather
        fitting = [w for w in self.wires if bounded in w.axes]
        if fitting:
            wire = self.random.choice(fitting)
            axes = dict.fromkeys(along if axis == bounded else axis for axis in wire.axes)
            if along not in wire.axes or along == bounded:
                self.keep(list(axes), wire.read({bounded: f"I[{along}]"}))

    def flattened(self) -> None:
        wire = self.one(2)
        if len(wire.axes) < 2:
            return
        first, second, *rest = self.shuffled(wire.axes)
        name = self.name()
        slots = ", ".join([f"({first} {second})", *rest])
        self.lines.append(f"  {name}[{slots}] = {wire.read()}")
        function = self.random.choice(UNARY)
        other = self.name()
        axes = self.shuffled([first, second, *rest])
        value = function.format(f"{name}[{slots}]")
        self.lines.append(f"  {other}[{' '.join(axes)}] = {value}")
        self.wires.append(Known(other, tuple(axes)))

    def reversed(self) -> None:
        wire = self.one(1)
        if wire.axes:
            axis = self.random.choice(wire.axes)
            index = self.random.choice((f"size({axis}) - 1 - {axis}", "0", f"{axis} // 2"))
            axes = [a for a in wire.axes if a != axis or index != "0"]
            self.keep(axes, wire.read({axis: index}))

    def scattered(self) -> None:
        bounded, along = self.gather
        fitting = [w for w in self.wires if along in w.axes and bounded not in w.axes]
        if not fitting:
            return
        wire, name = self.random.choice(fitting), self.name()
        axes = [bounded if axis == along else axis for axis in wire.axes]
        slots = [f"I[{along}]" if axis == along else axis for axis in wire.axes]
        self.lines.append(f"  {name}: [{' '.join(axes)}]")
        op = self.random.choice(("+=", "max="))
        self.lines.append(f"  {name}[{', '.join(slots)}] {op} {wire.read()}")
        safe = self.name()
        self.lines.append(f"  {safe}[{' '.join(axes)}] = where({name} > -inf, {name}, 0)")
        self.wires.append(Known(safe, tuple(axes)))

    def recurrent(self) -> None:
        """A state that depends on the one before it, its product with arrays among it."""
        wire = self.one(1)
        along = [axis for axis in wire.axes if axis in "abc"]
        if not along:
            return
        axis, axes = self.random.choice(along), " ".join(wire.axes)
        state, before, product = (Known(self.name(), wire.axes) for _ in range(3))
        index, inside = self.random.choice(
            ((f"{axis} - 1", f"{axis} > 0"), (f"{axis} + 1", f"{axis} + 1 < size({axis})"))
        )
        rest = [each for each in wire.axes if each != axis]
        others = [each for each in self.wires if set(each.axes) <= set(wire.axes)]
        factors = [self.random.choice(others).read() for _ in range(self.random.randint(1, 3))]
        factors.insert(self.random.randint(0, len(factors)), before.read())
        value = f"sum[{' '.join(rest)}]({' * '.join(factors)})" if rest else " * ".join(factors)
        earlier = state.read({axis: index})
        self.lines += [
            f"  {before.name}[{axes}] = where({inside}, {earlier}, 0.5)",
            f"  {product.name}[{axis}] = {value}",
            f"  {state.name}[{axes}] = tanh({before.name} / 2 + {product.name} * {wire.read()})",
        ]
        self.wires += [state, before, Known(product.name, (axis,))]

    def projected(self) -> None:
        """Two products of an array, with arrays that have an axis in common with it."""
        shared = self.one(1)
        for _ in range(2):
            fitting = [w for w in self.wires if len({*w.axes} & {*shared.axes}) == 1 < len(w.axes)]
            if fitting:
                weight = self.random.choice(fitting)
                axes = [
                    a
                    for a in (*shared.axes, *weight.axes)
                    if (a in shared.axes) != (a in weight.axes)
                ]
                self.keep(self.shuffled(axes), f"{shared.read()} * {weight.read()}")


def checked(text: str) -> tuple[CheckedDiagram | None, tuple[Diagnostic, ...]]:
    """The diagram f of a text, None where it has mistakes."""
    program, found = check_source(Source("random.ncd", text), PROJECT.find)
    wrong = any(each.severity == "error" for each in found)
    return (None if wrong else program.diagram("f")), found


def random_diagram(seed: int, is_random: bool = False) -> CheckedDiagram | None:
    """The diagram of a seed; None for the few that are not well-typed."""
    return checked(Author(Random(seed), is_random).write())[0]


@dataclass
class Sample:
    """Sizes, inputs and parameters for a diagram."""

    sizes: dict[Symbol, int]
    inputs: list[np.ndarray]
    parameters: dict[str, np.ndarray]

    def values(self, graph: Graph) -> tuple[np.ndarray, ...]:
        """The results of a graph of that diagram."""
        named = {symbol.name: size for symbol, size in self.sizes.items()}
        return graph_values(graph, self.inputs, self.parameters, named)


def sample(graph: Graph, seed: int) -> Sample | None:
    """Arrays for an opened graph; None where its requirements can't be met at small sizes."""
    random = np.random.default_rng(seed)
    diagram = graph.diagram
    sizes: dict[Symbol, int] = solve(diagram, (), {})
    for symbol in diagram.unknowns:
        sizes.setdefault(symbol, int(random.integers(2, 5)))
    try:
        check_requirements(diagram, sizes)
    except SizeError:
        return None
    inputs: list[np.ndarray] = []
    for wire in diagram.parameters:
        shape = tuple(axis.size.evaluate(sizes) for axis in wire.type.axes)
        kind = wire.type.kind
        if kind.name == "natural":
            assert kind.bound is not None
            inputs.append(random.integers(0, kind.bound.evaluate(sizes), shape))
        else:
            inputs.append(random.normal(size=shape))
    parameters = {
        learned.wire.name: random.normal(
            size=tuple(axis.size.evaluate(sizes) for axis in learned.wire.type.axes)
        )
        for learned in graph.learned
    }
    return Sample(sizes, inputs, parameters)


def same(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> bool:
    """Whether results agree to 1e-9, infinities and NaN included."""
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
        for a, b in zip(left, right, strict=True)
    )
