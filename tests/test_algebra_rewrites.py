"""Rewrites keep the meaning of random diagrams, and do what they are for."""

from __future__ import annotations

import os

import numpy as np
import pytest
from checked import program
from hypothesis import given, settings
from random_graphs import random_diagram, same, sample, seeds

from ncdlang.algebra.normal import normal_form
from ncdlang.algebra.opening import every, is_random, opened
from ncdlang.algebra.patches import Extents, Rewrite
from ncdlang.algebra.rewrites import PIPELINE, REWRITES, named
from ncdlang.algebra.rewriting import Rewritten, rewrite, rewrite_all
from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Graph,
    Library,
    Pointwise,
    Reduction,
    Reindex,
    Scan,
)
from ncdlang.ir.lower import lower

EXAMPLES = 2000 if "NCDLANG_FULL" in os.environ else 200


def graph_of(text: str) -> Graph:
    return opened(lower(program(text).diagrams[-1]))


def applied(text: str, name: str, **sizes: int) -> Rewritten:
    """A rewrite of the last diagram of a text; the values before and after are compared."""
    graph, rule = graph_of(text), named(name)
    assert rule is not None
    known = {symbol: sizes[symbol.name] for symbol in graph.diagram.unknowns if sizes}
    done = rewrite(graph, rule, Extents(known))
    drawn = sample(graph, 1)
    assert drawn is not None
    assert same(drawn.values(graph), drawn.values(done.graph))
    return done


def operators(graph: Graph) -> list[str]:
    return [
        edge.operator.name
        if isinstance(edge.operator, Pointwise | Reduction)
        else type(edge.operator).__name__
        for edge in graph.edges
    ]


# ---- the meaning stays -------------------------------------------------------------------------


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_rewrites_keep_the_meaning(seed: int) -> None:
    diagram = random_diagram(seed)
    assert diagram is not None
    graph = opened(lower(diagram))
    drawn = sample(graph, seed)
    if drawn is None:
        return
    before = drawn.values(graph)
    assert same(before, drawn.values(lower(diagram)))
    for rule in REWRITES:
        assert same(before, drawn.values(rewrite(graph, rule).graph)), rule.name
    whole = rewrite_all(graph, PIPELINE).graph
    assert same(before, drawn.values(whole))
    for edge in whole.edges:
        if not isinstance(edge.operator, Reindex | Library):
            assert all(is_plain(edge, i) for i in range(len(edge.inputs)))


def is_plain(edge: Edge, position: int) -> bool:
    """What backends read directly: distinct axes and nothing else."""
    axes = [place.axis for place in edge.inputs[position].reindexing]
    return None not in axes and len(set(axes)) == len(axes)


def test_every_rewrite_applies_to_random_diagrams() -> None:
    """The property above says something of each of them."""
    found: set[str] = set()
    for seed in range(80):
        diagram = random_diagram(seed)
        assert diagram is not None
        graph = opened(lower(diagram))
        missing = [rule for rule in REWRITES if rule.name not in found]
        found.update(rule.name for rule in missing if rewrite(graph, rule).applied)
        if len(found) == len(REWRITES):
            break
    # Lowering makes no reads that could be unfolded; the default pipeline does, by folding.
    assert {rule.name for rule in REWRITES} - found <= {"unfold"}


