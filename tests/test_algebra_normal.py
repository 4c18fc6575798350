"""The normal form: what it identifies, what it tells apart, and how long it takes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from random import Random

import pytest
from checked import program
from clock import processor_seconds, within
from hypothesis import given, settings
from random_graphs import Author, checked, random_diagram, same, sample, seeds

from ncdlang.algebra.equal import Difference, difference
from ncdlang.algebra.normal import normal_form
from ncdlang.algebra.opening import opened
from ncdlang.algebra.rewrites import (
    COMMON_SUBTERMS,
    DEAD_WIRES,
    FOLD_REINDEXING,
    MERGE_REINDEXINGS,
    UNFOLD,
)
from ncdlang.algebra.rewriting import rewrite
from ncdlang.ir.diagram import Graph
from ncdlang.ir.lower import lower

EXAMPLES = 500 if "NCDLANG_FULL" in os.environ else 40

ATTENTION = """
diagram f(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
  P        = softmax[x](S)
  return O[q h k] = P[h q x] * V[x h k]
}
"""
CORE = """
diagram f : ([q h k], [x h k], [x h k]) -> [q h k]
  = einsum[q h k, x h k -> h q x] >> scale[1 / sqrt(size(k))] >> softmax[x]
    >> einsum[h q x, x h k -> q h k]
