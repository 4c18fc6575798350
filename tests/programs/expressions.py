"""Random expressions over the wires in scope, of kinds and axes that fit by construction."""

from __future__ import annotations

from collections.abc import Sequence

from .author import Author, Expr, Wire, atoms, bracket

SMOOTH = ("tanh", "sin", "cos", "sigmoid", "erf", "gelu", "silu", "softplus", "gelu_tanh", "mish")
KINKED = (
    "relu", "abs", "elu", "leaky_relu", "leaky_relu[0.2]", "elu[alpha = 0.5]", "selu", "relu6",
    "hardswish", "hardsigmoid", "clamp[-1, 0.5]",
)  # fmt: skip
BOUNDED = {"tanh", "sin", "cos", "sigmoid", "erf", "hardsigmoid", "clamp[-1, 0.5]"}
SQUARED = ("sqrt", "log", "log1p", "rsqrt", "log2", "log10")
STEPS = ("floor", "ceil", "round", "sign")
NUMBERS = (("0.5", 0.5), ("2", 2), ("1.5", 1.5), ("3", 3), ("1e-1", 0.1), ("pi", 3.2))
LIMIT = 20.0


def tame(a: Author, value: Expr, limit: float = LIMIT) -> Expr:
    """The value itself, or a bounded function of it where it may be large."""
    if value.bound <= limit:
        return value
    return Expr(f"{a.pick(('tanh', 'sin', 'sigmoid', 'erf'))}({value.text})", 1.0)


# ---- reads ---------------------------------------------------------------------------------------


def readable(a: Author, open_: set[str], kind: str = "real", raw: bool = False) -> list[Wire]:
    return [
        w
        for w in a.wires
        if w.kind == kind and open_.issuperset(w.atoms) and (w.raw or not raw)
        and not (w.form and (raw or a.smooth))
    ]  # fmt: skip


def at(wire: Wire, indices: Sequence[str]) -> str:
    return f"{wire.name}{bracket(indices)}"


def read(a: Author, wire: Wire, open_: set[str], plain: bool = False) -> Expr:
    """A read of the wire: as it is, with its axes, or with an index of another kind.

    What is computed in a short format is rounded at each step, so its values are widened first.
    """
    if wire.form:
        return Expr(f"cast[f64]({at(wire, wire.axes)})", wire.bound)
    if not plain and wire.is_plain and a.chance(20):
        return Expr(wire.name, wire.bound)
    text = at(wire, wire.axes)
    if plain or not wire.axes or not a.chance(30):
        return Expr(text, wire.bound)
    place = a.random.randint(0, len(wire.axes) - 1)
    return Expr(indexed(a, wire, place, open_), max(wire.bound, 1.0))


def indexed(a: Author, wire: Wire, place: int, open_: set[str]) -> str:
    """A read whose index at one place is no plain axis, and which stays inside."""
    axis = wire.axes[place]
    size = f"size({axis})"

    def put(index: str) -> str:
        return at(wire, (*wire.axes[:place], index, *wire.axes[place + 1 :]))

    fill = a.pick(("0", "0.5", "-1")) if wire.kind in ("real", "complex") else "0"
    if axis[0] == "(":
        parts = atoms((axis,))
        flat = " + ".join(
            [*(f"{'*'.join(f'size({q})' for q in parts[n + 1 :])}*{p}"
               for n, p in enumerate(parts[:-1])), parts[-1]]
        )  # fmt: skip
        return put(flat)
    choices = [
        ("reversed", put(f"{size} - 1 - {axis}")),
        ("quotient", put(f"{axis} // {a.pick((2, 3))}")),
        ("remainder", put(f"{axis} % {a.pick((2, 3))}")),
    ]
    step = a.pick((1, 2))
    if wire.kind in ("real", "complex"):
        choices += [
            ("earlier", f"where({axis} >= {step}, {put(f'{axis} - {step}')}, {fill})"),
            ("later", f"where({axis} + {step} < {size}, {put(f'{axis} + {step}')}, {fill})"),
            ("twice", f"where(2*{axis} < {size}, {put(f'2*{axis}')}, {fill})"),
            ("first", f"where({size} > {step}, {put(str(step))}, {fill})"),
        ]
        others = [o for o in sorted(open_) if o not in wire.axes]
        for other in others:
            if a.sizes[other] == a.sizes[axis]:
                choices.append(("equal", put(other)))
            choices.append(("prefix", f"where({other} < {size}, {put(f'{other} + 0')}, {fill})"))
        for same in wire.axes:
            if same != axis and a.size(same) == a.size(axis) and same[0] != "(":
                choices += [("diagonal", put(same))] * 2
    for lookup in a.natural():
        if lookup.kind == axis and open_.issuperset(lookup.atoms):
            place_ = at(lookup, lookup.axes)
            back = f"{size} - 1 - {place_}"
            choices += [("gather", put(place_)), ("gather", put(a.pick((f"{place_} // 2", back))))]
    name, text = a.pick(choices)
    a.file.used.add(f"index:{name}")
    return text


