"""Compares the kernels of a program, and their gradients, with the emitted code in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from ncdlang.backends.kernels import schedule

import ncdlang

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3, torch.float16: 2e-3}
SHORT = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


@contextmanager
def small_tiles() -> Iterator[None]:
    """Every dimension has several tiles, and products are exact in f32."""
    torch.set_float32_matmul_precision("highest")
    with pytest.MonkeyPatch.context() as patch:
        for target, rows in list(schedule.TILES.items()):
            patch.setitem(schedule.TILES, target, ((16, 16, 16, 4, 2),) * len(rows))
        patch.setattr(schedule, "SCANNED", {"step": 16, "meeting": 16, "lane": 16})
        yield


def judged(
    text: str,
    name: str,
    sizes: dict[str, int],
    dtype: torch.dtype,
    lead: int = 0,
    factor: float = 1.0,
) -> tuple[str, ...]:
    """Compare values and gradients; with `lead` all inputs but the parameters have it in front.

    Returns the kernels that ran. `factor` is how many roundings of results are allowed.
    """
    torch.manual_seed(0)
    file = ncdlang.loads(text)
    diagram = file.program.diagram(name)
    assert diagram is not None
    lengths = {symbol: sizes[symbol.name] for symbol in diagram.unknowns}
    known = {symbol.name: length for symbol, length in lengths.items()}
    derived = file.module(name, sizes=known, backend="triton", dtype=SHORT[dtype])
    exact = file.module(name, sizes=known).double()
    state = {key: torch.randn(value.shape).to(dtype) for key, value in derived.state_dict().items()}
    derived.load_state_dict(state)
    exact.load_state_dict({key: value.double() for key, value in state.items()})
    own, wide = [], []
    for wire in diagram.parameters:
        shape = [axis.size.evaluate(lengths) for axis in wire.type.axes]
        if wire.type.kind.name == "natural":
            bound = wire.type.kind.bound
            assert bound is not None
            shape = [lead, *shape] if lead else shape
            own.append(torch.randint(0, bound.evaluate(lengths), shape))
            wide.append(own[-1])
            continue
        own.append(torch.randn(shape).to(dtype).requires_grad_())
        wide.append(own[-1].detach().double().requires_grad_())
    made, wanted = derived(*own), exact(*wide)
    made, wanted = (x if isinstance(x, tuple) else (x,) for x in (made, wanted))
    pairs = []
    for ours, theirs in zip(made, wanted, strict=True):
        assert ours.shape == theirs.shape
        seen = torch.isfinite(theirs)
        assert torch.equal(torch.isfinite(ours), seen)
        if not ours.is_floating_point():
            assert torch.equal(ours, theirs)
            continue
        start = torch.randn(theirs.shape).to(dtype) * seen
        ours.backward(start, retain_graph=True)
        theirs.backward(start.double(), retain_graph=True)
        pairs.append((ours[seen], theirs[seen]))
    pairs += [(a.grad, b.grad) for a, b in zip(own, wide, strict=True) if a.is_floating_point()]
    learned = zip(derived.parameters(), exact.parameters(), strict=True)
    pairs += [(a.grad, b.grad) for a, b in learned]
    for ours, theirs in pairs:
        assert (ours is None) == (theirs is None)
        if ours is None:
            continue
        error = (ours.double() - theirs).norm()
        assert error <= factor * TOLERANCE[dtype] * theirs.norm() + 1e-12, (ours, theirs)
    return derived.last_run
