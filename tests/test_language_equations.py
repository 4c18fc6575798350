"""What the description of the language says of equations (5)."""

from __future__ import annotations

import pytest
import torch
from checked import messages
from claims import both, checks, error, returns, types, value

import ncdlang

INF = float("inf")


# ---- expressions ----------------------------------------------------------------------------


def test_an_equation_defines_a_wire_once() -> None:
    error("diagram f(X: [i]) -> [i] { Y = X\n Y = 2 * X\n return Y }", "NCD2002")


def test_a_plain_name_has_the_size_of_the_axis_and_other_indices_stay_inside() -> None:
    text = "axis n = 2\naxis p = 5\ndiagram f(P: [p m]) -> [n m] {{ return Y[n m] = P[{}, m] }}"
    error(text.format("n"), "NCD3001")
    given = torch.arange(10.0).reshape(5, 2)
    assert value(text.format("n + 0"), given).tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_a_bare_wire_has_its_own_axes() -> None:
    text = "diagram f(A: [i j], B: [j]) -> [i] { return Y[i] = A * B }"
    assert value(text, [[1.0, 2.0]], [3.0, 4.0]).tolist() == [11.0]


def test_axes_are_matched_by_name() -> None:
    text = "diagram f(A: [i j], B: [j i]) -> [i j] { return A - B }"
    given = torch.arange(6.0).reshape(2, 3)
    assert value(text, given, given.T.contiguous()).abs().sum() == 0


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("A ^ 2 / B - A", [-0.5, -1.0]),
        ("where(A < B and not (A == 1 or B > 100), max(A, B), min(A, B))", [1.0, 4.0]),
        ("exp(A) * 0 + relu(-A) + abs(-B)", [2.0, 4.0]),
    ],
)
def test_operators_act_per_index(expression: str, wanted: list[float]) -> None:
    text = f"diagram f(A: [i], B: [i]) -> [i] {{ return {expression} }}"
    assert value(text, [1.0, 2.0], [2.0, 4.0]).tolist() == wanted


# ---- contraction ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("A[i j] * B[j]", 1 * 3 + 2 * 4),  # over the product
        ("A[i j] / B[j]", 1 / 3 + 2 / 4),  # joined by `/`
        ("A[i j] * B[j] + C[i]", 11 + 10),  # over the innermost product term
        ("(A[i j] * B[j]) * B[j]", 1 * 9 + 2 * 16),  # a product in parentheses is part of it
        ("exp(A[i j] * B[j] * 0)", 1),  # contracted inside a function
        ("relu(A[i j] * B[j])", 11),
        ("2 * (A[i j] * B[j] + C[i])", 42),  # any other parenthesis is one factor
        ("A[i j] * sum[j](B[j]) * B[j]", 11 * 7),  # a bracket binds its own
        ("sum[j](A[i j] * B[j])", 11),
    ],
)
def test_what_is_contracted(expression: str, wanted: float) -> None:
    text = f"diagram f(A: [i j], B: [j], C: [i]) -> [i] {{ return Y[i] = {expression} }}"
    assert value(text, [[1.0, 2.0]], [3.0, 4.0], [10.0]).tolist() == pytest.approx([wanted])


@pytest.mark.parametrize(
    "expression",
    ["A[i j]", "(A[i j] + 1) * C[i]", "A[i j] + B[j]", "A[i j] * C[i]", "exp(A[i j]) * C[i]"],
)
def test_an_axis_in_one_factor_is_an_error(expression: str) -> None:
    text = f"diagram f(A: [i j], B: [j], C: [i]) -> [i] {{ return Y[i] = {expression} }}"
    found = messages(text)
    assert found
    assert all(each.startswith("NCD2004") for each in found)


def test_the_error_suggests_a_sum() -> None:
    error("diagram f(A: [i j]) -> [i] { return Y[i] = A[i j] }", "NCD2004", "sum[j]")


@pytest.mark.parametrize(
    "body",
    [
        "C = A * B\n return A",
        "return A * B",
        "C[i k] = softmax[j](A * B)\n return A",
        "learn L: linear[j -> k]\n C = L(A * B)\n return A",
    ],
)
def test_nothing_is_contracted_without_stated_axes(body: str) -> None:
    text = f"use std.nn.{{linear}}\ndiagram f(A: [i j], B: [j k]) -> [i j] {{ {body} }}"
    assert messages(text)[0].startswith("NCD2008")


