"""The cost model against the facts of arXiv 2412.03317, and region costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

import ncdlang
from ncdlang.analysis.cost import (
    Block,
    Level,
    Problem,
    bound,
    closed,
    cross_transfer,
    exponent,
    fitted,
    flops,
    hierarchy,
    memory,
    optimum,
    pipelined,
    quantised,
    transfers,
)
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.region_cost import step_cost
from ncdlang.semantics.types import Axis


def matmul(a: int = 512, b: int = 512, c: int = 512) -> Problem:
    sizes = {"a": a, "b": b, "c": c}
    inputs = (Block("A", ("a", "b")), Block("B", ("b", "c")))
    work = ((2, ("a", "b", "c")),)
    return Problem(inputs, (Block("C", ("a", "c")),), sizes, ("a", "c"), ("b",), (), work)


def attention(q: int = 4096, x: int = 4096, d: int = 128, h: int = 1) -> Problem:
    sizes = {"q": q, "x": x, "d": d, "h": h}
    inputs = (
        Block("Q", ("h", "q", "d")),
        Block("K", ("h", "x", "d")),
        Block("V", ("h", "x", "d")),
    )
    return Problem(inputs, (Block("O", ("h", "q", "d")),), sizes, ("h", "q"), ("x",))


def simulated(problem: Problem, tiles: dict[str, int]) -> int:
    """Loads and stores of the loop nest, counted tile by tile."""
    counts = {a: problem.sizes[a] // tiles[a] for a in problem.grouped}
    steps = {a: problem.sizes[a] // tiles[a] for a in problem.streamed}
    programs, moved = 1, 0
    for count in counts.values():
        programs *= count
    for _ in range(programs):
        for block in problem.inputs:
            times = 1
            for axis in problem.streamed:
                times *= steps[axis] if axis in block.axes else 1
            for _ in range(times):
                moved += problem.tile(block, tiles)
        moved += sum(problem.tile(block, tiles) for block in problem.outputs)
    return moved


@pytest.mark.parametrize(
    ("problem", "tiles"),
    [
        (matmul(64, 64, 64), {"a": 16, "c": 8, "b": 4}),
        (attention(64, 64, 16), {"q": 16, "x": 8, "h": 1}),
        (attention(64, 32, 16, 4), {"q": 8, "x": 8, "h": 1}),
    ],
)
def test_n1_the_formula_counts_the_loads_of_the_loop_nest(
    problem: Problem, tiles: dict[str, int]
) -> None:
    assert transfers(problem, tiles) == simulated(problem, tiles)


def test_n1_heads_that_share_keys() -> None:
    sizes = {"q": 64, "x": 64, "d": 16, "g": 2, "r": 4}
    shared = (Block("K", ("g", "x", "d")), Block("V", ("g", "x", "d")))
    query = Block("Q", ("g", "r", "q", "d"))
    problem = Problem(
        (query, *shared), (Block("O", ("g", "r", "q", "d")),), sizes, ("g", "r", "q"), ("x",)
    )
    tiles = {"g": 1, "r": 2, "q": 16, "x": 8}
    assert transfers(problem, tiles) == simulated(problem, tiles)
    h, q, x, d = 8, 64, 64, 16
    assert transfers(problem, tiles) == 2 * h * q * d + Fraction(2 * x * h * d * q, 16 * 2)


@pytest.mark.parametrize(("capacity", "side"), [(100, 9), (400, 19), (1600, 39), (6400, 79)])
def test_n2_tiles_of_a_product_of_matrices(capacity: int, side: int) -> None:
    found = optimum(matmul(), capacity, {"a": 1, "c": 1}, {"b": 1})
    assert found is not None
    assert (found.tiles["a"], found.tiles["c"]) == (side, side)


@pytest.mark.parametrize(("capacity", "rows"), [(4096, 15), (16384, 63), (65536, 255)])
def test_n2_tiles_of_attention(capacity: int, rows: int) -> None:
    found = optimum(attention(), capacity, {"q": 1}, {"x": 1, "h": 1})
    assert found is not None
    assert found.tiles["q"] == rows
    assert found.memory == memory(attention(), found.tiles) <= capacity


def test_n3_exponents() -> None:
    assert exponent(matmul()) == Fraction(1, 2)
    assert exponent(attention()) == 1
    three = (Block("X", ("b", "c")), Block("Y", ("a", "c")), Block("Z", ("a", "b")))
    sizes = dict.fromkeys("abc", 64)
    cube = Problem(three, (Block("W", ("a", "b", "c")),), sizes, ("a", "b", "c"))
    assert exponent(cube) == Fraction(1, 3)
    alone = Problem((Block("X", ("a",)),), (Block("Y", ("a",)),), sizes, ("a",))
    assert exponent(alone) == 0


def test_n3_exponents_fitted_to_optimal_tiles() -> None:
    def moved(problem: Problem, steps: dict[str, int], fixed: dict[str, int]):
        def cost(capacity: int) -> float:
            found = optimum(problem, capacity, steps, fixed)
            assert found is not None
            return float(found.transfers)

        return cost

    product, attend = matmul(4096, 4096, 4096), attention(65536, 65536, 64)
    base = float(product.size(product.outputs[0]))
    exact = fitted(moved(product, {"a": 1, "c": 1}, {"b": 1}), [400, 1600, 6400], base)
    assert exact == pytest.approx(0.51, abs=0.01)
    base = float(2 * attend.size(attend.outputs[0]))
    steps = [16384, 65536, 262144]
    exact = fitted(moved(attend, {"q": 1}, {"x": 1, "h": 1}), steps, base)
    assert exact == pytest.approx(1.0, abs=0.01)


def test_n3_shorter_values() -> None:
    assert quantised(0, 2) == 2
    assert quantised(0.5, 2) == pytest.approx(2.828, abs=1e-3)
    assert quantised(1, 2) == 4


def test_n4_hopper() -> None:
    h100 = DEVICES["h100"]
    half, eighth = h100.rate("bf16"), h100.rate("f8e4m3")
    assert pipelined([(2, eighth), (2, half)]) / 1e15 == pytest.approx(1.319, abs=1e-3)
    assert half / h100.bandwidth == pytest.approx(295.2, abs=0.05)
    values = h100.bandwidth / 2
    assert 2 * (half / values) ** 2 / 1024 == pytest.approx(680.9, abs=0.1)
    assert half / 6.0e12 / 2 == pytest.approx(82.4, abs=0.05)
    rest = 6.0e12 / half - (256 * 1024 / 2) ** -0.5
    assert 1 / (2 * rest) == pytest.approx(151.3, abs=0.05)
    assert (h100.shared / 1024 - 48) / 48 == pytest.approx(3.73, abs=5e-3)
    assert h100.registers / 1024 / 74.75 == pytest.approx(3.42, abs=5e-3)


@pytest.mark.parametrize(
    ("beta", "children", "between", "saved"),
    [(1, 2, 3.27, 0.188), (1, 4, 2.65, 0.173), (0.5, 2, 3.27, 0.110), (0.5, 4, 2.65, 0.115)],
)
def test_n5_exchange_between_thread_blocks(
    beta: float, children: int, between: float, saved: float
) -> None:
    terms, level = ((7.0, beta),), Level(1000.0, 2.04)
    whole = closed(terms, level.capacity) / level.bandwidth
    assert cross_transfer(terms, level, between, children) / whole == pytest.approx(saved, abs=6e-4)
    # Theorem 3: both parts of the term, added up.
    step = 1 / level.bandwidth - 1 / between
    replaced = step * closed(terms, children * level.capacity) + closed(terms, 1000.0) / between
    assert whole - replaced == pytest.approx(cross_transfer(terms, level, between, children))


def test_levels_add_up() -> None:
    terms = ((100.0, 0.5), (10.0, 0.0))
    levels = [Level(100.0, 2.0), Level(400.0, 5.0)]
    assert hierarchy(terms, levels) == pytest.approx((10 + 10) / 2 + (5 + 10) / 5)


def test_n7_columns_in_groups_repeat_the_scores() -> None:
    sizes = {"q": 64, "x": 64, "d": 32, "e": 32}
    scores, values = (2, ("q", "x", "d")), (2, ("q", "x", "e"))
    inputs = (Block("Q", ("q", "d")), Block("K", ("x", "d")), Block("V", ("x", "e")))
    problem = Problem(
        inputs, (Block("O", ("q", "e")),), sizes, ("q", "e"), ("x",), (), (scores, values)
    )
    whole = 2 * 64 * 64 * 32
    assert flops(problem, {"q": 16, "e": 32}) == 2 * whole
    assert flops(problem, {"q": 16, "e": 16}) == 3 * whole


def test_the_binding_limit() -> None:
    assert bound(1e12, 1.0, 1e12, 1e9) == (1.0, "compute")
    assert bound(1.0, 1e9, 1e12, 1e9) == (1.0, "memory")


def test_s8_spherical_attention_needs_no_scores() -> None:
    sizes = {"q": 16384, "x": 16384, "d": 128, "e": 128, "c": 128}
    nothing = ((), (), sizes, ("q",), ("x",), ())
    dense = Problem(*nothing, ((2, ("q", "x", "d")), (2, ("q", "x", "e"))))
    keys = ((2, ("x", "d", "e")), (2, ("x", "d", "c")))
    queries = ((2, ("q", "d", "e")), (2, ("q", "d", "c")))
    linear = Problem(*nothing, (*keys, *queries))
    assert float(flops(dense, {})) == pytest.approx(1.374e11, rel=1e-3)
    assert float(flops(linear, {})) == pytest.approx(2.147e9, rel=1e-3)
    assert flops(dense, {}) / flops(linear, {}) == 64


PROGRAMS = ncdlang.load(Path(__file__).parent / "data" / "kernels.ncd")
LENGTHS = {"q": 4096, "x": 4096, "h": 16, "k": 128, "e": 128, "t": 4096, "m": 4096, "n": 64}


def cost_of(name: str, device: str = "h200", **given: int):
    diagram = PROGRAMS.program.diagram(name)
    assert diagram is not None
    sizes = {s: {**LENGTHS, **given}[s.name] for s in diagram.unknowns}
    (step,) = make_plan(open_diagram(diagram), sizes, "written").steps
    return step_cost(step, sizes, DEVICES[device], "bf16")


def by_axis(tiles: Mapping[Axis, int]) -> dict[str, int]:
    return {axis.name: tile for axis, tile in tiles.items()}


def test_attention_by_hand() -> None:
    cost = cost_of("softmax_dense")
    tiles = by_axis(cost.tiles)
    one = 16 * 4096 * 128 * 2
    assert cost.transfers == 2 * one + 2 * one * 4096 / tiles["q"]
    # Two products, and a sum and a maximum of the scores.
    assert cost.flops == 16 * 4096 * 4096 * (2 * 128 + 2 * 128 + 1 + 1)
    assert cost.seconds == max(cost.flops / 989e12, cost.transfers / 4.8e12)
    assert cost.share == 1


def test_a_causal_mask_halves_what_is_visited() -> None:
    cost = cost_of("causal")
    tiles = by_axis(cost.tiles)
    rows, keys = 4096 // tiles["q"], 4096 // tiles["x"]
    seen = sum(math.ceil((i + 1) * tiles["q"] / tiles["x"]) for i in range(rows))
    assert cost.share == pytest.approx(seen / (rows * keys))
    one = 16 * 4096 * 128 * 2
    assert cost.transfers == pytest.approx(2 * one + 2 * one * rows * cost.share)
    assert cost.flops == pytest.approx(cost_of("softmax_dense").flops * cost.share)


def test_a_window_visits_a_band() -> None:
    cost = cost_of("sliding")
    tiles = by_axis(cost.tiles)
    assert cost.share * 4096 == pytest.approx(tiles["q"] + tiles["x"], rel=0.5)


@pytest.mark.parametrize(
    ("name", "given", "limit"),
    [
        ("softmax_dense", {"q": 16384, "x": 16384}, "memory"),
        ("softmax_dense", {"q": 1}, "memory"),
        ("rms_norm_linear", {"t": 1, "f": 8192}, "memory"),
    ],
)
def test_what_binds(name: str, given: dict[str, int], limit: str) -> None:
    cost = cost_of(name, **{"f": 4096, **given})
    is_compute = cost.flops / 989e12 >= cost.transfers / 4.8e12
    assert cost.limit == ("compute" if is_compute else "memory") == limit


def test_the_devices() -> None:
    assert {"a100", "h100", "h200"} <= DEVICES.keys()
    balance = {name: DEVICES[name].rate("bf16") / DEVICES[name].bandwidth for name in DEVICES}
    assert balance["h100"] == pytest.approx(295, abs=0.5)
    assert balance["h200"] == pytest.approx(206, abs=0.5)
    assert balance["a100"] == pytest.approx(153, abs=0.5)
    assert balance["a100-40"] == pytest.approx(201, abs=0.5)
