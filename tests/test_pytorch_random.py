"""Random diagrams: the emitted module and the reference agree wherever the reference is finite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from torch_judge import PROJECT, admits, assert_same, inputs, judged

from ncdlang.semantics.check import check_source
from ncdlang.source import Source

AXES = "abcd"
LEADS = ((), (2,), (2, 3))


@dataclass(frozen=True, slots=True)
class Known:
    """A wire: `kind` is `r`, `b`, or the axis that its naturals stay below."""

    name: str
    axes: tuple[str, ...]
    kind: str

    @property
    def type(self) -> str:
        prefix = {"r": "", "b": "B"}.get(self.kind, f"N({self.kind})")
        return f"{prefix}[{' '.join(self.axes)}]"


@dataclass(slots=True)
class Author:
    """Writes a diagram whose axes and kinds fit; what the checker still refuses is left out."""

    random: Random
    wires: list[Known] = field(default_factory=list[Known])
    axes: list[str] = field(default_factory=list[str])

    def write(self) -> str:
        pick = self.random
        used: list[str] = []
        for number in range(pick.randint(1, 3)):
            axes = pick.sample(AXES, pick.randint(0, 3))
            used += axes
            self.wires.append(Known(f"X{number}", tuple(axes), "r"))
        if used and pick.random() < 0.4:
            self.wires.append(Known("T", (pick.choice(used),), pick.choice(used)))
        if used and pick.random() < 0.3:
            self.wires.append(Known("G", tuple(sorted({*pick.sample(used, 1), used[0]})), "b"))
        signature = ", ".join(f"{wire.name}: {wire.type}" for wire in self.wires)
        self.axes = sorted(set(used))
        first = len(self.wires)
        lines = [self.line(f"W{number}") for number in range(pick.randint(1, 4))]
        made = self.wires[first:]
        results = made[-1:] if pick.random() < 0.7 else pick.sample(made, min(2, len(made)))
        types = ", ".join(wire.type for wire in results)
        types = types if len(results) == 1 else f"({types})"
        body = "\n".join(f"  {line}" for line in lines)
        names = ", ".join(wire.name for wire in results)
        return f"diagram f({signature}) -> {types} {{\n{body}\n  return {names}\n}}\n"

    def line(self, name: str) -> str:
        pick = self.random
        arrays = [wire for wire in self.wires if wire.kind == "r" and wire.axes]
        if arrays and pick.random() < 0.25:
            wire = pick.choice(arrays)
            self.wires.append(Known(name, wire.axes, "r"))
            return f"{name} = softmax[{pick.choice(wire.axes)}]({wire.name})"
        axes = tuple(pick.sample(self.axes, pick.randint(0, min(3, len(self.axes)))))
        kind = "b" if pick.random() < 0.1 else "r"
        value = self.real(set(axes), 3) if kind == "r" else self.truth(set(axes), 2)
        self.wires.append(Known(name, axes, kind))
        return f"{name}[{' '.join(axes)}] = {value}"

    # ---- expressions: `open_` are the axes that they may have ----------------------------------

    def read(self, open_: set[str], kinds: Iterable[str]) -> str | None:
        found = [w for w in self.wires if w.kind in kinds and open_.issuperset(w.axes)]
        if not found:
            return None
        wire = self.random.choice(found)
        if wire.axes and self.random.random() < 0.2:
            return self.indexed(wire)
        return f"{wire.name}[{' '.join(wire.axes)}]"

    def indexed(self, wire: Known) -> str:
        """A read whose index is no plain axis."""
        pick = self.random
        place = pick.randrange(len(wire.axes))
        axis = wire.axes[place]

        def at(index: str) -> str:
            items = [*wire.axes[:place], index, *wire.axes[place + 1 :]]
            return f"{wire.name}[{', '.join(items)}]"

        choices = [at(f"size({axis}) - 1 - {axis}"), at(f"{axis} // 2")]
        if wire.kind == "r":
            choices.append(f"where({axis} > 0, {at(f'{axis} - 1')}, 0.5)")
        lookups = [w for w in self.wires if w.kind == axis and set(w.axes) <= set(wire.axes)]
        choices += [at(f"{w.name}[{' '.join(w.axes)}]") for w in lookups]
        return pick.choice(choices)

    def leaf(self, open_: set[str]) -> str:
        pick = self.random
        choices = ["0.5", "2", "-1.5", "3"]
        choices += [f"size({axis})" for axis in self.axes] + sorted(open_)
        natural = self.read(open_, AXES)
        if natural:
            choices.append(f"real({natural})")
        value = self.read(open_, "r")
        return value if value and pick.random() < 0.8 else pick.choice(choices)

    def real(self, open_: set[str], depth: int) -> str:
        pick = self.random
        if depth == 0 or pick.random() < 0.15:
            return self.leaf(open_)
        inner = depth - 1
        left, right = self.real(open_, inner), self.real(open_, inner)
        function = pick.choice(("tanh", "sin", "abs", "relu", "gelu", "silu", "sigmoid", "exp"))
        choices = [
            f"({left} {pick.choice('+-')} {right})",
            f"({left}) * ({right})",
            f"{function}({left})",
            f"{pick.choice(('max', 'min'))}({left}, {right})",
            f"({left}) / (2 + abs({right}))",
            f"(1 + abs({left})) ^ 0.5",
            f"where({self.truth(open_, inner)}, {left}, {right})",
        ]
        further = [axis for axis in self.axes if axis not in open_]
        if further:
            bound = pick.sample(further, pick.randint(1, len(further)))
            wider = open_ | set(bound)
            factors = [f"({self.real(wider, inner)})" for _ in range(pick.randint(2, 3))]
            choices += [f"({' * '.join(factors)})"] * 2
            choices += [self.reduction(bound, self.real(wider, inner))] * 2
        return pick.choice(choices)

    def reduction(self, bound: Sequence[str], body: str) -> str:
        name = self.random.choice(("sum", "mean", "norm", "prod", "logsumexp", "max", "min"))
        setting = ", initial = -1" if name == "max" else ""
        return f"{name}[{' '.join(bound)}{setting}]({body})"

    def truth(self, open_: set[str], depth: int) -> str:
        pick = self.random
        sign = pick.choice(("<", "<=", ">", ">="))
        choices = [f"{self.leaf(open_)} {sign} {self.leaf(open_)}"]
        choices += [f"{axis} {sign} {pick.randint(0, 2)}" for axis in sorted(open_)]
        if len(open_) > 1:
            choices.append(f" {sign} ".join(pick.sample(sorted(open_), 2)))
        stored = self.read(open_, "b")
        if stored:
            choices.append(stored)
        if depth:
            one, other = self.truth(open_, depth - 1), self.truth(open_, depth - 1)
            choices += [f"({one} {pick.choice(('and', 'or'))} {other})", f"not ({one})"]
        return pick.choice(choices)


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),
)
@given(st.randoms(use_true_random=False))
def test_random_diagrams(random: Random) -> None:
    text = Author(random).write()
    note(text)
    checked, diagnostics = check_source(Source("random.ncd", text), PROJECT.find)
    assume(not any(d.severity == "error" for d in diagnostics))
    (diagram,) = checked.diagrams
    module, reference = judged(checked, "f", {})
    for seed in range(2):
        sizes = {symbol.name: random.choice((0, 1, 2, 2, 3)) for symbol in diagram.unknowns}
        leads = [random.choice(LEADS) for _ in diagram.parameters]
        longest = max(leads, key=len)
        leads = [lead if lead in ((), longest) else longest[-len(lead) :] for lead in leads]
        arrays = inputs(diagram.parameters, sizes, leads, seed)
        if not all(admits(w, sizes, a) for w, a in zip(diagram.parameters, arrays, strict=True)):
            continue
        try:
            expected = reference(*arrays)
        except ValueError:
            continue
        with torch.no_grad():
            assert_same(module(*arrays), expected)
