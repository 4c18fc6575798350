"""Derived axes: named through elementwise functions, and what is said where they are not."""

from __future__ import annotations

import torch
from claims import both, error, types

import ncdlang

CONV = "use std.conv.{conv1d}\n"


def test_names_on_the_left_pass_through_elementwise_functions() -> None:
    text = """
      diagram f(X: [c x]) -> [z c] {
        A[z c] = -relu(leaky_relu[slope = 0.5](pad[x, 1, 2](X)))
        P = pad[x, 2, 1](X)
        B[c z] = P
        C[c z] = exp((P))
        return A + B + C
      }"""
    found = types(text)
    assert (found["A"], found["B"], found["C"]) == ("[z c]", "[c z]", "[c z]")
    X = torch.randn(3, 5, dtype=torch.float64)
    made, judge = both(text)
    left, right = (torch.nn.functional.pad(X, sides) for sides in ((1, 2), (2, 1)))
    wanted = (-left.relu() + right + right.exp()).T
    torch.testing.assert_close(judge(X), wanted)
    torch.testing.assert_close(made(X), wanted)


def test_a_known_name_inside_a_function_is_an_equation_of_sizes() -> None:
    text = "diagram f(X: [c x]) -> [x c] {{ return Y[x c] = relu(pad[x, 1, {}](X)) }}"
    made, judge = both(text.format(-1))
    X = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(made(X), judge(X))
    assert "x" in error(text.format(0), "NCD3001")


def test_a_call_without_derived_axes_in_a_function_repeats_as_before() -> None:
    text = "diagram f(X: [x], Z: [n]) -> [n x] { return Y[n x] = exp(softmax[x](X)) }"
    made, judge = both(text)
    X, Z = torch.randn(3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    torch.testing.assert_close(judge(X, Z), torch.softmax(X, 0).exp().expand(2, 3))
    torch.testing.assert_close(made(X, Z), judge(X, Z))


def test_two_wires_of_axes_without_names_are_to_be_named() -> None:
    text = CONV + "diagram f(X: [x c]) -> [x c] { return relu(X + conv1d[c' = c](X)) }"
    error(text, "NCD2008", "without a name", "name it on the left", "Y[...] = conv1d[c' = c](X)")


def test_a_spelling_is_no_axis_of_the_same_list() -> None:
    text = "diagram f(X: [b x c']) -> [b x' c'] {\n  Z[b x' c'] = X + 1\n  return Z\n}"
    error(text, "NCD2001", "nothing defines `x'`")
    error("diagram f(X: [bb cc]) -> [bb cc] {\n  return Z[bb cd] = X\n}", "NCD2003", "mean `cc`")


def test_a_result_of_the_right_sizes_can_be_renamed() -> None:
    text = "diagram f(X: [x m]) -> [x m] {{\n  Q[q m] = X[q m]\n  return {}\n}}"
    error(text.format("Q"), "NCD2006", "`Q'[x m] = Q[x, m]`")
    assert types(text.format("Q'[x m] = Q[x, m]"))["return"] == "[x m]"


def test_a_size_for_a_setting_says_how_one_number_can_be_both() -> None:
    text = "diagram f(X: [x], W: [j]) -> [z] { return Y[z] = pad[x, size(j), 0](X) }"
    error(text, "NCD3004", "`axis j = n`")


def test_an_axis_without_a_name_is_told_where_it_gets_one() -> None:
    text = """use std.conv.{{conv1d}}
    diagram f(X: [x c]) -> [c] {{
      D = conv1d[c' = c](X)
      return mean[{}](D)
    }}"""
    error(text.format("x"), "NCD2010", "`x'` has no name yet")
    error(text.format("x'"), "NCD2003", "`D[x' c] = ...`")


def test_a_method_is_no_other_name() -> None:
    text = "diagram f(X: [x m]) -> [x] {{ return X.{} }}"
    error(text.format("mean(-1)"), "NCD2001", "write `mean[x](X)`")
    error(text.format("relu()"), "NCD2001", "`relu(X)`")
    error(text.format("transpose(0, 1)"), "NCD2001", "`Y[j i] = X[i j]`")


def test_a_read_with_too_few_indices_is_completed() -> None:
    text = "diagram f(X: [x m], I: N(x)[n]) -> [n m] {{ return Y[n m] = X[{}] }}"
    error(text.format("I"), "NCD2005", "`X[I[n], m]`")
    assert types(text.format("I[n], m"))["return"] == "[n m]"


def test_the_count_of_top_k_may_be_read_off_an_input() -> None:
    text = """
diagram f(X: [n x], Z: [t]) -> [n t] {
  V[n t], I[n t] = top_k[x, t](X)
  return Y[n t] = V[n t] * Z[t]
}
"""
    generator = torch.Generator().manual_seed(0)
    X, Z = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((2, 5), (3,)))
    library = ncdlang.loads(text)
    wanted = torch.topk(X, 3).values * Z
    for backend in ("torch", "reference"):
        torch.testing.assert_close(library.module("f", backend=backend, dtype="f64")(X, Z), wanted)
