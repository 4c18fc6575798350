"""Compares derived gradients with automatic differentiation of the emitted module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import ncdlang
from ncdlang.cli import arrays
from ncdlang.gradients.derivation import gradient
from ncdlang.gradients.file import written
from ncdlang.project import Project
from ncdlang.semantics.program import CheckedDiagram


def derived(diagram: CheckedDiagram, wrt: Sequence[str] | None = None, **options: bool) -> str:
    """The text of the gradient, which must check."""
    text = written(gradient(diagram, wrt, **options), Project().find)
    assert ncdlang.loads(text).diagnostics == ()
    return text


def judge(
    library: ncdlang.Library,
    name: str,
    sizes: Mapping[str, int],
    *,
    backend: str = "torch",
    seed: int = 0,
    lead: tuple[int, ...] = (),
    **options: bool,
) -> float:
    """The largest relative difference between the derived gradient and that of autograd.

    The diagram's module is differentiated by torch in float64, and the gradient's text is checked,
    built and run with the same inputs, parameters and adjoints.
    """
    diagram = library.program.diagram(name)
    assert diagram is not None
    derivation = gradient(diagram, **options)
    text = derived(diagram, **options)
    solved = arrays.solve_sizes(diagram, {}, sizes)
    inputs = [torch.from_numpy(a) for a in arrays.fill_inputs(diagram, {}, solved, seed)]
    inputs = [t.expand((*lead, *t.shape)).clone() for t in inputs]
    names, training = derivation.wrt_names, options.get("training", False)
    return compare(library, name, sizes, inputs, text, names, backend, seed, training)


def compare(
    library: ncdlang.Library,
    name: str,
    sizes: Mapping[str, int],
    inputs: Sequence[Tensor],
    text: str,
    wrt: Sequence[str],
    backend: str,
    seed: int,
    training: bool = False,
) -> float:
    """As `judge`, for given inputs and the text of a gradient in `wrt`."""
    diagram = library.program.diagram(name)
    assert diagram is not None
    module = library.module(name, sizes=sizes, dtype="f64").train(training)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    values = [t.requires_grad_() if t.is_floating_point() else t for t in inputs]
    results = module(*values)
    results = results if isinstance(results, tuple) else (results,)
    reals = [r for r, w in zip(results, diagram.results, strict=True) if w.type.kind.name == "real"]
    seeds = [torch.randn(r.shape, generator=generator, dtype=torch.float64) for r in reals]
    names = [wire.name for wire in diagram.parameters]
    parameters = _parameters(diagram, module)
    known = dict(zip(names, values, strict=True)) | parameters
    wanted = [known[n] for n in wrt]
    paired = [(r, s) for r, s in zip(reals, seeds, strict=True) if r.requires_grad]
    expected = (
        torch.autograd.grad(
            [r for r, _ in paired], wanted, [s for _, s in paired], allow_unused=True
        )
        if paired
        else [None] * len(wanted)
    )
    given = [t.detach() for t in (*values, *parameters.values(), *seeds)]
    reverse = ncdlang.loads(text)
    built = reverse.module(
        reverse.diagrams[-1], sizes=_own(reverse, sizes), backend=backend, dtype="f64"
    )
    built.eval()
    with torch.no_grad():
        found = built(*given)
    found = found if isinstance(found, tuple) else (found,)
    wanted_values = [
        torch.zeros_like(f) if e is None else e for f, e in zip(found, expected, strict=True)
    ]
    return max(map(_difference, found, wanted_values), default=0.0)


def _own(library: ncdlang.Library, sizes: Mapping[str, int]) -> dict[str, int]:
    diagram = library.program.diagrams[-1]
    free = {entry.axis.name for entry in diagram.free}
    return {name: size for name, size in sizes.items() if name in free}


def _parameters(diagram: CheckedDiagram, module: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers in the order in which the gradient takes them."""
    derivation = gradient(diagram)
    state = dict(module.named_parameters()) | dict(module.named_buffers())
    return {p.wire.name: state[p.wire.name] for p in derivation.opened.learned}


def _difference(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    if not expected.numel():
        return 0.0
    assert found.isfinite().all()
    scale = max(1.0, float(expected.abs().max()))
    return float((found - expected).abs().max()) / scale
