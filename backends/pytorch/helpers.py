"""The helper functions of an emitted module. Only those that it uses are written into it."""

from __future__ import annotations

import re

SOURCES: dict[str, str] = {}

SOURCES["_check"] = '''
def _check(name: str, sizes: dict[str, int], *arrays: tuple[str, Tensor, str]) -> None:
    """Check trailing axes and kind of every array: ("tok", tok, "N[n]"). Batch axes may lead."""
    known = dict(sizes)
    for wire, array, spec in arrays:
        # Commas stand between axes where some have parts.
        kind, _, inner = spec[:-1].partition("[")
        axes, shape = inner.split(", " if "(" in inner else None), array.shape
        lead = len(shape) - len(axes)
        if lead < 0:
            raise ValueError(f"{name}: {wire} is {spec}, but its shape is {tuple(shape)}")
        for axis, size in zip(axes, shape[lead:], strict=True):
            if known.setdefault(axis, size) != size:
                where = "the module" if axis in sizes else _first(axis, *arrays)
                why = f"axis {axis} is {known[axis]} in {where} but {size} in {wire}"
                raise ValueError(f"{name}: {why}")
        if array.is_floating_point():
            found = ""
        else:
            found = "C" if array.is_complex() else "B" if array.dtype == torch.bool else "N"
        if kind != found:
            raise TypeError(f"{name}: {wire} is {spec}, but its dtype is {array.dtype}")
'''

SOURCES["_first"] = '''
def _first(axis: str, *arrays: tuple[str, Tensor, str]) -> str:
    """The first of some arrays that has an axis."""
    inner = ((wire, spec[spec.index("[") + 1 : -1]) for wire, _, spec in arrays)
    return next(wire for wire, axes in inner if axis in axes.split(", " if "(" in axes else None))
'''

SOURCES["_check_below"] = '''
def _check_below(name: str, wire: str, array: Tensor, bound: int) -> None:
    """Check that naturals stay below their bound, where that costs no synchronisation."""
    if torch.compiler.is_compiling() or not array.is_cpu or array.numel() == 0:
        return
    low, high = array.aminmax()
    if low.item() < 0 or high.item() >= bound:
        worst = low.item() if low.item() < 0 else high.item()
        raise ValueError(f"{name}: {wire} holds {worst}, but must stay in 0 .. {bound - 1}")
'''

SOURCES["_inside"] = '''
def _inside(x: Tensor, size: int, what: str) -> Tensor:
    """Naturals, checked to stay below a size where that costs no synchronisation."""
    if not torch.compiler.is_compiling() and x.is_cpu and x.numel():
        low, high = x.aminmax()
        if low.item() < 0 or high.item() >= size:
            worst = low.item() if low.item() < 0 else high.item()
            raise ValueError(f"{what} is {worst}, but must stay in 0 .. {size - 1}")
    return x
'''

SOURCES["_ratio"] = '''
def _ratio(a: float, b: float) -> float:
    """a / b, which is infinite or no number where b is 0, as it is for tensors."""
    return a / b if b else math.copysign(math.inf, a) if a else math.nan
'''

SOURCES["_expand"] = '''
def _expand(x: Tensor, *sizes: int) -> Tensor:
    """Repeat x along trailing axes of size 1; -1 leaves an axis as it is."""
    return x.expand((*x.shape[: x.dim() - len(sizes)], *sizes))
'''

SOURCES["_spread"] = '''
def _spread(y: Tensor, axes: int, *inputs: tuple[Tensor, int]) -> Tensor:
    """Give y, with so many axes of its own, the batch axes of all the inputs."""
    batch = torch.broadcast_shapes(*(x.shape[: x.dim() - own] for x, own in inputs))
    return y.expand((*batch, *y.shape[y.dim() - axes :]))
'''

SOURCES["_windows"] = '''
def _windows(x: Tensor, dim: int, count: int, width: int, step: int, stride: int = 1) -> Tensor:
    """View axis `dim` as two, so that entry (i, j) is x[step * i + stride * j]."""
    if count == 0 or width == 0:
        return x.narrow(dim, 0, 0).unflatten(dim, (count, width))
    span = stride * (width - 1) + 1
    x = x.narrow(dim, 0, step * (count - 1) + span).unfold(dim, span, step)
    return x[..., ::stride].movedim(-1, dim)
'''

SOURCES["_nonempty"] = '''
def _nonempty(x: Tensor, dim: int) -> Tensor:
    """x, with one entry of zeros where axis `dim` has none, so that an index can be clamped."""
    if x.shape[dim] > 0:
        return x
    return x.new_zeros([1 if d == x.dim() + dim else size for d, size in enumerate(x.shape)])
'''

