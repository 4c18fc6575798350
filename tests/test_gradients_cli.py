"""`ncdc grad` gives text, drawings and code, as does the Python interface."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.cli.main import main

ROOT = Path(__file__).parent.parent
ATTENTION = ROOT / "examples" / "attention.ncd"

Ncdc = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ncdc(capfd: pytest.CaptureFixture[str]) -> Ncdc:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        return (code, *capfd.readouterr())

    return run


STARTS = {
    "ncd": "# Derived by reverse mode.",
    "python": "# Emitted by ncdc from ",
    "ir": "diagram attention_grad(Q: [q h k]",
    "gv": 'graph "attention_grad" {',
    "svg": "<?xml",
}
ENDINGS = {"ncd": "ncd", "python": "py", "gv": "dot", "svg": "svg"}


@pytest.mark.parametrize("form", STARTS)
def test_a_gradient_is_text_or_a_drawing_or_code(ncdc: Ncdc, form: str) -> None:
    code, out, _ = ncdc("grad", ATTENTION, "attention", "--emit", form)
    assert code == 0
    assert out.startswith(STARTS[form])


@pytest.mark.parametrize("form", ENDINGS)
def test_the_ending_of_the_output_says_what_is_written(
    ncdc: Ncdc, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"out.{ENDINGS[form]}"
    assert ncdc("grad", ATTENTION, "attention", "-o", path)[:2] == (0, "")
    assert path.read_text().startswith(STARTS[form])
    ncdc("grad", ATTENTION, "attention", "-o", path, "--emit", "ir")
    assert path.read_text().startswith(STARTS["ir"])


def test_the_library_draws_and_emits_a_gradient() -> None:
    text = ncdlang.load(ATTENTION).gradient("attention", recompute=True)
    library = ncdlang.loads(text)
    assert "<svg" in library.draw("attention_grad").svg()
    assert "class AttentionGrad(nn.Module)" in library.source("attention_grad")
    given = [torch.randn(3, 2, 4) for _ in range(4)]
    assert [tuple(g.shape) for g in library.module()(*given)] == [(3, 2, 4)] * 3


REFUSED = {
    "an op": (
        "op g: [] -> []\ndiagram f(X: [x]) -> [x] {\n  return g(X)\n}",
        "no derivative is known for the op `g`",
        3,
    ),
    "an op of arrays": (
        "op g: [x] -> [x]\ndiagram f(X: [x]) -> [x] {\n  return g(X)\n}",
        "no derivative is known for the op `g`",
        3,
    ),
    "a recurrence inside a recurrence": (
        "diagram g(U: [s]) -> [s] {\n"
        "  return G[s] = U[s] + where(s > 0, sin(G[s - 1]), 0)\n}\n"
        "diagram f(X: [t s]) -> [t s] {\n  P[t s] = where(t > 0, H[t - 1, s], 0)\n"
        "  R = g(P)\n  return H[t s] = R[t s] + X[t s]\n}",
        "a recurrence inside a recurrence has no gradient",
        2,
    ),
    "a scatter inside a recurrence that adds nothing": (
        "diagram g(U: [s]) -> [s] {\n  Y: [s]\n  Y[s] max= U[s]\n  return Y\n}\n"
        "diagram f(X: [t s]) -> [t s] {\n  P[t s] = where(t > 0, H[t - 1, s], 0)\n"
        "  R = g(P)\n  return H[t s] = R[t s] + X[t s]\n}",
        "a scatter inside a recurrence has a gradient only if it adds reals",
        2,
    ),
    "a complex array": (
        "diagram f(X: [x], Z: C[x]) -> [x] {\n  return Y[x] = real(Z * X)\n}",
        "complex: only reals have gradients",
        2,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_gradient_is_said_with_its_place(ncdc: Ncdc, tmp_path: Path, case: str) -> None:
    text, said, line = REFUSED[case]
    path = tmp_path / "f.ncd"
    path.write_text(text)
    code, out, err = ncdc("grad", path, "f")
    assert (code, out) == (1, "")
    assert said in err
    assert f"{path}:{line}:" in err
    with pytest.raises(ncdlang.NcdError) as caught:
        ncdlang.load(path).gradient("f")
    assert said in str(caught.value)
    assert f"{path}:{line}:" in str(caught.value)


def test_a_name_that_nothing_has_is_refused(ncdc: Ncdc) -> None:
    code, out, err = ncdc("grad", ATTENTION, "multi_head", "--wrt", "X,Lx.weight")
    assert (code, out) == (2, "")
    assert "no input or parameter `Lx.weight`: it has `X`, `Lq.weight`" in err
