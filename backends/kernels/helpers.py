"""The helper functions of a file with kernels. Only those that it uses are written into it."""

from __future__ import annotations

import re

from . import row_helpers

SOURCES: dict[str, str] = {**row_helpers.SOURCES}

SOURCES["_fits"] = '''
def _fits(*arrays: Tensor) -> bool:
    """Whether kernels run on these arrays: on one GPU, or on the CPU where Triton interprets."""
    floats = [t.dtype for t in arrays if t.is_floating_point()]
    if not floats or any(d not in (torch.float32, torch.bfloat16, torch.float16) for d in floats):
        return False
    device = arrays[0].device
    if any(t.device != device for t in arrays):
        return False
    if device.type != "cpu":
        return device.type == "cuda"
    # Triton's interpreter takes the bits of bfloat16 for its values, unless it was corrected.
    is_right = torch.bfloat16 not in floats or getattr(triton, "BFLOAT16_IS_RIGHT", False)
    return INTERPRETED and is_right
'''

SOURCES["_namespace"] = '''
def _namespace(name: str, operation: str) -> str:
    """Where operations are registered: another place for each time that this file is loaded.

    PyTorch would drop those of before, which modules may still call.
    """
    found, count = name, 1
    while hasattr(getattr(torch.ops, found), operation):
        count += 1
        found = f"{name}_{count}"
    return found
'''

SOURCES["_alike"] = '''
def _alike(*arrays: Tensor) -> bool:
    """Whether the arrays are of one format, or autocast makes them so."""
    floats = [t.dtype for t in arrays if t.is_floating_point()]
    return _autocast(arrays[0]) or all(dtype == floats[0] for dtype in floats)
'''

SOURCES["_autocast"] = '''
def _autocast(x: Tensor) -> bool:
    """Whether autocast is on where x is."""
    return torch.is_autocast_enabled(x.device.type)
'''

SOURCES["_lead"] = '''
def _lead(*arrays: tuple[Tensor, int]) -> tuple[int, ...] | None:
    """The broadcast leading axes of arrays of some ranks, None where they do not fit."""
    shape: list[int] = []
    for array, rank in arrays:
        for i, size in enumerate(reversed(array.shape[: array.dim() - rank])):
            if i == len(shape):
                shape.append(size)
            elif shape[i] == 1:
                shape[i] = size
            elif size != 1 and size != shape[i]:
                return None
    return tuple(reversed(shape))
'''

SOURCES["_lifted"] = '''
def _lifted(x: Tensor, rank: int, lead: tuple[int, ...]) -> Tensor:
    """x with one leading axis for all of `lead`, of size 1 where it is the same along them."""
    if _autocast(x) and x.is_floating_point():
        x = x.to(torch.get_autocast_dtype(x.device.type))
    own = x.shape[x.dim() - rank :]
    if math.prod(x.shape[: x.dim() - rank]) == 1:
        return x.reshape(1, *own)
    return x.expand(*lead, *own).reshape(math.prod(lead), *own)
'''

SOURCES["_lift"] = '''
def _lift(*arrays: Tensor) -> int:
    """How many leading indices arrays have together, where each has all of them or one."""
    for array in arrays:
        if array.shape[0] != 1:
            return array.shape[0]
    return 1
'''

SOURCES["_wide"] = '''
def _wide(x: Tensor) -> torch.dtype:
    """The format of statistics and of everything pointwise."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32
'''

SOURCES["_number"] = '''
def _number(value: float, dtype: torch.dtype, like: Tensor) -> Tensor:
    """A number as an array with a leading axis."""
    return torch.full((1,), value, dtype=dtype, device=like.device)
'''

SOURCES["_taken"] = '''
def _taken(x: Tensor, *indices: Tensor | int) -> Tensor:
    """x[i, *indices] for every leading index i.

    Where a branch is not chosen an index may lie outside: any entry will do there.
    """
    rank = max(1, *(i.dim() for i in indices if isinstance(i, Tensor)))
    lift = torch.arange(x.shape[0], device=x.device).reshape(-1, *(1 for _ in range(rank - 1)))
    inside: list[Tensor] = [lift]
    for size, index in zip(x.shape[1:], indices, strict=True):
        if not isinstance(index, Tensor):
            index = torch.full((1,), index, device=x.device).reshape(*(1 for _ in range(rank)))
        inside.append(index.clamp(0, max(size - 1, 0)))
    return x[tuple(inside)]
'''

