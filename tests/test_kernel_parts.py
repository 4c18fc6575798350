"""Kernels that cut their streamed axis into parts, against the whole axis in float64."""

from __future__ import annotations

import os
import re
import types
from functools import cache
from pathlib import Path

import pytest
import torch
from ncdlang.backends.kernels.loading import loaded

import ncdlang
from ncdlang.semantics.program import CheckedDiagram

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
USES = "".join(line + "\n" for line in TEXT.splitlines() if line.startswith("use "))
# Five tiles of the streamed axis and a bit, in f32; few rows.
SIZES = dict(zip("qxhgrketmfnv", (5, 150, 2, 2, 2, 12, 20, 5, 150, 21, 5, 150), strict=True))
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 8e-3}
PROGRAMS = ("softmax_dense", "spherical", "sigmoid_bias", "l1", "softmax_plus_one")
PROGRAMS += ("linear_logsumexp", "differential", "causal", "rms_norm_linear")
FURTHER = ("layer_norm_linear", "softmax_squared", "grouped", "biased", "sliding", "unshifted")
BF16 = ("spherical", "linear_logsumexp")


@cache
def program(name: str) -> tuple[types.ModuleType, CheckedDiagram]:
    """The emitted file of a program, loaded."""
    text = USES + TEXT[TEXT.index(f"diagram {name}") :].split("\n}\n")[0] + "\n}\n"
    library = ncdlang.loads(text)
    diagram = library.program.diagram(name)
    assert diagram is not None
    known = {s.name: SIZES[s.name] for s in diagram.unknowns}
    source = library.source(name, sizes=known, backend="triton")
    return loaded(source), diagram