def test_the_first_array_with_all_axes_gives_the_order() -> None:
    text = "diagram f(A: [j], B: [i j], C: [j i]) -> [i j] { D = k(A * B) + C\n return D }"
    text = text.replace("k(A * B)", "(A * B)")
    assert types(text)["D"] == "[i j]"
    assert types("diagram f(B: [i j]) -> [i j] { return D = j + i * B }")["D"] == "[i j]"


# ---- reductions and targets -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sum", 5.0),
        ("max", 3.0),
        ("min", 0.0),
        ("mean", 1.25),
        ("prod", 0.0),
        ("argmax", 1),
        ("argmin", 2),
        ("norm", 11**0.5),
        ("logsumexp", 3.2779783696),
    ],
)
def test_reductions(name: str, wanted: float) -> None:
    kind = "N(x)[]" if name.startswith("arg") else "[]"
    text = f"diagram f(X: [x]) -> {kind} {{ return {name}[x](X) }}"
    assert value(text, [1.0, 3.0, 0.0, 1.0]).item() == pytest.approx(wanted)


def test_reductions_of_booleans() -> None:
    text = "diagram f(M: B[i x]) -> (B[i], B[i]) { return any[x](M), all[x](M) }"
    some, every = returns(text, [[True, False], [True, True], [False, False]])
    assert some.tolist() == [True, True, False]
    assert every.tolist() == [False, True, False]


def test_a_reduction_binds_axes_of_its_argument() -> None:
    error("diagram f(A: [i], B: [j]) -> [i] { return Y[i] = sum[j](A[i]) }", "NCD2010")


@pytest.mark.parametrize("name", ["max", "min", "mean", "argmax", "argmin"])
def test_reductions_without_an_identity_need_an_entry(name: str) -> None:
    kind = "N(x)[]" if name.startswith("arg") else "[]"
    text = f"diagram f(X: [x]) -> {kind} {{ return {name}[x](X) }}"
    error(f"axis x = 0\n{text}", "NCD3005")
    for module in both(text):
        with pytest.raises(ValueError, match="x"):
            module(torch.ones(0))


@pytest.mark.parametrize(("name", "identity"), [("sum", 0), ("prod", 1), ("logsumexp", -INF)])
def test_reductions_with_an_identity_have_it_of_nothing(name: str, identity: float) -> None:
    assert value(f"diagram f(X: [x]) -> [] {{ return {name}[x](X) }}", []).item() == identity


def test_operators_with_targets_keep_them_and_broadcast_the_rest() -> None:
    text = "diagram f(X: [b x c]) -> [b x c] { return softmax[x](X) }"
    given = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(value(text, given), torch.softmax(given, 1))
    for name, wanted in [("cumsum", given.cumsum(1)), ("sort", given.sort(1).values)]:
        torch.testing.assert_close(value(text.replace("softmax", name), given), wanted)


def test_softmax_of_a_row_of_only_minus_inf_is_0() -> None:
    text = "diagram f(X: [q x]) -> [q x] { return softmax[x](X) }"
    assert value(text, [[-INF, -INF], [0.0, -INF]]).tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_operators_may_return_new_axes() -> None:
    text = """diagram f[t = 2](G: [n e]) -> ([n t], N(e)[n t]) {
      V[n t], I[n t] = top_k[e, 2](G)
      return V, I
    }"""
    values, places = returns(text, [[1.0, 3.0, 2.0]])
    assert values.tolist() == [[3.0, 2.0]]
    assert places.tolist() == [[1, 2]]


def test_argmax_gives_naturals_below_the_size() -> None:
    assert types("diagram f(X: [n e]) -> N(e)[n] { I = argmax[e](X)\n return I }")["I"] == "N(e)[n]"


def test_a_diagonal() -> None:
    text = "diagram f(M: [i i']) -> [i] { return D[i] = M[i i] }"
    assert value(text, [[1.0, 2.0], [3.0, 4.0]]).tolist() == [1.0, 4.0]


def test_an_axis_that_the_right_lacks_repeats() -> None:
    text = "diagram f[j = 2](X: [i]) -> [j i] { return Y[j i] = X[i] }"
    assert value(text, [5.0, 6.0]).tolist() == [[5.0, 6.0], [5.0, 6.0]]


