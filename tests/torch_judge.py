"""Emitted modules beside the reference: what the tests of the PyTorch backend share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from backends.pytorch import PyTorchBackend
from backends.reference import ReferenceBackend
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import CheckedProgram
from ncdlang.semantics.types import Wire
from ncdlang.source import Source
from ncdlang.targets import Request

Shape = tuple[int, ...]
PROJECT = Project()


def program(text: str) -> CheckedProgram:
    """The checked program of a text without mistakes."""
    checked, diagnostics = check_source(Source("test.ncd", text), PROJECT.find)
    assert not [d.message for d in diagnostics if d.severity == "error"]
    return checked


def request(
    checked: CheckedProgram, name: str, sizes: Mapping[str, int] | None = None, dtype: str = "f64"
) -> Request:
    diagram = checked.diagram(name)
    assert diagram is not None
    return Request(checked, diagram, dict(sizes or {}), dtype)


def source(text: str, name: str = "f", sizes: Mapping[str, int] | None = None) -> str:
    """The emitted file."""
    content = PyTorchBackend().emit(request(program(text), name, sizes)).content
    assert isinstance(content, str)
    return content


def build(
    text: str, name: str = "f", sizes: Mapping[str, int] | None = None, dtype: str = "f64"
) -> nn.Module:
    """The emitted module."""
    return PyTorchBackend().module(request(program(text), name, sizes, dtype))


@dataclass(frozen=True, slots=True)
class Case:
    """A diagram, called `f` unless told, with the sizes of the unknowns that it is tried at."""

    text: str
    at: Mapping[str, int]
    name: str = "f"
    built: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def sizes(self) -> dict[str, int]:
        """Those that the constructor gets."""
        return dict(self.built)


def inputs(
    wires: Sequence[Wire],
    sizes: Mapping[str, int],
    leads: Sequence[Shape],
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> list[Tensor]:
    """Random arrays for the wires; `leads` are their batch axes."""
    generator = torch.Generator().manual_seed(seed)
    made: list[Tensor] = []
    for wire, lead in zip(wires, leads, strict=True):
        symbols = {s: sizes[s.name] for axis in wire.type.axes for s in axis.size.symbols()}
        shape = (*lead, *(axis.size.evaluate(symbols) for axis in wire.type.axes))
        kind = wire.type.kind
        if kind.name == "real":
            made.append(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        elif kind.name == "boolean":
            made.append(torch.rand(shape, generator=generator) > 0.5)
        else:
            assert kind.bound is not None
            bound = kind.bound.evaluate({s: sizes[s.name] for s in kind.bound.symbols()})
            made.append(torch.randint(0, max(bound, 1), shape, generator=generator))
    return made


def admits(wire: Wire, sizes: Mapping[str, int], array: Tensor) -> bool:
    """Whether there are values for the array: none are naturals below 0."""
    bound = wire.type.kind.bound
    if bound is None or array.numel() == 0:
        return True
    return bound.evaluate({s: sizes[s.name] for s in bound.symbols()}) > 0


def batches(count: int) -> Iterator[list[Shape]]:
    """Batch axes of `count` inputs: none, one, two, on one input only, of different ranks."""
    yield [()] * count
    yield [(2,)] * count
    yield [(2, 3)] * count
    for i in range(count if count > 1 else 0):
        yield [(3,) if j == i else () for j in range(count)]
        yield [(3,) if j == i else (2, 1) for j in range(count)]


def as_tuple(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def judged(
    checked: CheckedProgram, name: str, sizes: Mapping[str, int]
) -> tuple[nn.Module, nn.Module]:
    """The emitted module and the reference, with the same parameters."""
    asked = request(checked, name, sizes)
    module, reference = PyTorchBackend().module(asked), ReferenceBackend().module(asked)
    reference.load_state_dict(module.state_dict())
    return module, reference


def assert_same(own: Tensor | tuple[Tensor, ...], judge: Tensor | tuple[Tensor, ...]) -> None:
    """Equal in shape, and in value wherever the reference is finite."""
    for mine, other in zip(as_tuple(own), as_tuple(judge), strict=True):
        assert mine.shape == other.shape
        finite = torch.isfinite(other)
        torch.testing.assert_close(
            mine.to(other.dtype)[finite], other[finite], rtol=1e-9, atol=1e-9
        )


def judge(case: Case) -> None:
    """Compare a case with the reference, for all the batch axes."""
    checked = program(case.text)
    module, reference = judged(checked, case.name, case.sizes)
    diagram = checked.diagram(case.name)
    assert diagram is not None
    for leads in batches(len(diagram.parameters)):
        arrays = inputs(diagram.parameters, {**case.at, **case.sizes}, leads)
        assert_same(module(*arrays), reference(*arrays))