SOURCES["_fold"] = '''
def _fold(kind: str, x: Tensor, *sizes: int) -> Tensor:
    """Reduce the last axes, along which x may still have size 1."""
    x = x.expand(*x.shape[: x.dim() - len(sizes)], *sizes).flatten(x.dim() - len(sizes))
    if kind in ("max", "min") and not math.prod(sizes):
        worst = -math.inf if kind == "max" else math.inf
        return torch.full(x.shape[:-1], worst, dtype=x.dtype, device=x.device)
    if kind in ("max", "min"):
        return x.amax(-1) if kind == "max" else x.amin(-1)
    return getattr(x, kind)(-1)
'''

SOURCES["_einsum"] = '''
def _einsum(equation: str, dtype: torch.dtype, *factors: Tensor) -> Tensor:
    """einsum of arrays with a leading axis, which those of size 1 along it go without."""
    inputs, output = equation.split("->")
    lift = _lift(*factors)
    named, operands = [], []
    for letters, factor in zip(inputs.split(","), factors, strict=True):
        leads = lift != 1 and factor.shape[0] != 1
        named.append(f"Z{letters}" if leads else letters)
        operands.append((factor if leads else factor[0]).to(dtype))
    made = torch.einsum(f"{','.join(named)}->{'Z' if lift != 1 else ''}{output}", *operands)
    return made if lift != 1 else made[None]
'''

SOURCES["_whole"] = '''
def _whole(x: Tensor, dtype: torch.dtype | None, *sizes: int) -> Tensor:
    """x with all of its axes in full, in a format."""
    x = x.expand(x.shape[0], *sizes)
    return x if dtype is None else x.to(dtype)
'''

SOURCES["_scan"] = '''
def _scan(factor: Tensor, offset: Tensor, dim: int, reverse: bool) -> Tensor:
    """The states of `h = factor * h + offset` along an axis, from 0.

    Steps over 1, 2, 4, ... positions are composed at once.
    """
    factor, offset = torch.broadcast_tensors(factor, offset)
    if reverse:
        factor, offset = factor.flip(dim), offset.flip(dim)
    count, lag = factor.shape[dim], 1
    while lag < count:
        left, right = factor.narrow(dim, 0, count - lag), factor.narrow(dim, lag, count - lag)
        more = right * offset.narrow(dim, 0, count - lag) + offset.narrow(dim, lag, count - lag)
        offset = torch.cat([offset.narrow(dim, 0, lag), more], dim)
        factor = torch.cat([factor.narrow(dim, 0, lag), right * left], dim)
        lag *= 2
    return offset.flip(dim) if reverse else offset
'''

SOURCES["_places"] = '''
def _places(place: Tensor, *along: tuple[Tensor, int]) -> Tensor:
    """The place of each source, by its index along each axis and the size of that axis.

    Those that lie outside have the place after the last one.
    """
    inside, count = torch.ones_like(place, dtype=torch.bool), 1
    for index, size in along:
        place = place.reshape(place.shape[0], *place.shape[1:] or (1,) * (index.dim() - 1))
        inside = inside.reshape(place.shape) & (index >= 0) & (index < size)
        place, count = place * size + index, count * size
    place = torch.where(inside, place, count)
    return place.reshape(place.shape[0], math.prod(place.shape[1:]))
'''

SOURCES["_sorted_places"] = '''
def _sorted_places(place: Tensor, lift: int, *sizes: int) -> tuple[Tensor, Tensor]:
    """The sources in the order of their places, and where those of each place begin."""
    count = math.prod(sizes)
    found, order = torch.sort(place.expand(lift, place.shape[1]), dim=1, stable=True)
    wanted = torch.arange(count + 1, device=place.device).repeat(lift, 1)
    return order, torch.searchsorted(found, wanted)
'''

