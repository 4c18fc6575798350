"""Learned parameters and instances, and the diagrams of the standard library."""

from __future__ import annotations

from .author import Author, Wire, bracket
from .statements import feature, rough

INITIAL = (
    "", "normal(0, 0.5)", "uniform(-1, 1)", "ones", "kaiming", "xavier", "frozen(normal(0, 1))",
    "zeros", "frozen(ones)",
)  # fmt: skip
ATTENTIONS = (
    "multi_head", "causal_multi_head", "dense_attention", "causal_attention",
    "sliding_attention", "alibi_attention", "linear_attention", "spherical_attention",
    "grouped_attention", "masked_attention",
)  # fmt: skip


def filled(a: Author, least: int = 1) -> list[Wire]:
    """Wires whose axes are all of some length."""
    return [w for w in a.reals(least) if all(a.sizes[x] for x in w.axes)]


def layer(a: Author, name: str, module: str = "std.nn") -> str:
    return a.file.use(module, name)


def result(a: Author, axes: list[str], call: str, bound: float, form: str = "") -> Wire:
    name = a.wire()
    a.say(f"{name}{bracket(axes)} = {call}")
    return a.add(name, axes, bound=bound)


@feature
def weights(a: Author) -> bool:
    """A raw parameter."""
    axes = [x for x in a.choose_axes(1, 2) if a.sizes[x]]
    if not axes:
        return False
    init = a.pick(INITIAL)
    if init in ("kaiming", "xavier") and len(axes) < 2:
        init = ""
    name = a.file.name("M")
    a.file.used.add(f"init:{init.split('(')[0]}")
    a.say(f"learn {name}: {bracket(axes)}" + (f" ~ {init}" if init else ""))
    a.learns += 1
    a.add(name, axes, bound=3.0)
    return True


@feature
def linear(a: Author) -> bool:
    """Linear and affine maps, as named instances or at the place."""
    wires = filled(a)
    if not wires:
        return False
    wire = a.recent(wires)
    ins = a.some(wire.axes, 1, 2)
    rest = [x for x in wire.axes if x not in ins]
    outs = [x for x in a.some(list(a.sizes), 1, 2) if x not in rest and a.sizes[x]]
    if not outs or not a.fits([*rest, *outs, *ins]):
        return False
    kind = layer(a, a.pick(("linear", "affine")))
    call = f"{kind}[{' '.join(ins)} -> {' '.join(outs)}]"
    axes = a.some([*rest, *outs], 9, 9)
    a.learns += 1
    bound = 2.0 * wire.bound * max(1, a.volume(ins)) ** 0.5
    if a.chance(50):
        name = a.file.name("L")
        a.say(f"learn {name}: {call}")
        made = result(
            a, axes, f"tanh({name}({wire.name}))" if a.chance(0) else f"{name}({wire.name})", bound
        )
        if a.chance(40):
            a.file.used.add("instance twice")
            result(a, axes, f"{name}({wire.name})", bound)
        del made
    else:
        result(a, axes, f"{call}({wire.name})", bound)
    return True


@feature
def norms(a: Author) -> bool:
    """Norms and softmax: every axis stays where it stands."""
    wires = filled(a)
    if not wires:
        return False
    wire = a.recent(wires)
    targets = a.some(wire.axes, 1, 2)
    rest = [x for x in wire.axes if x not in targets]
    kind = a.pick(("softmax", "log_softmax", "rms_norm", "layer_norm", "instance_norm", "setting"))
    inner = " ".join(targets)
    name = a.wire()
    match kind:
        case "softmax" | "log_softmax":
            call = f"{kind}[{inner}]"
            a.file.used.add(f"library:{kind}")
        case "instance_norm":
            if not rest:
                return False
            call = f"{layer(a, kind)}[{inner} -> {rest[0]}]"
        case "setting":
            call = f"{layer(a, 'layer_norm')}[{inner}, eps = {a.pick(('0.1', '1e-3'))}]"
        case _:
            call = f"{layer(a, kind)}[{inner}]"
    a.say(f"{name} = {call}({wire.name})")
    a.add(name, wire.axes, bound=5.0)
    return True


