"""Steps of a plan as lines of a function: kernels where they run, else PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import IDENTITY, Scattered
from ncdlang.analysis.steps import Library, Region, Rows, Step, arrays_of
from ncdlang.analysis.terms import Array
from ncdlang.semantics.types import Axis

from ..pytorch.code import number
from ..pytorch.names import comment
from .foreign import called
from .launching import Launch
from .row_launching import limit, one_part, room_lines, rows_launch
from .runner import Launcher, Program
from .source import Kernel
from .torch_text import TorchWriter
from .variables import Function, format_of, room_for

REDUCED = {"=": "=", "+=": "sum", "max=": "amax", "min=": "amin"}


def write_steps(
    program: Program, function: Function, like: str, exact: bool, guard: str = "fits"
) -> list[str]:
    """Steps in order: kernels where they run (`fits`), else the library."""
    lines: list[str] = []
    writer = function.writer(program.terms, like, exact)
    for step in program.steps:
        launcher = program.launchers.get(step)
        if launcher is not None:
            limited = limit(launcher, function.sizes)
            lines.append(f"if {guard} and {limited}:" if limited else f"if {guard}:")
            lines += [f"    {line}" for line in launched(launcher, function, like)]
            lines.append("else:")
            inner = function.writer(program.terms, like, exact)
            eager = [*one_part(step, function), *library_lines(step, inner, function)]
            lines += [f"    {line}" for line in eager]
            continue
        lines += [*one_part(step, function), *library_lines(step, writer, function)]
    return lines


def launched(launcher: Launcher, function: Function, like: str) -> list[str]:
    """The lines that make room for what a kernel makes, and run it."""
    step = launcher.region
    if is_ordered(launcher.kernel) and isinstance(step, Scattered | Grouped):
        return _ordered(launcher.kernel, step, function, like)
    if isinstance(step, Scattered):
        return scatter_launch(launcher, function, like)
    if isinstance(step, Rows):
        return [*room_lines(launcher, function, like), *rows_launch(launcher, function)]
    rooms = [
        f"{function.array(array)} = {room_for(array, function, like)}" for array in arrays_of(step)
    ]
    return [*rooms, *Launch(launcher.kernel, function.sizes).launch(function, like)]


def library_lines(
    step: Step, writer: TorchWriter, function: Function, wanted: Iterable[Array] | None = None
) -> list[str]:
    """What a step makes, or the `wanted` part of it, by PyTorch."""
    start = len(writer.lines)
    arrays = arrays_of(step) if wanted is None else tuple(wanted)
    match step:
        case Region():
            made = [(o.array, o.term) for o in step.outputs if o.array in arrays]
            for array, term in made:
                text = writer.whole(term, array.axes, format_of(array))
                writer.lines.append(f"{function.array(array)} = {text}")
        case Rows():
            for output in step.outputs:
                if output.array in arrays:
                    array = output.array
                    text = writer.whole(output.written, array.axes, format_of(array))
                    writer.lines.append(f"{function.array(array)} = {text}")
        case Library():
            text = writer.whole(step.term, step.array.axes, format_of(step.array))
            writer.lines.append(f"{function.array(step.array)} = {text}")
        case Foreign():
            _call(step, writer, function)
        case Gathered() if arrays:
            text = writer.whole(step.source, step.array.axes, format_of(step.array))
            writer.lines.append(f"{function.array(step.array)} = {text}")
        case Grouped() if arrays:
            text = writer.whole(step.written, step.array.axes, format_of(step.array))
            writer.lines.append(f"{function.array(step.array)} = {text}")
        case Recurrence() if arrays:
            _scan(step, writer, function)
        case Scattered() if arrays:
            _scatter(step, writer, function)
        case _:
            pass
    return writer.lines[start:]


def _call(step: Foreign, writer: TorchWriter, function: Function) -> None:
    """A call that PyTorch has for what has no equations."""
    given: list[str] = []
    for wire, (term, axes) in zip(step.callee.parameters, step.arguments, strict=True):
        dtype = format_of(Array("", (), wire.type.kind))
        given.append(writer.whole(term, (*step.lifted, *axes), dtype))
    named = [function.array(array) for array in step.arrays]
    made = called(step, given, function)
    writer.lines.append(f"{', '.join(named)} = {made}  {comment(f'# {step.reason}')}")
    if step.path:
        writer.lines += [f"{name} = {name}[None]" for name in named]


def _scan(step: Recurrence, writer: TorchWriter, function: Function) -> None:
    axes = step.array.axes
    factor, offset = (writer.whole(term, axes, "wide") for term in (step.factor, step.offset))
    dim = 1 + axes.index(step.axis)
    made = f"_scan({factor}, {offset}, {dim}, {step.reverse})"
    writer.lines.append(f"{function.array(step.array)} = {made}.to({format_of(step.array)})")


# ---- scatters -----------------------------------------------------------------------------------


def _places(step: Scattered | Grouped, writer: TorchWriter) -> str:
    """The place of each source, by the keys of the array."""
    along = [
        f"({writer.whole(index, step.listed, 'torch.int64')}, {writer.size(axis.size)})"
        for axis, index in step.keys
    ]
    return f"_places(_number(0, torch.int64, {writer.like}), {', '.join(along)})"


def _begin(step: Scattered, writer: TorchWriter, axes: tuple[Axis, ...]) -> str:
    """What the array holds before, with its axes in this order."""
    if step.base is not None:
        return writer.whole(step.base, axes, "wide")
    return f"_number({number(IDENTITY[step.op]).text}, wide, {writer.like})"


def _scatter(step: Scattered, writer: TorchWriter, function: Function) -> None:
    lanes = tuple(axis for axis, _ in step.lanes)
    order = (*(axis for axis, _ in step.keys), *(axis for _, axis in step.lanes))
    source = writer.whole(step.source, (*step.listed, *lanes), "wide")
    places = writer.claim("places")
    writer.lines.append(f"{places} = {_places(step, writer)}")
    shape = "".join(f", {writer.size(axis.size)}" for axis in order)
    begin = _begin(step, writer, order)
    made = f'_scattered("{REDUCED[step.op]}", {begin}, {places}, {source}, {len(step.keys)}{shape})'
    places_of = [order.index(axis) + 1 for axis in step.array.axes]
    if places_of != sorted(places_of):
        made += f".permute(0, {', '.join(map(str, places_of))})"
    writer.lines.append(f"{function.array(step.array)} = {made}.to({format_of(step.array)})")


def is_ordered(kernel: Kernel) -> bool:
    """Whether a kernel visits its sources, or rows, in the order of their places."""
    return any(array.role == "order" for array in kernel.arguments.arrays)


def _ordered(kernel: Kernel, step: Scattered | Grouped, function: Function, like: str) -> list[str]:
    """The lines that sort by places, and run a kernel that needs that."""
    writer = function.writer(step.terms, like, False)
    places = _places(step, writer)
    count = "".join(f", {function.sizes.text(axis.size)}" for axis, _ in step.keys)
    found = {
        array.name: function.array(array)
        for array in kernel.arguments.arrays
        if array.role == "order"
    }
    pair = ", ".join(found.get(name, "_") for name in ("order", "starts"))
    lines = [*writer.lines, f"{pair} = _sorted_places({places}, lift{count})"]
    lines.append(f"{function.array(step.array)} = {room_for(step.array, function, like)}")
    return [*lines, *Launch(kernel, function.sizes).launch(function, like)]


def scatter_launch(launcher: Launcher, function: Function, like: str) -> list[str]:
    """The lines that run a kernel of a scatter.

    It is the sorted one where sources meet and results have to be the same each time.
    """
    step = launcher.region
    assert isinstance(step, Scattered)
    name, writer = function.array(step.array), function.writer(step.terms, like, False)
    begin = _begin(step, writer, step.array.axes)
    # A gradient that is the same for all lifted indices is added up over them at once.
    shared = step.into is not None and step.collides
    lift = f"{function.array(step.into)}.shape[0]" if shared and step.into else "lift"
    shape = ", ".join([lift, *(function.sizes.text(axis.size) for axis in step.array.axes)])
    # What is added up atomically is not rounded in between.
    dtype = "wide" if step.collides else format_of(step.array)
    writer.lines.append(f"{name} = {begin}.expand({shape}).to({dtype}, copy=True).contiguous()")
    plain = [*writer.lines, *Launch(launcher.kernel, function.sizes).launch(function, like)]
    if step.collides:
        plain.append(f"{name} = {name}.to({format_of(step.array)})")
    if launcher.sorted is None:
        return plain
    ordered = _ordered(launcher.sorted, step, function, like)
    return [
        "if torch.are_deterministic_algorithms_enabled():",
        *(f"    {line}" for line in ordered),
        "else:",
        *(f"    {line}" for line in plain),
    ]
