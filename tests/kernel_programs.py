"""Random programs of the kind that streams: attentions of random form, norms, gates, scans."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import torch

from ncdlang.semantics.program import CheckedDiagram

LENGTHS = (1, 2, 5, 16, 19, 37)
WIDTHS = (1, 3, 8, 13, 17, 20)
FORMATS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A program `f`, the sizes it is tried at, its format and the leading axes it is lifted by.

    `streams` says that its kind has a kernel whatever was drawn.
    """

    text: str
    sizes: Mapping[str, int]
    dtype: str
    lead: tuple[int, ...]
    streams: bool
    derived: str


@dataclass(slots=True)
class Author:
    """Writes one program; arrays of the signature have their axes in random order."""

    pick: Random
    inputs: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    has_products: bool = False

    def chance(self, part: float) -> bool:
        return self.pick.random() < part

    def some(self, axes: list[str], part: float = 0.7) -> list[str]:
        return [axis for axis in axes if self.chance(part)]

    def shuffled(self, axes: list[str]) -> list[str]:
        return self.pick.sample(axes, len(axes))

    def array(self, name: str, axes: list[str], kind: str = "") -> str:
        """A new input, and a read of it."""
        order = self.shuffled(axes)
        self.inputs.append(f"{name}: {kind}[{' '.join(order)}]")
        return f"{name}[{' '.join(order)}]"

    def size(self, axis: str, choices: tuple[int, ...], empty: float = 0.0) -> None:
        self.sizes[axis] = 0 if self.chance(empty) else self.pick.choice(choices)

    def text(self, result: list[str], free: str = "") -> str:
        body = "\n".join(f"  {line}" for line in self.lines)
        listed = ", ".join(self.inputs)
        return f"diagram f{free}({listed}) -> [{' '.join(result)}] {{\n{body}\n}}\n"

    def drawn(self, text: str, streams: bool, uses: str = "") -> Drawn:
        dtype = self.pick.choices(("f32", "bf16", "f16"), (7, 2, 1))[0]
        lead = self.pick.choices(((), (2,), (2, 1)), (8, 1, 1))[0]
        if math.prod(self.sizes[axis] for axis in "bghr" if axis in self.sizes) > 4:
            lead = ()
        derived = self.pick.choice(("true", "auto"))
        return Drawn(uses + text, dict(self.sizes), dtype, lead, streams, derived)


