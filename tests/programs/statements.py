"""Statements of a body: each function writes one or several, or finds that none fits.

A feature returns whether it wrote something. `FEATURES` maps its name to itself, `ROUGH` names
those that are no smooth functions of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable

from .author import FORMATS, Author, Expr, Wire, bracket
from .expressions import at, complex_, read, real, tame, truth

Feature = Callable[[Author], bool]
FEATURES: dict[str, Feature] = {}
ROUGH: set[str] = set()


def feature(written: Feature) -> Feature:
    """Register a feature under its name."""
    FEATURES[written.__name__] = written
    return written


def rough(written: Feature) -> Feature:
    """Register a feature whose results jump, have kinks or are no reals."""
    ROUGH.add(written.__name__)
    return feature(written)


# ---- equations -----------------------------------------------------------------------------------


def define(a: Author, axes: list[str], value: Expr, name: str = "") -> Wire:
    """An equation with stated axes."""
    value = tame(a, value)
    name = name or a.wire()
    a.say(f"{name}{bracket(axes)} = {value.text}")
    return a.add(name, axes, bound=value.bound)


@feature
def equation(a: Author) -> bool:
    axes = a.choose_axes(0, 3)
    define(a, axes, real(a, set(axes), 3))
    return True


@feature
def bare(a: Author) -> bool:
    """A wire without stated axes: they are those of an array on the right."""
    wires = a.reals()
    if not wires:
        return False
    wire = a.recent(wires)
    a.bare = True
    other = real(a, set(wire.axes), 2)
    a.bare = False
    value = tame(a, Expr(f"{wire.name} * {other.at(3)}", wire.bound * other.bound, 2))
    name = a.wire()
    a.say(f"{name} = {value.text}")
    a.add(name, wire.axes, bound=value.bound)
    return True


@feature
def permuted(a: Author) -> bool:
    """A transpose, perhaps with a repetition along a further axis."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    axes = a.some(wire.axes, len(wire.axes), 9)
    extra = [x for x in a.sizes if x not in axes and a.fits([*axes, x])]
    if extra and a.chance(40):
        axes.insert(a.random.randint(0, len(axes)), a.pick(extra))
        a.file.used.add("repetition")
    define(a, axes, read(a, wire, set(wire.axes)))
    return True


@feature
def iota(a: Author) -> bool:
    """Positions: numbers made of indices and sizes only."""
    if not a.sizes:
        return False
    axes = a.choose_axes(1, 2)
    if not axes:
        return False
    x, y = axes[0], axes[-1]
    text = f"sin({x} / 100^(2 * ({y} // 2) / (size({y}) + 1)) + {x} % 3 - size({x}))"
    define(a, axes, Expr(text, 1.0))
    return True


@feature
def assertion(a: Author) -> bool:
    sizes = {axis: size for axis, size in a.sizes.items() if axis not in a.overridden}
    if not sizes:
        return False
    axis = a.pick(list(sizes))
    size, text = sizes[axis], f"size({axis})"
    choices = [f"{text} >= {a.random.randint(0, size)}", f"{text} != {size + 1}"]
    choices.append(f"{text} <= {size + 3} and {text} + 1 > 0")
    if size % 2 == 0:
        choices.append(f"{text} % 2 == 0")
    for other, length in sizes.items():
        if other != axis and length == size:
            choices.append(f"{text} == size({other})")
    a.say(f"assert {a.pick(choices)}")
    return True


@feature
def block(a: Author) -> bool:
    """Statements in a block; their wires are seen after it."""
    title = a.pick(("Inner", 'A \\"quoted\\" title', "ε"))
    a.say(f'block "{title}" {{')
    a.margin += "  "
    for _ in range(a.random.randint(1, 2)):
        name = a.pick([n for n in allowed(a) if n != "block"] or ["equation"])
        if not FEATURES[name](a):
            equation(a)
    a.margin = a.margin[2:]
    a.say("}")
    return True


def allowed(a: Author) -> list[str]:
    """The features that may be used here, the simplest first."""
    names = [n for n in FEATURES if not (a.smooth and n in ROUGH)]
    chosen = [n for n in names if n in a.file.only]
    return chosen or names


# ---- windows and composite axes ------------------------------------------------------------------


