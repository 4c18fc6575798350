"""Programs evaluated by the reference backend, for tests that compare with NumPy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np

from backends.reference import evaluate
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.source import Source


def diagram(text: str, name: str | None = None) -> CheckedDiagram:
    """A diagram of a text without mistakes, the last one if no name is given."""
    source = Source("test.ncd", textwrap.dedent(text))
    program, diagnostics = check_source(source, Project().find)
    assert not [d.message for d in diagnostics if d.severity == "error"]
    found = program.diagrams[-1] if name is None else program.diagram(name)
    assert found is not None
    return found


def results(
    text: str | CheckedDiagram,
    *inputs: object,
    parameters: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    random: np.random.Generator | None = None,
) -> tuple[np.ndarray, ...]:
    """All results of the last diagram of a text."""
    found = diagram(text) if isinstance(text, str) else text
    arrays = {
        wire.name: np.asarray(array) for wire, array in zip(found.parameters, inputs, strict=True)
    }
    return tuple(evaluate(found, arrays, parameters, sizes, random).values())


def result(
    text: str | CheckedDiagram,
    *inputs: object,
    parameters: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    random: np.random.Generator | None = None,
) -> np.ndarray:
    """The one result of the last diagram of a text."""
    (only,) = results(text, *inputs, parameters=parameters, sizes=sizes, random=random)
    return only


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Random reals."""
    return np.random.default_rng(seed).normal(size=shape)


def equal(found: np.ndarray, expected: object) -> None:
    """Fails unless all entries are equal up to rounding."""
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