@settings(max_examples=max(20, EXAMPLES // 5))
@given(seeds)
def test_random_operations_are_neither_copied_nor_merged(seed: int) -> None:
    diagram = random_diagram(seed, is_random=True)
    assert diagram is not None
    graph = opened(lower(diagram))
    spans = sorted(edge.span for edge in draws(graph))
    for rules in (*((rule,) for rule in REWRITES), PIPELINE):
        after = draws(rewrite_all(graph, rules).graph)
        left = sorted(edge.span for edge in after)
        assert len(set(left)) == len(left)
        assert set(left) <= set(spans)
        if all(rule.name != "dead-wires" for rule in rules):
            assert left == spans
        sizes = {edge.span: size_of(edge) for edge in draws(graph)}
        assert all(size_of(edge) == sizes[edge.span] for edge in after)


def draws(graph: Graph) -> list[Edge]:
    return [edge for edge in every(graph.edges) if is_random(edge)]


def size_of(edge: Edge) -> list[str]:
    """How much a random operation draws."""
    return sorted(str(axis.size) for axis in edge.degree)


@pytest.mark.parametrize("rule", REWRITES, ids=lambda rule: rule.name)
def test_a_rewrite_is_done_when_it_is_done(rule: Rewrite) -> None:
    text = """
    diagram f(X: [a b], Y: [b c]) -> [a] {
      T[b a] = X[a b]
      Z[a c] = T[b a] * Y[b c]
      return R[a] = sum[c](exp(Z) / 2)
    }
    """
    graph = graph_of(text)
    once = rewrite(graph, rule)
    assert not rewrite(once.graph, rule).applied
    assert bool(once.applied) == (once.graph is not graph)


# ---- one by one --------------------------------------------------------------------------------


def test_dead_wires_drops_what_nobody_reads() -> None:
    done = applied(
        """
        use std.nn.{dropout}
        diagram f(X: [a]) -> [a] {
          D = dropout[0.5](X)
          E = exp(D)
          return tanh(X)
        }
        """,
        "dead-wires",
    )
    assert operators(done.graph) == ["tanh"]
    assert {each.rewrite for each in done.applied} == {"dead-wires"}


def test_dead_wires_keeps_what_keeps_state() -> None:
    graph = graph_of(
        """
        use std.nn.{batch_norm}
        diagram f(X: [b c]) -> [b c] {
          Y = batch_norm[b -> c](X)
          return X
        }
        """
    )
    rule = named("dead-wires")
    assert rule is not None
    left = rewrite(graph, rule).graph
    kept = [edge for edge in left.edges if isinstance(edge.operator, Library)]
    assert len(kept) == 2


def test_common_subterms_are_computed_once() -> None:
    text = "diagram f(X: [a], Y: [a]) -> [a] { return exp(X * Y) + tanh(exp(Y * X)) }"
    assert operators(applied(text, "common-subterms").graph) == ["mul", "exp", "tanh", "add"]


def test_common_subterms_of_chance_stay() -> None:
    text = """
    use std.nn.{dropout}
    diagram f(X: [a]) -> [a] { return dropout[0.5](X) - dropout[0.5](X) }
    """
    assert len(draws(applied(text, "common-subterms").graph)) == 2


def test_reindexings_in_a_row_become_one() -> None:
    text = """
    diagram f(X: [a b c]) -> [b a] {
      assert size(c) > 1
      T[c b a] = X[a b c]
      S[b c a] = T[size(c) - 1 - c, b, a]
      return R[b a] = S[b, 1, a]
    }
    """
    done = applied(text, "merge-reindexings")
    last = done.graph.edges[-1].inputs[0]
    assert last.wire.name == "X"
    assert str(last.reindexing[2]) == "size(c) - 2"


def test_flattening_and_back_is_nothing() -> None:
    text = """
    diagram f(X: [a b]) -> [a b] {
      F[(b a)] = X[a b]
      return R[a b] = F[(b a)]
    }
    """
    last = applied(text, "merge-reindexings").graph.edges[-1].inputs[0]
    assert [str(place) for place in last.reindexing] == ["a", "b"]


def test_a_transposition_is_folded_into_its_consumer() -> None:
    text = """
    diagram f(X: [a b], Y: [b c]) -> [a c] {
      T[b a] = X[a b]
      return Z[a c] = T[b a] * Y[b c]
    }
    """
    done = applied(text, "fold-reindexing")
    contraction = done.graph.edges[-1]
    assert isinstance(contraction.operator, Contraction)
    assert contraction.inputs[0].wire.name == "X"


def test_merged_contractions_are_split_in_the_cheapest_order() -> None:
    text = """
    diagram f(A: [i j], B: [j k], v: [k]) -> [i] {
      M[i k] = A[i j] * B[j k]
      return y[i] = M[i k] * v[k]
    }
    """
    merged = applied(text, "merge-contractions")
    assert [len(edge.inputs) for edge in merged.graph.edges] == [3]
    rule = named("order-contractions")
    assert rule is not None
    split = rewrite(merged.graph, rule).graph
    assert [len(edge.inputs) for edge in split.edges] == [2, 2]
    assert {operand.wire.name for operand in split.edges[0].inputs} == {"B", "v"}


SLICED = "diagram f(X: [a b]) -> [b] { assert size(a) > 0\n E = tanh(X)\n return R[b] = E[0, b] }"
REPEATED = """
diagram f(X: [a], Z: [b]) -> [a b] {
  R[a b] = X[a]
  return tanh(R)
}
"""


def test_a_selection_slides_in_and_a_repetition_out() -> None:
    (inside,) = applied(SLICED, "slide-in").graph.edges
    assert operators(applied(SLICED, "slide-in").graph) == ["tanh"]
    assert [str(place) for place in inside.inputs[0].reindexing] == ["0", "b"]
    sliding_out = applied(REPEATED, "slide-out").graph
    assert operators(sliding_out)[-2:] == ["tanh", "Reindex"]
    assert len(sliding_out.edges[-2].degree) == 1


def test_reindexings_go_where_arrays_are_smallest() -> None:
    assert operators(applied(SLICED, "smallest-array").graph) == ["tanh"]
    assert operators(applied(REPEATED, "smallest-array").graph)[-2:] == ["tanh", "Reindex"]
    assert not applied(SLICED.replace("E[0, b]", "sum[a](E)"), "smallest-array").applied


def test_convolution_is_equivariant_by_sliding() -> None:
    """A shift in front of a convolution or behind it: one normal form after sliding."""
    text = """
    diagram f(X: [x], W: [j]) -> [y] {
      axis z = size(x) - 1
      axis y = size(x) - size(j)
      S[z] = X[z + 1]
      return Y[y] = S[y + j] * W[j]
    }
    """
    other = """
    diagram f(X: [x], W: [j]) -> [y] {
      axis z = size(x) - size(j) + 1
      axis y = size(x) - size(j)
      C[z] = X[z + j] * W[j]
      return Y[y] = C[y + 1]
    }
    """
    first = applied(text, "merge-reindexings").graph
    second = applied(other, "slide-in").graph
    assert normal_form(first).outputs == normal_form(second).outputs


def test_a_matrix_product_flattens_its_axes() -> None:
    text = """
    diagram f(X: [x c], W: [o j c]) -> [y o] {
      return Y[y o] = W[o j c] * X[y + j, c]
    }
    """
    done = applied(text, "matrix-product")
    (contraction,) = [e for e in done.graph.edges if isinstance(e.operator, Contraction)]
    assert isinstance(contraction.operator, Contraction)
    assert [str(axis) for axis in contraction.operator.axes] == ["(j c)"]


def test_projections_of_one_array_are_joined() -> None:
    text = """
    use std.nn.{linear}
    diagram f[g, h, k](X: [x m]) -> ([x h k], [x g k], [x g k]) {
      learn Q: linear[m -> h k]
      learn K, V: linear[m -> g k]
      return Q(X), K(X), V(X)
    }
    """
    done = applied(text, "parallel-projections")
    assert sum(isinstance(edge.operator, Contraction) for edge in done.graph.edges) == 1


CELL = """
diagram cell(X: [t m], U: [h m], A: [g k], B: [k h], z: [h]) -> [t h] {
  assert size(g) == size(h)
  P[t h] = where(t > 0, H[t - 1, h], 0)
  M[g h] = A[g k] * B[k h]
  S[t h] = P[t g] * A[g k] * B[k h]
  return H[t h] = tanh(S[t h] + U[h m] * X[t m] + P[t h] / z[h])
}
"""


def test_what_no_state_is_in_is_computed_before_a_scan() -> None:
    done = applied(CELL, "before-scans")
    (scan,) = [e.operator for e in done.graph.edges if isinstance(e.operator, Scan)]
    read = [[o.wire.name for o in e.inputs][1:] for e in scan.edges if is_product(e)]
    assert read == [["A", "B"]]
    assert any(is_product(e) and e.inputs[0].wire.name == "U" for e in done.graph.edges)


def is_product(edge: Edge) -> bool:
    return isinstance(edge.operator, Contraction)


def test_contractions_in_a_scan_are_split_in_the_cheapest_order() -> None:
    sizes = {"t": 4, "m": 3, "h": 50, "g": 50, "k": 2}
    done = applied(CELL, "order-contractions", **sizes)
    (scan,) = [e.operator for e in done.graph.edges if isinstance(e.operator, Scan)]
    products = [e for e in scan.edges if is_product(e)]
    read = [{o.wire.name for o in e.inputs} & {"A", "B"} for e in products[:2]]
    assert read == [{"A"}, {"B"}]
    assert {each.rewrite for each in done.applied} == {"order-contractions"}
    assert "divide-once" in {each.rewrite for each in applied(CELL, "divide-once").applied}


def test_reads_of_earlier_entries_stay() -> None:
    """What a scan reads of itself one step earlier is there only then."""
    text = """
    diagram f(X: [t a]) -> [t a] {
      E[t a] = exp(H[t - 1, a] * X[t a])
      return H[t a] = where(t > 0, E[t a], X[t a])
    }
    """
    graph = graph_of(text.replace("exp(H[t - 1, a]", "exp(where(t > 0, H[t - 1, a], 1)"))
    for rule in REWRITES:
        after = rewrite(graph, rule).graph
        (scan,) = [e.operator for e in after.edges if isinstance(e.operator, Scan)]
        (read,) = [e for e in scan.edges if e.operator == Reindex(True)]
        assert "t - 1" in map(str, read.inputs[0].reindexing)


def test_quotients_by_numbers_become_products() -> None:
    text = "diagram f(X: [a b], z: [b]) -> [a b] { return Y[a b] = X[a b] / z[b] }"
    assert operators(applied(text, "divide-once").graph) == ["Number", "div", "mul"]


def test_places_are_told() -> None:
    done = applied(SLICED, "slide-in")
    (place,) = done.applied
    assert place.rewrite == "slide-in"
    assert place.span.line == 1 + SLICED[: place.span.start].count("\n")
    assert "`R`" in place.what


def test_values_of_a_rewritten_graph_can_be_wrong() -> None:
    """The judge of these tests notices a rewrite that is none."""
    graph = graph_of("diagram f(X: [a]) -> [a] { return exp(X) }")
    drawn = sample(graph, 3)
    assert drawn is not None
    assert not same(drawn.values(graph), [np.tanh(drawn.inputs[0])])
