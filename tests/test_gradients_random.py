"""Gradients of random programs equal those of autograd: 50 in `make test`, 500 in the full mode."""

from __future__ import annotations

import os

from gradient_judge import compare
from hypothesis import HealthCheck, given, settings
from programs import Program, programs

import ncdlang
from ncdlang.api import check
from ncdlang.gradients.derivation import gradient
from ncdlang.gradients.file import written
from ncdlang.project import Project
from ncdlang.source import Source

COUNT = 500 if os.environ.get("NCDLANG_FULL") else 50
TOLERANCE = 1e-8


def difference(made: Program) -> float:
    find = Project().find
    checked = check(Source("made", made.text), find, made.config, dict(made.sizes), made.name)
    diagram = checked.program.diagram(made.name)
    assert diagram is not None
    derivation = gradient(diagram)
    text = written(derivation, find)
    assert ncdlang.loads(text).diagnostics == ()
    module = made.module("torch").eval()
    return compare(derivation, module, made.inputs(0), text, made.axes)


@settings(
    max_examples=COUNT,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(programs(differentiable=True))
def test_gradients_of_random_programs(made: Program) -> None:
    assert difference(made) < TOLERANCE