# ---- reals ---------------------------------------------------------------------------------------


def leaf(a: Author, open_: set[str]) -> Expr:
    wires = readable(a, open_)
    if wires and a.chance(80):
        return read(a, a.recent(wires), open_)
    number, bound = a.pick(NUMBERS)
    choices = [Expr(number, bound)]
    for axis in sorted(open_):
        size = a.sizes[axis]
        choices += [Expr(axis, size), Expr(f"({axis} // 2)", size), Expr(f"({axis} % 3)", 3.0)]
        choices.append(Expr(f"size({axis})", size))
    if len(open_) > 1:
        one, two = a.some(sorted(open_), 2, 2)
        size = a.sizes[one] * a.sizes[two]
        choices.append(Expr(f"size(({one} {two}))", size))
    choices += [Expr(name, abs(value)) for name, value in a.consts.items()]
    for wire in a.wires:
        if wire.kind not in ("real", "complex") and open_.issuperset(wire.atoms):
            bound = 1.0 if wire.kind == "bool" else a.size(wire.kind)
            inner = at(wire, wire.axes)
            choices += [Expr(f"real({inner})", bound)] * 2
            if wire.kind != "bool":
                choices.append(Expr(f"real(({inner} + 3) // 2 % 2 * {inner})", bound))
    return a.pick(choices)


def raw_read(a: Author, open_: set[str]) -> Expr | None:
    """A read of an input, whose entries do not tie and are near no whole number."""
    wires = readable(a, open_, raw=True)
    if not wires or a.smooth:
        return None
    wire = a.pick(wires)
    return Expr(at(wire, wire.axes), wire.bound)


def real(a: Author, open_: set[str], depth: int) -> Expr:
    """An expression whose axes are among `open_`."""
    if depth == 0 or a.chance(12):
        return leaf(a, open_)
    makers = [sum_, product_, function, quotient, power, choice, extreme, elementwise]
    further = [x for x in a.sizes if x not in open_]
    if further and a.fits(open_):
        makers += [contraction, contraction, reduction, reduction]
    elif open_:
        makers += [reduction]
    if a.chance(10) and not a.smooth:
        makers = [steps, magnitude]
    return tame(a, a.pick(makers)(a, open_, depth - 1))


def sum_(a: Author, open_: set[str], depth: int) -> Expr:
    one, two = real(a, open_, depth), real(a, open_, depth)
    if a.chance(15):
        return Expr(f"-{one.at(3)}", one.bound, 2)
    if a.chance(50):
        return Expr(f"{one.at(1)} + {two.at(1)}", one.bound + two.bound, 1)
    return Expr(f"{one.at(1)} - {two.at(2)}", one.bound + two.bound, 1)