SOURCES["_convolve"] = '''
def _convolve(
    x: Tensor,
    weight: Tensor,
    stride: int | tuple[int, ...] = 1,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution without padding of [... channels space], with any number of leading axes."""
    count = weight.dim() - 2
    steps = (stride,) * count if isinstance(stride, int) else stride
    gaps = (dilation,) * count if isinstance(dilation, int) else dilation
    sizes = zip(x.shape[-count:], weight.shape[2:], steps, gaps, strict=True)
    space = [(size - gap * (width - 1) - 1) // step + 1 for size, width, step, gap in sizes]
    lead = x.shape[: -count - 1]
    if 0 in (*lead, *space, *weight.shape):
        return x.new_zeros((*lead, weight.shape[0], *space))
    flat = x.reshape(math.prod(lead), *x.shape[-count - 1 :])
    convolve = (F.conv1d, F.conv2d, F.conv3d)[count - 1]
    y = convolve(flat, weight, None, stride, 0, dilation, groups)
    return y.reshape(*lead, *y.shape[1:])
'''

SOURCES["_embedding"] = '''
def _embedding(place: Tensor, x: Tensor, below: tuple[str, str]) -> Tensor:
    """x[place]. PyTorch looks at the indices itself; `below` names them if one is outside."""
    try:
        return F.embedding(place, x)
    except (IndexError, RuntimeError):
        _check_below(*below, place, len(x))
        raise
'''

SOURCES["_gather"] = '''
def _gather(
    x: Tensor,
    index: tuple[Tensor, ...],
    kept: int,
    new: int,
    below: tuple[str, str] | None = None,
) -> Tensor:
    """x[index] for each batch index, which x and the index may both have.

    The index has `new` axes of its own; `kept` axes of x follow those that are indexed. `below`
    names an index that nothing has looked at.
    """
    place, own = index[0], x.dim() - len(index) - kept
    if own == 0 and len(index) == 1 and place.dim() == new:
        # Whole rows are copied.
        if kept == 1 and x.is_floating_point():
            return F.embedding(place, x) if below is None else _embedding(place, x, below)
        if below is not None:
            _check_below(*below, place, len(x))
        return x.index_select(0, place.flatten()).view((*place.shape, *x.shape[1:]))
    if below is not None:
        _check_below(*below, place, x.shape[own])
    shape = torch.broadcast_shapes(*(i.shape for i in index))
    batch = torch.broadcast_shapes(x.shape[:own], shape[: len(shape) - new])
    x = x.expand((*batch, *x.shape[own:]))
    rank = len(batch) + new
    places = [
        torch.arange(size, device=x.device).view(-1, *[1] * (rank - d - 1))
        for d, size in enumerate(batch)
    ]
    return x[(*places, *index)]
'''

SOURCES["_joined"] = '''
def _joined(
    steps: list[Tensor], dim: int, shape: tuple[int, ...], like: Tensor, reverse: bool = False
) -> Tensor:
    """An array with the trailing axes `shape`, made step by step along `dim`; 0 where none is."""
    missing = shape[dim] - len(steps)
    if missing:
        own = [size for d, size in enumerate(shape, -len(shape)) if d != dim]
        steps = [*steps, *(like.new_zeros(own) for _ in range(missing))]
    if not steps:
        return like.new_zeros(shape)
    return torch.stack(torch.broadcast_tensors(*(steps[::-1] if reverse else steps)), dim)
'''

SOURCES["_write"] = '''
def _write(base: Tensor, place: tuple[slice | int, ...], source: Tensor, op: str) -> Tensor:
    """Write the source at `place` of the last axes of base, which nothing else holds.

    `op` says how it is combined with what is there, "=" replaces it. Batch axes are broadcast.
    """
    own = base.dim() - len(place)
    lead = source.dim() - sum(isinstance(item, slice) for item in place)
    batch = torch.broadcast_shapes(base.shape[:own], source.shape[:lead])
    base = base.expand((*batch, *base.shape[own:])).contiguous()
    part = base[(..., *place)]
    if op == "+=":
        source = part + source
    elif op != "=":
        # Gradients of these need what was there before.
        combine = {"*=": torch.mul, "max=": torch.maximum, "min=": torch.minimum}[op]
        source = combine(part.clone(), source)
    base[(..., *place)] = source
    return base
'''

SOURCES["_put"] = '''
def _put(
    base: Tensor, place: Tensor, source: Tensor, how: str, below: tuple[str, str] | None
) -> Tensor:
    """Write rows into base. PyTorch looks at places itself; `below` names them if it has to."""
    if below is not None and not source.numel():
        _check_below(*below, place, len(base))
    try:
        return (base.index_copy_ if how == "copy" else base.index_add_)(0, place, source)
    except (IndexError, RuntimeError):
        if below is not None:
            _check_below(*below, place, len(base))
        raise
'''

