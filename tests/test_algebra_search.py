"""The search finds the derivations that it is for, and never makes a graph dearer."""

from __future__ import annotations

from random import Random

import opt_einsum
import pytest
from checked import program
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_diagram, same, sample, seeds

from ncdlang.algebra.cost import contraction_flops, cost
from ncdlang.algebra.opening import opened
from ncdlang.algebra.patches import Extents
from ncdlang.algebra.rewrites import MERGE_CONTRACTIONS, ORDER_CONTRACTIONS
from ncdlang.algebra.rewriting import rewrite_all
from ncdlang.algebra.search import Derivation, derive
from ncdlang.ir.diagram import Contraction, Graph, Pointwise, Reindex
from ncdlang.ir.lower import lower


def graph_of(text: str) -> Graph:
    return opened(lower(program(text).diagrams[-1]))


def derived(graph: Graph, **sizes: int) -> Derivation:
    known = {s: sizes[s.name] for s in graph.diagram.unknowns if s.name in sizes}
    found = derive(graph, Extents(known))
    drawn = sample(graph, 5)
    assert drawn is not None
    assert same(drawn.values(graph), drawn.values(found.graph))
    assert found.after.time <= found.before.time
    return found


def flops(graph: Graph, extents: Extents) -> int:
    products = (Contraction, Pointwise)
    return sum(
        contraction_flops(e, extents) for e in graph.edges if isinstance(e.operator, products)
    )


LETTERS = "abcdefgh"


@settings(max_examples=40)
@given(seeds, st.integers(3, 6))
def test_orders_of_contraction_are_as_cheap_as_those_of_opt_einsum(seed: int, count: int) -> None:
    pick = Random(seed)
    sizes = {letter: pick.choice((2, 3, 5, 8, 20)) for letter in LETTERS}
    factors = ["".join(pick.sample(LETTERS, pick.randint(1, 3))) for _ in range(count)]
    used = {axis: sum(axis in factor for factor in factors) for axis in "".join(factors)}
    kept = "".join(a for a in sorted(used) if used[a] == 1 or pick.random() < 0.3)
    if len(kept) == len(used):
        return
    inputs = ", ".join(f"F{i}: [{' '.join(factor)}]" for i, factor in enumerate(factors))
    value = " * ".join(f"F{i}[{' '.join(factor)}]" for i, factor in enumerate(factors))
    axes = " ".join(kept)
    text = f"diagram main({inputs}) -> [{axes}] {{ return Y[{axes}] = {value} }}"
    graph = graph_of(text)
    extents = Extents({s: sizes[s.name] for s in graph.diagram.unknowns})
    found = rewrite_all(graph, (MERGE_CONTRACTIONS, ORDER_CONTRACTIONS), extents).graph
    shapes = [tuple(sizes[axis] for axis in factor) for factor in factors]
    expression = f"{','.join(factors)}->{kept}"
    _, path = opt_einsum.contract_path(expression, *shapes, shapes=True, optimize="optimal")
    assert flops(found, extents) <= path.opt_cost
    drawn = sample(graph, seed)
    assert drawn is not None
    assert same(drawn.values(graph), drawn.values(found))


def test_five_factors_are_contracted_in_the_best_order() -> None:
    sizes = {"i": 30, "j": 35, "k": 15, "l": 5, "m": 10, "n": 20}
    graph = graph_of(
        """
        diagram f(A: [i j], B: [j k], C: [k l], D: [l m], E: [m n]) -> [i n] {
          return Y[i n] = A[i j] * B[j k] * C[k l] * D[l m] * E[m n]
        }
        """
    )
    found = derived(graph, **sizes)
    extents = Extents({s: sizes[s.name] for s in graph.diagram.unknowns})
    shapes = [(30, 35), (35, 15), (15, 5), (5, 10), (10, 20)]
    _, path = opt_einsum.contract_path(
        "ij,jk,kl,lm,mn->in", *shapes, shapes=True, optimize="optimal"
    )
    assert flops(found.graph, extents) == path.opt_cost == 23750


@settings(max_examples=10)
@given(seeds)
def test_the_search_orders_five_factors_as_well_as_opt_einsum(seed: int) -> None:
    pick = Random(seed)
    sizes = {letter: pick.choice((64, 128, 256, 1000)) for letter in LETTERS[:5] + "uv"}
    factors = ["".join(pick.sample(sorted(sizes), pick.randint(2, 3))) for _ in range(5)]
    used = {axis: sum(axis in factor for factor in factors) for axis in "".join(factors)}
    kept = "".join(a for a in sorted(used) if used[a] == 1 or pick.random() < 0.2)
    if len(kept) == len(used):
        return
    inputs = ", ".join(f"F{i}: [{' '.join(factor)}]" for i, factor in enumerate(factors))
    value = " * ".join(f"F{i}[{' '.join(factor)}]" for i, factor in enumerate(factors))
    axes = " ".join(kept)
    graph = graph_of(f"diagram main({inputs}) -> [{axes}] {{ return Y[{axes}] = {value} }}")
    extents = Extents({s: sizes[s.name] for s in graph.diagram.unknowns})
    found = derive(graph, extents)
    shapes = [tuple(sizes[axis] for axis in factor) for factor in factors]
    expression = f"{','.join(factors)}->{kept}"
    _, path = opt_einsum.contract_path(expression, *shapes, shapes=True, optimize="optimal")
    ordered = rewrite_all(graph, (MERGE_CONTRACTIONS, ORDER_CONTRACTIONS), extents).graph
    assert flops(ordered, extents) <= path.opt_cost
    # More operations are only made where fewer bytes are moved for them.
    assert found.after.time <= cost(ordered, extents).time
    assert (
        flops(found.graph, extents) <= path.opt_cost
        or found.after.bytes < cost(ordered, extents).bytes
    )