# ---- scores --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Scores:
    """The scores of an attention over batch axes, rows q and the streamed axis x."""

    author: Author
    batch: list[str]
    rows: list[str]
    count: int = 0

    def axes(self) -> list[str]:
        return [*self.batch, *self.rows, "x"]

    def write(self, name: str) -> str:
        """Write an equation of scores; the read of them."""
        author = self.author
        self.count += 1
        order = author.shuffled(self.axes())
        made = self.product(str(self.count))
        for _ in range(author.pick.choice((0, 0, 1, 1, 2))):
            made += self.bias()
        if author.chance(0.2):
            cap = author.pick.choice(("3", f"{self.scalar('cap')}"))
            raw = f"{name}0"
            author.lines.append(f"{raw}[{' '.join(order)}] = {made}")
            made = f"({cap} * {cap} + 1) * tanh({raw} / ({cap} * {cap} + 1))"
        author.lines.append(f"{name}[{' '.join(order)}] = {made}")
        return f"{name}[{' '.join(order)}]"

    def scalar(self, stem: str) -> str:
        """An input of at most one batch axis: a slope, a temperature."""
        author = self.author
        axes = author.some(self.batch, 0.5)
        self.count += 1
        return author.array(f"{stem}{self.count}", axes)

    def product(self, mark: str) -> str:
        author = self.author
        form = author.pick.choices(
            ("dot", "weighted", "distance", "cosine", "added", "mapped"), (10, 2, 2, 2, 2, 2)
        )[0]
        # Something carries every axis of the result.
        query = [*author.some(self.batch, 0.9 if self.count > 1 else 1), *self.rows, "k"]
        key = [*author.some(self.batch, 0.7), "x", "k"]
        self.author.has_products |= form != "added"
        if form == "added":
            left = author.array(f"A{mark}", query[:-1])
            return f"{left} + {author.array(f'B{mark}', key[:-1])}"
        left, right = author.array(f"Q{mark}", query), author.array(f"K{mark}", key)
        if form == "mapped":
            call = author.pick.choice(("relu({})", "exp({} / 2)", "({} + 1)", "abs({})"))
            left, right = call.format(left), call.format(right)
        if form == "cosine":
            left = self.unit(f"U{mark}", left, query)
            right = self.unit(f"W{mark}", right, key)
        made = f"{left} * {right}"
        if form == "weighted":
            made += f" * {author.array(f'w{mark}', ['k', *author.some(self.batch, 0.3)])}"
        made += author.pick.choice((" / sqrt(size(k))", " / 4", "", " * 0.5"))
        if author.chance(0.25):
            made += f" * {self.scalar('t')}"
        if form == "distance":
            short = [axis for axis in key if axis != "k"]
            author.lines.append(f"n{mark}[{' '.join(short)}] = sum[k]({right}^2)")
            made += f" - n{mark}[{' '.join(short)}] / 4"
        return made

    def unit(self, name: str, read: str, axes: list[str]) -> str:
        order = self.author.shuffled(axes)
        listed = " ".join(order)
        self.author.lines.append(f"{name}[{listed}] = {read} / (norm[k]({read}) + 0.1)")
        return f"{name}[{listed}]"

    def bias(self) -> str:
        author = self.author
        self.count += 1
        mark = f"b{self.count}"
        rows = self.rows
        kinds = [[*rows, "x"], ["x"], rows, [*self.batch, *rows, "x"], self.batch, []]
        form = author.pick.choice(("array", "array", "slope", "place"))
        sign = author.pick.choice(("+", "-"))
        if form == "slope" and rows:
            return f" {sign} {self.scalar('s')} * (x - {rows[0]})"
        if form == "place" and rows:
            first = rows[0]
            author.inputs.append(f"{mark}: [w{mark}]")
            author.lines.insert(0, f"assert size(w{mark}) == size({first}) + size(x)")
            author.sizes[f"w{mark}"] = author.sizes[first] + author.sizes["x"]
            return f" {sign} {mark}[{first} - x + size(x) - 1 + 0]"
        return f" {sign} {author.array(mark, author.pick.choice(kinds))}"


def mask(author: Author, batch: list[str], rows: list[str]) -> str:
    """A random condition on a row and an index of the streamed axis."""
    pick = author.pick
    q = rows[0] if rows else "3"
    count = len(author.inputs)
    atoms = [
        f"x <= {q}",
        f"x <= {q} + {pick.randint(-3, 9)}",
        f"x >= {q}",
        f"{q} - x < {pick.randint(1, 20)}",
        f"x // {pick.choice((4, 7, 16))} <= {q} // {pick.choice((4, 7, 16))}",
        f"({q} - x) % {pick.randint(2, 4)} == 0",
        f"x < {pick.randint(1, 12)}",
        f"2 * x <= {q} + 5",
        f"x != {q}",
    ]
    made: list[str] = []
    for number in range(pick.choice((1, 1, 2, 2, 3))):
        form = pick.random()
        name = f"M{count}{number}"
        if form < 0.1 and rows:
            made.append(author.array(name, [*author.some(batch, 0.3), *rows, "x"], "B"))
        elif form < 0.2 and author.sizes["x"]:
            made.append(f"x < {author.array(name, author.some([*batch, *rows], 0.5), 'N(x)')}")
        elif form < 0.3 and rows:
            left = author.array(f"{name}a", [*author.some(batch, 0.3), rows[0]], "N(k)")
            made.append(f"{left} == {author.array(f'{name}b', ['x'], 'N(k)')}")
        else:
            made.append(pick.choice(atoms))
        if author.chance(0.15):
            made[-1] = f"not ({made[-1]})"
    while len(made) > 1:
        made[-2:] = [f"({made[-2]} {pick.choice(('and', 'and', 'or'))} {made[-1]})"]
    return made[0]


# ---- normalisers ---------------------------------------------------------------------------------


def _softmax(author: Author, s: str, order: str, name: str, hidden: str) -> str:
    body = f"where({hidden}, {s}, -inf)" if hidden else s
    author.lines.append(f"{name}[{order}] = softmax[x]({body})")
    return ""