def product_(a: Author, open_: set[str], depth: int) -> Expr:
    one, two = real(a, open_, depth), real(a, open_, depth)
    return Expr(f"{one.at(2)} * {two.at(3)}", one.bound * two.bound, 2)


def quotient(a: Author, open_: set[str], depth: int) -> Expr:
    one, two = real(a, open_, depth), real(a, open_, depth)
    below = f"(2 + {two.at(4)}^2)" if a.smooth or a.chance(50) else f"(1.5 + abs({two.text}))"
    return Expr(f"{one.at(2)} / {below}", one.bound, 2)


def power(a: Author, open_: set[str], depth: int) -> Expr:
    inner = real(a, open_, depth)
    match a.random.randint(0, 3):
        case 0:
            return Expr(f"{inner.at(4)}^2", inner.bound**2, 3)
        case 1:
            return Expr(f"{inner.at(4)}^3", inner.bound**3, 3)
        case 2:
            return Expr(
                f"(1 + {inner.at(4)}^2)^{a.pick(('0.5', '-1', '-0.5'))}", inner.bound + 1, 3
            )
        case _:
            return Expr(f"2^{tame(a, inner, 3).at(4)}", 8.0, 3)


def function(a: Author, open_: set[str], depth: int) -> Expr:
    inner = real(a, open_, depth)
    match a.random.randint(0, 5):
        case 0:
            name = a.pick(("exp", "expm1", "sinh", "cosh"))
            return Expr(f"{name}({tame(a, inner, 3).text})", 20.0)
        case 1:
            name = a.pick(SQUARED)
            return Expr(f"{name}(1 + {inner.at(4)}^2)", inner.bound + 1)
        case 2:
            return Expr(f"tan({tame(a, inner, 1).text})", 1.6)
        case 3:
            two = real(a, open_, depth)
            name = a.pick(("swiglu", "geglu") if a.smooth else ("swiglu", "geglu", "logaddexp"))
            return Expr(f"{name}({inner.text}, {two.text})", (inner.bound + 1) * (two.bound + 1))
        case 4:
            return Expr(
                f"{a.pick(('log_sigmoid', 'logit'))}(sigmoid({inner.text}))", inner.bound + 1
            )
        case _:
            name = a.pick(SMOOTH if a.smooth else (*SMOOTH, *KINKED))
            bound = 1.0 if name in BOUNDED else 1.8 * inner.bound + 1
            return Expr(f"{name}({inner.text})", bound)


def steps(a: Author, open_: set[str], depth: int) -> Expr:
    """Functions that jump, of what is surely near no jump."""
    inner = raw_read(a, open_)
    if inner is None:
        return sum_(a, open_, depth)
    match a.random.randint(0, 2):
        case 0:
            return Expr(f"{a.pick(STEPS)}(3 * {inner.text} + 0.37)", 8.0)
        case 1:
            return Expr(f"(3 * {inner.text} + 0.37) % 1.5", 1.5, 2)
        case _:
            return Expr(f"(3 * {inner.text} + 0.37) // 1.5", 5.0, 2)


def magnitude(a: Author, open_: set[str], depth: int) -> Expr:
    """A real of a complex number."""
    inner = complex_(a, open_, depth)
    if inner is None:
        return sum_(a, open_, depth)
    a.file.used.add("magnitude")
    return Expr(f"abs({inner.text})", inner.bound)


def choice(a: Author, open_: set[str], depth: int) -> Expr:
    test = truth(a, open_, 1)
    one, two = real(a, open_, depth), real(a, open_, depth)
    return Expr(f"where({test}, {one.text}, {two.text})", max(one.bound, two.bound))


def extreme(a: Author, open_: set[str], depth: int) -> Expr:
    one, two = real(a, open_, depth), real(a, open_, depth)
    if a.smooth:
        return Expr(f"{one.at(1)} + {two.at(1)}", one.bound + two.bound, 1)
    return Expr(f"{a.pick(('max', 'min'))}({one.text}, {two.text})", max(one.bound, two.bound))


