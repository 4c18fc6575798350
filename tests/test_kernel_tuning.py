"""Tuning: which tiles are tried, for which sizes, and that nothing changes without it."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import triton
from ncdlang.backends.kernels.loading import loaded
from ncdlang.backends.kernels.schedule import LENGTHS, TILES
from ncdlang.backends.kernels.survivors import ROWS
from triton.runtime.autotuner import Autotuner

import ncdlang
from ncdlang.cli.main import main
from ncdlang.targets import TargetError

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
CAUSAL = TEXT[TEXT.index("diagram causal(") :].split("\n}\n")[0] + "\n}\n"
SHAPES = ((70, 2, 5), (70, 2, 5), (70, 2, 3))
# What a kernel of one matrix with inner products takes (`needs`).
PRODUCTS = 1


def emitted(**options: str) -> str:
    return ncdlang.loads(CAUSAL).source(backend="triton", **options)


def imported(text: str, folder: Path, name: str) -> types.ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    module = types.ModuleType(f"{folder.name}_{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


class Kernel:
    """A kernel that only remembers how it was launched, and how long it says that it took."""

    def __init__(self, real: Any, seconds: Callable[[dict[str, Any]], float]) -> None:
        self.fn, self.arg_names = real.fn, real.arg_names
        self.seconds = seconds
        self.launched: list[dict[str, Any]] = []

    def run(self, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        named = dict(zip(self.arg_names, arguments, strict=False)) | options
        programs = grid(named) if callable(grid) else grid
        self.launched.append({**options, "programs": programs[0]})

    def __getitem__(self, grid: Any) -> Any:
        return lambda *args, **options: self.run(*args, grid=grid, warmup=False, **options)


@contextlib.contextmanager
def tuned(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch, seconds: Any
) -> Iterator[tuple[Kernel, list[Any]]]:
    """The module as on a GPU that takes `seconds` for a launch, and the keys that were tuned."""
    kernel = Kernel(module.kernel_1, seconds)
    keys: list[Any] = []

    def bench(self: Any, call: Callable[[], None], quantiles: Any) -> list[float]:
        call()
        return [seconds(kernel.launched.pop())] * 3

    def disk(self: Any, key: Any, configs: Any, measure: Callable[[], None]) -> bool:
        keys.append((key, [dict(config.kwargs) for config in configs]))
        measure()
        return False

    monkeypatch.setattr(Autotuner, "check_disk_cache", disk)
    monkeypatch.setattr(Autotuner, "do_bench", bench, raising=False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.setitem(module.__dict__, "TUNE", True)
    yield kernel, keys


ROWS_TRIED = ((64, 64, 32, 4, 2), (32, 64, 32, 4, 3), (128, 128, 32, 8, 2), (128, 32, 32, 8, 2))


def call(module: types.ModuleType, kernel: Any, n: int = 70, k: int = 5) -> None:
    """One launch of the forward kernel, as the operation of the file makes it."""
    tensors = [torch.zeros(1, n, 2, k) for _ in range(4)]
    module._launch(
        kernel,
        {("f32", 128): ROWS_TRIED, ("f32", 256): ROWS_TRIED[:1]},
        lambda BLOCK_Q, **_: 2 * -(-n // BLOCK_Q),
        tuple(tensors),
        (n, n, k, 2, k),
        cut={"BLOCK_Q": n, "BLOCK_X": n, "BLOCK_E": k},
        whole={"BLOCK_K": k},
        like=tensors[0],
    )


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    return imported(emitted(), tmp_path, "tuned")


def test_the_fastest_tiles_are_taken_and_kept(module, monkeypatch) -> None:
    with tuned(module, monkeypatch, lambda o: o["BLOCK_X"] + o["num_warps"]) as (kernel, keys):
        call(module, kernel)
        call(module, kernel)
    assert len(keys) == 1
    first, *others = kernel.launched
    assert all(other == first for other in others)
    assert others
    assert (first["BLOCK_X"], first["num_warps"]) == (32, 8)
    assert first["programs"] == 2
    assert "bucket" not in first


def test_tiles_that_axes_do_not_need_are_not_tried(module, monkeypatch) -> None:
    with tuned(module, monkeypatch, lambda o: o["BLOCK_X"]) as (kernel, keys):
        call(module, kernel, n=20)
    ((_, tried),) = keys
    # 128x128 and 64x64 are 32x32 here; they differ in warps and stages only.
    assert {tuple(each.values()) for each in tried} == {(32, 32, 16)}
    assert len(tried) == 3


def test_sizes_that_are_alike_are_tuned_once(module, monkeypatch) -> None:
    with tuned(module, monkeypatch, lambda o: 1.0) as (kernel, keys):
        for n in (70, 100, 128, 129, 256):
            call(module, kernel, n)
        assert len(keys) == 2
        call(module, kernel, 70, k=17)
        assert len(keys) == 3
    assert len({key for key, _ in keys}) == 3


def test_one_configuration_is_not_measured(module, monkeypatch) -> None:
    """Where what a tile holds whole is long, fewer tiles are tried: here the default one."""
    with tuned(module, monkeypatch, lambda o: 1.0) as (kernel, keys):
        call(module, kernel, k=200)
    assert not keys
    assert kernel.launched[0]["BLOCK_K"] == 256


@pytest.mark.parametrize("reason", ["off", "deterministic", "recording"])
def test_the_default_tiles_are_taken_else(reason, module, monkeypatch) -> None:
    with tuned(module, monkeypatch, lambda o: o["BLOCK_X"]) as (kernel, keys):
        if reason == "off":
            module.TUNE = False
        elif reason == "recording":
            monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        else:
            torch.use_deterministic_algorithms(True)
        try:
            call(module, kernel)
        finally:
            torch.use_deterministic_algorithms(False)
    assert not keys
    (only,) = kernel.launched
    assert (only["BLOCK_Q"], only["BLOCK_X"], only["num_stages"]) == (64, 64, 2)


def test_a_real_kernel_can_be_tuned(module) -> None:
    """The tuner of Triton takes the kernel of the file and the tiles of its table."""
    rows = module.KERNEL_1["sm_90", 128]
    tuner = module._tuner(module.kernel_1, rows, ("BLOCK_Q", "BLOCK_X", "BLOCK_E"))
    assert isinstance(tuner, Autotuner)
    assert [(*c.kwargs.values(), c.num_warps, c.num_stages) for c in tuner.configs] == list(rows)
    assert tuner.base_fn is module.kernel_1.fn
    assert tuner.keys == ["bucket"]
    assert tuner.cache_results
    assert isinstance(tuner.fn.fn, triton.JITFunction)


def test_the_tiles_of_a_file_are_those_that_survived(module) -> None:
    for target in TILES:
        for longest in LENGTHS:
            found = module.KERNEL_1[target, longest]
            assert len(found) <= 8
            assert found or longest > LENGTHS[0]
            assert set(found) <= {TILES[target][PRODUCTS], *ROWS.get((target, 1, 1, longest), ())}
    assert len(module.KERNEL_1["sm_90", 128]) > 1


def test_survivors_are_possible_tiles() -> None:
    for (target, matrices, inner, longest), rows in ROWS.items():
        assert target in TILES
        assert longest in LENGTHS
        assert matrices >= 0 <= inner
        assert len(rows) <= 8
        assert len(set(rows)) == len(rows)
        for row in rows:
            assert all(size & (size - 1) == 0 and size >= 16 for size in row[:3])
            assert row[3] in (4, 8)


def test_the_default_comes_first(module) -> None:
    assert module.KERNEL_1["sm_90", 128][0] == TILES["sm_90"][PRODUCTS]
    assert module.KERNEL_1["sm_80", 128][0] == TILES["sm_80"][PRODUCTS]
    assert emitted() == emitted()


def test_interpreted_kernels_have_one_configuration() -> None:
    """Results are the same bits with tuning and without."""
    torch.manual_seed(0)
    plain, other = loaded(emitted()), loaded(emitted(tune="true"))
    assert (plain.TUNE, other.TUNE) == (False, True)
    assert plain.INTERPRETED
    tensors = [torch.randn(shape) for shape in SHAPES]
    assert torch.equal(plain.CausalFused()(*tensors), other.CausalFused()(*tensors))


def test_modules_can_be_tuned() -> None:
    library = ncdlang.loads(CAUSAL)
    module = library.module(backend="triton", tune="true")
    tensors = [torch.randn(shape) for shape in SHAPES]
    assert torch.equal(module(*tensors), library.module(backend="triton")(*tensors))
    with pytest.raises((TargetError, ncdlang.NcdError), match="tune is true or false"):
        library.module(backend="triton", tune="perhaps")


def test_the_command_line(tmp_path, capsys) -> None:
    source = tmp_path / "causal.ncd"
    source.write_text(CAUSAL, encoding="utf-8")
    assert main(["build", str(source), "--backend", "triton", "--tune"]) == 0
    assert "\nTUNE: bool = True\n" in capsys.readouterr().out
    assert main(["build", str(source), "--tune"]) == 2
    assert "--tune needs --backend triton" in capsys.readouterr().err


def test_where_a_gpu_has_no_room(monkeypatch, tmp_path) -> None:
    """Long axes that no tiles of a kernel can hold are left to PyTorch on that GPU."""
    from ncdlang.backends.kernels import schedule

    monkeypatch.setattr(schedule, "ROWS", {**ROWS, ("sm_90", 2, 2, 256): ()})
    made = imported(emitted(), tmp_path, "room")
    assert made.KERNEL_1_BACKWARD_1["sm_90", 256] == ()
    like = types.SimpleNamespace(device=torch.device("cuda"), dtype=torch.bfloat16)
    for capability, room in (((9, 0), False), ((8, 0), made.KERNEL_1_BACKWARD_1["sm_80", 256])):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert made._has_room(like, made.KERNEL_1_BACKWARD_1) == bool(room)
    wide = [torch.randn(3, 1, 200) for _ in range(3)]
    exact = made.Causal().double()(*(t.double() for t in wide))
    torch.testing.assert_close(made.CausalFused()(*wide).double(), exact, atol=1e-5, rtol=1e-5)
