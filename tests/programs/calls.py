"""Diagrams of the file and calls of them: bindings, settings, lifting, targets, several results."""

from __future__ import annotations

from dataclasses import dataclass, field

from .author import Author, Wire, bracket
from .expressions import real, tame
from .statements import FEATURES, allowed, feature


@dataclass(slots=True)
class Formals:
    """What is known of a callee's brackets: its entries, and what this call binds them to."""

    entries: list[str] = field(default_factory=list[str])
    bound: list[str] = field(default_factory=list[str])


def inner(a: Author, sizes: dict[str, int], wires: list[Wire]) -> Author:
    """The author of a callee."""
    return Author(a.file, a.depth - 1, dict(sizes), wires=list(wires), consts=dict(a.file.consts))


def write_body(b: Author, steps: int) -> None:
    """Some statements, of which one may call further diagrams."""
    names = allowed(b)
    if b.depth <= 0:
        names = [n for n in names if n not in ("call", "pipeline", "batch_norm", "attention")]
    names = names or ["equation"]
    for _ in range(steps):
        for _ in range(4):
            if FEATURES[b.pick(names)](b):
                break


def closing(b: Author, axes: list[str]) -> tuple[str, Wire]:
    """A last equation with these axes, from what the body has made."""
    made = [w for w in b.reals() if set(w.axes) <= set(axes)]
    value = real(b, set(axes), 2)
    if made:
        last = made[-1]
        value = type(value)(f"{last.name} + {value.at(1)}", value.bound + last.bound, 1)
    value = tame(b, value, 5.0)
    name = b.wire()
    return f"{name}{bracket(axes)} = {value.text}", Wire(name, tuple(axes), "real", value.bound)


@feature
def scalar(a: Author) -> bool:
    """An elementwise diagram of scalars, which expressions then call."""
    count = a.pick((1, 2))
    name = a.file.name("e")
    names = ["r", "l"][:count]
    b = inner(a, {}, [Wire(n, (), "real", 3.0) for n in names])
    value = tame(b, real(b, set(), 2), 5.0)
    text = ", ".join(f"{n}: []" for n in names)
    if b.chance(40):
        line = f"h = {value.text}\n  return tanh(h) + h"
    else:
        line = f"return {value.text} + {names[0]}"
    a.file.diagrams.append(f"## Elementwise.\ndiagram {name}({text}) -> [] {{\n  {line}\n}}")
    a.file.helpers.append((name, count, value.bound + 4))
    axes = a.choose_axes(0, 2)
    arguments = ", ".join(tame(a, real(a, set(axes), 1), 3).text for _ in range(count))
    made = a.wire()
    a.say(f"{made}{bracket(axes)} = {name}({arguments})")
    a.add(made, axes, bound=value.bound + 4)
    return True


def free_axis(a: Author, b: Author, to: Formals, taken: set[str]) -> tuple[str, str]:
    """A free axis of the callee and what it is at the call: a caller's axis, or ''."""
    size = a.pick((2, 3, 1))
    name = b.axis(size)
    candidates = [x for x in a.sizes if x not in taken]
    kind = a.pick(("number", "default", "axis", "name"))
    if kind == "axis" and candidates:
        mine = a.pick(candidates)
        b.sizes[name] = a.sizes[mine]
        to.entries.append(name)
        to.bound.append(f"{name} = {mine}")
        return name, mine
    if kind == "default":
        to.entries.append(f"{name} = {size}")
        return name, ""
    to.entries.append(name if kind == "number" else f"{name} = {size + 1}")
    if kind != "number":
        b.overridden.add(name)
    to.bound.append(f"{name} = {size}")
    return name, ""


def setting(a: Author, b: Author, to: Formals) -> None:
    """A number in the brackets."""
    name = a.file.name("r")
    value = a.pick(("0.5", "2", "-1"))
    b.consts[name] = float(value)
    if a.chance(50):
        to.entries.append(f"const {name} = 1.5")
        if a.chance(50):
            to.bound.append(f"{name} = {value}")
    else:
        to.entries.append(f"const {name}")
        to.bound.append(f"{name} = {value}")


