"""Ranges of masks: what a tile visits, and where it needs no test, against every index."""

from __future__ import annotations

import pytest
import torch
from term_values import Values

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import Region, make_plan
from ncdlang.analysis.terms import Array, Term, subterms
from ncdlang.analysis.visible import Range, certain, conditions, deciding, visible

Q, X = 40, 50
PROGRAM = """
diagram f(Q: [q k], K: [x k], V: [x e], L: N(x)[q], n: N(x)[], D: N(k)[q], E: N(k)[x])
    -> [q e] {{
  S[q x] = Q[q k] * K[x k]
  P = softmax[x]({})
  return O[q e] = P[q x] * V[x e]
}}
"""
SHOWN = "where({}, S[q x], -inf)"
# Masks, and whether the range that is visited and the range without a test are bounded.
MASKS = {
    "x <= q": (True, True),
    "x < q": (True, True),
    "x >= q": (True, True),
    "q > x and q - x < 12": (True, True),
    "x <= q or x < 16": (True, True),
    "x <= q or x > q + 20": (False, True),
    "x <= q and x % 3 == 0": (True, True),
    "x // 16 <= q // 16": (True, True),
    "(x + 5) // 16 == q // 16": (True, False),
    "x // 16 > q // 16": (True, True),
    "2 * q >= x": (True, True),
    "x <= 2 * q + 3 and q <= x + 40": (True, True),
    "x <= L[q]": (True, True),
    "x < n": (True, True),
    "D[q] == E[x] and x <= q": (True, True),
    "x <= q or D[q] == E[x]": (False, True),
    "not (x > q or x < 7)": (True, True),
    "x != q": (False, False),
    "2 * x <= q": (True, True),
    "16 * x + 15 <= q": (True, True),
    "q < 3 * x and 2 * q >= 3 * x": (True, True),
    "3 * ((x + 2) // 4) <= q": (True, True),
    "2 * x == q": (True, False),
    "abs(q - x) < 8": (True, True),
    "abs(2 * x - q) <= 5": (True, True),
    "abs(q - x) >= 8": (False, True),
    "max(q - x, 2 * x - q) < 12": (True, True),
    "12 >= min(q - x, x)": (False, True),
    "x < 4 or abs(q - x) <= 8": (True, True),
    "D[q] == E[x]": (False, False),
}


def region_of(choice: str) -> tuple[Region, tuple[Array, ...]]:
    library = ncdlang.loads(PROGRAM.format(choice))
    diagram = library.program.diagram("f")
    assert diagram is not None
    opened = open_diagram(diagram)
    (region,) = make_plan(opened).regions
    return region, opened.inputs


def arrays_of(inputs: tuple[Array, ...]) -> dict[Array, torch.Tensor]:
    torch.manual_seed(3)
    shapes = {"L": ([Q], X), "n": ([], X), "D": ([Q], 4), "E": ([X], 4)}
    return {
        array: torch.randint(0, shapes[array.name][1], shapes[array.name][0])
        for array in inputs
        if array.name in shapes
    }


class Tile:
    """Values of terms over one tile of rows."""

    def __init__(self, region: Region, inputs: tuple[Array, ...], rows: slice) -> None:
        self.region = region
        self.rows = rows
        q, x = region.rows[0], region.stream[0]
        sizes = {axis.symbol: n for axis, n in ((q, Q), (x, X)) if axis.symbol}
        self.axes = (q, x)
        arrays = arrays_of(inputs)
        self.values = Values(arrays, sizes)

    def holds(self, condition: Term) -> torch.Tensor:
        return self.values.over(condition, self.axes)[self.rows].bool()

    def inside(self, span: Range) -> torch.Tensor:
        x = torch.arange(X)
        made = torch.ones(X, dtype=torch.bool)
        if span.start is not None:
            made &= x >= self._end(span.start)
        if span.stop is not None:
            made &= x < self._end(span.stop)
        return made

    def _end(self, end: Term) -> int:
        images: dict[Term, Term] = {}
        for fold in subterms(end):
            if fold.op == "fold":
                over = self.values.over(fold.args[0], self.axes[:1])[self.rows]
                found = over.max() if fold.kind == "max" else over.min()
                images[fold] = self.region.terms.number(int(found))
        return self.values.at(self.region.terms.replace(end, images), {})


