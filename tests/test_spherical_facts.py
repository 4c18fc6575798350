"""Facts of spherical attention and of its relatives: splits, gradients, what streams (S1 to S6)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import Plan, Region, make_plan
from ncdlang.analysis.proof import Point
from ncdlang.analysis.terms import Term

PROGRAMS = Path(__file__).parent / "data" / "kernels.ncd"
LIBRARY = ncdlang.load(PROGRAMS)
KEYS = 7


def plan_of(name: str) -> Plan:
    diagram = LIBRARY.program.diagram(name)
    assert diagram is not None
    return make_plan(open_diagram(diagram))


class Split:
    """States of a region over parts of its streamed axis, and how two of them become one."""

    def __init__(self, region: Region, seed: int) -> None:
        self.region = region
        (self.axis,) = region.stream
        self.point = Point(seed, {self.axis: KEYS})
        outer = {a for o in region.outputs for a in o.array.axes}
        self.at = dict.fromkeys(outer, seed % 3)

    def state(self, part: range) -> dict[Term, float]:
        """The accumulators over a part, extrema first."""
        found: dict[Term, float] = {}
        for fold in self.region.folds:
            values = [self._value(fold.args[0], found, x) for x in part]
            if fold.kind == "sum":
                found[fold] = math.fsum(values)
            else:
                found[fold] = {"max": max, "min": min}[fold.kind](values)
        return found

    def _value(self, term: Term, known: dict[Term, float], x: int) -> float:
        self.point.fixed = dict(known)
        return self.point.value(term, {**self.at, self.axis: x})

    def merged(self, left: dict[Term, float], right: dict[Term, float]) -> dict[Term, float]:
        """Extrema of extrema; sums corrected by the growth of their summands."""
        found: dict[Term, float] = {}
        for fold in self.region.folds:
            if fold.kind != "sum":
                found[fold] = {"max": max, "min": min}[fold.kind](left[fold], right[fold])
        for fold in self.region.folds:
            growth = self.region.growth.get(fold)
            if fold.kind == "sum":
                factors = [1.0, 1.0]
                if growth is not None:
                    new = self._value(growth, found, 0)
                    factors = [new / self._value(growth, old, 0) for old in (left, right)]
                found[fold] = factors[0] * left[fold] + factors[1] * right[fold]
        return found

    def results(self, state: dict[Term, float]) -> list[float]:
        """The outputs of the region from its accumulators."""
        self.point.fixed = dict(state)
        return [self.point.value(output.term, self.at) for output in self.region.outputs]

    def wanted(self) -> list[float]:
        """The outputs as the equations say them."""
        self.point.fixed = {}
        return [self.point.value(output.written, self.at) for output in self.region.outputs]


@pytest.mark.parametrize(
    "name",
    [
        "spherical",
        "softmax_dense",
        "l1",
        "l4",
        "relu_normalised",
        "softmax_plus_one",
        "rms_norm_linear",
    ],
)
def test_s1_every_split_gives_the_whole(name: str) -> None:
    (region,) = plan_of(name).regions
    compared = 0
    for seed in range(4):
        split = Split(region, seed)
        wanted = split.wanted()
        for cut in range(1, KEYS):
            state = split.merged(split.state(range(cut)), split.state(range(cut, KEYS)))
            for made, value in zip(split.results(state), wanted, strict=True):
                if math.isfinite(value):
                    assert made == pytest.approx(value, rel=1e-9, abs=1e-12)
                    compared += 1
        first, *rest = (split.state(range(x, x + 1)) for x in range(KEYS))
        for each in rest:
            first = split.merged(first, each)
        for made, value in zip(split.results(first), wanted, strict=True):
            if math.isfinite(value):
                assert made == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert compared


CONVENTIONS = {
    "none": ("S / sqrt(z)", lambda z: z**-0.5, lambda z: z**-0.5),
    "inside": ("S / sqrt(z + 0.1)", lambda z: (z + 0.1) ** -0.5, lambda z: (z + 0.1) ** -0.5),
    "outside": ("S / (sqrt(z) + 0.1)", lambda z: 1 / (z.sqrt() + 0.1), lambda z: z**-0.5),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("form", ["forward", "reordered"])
def test_s3_the_gradient_by_the_formulas(convention: str, form: str) -> None:
    text, scale, other = CONVENTIONS[convention]
    module = ncdlang.loads(f"""
diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {{
  S[q x] = Q[q k] * K[x k]
  z[q] = sum[x](S ^ 2)
  P[q x] = {text}
  return O[q e] = P[q x] * V[x e]
}}
""").module("f")
    torch.manual_seed(3)
    shapes = ((5, 3), (7, 3), (7, 2))
    q, k, v = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in shapes)
    out = getattr(module, form)(q, k, v)
    weight = torch.randn_like(out)
    out.backward(weight)
    with torch.no_grad():
        s = q @ k.T
        z = s.square().sum(1, keepdim=True)
        r, d = scale(z), (weight * out).sum(1, keepdim=True)
        ds = r * (weight @ v.T - s * other(z) * d)
        for made, wanted in ((q, ds @ k), (k, ds.T @ q), (v, (r * s).T @ weight)):
            assert torch.allclose(made.grad, wanted, rtol=1e-10, atol=1e-12)


INSTANCES = (
    "softmax_dense",
    "unshifted",
    "spherical",
    "l1",
    "l4",
    "relu_normalised",
    "sigmoid_causal",
)


@pytest.mark.parametrize("name", [*INSTANCES, "rms_norm_linear", "layer_norm_linear"])
def test_s5_s6_every_instance_is_one_region(name: str) -> None:
    plan = plan_of(name)
    (region,) = plan.regions
    assert len(plan.steps) == 1
    assert [axis.name for axis in region.stream] == ["m" if "linear" in name else "x"]


def test_s4_up_to_a_row_by_prefix_sums() -> None:
    module = ncdlang.loads("""
diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
  S[q x] = where(x <= q, Q[q k] * K[x k], 0)
  return O[q e] = S[q x] / sqrt(sum[x](S ^ 2)) * V[x e]
}
""").module("f")
    torch.manual_seed(0)
    q, k, v = (torch.randn(700, n, dtype=torch.float64) for n in (4, 4, 3))
    state = torch.einsum("xk,xe->xke", k, v).cumsum(0)
    gram = torch.einsum("xk,xl->xkl", k, k).cumsum(0)
    z = torch.einsum("qk,qkl,ql->q", q, gram, q)
    wanted = torch.einsum("qk,qke->qe", q, state) / z.sqrt()[:, None]
    assert torch.allclose(module.reordered(q, k, v), wanted, rtol=1e-9)
    assert torch.allclose(module(q, k, v), wanted, rtol=1e-9)