"""


def compared(left: str, right: str) -> Difference | None:
    """The difference of the last diagrams of two texts."""
    return difference(lower(program(left).diagrams[-1]), lower(program(right).diagrams[-1]))


EQUAL = {
    "point-free": (ATTENTION, CORE),
    "names, titles and order": (
        ATTENTION,
        """
        diagram other(A: [i g c], B: [j g c], C: [j g c]) -> [i g c] {
          block "Scores" { T[j i g] = B[j g c] / sqrt(size(c)) * A[i g c] }
          U = softmax[j](T)
          return R[i g c] = C[j g c] * U[j i g]
        }
        """,
    ),
    "dead wires and common subterms": (
        "diagram f(X: [a]) -> [a] { return Y = exp(X) + 2 * exp(X) }",
        """
        diagram f(X: [a]) -> [a] {
          D = tanh(X)
          A = exp(X)
          B = 2 * exp(X)
          return B + A
        }
        """,
    ),
    "a library diagram and its equations": (
        (
            "use std.nn.{linear}\n"
            "diagram f[n](X: [t m]) -> [t n] { learn L: linear[m -> n]\n return L(X) }"
        ),
        (
            "diagram f[n](X: [t m]) -> [t n] { learn weight: [n m]\n"
            "return Y[t n] = X[t m] * weight[n m] }"
        ),
    ),
    "transposed and back": (
        "diagram f(X: [a b c]) -> [a b c] { return Y = exp(X) }",
        (
            "diagram f(X: [a b c]) -> [a b c] {\n T[c a b] = X[a b c]\n E = exp(T)\n"
            "return Y[a b c] = E[c a b] }"
        ),
    ),
    "flattened and back": (
        "diagram f(X: [a b c]) -> [a b c] { return X }",
        (
            "diagram f(X: [a b c]) -> [a b c] {\n T[a, (b c)] = X[a b c]\n"
            "return Y[a b c] = T[a, (b c)] }"
        ),
    ),
    "grouping of products and sums": (
        "diagram f(A: [a], B: [a], C: [a]) -> [a] { return A * (B * C) - (A + (B - C)) }",
        "diagram f(A: [a], B: [a], C: [a]) -> [a] {\n P = C * A\n return B * P - A + C - B }",
    ),
    "halves": (
        "diagram f(A: [a], B: [a]) -> [a] { return A / 2 + B * 4 }",
        "diagram f(A: [a], B: [a]) -> [a] { return B / 0.25 + 0.5 * A }",
    ),
    "contractions split in two ways": (
        (
            "diagram f(A: [i j], B: [j k], C: [k l]) -> [i l] {\n T[k i] = A[i j] * B[j k]\n"
            "return Y[i l] = T[k i] * C[k l] }"
        ),
        (
            "diagram f(A: [i j], B: [j k], C: [k l]) -> [i l] {\n T[j l] = B[j k] * C[k l]\n"
            "return Y[i l] = A[i j] * T[j l] }"
        ),
    ),
    "sums taken in through other axes": (
        (
            "diagram f(A: [i j], B: [j], C: [i j]) -> [i j] {\n S[j i] = A[i j] - B[j]\n"
            "return Y[i j] = C[i j] - S[j i] - S[j i] * 0 }"
        ),
        (
            "diagram f(A: [i j], B: [j], C: [i j]) -> [i j] {\n S[i j] = A[i j] - B[j]\n"
            "return Y[i j] = C[i j] - 0 * S[i j] - S[i j] }"
        ),
    ),
    "recurrences": (
        (
            "diagram f(X: [t d], H0: [d]) -> [t d] {\n"
            "return H[t d] = X[t d] + where(t > 0, H[t - 1, d], H0[d]) }"
        ),
        (
            "diagram f(U: [s e], I: [e]) -> [s e] {\n"
            "G[s e] = where(0 < s, G[s - 1, e], I[e]) + U[s e]\n return G }"
        ),
    ),
    "scatters": (
        (
            "diagram f(I: N(v)[n], U: [n d], E: [v d]) -> [v d] {\n Y: [v d]\n"
            "Y[I[n], d] += U[n d] * E[I[n], d]\n return Y }"
        ),
        (
            "diagram f(J: N(v)[n], U: [n d], E: [v d]) -> [v d] {\n G[d n] = E[J[n], d]\n"
            "Z: [v d]\n Z[J[n], d] += G[d n] * U[n d]\n return Z }"
        ),
    ),
    "contraction is a sum of products": (
        "diagram f(A: [i j], B: [j k]) -> [i k] { return Y[i k] = A[i j] * B[j k] }",
        (
            "diagram f(A: [i j], B: [j k]) -> [i k] {\n P[k j i] = B[j k] * A[i j]\n"
            "return Y[i k] = sum[j](P[k j i]) }"
        ),
    ),
    "copies of a learned layer": (
        (
            "use std.nn.{linear}\n"
            "diagram f(X: [m]) -> [m] { learn A, B: linear[m -> m]\n return B(A(X)) }"
        ),
        "use std.nn.{linear}\ndiagram f : [m] -> [m] = linear[m -> m]^2",
    ),
}


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_equal_up_to_structure(pair: tuple[str, str]) -> None:
    assert compared(*pair) is None


DIFFERENT = {
    "thirds": (
        "diagram f(A: [a]) -> [a] { return A / 3 }",
        "diagram f(A: [a]) -> [a] { return A * 0.3333333333333333 }",
        "they read different arrays",
    ),
    "another function": (
        "diagram f(X: [a]) -> [a] { return exp(X) }",
        "diagram f(X: [a]) -> [a] { return tanh(X) }",
        "the operations differ",
    ),
    "a transposed result": (
        "axis a = 3\naxis b = 3\ndiagram f(X: [a b]) -> [a b] { return Y[a b] = X[a b] }",
        "axis a = 3\naxis b = 3\ndiagram f(X: [a b]) -> [a b] { return Y[a b] = X[b + 0, a + 0] }",
        "its axes at other places",
    ),
    "another place": (
        "diagram f(X: [a]) -> [a] { return Y[a] = exp(X[a]) }",
        "diagram f(X: [a]) -> [a] { return Y[a] = exp(X[size(a) - 1 - a]) }",
        "read `X` at different places",
    ),
    "another sum": (
        "diagram f(X: [a b]) -> [] { return sum[a b](X) }",
        "diagram f(X: [a b]) -> [] { return sum[a b](X) + 1 }",
        "the operations differ",
    ),
    "types": (
        "diagram f(X: [a b]) -> [a] { return sum[b](X) }",
        "diagram f(X: [a]) -> [a] { return X }",
        "the types of input 1 differ",
    ),
    "draws of chance": (
        (
            "use std.nn.{dropout}\n"
            "diagram f(X: [a]) -> [a] { return dropout[0.5](X) + dropout[0.5](X) }"
        ),
        "use std.nn.{dropout}\ndiagram f(X: [a]) -> [a] {\n D = dropout[0.5](X)\n return D + D }",
        "different draws",
    ),
    "initial values": (
        "diagram f(X: [a]) -> [a] { learn W: [a] ~ ones\n return W * X }",
        "diagram f(X: [a]) -> [a] { learn W: [a] ~ zeros\n return W * X }",
        "the operations differ",
    ),
    "a product of other factors": (
        "diagram f(X: [a], Z: [a]) -> [a] { return X * Z }",
        "diagram f(X: [a], Z: [a]) -> [a] { return X * Z * Z }",
        "they read 2 and 3 arrays",
    ),
    "which input": (
        "diagram f(X: [a], Z: [a]) -> [a] { return X - Z }",
        "diagram f(X: [a], Z: [a]) -> [a] { return Z - X }",
        "the operations differ",
    ),
    "a mask": (
        ATTENTION,
        ATTENTION.replace("softmax[x](S)", "softmax[x](M)").replace(
            "  P  ", "  M[h q x] = where(x <= q, S[h q x], -inf)\n  P  "
        ),
        "the operations differ",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT.values(), ids=DIFFERENT)
def test_differences_are_named(case: tuple[str, str, str]) -> None:
    left, right, message = case
    found = compared(left, right)
    assert found is not None
    assert message in found.message


def test_a_difference_has_its_places() -> None:
    found = compared(ATTENTION, ATTENTION.replace("sqrt(size(k))", "size(k)"))
    assert found is not None
    assert (found.left.span.line, found.right.span.line) == (3, 3)
    assert "sqrt" in found.left.text
    assert "sqrt" not in found.right.text


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_names_do_not_matter(seed: int) -> None:
    """All axes and wires of a random diagram renamed, its statements where they can stand."""
    text = Author(Random(seed)).write()
    other = re.sub(r"\b([XYP]\d*|R|I|n\d+|[abc])\b", r"new_\1", text)
    left, right = checked(text)[0], checked(other)[0]
    assert left is not None
    assert right is not None
    assert normal_form(lower(left)).digest == normal_form(lower(right)).digest


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_structural_rewrites_keep_the_normal_form(seed: int) -> None:
    diagram = random_diagram(seed)
    assert diagram is not None
    graph = opened(lower(diagram))
    before = normal_form(graph)
    for rule in (DEAD_WIRES, COMMON_SUBTERMS, MERGE_REINDEXINGS, FOLD_REINDEXING, UNFOLD):
        assert normal_form(rewrite(graph, rule).graph).outputs == before.outputs, rule.name


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_equal_normal_forms_mean_equal_values(seed: int) -> None:
    """A function is replaced by another: either the results stay, or the normal form changes."""
    text = Author(Random(seed)).write()
    for old, new in (("tanh", "sin"), (" + ", " - "), ("sum[", "max["), ("size(a) - 1 - ", "")):
        left, right = checked(text)[0], checked(text.replace(old, new, 1))[0]
        if left is None or right is None:
            continue
        graphs = opened(lower(left)), opened(lower(right))
        drawn = sample(graphs[0], seed)
        if drawn is not None and not same(drawn.values(graphs[0]), drawn.values(graphs[1])):
            assert difference(lower(left), lower(right)) is not None


def test_random_operations_are_kept_apart() -> None:
    text = """
    use std.nn.{dropout}
    diagram f(X: [a]) -> [a] { return dropout[0.5](X) + dropout[0.5](X) }
    """
    nodes = normal_form(lower(program(text).diagrams[-1])).nodes()
    assert sum(node.is_random for node in nodes) == 2


# ---- speed -------------------------------------------------------------------------------------


def long_program(lines: int) -> str:
    body = ["  Y0 = X"]
    for i in range(lines // 2):
        body.append(f"  Z{i}[a c] = Y{i}[a b] * W[b c] + {i}")
        body.append(f"  Y{i + 1}[a b] = exp(Z{i}[a c] * V[c b]) + Y{i}[a b]")
    text = "\n".join([*body, f"  return Y{lines // 2}"])
    return f"diagram f(X: [a b], W: [b c], V: [c b]) -> [a b] {{\n{text}\n}}\n"


def long_sum(count: int) -> str:
    lines = [f"  Y{i + 1} = Y{i} {'+-'[i % 2]} sin({i} * X)" for i in range(count)]
    body = "\n".join(["  Y0 = X", *lines, f"  return Y{count}"])
    return f"diagram f(X: [a]) -> [a] {{\n{body}\n}}"


@pytest.mark.parametrize(
    ("text", "size", "operations"), [(long_program, 336, 1000), (long_sum, 250, 500)]
)
def test_the_normal_form_is_fast(text: Callable[[int], str], size: int, operations: int) -> None:
    """It takes at most two seconds, and four times the size at most eight times as long."""
    small, large = (lower(program(text(n)).diagrams[-1]) for n in (size, 4 * size))
    assert len(small.edges) >= operations
    assert len(large.edges) > 3.9 * len(small.edges)

    def taken(graph: Graph) -> float:
        return min(processor_seconds(lambda: normal_form(graph)) for _ in range(3))

    normal_form(small)
    passed, seen = within(2, lambda: taken(small))
    assert passed, seen
    passed, seen = within(8, lambda: taken(large) / taken(small))
    assert passed, seen
