"""Products with matrices read at indices (mixtures of experts) in Triton's interpreter."""

from __future__ import annotations

import os

import pytest
import torch
from kernel_judge import TOLERANCE, judged

import ncdlang
from ncdlang.analysis.devices import DEVICES
from ncdlang.analysis.explain import explain
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.opening import open_diagram
from ncdlang.analysis.plan import Plan, make_plan

# Programs, and the rows and keys of their grouped products.
PRODUCTS = {
    "experts": (
        """(X: [t m], W: [v f m], E: N(v)[t]) -> [t f] {
  return Y[t f] = X[t m] * W[E[t], f, m]
}""",
        ["t by E"],
    ),
    "top_two": (
        """(G: [t j], X: [t m], W: [v f m], E: N(v)[t j]) -> [t f] {
  return Y[t f] = G[t j] * X[t m] * W[E[t j], f, m]
}""",
        ["t j by E"],
    ),
    "expert_mlp": (
        """(X: [t m], W: [v f m], U: [v m f], E: N(v)[t]) -> [t m] {
  H[t f] = relu(X[t m] * W[E[t], f, m])
  return Y[t m] = X[t m] + H[t f] * U[E[t], m, f]
}""",
        ["t by E", "t by E"],
    ),
    "heads": (
        """(X: [t h m], W: [v h f m], E: N(v)[t h]) -> [t h f] {
  return Y[t h f] = X[t h m] * W[E[t h], h, f, m]
}""",
        ["t h by E h"],
    ),
    "worked_out": (
        """(X: [t m], W: [v f m], s: [m], E: N(v)[t]) -> [t f] {
  return Y[t f] = cos(X[t m]) * s[m] * cos(W[E[t], f, m])
}""",
        ["t by E"],
    ),
    "dispatched": (
        """(X: [n m], W: [v f m], E: N(v)[t], T: N(n)[t]) -> [t f] {
  return Y[t f] = X[T[t], m] * W[E[t], f, m]
}""",
        ["t by E"],
    ),
    "two_places": (
        """(X: [t m], W: [v z f m], E: N(v)[t], B: N(z)[t]) -> [t f] {
  return Y[t f] = X[t m] * W[E[t], B[t], f, m]
}""",
        ["t by E B"],
    ),
    "normalised": (
        """(X: [t m], W: [v f m], E: N(v)[t]) -> [t f] {
  Z[t m] = X[t m] / sqrt(mean[m](X^2))
  return Y[t f] = Z[t m] * W[E[t], f, m]
}""",
        ["t by E"],
    ),
    "with_bias": (
        """(X: [t m], W: [v f m], b: [v f], E: N(v)[t]) -> [t f] {
  return Y[t f] = X[t m] * W[E[t], f, m] + b[E[t], f]
}""",
        ["t by E"],
    ),
    "gated": (
        """(X: [t m], W: [v f m], U: [v f m], D: [v m f], G: [t j], E: N(v)[t j]) -> [t m] {
  A[t j f] = X[t m] * W[E[t j], f, m]
  B[t j f] = X[t m] * U[E[t j], f, m]
  H[t j f] = A / (1 + exp(-A)) * B
  return Y[t m] = G[t j] * H[t j f] * D[E[t j], m, f]
}""",
        ["t j by E", "t j by E", "t j by E"],
    ),
}
SIZES = {"t": 47, "m": 19, "v": 5, "j": 2, "n": 30, "f": 23, "h": 2, "z": 3}
FULL = bool(os.environ.get("NCDLANG_FULL"))
DTYPES = list(TOLERANCE)[: 3 if FULL else 2]


@pytest.fixture(autouse=True)
def exact_products() -> None:
    torch.set_float32_matmul_precision("highest")


def plan_of(name: str) -> Plan:
    diagram = ncdlang.loads(f"diagram {name}{PRODUCTS[name][0]}").program.diagram(name)
    assert diagram is not None
    return make_plan(open_diagram(diagram))


def products(plan: Plan) -> list[Grouped]:
    return [step for step in plan.steps if isinstance(step, Grouped)]


@pytest.mark.parametrize("name", PRODUCTS)
def test_grouped_products_are_right(name: str) -> None:
    text, wanted = PRODUCTS[name]
    for dtype in DTYPES if FULL or name in ("experts", "top_two") else DTYPES[:1]:
        ran = judged(f"diagram {name}{text}", name, SIZES, dtype, factor=2)
        assert len(ran) >= len(wanted)


@pytest.mark.parametrize("name", PRODUCTS)
def test_rows_and_their_groups(name: str) -> None:
    found = [
        f"{' '.join(a.name for a in step.rows)} by "
        + " ".join(getattr(place.data, "name", "?") for _, place in step.keys)
        for step in products(plan_of(name))
    ]
    assert found == PRODUCTS[name][1]


@pytest.mark.parametrize(("name", "distinct"), [("experts", 1), ("gated", 2)])
def test_neither_way_needs_atomics_nor_python(name: str, distinct: int) -> None:
    source = ncdlang.loads(f"diagram {name}{PRODUCTS[name][0]}").source(name, backend="triton")
    assert "tl.atomic" not in source
    assert "left to PyTorch" not in source
    # Forward, and backward one for each side, for every product that is not like another.
    assert source.count("tl.dot") == 3 * distinct


@pytest.mark.parametrize(("t", "v"), [(0, 3), (1, 3), (65, 1), (20, 40), (130, 3)])
def test_any_number_of_rows_and_groups(t: int, v: int) -> None:
    sizes = SIZES | {"t": t, "v": v}
    text = PRODUCTS["experts"][0]
    assert judged(f"diagram g{text}", "g", sizes, torch.float32, factor=2) == ("Y",)


def test_lifted_rows_share_the_matrices() -> None:
    text = PRODUCTS["experts"][0]
    made = judged(f"diagram g{text}", "g", SIZES, torch.float32, lead=3, factor=2)
    assert made == ("Y",)


def test_rows_of_other_groups_in_between_change_no_bit() -> None:
    module = ncdlang.loads(f"diagram g{PRODUCTS['experts'][0]}").module(
        "g", sizes={"v": 5}, backend="triton"
    )
    x, w, e = torch.randn(70, 9), torch.randn(5, 7, 9), torch.randint(0, 5, (70,))
    order = torch.argsort(e, stable=True)
    assert torch.equal(module(x[order], w, e[order]), module(x, w, e)[order])


def test_the_argument_of_a_grouped_product() -> None:
    text = explain(plan_of("top_two"), "f", {}, DEVICES["h200"])
    assert "1 grouped product" in text
    assert "rows t j by v' = E[t j]" in text
    assert "W[v' f m] is one matrix for all rows of the same v'" in text
