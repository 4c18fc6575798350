"""Pipelines: stages composed, placed side by side, iterated, added, copied and routed."""

from __future__ import annotations

from dataclasses import dataclass

from .author import Author, bracket
from .expressions import real, tame
from .statements import feature

Types = list[tuple[str, ...]]


@dataclass(slots=True)
class Stage:
    """A pipeline with the axes of what it gives; `level` as for sums of expressions."""

    text: str
    gives: Types
    level: int = 9

    def at(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


COMPOSE, BESIDE, SUM, PRODUCT, POWER = 1, 2, 4, 5, 7


def one(a: Author, axes: tuple[str, ...], depth: int) -> Stage:
    """A stage of one wire."""
    kinds = ["function", "id", "scale", "block", "sum", "power", "compose"]
    if axes:
        kinds += ["einsum", "softmax", "norm", "reduce", "linear"]
    if depth <= 0:
        kinds = [k for k in kinds if k not in ("sum", "power", "block", "compose")]
    kind = a.pick(kinds)
    filled = all(a.sizes[x] for x in axes)
    a.file.used.add(f"stage:{kind}")
    match kind:
        case "id":
            return Stage("id", [axes])
        case "scale":
            amount = a.pick(("0.5", "1 / sqrt(2)", "-1"))
            if axes and a.chance(40):
                amount = f"1 / sqrt(size({axes[-1]}) + 1)"
            return Stage(f"scale[{amount}]", [axes])
        case "softmax":
            return Stage(f"softmax[{a.pick(axes)}]", [axes])
        case "norm" if filled:
            a.learns += 1
            return Stage(f"{a.file.use('std.nn', 'rms_norm')}[{a.pick(axes)}]", [axes])
        case "linear" if filled:
            a.learns += 1
            kind = a.file.use("std.nn", a.pick(("linear", "affine")))
            return Stage(f"({kind}[{axes[-1]} -> {axes[-1]}] >> tanh)", [axes])
        case "reduce":
            axis = a.pick(axes)
            op = "sum" if a.smooth or not a.sizes[axis] else a.pick(("sum", "max", "mean"))
            return Stage(f"({op}[{axis}] >> tanh)", [tuple(x for x in axes if x != axis)])
        case "einsum":
            given = a.some(axes, len(axes), 9)
            a.file.used.add("einsum")
            return Stage(f"einsum[{' '.join(axes)} -> {' '.join(given)}]", [tuple(given)])
        case "block":
            inner = one(a, axes, depth - 1)
            return Stage(f'block "Stage" ({inner.text})', inner.gives)
        case "sum":
            left, right = keep(a, axes, depth - 1), keep(a, axes, depth - 1)
            op = a.pick("+-*")
            a.file.used.add(f"sum of diagrams:{op}")
            level = PRODUCT if op == "*" else SUM
            return Stage(f"{left.at(level)} {op} {right.at(level + 1)}", [axes], level)
        case "power":
            inner = keep(a, axes, depth - 1)
            return Stage(f"{inner.at(POWER + 1)}^{a.random.randint(0, 3)}", [axes], POWER)
        case "compose":
            left = one(a, axes, depth - 1)
            right = one(a, left.gives[0], depth - 1)
            return Stage(f"{left.at(COMPOSE)} >> {right.at(BESIDE)}", right.gives, COMPOSE)
        case _:
            names = ("tanh", "sin", "gelu", "sigmoid")
            return Stage(a.pick(names if a.smooth else (*names, "relu", "abs")), [axes])


def keep(a: Author, axes: tuple[str, ...], depth: int) -> Stage:
    """A stage of one wire that keeps its axes."""
    found = one(a, axes, depth)
    return found if found.gives == [axes] else Stage("tanh", [axes])


def two(a: Author, first: tuple[str, ...], second: tuple[str, ...], depth: int) -> Stage:
    """A stage of two wires."""
    kinds = ["beside", "route", "swap", "rest"]
    if set(second) <= set(first) or set(first) <= set(second):
        kinds.append("function")
    if set(first) & set(second):
        kinds += ["einsum", "einsum"]
    kind = a.pick(kinds)
    a.file.used.add(f"stage of two:{kind}")
    match kind:
        case "beside":
            left, right = one(a, first, depth), one(a, second, depth)
            return Stage(
                f"{left.at(BESIDE)} | {right.at(BESIDE + 1)}", [*left.gives, *right.gives], BESIDE
            )
        case "route":
            return Stage("route[r l -> r]", [first])
        case "swap":
            return Stage("route[r l -> l r]", [second, first])
        case "rest":
            left = one(a, first, depth)
            return Stage(left.text, [*left.gives, second], left.level)
        case "function":
            wide = first if set(second) <= set(first) else second
            if a.smooth:
                return Stage("swiglu", [wide])
            return Stage(a.pick(("max", "min", "swiglu")), [wide])
        case _:
            common = [x for x in first if x in second]
            union = [*first, *(x for x in second if x not in first)]
            given = [x for x in union if x not in common or a.chance(30)]
            if not a.fits(union):
                return Stage("route[r l -> r]", [first])
            a.file.used.add("einsum")
            text = f"einsum[{' '.join(first)}, {' '.join(second)} -> {' '.join(given)}]"
            return Stage(f"({text} >> scale[0.5] >> tanh)", [tuple(given)])


def pipe(a: Author, types: Types, depth: int = 2) -> Stage:
    """A pipeline of one or two wires, that gives one."""
    parts: list[Stage] = []
    now = types
    if len(types) == 1 and a.chance(25):
        parts.append(Stage("route[r -> r r]", [types[0], types[0]]))
        now = parts[-1].gives
    for _ in range(4):
        if len(now) == 1:
            break
        parts.append(two(a, now[0], now[1], 1))
        now = parts[-1].gives
    if len(now) > 1:
        parts.append(Stage("route[r l -> r]", [now[0]]))
        now = parts[-1].gives
    for _ in range(a.random.randint(0 if parts else 1, 3)):
        parts.append(one(a, now[0], depth))
        now = parts[-1].gives
    if len(parts) == 1:
        return parts[0]
    return Stage(" >> ".join(p.at(BESIDE) for p in parts), now, COMPOSE)


@feature
def pipeline(a: Author) -> bool:
    """A pipeline that is called, in the place or as a diagram without points of its own."""
    wires = a.reals()
    if not wires:
        return False
    chosen = [a.recent(wires)]
    if a.chance(50):
        chosen.append(a.recent(wires))
    if not all(a.fits(w.axes) for w in chosen):
        return False
    arguments = ", ".join(tame(a, real(a, set(), 0), 2).text if False else w.name for w in chosen)
    name = a.wire()
    if a.chance(40) and a.depth > 0:
        made, gives = point_free(a, [w.axes for w in chosen])
        a.say(f"{name}{bracket(gives)} = {made}{bound(a, chosen)}({arguments})")
    else:
        stage = pipe(a, [w.axes for w in chosen])
        gives = stage.gives[0]
        a.say(f"{name}{bracket(gives)} = ({stage.text})({arguments})")
    a.add(name, gives, bound=40.0)
    return True


def bound(a: Author, chosen: list) -> str:
    """Every axis bound to itself."""
    axes = dict.fromkeys(x for w in chosen for x in w.axes)
    return f"[{', '.join(f'{x} = {x}' for x in axes)}]" if axes else ""


def point_free(a: Author, types: Types) -> tuple[str, tuple[str, ...]]:
    """A point-free diagram of the file, and the axes of its result."""
    stage = pipe(a, types)
    name = a.file.name("pf")
    source = ", ".join(bracket(t) for t in types)
    source = source if len(types) == 1 else f"({source})"
    a.file.used.add("point-free")
    head = f"diagram {name} : {source} -> {bracket(stage.gives[0])}"
    a.file.diagrams.append(f"{head}\n  = {stage.text}")
    return name, stage.gives[0]