def _by_equations(divisor: str) -> Callable[[Author, str, str, str, str], str]:
    """exp(s - m) over what `divisor` makes of its sum: the maximum is one of all scores."""

    def write(author: Author, s: str, order: str, name: str, hidden: str) -> str:
        own = " ".join(axis for axis in order.split() if axis != "x")
        body = f"exp({s} - m{name}[{own}])"
        author.lines += [
            f"m{name}[{own}] = max[x]({s})",
            f"E{name}[{order}] = {f'where({hidden}, {body}, 0)' if hidden else body}",
        ]
        given = divisor.format(e=f"E{name}[{order}]", m=f"m{name}[{own}]")
        author.lines.append(f"{name}[{order}] = E{name}[{order}] / ({given})")
        return ""

    return write


def _without_maximum(form: str) -> Callable[[Author, str, str, str, str], str]:
    """What is a function of scores alone, hidden ones 0."""

    def write(author: Author, s: str, order: str, name: str, hidden: str) -> str:
        body = f"where({hidden}, {s}, 0)" if hidden else s
        author.lines.append(f"H{name}[{order}] = {body}")
        author.lines.append(f"{name}[{order}] = {form.format(s=f'H{name}[{order}]')}")
        return ""

    return write


NORMALISERS: dict[str, Callable[[Author, str, str, str, str], str]] = {
    "softmax": _softmax,
    "plus_one": _by_equations("exp(-{m}) + sum[x]({e})"),
    "softmax_spelled": _by_equations("sum[x]({e}) + 0.25"),
    "root_of_squares": _by_equations("sqrt(sum[x]({e}^2) + 0.1)"),
    "l1": _without_maximum("{s} / (sum[x](abs({s})) + 0.1)"),
    "l2": _without_maximum("{s} / sqrt(sum[x]({s}^2) + 0.1)"),
    "spherical": _without_maximum("where(sum[x]({s}^2) > 0, {s} / norm[x]({s}), 0)"),
    "sigmoid": _without_maximum("sigmoid({s})"),
    "squared_relu": _without_maximum("relu({s})^2 / (sum[x](relu({s})^2) + 1)"),
    "relu": _without_maximum("relu({s}) / size(x)"),
    "linear": _without_maximum("{s}"),
    "polynomial": _without_maximum("(1 + {s})^2 / (sum[x]((1 + {s})^2) + 1)"),
    "softplus": _without_maximum("log(1 + exp({s}))"),
    "gelu": _without_maximum("gelu({s})"),
}
ALWAYS = ("softmax", "softmax_spelled", "root_of_squares", "l1", "sigmoid", "squared_relu")


def attention(author: Author) -> Drawn:
    """Scores, a mask, one or two normalisers and values, with what comes before and after."""
    pick = author.pick
    batch = pick.choice(([], [], ["h"], ["h"], ["b", "h"], ["g", "h", "b"]))
    rows = pick.choices((["q"], ["q", "r"], []), (12, 2, 1))[0]
    for axis in batch:
        author.size(axis, (1, 2, 3) if len(batch) < 3 else (1, 2), 0.02)
    for axis in rows:
        author.size(axis, LENGTHS if axis == "q" else (1, 2, 3), 0.03)
    author.size("x", LENGTHS)
    author.size("k", WIDTHS)
    author.size("e", WIDTHS, 0.02)
    scores = Scores(author, batch, rows)
    kinds = pick.choices(list(NORMALISERS), [4, *[1] * (len(NORMALISERS) - 1)], k=2)
    kinds = kinds if author.chance(0.15) else kinds[:1]
    hidden = mask(author, batch, rows) if author.chance(0.6) else ""
    reads: list[str] = []
    for number, kind in enumerate(kinds):
        s = scores.write(f"S{number}")
        order = s.partition("[")[2].rstrip("]")
        NORMALISERS[kind](author, s, order, f"P{number}", hidden)
        reads.append(f"P{number}[{order}]")
    weight = reads[0]
    if len(reads) > 1:
        form = pick.choice(("{} - {}", "{} * {}", "{} - 0.5 * {}"))
        axes = " ".join(scores.axes())
        author.lines.append(f"D[{axes}] = {form.format(*reads)}")
        weight = f"D[{axes}]"
    values = [*author.some(batch, 0.7), "x", "e"]
    made = f"{weight} * {author.array('V', values)}"
    if author.chance(0.15):
        made += f" * {author.array('G', ['x', *author.some(batch, 0.3)])}"
    result = author.shuffled([*batch, *rows, "e"])
    return author.drawn(
        _finished(author, made, result),
        any(kind in ALWAYS for kind in kinds) and bool(rows) and author.has_products,
    )


