"""The PyTorch backend emits graphs that the default pipeline has rewritten."""

from __future__ import annotations

import os
from typing import Any

import torch
from hypothesis import given, settings
from ncdlang.backends.pytorch.emitter import emit_module
from random_graphs import random_diagram, same, sample, seeds

from ncdlang.algebra.rewrites import PIPELINE
from ncdlang.algebra.rewriting import rewrite_all
from ncdlang.ir.diagram import Graph
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram


def rewritten(diagram: CheckedDiagram) -> Graph:
    return rewrite_all(lower(diagram), PIPELINE).graph


@settings(max_examples=500 if "NCDLANG_FULL" in os.environ else 30)
@given(seeds)
def test_rewritten_graphs_can_be_emitted(seed: int) -> None:
    diagram = random_diagram(seed)
    assert diagram is not None
    graph = lower(diagram)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    sizes = {symbol.name: size for symbol, size in drawn.sizes.items()}
    emitted = emit_module(diagram, "random.ncd", sizes, rewritten)
    scope: dict[str, Any] = {"__name__": "emitted"}
    exec(emitted.text, scope)
    module = scope[emitted.class_name]().double()
    with torch.no_grad():
        for name, array in drawn.parameters.items():
            getattr(module, name).copy_(torch.from_numpy(array))
        given = [torch.from_numpy(array) for array in drawn.inputs]
        made = module(*given)
    results = made if isinstance(made, tuple) else (made,)
    assert same(drawn.values(graph), [result.detach().numpy() for result in results])
