"""What stands in a file beside the diagrams that are run, and layers that are used several ways."""

from __future__ import annotations

from .author import Author, bracket
from .learned import filled
from .statements import feature


@feature
def stack(a: Author) -> bool:
    """A learned diagram of the file: as a stack, with shared weights, in pipelines, lifted."""
    wires = filled(a)
    if not wires or a.depth < 1:
        return False
    wire = a.recent(wires)
    m = wire.axes[-1]
    name = a.file.name("layer")
    x, h = ("mm", "hh")
    inner = a.file.use("std.nn", "linear")
    a.file.diagrams.append(
        f"diagram {name}[{h} = 2, const amount = 0.5](V: [{x}]) -> [{x}] {{\n"
        f"  learn up: {inner}[{x} -> {h}]\n  learn down: {inner}[{h} -> {x}]\n"
        f"  return V + amount * (up >> tanh >> down)(V)\n}}"
    )
    a.learns += 1
    here = a.file.name("S")
    count = a.random.randint(0, 3)
    settings = a.pick(("[3]", "[hh = 1]", "", "[3, amount = 0.25]", "[3, 0.25]"))
    kind = a.pick(("instance", "stack", "reuse", "pipeline", "direct", "residual"))
    a.file.used.add(f"stack:{kind}")
    if kind in ("instance", "stack", "reuse"):
        power = f"^{count}" if kind == "stack" else ""
        learned = f"{name}{with_target(settings, m)}{power}"
        a.say(f"learn {here}: {learned}")
        called = f"({here}^{count})" if kind == "reuse" else here
    else:
        plain = f"{name}{with_target(settings, m)}"
        called = {
            "pipeline": f"({plain}^{count} >> tanh)",
            "direct": plain,
        }.get(kind, f"(id + ({plain} >> tanh))")
    made = a.wire()
    a.say(f"{made}{bracket(wire.axes)} = {called}({wire.name})")
    a.add(made, wire.axes, bound=20.0)
    return True


def with_target(settings: str, axis: str) -> str:
    """The settings, with the layer's axis bound to the wire's."""
    inside = settings.strip("[]")
    return f"[{inside}, mm = {axis}]" if inside else f"[mm = {axis}]"


@feature
def alias(a: Author) -> bool:
    """A library module under another name, or one of its diagrams."""
    wires = filled(a)
    if not wires:
        return False
    wire = a.recent(wires)
    other = a.file.name("lib")
    axis = a.pick(wire.axes)
    if a.chance(50):
        a.file.imports.append(f"use std.nn as {other}")
        call = f"{other}.rms_norm[{axis}]"
    else:
        a.file.imports.append(f"use std.nn.{{rms_norm as {other}}}")
        call = f"{other}[{axis}]"
    a.file.used.add("use as")
    a.learns += 1
    made = a.wire()
    a.say(f"{made} = {call}({wire.name})")
    a.add(made, wire.axes, bound=4.0)
    return True


@feature
def pack(a: Author) -> bool:
    """A diagram of the file over a run of axes of any length."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    name = a.file.name("over")
    a.file.diagrams.append(
        f"diagram {name}[ins..](V: [ins..]) -> [ins..] {{\n"
        f"  total = sum[ins..](V[ins..]^2)\n"
        f"  return Y[ins..] = V[ins..] / (1 + total * size(ins..))\n}}"
    )
    a.file.used.add("pack")
    axes = a.some(wire.axes, 1, 3)
    made = a.wire()
    a.say(f"{made} = {name}[{' '.join(axes)}]({wire.name})")
    a.add(made, wire.axes, bound=wire.bound)
    return True


@feature
def declarations(a: Author) -> bool:
    """An operator, an assertion and a diagram of the file that nothing uses."""
    op = a.file.name("op_")
    a.file.heads.append(
        f"op {op}[x, const rate = 0.5]: [x] -> ([x], N(x)[x]) {{\n"
        f"  requires = size(x) >= 0, random\n}}"
    )
    if a.chance(50):
        axis = a.file.name("fa")
        a.file.heads.append(f"axis {axis} : set = 6\nassert size({axis}) % 2 == 0")
        a.file.used.add("file assert")
        if a.chance(50):
            same = a.file.name("same")
            a.file.diagrams.append(
                f"diagram {same}(V: [{axis}]) -> [{axis}] {{ return 2 * V }}\n"
                f"assert equivariant[{axis}]({same})"
            )
    other = a.file.name("two")
    a.file.diagrams.append(
        f"diagram {other} : ([nn dd], [nn dd]) -> ([nn dd], [nn dd])\n"
        f"  = route[r l -> l r] >> (tanh | id)"
    )
    wires = [w for w in a.reals(2) if len(w.axes) == 2]
    if wires:
        one, two = a.wire(), a.wire()
        wire = a.recent(wires)
        axes = bracket(wire.axes)
        given = f"[nn = {wire.axes[0]}, dd = {wire.axes[1]}]"
        a.say(f"{one}{axes}, {two}{axes} = {other}{given}({wire.name}, {wire.name})")
        a.add(one, wire.axes, bound=1.0)
        a.add(two, wire.axes, bound=wire.bound)
        a.file.used.add("several results")
    return True


@feature
def crossed(a: Author) -> bool:
    """A diagram that is given one wire twice, by order of its axes."""
    wires = [w for w in a.reals(2) if len(w.axes) == 2 and a.fits(w.axes * 2)]
    if not wires:
        return False
    wire = a.recent(wires)
    name = a.file.name("cross")  # its axes have two primes: `k'` may be an axis of the file
    a.file.diagrams.append(
        f"diagram {name}(Q: [q'' k''], K: [x'' k'']) -> [q'' k''] {{\n"
        f"  R[q'' x''] = Q[q'' k''] * K[x'' k''] / 4\n"
        f"  return O[q'' k''] = softmax[x''](R)[q'' x''] * K[x'' k'']\n}}"
    )
    made = a.wire()
    a.say(f"{made} = {name}({wire.name}, {wire.name})")
    a.add(made, wire.axes, bound=2 * wire.bound)
    return True


@feature
def learned_pipeline(a: Author) -> bool:
    """A pipeline with parameters under one name, which is used twice."""
    wires = filled(a)
    if not wires:
        return False
    wire = a.recent(wires)
    axis = wire.axes[-1]
    kind = a.file.use("std.nn", a.pick(("linear", "affine")))
    step = f"{kind}[{axis} -> {axis}]"
    inner = a.pick((f"{step} >> tanh", f"{step} >> tanh >> {step}", f"id + ({step} >> sin)"))
    power = a.pick(("", "^2", "^1", "^3"))
    name = a.file.name("S")
    a.file.used.add(f"learned pipeline{power}")
    a.say(f"learn {name}: ({inner}){power}")
    made = a.wire()
    again = a.pick((f"{name}({wire.name})", f"{name}(tanh({name}({wire.name})))"))
    a.say(f"{made}{bracket(wire.axes)} = {again}")
    a.add(made, wire.axes, bound=20.0)
    a.learns += 1
    return True
