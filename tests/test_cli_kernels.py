"""`ncdc explain FILE`, `ncdc cost` and `ncdc build --backend triton`."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ncdlang.cli.main import main

PROGRAMS = str(Path(__file__).parent / "data" / "kernels.ncd")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ncdc(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_explain_a_diagram(ncdc: Run) -> None:
    code, out, _ = ncdc("explain", PROGRAMS, "causal")
    assert code == 0
    for text in ("Region O[q h e]", "exp(m - m')", "x from 0 up to greatest q + 1", "sum[x](E)"):
        assert text in out


def test_explain_still_knows_codes(ncdc: Run) -> None:
    assert ncdc("explain", "NCD2003")[1].startswith("NCD2003")


def test_explain_one_diagram_at_a_time(ncdc: Run) -> None:
    code, _, err = ncdc("explain", PROGRAMS, "causal", "l1")
    assert code == 2
    assert "one diagram at a time" in err


def test_cost_of_attention(ncdc: Run) -> None:
    sizes = "q=16384,x=16384,h=1,k=128,e=128"
    code, out, _ = ncdc("cost", PROGRAMS, "softmax_dense", "--device", "h100", "--size", sizes)
    assert code == 0
    # 4 * 16384^2 * 128, and what the statistics add.
    assert "138 GFLOP" in out
    assert "kernel O[q h e]" in out
    assert "on h100 in bf16" in out


def test_cost_asks_for_sizes(ncdc: Run) -> None:
    code, _, err = ncdc("cost", PROGRAMS, "causal", "--size", "q=16,x=16")
    assert code == 2
    assert "the sizes of e, h, k" in err


@pytest.mark.parametrize("empty", ["q", "x", "h", "k", "e"])
def test_nothing_costs_nothing(ncdc: Run, empty: str) -> None:
    sizes = [f"{axis}={0 if axis == empty else 5}" for axis in "qxhke"]
    code, out, _ = ncdc("cost", PROGRAMS, "causal", "--size", ",".join(sizes))
    assert code == 0
    assert "kernel O[q h e]" in out


def test_cost_knows_its_devices(ncdc: Run) -> None:
    code, _, err = ncdc("cost", PROGRAMS, "causal", "--device", "abacus")
    assert code == 2
    assert "there is no device `abacus`" in err
    assert "h200" in err


def test_what_has_no_equations_is_said_with_its_place(ncdc: Run, tmp_path: Path) -> None:
    path = tmp_path / "scan.ncd"
    path.write_text(
        "diagram f(A: [t], U: [t]) -> [t] {\n"
        "  return H[t] = A[t] * tanh(where(t > 0, H[t - 1], 0)) + U[t]\n}\n"
    )
    code, _, err = ncdc("explain", str(path))
    assert code == 1
    assert "scan.ncd:2:3" in err


def test_built_kernels_are_python(ncdc: Run) -> None:
    code, out, _ = ncdc("build", PROGRAMS, "causal", "--backend", "triton")
    assert code == 0
    functions = [n.name for n in ast.parse(out).body if isinstance(n, ast.FunctionDef)]
    # Forward, forward with what is kept, two backward, the parts of a forward one and their merge.
    assert len([name for name in functions if name.startswith("kernel_")]) == 6
    assert "tl.dot(tl.trans(tl.dot" not in out


@pytest.mark.parametrize(
    ("name", "sizes", "told"),
    [
        ("causal", "", "k and e are at most 256; --size k=4096,e=4096 writes them for longer ones"),
        ("causal", "e=64", "k is at most 256; --size k=4096 writes them for longer ones"),
        ("causal", "e=300,k=512", ""),
        # With a long axis in it no kernel is made.
        ("two_layers", "", "m is at most 256"),
        ("softmax_rows", "", ""),
    ],
)
def test_sizes_that_kernels_hold_whole_are_told(
    ncdc: Run, tmp_path: Path, name: str, sizes: str, told: str
) -> None:
    made = tmp_path / "made.py"
    given = ["--size", sizes] if sizes else []
    code, _, err = ncdc("build", PROGRAMS, name, "--backend", "triton", "-o", str(made), *given)
    assert code == 0
    assert err == (f"ncdc: kernels run where {told}\n" if told else "")
    assert ("> 256:" in made.read_text()) == bool(told)


def test_building_what_does_not_stream(ncdc: Run, tmp_path: Path) -> None:
    path = tmp_path / "plain.ncd"
    path.write_text("diagram f(A: [t]) -> [t] { return B[t] = A[t] * 2 }\n")
    code, _, err = ncdc("build", str(path), "--backend", "triton")
    assert code == 2
    assert "no region that streams" in err


def test_a_diagram_nested_too_deeply_is_a_finding(ncdc: Run, tmp_path: Path) -> None:
    plain, deep = tmp_path / "plain.ncd", tmp_path / "deep.json"
    plain.write_text("diagram f(A: [t]) -> [t] { return B[t] = A[t] * 2 }\n")
    made = json.loads(ncdc("build", str(plain), "--emit", "json")[1])
    text = json.dumps(made)
    expression = made["objects"][-1]["steps"][0]["expression"]
    inner, two = json.dumps(expression), json.dumps(expression["arguments"][1])
    head, tail = json.dumps({**expression, "arguments": 0}).split(": 0,", 1)
    nested = f"{head}: [" * 300 + inner + f", {two}],{tail}" * 300
    assert text.count(inner) == 1
    deep.write_text(text.replace(inner, nested))
    code, _, err = ncdc("explain", str(deep))
    assert code == 1
    assert "nested too deeply" in err
