"""Learned layers of the standard library as ready-made classes, general in their axes.

A class stands for its diagram only where the diagram has the parameters that the class has;
anything else is emitted from its equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis

from .code import number

_LINEAR = '''
class {name}(nn.Module):
    """A linear map without bias from the trailing axes `ins` to the axes `outs`."""

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...]) -> None:
        super().__init__()
        self.ins, self.outs = ins, outs
        self.weight = nn.Parameter(torch.empty(*outs, *ins))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.ins), 1))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, X: Tensor) -> Tensor:
        if X.shape[-len(self.ins) :] != self.ins:
            raise ValueError(f"{label}: wants trailing axes {{self.ins}}, got {{tuple(X.shape)}}")
        weight = self.weight.reshape(math.prod(self.outs), math.prod(self.ins))
        return F.linear(X.flatten(-len(self.ins)), weight).unflatten(-1, self.outs)
'''

_AFFINE = '''
class {name}(nn.Module):
    """A linear map with a bias from the trailing axes `ins` to the axes `outs`."""

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...]) -> None:
        super().__init__()
        self.ins, self.outs = ins, outs
        self.weight = nn.Parameter(torch.empty(*outs, *ins))
        self.bias = nn.Parameter(torch.empty(outs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(max(math.prod(self.ins), 1))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, X: Tensor) -> Tensor:
        if X.shape[-len(self.ins) :] != self.ins:
            raise ValueError(f"{label}: wants trailing axes {{self.ins}}, got {{tuple(X.shape)}}")
        weight = self.weight.reshape(math.prod(self.outs), math.prod(self.ins))
        Y = F.linear(X.flatten(-len(self.ins)), weight, self.bias.flatten())
        return Y.unflatten(-1, self.outs)
'''

_RMS_NORM = '''
class {name}(nn.Module):
    """Root mean square norm over the trailing axes `shape` (Zhang and Sennrich, 2019)."""

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.shape, self.eps = shape, eps
        self.weight = nn.Parameter(torch.ones(shape))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, X: Tensor) -> Tensor:
        return F.rms_norm(X, self.shape, self.weight, self.eps)
'''

_LAYER_NORM = '''
class {name}(nn.Module):
    """Layer norm over the trailing axes `shape` (Ba, Kiros and Hinton, 2016)."""

    def __init__(self, shape: tuple[int, ...], eps: float) -> None:
        super().__init__()
        self.shape, self.eps = shape, eps
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, X: Tensor) -> Tensor:
        return F.layer_norm(X, self.shape, self.weight, self.bias, self.eps)
'''

Write = Callable[[Size], str]


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """The class of a diagram: its text, and how an instance of it is built."""

    source: str
    arguments: Callable[[CheckedDiagram, Write], str]
    fits: Callable[[CheckedDiagram], bool]


def _ends(diagram: CheckedDiagram) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    return diagram.parameters[0].type.axes, diagram.results[0].type.axes


def _has(diagram: CheckedDiagram, *shapes: tuple[str, tuple[Axis, ...]]) -> bool:
    """One input, one result, and exactly these parameters, all of them plain reals."""
    found = [(p.wire.name, p.wire.type.axes) for p in diagram.learned if not p.frozen]
    wires = [*diagram.parameters, *diagram.results, *(p.wire for p in diagram.learned)]
    return (
        len(diagram.parameters) == len(diagram.results) == 1
        and found == list(shapes)
        and len(diagram.learned) == len(shapes)
        and not diagram.instances
        and all(wire.type.kind.name == "real" and not wire.type.kind.format for wire in wires)
    )


def _is_linear(diagram: CheckedDiagram) -> bool:
    ins, outs = _ends(diagram)
    return bool(ins and outs) and _has(diagram, ("weight", (*outs, *ins)))


def _is_affine(diagram: CheckedDiagram) -> bool:
    ins, outs = _ends(diagram)
    return bool(ins and outs) and _has(diagram, ("weight", (*outs, *ins)), ("bias", outs))


def _is_norm(*names: str) -> Callable[[CheckedDiagram], bool]:
    def fits(diagram: CheckedDiagram) -> bool:
        ins, outs = _ends(diagram)
        plain = [name for name, _ in diagram.settings] == ["eps"]
        return bool(ins) and ins == outs and plain and _has(diagram, *((n, ins) for n in names))

    return fits


def _shape(axes: tuple[Axis, ...], write: Write) -> str:
    sizes = [write(axis.size) for axis in axes]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _from_to(diagram: CheckedDiagram, write: Write) -> str:
    ins, outs = _ends(diagram)
    return f"{_shape(ins, write)}, {_shape(outs, write)}"


def _shape_and_eps(diagram: CheckedDiagram, write: Write) -> str:
    ((_, eps),) = diagram.settings
    return f"{_shape(_ends(diagram)[0], write)}, eps={number(eps).text}"


_CLASSES = {
    ("std.nn", "linear"): ReadyMade(_LINEAR, _from_to, _is_linear),
    ("std.nn", "affine"): ReadyMade(_AFFINE, _from_to, _is_affine),
    ("std.nn", "rms_norm"): ReadyMade(_RMS_NORM, _shape_and_eps, _is_norm("weight")),
    ("std.nn", "layer_norm"): ReadyMade(_LAYER_NORM, _shape_and_eps, _is_norm("weight", "bias")),
}


def ready_made(diagram: CheckedDiagram) -> ReadyMade | None:
    """The ready-made class that stands for a diagram, if there is one."""
    found = _CLASSES.get((diagram.library, diagram.name))
    return found if found is not None and found.fits(diagram) else None