def test_an_axis_as_a_number_is_its_index() -> None:
    text = "diagram f(X: [n m]) -> [n m] { return sin(n / 10000^(2 * m / size(m))) + 0 * X }"
    n, m = torch.meshgrid(torch.arange(3.0).double(), torch.arange(4.0).double(), indexing="ij")
    torch.testing.assert_close(value(text, torch.ones(3, 4)), torch.sin(n / 10000 ** (2 * m / 4)))


# ---- reindexing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "size", "wanted"),
    [
        ("2*n + 1", 6, [1, 3, 5]),
        ("size(x) - 1 - n", 3, [2, 1, 0]),
        ("(size(n) - 1) - n", 3, [2, 1, 0]),
        ("n // 2", 3, [0, 0, 1]),
        ("(n + 2) % 3", 3, [2, 0, 1]),
    ],
)
def test_affine_and_quasi_affine_indices(index: str, size: int, wanted: list[int]) -> None:
    text = f"axis x = {size}\ndiagram f(X: [x]) -> [n] {{ axis n = 3\n return Y[n] = X[{index}] }}"
    assert value(text, torch.arange(float(size))).tolist() == wanted


@pytest.mark.parametrize(
    "index", ["n * n", "n ^ 2", "n / 2", "n % size(x)", "0.5 * n", "max(n, 1)"]
)
def test_other_indices(index: str) -> None:
    error(f"diagram f(X: [x], Z: [n]) -> [n] {{ return Y[n] = X[{index}] }}", "NCD3004")


def test_nothing_is_read_out_of_bounds() -> None:
    error("diagram f(X: [x]) -> [x] { return Y[x] = X[x + 1] }", "NCD3002", "reaches")
    error("diagram f(X: [x]) -> [x] { return Y[x] = X[x - 1] }", "NCD3002", "before the start")


def test_padding_is_explicit() -> None:
    text = "diagram f(X: [x]) -> [z] {{ return P[z] = pad[x, 1, 2{}](X) }}"
    assert value(text.format(""), [5.0]).tolist() == [0.0, 5.0, 0.0, 0.0]
    assert value(text.format(", value = -inf"), [5.0]).tolist() == [-INF, 5.0, -INF, -INF]


def test_a_same_convolution_is_pad_and_a_valid_one() -> None:
    text = """diagram f[j = 3](X: [x c]) -> [x c] {
      P[z c] = pad[x, 1, 1](X)
      return Y[x c] = sum[j](P[x + j, c])
    }"""
    assert value(text, [[1.0], [2.0], [3.0]]).tolist() == [[3.0], [6.0], [5.0]]


def test_a_condition_counts_in_its_branch_and_its_negation_in_the_other() -> None:
    text = "diagram f(X: [x]) -> [x] {{ return Y[x] = where({}) }}"
    assert value(text.format("x >= 2, X[x - 2], 0"), [1.0, 2.0, 3.0]).tolist() == [0.0, 0.0, 1.0]
    checks(text.format("x < 2, 0, X[x - 2]"))
    error(text.format("x >= 2, 0, X[x - 2]"), "NCD3002")
    error(text.format("x >= 1, X[x - 2], 0"), "NCD3002")


def test_a_branch_that_is_not_chosen_gives_no_gradient() -> None:
    for module in both("diagram f(r: [i]) -> [i] { return where(r > 0, 1 / r, 0) }"):
        given = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
        result = module(given)
        assert result.tolist() == [0.0, 0.5]
        if result.requires_grad:
            result.sum().backward()
            assert given.grad is not None
            assert given.grad.tolist() == [0.0, -0.25]


def test_concat_joins_axes_of_different_names() -> None:
    text = "diagram f(A: [n c], B: [d n]) -> [n s] { return S[n s] = concat[c, d](A, B) }"
    assert value(text, [[1.0, 2.0]], [[3.0]]).tolist() == [[1.0, 2.0, 3.0]]


# ---- recurrences ----------------------------------------------------------------------------


def test_reads_of_a_cycle_go_strictly_earlier_or_strictly_later() -> None:
    text = "diagram f(X: [t]) -> [t] {{ return H[t] = X[t] + where({}, 0) }}"
    assert value(text.format("t > 0, H[t - 1]"), [1.0, 2.0, 3.0]).tolist() == [1.0, 3.0, 6.0]
    later = text.format("t + 1 < size(t), H[t + 1]")
    assert value(later, [1.0, 2.0, 3.0]).tolist() == [6.0, 5.0, 3.0]
    error(text.format("t > 0, H[t]"), "NCD3008")
    error(text.format("t > 0, H[size(t) - 1 - t]"), "NCD3008")