def drawn(diagram: CheckedDiagram, sizes: dict[str, int]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    found: list[torch.Tensor] = []
    for wire in diagram.parameters:
        shape = [sizes[axis.name] for axis in wire.type.axes]
        if wire.type.kind.name == "boolean":
            found.append(torch.rand(shape) > 0.3)
        else:
            found.append(torch.randn(shape))
    return found


def run(
    name: str, parts: int | None, dtype: torch.dtype, inputs: list[torch.Tensor] | None = None
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """What a program makes in parts, what the PyTorch class makes in f64, and what was launched."""
    module, diagram = program(name)
    tensors = inputs if inputs is not None else drawn(diagram, SIZES)
    given = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
    fused = next(v for k, v in vars(module).items() if k.endswith("Fused"))().to(dtype)
    exact = type(fused).__mro__[1]()
    exact.load_state_dict(fused.state_dict())
    wide = [t.double() if t.is_floating_point() else t for t in given]
    launched: list[str] = []
    launch = module._launch

    def told(kernel, *arguments, **options) -> None:
        launched.append(kernel.__name__)
        launch(kernel, *arguments, **options)

    module.PARTS, module._launch = parts, told
    try:
        with torch.no_grad():
            return fused(*given), exact.double()(*wide), launched
    finally:
        module.PARTS, module._launch = None, launch


def error(made: torch.Tensor, exact: torch.Tensor) -> float:
    return ((made.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("name", PROGRAMS + FURTHER * bool(os.environ.get("NCDLANG_FULL")))
def test_parts_are_the_whole(name) -> None:
    torch.set_float32_matmul_precision("highest")
    for parts in (2, 5):
        made, exact, launched = run(name, parts, torch.float32)
        assert error(made, exact) < TOLERANCE[torch.float32], parts
        assert any("_parts" in each for each in launched)


def test_one_part_is_none_and_parts_give_the_same_bits_each_time() -> None:
    made, exact, launched = run("l1", 1, torch.float32)
    assert error(made, exact) < TOLERANCE[torch.float32]
    assert launched == ["kernel_1"]
    first, second = (run("l1", 3, torch.float32) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert first[2] == ["kernel_1_parts", *(each for each in second[2] if "merge" in each)]


@pytest.mark.parametrize("name", BF16)
def test_parts_in_bf16(name) -> None:
    for parts in (2, 5):
        made, exact, _ = run(name, parts, torch.bfloat16)
        assert error(made, exact) < TOLERANCE[torch.bfloat16]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_rows_that_see_nothing_in_a_part(dtype) -> None:
    """Row 0 sees the first part only, row 1 nothing at all, row 2 the last few, row 3 a gap."""
    _, diagram = program("given_mask")
    inputs = drawn(diagram, SIZES)
    mask = torch.zeros(5, 150, dtype=torch.bool)
    mask[0, :30] = mask[2, 145:] = mask[3, :20] = mask[3, 130:] = mask[4] = True
    for parts in (2, 5, 9):
        made, exact, _ = run("given_mask", parts, dtype, [*inputs[:3], mask])
        assert error(made, exact) < TOLERANCE[dtype]
        assert not made[1].any()


def test_scores_of_any_size() -> None:
    """The merge subtracts exponents; squares of exponentials of scores as large would overflow."""
    for name in ("softmax_dense", "softmax_squared"):
        _, diagram = program(name)
        q, k, v = drawn(diagram, SIZES)
        made, exact, _ = run(name, 5, torch.float32, [100 * q, 10 * k, v])
        assert error(made, exact) < 1e-4


def test_many_rows_have_no_parts() -> None:
    library = ncdlang.loads(TEXT[TEXT.index("diagram softmax_dense") :].split("\n}\n")[0] + "\n}\n")
    sizes = {"q": 4096, "x": 4096, "h": 16, "k": 64, "e": 64}
    assert "_parts(" not in library.source(backend="triton", sizes=sizes)
    assert "_parts(" in library.source(backend="triton", sizes=sizes | {"q": 1})


def test_the_rule(monkeypatch) -> None:
    """As many parts as processors are idle, of 4 tiles at least; none where half of them work."""
    module, _ = program("softmax_dense")
    table = {("f32", 128): ((64, 32, 64, 4, 2),)}
    like = types.SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    properties = types.SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    def parts(heads: int, rows: int, length: int) -> int:
        cut = {"BLOCK_Q": rows, "BLOCK_X": length, "BLOCK_E": 64}
        return module._parts(
            table, lambda BLOCK_Q, **_: heads * -(-rows // BLOCK_Q), cut, {}, "BLOCK_X", like
        )

    assert parts(32, 1, 65536) == 4
    assert parts(66, 1, 65536) == 2
    assert parts(67, 1, 65536) == 1
    assert parts(4, 1, 1024) == 8
    assert parts(1, 1, 127) == 1
    assert parts(0, 1, 1024) == 8
    assert parts(16, 4096, 4096) == 1


ODD = {
    "no rows": ("diagram f(X: [x]) -> [] { return logsumexp[x](X) }", ((3, 150),)),
    "two streamed axes": (
        """diagram f(Q: [q k], K: [y x k], V: [y x e]) -> [q e] {
          S[q y x] = Q[q k] * K[y x k]
          P = softmax[y x](S)
          return O[q e] = P[q y x] * V[y x e]
        }""",
        ((2, 4, 8), (5, 40, 8), (2, 5, 40, 6)),
    ),
    "a minimum": (
        """diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
          S[q x] = Q[q k] * K[x k]
          m[q] = min[x](S)
          E[q x] = exp(m[q] - S[q x])
          return O[q e] = E[q x] / sum[x](E) * V[x e]
        }""",
        ((4, 8), (170, 8), (170, 6)),
    ),
    "names of the file": (
        """diagram TUNE(_tiles: [part k], kernel_1: [n_parts k], DERIVED: [n_parts e])
            -> [part e] {
          S[part n_parts] = _tiles[part k] * kernel_1[n_parts k]
          return PARTS[part e] = softmax[n_parts](S)[part n_parts] * DERIVED[n_parts e]
        }""",
        ((4, 8), (170, 8), (170, 6)),
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_regions(what) -> None:
    text, shapes = ODD[what]
    module = loaded(ncdlang.loads(text).source(backend="triton"))
    fused = next(v for k, v in vars(module).items() if k.endswith("Fused"))
    torch.manual_seed(0)
    tensors = [torch.randn(shape) for shape in shapes]
    constant = "PARTS" if "PARTS" in vars(module) else "PARTS_"
    setattr(module, constant, 5)
    with torch.no_grad():
        exact = fused.__mro__[1]().double()(*(t.double() for t in tensors))
        assert error(fused()(*tensors), exact) < TOLERANCE[torch.float32]


MASKS = {
    "x <= q and x > q - 100": lambda q, x, n, m: x <= q and x > q - 100,
    "x // 16 == q // 16": lambda q, x, n, m: x // 16 == q // 16,
    "x <= q + size(x) - size(q)": lambda q, x, n, m: x <= q + m - n,
    "x >= 7 and x < q": lambda q, x, n, m: x >= 7 and x < q,
}


@pytest.mark.parametrize("mask", MASKS)
def test_tiles_that_masks_hide_are_not_counted(mask: str) -> None:
    """What the emitted rule counts as visited holds all that some row of a tile sees."""
    text = f"""diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {{
  S[q x] = Q[q k] * K[x k]
  P = softmax[x](where({mask}, S, -inf))
  return O[q e] = P[q x] * V[x e]
}}"""
    source = ncdlang.loads(text).source("f", backend="triton")
    (found,) = re.findall(r"seen=(lambda first, last: .*),$", source, re.MULTILINE)
    for n, m in ((40, 300), (300, 300), (5, 1)):
        seen = eval(found, {"n_q": n, "n_x": m})
        for first in range(0, n, 8):
            rows = range(first, min(first + 8, n))
            shown = [x for x in range(m) if any(MASKS[mask](q, x, n, m) for q in rows)]
            low, high = seen(rows[0], rows[-1])
            assert all(low <= x < high for x in shown)
            if shown:
                assert min(high, m) - max(low, 0) <= shown[-1] - shown[0] + 1 + 16


def test_the_rule_under_a_mask(monkeypatch) -> None:
    """A window of 100 gives work for no second part, however long the axis is."""
    module, _ = program("softmax_dense")
    table = {("f32", 128): ((64, 32, 64, 4, 2),)}
    like = types.SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    properties = types.SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    def parts(window: int, rows: int) -> int:
        cut = {"BLOCK_Q": rows, "BLOCK_X": 65536, "BLOCK_E": 64}
        programs = lambda BLOCK_Q, **_: -(-rows // BLOCK_Q)  # noqa: E731
        return module._parts(
            table,
            programs,
            cut,
            {},
            "BLOCK_X",
            like,
            "BLOCK_Q",
            lambda first, last: (first - window, last + 1),
        )

    assert parts(100, 1) == 1
    assert parts(100, 200) == 1
    assert parts(65536, 1) == 1
    assert parts(65536, 640) == 5
