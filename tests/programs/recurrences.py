"""Wires that read themselves earlier or later along an axis."""

from __future__ import annotations

from .author import Author, Wire, bracket
from .expressions import at, real, tame
from .statements import feature


def state(t: str, name: str, axes: list[str], back: int, reverse: bool, first: str) -> str:
    """The state some steps before, and what it is at the start."""
    if reverse:
        index, inside = f"{t} + {back}", f"{t} + {back} < size({t})"
    else:
        index, inside = f"{t} - {back}", f"{t} >= {back}"
    indices = [index if x == t else x for x in axes]
    return f"where({inside}, {at(Wire(name, tuple(axes)), indices)}, {first})"


@feature
def recurrence(a: Author) -> bool:
    """A wire that reads itself earlier or later along an axis, linearly or not."""
    if not a.sizes:
        return False
    axes = a.choose_axes(1, 2)
    if not axes:
        return False
    t = a.pick(axes)
    name, reverse, back = a.wire(), a.chance(40), a.pick((1, 1, 2))
    rest = {x for x in axes if x != t}
    first = tame(a, real(a, rest, 1), 2)
    before = state(t, name, axes, back, reverse, first.text)
    drive = tame(a, real(a, set(axes), 2), 2)
    kind = a.pick(("linear", "gated", "nonlinear", "two", "product"))
    a.file.used.update((f"recurrence:{kind}", f"recurrence:{'reverse' if reverse else 'forward'}"))
    match kind:
        case "linear":
            text = f"{drive.at(1)} + 0.5 * {before}"
        case "gated":
            gate = real(a, set(axes), 1)
            text = f"sigmoid({gate.text}) * 0.9 * {before} + {drive.at(2)}"
        case "nonlinear":
            text = f"tanh({drive.at(1)} + {before})"
        case "two":
            other = state(t, name, axes, back + 1, reverse, "0.25")
            text = f"0.5 * {before} - 0.4 * {other} + {drive.at(2)}"
        case _:
            text = f"sin({before} * {drive.at(3)} + 1)"
    a.say(f"{name}{bracket(axes)} = {text}")
    a.add(name, axes, bound=20.0)
    return True


@feature
def crossing(a: Author) -> bool:
    """Two equations that read each other, with a call lifted over the axis between them."""
    axes = a.choose_axes(2, 2)
    if len(axes) < 2:
        return False
    t, d = axes
    one, two = a.wire(), a.wire()
    reverse = a.chance(40)
    drive = tame(a, real(a, {t, d}, 1), 2)
    before = state(t, two, axes, 1, reverse, "0.5")
    a.say(f"{one}{bracket(axes)} = {drive.at(1)} + {before}")
    kind = a.pick(("equation", "softmax", "linear"))
    a.file.used.add(f"crossing:{kind}")
    if kind == "softmax" and a.sizes[d]:
        a.say(f"{two} = softmax[{d}]({one})")
    elif kind == "linear" and a.sizes[d] and a.learns >= 0:
        layer = a.file.name("L")
        a.file.use("std.nn", "linear")
        middle = a.wire()
        a.say(f"learn {layer}: linear[{d} -> {d}]")
        a.say(f"{middle} = {layer}({one})")
        a.say(f"{two} = tanh({middle})")
    else:
        a.say(f"{two}[{' '.join(reversed(axes))}] = cos({at(Wire(one, ()), axes)} * 0.7)")
        a.lines[-2] = a.lines[-2].replace(before, state(t, two, axes[::-1], 1, reverse, "0.5"))
        axes = axes[::-1]
    a.add(two, axes, bound=1.0)
    return True


@feature
def prefix(a: Author) -> bool:
    """Each entry from a reduction of all earlier ones."""
    if not a.sizes:
        return False
    t = a.pick(list(a.sizes))
    if a.sizes[t] > 7:
        return False
    s = a.axis(a.sizes[t])
    a.say(f"axis {s} = size({t})")
    name = a.wire()
    drive = tame(a, real(a, {t}, 1), 2)
    sign = a.pick("<>")
    a.say(
        f"{name}[{t}] = tanh({drive.text} + sum[{s}](where({s} {sign} {t}, {name}[{s}] * 0.5, 0)))"
    )
    a.add(name, [t], bound=1.0)
    return True