@pytest.mark.parametrize("mask", MASKS)
def test_ranges_hold_at_every_index(mask: str) -> None:
    region, inputs = region_of(SHOWN.format(mask))
    span, sure = visible(region), certain(region)
    assert (span is not None, sure is not None) == MASKS[mask]
    (mask_term,) = deciding(region.folds)
    for start in range(0, Q, 16):
        tile = Tile(region, inputs, slice(start, start + 16))
        seen = tile.holds(mask_term)
        if span is not None:
            assert not seen[:, ~tile.inside(span)].any()
        if sure is not None:
            inside = tile.inside(sure.span)
            for condition, rest in sure.rests.items():
                left = tile.holds(rest)
                assert torch.equal(tile.holds(condition)[:, inside], left[:, inside])


@pytest.mark.parametrize(
    "mask", ["x <= q and q - x < 12", "abs(q - x) < 9", "3 * x <= q + 1 and 5 * x > q"]
)
def test_ranges_are_tight(mask: str) -> None:
    region, inputs = region_of(SHOWN.format(mask))
    span, sure = visible(region), certain(region)
    assert span is not None
    assert sure is not None
    tile = Tile(region, inputs, slice(16, 32))
    seen = tile.holds(conditions(region.folds)[0])
    assert torch.equal(tile.inside(span), seen.any(0))
    assert torch.equal(tile.inside(sure.span), seen.all(0))


def source(choice: str) -> str:
    """The text of the kernels."""
    text = ncdlang.loads(PROGRAM.format(choice)).source("f", backend="triton")
    return "@triton.jit".join(text.split("@triton.jit")[1:]).split("# Whether Triton")[0]


def test_a_mask_written_the_other_way_round_is_the_same() -> None:
    text = source("where(x <= q, S[q x], -inf)")
    assert source("where(x > q, -inf, S[q x])") == text
    assert source("where(not (x <= q), -inf, S[q x])") == text


def test_tiles_that_are_all_visible_do_without_the_mask() -> None:
    text = source("where(x <= q and q - x < 40, S[q x], -inf)")
    _, whole, rest = text.split("@triton.jit")[0].split("    for ")
    for test in ("<= q", "-inf", "x_ok"):
        assert test not in whole.split("tl.maximum(m,")[0]
        assert test in rest


# The masks that the checker knows of tiles, forward and backward, with several tiles each way.
RUN = ("x <= q", "q > x and q - x < 50", "x // 16 <= q // 16", "x <= L[q]", "x < n")
RUN += ("D[q] == E[x] and x <= q", "x <= q or x > q + 70")
RUN += ("abs(q - x) < 40", "3 * x <= q and 5 * x > q")


@pytest.mark.parametrize("mask", RUN)
def test_masked_kernels_are_right(mask: str) -> None:
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    library = ncdlang.loads(PROGRAM.format(SHOWN.format(mask)))
    derived, exact = library.module("f", backend="triton"), library.module("f")
    q, x = 150, 170
    naturals = [torch.randint(0, x, (q,)), torch.tensor(101)]
    naturals += [torch.randint(0, 4, (q,)), torch.randint(0, 4, (x,))]
    reals = [torch.randn(q, 20), torch.randn(x, 20), torch.randn(x, 12)]
    own = [tensor.clone().requires_grad_() for tensor in reals]
    wide = [tensor.double().requires_grad_() for tensor in reals]
    made, wanted = derived(*own, *naturals), exact(*wide, *naturals)
    assert derived.last_run == ("O",)
    start = torch.randn(wanted.shape)
    made.backward(start)
    wanted.backward(start.double())
    for ours, theirs in [
        (made, wanted),
        *((a.grad, b.grad) for a, b in zip(own, wide, strict=True)),
    ]:
        assert torch.isfinite(ours).all()
        assert (ours.double() - theirs).norm() < 2e-6 * theirs.norm()