SOURCES["_scattered"] = '''
def _scattered(
    kind: str, start: Tensor, place: Tensor, source: Tensor, keys: int, *shape: int
) -> Tensor:
    """Combine sources with what is at their places, which the first `keys` axes number."""
    lift = max(start.shape[0], place.shape[0], source.shape[0])
    count, width = math.prod(shape[:keys]), math.prod(shape[keys:])
    start = start.expand(lift, *shape).reshape(lift, count, width)
    # A last place takes what lies outside.
    start = torch.cat([start, start.new_zeros(lift, 1, width)], 1)
    source = source.expand(lift, *source.shape[1:]).reshape(lift, place.shape[1], width)
    index = place.expand(lift, place.shape[1])[:, :, None].expand(source.shape)
    if kind == "=":
        made = start.scatter(1, index, source)
    else:
        made = start.scatter_reduce(1, index, source, kind)
    return made[:, :count].reshape(lift, *shape)
'''

SOURCES["_grad_of"] = '''
def _grad_of(x: Tensor, *parts: Tensor) -> Tensor:
    """The gradient of x, in parts: their sum, and that over what x is the same along."""
    total: Tensor | None = None
    for part in parts:
        if x.shape[0] == 1 and part.shape[0] != 1:
            part = part.sum(0, keepdim=True)
        total = part if total is None else total + part
    return total.expand(x.shape)
'''

SOURCES["_owned"] = '''
def _owned(made: tuple[Tensor, ...], *given: Tensor) -> tuple[Tensor, ...]:
    """Contiguous arrays that share no memory with each other or with those that were given."""
    seen = {t.untyped_storage().data_ptr() for t in given}
    results: list[Tensor] = []
    for array in made:
        array = array.contiguous()
        if array.untyped_storage().data_ptr() in seen:
            array = array.clone()
        seen.add(array.untyped_storage().data_ptr())
        results.append(array)
    return tuple(results)
'''

SOURCES["_power"] = '''
def _power(count: int) -> int:
    """The smallest tile that holds so many indices."""
    return max(1 << max(count - 1, 0).bit_length(), 16)
'''

SOURCES["_target"] = '''
def _target(x: Tensor) -> str:
    """The row of a table of tiles for a format and a GPU."""
    if x.dtype not in (torch.bfloat16, torch.float16):
        return "f32"
    if x.device.type != "cuda":
        return "sm_80"
    return "sm_90" if torch.cuda.get_device_capability(x.device)[0] >= 9 else "sm_80"
'''

SOURCES["_strided"] = '''
def _strided(arrays: tuple[Tensor, ...]) -> list[Any]:
    """Arrays as kernels take them: each with its strides, the one of what is lifted last."""
    arguments: list[Any] = []
    for array in arrays:
        lead, *strides = array.stride()
        arguments += [array, *strides, 0 if array.shape[0] == 1 else lead]
    return arguments
'''

SOURCES["_launch"] = '''
def _launch(
    kernel: Any,
    table: dict[tuple[str, int], tuple[tuple[int, ...], ...]],
    programs: Any,
    arrays: tuple[Tensor, ...],
    sizes: tuple[int, ...],
    cut: dict[str, int],
    whole: dict[str, int],
    like: Tensor,
) -> None:
    """Run a kernel on the GPU and the stream of its arrays, with all of their strides.

    Dimensions that are `cut` have tiles of the table, `whole` ones lie in one tile.
    """
    tiles, lengths, rows = _tiles(table, cut, whole, like)
    if not programs(**tiles):
        return
    arguments = _strided(arrays)
    exact = torch.get_float32_matmul_precision() == "highest"
    fixed = {**lengths, "PRECISION": "ieee" if exact else "tf32"}
    with torch.cuda.device_of(arrays[0]):
        options = {**tiles, "num_warps": rows[0][-2], "num_stages": rows[0][-1]}
        if len(rows) > 1 and _may_tune():
            options = _tuned(kernel, rows, programs, (*arguments, *sizes), cut, fixed) or options
        kernel[(programs(**options),)](*arguments, *sizes, **fixed, **options)
'''