def _finished(author: Author, made: str, result: list[str]) -> str:
    """The result, with what is done to it entry by entry."""
    order = author.shuffled(result)
    author.lines.append(f"O[{' '.join(order)}] = {made}")
    value = f"O[{' '.join(order)}]"
    form = author.pick.choice(("", "", "", "gate", "residual", "pointwise", "scale"))
    if form == "gate":
        value = f"{value} * sigmoid({author.array('Z', result)})"
    elif form == "residual":
        value = f"{value} + {author.array('R', result)}"
    elif form == "pointwise":
        value = f"tanh({value})"
    elif form == "scale":
        value = f"{value} * {author.array('z', author.some(result, 0.4))} + 0.5"
    author.lines.append(f"return Y[{' '.join(result)}] = {value}")
    return author.text(result)


# ---- everything else -----------------------------------------------------------------------------


def normalised(author: Author) -> Drawn:
    """A norm of random form, then a linear map."""
    batch = author.some(["b"], 0.4)
    for axis, choices in (("b", (1, 3)), ("t", LENGTHS), ("m", LENGTHS), ("p", WIDTHS)):
        author.size(axis, choices)
    read = author.array("X", [*batch, "t", "m"])
    own = " ".join([*batch, "t"])
    weight = author.array("g", ["m"]) if author.chance(0.5) else "1"
    other = author.array("W", author.shuffled(["m", "p"]))
    form = author.pick.choice(
        (
            f"{read} * ({weight}) / sqrt(mean[m]({read}^2) + 1e-6)",
            f"d[{own} m] * ({weight}) / sqrt(mean[m](d[{own} m]^2) + 1e-5)",
            f"{read} * ({weight}) / (norm[m]({read}) + 0.1)",
            f"{read} * ({weight}) / (mean[m](abs({read})) + 0.1)",
            f"exp({read}) * ({weight}) / sum[m](exp({read}))",
        )
    )
    if form.startswith("d["):
        author.lines.append(f"d[{own} m] = {read} - mean[m]({read})")
    author.lines.append(f"N[{own} m] = {form}")
    return author.drawn(
        _finished(author, f"N[{own} m] * {other}", [*batch, "t", "p"]), streams=True
    )


def gated(author: Author) -> Drawn:
    """Two linear maps of one array and a function of both."""
    for axis, choices in (("b", (1, 3)), ("t", LENGTHS), ("m", LENGTHS), ("p", WIDTHS)):
        author.size(axis, choices)
    batch = author.some(["b"], 0.4)
    read = author.array("X", [*batch, "t", "m"])
    own = " ".join([*batch, "t", "p"])
    for name in "AB":
        author.lines.append(f"{name}[{own}] = {read} * {author.array(f'W{name}', ['m', 'p'])}")
    call = author.pick.choice(("silu", "gelu", "sigmoid", "relu", "tanh"))
    author.lines.append(f"return Y[{own}] = {call}(A[{own}]) * B[{own}]")
    return author.drawn(author.text([*batch, "t", "p"]), streams=True)


def rowwise(author: Author) -> Drawn:
    """Statistics of scores: log of a sum of exponentials, cross-entropy, a mean of a function."""
    for axis, choices in (("n", LENGTHS), ("v", LENGTHS), ("m", WIDTHS)):
        author.size(axis, choices)
    left, right = author.array("X", ["n", "m"]), author.array("W", ["v", "m"])
    author.lines.append(f"Z[n v] = {left} * {right} / sqrt(size(m))")
    scores = "Z[n v]"
    if author.chance(0.3):
        author.lines.append(f"C[n v] = 5 * tanh(Z[n v] / 5) + {author.array('c', ['v'])}")
        scores = "C[n v]"
    form = author.pick.choice(
        (
            f"logsumexp[v]({scores})",
            f"logsumexp[v]({scores}) - {scores[0]}[n, {author.array('T', ['n'], 'N(v)')}]",
            f"mean[v](sigmoid({scores}))",
            f"max[v]({scores}) - logsumexp[v]({scores})",
            f"sum[v](exp({scores} / 2) * {author.array('u', ['v'])})",
        )
    )
    author.lines.append(f"return y[n] = {form}")
    return author.drawn(author.text(["n"]), streams=False)


