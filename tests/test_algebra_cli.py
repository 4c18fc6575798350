"""`ncdc equal`, `ncdc ir --rewrite` and `ncdc explain pipeline`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ncdlang.algebra.rewrites import PIPELINE, REWRITES
from ncdlang.cli.main import main

Result = tuple[int, str, str]
Ncdc = Callable[..., Result]

LEFT = """
diagram attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
  P        = softmax[x](S)
  return O[q h k] = P[h q x] * V[x h k]
}
"""
RIGHT = """
diagram core : ([q h k], [x h k], [x h k]) -> [q h k]
  = einsum[q h k, x h k -> h q x] >> scale[1 / sqrt(size(k))] >> softmax[x]
    >> einsum[h q x, x h k -> q h k]
"""
CHAIN = """
diagram f(A: [i j], B: [j k], v: [k]) -> [i] {
  M[i k] = A[i j] * B[j k]
  D = exp(A)
  return y[i] = M[i k] * v[k]
}
"""


@pytest.fixture
def ncdc(capfd: pytest.CaptureFixture[str]) -> Ncdc:
    def run(*arguments: object) -> Result:
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        return (code, *capfd.readouterr())

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


File = Callable[[str, str], Path]


def test_equal_files(ncdc: Ncdc, file: File) -> None:
    left, right = file("a.ncd", LEFT), file("b.ncd", RIGHT)
    assert ncdc("equal", left, right)[:2] == (0, "equal: `attention` and `core`\n")
    assert ncdc("equal", left, right, "attention", "core")[0] == 0
    assert ncdc("equal", left, left)[:2] == (0, "equal: `attention`\n")


def test_different_files_show_where(ncdc: Ncdc, file: File) -> None:
    left, right = file("a.ncd", LEFT), file("b.ncd", LEFT.replace("sqrt(size(k))", "size(k)"))
    code, out, _ = ncdc("equal", left, right)
    assert code == 1
    assert "different: `attention`" in out
    assert f"{left}:3:" in out
    assert f"{right}:3:" in out
    assert "sqrt" in out


def test_all_diagrams_of_two_files_are_compared(ncdc: Ncdc, file: File) -> None:
    other = "diagram g(X: [a]) -> [a] { return exp(X) }\n"
    left, right = file("a.ncd", LEFT + other), file("b.ncd", LEFT + other.replace("exp", "tanh"))
    code, out, _ = ncdc("equal", left, right)
    assert (code, out.splitlines()[0]) == (1, "equal: `attention`")
    assert "different: `g`" in out
    assert ncdc("equal", left, right, "attention")[0] == 0


def test_mistakes_of_use(ncdc: Ncdc, file: File) -> None:
    left = file("a.ncd", LEFT)
    code, out, err = ncdc("equal", left, left, "atention")
    assert (code, out) == (2, "")
    assert "did you mean `attention`" in err
    assert ncdc("equal", left, file("bad.ncd", "diagram f(X: [a]) -> [a] { return Y }"))[0] == 1
    code, _, err = ncdc("ir", left, "--rewrite", "dead-wire")
    assert code == 2
    assert "did you mean dead-wires?" in err
    assert ncdc("ir", left, "--stage", "checked", "--rewrite", "unfold")[0] == 2


def test_rewrites_are_shown_before_and_after(ncdc: Ncdc, file: File) -> None:
    path = file("a.ncd", CHAIN)
    code, out, _ = ncdc("ir", path, "--rewrite", "dead-wires")
    assert code == 0
    before, after = out.split("# after")
    assert "exp" in before
    assert "exp" not in after
    assert f"# dead-wires: `D`: nobody reads it ({path}:4:3)" in before
    assert "applies nowhere" in ncdc("ir", path, "--rewrite", "unfold")[1]


@pytest.mark.parametrize("name", [*(rule.name for rule in REWRITES), "pipeline", "search"])
def test_every_rewrite_can_be_shown(ncdc: Ncdc, file: File, name: str) -> None:
    code, out, _ = ncdc("ir", file("a.ncd", LEFT + CHAIN), "--open", "--rewrite", name)
    assert code == 0
    assert out.count("diagram attention") == 2


def test_the_search_uses_the_sizes(ncdc: Ncdc, file: File) -> None:
    path = file("a.ncd", CHAIN)
    out = ncdc("ir", path, "--rewrite", "search", "--size", "i=100,j=100,k=100")[1]
    after = out.split("# ")[-1]
    assert "FLOPs" in after
    assert "contract[k](B[j <k>], v[<k>])" in after or "contract[k](v[<k>], B[j <k>])" in after


def test_calls_can_be_opened(ncdc: Ncdc, file: File) -> None:
    path = file("a.ncd", LEFT)
    assert "softmax(S" in ncdc("ir", path)[1]
    out = ncdc("ir", path, "--open")[1]
    assert 'block "softmax"' in out
    assert "exp(" in out


def test_explain_pipeline(ncdc: Ncdc) -> None:
    code, out, _ = ncdc("explain", "pipeline")
    assert code == 0
    for i, rule in enumerate(PIPELINE, 1):
        assert f"{i:3}. {rule.name} " in out
    assert all(rule.name in out for rule in REWRITES)
    assert "Yoneda" in ncdc("explain", "slide-in")[1]