SOURCES["_parts"] = '''
def _parts(
    table: dict[tuple[str, int], tuple[tuple[int, ...], ...]],
    programs: Any,
    cut: dict[str, int],
    whole: dict[str, int],
    stream: str,
    like: Tensor,
    rows: str = "",
    seen: Any = None,
) -> int:
    """Into how many parts a kernel cuts its streamed axis: PARTS, or as many as a GPU has room for.

    Where the programs of the kernel are busy on half of the processors it is not cut, nor into
    parts of less than 4 tiles, since what they find has to be written and merged. Tiles that masks
    hide do not count: `seen` are the two ends of what a tile from one row to another one visits.
    """
    if PARTS is not None or like.device.type != "cuda":
        return PARTS or 1
    tiles, _, _ = _tiles(table, cut, whole, like)
    count, length, step = programs(**tiles), cut[stream], tiles[stream]
    processors = torch.cuda.get_device_properties(like.device).multi_processor_count
    if 2 * count > processors:
        return 1
    longest = length
    if seen is not None:
        firsts = range(0, cut[rows], tiles[rows])
        ends = [seen(first, min(first + tiles[rows], cut[rows]) - 1) for first in firsts]
        longest = max((min(high, length) - max(low, 0) for low, high in ends), default=0)
    return max(min(processors // max(count, 1), -(-longest // step) // 4), 1)
'''

SOURCES["_tiles"] = '''
def _tiles(
    table: dict[tuple[str, int], tuple[tuple[int, ...], ...]],
    cut: dict[str, int],
    whole: dict[str, int],
    like: Tensor,
) -> tuple[dict[str, int], dict[str, int], tuple[tuple[int, ...], ...]]:
    """The default tiles of a call, those that hold a dimension whole, and the rows of its table."""
    fixed = {name: _power(length) for name, length in whole.items()}
    longest = 128 if max(fixed.values(), default=0) <= 128 else 256
    rows = table[_target(like), longest] or table[_target(like), 128]
    tiles = {name: min(_power(n), tile) for (name, n), tile in zip(cut.items(), rows[0])}
    return tiles, fixed, rows
'''

SOURCES["_has_room"] = '''
def _has_room(like: Tensor, *tables: dict[tuple[str, int], tuple[tuple[int, ...], ...]]) -> bool:
    """Whether a GPU has room for tiles that hold more than 128 indices of an axis."""
    return like.device.type != "cuda" or all(table[_target(like), 256] for table in tables)
'''

SOURCES["_may_tune"] = '''
def _may_tune() -> bool:
    """Whether tiles may depend on what was measured, and results on tiles in their rounding."""
    return TUNE and not INTERPRETED and not torch.are_deterministic_algorithms_enabled()
'''

SOURCES["_BEST"] = """
# What tuning has found by kernel, GPU, sizes and formats, and one at a time.
_BEST: dict[tuple[Any, ...], dict[str, Any]] = {}
_TUNING = threading.Lock()
"""

SOURCES["_tuned"] = '''
def _tuned(
    kernel: Any,
    rows: tuple[tuple[int, ...], ...],
    programs: Any,
    arguments: tuple[Any, ...],
    cut: dict[str, int],
    fixed: dict[str, Any],
) -> dict[str, Any] | None:
    """The fastest tiles for sizes like these, measured once and kept by Triton on the disk.

    None while a graph of CUDA is recorded, when nothing can be measured. Sizes are alike that have
    the same next power of two; a kernel only writes its results, so that it may run many times.
    """
    bucket = _bucket(programs, arguments, cut, fixed)
    key = (kernel, rows, torch.cuda.current_device(), bucket)
    if key not in _BEST:
        if torch.cuda.is_current_stream_capturing():
            return None
        with _TUNING:
            tuner = _tuner(kernel, rows, tuple(cut))
            tuner[lambda tiles: (programs(**tiles),)](*arguments, **fixed, bucket=bucket, cut=cut)
            _BEST[key] = tuner.best_config.all_kwargs()
    return _BEST[key]
'''

SOURCES["_bucket"] = '''
def _bucket(
    programs: Any, arguments: tuple[Any, ...], cut: dict[str, int], fixed: dict[str, Any]
) -> str:
    """The class of sizes and formats of a call, for which it is tuned once."""
    tiles = dict.fromkeys(cut, 16)
    formats = [str(each.dtype) for each in arguments if isinstance(each, Tensor)]
    lengths = [(n - 1).bit_length() for n in (*cut.values(), programs(**tiles))]
    return " ".join(map(str, (*lengths, *fixed.values(), *formats)))
'''