SOURCES["_scatter"] = '''
def _scatter(
    base: Tensor,
    index: tuple[Tensor | int, ...],
    source: Tensor,
    how: str,
    new: int,
    kept: int,
    below: tuple[str, str] | None = None,
) -> Tensor:
    """Write the source into base, which nothing else holds, at the index.

    Axes are (*batch, *indexed, *kept) of base, (*batch, *new) of every index and
    (*batch, *new, *kept) of the source; batch axes are broadcast. `how` is "copy" where no two
    sources meet, else what combines them: "add", "prod", "amax" or "amin". `below` names an
    index that nothing has looked at.
    """
    own, lead = base.dim() - len(index) - kept, source.dim() - new - kept
    place = index[0]
    if own == lead == 0 and kept == new == len(index) == 1 and how in ("copy", "add"):
        # Rows at one place each, the common case.
        if not isinstance(place, int) and place.shape == source.shape[:1]:
            return _put(base.contiguous(), place, source.to(base.dtype), how, below)
    if below is not None:
        _check_below(*below, place, base.shape[own])
    shape, news = base.shape[own:], source.shape[lead : lead + new]
    for i, size in zip(index[1:], shape[1:]):
        place = place * size + i
    outer = place.shape[: max(place.dim() - new, 0)]
    batch = base.shape[:own]
    if outer or batch != source.shape[:lead]:
        batch = torch.broadcast_shapes(batch, source.shape[:lead], outer)
        base = base.expand((*batch, *shape))
        source = source.expand((*batch, *source.shape[lead:]))
    rows, width, count = shape[: len(index)].numel(), shape[len(index) :].numel(), news.numel()
    place, whole = place.expand((*batch, *news)).reshape(*batch, count), (*batch, *shape)
    if kept and batch and how in ("copy", "add"):
        starts = torch.arange(0, batch.numel(), device=base.device).view(*batch, 1)
        place = (place + rows * starts).flatten()
        rows, count, batch = rows * batch.numel(), count * batch.numel(), ()
    inner, dim = ((width,), -2) if kept else ((), -1)
    flat = base.contiguous().view(*batch, rows, *inner)
    if not flat.requires_grad:
        flat = flat.detach()  # autograd would track it as a part of base, at the cost of copies
    source = source.to(base.dtype).reshape(*batch, count, *inner)
    if kept and how in ("copy", "add"):
        flat = (flat.index_copy_ if how == "copy" else flat.index_add_)(0, place, source)
        return flat.view(whole)
    place = place[..., None].expand(source.shape) if kept else place
    if how == "copy":
        flat = flat.scatter_(dim, place, source)
    elif how == "add":
        flat = flat.scatter_add_(dim, place, source)
    else:
        flat = flat.scatter_reduce_(dim, place, source, how)
    return flat.view(whole)
'''

for _name, _bound, _word in (("_amax", "min", "Maximum"), ("_amin", "max", "Minimum")):
    SOURCES[_name] = f'''
def {_name}(x: Tensor, dim: tuple[int, ...], initial: float) -> Tensor:
    """{_word} over axes and `initial`, which stands alone where an axis is empty."""
    if any(x.shape[d] == 0 for d in dim):
        return torch.full_like(x.sum(dim, dtype=x.dtype), initial)
    return x.{_name[1:]}(dim).clamp({_bound}=initial)
'''

SOURCES["_concat"] = '''
def _concat(a: Tensor, b: Tensor, dim: int) -> Tensor:
    """Join a and b along axis `dim`; every other axis is broadcast."""
    end = dim + 1 or max(a.dim(), b.dim())
    lead = torch.broadcast_shapes(a.shape[:dim], b.shape[:dim])
    tail = torch.broadcast_shapes(a.shape[end:], b.shape[end:])
    return torch.cat([t.expand(*lead, t.shape[dim], *tail) for t in (a, b)], dim)
'''

SOURCES["_seen"] = '''
def _seen(x: Tensor, dim: int) -> bool:
    """Whether there are values along `dim` that can be looked at, at no cost."""
    if torch.compiler.is_compiling() or not x.is_cpu or type(x) not in (Tensor, nn.Parameter):
        return False
    return x.shape[dim] > 0 and not torch._C._functorch.is_functorch_wrapped_tensor(x)
'''

