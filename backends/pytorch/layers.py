"""Ready-made classes of `std.nn` for what PyTorch has functions for: embedding and norms."""

from __future__ import annotations

from ncdlang.semantics.program import CheckedDiagram

from .ready_class import Fits, Key, ReadyMade, Write, ends, settings_of, shape_of, weights

_EMBEDDING = '''
class {name}(nn.Module):
    """A learned array of the axes `shape` for each natural below v: its row of `weight`."""

    def __init__(self, v: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(v, *shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)

    def forward(self, T: Tensor) -> Tensor:
        return F.embedding(T, self.weight.flatten(1)).unflatten(-1, self.weight.shape[1:])
'''

_INSTANCE_NORM = '''
class {name}(nn.Module):
    """Instance norm (Ulyanov, Vedaldi and Lempitsky, 2016).

    The last axes of X are those of `shape`, the channels. Each channel has its statistics over
    the `axes` axes before them.
    """

    def __init__(self, axes: int, shape: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.axes, self.eps = axes, eps
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, X: Tensor) -> Tensor:
        channels = self.weight.numel()
        end = X.dim() - self.weight.dim()
        lead, spread = X.shape[: end - self.axes], X.shape[end - self.axes : end]
        rows = X.reshape(math.prod(lead), math.prod(spread), channels).transpose(1, 2)
        weight, bias = self.weight.flatten(), self.bias.flatten()
        Y = torch.group_norm(rows, channels, weight, bias, self.eps)
        return Y.transpose(1, 2).reshape(X.shape)
'''

_GROUP_NORM = '''
class {name}(nn.Module):
    """Group norm (Wu and He, 2018).

    The last axis of X are the channels, in `groups` groups. Each group has its statistics over
    its channels and the `axes` axes before them.
    """

    def __init__(self, axes: int, groups: int, channels: int, eps: float) -> None:
        super().__init__()
        self.axes, self.groups, self.eps = axes, groups, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, X: Tensor) -> Tensor:
        end = X.dim() - 1
        lead, spread = X.shape[: end - self.axes], X.shape[end - self.axes : end]
        rows = X.reshape(math.prod(lead), math.prod(spread), X.shape[-1]).transpose(1, 2)
        Y = torch.group_norm(rows, self.groups, self.weight, self.bias, self.eps)
        return Y.transpose(1, 2).reshape(X.shape)
'''

_BATCH_NORM = '''
class {name}(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015).

    The last axes of X are those of `shape`, the channels. Each channel has its statistics over
    the `axes` axes before them, which are all others.
    """

    def __init__(self, axes: int, shape: tuple[int, ...], eps: float, momentum: float) -> None:
        super().__init__()
        self.axes, self.eps, self.momentum = axes, eps, momentum
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.running_mean)
        nn.init.ones_(self.running_var)

    def forward(self, X: Tensor) -> Tensor:
        Y = F.batch_norm(
            X.flatten(0, self.axes - 1).flatten(1),
            self.running_mean.flatten(),
            self.running_var.flatten(),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self.momentum,
            self.eps,
        )
        return Y.reshape(X.shape)
'''


def _is_embedding(diagram: CheckedDiagram) -> bool:
    return bool(ends(diagram)[1]) and weights(diagram) == ("weight",)


def _rows(diagram: CheckedDiagram, write: Write) -> str:
    """The size of v and the shape of a row."""
    first, *others = diagram.learned[0].wire.type.axes
    return f"{write(first.size)}, {shape_of(tuple(others), write)}"


def _is_norm(*names: str) -> Fits:
    def fits(diagram: CheckedDiagram) -> bool:
        spread, channels = _parts(diagram)
        return spread > 0 and channels > 0 and weights(diagram) == names

    return fits


def _parts(diagram: CheckedDiagram) -> tuple[int, int]:
    """How many axes a norm takes statistics over, and how many its weight has."""
    channels = len(diagram.learned[0].wire.type.axes)
    return len(ends(diagram)[0]) - channels, channels


def _axes_and_shape(diagram: CheckedDiagram, write: Write) -> str:
    shape = shape_of(diagram.learned[0].wire.type.axes, write)
    return ", ".join([str(_parts(diagram)[0]), shape, *settings_of(diagram)])


def _groups(diagram: CheckedDiagram, write: Write) -> str:
    (channels,) = diagram.learned[0].wire.type.axes
    groups = write(channels.parts[0].size)
    settings = settings_of(diagram)
    return ", ".join([str(_parts(diagram)[0]), groups, write(channels.size), *settings])


def _is_group_norm(diagram: CheckedDiagram) -> bool:
    return weights(diagram) == ("weight", "bias") and _parts(diagram)[1] == 1


LAYERS: dict[Key, ReadyMade] = {
    ("std.nn", "embedding"): ReadyMade(_EMBEDDING, _rows, _is_embedding),
    ("std.nn", "instance_norm"): ReadyMade(
        _INSTANCE_NORM, _axes_and_shape, _is_norm("weight", "bias")
    ),
    ("std.nn", "group_norm"): ReadyMade(_GROUP_NORM, _groups, _is_group_norm),
    ("std.nn", "batch_norm"): ReadyMade(
        _BATCH_NORM,
        _axes_and_shape,
        _is_norm("weight", "bias", "running_mean", "running_var"),
    ),
}
