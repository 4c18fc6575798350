"""`ncdc run`: sizes, inputs, summaries, comparison."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ncdlang
from ncdlang.cli import arrays
from ncdlang.cli.console import CommandError
from ncdlang.cli.main import main

ROOT = Path(__file__).parent.parent
ATTENTION = ROOT / "examples" / "attention.ncd"
SIZES = "q=3,x=4,h=2,k=8"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ncdc(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["run", *(str(argument) for argument in arguments)])
        sys.stdout.flush()
        return code, *capfd.readouterr()

    return run


def test_a_run_prints_what_came_out(ncdc: Run) -> None:
    code, out, err = ncdc(ATTENTION, "attention", "--size", SIZES)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "attention with q = 3, h = 2, k = 8, x = 4: torch, f32, seed 0"
    assert lines[1] == "O: [q h k] = 3 x 2 x 8"
    assert all(word in lines[2] for word in ("mean", "std", "min", "max"))
    assert lines[3].startswith("  [")
    assert lines[3].endswith(", ...]")


def test_a_run_is_reproducible(ncdc: Run) -> None:
    arguments = (ATTENTION, "multi_head", "--size", "x=5,h=2,k=4,m=8")
    first = ncdc(*arguments)
    assert first[0] == 0
    assert ncdc(*arguments) == first
    assert ncdc(*arguments, "--seed", 1)[1] != first[1]


@pytest.mark.parametrize("dtype", ["f64", "f32", "bf16", "f16"])
def test_backends_are_compared(ncdc: Run, dtype: str) -> None:
    code, out, _ = ncdc(
        ATTENTION,
        "multi_head",
        "--size",
        "x=5,h=2,k=4,m=8",
        "--dtype",
        dtype,
        "--compare",
        "reference",
    )
    assert code == 0, out
    assert "result: largest difference from reference" in out
    assert "within the tolerance" in out


def test_a_difference_is_a_finding(ncdc: Run) -> None:
    arguments = (ATTENTION, "multi_head", "--size", "x=5,h=2,k=4,m=8", "--compare", "reference")
    code, out, _ = ncdc(*arguments, "--dtype", "bf16", "--tolerance", "1e-9")
    assert code == 1
    assert "ABOVE the tolerance" in out


def test_inputs_and_results_are_files(ncdc: Run, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    given = {name: generator.normal(size=(5, 2, 4)) for name in "QKV"}
    given["Q"] = generator.normal(size=(7, 3, 2, 4))  # with a leading axis
    inputs: list[object] = []
    for name, array in given.items():
        np.save(tmp_path / f"{name}.npy", array)
        inputs += ["--input", f"{name}={tmp_path / name}.npy"]
    saved = tmp_path / "out.npz"
    code, out, err = ncdc(ATTENTION, "attention", *inputs, "--save", saved, "--dtype", "f64")
    assert (code, err) == (0, ""), out
    assert "O: [q h k] = 7 x 3 x 2 x 4" in out
    scores = np.einsum("bqhk,xhk->bhqx", given["Q"], given["K"]) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = np.einsum("bhqx,xhk->bqhk", weights, given["V"])
    with np.load(saved) as results:
        np.testing.assert_allclose(results["O"], expected, atol=1e-12)


@pytest.mark.parametrize("ending", ["npz", "pt"])
def test_parameters_are_files(ncdc: Run, tmp_path: Path, ending: str) -> None:
    sizes = {"h": 2, "k": 4, "m": 8}
    module = ncdlang.load(ATTENTION).module("multi_head", sizes=sizes)
    path = tmp_path / f"state.{ending}"
    if ending == "pt":
        torch.save(module.state_dict(), path)
    else:
        np.savez(path, **{name: value.numpy() for name, value in module.state_dict().items()})
    x = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    arguments = ("--param", path, "--input", f"X={tmp_path / 'x.npy'}", "--size", "h=2,k=4")
    code, _, err = ncdc(ATTENTION, "multi_head", *arguments, "--save", tmp_path / "out.npz")
    assert (code, err) == (0, "")
    with np.load(tmp_path / "out.npz") as results, torch.no_grad():
        np.testing.assert_allclose(results["result"], module(torch.from_numpy(x)), atol=1e-6)


def test_files_that_are_no_arrays(ncdc: Run, tmp_path: Path) -> None:
    junk = tmp_path / "junk.npy"
    junk.write_bytes(b"junk")
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([object()]), allow_pickle=True)
    several = tmp_path / "several.npy"
    with several.open("wb") as file:
        np.savez(file, a=np.zeros(3))
    flat = tmp_path / "flat.npy"
    np.save(flat, np.zeros(3))
    for path, said in (
        (tmp_path / "missing.npy", "no such file"),
        (tmp_path, "directory"),
        (junk, "no .npy file"),
        (pickled, "no .npy file"),
        (several, "several arrays"),
        (flat, "needs at least 3"),
    ):
        code, out, err = ncdc(ATTENTION, "attention", "--input", f"Q={path}")
        assert (code, out) == (2, ""), path
        assert said in err, path
    for path in (junk, tmp_path / "missing.pt", tmp_path / "missing.npz"):
        size = ("--size", "x=5,h=2,k=4,m=8")
        code, out, err = ncdc(ATTENTION, "multi_head", *size, "--param", path)
        assert (code, out) == (2, "")
        assert err.startswith("error: cannot")


def test_inputs_that_do_not_fit_are_named(ncdc: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", np.zeros((3, 5, 8)))
    q = f"Q={tmp_path / 'q.npy'}"
    code, _, err = ncdc(ATTENTION, "attention", "--input", q, "--size", SIZES)
    assert code == 2
    assert "h" in err
    assert "Traceback" not in err


# ---- arrays --------------------------------------------------------------------------------------


def diagram(text: str) -> Any:
    return ncdlang.loads(text).program.diagrams[-1]


def sizes(text: str, given: dict[str, Any], **values: int) -> dict[str, int]:
    shapes = {name: np.zeros(shape) for name, shape in given.items()}
    solved = arrays.solve_sizes(diagram(text), shapes, values)
    return {symbol.name: size for symbol, size in solved.items()}


def test_sizes_are_read_off_the_inputs() -> None:
    f = """
    diagram f[w = 2](X: [x, (h k)], Y: [k]) -> [w x k] {
      return Z[w x k] = w * sum[h](X[x, (h k)]) * Y[k]
    }
    """
    assert sizes(f, {"X": (3, 8), "Y": (4,)}) == {"x": 3, "h": 2, "k": 4, "w": 2}
    assert sizes(f, {"X": (3, 8), "Y": (4,)}, w=7)["w"] == 7
    assert sizes(f, {"X": (3, 8)}, k=2) == {"x": 3, "h": 4, "k": 2, "w": 2}
    with pytest.raises(CommandError, match="needs the size of"):
        sizes(f, {"X": (3, 8)})


def test_random_inputs_have_their_kinds() -> None:
    text = """
    diagram f(T: N(v)[n], E: [v m], B: B[n]) -> [n m] {
      return Y[n m] = where(B[n], E[T[n], m], 0)
    }
    """
    checked = diagram(text)
    solved = arrays.solve_sizes(checked, {}, {"n": 50, "v": 3, "m": 2})
    tokens, table, flags = arrays.fill_inputs(checked, {}, solved, seed=0)
    assert tokens.dtype.kind == "i"
    assert set(tokens.tolist()) == {0, 1, 2}
    assert table.shape == (3, 2)
    assert flags.dtype == np.bool_
    again = arrays.fill_inputs(checked, {"T": tokens}, solved, seed=0)
    np.testing.assert_array_equal(again[1], table)


def test_differences() -> None:
    inf, nan = np.inf, np.nan
    for left, right, expected in (
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0], [1.5], 0.5 / 1.5),
        ([0.0], [0.5], 0.5),
        ([inf, -inf, nan], [inf, -inf, nan], 0.0),
        ([inf], [1.0], inf),
        ([nan], [1.0], inf),
        ([1.0], [nan], inf),
        ([inf], [-inf], inf),
        ([], [], 0.0),
        ([1j], [0.0], 1.0),
    ):
        assert arrays.difference(np.array(left), np.array(right)) == pytest.approx(expected)
    assert arrays.difference(np.array([True]), np.array([1.0])) == 0.0


def test_summaries_of_every_kind() -> None:
    (wire,) = diagram("diagram f(X: [x]) -> [x] { return Y[x] = X[x] }").results
    assert arrays.summary(wire, "Y", np.zeros((0, 3))) == "Y: [x] = 0 x 3\n  []"
    assert arrays.summary(wire, "Y", np.array(2.5)).splitlines() == [
        "Y: [x] = a scalar",
        "  mean 2.5  std 0  min 2.5  max 2.5",
        "  [2.5]",
    ]
    assert arrays.summary(wire, "Y", np.array([True, False])) == "Y: [x] = 2\n  [true, false]"
    assert "1+2j" in arrays.summary(wire, "Y", np.array([1 + 2j]))
    assert "inf" in arrays.summary(wire, "Y", np.array([np.inf, 1.0]))
