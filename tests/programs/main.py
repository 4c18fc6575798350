"""The diagram of a program that is run, and what stands before it in the file."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .author import SIZES, Author, File, Wire, bracket
from .calls import closing, write_body
from .pipelines import pipe


@dataclass(slots=True)
class Written:
    """A file and how its last diagram is used."""

    text: str
    given: dict[str, int]
    config: str | None
    liftable: bool
    used: set[str]
    names: set[str]
    inputs: tuple[Wire, ...]
    axes: dict[str, int]


def written(random: Random, smooth: bool, only: frozenset[str], most: int) -> Written:
    """A whole file."""
    file = File(random, smooth, only)
    a = Author(file, 2)
    preamble(a)
    for _ in range(a.random.randint(1, 3)):
        a.axis(a.pick(SIZES))
    inputs(a)
    carried = {x for w in a.wires for x in w.atoms}
    known = {x for w in a.wires for x in w.axes if x[0] != "("}
    for axis in [x for x in a.sizes if x not in known]:
        if axis not in carried and axis not in {w.kind for w in a.wires} and a.chance(50):
            del a.sizes[axis]
        elif axis not in file.axes:
            free(a, axis)
    parameters = tuple(a.wires)
    sizes = dict(a.sizes)
    if not only and a.chance(10) and (wires := a.reals()):
        head = point_free(a, wires[:2])
        parameters = tuple(wires[:2])
    else:
        write_body(a, a.random.randint(1, most))
        head = body(a, parameters)
    config = configure(a)
    carried = {x for w in parameters for x in (*w.atoms, w.kind)}
    given = {x: n for x, n in sizes.items() if x in carried or x in file.axes}
    given.update(file.given)
    if config is not None:
        given = {x: n for x, n in given.items() if x not in file.given}
    return Written(
        file.text(head),
        given,
        config,
        file.liftable,
        file.used,
        file.names,
        parameters,
        {**sizes, **file.given},
    )


def preamble(a: Author) -> None:
    """Constants, axes of the file and what else stands before the diagrams."""
    file = a.file
    if a.chance(20):
        name = file.name("c")
        value = a.pick(("2", "0.5", "-3"))
        file.heads.append(f"## A constant.\nconst {name} = {value}")
        file.consts[name] = a.consts[name] = float(value)
    if a.chance(20):
        name = a.axis(a.pick(SIZES))
        structure = a.pick(("", " : set", " : ordered", " : cyclic"))
        fixed = a.chance(40)
        file.heads.append(f"axis {name}{structure}" + (f" = {a.sizes[name]}" if fixed else ""))
        file.axes[name] = a.sizes[name]
        file.used.add("file axis")
        if fixed:
            file.used.add("fixed file axis")
        else:
            file.used.add("open file axis")
            if a.chance(40):
                double = a.axis(2 * a.sizes[name])
                file.axes[double] = a.sizes[double]
                file.heads.append(f"axis {double} = 2 * size({name})")


def inputs(a: Author) -> None:
    """The inputs, of all kinds."""
    base = list(a.sizes)
    for number in range(a.random.randint(1, 3)):
        a.wires.append(
            Wire(f"X{number}", tuple(a.some(base, 0 if number else 1, 3)), "real", 2.0, True)
        )
    if a.chance(15):
        inner, outer = a.axis(a.pick((2, 3, 1))), a.axis(a.pick((2, 3, 1)))
        axes = (*a.some(base, 0, 1), f"({inner} {outer})")
        a.wires.append(Wire("XC", axes, "real", 2.0, True))
        a.file.used.add("composite input")
    if a.smooth:
        return
    if a.chance(35):
        v = a.pick(base)
        axes = [x for x in a.some(base, 0, 2) if a.sizes[v] or not a.sizes[x]]
        if a.sizes[v] or axes:
            a.wires.append(Wire("T", tuple(axes), v, 0.0, True))
            a.file.used.add("naturals")
    if a.chance(20):
        a.wires.append(Wire("G", tuple(a.some(base, 0, 2)), "bool", 1.0, True))
        a.file.used.add("booleans")
    if a.chance(20):
        a.wires.append(Wire("Z", tuple(a.some(base, 0, 2)), "complex", 1.5, True))
        a.file.used.add("complex")
    if a.chance(12):
        form = a.pick(("bf16", "f32", "f16", "f64"))
        a.wires.append(Wire("V", tuple(a.some(base, 0, 2)), "real", 2.0, True, form))
        a.file.used.add(f"format input:{form}")


def free(a: Author, axis: str) -> None:
    """An axis that no input gives a size."""
    size = a.sizes[axis]
    composite = any(axis in w.atoms and axis not in w.axes for w in a.wires)
    if composite and a.file.given.get("composite"):
        return
    kind = a.pick(("given", "default"))
    a.formals.append(axis if kind == "given" else f"{axis} = {size}")
    a.file.given[axis] = size
    a.file.used.add(f"free:{kind}")


def body(a: Author, parameters: tuple[Wire, ...]) -> str:
    """The diagram with a body."""
    made = a.wires[len(parameters) :]
    results = made[-1:]
    if len(made) > 1 and a.chance(40):
        results = [*a.some(made[:-1], 1, 2), made[-1]]
    lines = list(a.lines)
    if not results:
        line, wire = closing(a, a.choose_axes(0, 2))
        lines.append(f"  return {line}")
        results = [wire]
    elif len(results) == 1 and a.chance(30) and not results[0].form:
        line, wire = closing(a, [x for x in results[0].axes if x[0] != "("])
        lines.append(f"  return {line}")
        results = [wire]
    else:
        lines.append(f"  return {', '.join(w.name for w in results)}")
    inputs_ = ", ".join(f"{w.name}: {w.type}" for w in parameters)
    types = ", ".join(w.type for w in results)
    types = types if len(results) == 1 else f"({types})"
    if len(results) > 1:
        a.file.used.add("tuple")
    formals = f"[{', '.join(a.formals)}]" if a.formals else ""
    text = "\n".join(lines)
    return f"## The diagram that is run.\ndiagram f{formals}({inputs_}) -> {types} {{\n{text}\n}}"


def point_free(a: Author, wires: list[Wire]) -> str:
    """The diagram without points."""
    a.file.used.add("point-free")
    stage = pipe(a, [w.axes for w in wires])
    source = ", ".join(bracket(w.axes) for w in wires)
    source = source if len(wires) == 1 else f"({source})"
    formals = f"[{', '.join(a.formals)}]" if a.formals else ""
    return f"diagram f{formals} : {source} -> {bracket(stage.gives[0])}\n  = {stage.text}"


def configure(a: Author) -> str | None:
    """A config that sets the free axes and constants, and whether it is chosen."""
    if not (a.file.given or a.file.consts) or not a.chance(30):
        return None
    settings = [f"{name} = {size}" for name, size in a.file.given.items()]
    settings += [f"{name} = 1.25" for name in a.file.consts]
    a.file.heads.append(f"config small {{ {', '.join(settings)} }}")
    a.file.used.add("config")
    return "small"