@feature
def call(a: Author) -> bool:
    """A diagram written for this call, of one or two arguments, and the call."""
    wires = a.reals()
    if not wires or a.depth <= 0:
        return False
    first = a.recent(wires)
    named = a.chance(40)
    count = a.random.randint(0, len(first.axes))
    mine = (
        a.some(first.axes, count, count) if named else list(first.axes[len(first.axes) - count :])
    )
    lifted = [x for x in first.axes if x not in mine]
    arguments = [(first, mine)]
    if a.chance(40):
        second = a.recent(wires)
        theirs = [x for x in second.axes if x not in lifted]
        more = [x for x in second.axes if x in lifted]
        if named or list(second.axes) == [*more, *theirs]:
            arguments.append((second, theirs))
    formal: dict[str, str] = {}
    b = inner(a, {}, [])
    shared = set(lifted)
    to = Formals()
    for _, axes in arguments:
        for x in axes:
            if x not in formal:
                keep = a.chance(25) and x not in shared and x not in b.sizes
                name = x if keep else ""
                if not name:
                    b.sizes.update({o: 0 for o in a.sizes if o not in b.sizes})
                    name = b.axis(a.sizes[x])
                    for o in list(b.sizes):
                        if o in a.sizes and o not in formal.values():
                            del b.sizes[o]
                b.sizes[name] = a.sizes[x]
                formal[x] = name
    parameters: list[Wire] = []
    for wire, axes in arguments:
        b.wires.append(Wire(a.file.name("R"), tuple(formal[x] for x in axes), "real", wire.bound))
        parameters.append(b.wires[-1])
    if named and formal:
        for x, name in formal.items():
            to.entries.append(name)
            to.bound.append(f"{name} = {x}")
    bound_to = dict(zip(formal.values(), formal.keys(), strict=True))
    new = ""
    if a.chance(35):
        avoid = {*lifted, *formal} | {x for w, _ in arguments for x in w.axes}
        new, caller = free_axis(a, b, to, avoid)
        if caller:
            bound_to[new] = caller
    if a.chance(30):
        setting(a, b, to)
        a.file.used.add("setting")
    return finish(a, b, to, arguments, parameters, bound_to, new)


def finish(
    a: Author,
    b: Author,
    to: Formals,
    arguments: list[tuple[Wire, list[str]]],
    parameters: list[Wire],
    bound_to: dict[str, str],
    new: str,
) -> bool:
    """Write the callee's body, and the call with named results."""
    signature = list(b.sizes)
    write_body(b, a.random.randint(0, 2))
    lines: list[str] = []
    results: list[Wire] = []
    same = a.chance(40)
    for number in range(a.pick((1, 1, 2))):
        axes = list(parameters[0].axes) if same else a.some(signature, 0, 2)
        if new and not same and number == 0 and new not in axes:
            axes.append(new)
        line, wire = closing(b, axes)
        lines.append(line)
        results.append(wire)
    name = a.file.name("g")
    body = [*b.lines, *(f"  {line}" for line in lines[:-1])]
    body.append(f"  return {lines[-1]}" if len(lines) == 1 else f"  {lines[-1]}")
    if len(lines) > 1:
        body.append(f"  return {', '.join(w.name for w in results)}")
    inputs = ", ".join(f"{w.name}: {w.type}" for w in parameters)
    types = ", ".join(bracket(w.axes) for w in results)
    types = types if len(results) == 1 else f"({types})"
    entries = f"[{', '.join(to.entries)}]" if to.entries else ""
    a.file.diagrams.append(
        f"diagram {name}{entries}({inputs}) -> {types} {{\n" + "\n".join(body) + "\n}"
    )
    a.learns += b.learns
    lifted = list(dict.fromkeys(x for wire, axes in arguments for x in wire.axes if x not in axes))
    known = set(a.sizes)
    targets: list[tuple[str, list[str], Wire]] = []
    for wire in results:
        outer = list(lifted)
        for x in wire.axes:
            if x in bound_to:
                outer.append(bound_to[x])
            else:
                outer.append(a.axis(b.sizes[x]))
        targets.append((a.wire(), outer, wire))
    if lifted:
        a.file.used.add("lifting")
    brackets = f"[{', '.join(to.bound)}]" if to.bound else ""
    given = ", ".join(wire.name for wire, _ in arguments)
    if len(targets) > 1:
        a.file.used.add("several results")
    left = ", ".join(f"{n}{bracket(axes)}" for n, axes, _ in targets)
    if len(targets) > 1 and a.chance(25):
        left = f"{left.split(']')[0]}], _"
        targets = targets[:1]
        for x in [x for x in a.sizes if x not in known and x not in targets[0][1]]:
            del a.sizes[x]
        a.file.used.add("discard")
    a.say(f"{left} = {name}{brackets}({given})")
    for n, axes, wire in targets:
        a.add(n, axes, bound=wire.bound)
    return True
