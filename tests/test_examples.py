"""Every example is checked, drawn, built and run, and its backends agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.cli import arrays
from ncdlang.semantics.program import CheckedDiagram

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples").glob("*.ncd"))
SIZES = {"q": 3, "x": 8, "y": 7, "h": 2, "k": 4, "m": 6, "f": 5, "c": 3, "c'": 2, "i": 3, "i'": 3}
SIZES |= {"e": 5, "n": 4}
DIAGRAMS = [(file, name) for file in FILES for name in ncdlang.load(file).diagrams]


def case(item: tuple[Path, str]) -> str:
    return f"{item[0].stem}-{item[1]}"


def sizes_for(diagram: CheckedDiagram) -> dict[str, int]:
    """Small sizes of everything that has no default."""
    known = {free.axis.name for free in diagram.free if free.default is not None}
    return {s.name: SIZES.get(s.name, 2) for s in diagram.unknowns if s.name not in known}


def results(given: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return given if isinstance(given, tuple) else (given,)


@pytest.mark.parametrize("item", DIAGRAMS, ids=case)
def test_backends_agree_on_every_example(item: tuple[Path, str]) -> None:
    library = ncdlang.load(item[0])
    diagram = library.program.diagram(item[1])
    assert diagram is not None
    sizes = sizes_for(diagram)
    solved = arrays.solve_sizes(diagram, {}, sizes)
    inputs = arrays.fill_inputs(diagram, {}, solved, seed=1)
    tensors = [torch.from_numpy(array) for array in inputs]
    torch.manual_seed(0)
    module = library.module(item[1], sizes=sizes, dtype="f64")
    judge = library.module(item[1], sizes=sizes, backend="reference")
    judge.load_state_dict(module.state_dict())
    with torch.no_grad():
        alone = module(*tensors)
        torch.testing.assert_close(alone, judge(*tensors))
        batched = module(*(tensor.expand(2, *tensor.shape) for tensor in tensors))
    for one, both in zip(*map(results, (alone, batched)), strict=True):
        torch.testing.assert_close(both, one.expand(2, *one.shape))


@pytest.mark.parametrize("item", DIAGRAMS, ids=case)
def test_every_example_is_drawn_and_built(item: tuple[Path, str]) -> None:
    library = ncdlang.load(item[0])
    assert library.draw(item[1]).gv().startswith("graph")
    compile(library.source(item[1]), "emitted.py", "exec")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_config_checks(file: Path) -> None:
    library = ncdlang.load(file)
    for config, _ in library.program.configs:
        for name in library.diagrams:
            assert library.source(name, config=config)


def test_the_demo_runs() -> None:
    demo = ROOT / "examples" / "demo.py"
    finished = subprocess.run(
        [sys.executable, str(demo)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    for part in ("multi_head[h, k](X: [x m]) -> [x m]", "build/demo/", "return self.Lo(C)"):
        assert part in finished.stdout
    difference = float(finished.stdout.split("largest difference")[1].split()[0])
    assert difference < 1e-5