def elementwise(a: Author, open_: set[str], depth: int) -> Expr:
    """A diagram of the file on scalars."""
    if not a.file.helpers:
        return function(a, open_, depth)
    name, count, bound = a.pick(a.file.helpers)
    arguments = ", ".join(tame(a, real(a, open_, depth), 3).text for _ in range(count))
    return Expr(f"{name}({arguments})", bound)


# ---- over further axes ---------------------------------------------------------------------------


def contraction(a: Author, open_: set[str], depth: int) -> Expr:
    """A product of factors in which further axes occur twice."""
    bound_axes = a.some([x for x in a.sizes if x not in open_], 1, 2)
    if a.bare:
        return sum_(a, open_, depth)
    if not a.fits([*open_, *bound_axes]):
        return sum_(a, open_, depth)
    wires = [
        w
        for w in readable(a, open_ | set(bound_axes))
        if set(w.axes) & set(bound_axes) and w.is_plain and not w.form
    ]
    counts = dict.fromkeys(bound_axes, 0)
    chosen: list[Wire] = []
    for _ in range(4):
        lacking = [w for w in wires if any(counts[x] < 2 for x in w.axes if x in counts)]
        if not lacking:
            break
        wire = a.pick(lacking)
        chosen.append(wire)
        for x in wire.axes:
            if x in counts:
                counts[x] += 1
    if not chosen or any(0 < n < 2 for n in counts.values()):
        return sum_(a, open_, depth)
    a.file.used.add("contraction")
    factors = [factor(a, wire, open_) for wire in chosen]
    bound = 1.0
    for each in factors:
        bound *= each.bound
    for x, n in counts.items():
        bound *= a.sizes[x] if n else 1
    text = " * ".join(each.at(3) for each in factors)
    if a.chance(20):
        number, _ = a.pick(NUMBERS)
        text, bound = f"{text} {a.pick('*/')} {number}", bound * 10
    return Expr(text, bound, 2)


def factor(a: Author, wire: Wire, open_: set[str]) -> Expr:
    text = at(wire, wire.axes)
    match a.random.randint(0, 5):
        case 0:
            return Expr(f"({text} + {a.pick(NUMBERS)[0]})", wire.bound + 3)
        case 1:
            return Expr(f"{a.pick(('tanh', 'sin', 'sigmoid'))}({text})", 1.0)
        case 2 if not a.smooth and wire.axes:
            axis = wire.axes[0]
            turned = (f"size({axis}) - 1 - {axis}", *wire.axes[1:])
            return Expr(at(wire, turned), wire.bound)
        case _:
            return Expr(text, wire.bound)


def reduction(a: Author, open_: set[str], depth: int) -> Expr:
    """A reduction of an expression that has the reduced axes."""
    wires = [w for w in a.reals(1) if any(x not in open_ for x in w.axes) or a.chance(15)]
    if not wires:
        return sum_(a, open_, depth)
    wire = a.recent(wires)
    bound_axes = [x for x in wire.axes if x not in open_] or [wire.axes[0]]
    if not a.fits([*open_, *bound_axes]):
        return sum_(a, open_, depth)
    count = 1
    for x in bound_axes:
        count *= a.sizes[x]
    names = ["sum", "logsumexp"]
    if count > 0:
        names += ["mean", "variance"] if a.smooth else ["mean", "max", "min", "variance"]
    if not a.smooth:
        names += ["norm", "maxi", "mini"]
    if count <= 12 and wire.bound <= 2.5:
        names.append("prod")
    name = a.pick(names)
    body = Expr(at(wire, wire.axes), wire.bound)
    if name not in ("variance", "prod") and a.chance(60):
        other = real(a, open_ | set(bound_axes), min(depth, 1))
        joined = a.pick(("+", "*"))
        bound = body.bound + other.bound if joined == "+" else body.bound * other.bound
        body = Expr(f"{body.text} {joined} {other.at(3)}", bound)
    setting = ""
    if name in ("maxi", "mini"):
        endless = ("-inf",) if name == "maxi" else ("inf",)
        name = name[:-1]
        setting = f", initial = {a.pick(('-1', '0.5', *(endless if count else ())))}"
    a.file.used.add(f"reduce:{name}")
    axes = " ".join(bound_axes)
    # A reduction over nothing at all gives -inf.
    text = f"{name}[{axes}{setting}]({body.text})"
    if name == "logsumexp" and count == 0:
        text, name = f"exp({text})", "exp"
    bound = {
        "sum": body.bound * max(count, 1),
        "prod": body.bound ** max(count, 1) if count <= 12 else 1e9,
        "norm": body.bound * max(count, 1),
        "variance": body.bound**2,
    }.get(name, body.bound + 3)
    return Expr(text, bound)