@pytest.mark.parametrize(
    "body",
    [
        "return Y[y o] = W[o j c] * X[y + j, c]",
        "Z[y o j] = W[o j c] * X[y + j, c]\n return Y[y o] = sum[j](Z)",
    ],
)
def test_a_convolution_is_a_matrix_product_over_windows(body: str) -> None:
    graph = graph_of(f"diagram f(X: [x c], W: [o j c]) -> [y o] {{\n {body}\n}}")
    found = derived(graph, x=128, c=32, o=32, j=3)
    (product,) = [e for e in found.graph.edges if isinstance(e.operator, Contraction)]
    assert isinstance(product.operator, Contraction)
    assert [str(axis) for axis in product.operator.axes] == ["(j c)"]
    makers = found.graph.makers()
    reads = [makers[operand.wire].inputs[0] for operand in product.inputs]
    assert {read.wire.name for read in reads} == {"X", "W"}
    assert any("y + j" in map(str, read.reindexing) for read in reads)


def test_linear_attention_is_found_from_its_dense_form() -> None:
    text = """
    diagram f(Q: [q h k], K: [x h k], V: [x h e]) -> [q h e] {
      S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
      return O[q h e] = S[h q x] * V[x h e]
    }
    """
    sizes = {"q": 4096, "x": 4096, "k": 64, "e": 64, "h": 8}
    found = derived(graph_of(text), **sizes)
    for edge in found.graph.edges:
        names = {axis.name for axis in edge.outputs[0].wire.type.axes}
        assert not {"q", "x"} <= names, "no array of queries by keys is left"
    assert found.after.flops * 20 < found.before.flops


LINEAR = {
    "other names and orders": """
    diagram f(V: [b u c], K: [b u z], Q: [a u z]) -> [u a c] {
      T[u b a] = K[b u z] * Q[a u z]
      O[u a c] = V[b u c] * T[u b a] * 0.125
      return O
    }
    """,
    "a called diagram and copies": """
    diagram scores(Q: [a z], K: [b z]) -> [a b] { return S[a b] = Q[a z] * K[b z] }
    diagram f(Q: [a u z], K: [b u z], V: [b u c]) -> [u a c] {
      L[u a z] = Q[a u z]
      R[u b z] = K[b u z]
      S = scores(L, R)
      return O[u a c] = S[u a b] * V[b u c]
    }
    """,
    "point-free": """
    diagram f : ([a z], [b z], [b c]) -> [a c]
      = einsum[a z, b z -> a b] >> scale[0.5] >> einsum[a b, b c -> a c]
    """,
    "features and a quotient": """
    diagram f(Q: [a u z], K: [b u z], V: [b u c]) -> [a u c] {
      S[u a b] = exp(Q[a u z]) * K[b u z]^2
      return O[a u c] = S[u a b] * V[b u c] / (1 + size(b))
    }
    """,
}


@pytest.mark.parametrize("text", LINEAR.values(), ids=LINEAR)
def test_linear_attention_is_found_however_it_is_written(text: str) -> None:
    found = derived(graph_of(text), a=4096, b=4096, z=64, c=64, u=8)
    made = [{axis.name for axis in e.outputs[0].wire.type.axes} for e in found.graph.edges]
    assert not any({"a", "b"} <= names for names in made)


def test_the_dense_form_stays_where_it_is_cheaper() -> None:
    text = """
    diagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {
      S[q x] = Q[q k] * K[x k]
      return O[q e] = S[q x] * V[x e]
    }
    """
    found = derived(graph_of(text), q=4, x=4, k=512, e=512)
    made = [{a.name for a in e.outputs[0].wire.type.axes} for e in found.graph.edges]
    assert {"q", "x"} in made


def test_parallel_projections_are_merged() -> None:
    text = """
    use std.nn.{linear}
    diagram f[h, k](X: [x m]) -> ([x h k], [x h k], [x h k]) {
      learn Lq, Lk, Lv: linear[m -> h k]
      return Lq(X), Lk(X), Lv(X)
    }
    """
    found = derived(graph_of(text), x=2048, m=512, h=8, k=64)
    assert "parallel-projections" in {step.rewrite for step in found.steps}
    products = [e for e in found.graph.edges if isinstance(e.operator, Contraction)]
    assert len(products) == 1
    assert all(isinstance(found.graph.makers()[w].operator, Reindex) for w in found.graph.outputs)


@settings(max_examples=15)
@given(seeds)
def test_derivations_keep_the_meaning(seed: int) -> None:
    diagram = random_diagram(seed)
    assert diagram is not None
    graph = opened(lower(diagram))
    found = derive(graph, states=6)
    assert found.after == cost(found.graph, Extents())
    drawn = sample(graph, seed)
    if drawn is not None:
        assert same(drawn.values(graph), drawn.values(found.graph))


def test_the_search_is_bounded() -> None:
    lines = [f"  Y{i + 1} = exp(Y{i} * W) / 3" for i in range(300)]
    body = "\n".join(["  Y0 = X", *lines, "  return Y300"])
    graph = graph_of(f"diagram f(X: [a], W: [a]) -> [a] {{\n{body}\n}}")
    assert derive(graph, states=1).states == 1
