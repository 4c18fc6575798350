"""Declared wires: their steps, their values by definition, the scatterings they are lowered to.

What is no such equation is in `suite/scatter.ncd`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_definition import diagram, equal, normal, result

from ncdlang.ir.diagram import Pointwise, Scattering
from ncdlang.ir.lower import lower
from ncdlang.semantics.program import CheckedDiagram, Define, Scatter

ROWS = """
    diagram f(I: N(v)[n], U: [n d], Z: [v]) -> [v d] {
      Y: [v d]
      Y[I[n], d] += U[n d]
      return Y
    }
"""
CHOSEN = np.array([0, 2, 2, 4, 4, 4, 0])


def chosen(op: str) -> str:
    """Entries of X combined at the places that I says."""
    return f"""
        diagram f(X: [n], I: N(v)[n], Z: [v]) -> [v] {{
          Y: [v]
          Y[I[n]] {op} X[n]
          return Y
        }}
    """


def scatter_of(checked: CheckedDiagram) -> Scatter:
    (found,) = [step for step in checked.steps if isinstance(step, Scatter)]
    return found


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "function", "identity"),
    [
        ("+=", np.add, 0),
        ("*=", np.multiply, 1),
        ("max=", np.maximum, -np.inf),
        ("min=", np.minimum, np.inf),
    ],
)
def test_sources_combine_and_nothing_is_the_identity(op, function, identity) -> None:
    x = normal(7)
    expected = np.full(5, float(identity))
    function.at(expected, CHOSEN, x)
    equal(result(chosen(op), x, CHOSEN, np.zeros(5)), expected)
    equal(result(chosen(op), np.zeros(0), np.zeros(0, int), np.zeros(2)), [identity] * 2)


def test_rows_and_leading_axes() -> None:
    u = normal(3, 7, 2)
    found = result(ROWS, CHOSEN, u, np.zeros(5))
    assert found.shape == (3, 5, 2)
    for one in range(3):
        expected = np.zeros((5, 2))
        np.add.at(expected, CHOSEN, u[one])
        equal(found[one], expected)


def test_equations_apply_in_order() -> None:
    text = """
        diagram f(X: [n], I: N(v)[n], Z: [v]) -> [v] {
          Y: [v]
          Y[v] = Z[v]
          Y[I[n]] += X[n]
          Y[v] *= 2
          Y[v] max= 0
          return Y
        }
    """
    x, z = normal(7), normal(5, seed=1)
    expected = z.copy()
    np.add.at(expected, CHOSEN, x)
    equal(result(text, x, CHOSEN, z), np.maximum(2 * expected, 0))


def test_a_gather_out_of_range_is_an_error() -> None:
    shifted = chosen("+=").replace("I[n]]", "I[n] + 1]")
    with pytest.raises(ValueError, match=r"index `I\[n\] \+ 1` is 5 at n = 3, but axis `v` of `Y`"):
        result(shifted, normal(7), CHOSEN, np.zeros(5))
    with pytest.raises(ValueError, match=r"index `I\[n\]` is 4"):
        result(chosen("+="), normal(7), CHOSEN, np.zeros(4))


def test_transposed_convolution() -> None:
    text = """
        diagram f(X: [x c], W: [c d j]) -> [z d] {
          axis z = 2 * (size(x) - 1) + size(j)
          Z: [z d]
          Z[2*x + j, d] += X[x c] * W[c d j]
          return Z
        }
    """
    x, w = normal(4, 3), normal(3, 2, 3, seed=1)
    expected = np.zeros((9, 2))
    for position in range(4):
        expected[2 * position : 2 * position + 3] += np.einsum("c,cdj->jd", x[position], w)
    equal(result(text, x, w), expected)


def body(lines: str, signature: str) -> str:
    return f"diagram f{signature} {{\n{lines}\n return Y }}"


PLAIN: dict[str, tuple[str, Callable[[np.ndarray], object]]] = {
    "flip": (
        body("Y: [n]\n Y[size(n) - 1 - n] = X[n]", "(X: [n]) -> [n]"),
        lambda x: x[::-1],
    ),
    "quotient and rest": (
        body(
            "axis b = 4\n axis a = (size(n) + 3) // 4\n Y: [a b]\n Y[n // 4, n % 4] = X[n]",
            "(X: [n]) -> [a b]",
        ),
        lambda x: np.append(x, [0]).reshape(2, 4),
    ),
    "even and odd": (
        body(
            "axis m = 2 * size(n)\n Y: [m]\n Y[2*n] = X[n]\n Y[2*n + 1] = -X[n]",
            "(X: [n]) -> [m]",
        ),
        lambda x: np.stack([x, -x], 1).ravel(),
    ),
    "tiles": (
        body(
            "axis m = 3 * size(n)\n axis w = 3\n Y: [m]\n Y[3*n + w] = X[n] * w", "(X: [n]) -> [m]"
        ),
        lambda x: np.outer(x, [0, 1, 2]).ravel(),
    ),
    "diagonal": (
        body("axis m = size(n)\n Y: [n m]\n Y[n, n] = X[n]", "(X: [n]) -> [n m]"),
        lambda x: np.diag(x),
    ),
    "one place": (
        body("axis m = 3\n Y: [m n]\n Y[1, n] = X[n]", "(X: [n]) -> [m n]"),
        lambda x: np.stack([0 * x, x, 0 * x]),
    ),
    "remainder": (
        body("axis m = 4\n Y: [m]\n Y[n % 4] += X[n]", "(X: [n]) -> [m]"),
        lambda x: [x[0] + x[4], x[1] + x[5], x[2] + x[6], x[3]],
    ),
    "masked reads": (
        body(
            "axis m = size(n) + 1\n Y: [m]\n Y[n + 1] += where(n > 0, X[n - 1], 0)",
            "(X: [n]) -> [m]",
        ),
        lambda x: [0, 0, *x[:-1]],
    ),
    "bare": (body("Y: [n]\n Y = X\n Y += X", "(X: [n]) -> [n]"), lambda x: 2 * x),
    "a call": (
        body("Y: [n]\n Y[n] = cumsum[n](X)\n Y += 1", "(X: [n]) -> [n]"),
        lambda x: x.cumsum() + 1,
    ),
    "composite": (
        body("axis k = 2\n Y: [(n k)]\n Y[(n k)] = X[n] + k", "(X: [n]) -> [(n k)]"),
        lambda x: (x[:, None] + [0, 1]).ravel(),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_places(name: str) -> None:
    text, expected = PLAIN[name]
    x = normal(7)
    equal(result(text, x), expected(x))


def test_an_index_may_be_read_from_an_array_of_places() -> None:
    text = """
        diagram f(X: [n], P: N(q)[n], Q: N(v)[q], Z: [v]) -> [v] {
          Y: [v]
          Y[Q[P[n]]] += X[n]
          return Y
        }
    """
    x, p, q = normal(4), np.array([0, 2, 1, 0]), np.array([3, 1, 3])
    expected = np.zeros(5)
    np.add.at(expected, q[p], x)
    equal(result(text, x, p, q, np.zeros(5)), expected)


def test_naturals() -> None:
    counts = """
        diagram f[c](I: N(v)[n], Z: [v]) -> N(c)[v] {
          Y: N(c)[v]
          Y[I[n]] += 1
          return Y
        }
    """
    found = result(counts, CHOSEN, np.zeros(5), sizes={"c": 9})
    assert found.dtype == np.int64
    assert found.tolist() == [2, 0, 2, 0, 3]
    with pytest.raises(ValueError, match="would hold 3, but its entries are below 3"):
        result(counts, CHOSEN, np.zeros(5), sizes={"c": 3})
    places = """
        diagram f(I: N(v)[n], Z: [v]) -> N(n)[v] {
          Y: N(n)[v]
          Y[I[n]] OP n
          return Y
        }
    """
    last = result(places.replace("OP", "max="), CHOSEN, np.zeros(5))
    assert last.tolist() == [6, 0, 2, 0, 5]
    first = result(places.replace("OP", "min="), CHOSEN, np.zeros(5))
    assert first.tolist() == [0, 6, 1, 6, 3]


def test_truth_values_complex_numbers_and_formats() -> None:
    placed = body("axis m = 2 * size(n)\n Y: B[m]\n Y[2*n] = X[n]", "(X: B[n]) -> B[m]")
    assert result(placed, [True, True]).tolist() == [True, False, True, False]
    x = normal(7) + 1j * normal(7, seed=1)
    summed = chosen("+=").replace("X: [n]", "X: C[n]").replace(": [v]\n", ": C[v]\n")
    expected = np.zeros(5, complex)
    np.add.at(expected, CHOSEN, x)
    equal(result(summed.replace("-> [v]", "-> C[v]"), x, CHOSEN, np.zeros(5)), expected)
    short = body("Y: bf16[n]\n Y[n] = X[n]", "(X: [n]) -> bf16[n]")
    assert result(short, [1.01]).tolist() == [1.0078125]


# ---- steps --------------------------------------------------------------------------------------


def test_the_writes_of_a_wire_are_one_step_after_what_they_read() -> None:
    text = """
        diagram f(X: [n], I: N(v)[n], Z: [v]) -> [v] {
          Y: [v]
          Y[v] = Z[v]
          W = exp(X)
          Y[I[n]] += W[n]
          return Y
        }
    """
    checked = diagram(text)
    assert [type(step) for step in checked.steps] == [Define, Scatter]
    step = scatter_of(checked)
    assert [write.op for write in step.writes] == ["=", "+="]
    assert [[axis.name for axis in write.axes] for write in step.writes] == [["v"], ["n"]]
    assert [str(i) for write in step.writes for i in write.indices] == ["v", "I[n]"]
    assert str(step.wire) == "Y: [v]"


def test_sizes_of_naturals_are_required_to_fit() -> None:
    text = """
        diagram f(I: N(w)[n], J: N(v)[n]) -> N(v)[n] {
          Y: N(v)[n]
          Y[n] = I[n]
          return Y
        }
    """
    (required,) = diagram(text).requirements
    assert (str(required.left), required.op, str(required.right)) == ("size(w)", "<=", "size(v)")


# ---- scatterings --------------------------------------------------------------------------------


def test_each_write_is_one_operation() -> None:
    text = """
        diagram f(X: [n], I: N(v)[n], Z: [v]) -> [v] {
          Y: [v]
          Y[v] = Z[v]
          Y[I[n]] += exp(X[n])
          return Y
        }
    """
    first, exponential, second = lower(diagram(text)).edges
    assert isinstance(exponential.operator, Pointwise)
    assert isinstance(first.operator, Scattering)
    assert isinstance(second.operator, Scattering)
    assert (first.operator.op, first.operator.is_first) == ("=", True)
    assert (second.operator.op, second.operator.is_first) == ("+=", False)
    assert [operand.wire.name for operand in first.inputs] == ["Z"]
    source, into, places = second.inputs
    assert source.wire is exponential.outputs[0].wire
    assert source.reindexing == (second.operator.indices[0].terms[0][0].indices[0],)  # type: ignore[union-attr]
    assert into.wire is first.outputs[0].wire
    assert into.weave == (True,)
    assert places.wire.name == "I"
    assert [axis.name for axis in second.degree] == ["n"]
    assert second.outputs[0].weave == (True,)
    assert second.outputs[0].wire.name == "Y"


def test_a_source_that_repeats_lacks_an_axis_of_the_degree() -> None:
    text = body("axis j = 3\n axis m = 5\n Y: [m]\n Y[j + 1] += X", "(X: []) -> [m]")
    (edge,) = lower(diagram(text)).edges
    assert [axis.name for axis in edge.degree] == ["j"]
    assert edge.inputs[0].reindexing == ()
    equal(result(text, 2.0), [0, 2, 2, 2, 0])
