"""Ready-made classes of what has no parameters and is more than one call of a function."""

from __future__ import annotations

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size

from .ready_class import Key, ReadyMade, Write, settings_of

_SORT = '''
class {name}(nn.Module):
    """The entries along the last axis in ascending order."""

    def forward(self, X: Tensor) -> Tensor:
        return torch.sort(X, stable=True).values
'''

_ARGSORT = '''
class {name}(nn.Module):
    """The places along the last axis in ascending order of their entries."""

    def forward(self, X: Tensor) -> Tensor:
        return torch.argsort(X, stable=True)
'''

_TOP_K = '''
class {name}(nn.Module):
    """The `t` largest entries along the last axis and their places, largest first."""

    def forward(self, X: Tensor, t: int) -> tuple[Tensor, Tensor]:
        # torch.topk says nothing of the order of equal entries.
        values, places = torch.sort(X, descending=True, stable=True)
        return values[..., :t], places[..., :t]
'''

_RUNNING = '''
class {name}(nn.Module):
    """`now` in training, which moves `average` towards `seen`; `average` in eval mode."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum

    def forward(self, now: Tensor, seen: Tensor, average: Tensor) -> Tensor:
        if not self.training:
            return average
        with torch.no_grad():
            average.lerp_(seen, self.momentum)
        return now
'''

_CROSS_ENTROPY = '''
class {name}(nn.Module):
    """Cross-entropy of the softmax of the logits along the last axis with a class, in nats."""

    def forward(self, L: Tensor, T: Tensor) -> Tensor:
        shape, v = torch.broadcast_shapes(L.shape[:-1], T.shape), L.shape[-1]
        rows = L.expand(*shape, v).reshape(math.prod(shape), v)
        loss = F.cross_entropy(rows, T.long().expand(shape).flatten(), reduction="none")
        return loss.reshape(shape)
'''

_ROTARY = '''
class {name}(nn.Module):
    """Rotary positions (Su et al., 2021): entry i of the last axis is paired with i + half."""

    def __init__(self, base: float) -> None:
        super().__init__()
        self.base = base

    def forward(self, X: Tensor) -> Tensor:
        wide = torch.promote_types(X.dtype, torch.float32)
        half = X.shape[-1] // 2
        pair = torch.arange(half, device=X.device, dtype=wide) / max(half, 1)
        angle = torch.arange(X.shape[-2], device=X.device)[:, None] / self.base**pair
        cos, sin = angle.cos().to(X.dtype), angle.sin().to(X.dtype)
        a, b = X[..., :half], X[..., half:]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
'''

_ROTARY_PAIRS = '''
class {name}(nn.Module):
    """Rotary positions (Su et al., 2021): entry 2 i of the last axis is paired with 2 i + 1."""

    def __init__(self, base: float) -> None:
        super().__init__()
        self.base = base

    def forward(self, X: Tensor) -> Tensor:
        wide = torch.promote_types(X.dtype, torch.float32)
        half = X.shape[-1] // 2
        pair = torch.arange(half, device=X.device, dtype=wide) / max(half, 1)
        angle = torch.arange(X.shape[-2], device=X.device)[:, None] / self.base**pair
        cos, sin = angle.cos().to(X.dtype), angle.sin().to(X.dtype)
        a, b = X[..., 0::2], X[..., 1::2]
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
'''


def _settings(diagram: CheckedDiagram, write: Write) -> str:
    del write
    return ", ".join(settings_of(diagram))


def _count(diagram: CheckedDiagram) -> list[tuple[str, Size]]:
    return [("t", diagram.results[0].type.axes[0].size)]


def _is_plain(diagram: CheckedDiagram) -> bool:
    wires = (*diagram.parameters, *diagram.results)
    return all(not wire.type.kind.format for wire in wires)


FUNCTION_CLASSES: dict[Key, ReadyMade] = {
    ("std.prelude", "sort"): ReadyMade(_SORT, _settings, _is_plain),
    ("std.prelude", "argsort"): ReadyMade(_ARGSORT, _settings, _is_plain),
    ("std.prelude", "top_k"): ReadyMade(_TOP_K, _settings, _is_plain, _count),
    ("std.nn", "running"): ReadyMade(_RUNNING, _settings, _is_plain),
    ("std.loss", "cross_entropy"): ReadyMade(_CROSS_ENTROPY, _settings, _is_plain),
    ("std.position", "rotary"): ReadyMade(_ROTARY, _settings, _is_plain),
    ("std.position", "rotary_pairs"): ReadyMade(_ROTARY_PAIRS, _settings, _is_plain),
}
