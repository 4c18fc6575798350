"""Learned layers of the standard library as ready-made classes, general in their axes.

A class stands for its diagram only where the diagram has the parameters that the class has;
anything else is emitted from its equations.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from textwrap import dedent

from ncdlang.semantics.program import CheckedDiagram

from .code import number
from .convolutions import CONVOLUTIONS
from .layers import LAYERS
from .names import spelled
from .ready_class import Key, ReadyMade, Write, ends, has, settings_of, shape_of
from .ready_functions import FUNCTION_CLASSES

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
        if self.weight.dim() == 2:
            return F.linear(X, self.weight)
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
        if self.weight.dim() == 2:
            return F.linear(X, self.weight, self.bias)
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


def _is_linear(diagram: CheckedDiagram) -> bool:
    ins, outs = ends(diagram)
    return bool(ins and outs) and has(diagram, ("weight", (*outs, *ins)))


def _is_affine(diagram: CheckedDiagram) -> bool:
    ins, outs = ends(diagram)
    return bool(ins and outs) and has(diagram, ("weight", (*outs, *ins)), ("bias", outs))


def _is_norm(*names: str) -> Callable[[CheckedDiagram], bool]:
    def fits(diagram: CheckedDiagram) -> bool:
        ins, outs = ends(diagram)
        plain = [name for name, _ in diagram.settings] == ["eps"]
        return bool(ins) and ins == outs and plain and has(diagram, *((n, ins) for n in names))

    return fits


def _from_to(diagram: CheckedDiagram, write: Write) -> str:
    ins, outs = ends(diagram)
    return f"{shape_of(ins, write)}, {shape_of(outs, write)}"


def _shape_and_eps(diagram: CheckedDiagram, write: Write) -> str:
    ((_, eps),) = diagram.settings
    return f"{shape_of(ends(diagram)[0], write)}, eps={number(eps).text}"


_CLASSES: dict[Key, ReadyMade] = {
    ("std.nn", "linear"): ReadyMade(_LINEAR, _from_to, _is_linear),
    ("std.nn", "affine"): ReadyMade(_AFFINE, _from_to, _is_affine),
    ("std.nn", "rms_norm"): ReadyMade(_RMS_NORM, _shape_and_eps, _is_norm("weight")),
    ("std.nn", "layer_norm"): ReadyMade(_LAYER_NORM, _shape_and_eps, _is_norm("weight", "bias")),
    **LAYERS,
    **CONVOLUTIONS,
    **FUNCTION_CLASSES,
}


def register(library: str, name: str, source: str) -> None:
    """Say what an `op` becomes; `library` is "" for one that a user's own file declares.

    `source` is the text of one `nn.Module` class, which is written into the emitted file. It may
    use what that file imports: torch, F, nn, Tensor and math. Its constructor gets the settings of
    the `op` and the sizes of its free axes by their names; `forward` gets the inputs with the
    axes of the `op` last, behind any others, and keeps those in front. Raises ValueError for any
    other text.

    >>> register("", "reverse", '''
    ... class Reverse(nn.Module):
    ...     def forward(self, X: Tensor) -> Tensor:
    ...         return X.flip(-1)
    ... ''')
    """
    _CLASSES[library, name] = ReadyMade(_as_form(source), _by_name, lambda _: True)


def _as_form(source: str) -> str:
    """The text of a class as a form with its name left open."""
    text = dedent(source).strip()
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f"the text of an operator is no Python: {error}") from error
    if len(body) != 1 or not isinstance(body[0], ast.ClassDef):
        raise ValueError("the text of an operator is one class and nothing else")
    escaped = text.replace("{", "{{").replace("}", "}}")
    return re.sub(rf"\b{body[0].name}\b", "{name}", escaped)


def _by_name(diagram: CheckedDiagram, write: Write) -> str:
    sizes = [f"{spelled(free.axis.name)}={write(free.axis.size)}" for free in diagram.free]
    return ", ".join([*settings_of(diagram), *sizes])


def ready_made(diagram: CheckedDiagram) -> ReadyMade | None:
    """The ready-made class that stands for a diagram, if there is one."""
    found = _CLASSES.get((diagram.library, diagram.name))
    return found if found is not None and found.fits(diagram) else None
