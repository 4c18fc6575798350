"""Random well-typed programs: they check, PyTorch agrees with the reference, printing keeps them.

200 programs a property in `make test`, 2,000 in `make test-full`.
"""

from __future__ import annotations

import os

import torch
from checked import check
from hypothesis import HealthCheck, given, settings
from programs import Program, programs
from test_check_laws import printed, unwrapped
from torch_judge import assert_same

from ncdlang.ir.lower import lower
from ncdlang.ir.text import render
from ncdlang.semantics.program import CheckedProgram
from ncdlang.source import Source
from ncdlang.syntax.format import format_file
from ncdlang.syntax.parser import parse
from ncdlang.syntax.text import render_tree

COUNT = 2000 if os.environ.get("NCDLANG_FULL") else 200
BATCHES = ((), (2,), (0,), (3, 2))

many = settings(
    max_examples=COUNT,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def formatted(text: str) -> str:
    source = Source("test.ncd", text)
    return format_file(source, parse(source))


def rename(made: Program, entry: str) -> str:
    """The name of a parameter in the program with prefixes."""
    return made.renamed_text(entry, "zz")


@many
@given(programs())
def test_pytorch_agrees_with_the_reference(made: Program) -> None:
    # Names do not matter: the judge has others.
    emitted, reference = made.module("torch"), made.renamed("zz").module("reference")
    reference.load_state_dict({rename(made, k): v for k, v in emitted.state_dict().items()})
    batch = BATCHES[len(made.text) % len(BATCHES)] if made.liftable else ()
    for seed, lead in enumerate(dict.fromkeys(((), batch))):
        arrays = made.inputs(seed, lead)
        with torch.no_grad():
            expected = reference(*arrays)
            found = emitted(*arrays)
        for each in expected if isinstance(expected, tuple) else (expected,):
            assert torch.isfinite(each).all()
        assert_same(found, expected)


def valid(text: str) -> CheckedProgram:
    """The checked program; symmetries are taken on trust with a warning."""
    checked, found = check(text)
    assert [d.message for d in found if d.severity == "error"] == []
    return checked


@many
@given(programs())
def test_text_laws(made: Program) -> None:
    """A program checks, is formatted once and for all, and does not depend on its names."""
    checked = valid(made.text)
    text = formatted(made.text)
    assert formatted(text) == text
    original = printed(checked)
    assert printed(valid(text)) == original
    one, other = (unwrapped(printed(valid(made.renamed(p).text))) for p in ("zz", "yy"))
    assert one.replace("zz", "") == other.replace("yy", "")
    assert render_tree(parse(Source("test.ncd", text)).file)
    for diagram in checked.diagrams:
        assert diagram.name in render(lower(diagram))