SOURCES["_tuner"] = '''
def _tuner(kernel: Any, rows: tuple[tuple[int, ...], ...], names: tuple[str, ...]) -> Any:
    """Triton's tuner of a kernel over the tiles of its table."""
    configs = [
        triton.Config(dict(zip(names, row)), num_warps=row[-2], num_stages=row[-1]) for row in rows
    ]
    prune = {"early_config_prune": _fitting}
    tune = triton.autotune(configs, key=["bucket"], prune_configs_by=prune, cache_results=True)
    return tune(_Bucketed(kernel))
'''

SOURCES["_fitting"] = '''
def _fitting(configs: list[Any], named: dict[str, Any], cut: dict[str, int], **_: Any) -> list[Any]:
    """Tiles that are no longer than their axes need, each once."""
    found: dict[str, Any] = {}
    for config in configs:
        tiles = {name: min(_power(cut[name]), tile) for name, tile in config.kwargs.items()}
        made = triton.Config(tiles, num_warps=config.num_warps, num_stages=config.num_stages)
        found.setdefault(str(made), made)
    return list(found.values())
'''

SOURCES["_Bucketed"] = '''
class _Bucketed(triton.KernelInterface):
    """A kernel with the class of its sizes, by which Triton's tuner keeps what it finds."""

    def __init__(self, kernel: Any) -> None:
        self.fn = kernel
        self.arg_names = [*kernel.arg_names, "bucket"]

    def run(self, *arguments: Any, bucket: str, cut: dict[str, int], **options: Any) -> Any:
        return self.fn.run(*arguments, **options)
'''

SOURCES["_differentiate"] = '''
def _differentiate(
    operation: Any,
    gradient: Any,
    count: int,
    outer: int,
    kept: tuple[int, ...],
    floats: tuple[int, ...],
) -> None:
    """Let `gradient` differentiate `operation`, of `count` arrays, sizes, and whether to keep.

    It takes the gradients of the first `outer` results, the inputs, the results of the numbers in
    `kept` and the sizes, and makes the gradients of the inputs of the numbers in `floats`.
    """

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        made = (output,) if isinstance(output, Tensor) else output
        *ctx.sizes, ctx.keeps = inputs[count:]
        # Without what it keeps the operation runs again, as under a checkpoint.
        results = [made[i] for i in kept] if ctx.keeps else []
        ctx.mark_non_differentiable(*made[outer:])
        ctx.save_for_backward(*inputs[:count], *results)

    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given, results = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if not ctx.keeps:
            made = operation(*given, *ctx.sizes, True)
            made = (made,) if isinstance(made, Tensor) else made
            results = [made[i] for i in kept]
        # Gradients of sums are expanded numbers, which kernels would read one by one.
        begins = [grad.contiguous() for grad in grads[:outer]]
        made = gradient(*begins, *given, *results, *ctx.sizes)
        found = dict(zip(floats, (made,) if isinstance(made, Tensor) else made, strict=True))
        return (*(found.get(i) for i in range(count)), *(None for _ in ctx.sizes), None)

    operation.register_autograd(backward, setup_context=setup_context)
'''

SOURCES["_no_second"] = '''
def _no_second(gradient: Any) -> None:
    """Say clearly that a gradient is not differentiated again."""

    def backward(ctx: Any, *grads: Tensor) -> None:
        raise RuntimeError(
            f"{gradient._qualname} is a derived kernel, which has no second derivative; "
            "the eager class of this file has"
        )

    gradient.register_autograd(backward)
'''

NAMES = frozenset(SOURCES) | {
    "INTERPRETED",
    "OPERATIONS",
    "TUNE",
    "PARTS",
    "_TUNING",
    "Any",
    "threading",
    "triton",
    "tl",
}


def used(text: str) -> list[str]:
    """The sources of the helpers that a text calls, and of those that they call in turn."""
    wanted: set[str] = set()
    texts = [text]
    while texts:
        now = texts.pop()
        for name in SOURCES:
            if name not in wanted and re.search(rf"\b{name}\b", now):
                wanted.add(name)
                texts.append(SOURCES[name])
    return [SOURCES[name].strip() for name in SOURCES if name in wanted]