SOURCES["_Softmax"] = '''
class _Softmax(torch.autograd.Function):
    """Softmax in as many passes as a compiler makes of torch.softmax, forward and backward.

    A row of only -inf is 0, with gradient 0.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        top = wide.amax(dim, keepdim=True)
        e = torch.exp(wide - top.masked_fill(top == -math.inf, 0.0))
        total = e.sum(dim, keepdim=True)
        return (e / total.masked_fill(total == 0.0, 1.0)).to(x.dtype)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        wide = torch.promote_types(y.dtype, torch.float32)
        y, change = y.to(wide), gradient.to(wide) * y.to(wide)
        return (change - y * change.sum(ctx.dim, keepdim=True)).to(gradient.dtype), None
'''

SOURCES["_softmax"] = '''
def _softmax(x: Tensor, dim: int) -> Tensor:
    """Softmax in which a row of only -inf is 0, with gradient 0, instead of NaN."""
    if _seen(x, dim):
        if x.select(dim, 0).sum().item() > -math.inf:
            return torch.softmax(x, dim)
        made = torch.softmax(x, dim)
        if not math.isnan(made.select(dim, 0).sum().item()):  # a row of only -inf would be NaN
            return made
    elif torch.compiler.is_compiling() and x.shape[dim] > 0:
        return _Softmax.apply(x, dim)
    dead = (x == -math.inf).all(dim, keepdim=True)
    return torch.softmax(x.masked_fill(dead, 0.0), dim).masked_fill(dead, 0.0)
'''

SOURCES["_log_softmax"] = '''
def _log_softmax(x: Tensor, dim: int) -> Tensor:
    """The logarithm of softmax in which a row of only -inf stays so, with gradient 0."""
    if _seen(x, dim):
        if x.select(dim, 0).sum().item() > -math.inf:
            return torch.log_softmax(x, dim)
        made = torch.log_softmax(x, dim)
        if not math.isnan(made.select(dim, 0).sum().item()):  # a row of only -inf would be NaN
            return made
    dead = (x == -math.inf).all(dim, keepdim=True)
    return torch.log_softmax(x.masked_fill(dead, 0.0), dim).masked_fill(dead, -math.inf)
'''

SOURCES["_cross_entropy"] = '''
def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """logsumexp(logits) - logits[target] along the last axis; leading axes are broadcast."""
    if target.dim() != 1 or target.shape != logits.shape[:-1]:
        shape = torch.broadcast_shapes(logits.shape[:-1], target.shape)
        rows = logits.expand(*shape, logits.shape[-1]).reshape(shape.numel(), logits.shape[-1])
        return _cross_entropy(rows, target.expand(shape).flatten()).view(shape)
    return F.cross_entropy(logits, target.long(), reduction="none")
'''

SOURCES["_attention"] = '''
def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """F.scaled_dot_product_attention for any number of broadcast leading axes.

    Its fast kernels want exactly two of them, so the leading axes but one are flattened.
    A row whose scores are all -inf is 0 (torch >= 2.5); `scale` is 1 / sqrt(k.shape[-1]) if None.
    """
    leading = [t.shape[:-2] for t in (q, k, v)]
    if mask is not None:
        mask = mask if mask.dim() > 1 else mask[None]
        leading.append(mask.shape[:-2])
    batch = torch.broadcast_shapes(*leading)
    flat = (math.prod(batch[:-1]), batch[-1] if batch else 1)
    q, k, v = (t.expand((*batch, *t.shape[-2:])).reshape(*flat, *t.shape[-2:]) for t in (q, k, v))
    if mask is not None and mask.dim() > 2:
        mask = mask.expand((*batch, *mask.shape[-2:])).reshape(*flat, *mask.shape[-2:])
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale)
    return out.reshape(*batch, *out.shape[-2:])
'''

SOURCES["_biased_attention"] = '''
def _biased_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float | None = None
) -> Tensor:
    """`_attention` with a mask of reals, in plain steps where that has a gradient on the CPU.

    PyTorch has no kernel for it there, and takes more steps.
    """
    if not (mask.requires_grad and mask.is_cpu and q.dtype in (torch.float32, torch.float64)):
        return _attention(q, k, v, mask=mask, scale=scale)
    scale = (k.shape[-1] or 1) ** -0.5 if scale is None else scale
    return _softmax((q * scale) @ k.transpose(-2, -1) + mask, -1) @ v
'''


def sources_of(text: str) -> list[str]:
    """The helpers that a text calls, and those that they call in turn, in order."""
    wanted: set[str] = set()
    texts = [text]
    while texts:
        now = texts.pop()
        found = {name for name in SOURCES if re.search(rf"\b{name}[(.]", now)} - wanted
        wanted |= found
        texts += [SOURCES[name] for name in found]
    return [source_of(name) for name in SOURCES if name in wanted]


def source_of(name: str) -> str:
    """The text of one helper function."""
    return SOURCES[name].strip()
