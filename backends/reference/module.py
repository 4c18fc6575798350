"""A `torch.nn.Module` round the evaluation, with parameters as the language names them."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ncdlang.semantics.program import CheckedDiagram, Learned
from ncdlang.targets import Request, TargetError

from .evaluation import run
from .operators import check_operators
from .solving import SizeError, Sizes, missing, solve

if TYPE_CHECKING:
    import torch
    from torch import nn

_DTYPES = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}


@dataclass(frozen=True, slots=True)
class _Slot:
    """A parameter: its name in the file, and the attribute of a submodule that holds it."""

    name: str
    holder: nn.Module
    attribute: str


def reference_module(request: Request) -> nn.Module:
    """A module of the requested diagram, in eval mode. Raises TargetError.

    That is for a size that is missing and for an `op` that nothing is registered for.
    """
    import torch

    diagram = request.diagram
    check_operators(diagram)
    slots: list[_Slot] = []
    sizes = request.sizes

    class Reference(torch.nn.Module):
        """Evaluates a diagram by its definition, index by index in float64."""

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
            return _forward(diagram, inputs, slots, sizes, self.training)

        def extra_repr(self) -> str:
            return diagram.name

    module = Reference()
    dtype = _dtype(request.dtype)
    slots.extend(_fill(module, diagram, _built_sizes(diagram, sizes), dtype, ""))
    return module.eval()


def _forward(
    diagram: CheckedDiagram,
    inputs: Sequence[Any],
    slots: Sequence[_Slot],
    sizes: Mapping[str, int],
    training: bool,
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    import torch

    if len(inputs) != len(diagram.parameters):
        raise ValueError(
            f"`{diagram.name}` takes {len(diagram.parameters)} inputs, not {len(inputs)}"
        )
    tensors = [torch.as_tensor(value) for value in inputs]
    device = tensors[0].device if tensors else None
    parameters = {slot.name: _array(getattr(slot.holder, slot.attribute)) for slot in slots}
    random = np.random.default_rng(int(torch.randint(2**62, ()))) if training else None
    arrays = [_array(tensor) for tensor in tensors]
    results = run(diagram, arrays, parameters, sizes, random)
    if training and diagram.is_stateful:
        _keep_state(slots, parameters)
    made = tuple(torch.from_numpy(np.ascontiguousarray(r)).reshape(r.shape) for r in results)
    made = tuple(tensor.to(device) for tensor in made)
    return made[0] if len(made) == 1 else made


def _keep_state(slots: Sequence[_Slot], parameters: Mapping[str, np.ndarray]) -> None:
    """Give the buffers what the evaluation made of them."""
    import torch

    for slot in slots:
        tensor: torch.Tensor = getattr(slot.holder, slot.attribute)
        if not isinstance(tensor, torch.nn.Parameter):
            tensor.copy_(torch.from_numpy(parameters[slot.name]))


def _array(tensor: torch.Tensor) -> np.ndarray:
    """The entries, reals as float64: NumPy lacks the short formats."""
    import torch

    tensor = tensor.detach().cpu()
    return (tensor.to(torch.float64) if tensor.is_floating_point() else tensor).numpy()


def _dtype(name: str) -> torch.dtype:
    import torch

    if name not in _DTYPES:
        raise TargetError(f"parameters have no dtype `{name}`; one of {', '.join(_DTYPES)}")
    dtype: torch.dtype = getattr(torch, _DTYPES[name])
    return dtype


# ---- parameters ---------------------------------------------------------------------------------


def _built_sizes(diagram: CheckedDiagram, given: Mapping[str, int]) -> Sizes:
    try:
        sizes = solve(diagram, (), given)
    except SizeError as error:
        raise TargetError(str(error)) from error
    unknown = missing(sizes, diagram.needed)
    if unknown:
        raise TargetError(
            f"{unknown} of `{diagram.name}` must be given: the shape of a parameter needs it"
        )
    return sizes


def _fill(
    module: nn.Module, diagram: CheckedDiagram, sizes: Sizes, dtype: torch.dtype, prefix: str
) -> Iterator[_Slot]:
    """Give the module the parameters of the diagram, and submodules those of its instances."""
    attributes = _attributes(diagram)
    for learned in diagram.learned:
        attribute = attributes[learned.wire.name]
        _register(module, attribute, learned, _parameter(diagram, learned, sizes, dtype))
        yield _Slot(f"{prefix}{learned.wire.name}", module, attribute)
    for instance in diagram.instances:
        stem, *rest = instance.name.split(".")
        holder = _submodule(module, [attributes[stem], *rest])
        inner = {symbol: size.evaluate(sizes) for symbol, size in instance.binding}
        inner = solve(instance.callee, (), {}, inner)
        yield from _fill(holder, instance.callee, inner, dtype, f"{prefix}{instance.name}.")


def _parameter(
    diagram: CheckedDiagram, learned: Learned, sizes: Sizes, dtype: torch.dtype
) -> torch.Tensor:
    import torch

    from .initial import initialise

    shape = [axis.size.evaluate(sizes) for axis in learned.wire.type.axes]
    tensor = torch.empty(shape, dtype=dtype)
    initialise(tensor, learned, diagram.learned, sizes)
    return tensor


def _register(module: nn.Module, attribute: str, learned: Learned, tensor: torch.Tensor) -> None:
    import torch

    if learned.frozen:
        module.register_buffer(attribute, tensor)
    else:
        module.register_parameter(attribute, torch.nn.Parameter(tensor))


def _submodule(module: nn.Module, path: Sequence[str]) -> nn.Module:
    import torch

    for name in path:
        children = dict(module.named_children())
        if name not in children:
            module.add_module(name, torch.nn.Module())
        module = dict(module.named_children())[name]
    return module


def _attributes(diagram: CheckedDiagram) -> dict[str, str]:
    """The attribute for each raw parameter and the stem of each instance.

    A name is spelled as Python can (`W'` as `W_`), with underscores behind it until it is neither
    a keyword nor an attribute of `nn.Module`, nor `reset_parameters`, nor taken.
    """
    import torch

    taken = {*dir(torch.nn.Module()), "reset_parameters"}
    names = [learned.wire.name for learned in diagram.learned]
    names += [instance.name.split(".")[0] for instance in diagram.instances]
    attributes: dict[str, str] = {}
    for name in dict.fromkeys(names):
        attribute = _spelled(name)
        while attribute in taken or keyword.iskeyword(attribute):
            attribute += "_"
        taken.add(attribute)
        attributes[name] = attribute
    return attributes


def _spelled(name: str) -> str:
    normal = unicodedata.normalize("NFKC", name)
    text = "".join(c if f"a{c}".isidentifier() else "_" for c in normal)
    text = text if text[:1].isidentifier() else f"_{text}"
    # Python mangles the attributes of a class that begin with two underscores.
    return "_" + text.lstrip("_") if text.startswith("__") else text