def test_equations_read_each_other_later_ones_too() -> None:
    text = """diagram f(X: [t]) -> [t] {
      A[t] = X[t] + where(t > 0, B[t - 1], 0)
      B[t] = 2 * A[t]
      return B
    }"""
    assert value(text, [1.0, 1.0, 1.0]).tolist() == [2.0, 6.0, 14.0]


def test_elsewhere_a_wire_is_defined_before_it_is_read() -> None:
    error("diagram f(X: [i]) -> [i] { Y = Z\n Z = X\n return Y }", "NCD2013")


def test_a_call_that_is_lifted_over_the_axis_acts_per_position() -> None:
    text = """use std.nn.{linear}
    diagram f(X: [t d]) -> [t d] {
      learn W: linear[d -> d]
      return H[t d] = tanh(X[t d] + where(t > 0, W(H)[t - 1, d], 0))
    }"""
    value(text, torch.randn(4, 2, dtype=torch.float64), sizes={"d": 2})


# ---- gather and scatter ---------------------------------------------------------------------


def test_an_index_may_be_a_wire_of_naturals() -> None:
    text = "diagram f(E: [v m], tok: N(v)[n]) -> [n m] { return Y[n m] = E[tok[n], m] }"
    assert value(text, [[1.0], [2.0], [3.0]], [2, 0]).tolist() == [[3.0], [1.0]]


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("+=", [0.0, 5.0, 0.0]),
        ("*=", [1.0, 6.0, 1.0]),
        ("max=", [-INF, 3.0, -INF]),
        ("min=", [INF, 2.0, INF]),
    ],
)
def test_scatter_combines_and_the_rest_holds_the_identity(
    operator: str, wanted: list[float]
) -> None:
    text = f"""diagram f[v = 3](U: [n], I: N(v)[n]) -> [v] {{
      Y: [v]
      Y[I[n]] {operator} U[n]
      return Y
    }}"""
    assert value(text, [2.0, 3.0], [1, 1]).tolist() == wanted


def test_equations_of_a_declared_wire_apply_in_order() -> None:
    text = """diagram f(X: [x]) -> [n] {
      axis n = 2 * size(x)
      Y: [n]
      Y[2*x] = X[x]
      Y[2*x + 1] = 2 * X[x]
      Y[x] += 10
      return Y
    }""".replace("Y[x] +=", "Y[x + 0] +=")
    assert value(text, [1.0, 2.0]).tolist() == [11.0, 12.0, 2.0, 4.0]


def test_a_declared_wire_is_read_after_its_last_equation() -> None:
    text = "diagram f(X: [x]) -> [x] { Y: [x]\n Y[x] = X[x]\n Z = 2 * Y\n Y[x] += Z[x]\n return Y }"
    error(text, "NCD2013")


def test_the_transposed_convolution() -> None:
    text = """diagram f[c](G: [x' j c]) -> [x c] {
      axis x = size(x') + size(j) - 1
      Y: [x c]
      Y[x' + j, c] += G[x' j c]
      return Y
    }""".replace("f[c]", "f")
    assert value(text, torch.ones(2, 2, 1)).tolist() == [[1.0], [2.0], [1.0]]


def test_plain_writes_need_a_proof_that_no_two_sources_meet() -> None:
    text = """diagram f(U: [n]) -> [v] {{
      axis v = 2 * size(n)
      Y: [v]
      Y[{}] = U[n]
      return Y
    }}"""
    assert value(text.format("2*n + 1"), [1.0, 2.0]).tolist() == [0.0, 1.0, 0.0, 2.0]
    error(text.format("n // 2"), "NCD3007", "n = 0", "n = 1", "+=")


def test_two_plain_equations_write_disjoint_places() -> None:
    text = """diagram f(U: [n]) -> [v] {
      axis v = 2 * size(n)
      Y: [v]
      Y[2*n] = U[n]
      Y[n + 0] = U[n]
      return Y
    }"""
    error(text, "NCD3007")


def test_values_of_the_whole_page_are_torch_modules() -> None:
    made = ncdlang.loads("diagram f(X: [i]) -> [i] { return X }").module()
    assert isinstance(made, torch.nn.Module)