# ---- booleans and complex numbers ----------------------------------------------------------------


def truth(a: Author, open_: set[str], depth: int) -> str:
    """A condition, none of whose comparisons is nearly equal."""
    sign = a.pick(("<", "<=", ">", ">=", "==", "!="))
    choices = [f"{a.pick((1, 2, 3))} {sign} 2"]
    for axis in sorted(open_):
        choices += [f"{axis} {sign} {a.pick((1, 2, 0))}", f"{axis} % 2 {sign} 0"]
        choices.append(f"2 * {axis} {sign} size({axis})")
    if len(open_) > 1:
        one, two = a.some(sorted(open_), 2, 2)
        choices += [f"{one} {sign} {two}", f"{one} - {two} {sign} 1"]
    if not a.smooth:
        inner = raw_read(a, open_)
        if inner is not None:
            choices += [f"{inner.text} {a.pick('<>')} {a.pick(('0.3', '-0.5', '1'))}"] * 2
    for wire in a.wires:
        if open_.issuperset(wire.atoms) and wire.kind not in ("real", "complex"):
            inside = at(wire, wire.axes)
            choices += [
                inside if wire.kind == "bool" else f"{inside} {sign} {a.pick((0, 1, 2))}"
            ] * 2
    for wire in a.wires:
        if wire.kind == "bool" and len(wire.axes) and wire.is_plain and not open_ & set(wire.axes):
            a.file.used.update(("reduce:any", "reduce:all"))
            choices.append(f"{a.pick(('any', 'all'))}{bracket(wire.axes)}({wire.name})")
    if depth:
        one, two = truth(a, open_, depth - 1), truth(a, open_, depth - 1)
        choices += [f"({one} {a.pick(('and', 'or'))} {two})", f"not ({one})", f"not {two}"]
    return a.pick(choices)


def complex_(a: Author, open_: set[str], depth: int) -> Expr | None:
    """An expression of complex numbers; None where no wire has any."""
    wires = readable(a, open_, "complex")
    if not wires:
        return None
    wire = a.recent(wires)
    here = read(a, wire, open_)
    if depth == 0:
        return here
    other = complex_(a, open_, depth - 1) or here
    match a.random.randint(0, 6):
        case 0:
            return Expr(f"({here.text} + {other.text})", here.bound + other.bound)
        case 1:
            number = real(a, open_, 1)
            return Expr(f"{here.text} * {number.at(3)}", here.bound * number.bound, 2)
        case 2:
            return Expr(f"({here.text} * {other.text} - {here.text})", here.bound * other.bound)
        case 3:
            return Expr(f"{here.text} / (2 + abs({other.text}))", here.bound, 2)
        case 4:
            return Expr(f"exp(-{here.text} / 3)", 4.0)
        case 5:
            test = truth(a, open_, 1)
            return Expr(f"where({test}, {here.text}, {other.text})", here.bound + other.bound)
        case _:
            return here