def scanned(author: Author) -> Drawn:
    """A linear recurrence of random form."""
    for axis, choices in (("t", LENGTHS), ("d", WIDTHS), ("b", (1, 3))):
        author.size(axis, choices)
    axes = [*author.some(["b"], 0.4), "t", "d"]
    x, a = author.array("X", axes), author.array("A", axes)
    start = f"H0[{' '.join(x for x in axes if x != 't')}]"
    before = f"H[{', '.join('t - 1' if x == 't' else x for x in axes)}]"
    begin = author.pick.choice(("0", "1", start))
    if begin == start:
        author.inputs.append(f"H0: [{' '.join(x for x in axes if x != 't')}]")
    factor = author.pick.choice((f"sigmoid({a})", f"tanh({a})", f"exp(-abs({a}))", "0.9"))
    scale = author.pick.choice(("", f"(1 - {factor}) * ", f"{a} * "))
    own = " ".join(axes)
    author.lines.append(f"H[{own}] = {factor} * where(t > 0, {before}, {begin}) + {scale}{x}")
    result = author.shuffled(axes)
    after = author.pick.choice((f"H[{own}]", f"tanh(H[{own}])", f"H[{own}] * {x}"))
    author.lines.append(f"return Y[{' '.join(result)}] = {after}")
    return author.drawn(author.text(result), streams=True)


def scattered(author: Author) -> Drawn:
    """Sums or extrema of rows at places."""
    for axis, choices in (("n", LENGTHS), ("d", WIDTHS), ("v", (2, 5, 17))):
        author.size(axis, choices)
    read = author.array("U", ["n", "d"])
    place = author.array("I", ["n"], "N(v)")
    source = author.pick.choice((read, f"tanh({read})", f"{read} * {author.array('w', ['n'])}"))
    op = author.pick.choice(("+=", "+=", "max=", "min="))
    author.lines += ["Y: [v d]", f"Y[{place}, d] {op} {source}"]
    if op == "+=" and author.chance(0.3):
        author.lines.insert(1, f"Y[v d] += {author.array('B', ['v', 'd'])}")
    else:
        author.lines.append("")
    finish = "where(abs(Y[v d]) < 1e30, Y[v d], 0)" if op != "+=" else "Y[v d]"
    author.lines.append(f"return Z[v d] = {finish}")
    return author.drawn(author.text(["v", "d"]), streams=True)


KINDS = ((attention, 10), (normalised, 2), (gated, 1), (rowwise, 2), (scanned, 2), (scattered, 1))


def drawn(pick: Random) -> Drawn:
    """A random program."""
    kinds, weights = zip(*KINDS, strict=True)
    return pick.choices(kinds, weights)[0](Author(pick))


def arguments(
    diagram: CheckedDiagram, made: Drawn, generator: torch.Generator
) -> list[torch.Tensor]:
    """Random arrays for its inputs, reals rounded to its format; the first one is lifted."""
    found: list[torch.Tensor] = []
    lead = made.lead
    for wire in diagram.parameters:
        symbols = {s: made.sizes[s.name] for axis in wire.type.axes for s in axis.size.symbols()}
        shape = [axis.size.evaluate(symbols) for axis in wire.type.axes]
        match wire.type.kind.name:
            case "natural":
                bound = wire.type.kind.bound
                assert bound is not None
                most = bound.evaluate({s: made.sizes[s.name] for s in bound.symbols()})
                found.append(torch.randint(0, max(most, 1), shape, generator=generator))
            case "boolean":
                found.append(torch.rand(shape, generator=generator) > 0.3)
            case _:
                real = torch.randn((*lead, *shape), generator=generator)
                found.append(real.to(FORMATS[made.dtype]))
                lead = ()
    return found
