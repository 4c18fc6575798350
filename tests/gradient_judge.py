"""Compares derived gradients with automatic differentiation of the emitted module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

import ncdlang
from ncdlang.cli import arrays
from ncdlang.gradients.derivation import Gradient, gradient
from ncdlang.gradients.file import written
from ncdlang.project import Project
from ncdlang.semantics.program import CheckedDiagram


def derived(diagram: CheckedDiagram, **options: bool) -> str:
    """The text of the gradient, which must check."""
    text = written(gradient(diagram, **options), Project().find)
    assert ncdlang.loads(text).diagnostics == ()
    return text


def judge(
    library: ncdlang.Library,
    name: str,
    sizes: Mapping[str, int],
    *,
    backend: str = "torch",
    seed: int = 0,
    inputs: Sequence[Tensor] | None = None,
    **options: bool,
) -> float:
    """The largest relative difference between the derived gradient and that of autograd.

    The diagram's module is differentiated by torch in float64, and the gradient's text is checked,
    built and run with the same inputs (random ones if none are given), parameters and adjoints.
    """
    diagram = library.program.diagram(name)
    assert diagram is not None
    if inputs is None:
        solved = arrays.solve_sizes(diagram, {}, sizes)
        inputs = [torch.from_numpy(a) for a in arrays.fill_inputs(diagram, {}, solved, seed)]
    module = library.module(name, sizes=sizes, dtype="f64")
    module.train(options.get("training", False))
    text = derived(diagram, **options)
    return compare(gradient(diagram, **options), module, inputs, text, sizes, backend, seed)


def compare(
    derivation: Gradient,
    module: nn.Module,
    inputs: Sequence[Tensor],
    text: str,
    sizes: Mapping[str, int],
    backend: str = "torch",
    seed: int = 0,
) -> float:
    """As `judge`, for the module of a diagram and the text of its gradient."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    values = [t.requires_grad_() if t.is_floating_point() else t for t in inputs]
    results = _tuple(module(*values))
    wires = derivation.opened.diagram.results
    reals = [r for r, w in zip(results, wires, strict=True) if w.type.kind.name == "real"]
    seeds = [torch.randn(r.shape, generator=generator, dtype=torch.float64) for r in reals]
    state = dict(module.named_parameters()) | dict(module.named_buffers())
    parameters = {p.wire.name: state[p.wire.name] for p in derivation.opened.learned}
    names = [wire.name for wire in derivation.opened.diagram.parameters]
    known = dict(zip(names, values, strict=True)) | parameters
    expected = _autograd(reals, [known[name] for name in derivation.wrt_names], seeds)
    found = _run(text, [*values, *parameters.values(), *seeds], sizes, backend)
    return max(_difference(f, e) for f, e in zip(found, expected, strict=True))


def _autograd(
    results: Sequence[Tensor], wanted: Sequence[Tensor], seeds: Sequence[Tensor]
) -> list[Tensor]:
    """The gradients that torch gives, 0 where a result does not depend on an array."""
    pairs = [(r, s) for r, s in zip(results, seeds, strict=True) if r.requires_grad]
    if not pairs:
        return [torch.zeros_like(array) for array in wanted]
    outputs, given = zip(*pairs, strict=True)
    found = torch.autograd.grad(outputs, wanted, given, allow_unused=True)
    return [torch.zeros_like(w) if f is None else f for f, w in zip(found, wanted, strict=True)]


def _run(
    text: str, values: Sequence[Tensor], sizes: Mapping[str, int], backend: str
) -> tuple[Tensor, ...]:
    library = ncdlang.loads(text)
    diagram = library.program.diagrams[-1]
    free = {entry.axis.name for entry in diagram.free}
    carried = {atom for wire in diagram.parameters for a in wire.type.axes for atom in a.atoms}
    bounds = {wire.type.kind.bound_axis for wire in diagram.parameters} - {None} - carried
    free |= {axis.name for axis in bounds if axis is not None}
    own = {name: size for name, size in sizes.items() if name in free}
    module = library.module(sizes=own, backend=backend, dtype="f64").eval()
    with torch.no_grad():
        return _tuple(module(*(value.detach() for value in values)))


def _tuple(results: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


def _difference(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    if not expected.numel():
        return 0.0
    assert found.isfinite().all()
    scale = max(1.0, float(expected.abs().max()))
    return float((found - expected).abs().max()) / scale