@feature
def batch_norm(a: Author) -> bool:
    wires = filled(a, 2)
    if not wires or a.depth < 2:
        return False
    wire = a.recent(wires)
    *batch, channel = a.some(wire.axes, 9, 9)
    a.file.liftable = False
    name = a.wire()
    a.say(f"{name} = {layer(a, 'batch_norm')}[{' '.join(batch)} -> {channel}]({wire.name})")
    a.add(name, wire.axes, bound=3.0)
    return True


@feature
def along(a: Author) -> bool:
    """Running sums and products along an axis."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    kind = a.pick(("cumsum", "cumprod") if a.smooth else ("cumsum", "cumprod", "cummax"))
    axis = a.pick(wire.axes)
    if kind == "cumprod" and wire.bound > 2.5:
        kind = "cumsum"
    a.file.used.add(f"library:{kind}")
    name = a.wire()
    a.say(f"{name} = {kind}[{axis}]({wire.name})")
    bound = wire.bound ** max(a.sizes[axis], 1) if kind == "cumprod" else wire.bound * 7
    a.add(name, wire.axes, bound=max(bound, wire.bound))
    return True


@rough
def sorting(a: Author) -> bool:
    wires = a.reals(1, raw=True)
    if not wires:
        return False
    wire = a.pick(wires)
    axis = a.pick(wire.axes)
    name = a.wire()
    if a.chance(50) or a.sizes[axis] < 2:
        a.file.used.add("library:sort")
        a.say(f"{name} = sort[{axis}]({wire.name})")
        a.add(name, wire.axes, bound=wire.bound)
        return True
    count = a.random.randint(1, a.sizes[axis])
    t = a.axis(count)
    second = a.wire()
    axes = [x for x in wire.axes if x != axis] + [t]
    a.file.used.update(("library:top_k", "several results"))
    a.say(f"{name}{bracket(axes)}, {second}{bracket(axes)} = top_k[{axis}, {count}]({wire.name})")
    a.add(name, axes, bound=wire.bound)
    a.add(second, axes, axis)
    return True


@feature
def borders(a: Author) -> bool:
    """pad, crop and concat, whose results have axes without a name."""
    wires = a.reals(1)
    if not wires:
        return False
    wire = a.recent(wires)
    place = a.random.randint(0, len(wire.axes) - 1)
    axis = wire.axes[place]
    size = a.sizes[axis]
    rest = [x for x in wire.axes if x != axis]
    kind = a.pick(("pad", "concat", "crop"))
    a.file.used.add(f"library:{kind}")
    if kind == "pad":
        before, after = a.random.randint(0, 2), a.random.randint(0, 2)
        value = a.pick(("", ", value = 0.5", ", value = -1"))
        n = a.axis(size + before + after)
        result(a, [*rest, n], f"pad[{axis}, {before}, {after}{value}]({wire.name})", wire.bound)
        return True
    if kind == "crop":
        before = a.random.randint(0, min(1, size))
        after = a.random.randint(0, min(1, size - before))
        n = a.axis(size - before - after)
        result(a, [*rest, n], f"crop[{axis}, {before}, {after}]({wire.name})", wire.bound)
        return True
    others = [w for w in a.reals(1) if set(rest) <= set(w.axes) and len(w.axes) == len(wire.axes)]
    other = a.recent(others)
    (end,) = [x for x in other.axes if x not in rest] or [axis]
    n = a.axis(size + a.sizes[end])
    bound = max(wire.bound, other.bound)
    result(a, [*rest, n], f"concat[{axis}, {end}]({wire.name}, {other.name})", bound)
    return True


@rough
def one_hot(a: Author) -> bool:
    lookups = [
        w for w in a.natural() if w.is_plain and w.kind not in w.axes and a.fits([*w.axes, w.kind])
    ]
    if not lookups:
        return False
    lookup = a.pick(lookups)
    v = lookup.kind
    a.file.used.add("library:one_hot")
    result(a, [*lookup.axes, v], f"one_hot[{v}]({lookup.name})", 1.0)
    return True


@feature
def embedding(a: Author) -> bool:
    lookups = [w for w in a.natural() if w.is_plain and a.sizes[w.kind]]
    if not lookups:
        return False
    lookup = a.pick(lookups)
    outs = [x for x in a.some(list(a.sizes), 1, 2) if x not in lookup.axes and a.sizes[x]]
    if not outs or not a.fits([*lookup.axes, *outs]):
        return False
    name = a.file.name("E")
    a.say(f"learn {name}: {layer(a, 'embedding')}[{lookup.kind} -> {' '.join(outs)}]")
    result(a, [*lookup.axes, *outs], f"{name}({lookup.name})", 4.0)
    return True


@feature
def attention(a: Author) -> bool:
    """Attention and its projections on a wire of positions and features."""
    wires = [w for w in filled(a, 2) if len(w.axes) == 2]
    if not wires:
        return False
    wire = a.recent(wires)
    x, m = wire.axes
    kind = a.pick(ATTENTIONS)
    if a.smooth and kind in ("linear_attention", "spherical_attention"):
        kind = "dense_attention"
    name = a.wire()
    if kind in ("multi_head", "causal_multi_head"):
        layer(a, kind, "std.attention")
        a.say(f"{name} = {kind}[2, 3]({wire.name})")
        a.add(name, wire.axes, bound=8.0)
        a.learns += 1
        return True
    heads = a.declared(2)
    width = a.declared(3)
    q = a.wire()
    extra = a.declared(2) if kind == "grouped_attention" else ""
    a.say(f"learn {q}q, {q}k, {q}v: {layer(a, 'linear')}[{m} -> {heads} {width}]")
    query = f"{q}q({wire.name})"
    call = layer(a, kind, "std.attention")
    match kind:
        case "sliding_attention":
            call += "[2]"
        case "grouped_attention":
            a.say(f"{q}g: {bracket([x, heads, extra, width])}")
            a.say(f"{q}r = {query}")
            a.say(
                f"{q}g{bracket([x, heads, extra, width])}"
                f" = {q}r{bracket([x, heads, width])} + {extra}"
            )
            query = f"{q}g"
        case _:
            pass
    more = ""
    if kind == "alibi_attention":
        more = f", {layer(a, 'alibi_slopes', 'std.position')}[{heads}]()"
    if kind == "masked_attention":
        a.say(f"{q}m{bracket([x, m])} = {x} >= {m} and {x} != 1")
        a.sizes.setdefault(m, 1)
        y = a.axis(a.sizes[x])
        a.say(f"axis {y} = size({x})")
        a.say(f"{q}n{bracket([x, y])} = {x} >= {y}")
        more = f", {q}n"
    axes = [x, heads, extra, width] if extra else [x, heads, width]
    a.say(f"{name}{bracket(axes)} = {call}({query}, {q}k({wire.name}), {q}v({wire.name}){more})")
    a.add(name, axes, bound=8.0)
    a.learns += 1
    return True


@feature
def convolution(a: Author) -> bool:
    """Convolutions, transposed ones and pooling along the first axis."""
    wires = [w for w in filled(a, 2) if len(w.axes) == 2 and a.sizes[w.axes[0]] >= 3]
    if not wires:
        return False
    wire = a.recent(wires)
    x, c = wire.axes
    size = a.sizes[x]
    kinds = ["conv1d", "linear_conv1d", "depthwise_conv1d", "conv_transpose1d", "avg_pool1d",
             "max_pool1d", "upsample1d"]  # fmt: skip
    kind = a.pick(kinds[:5] if a.smooth else kinds)
    stride = a.pick((1, 2))
    layer(a, kind, "std.conv")
    if kind in ("avg_pool1d", "max_pool1d"):
        n = a.axis((size - 2) // stride + 1)
        result(a, [n, c], f"{kind}[2, {stride}]({wire.name})", wire.bound)
        return True
    if kind == "upsample1d":
        n = a.axis(size * 2)
        result(a, [n, c], f"{kind}[2]({wire.name})", wire.bound)
        return True
    a.learns += 1
    if kind == "depthwise_conv1d":
        n = a.axis((size - 3) // stride + 1)
        result(a, [n, c], f"{kind}[3, stride = {stride}]({wire.name})", 8.0)
        return True
    out = a.declared(2)
    if kind == "conv_transpose1d":
        n = a.axis(stride * (size - 1) + 3)
    else:
        n = a.axis((size - 3) // stride + 1)
    result(a, [n, out], f"{kind}[3, {out}, stride = {stride}]({wire.name})", 8.0)
    return True


@feature
def position(a: Author) -> bool:
    wires = [w for w in filled(a, 2) if len(w.axes) == 2]
    if not wires:
        return False
    wire = a.recent(wires)
    x, m = wire.axes
    kind = a.pick(("sinusoidal", "rotary", "rotary_pairs"))
    if kind != "sinusoidal" and a.sizes[m] % 2:
        kind = "sinusoidal"
    name = a.wire()
    a.say(f"{name} = {layer(a, kind, 'std.position')}[{x}, {m}]({wire.name})")
    a.add(name, wire.axes, bound=2 * wire.bound + 1)
    return True


@feature
def loss(a: Author) -> bool:
    """A loss between wires of the same axes, or with a class."""
    wires = filled(a)
    if not wires:
        return False
    wire = a.recent(wires)
    targets = a.some(wire.axes, 1, 2)
    rest = [x for x in wire.axes if x not in targets]
    classes = [
        w for w in a.natural() if w.kind in wire.axes and set(w.axes) <= set(wire.axes) - {w.kind}
    ]
    if classes:
        lookup = a.pick(classes)
        rest = [x for x in wire.axes if x != lookup.kind]
        call = f"{layer(a, 'cross_entropy', 'std.loss')}[{lookup.kind}]({wire.name}, {lookup.name})"
        result(a, rest, call, 10.0)
        return True
    kind = a.pick(
        ("mse", "bce_with_logits") if a.smooth else ("mse", "bce_with_logits", "mae", "huber")
    )
    others = [w for w in a.reals(1) if set(targets) <= set(w.axes) <= set(wire.axes)]
    other = a.recent(others)
    if kind == "bce_with_logits":
        second = f"sigmoid({other.name})"
    else:
        second = other.name
    call = f"{layer(a, kind, 'std.loss')}[{' '.join(targets)}]({wire.name}, {second})"
    result(a, rest, call, wire.bound * other.bound * 4 + 4)
    return True


@feature
def dropout(a: Author) -> bool:
    """The identity in eval mode."""
    wires = a.reals()
    if not wires:
        return False
    wire = a.recent(wires)
    name = a.wire()
    a.say(f"{name} = {layer(a, 'dropout')}[{a.pick(('0.1', '0.25'))}]({wire.name})")
    a.add(name, wire.axes, bound=wire.bound)
    return True


@feature
def group_norm(a: Author) -> bool:
    wires = [w for w in filled(a, 1) if a.sizes[w.axes[-1]] % 2 == 0]
    if not wires:
        return False
    wire = a.recent(wires)
    others = a.some(wire.axes[:-1], 1, 2)
    name = a.wire()
    targets = f"{' '.join(others)}, g = 2" if others else "g = 2"
    if not others:
        return False
    a.say(f"{name} = {layer(a, 'group_norm')}[{targets}]({wire.name})")
    a.add(name, wire.axes, bound=3.0)
    return True
