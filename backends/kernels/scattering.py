"""What a scatter needs of PyTorch at run time: places in order, and all of it without a kernel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ncdlang.analysis.scatters import IDENTITY, Scattered
from ncdlang.semantics.types import Axis

from .library import Evaluator

if TYPE_CHECKING:
    import torch

REDUCED = {"+=": "sum", "max=": "amax", "min=": "amin"}


def before(scattered: Scattered, values: Evaluator, lifted: int) -> torch.Tensor:
    """What the array holds before it is written, with the lifted dimension in front."""
    import torch

    shape = [lifted, *(values.length(axis.size) for axis in scattered.array.axes)]
    if scattered.base is not None:
        return values.run(scattered.base, scattered.array.axes).expand(shape)
    return torch.full(shape, IDENTITY[scattered.op], dtype=values.wide, device=values.device)


def places(scattered: Scattered, values: Evaluator, lifted: int) -> tuple[torch.Tensor, int]:
    """The place of each source, by lifted index and position in the list, and how many there are.

    Sources that lie outside have the place after the last one.
    """
    import torch

    lengths = [values.length(axis.size) for axis in scattered.listed]
    count = math.prod(values.length(axis.size) for axis, _ in scattered.keys)
    found = torch.zeros([lifted, *lengths], dtype=torch.int64, device=values.device)
    is_inside = torch.ones_like(found, dtype=torch.bool)
    for axis, index in scattered.keys:
        along, size = values.run(index, scattered.listed), values.length(axis.size)
        is_inside &= (along >= 0) & (along < size)
        found = found * size + along
    shape = (lifted, math.prod(lengths))
    return torch.where(is_inside, found, count).reshape(shape), count


def sorted_places(
    scattered: Scattered, values: Evaluator, lifted: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sources in the order of their places, and where those of each place begin."""
    import torch

    found, count = places(scattered, values, lifted)
    ordered, order = torch.sort(found, dim=1, stable=True)
    wanted = torch.arange(count + 1, device=values.device).expand(lifted, count + 1)
    return order, torch.searchsorted(ordered, wanted.contiguous())


def by_library(scattered: Scattered, values: Evaluator, lifted: int) -> torch.Tensor:
    """The array without a kernel."""
    keys = tuple(axis for axis, _ in scattered.keys)
    lanes = tuple(axis for axis, _ in scattered.lanes)
    covered = tuple(axis for _, axis in scattered.lanes)
    found, count = places(scattered, values, lifted)
    source = _flat(values, values.run(scattered.source, (*scattered.listed, *lanes)), lanes, lifted)
    array = before(scattered, values, lifted)
    named = _permuted(array, scattered.array.axes, (*keys, *covered))
    start = named.flatten(1, len(keys)) if keys else named.unsqueeze(1)
    start = start.flatten(2) if lanes else start.unsqueeze(2)
    # A last place takes what lies outside.
    start = _with_last(start.to(source.dtype))
    index = found[:, :, None].expand(source.shape)
    if scattered.op == "=":
        made = start.scatter(1, index, source)
    else:
        made = start.scatter_reduce(1, index, source, REDUCED[scattered.op])
    made = made.narrow(1, 0, count).reshape(named.shape)
    return _permuted(made, (*keys, *covered), scattered.array.axes)


def _flat(
    values: Evaluator, tensor: torch.Tensor, lanes: tuple[Axis, ...], lifted: int
) -> torch.Tensor:
    width = math.prod(values.length(axis.size) for axis in lanes)
    count = math.prod(tensor.shape[1 : tensor.dim() - len(lanes)])
    wide = tensor.to(values.wide).expand(lifted, *tensor.shape[1:])
    return wide.reshape(lifted, count, width)


def _with_last(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], 1, tensor.shape[2])], 1)


def _permuted(
    tensor: torch.Tensor, own: tuple[Axis, ...], wanted: tuple[Axis, ...]
) -> torch.Tensor:
    return tensor.permute(0, *(own.index(axis) + 1 for axis in wanted))
