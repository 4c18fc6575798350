"""Ready-made classes of `std.conv`: PyTorch's convolutions and pooling, channels last.

The leading axes are flattened into PyTorch's one batch axis, and the channels are moved behind it.
Where no window fits, or there is nothing to spread, PyTorch raises an error; the equations have an
empty result or the bias alone there, and so have these classes.
"""

from __future__ import annotations

from ncdlang.semantics.program import CheckedDiagram

from .ready_class import Fits, Key, ReadyMade, Write, settings_of, shape_of, weights

_ALONG = {1: "x", 2: "y and x"}

_BIASED = '''
class {name}(nn.Module):
    """DOCUMENTATION, channels last."""

    def __init__(self, shape: tuple[int, ...], stride: int, dilation: int) -> None:
        super().__init__()
        self.stride, self.dilation = stride, dilation
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[CHANNELS]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.weight.shape[1:]), 1))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
'''

_GROUPED = '''
class {name}(nn.Module):
    """DOCUMENTATION, channels last."""

    def __init__(self, shape: tuple[int, ...], groups: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.groups, self.stride, self.dilation = groups, stride, dilation
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[CHANNELS]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.weight.shape[1:]), 1))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
'''

_LINEAR = '''
class {name}(nn.Module):
    """DOCUMENTATION, channels last."""

    def __init__(self, shape: tuple[int, ...], stride: int, dilation: int) -> None:
        super().__init__()
        self.stride, self.dilation = stride, dilation
        self.weight = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.weight.shape[1:]), 1))
        nn.init.uniform_(self.weight, -bound, bound)
'''


def _written(head: str, documentation: str, channels: int, forward: str) -> str:
    """A class; `channels` is the place of the result's channels in the shape of its weight."""
    text = head.replace("DOCUMENTATION", documentation).replace("CHANNELS", str(channels))
    return f"{text}\n{forward.strip(chr(10))}\n"


def _convolution(
    dims: int, head: str, what: str, weight: str = "self.weight", groups: str = ""
) -> str:
    """A convolution over `dims` axes, with its weight and its groups as PyTorch wants them."""
    has_bias = head is not _LINEAR
    ones = "..., " + ":1, " * dims + ":1"
    width = "1) + self.bias" if has_bias else "self.weight.shape[0])"
    further = f", groups={groups}" if groups else ""
    bias = "self.bias" if has_bias else "None"
    forward = f"""
    def forward(self, X: Tensor) -> Tensor:
        lead, own = X.shape[:-{dims + 1}], X.shape[-{dims + 1}:]
        spans = [self.dilation * (kernel - 1) + 1 for kernel in self.weight.shape[-{dims}:]]
        sizes = [(size - span) // self.stride + 1 for size, span in zip(own, spans)]
        if 0 in sizes:  # No window fits.
            return (X[{ones}] * self.weight.sum()).expand(*lead, *sizes, {width}
        rows = X.reshape(math.prod(lead), *own).movedim(-1, 1)
        Y = F.conv{dims}d(
            rows, {weight}, {bias}, self.stride, dilation=self.dilation{further}
        )
        return Y.movedim(1, -1).reshape(*lead, *sizes, Y.shape[1])
"""
    return _written(head, f"{what} along {_ALONG[dims]}", 0, forward)


def _transposed(dims: int) -> str:
    forward = f"""
    def forward(self, X: Tensor) -> Tensor:
        lead, own = X.shape[:-{dims + 1}], X.shape[-{dims + 1}:]
        spans = [self.dilation * (kernel - 1) + 1 for kernel in self.weight.shape[-{dims}:]]
        sizes = [self.stride * (size - 1) + span for size, span in zip(own, spans)]
        if 0 in own[:-1]:  # Nothing is spread.
            return self.bias.expand(*lead, *sizes, -1)
        rows = X.reshape(math.prod(lead), *own).movedim(-1, 1)
        Y = F.conv_transpose{dims}d(
            rows, self.weight, self.bias, self.stride, dilation=self.dilation
        )
        return Y.movedim(1, -1).reshape(*lead, *sizes, Y.shape[1])
"""
    return _written(_BIASED, f"Transposed convolution along {_ALONG[dims]}", 1, forward)


def _pooling(dims: int, kind: str, what: str) -> str:
    places = ", ".join(f": sizes[{place}]" for place in range(dims))
    return f'''
class {{name}}(nn.Module):
    """{what} of windows along {_ALONG[dims]}, channels last."""

    def __init__(self, window: int, stride: int) -> None:
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, X: Tensor) -> Tensor:
        lead, own = X.shape[:-{dims + 1}], X.shape[-{dims + 1}:]
        sizes = [(size - self.window) // self.stride + 1 for size in own[:-1]]
        if 0 in sizes:  # No window fits.
            return X[..., {places}, :]
        rows = X.reshape(math.prod(lead), *own).movedim(-1, 1)
        Y = F.{kind}_pool{dims}d(rows, self.window, self.stride)
        return Y.movedim(1, -1).reshape(*lead, *sizes, Y.shape[1])
'''


def _shape(diagram: CheckedDiagram, write: Write) -> str:
    axes = diagram.learned[0].wire.type.axes
    return ", ".join([shape_of(axes, write), *settings_of(diagram)])


def _shape_and_groups(diagram: CheckedDiagram, write: Write) -> str:
    axes = diagram.learned[0].wire.type.axes
    groups = write(axes[0].parts[0].size)
    return ", ".join([shape_of(axes, write), groups, *settings_of(diagram)])


def _settings(diagram: CheckedDiagram, write: Write) -> str:
    del write
    return ", ".join(settings_of(diagram))


def _has(*names: str) -> Fits:
    return lambda diagram: weights(diagram) == names


def _is_plain(diagram: CheckedDiagram) -> bool:
    return all(not w.type.kind.format for w in (*diagram.parameters, *diagram.results))


def _classes(dims: int) -> dict[Key, ReadyMade]:
    plain = _convolution(dims, _BIASED, "Convolution")
    linear = _convolution(dims, _LINEAR, "Convolution without a bias")
    grouped = _convolution(
        dims, _GROUPED, "Convolution in groups of channels", groups="self.groups"
    )
    depthwise = _convolution(
        dims, _BIASED, "Depthwise convolution", "self.weight[:, None]", groups="own[-1]"
    )
    largest, mean = _pooling(dims, "max", "The largest entry"), _pooling(dims, "avg", "The mean")
    both = _has("weight", "bias")
    made = {
        "conv": ReadyMade(plain, _shape, both),
        "linear_conv": ReadyMade(linear, _shape, _has("weight")),
        "grouped_conv": ReadyMade(grouped, _shape_and_groups, both),
        "depthwise_conv": ReadyMade(depthwise, _shape, both),
        "conv_transpose": ReadyMade(_transposed(dims), _shape, both),
        "max_pool": ReadyMade(largest, _settings, _is_plain),
        "avg_pool": ReadyMade(mean, _settings, _is_plain),
    }
    return {("std.conv", f"{name}{dims}d"): one for name, one in made.items()}


CONVOLUTIONS: dict[Key, ReadyMade] = {**_classes(1), **_classes(2)}