@feature
def window(a: Author) -> bool:
    """A strided read whose new axis has the largest size that stays in bounds."""
    wires = [w for w in a.reals(1) if a.size(w.axes[0]) >= 1]
    if not wires:
        return False
    wire = a.recent(wires)
    axis, rest = wire.axes[0], list(wire.axes[1:])
    length, stride, dilation = a.sizes[axis], a.pick((1, 2, 3)), a.pick((1, 2))
    width = a.random.randint(1, max(1, min(3, (length - 1) // dilation + 1)))
    j = a.declared(width)
    count = (length - dilation * (width - 1) - 1) // stride + 1
    if count < 0:
        return True
    n = a.axis(count)
    move = n if stride == 1 else f"{stride}*{n}"
    move += f" + {j}" if dilation == 1 else f" + {dilation}*{j}"
    if stride == 1 and dilation == 1 and a.chance(30):
        move = f"{n} + size({j}) - 1 - {j}"
    inner = at(wire, (move, *rest))
    weights = [w for w in a.reals(1) if set(w.axes) <= {j, *rest} and j in w.axes]
    axes = a.some([n, j, *rest], 9, 9) if a.fits([n, j, *rest]) else [n, *rest]
    if weights:
        value = Expr(f"{inner} * {at(weights[-1], weights[-1].axes)}", 50.0, 2)
        define(a, [n, *rest], value)
    elif a.chance(40) or j not in axes:
        name = a.pick(("sum", "mean") if a.smooth else ("sum", "mean", "max", "min"))
        a.file.used.add(f"reduce:{name}")
        define(a, [n, *rest], Expr(f"{name}[{j}]({inner})", wire.bound * width))
    else:
        define(a, axes, Expr(inner, wire.bound))
    return True


@feature
def strided(a: Author) -> bool:
    """Tiles along a declared axis, forwards or backwards."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    axis, rest = wire.axes[-1], list(wire.axes[:-1])
    step = a.pick((2, 3))
    n = a.axis(a.sizes[axis] // step)
    a.say(f"axis {n} = size({axis}) // {step}")
    offset = a.random.randint(0, step - 1)
    index = f"{step}*{n}" + (f" + {offset}" if offset else "")
    if a.chance(40):
        index = f"size({axis}) - 1 - {index.replace(' + ', ' - ')}"
    define(a, [*rest, n], Expr(at(wire, (*rest, index)), wire.bound))
    return True


@feature
def merge(a: Author) -> bool:
    """Two axes flattened into one, or a composite axis taken apart."""
    apart = [w for w in a.reals(plain=False) if not w.is_plain and a.fits(w.atoms)]
    if apart and a.chance(50):
        wire = a.recent(apart)
        define(a, a.some(wire.atoms, 9, 9), read(a, wire, set(wire.atoms)))
        return True
    wires = [w for w in a.reals(1) if a.fits(w.axes)]
    others = list(a.sizes)
    if not wires or len(others) < 2:
        return False
    wire = a.recent(wires)
    rest = list(wire.axes)
    first = rest.pop(a.random.randint(0, len(rest) - 1))
    second = a.pick([x for x in others if x != first])
    if second in rest:
        rest.remove(second)
    pair = [first, second] if a.chance(60) else [second, first]
    composite = f"({' '.join(pair)})"
    if not a.fits([*rest, first, second]):
        return False
    axes = [*rest]
    axes.insert(a.random.randint(0, len(rest)), composite)
    define(a, axes, Expr(at(wire, wire.axes), wire.bound))
    return True


# ---- booleans, naturals, complex numbers, formats ------------------------------------------------


@rough
def condition(a: Author) -> bool:
    axes = a.choose_axes(0, 2)
    name = a.wire()
    a.say(f"{name}{bracket(axes)} = {truth(a, set(axes), 2)}")
    a.add(name, axes, "bool")
    return True


@rough
def any_all(a: Author) -> bool:
    wires = [w for w in a.wires if w.kind == "bool" and w.axes]
    if not wires:
        return condition(a)
    wire = a.recent(wires)
    name, op = a.wire(), a.pick(("any", "all"))
    a.file.used.add(f"reduce:{op}")
    a.say(f"{name} = {op}[{wire.axes[0]}]({wire.name})")
    a.add(name, wire.axes[1:], "bool")
    return True


@rough
def places(a: Author) -> bool:
    """Naturals: the place of the largest entry, or of all in order."""
    wires = [w for w in a.reals(1, raw=True) if all(a.sizes[x] for x in w.axes)]
    if not wires:
        return False
    wire = a.pick(wires)
    axis = a.pick(wire.axes)
    rest = [x for x in wire.axes if x != axis]
    name = a.wire()
    if a.chance(40):
        a.file.used.add("library:argsort")
        a.say(f"{name} = argsort[{axis}]({wire.name})")
        a.add(name, wire.axes, axis)
        return True
    op = a.pick(("argmax", "argmin"))
    a.file.used.add(f"reduce:{op}")
    a.say(f"{name}{bracket(rest)} = {op}[{axis}]({at(wire, wire.axes)})")
    a.add(name, rest, axis)
    return True


@rough
def complex_equation(a: Author) -> bool:
    axes = a.choose_axes(0, 3)
    value = complex_(a, set(axes), 2)
    if value is None:
        return False
    bound = value.bound
    text = value.text if bound <= 50 else f"{value.at(2)} / {bound:.0f}"
    name = a.wire()
    a.say(f"{name}{bracket(axes)} = {text}")
    a.add(name, axes, "complex", min(bound, 50.0))
    return True


@rough
def complex_sum(a: Author) -> bool:
    """A reduction or a contraction of complex numbers."""
    wires = [w for w in a.wires if w.kind == "complex" and w.axes]
    if not wires:
        return False
    wire = a.recent(wires)
    axis, rest = wire.axes[0], list(wire.axes[1:])
    text = at(wire, wire.axes)
    names = ["sum", "norm", "prod"] if wire.bound < 3 and a.sizes[axis] < 6 else ["sum", "norm"]
    names += ["mean"] if a.sizes[axis] else []
    op = a.pick(names)
    name = a.wire()
    reals = [w for w in a.reals(1) if axis in w.axes and set(w.axes) <= set(wire.axes)]
    if reals and a.chance(40):
        a.say(f"{name}{bracket(rest)} = {text} * {at(reals[-1], reals[-1].axes)} / 9")
        a.add(name, rest, "complex", 20.0)
        return True
    a.file.used.add(f"reduce:{op}")
    a.say(f"{name}{bracket(rest)} = {op}[{axis}]({text}) / 9")
    a.add(name, rest, "real" if op == "norm" else "complex", 20.0)
    return True


@rough
def cast(a: Author) -> bool:
    wires = a.reals()
    if not wires:
        return False
    wire = a.recent(wires)
    form = a.pick(FORMATS)
    name = a.wire()
    a.file.used.update(("cast", f"format:{form}"))
    if a.chance(50):
        a.say(f"{name} = cast[{form}]({wire.name})")
        a.add(name, wire.axes, bound=wire.bound, form=form)
    else:
        a.say(f"{name}{bracket(wire.axes)} = 1.5 * cast[{form}]({wire.name})")
        a.add(name, wire.axes, bound=2 * wire.bound, form=form)
    return True


# ---- declared wires ------------------------------------------------------------------------------


@feature
def scatter(a: Author) -> bool:
    """Rows added where naturals say, after an optional first equation."""
    lookups = [w for w in a.natural() if w.is_plain]
    if not lookups:
        return overlap(a)
    lookup = a.pick(lookups)
    v = lookup.kind
    if v[0] == "(" or (v in lookup.axes and a.chance(50)):
        return overlap(a)
    rest = [x for x in a.some(list(a.sizes), 0, 1) if x not in (v, *lookup.axes)]
    if not a.fits([v, *rest, *lookup.axes]):
        return False
    name = a.wire()
    a.say(f"{name}: {bracket([v, *rest])}")
    ops = ["+="] if a.smooth else ["+=", "*=", "max=", "min="]
    first = a.pick(("none", "=", "+="))
    if first != "none":
        value = tame(a, real(a, {v, *rest}, 1), 3)
        a.say(f"{name}{bracket([v, *rest])} {first} {value.text}")
        a.file.used.add(f"write:{first}")
    op = "+="
    for _ in range(a.random.randint(1, 2)):
        op = a.pick(ops)
        open_ = {*lookup.axes, *rest}
        value = tame(a, real(a, open_, 2), 2)
        a.say(f"{name}{bracket([at(lookup, lookup.axes), *rest])} {op} {value.text}")
        a.file.used.add(f"write:{op}")
    finite(a, name, [v, *rest], 2.0 ** min(2 * a.volume(lookup.axes), 60) + 9)
    return True


def finite(a: Author, name: str, axes: list[str], bound: float) -> None:
    """Entries that nothing wrote may be infinite, and products large."""
    made = a.wire()
    a.say(f"{made}{bracket(axes)} = tanh({at(Wire(name, tuple(axes)), axes)} / 5)")
    a.add(made, axes, bound=1.0)


@feature
def overlap(a: Author) -> bool:
    """A transposed convolution, or interleaved rows, or a row added to all."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    axis, rest = wire.axes[0], list(wire.axes[1:])
    size = a.sizes[axis]
    name = a.wire()
    source = at(wire, wire.axes)
    kind = a.pick(("interleave", "transposed", "backwards", "row", "quotient", "shifted"))
    a.file.used.add(f"scatter:{kind}")
    match kind:
        case "interleave":
            x = a.axis(2 * size)
            a.say(f"axis {x} = 2 * size({axis})")
            a.say(f"{name}: {bracket([*rest, x])}")
            a.say(f"{name}{bracket([*rest, f'2*{axis} + 1'])} = {source}")
            a.say(f"{name}{bracket([*rest, f'2*{axis}'])} = 2 * {source}")
            made = [*rest, x]
            a.file.used.add("write:=")
        case "transposed":
            j = a.declared(a.pick((2, 3, 1)))
            step = a.pick((1, 2))
            x = a.axis(step * size + a.sizes[j])
            a.say(f"axis {x} = {step} * size({axis}) + size({j})")
            a.say(f"{name}: {bracket([x, *rest])}")
            a.say(f"{name}{bracket([f'{step}*{axis} + {j}', *rest])} += {source} * ({j} + 1)")
            made = [x, *rest]
        case "backwards":
            a.say(f"{name}: {bracket(wire.axes)}")
            a.say(f"{name}{bracket([f'size({axis}) - 1 - {axis}', *rest])} = {source}")
            made = list(wire.axes)
        case "row":
            a.say(f"{name}: {bracket(wire.axes)}")
            a.say(f"{name}{bracket(wire.axes)} = {source}")
            a.say(f"{name}{bracket([f'{axis} // 2', *rest])} += 0.5 * {source}")
            made = list(wire.axes)
        case "quotient":
            y = a.declared(3)
            x = a.axis((size + 2) // 3)
            a.say(f"axis {x} = (size({axis}) + 2) // 3")
            a.say(f"{name}: {bracket([x, *rest, y])}")
            a.say(f"{name}{bracket([f'{axis} // 3', *rest, f'{axis} % 3'])} = {source}")
            made = [x, *rest, y]
        case _:
            x = a.axis(size + 1)
            op = "+=" if a.smooth else a.pick(("max=", "min=", "*=", "+="))
            a.say(f"axis {x} = size({axis}) + 1")
            a.say(f"{name}: {bracket([x, *rest])}")
            a.say(f"{name}{bracket([f'{axis} + 1', *rest])} {op} {source}")
            a.say(f"{name}{bracket([f'{axis} + 0', *rest])} {op} tanh({source})")
            a.file.used.add(f"write:{op}")
            made = [x, *rest]
    finite(a, name, made, 2 * wire.bound)
    return True


@rough
def histogram(a: Author) -> bool:
    """Declared wires of naturals, booleans and complex numbers."""
    lookups = [w for w in a.natural() if len(w.axes) == 1]
    if not lookups:
        return False
    lookup = a.pick(lookups)
    n, v = lookup.axes[0], lookup.kind
    name = a.wire()
    kinds = ["naturals", "booleans", "complex"]
    kind = a.pick(kinds)
    a.file.used.add(f"scatter:{kind}")
    if kind == "naturals":
        a.say(f"{name}: N({v})[{n}]")
        a.say(f"{name}[{n}] {a.pick(('max=', 'min=', '+='))} {at(lookup, (n,))}")
        a.add(name, [n], v)
        return True
    if kind == "booleans":
        a.say(f"{name}: B[{n}]")
        a.say(f"{name}[size({n}) - 1 - {n}] = {at(lookup, (n,))} > {n}")
        a.add(name, [n], "bool")
        return True
    value = complex_(a, {n}, 0)
    if value is None:
        return False
    a.say(f"{name}: C[{v}]")
    a.say(f"{name}[{at(lookup, (n,))}] += {value.text}")
    a.add(name, [v], "complex", value.bound * max(a.sizes[n], 1))
    return True
