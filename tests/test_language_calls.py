"""What the description of the language says of diagrams, calls and composition (6)."""

from __future__ import annotations

import pytest
import torch
from checked import calls, free, lifted
from claims import both, checks, diagram, error, returns, types, value

# ---- brackets -------------------------------------------------------------------------------

SPREAD = "diagram g[h, const p = 2](A: [i]) -> [i h] { return Y[i h] = p * A[i] }\n"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("g[h = 3](A)", [[2.0] * 3]),
        ("g[heads](A)", [[2.0] * 4]),
        ("g[h = heads](A)", [[2.0] * 4]),
        ("g[3, 5](A)", [[5.0] * 3]),
        ("g[3, p = 5](A)", [[5.0] * 3]),
    ],
)
def test_brackets_bind_by_name_and_in_order(call: str, wanted: list[list[float]]) -> None:
    of = "heads" if "heads" in call else "r"
    text = f"{SPREAD}diagram f[heads = 4](A: [i]) -> [i {of}] {{ return {call} }}"
    assert value(text, [1.0]).tolist() == wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nn", "dropout[0.1](X)"),
        ("nn", "rms_norm[m, eps = 1e-5](X)"),
        ("nn", "linear[m -> h k](X)"),
    ],
)
def test_settings_of_the_library(name: str, text: str) -> None:
    used = text.partition("[")[0]
    result = "[n h k]" if used == "linear" else "[n m]"
    head = f"use std.{name}.{{{used}}}\ndiagram f[h = 2, k = 3](X: [n m]) -> {result}"
    value(f"{head} {{ return {text} }}", torch.randn(2, 4, dtype=torch.float64), sizes={"m": 4})


def test_a_free_axis_that_is_left_unbound_becomes_the_callers_own() -> None:
    text = SPREAD + "diagram f(A: [i]) -> [i h] { return g(A) }"
    assert free(diagram(text)) == ["h"]
    error(SPREAD + "diagram f(A: [h], B: [i]) -> [i h] { return g(B) }", "NCD4008", "h = h")


def test_the_source_of_a_point_free_diagram_is_stage_0() -> None:
    text = "diagram f : ([q k], [x k]) -> [q x] = einsum[q k, x k -> q x]"
    assert value(text, [[1.0, 2.0]], [[3.0, 4.0]]).tolist() == [[11.0]]


def test_a_target_is_found_by_name_wherever_it_stands() -> None:
    given = torch.randn(2, 3, 4, dtype=torch.float64)
    text = "diagram f(X: [a b c]) -> [a b c] { return softmax[b](X) }"
    torch.testing.assert_close(value(text, given), torch.softmax(given, 1))
    checks(
        """diagram g(Q: [q k], K: [x k]) -> [q x] { return S[q x] = Q[q k] * K[x k] }
        diagram f(A: [k n]) -> [n n'] { return g[q = n, x = n, k = k](A, A) }"""
    )


# ---- arguments and lifting ------------------------------------------------------------------


def test_formals_match_trailing_axes_and_further_axes_are_lifted() -> None:
    text = """diagram g(A: [x y], B: [y]) -> [x] { return C[x] = A[x y] * B[y] }
    diagram f(A: [b c n m], B: [b m]) -> [b c n] { return g(A, B) }"""
    (call,) = calls(diagram(text))
    assert lifted(call) == "b c"
    a, b = torch.randn(2, 3, 4, 5).double(), torch.randn(2, 5).double()
    torch.testing.assert_close(value(text, a, b), torch.einsum("bcnm,bm->bcn", a, b))


def test_a_lifted_axis_with_the_name_of_a_formal_axis_of_the_argument() -> None:
    text = "diagram g(A: [x]) -> [x] {{ return 2 * A }}\n"
    text += "diagram f(A: [x y]) -> [x y] {{ return g{}(A) }}"
    error(text.format(""), "NCD4004", "x")
    checks(text.format("[x = x]"))


def test_python_lifts_leading_axes_by_position_aligned_from_the_right() -> None:
    text = "diagram f(A: [x], B: [y]) -> [x y] { return C[x y] = A[x] * B[y] }"
    a, b = torch.randn(2, 3, 4).double(), torch.randn(3, 5).double()
    torch.testing.assert_close(value(text, a, b), torch.einsum("abx,by->abxy", a, b))


def test_formal_axes_stay_distinct_inside_the_callee() -> None:
    text = """use std.attention.{dense_attention}
    diagram f(X: [n h k]) -> [n h k] { return dense_attention(X, X, X) }"""
    assert types(text)["return"] == "[n h k]"
    given = torch.randn(3, 1, 2).double()
    weights = torch.softmax(given[:, 0] @ given[:, 0].T / 2**0.5, -1)
    torch.testing.assert_close(value(text, given)[:, 0], weights @ given[:, 0])


def test_one_formal_axis_bound_to_two_takes_the_first_and_records_the_equation() -> None:
    text = """diagram g(A: [x], B: [x]) -> [x] { return A + B }
    diagram f(A: [i], B: [j]) -> [i] { return g(A, B) }"""
    checked = diagram(text)
    assert [f"{r.left} {r.op} {r.right}" for r in checked.requirements] == ["size(i) == size(j)"]
    error(f"axis i = 2\naxis j = 3\n{text}", "NCD3001")


# ---- axes of a result -----------------------------------------------------------------------


def test_lifted_axes_come_first_then_the_results_own() -> None:
    text = """diagram g(A: [x], B: [y]) -> [y x] { return C[y x] = A[x] * B[y] }
    diagram f(A: [b m], B: [c n]) -> [b c n m] { return g(A, B) }"""
    assert types(text)["return"] == "[b c n m]"


def test_axes_stay_where_the_result_has_the_first_formals_axes() -> None:
    text = """use std.nn.{rms_norm, layer_norm, linear}
    use std.position.{rotary}
    diagram f[h = 2, k = 3](X: [a m b]) -> ([a m b], [a m b], [a m b], [a m b], [a h k b]) {
      N = rms_norm[m](X)
      return softmax[m](X), N, layer_norm[m](X), rotary[a, m](X), linear[m -> h k](X)
    }"""
    checks(text)


def test_a_bound_result_axis_has_the_callers_name_and_others_are_derived() -> None:
    text = """diagram g(X: [x]) -> [y x] { axis y = 2\n return Y[y x] = X[x] }
    diagram f(A: [n]) -> [z n] { B = g(A)\n return C[z n] = B[z n] + 1 }"""
    assert value(text, [1.0]).tolist() == [[2.0], [2.0]]
    derived = text.replace("C[z n] = B[z n] + 1", "C[n] = sum[n](A * B)")
    error(derived, "NCD2009")


def test_names_on_the_left_name_derived_axes_in_order() -> None:
    text = "diagram f(X: [x c]) -> [z c] { P[z c] = pad[x, 1, 1](X)\n return P }"
    assert value(text, [[1.0, 2.0]]).tolist() == [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]
    text = "axis x = 3\naxis z = {}\n" + text.replace("{", "{{").replace("}", "}}")
    checks(text.format(5))
    error(text.format(6), "NCD3001")


def test_a_wire_with_a_derived_axis_is_indexed_by_position() -> None:
    text = "diagram f(X: [x c]) -> [z c] { P = pad[x, 1, 1](X)\n return Y[z c] = P[c, z] }"
    assert value(text, [[1.0, 2.0]]).tolist() == [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]


# ---- pipelines ------------------------------------------------------------------------------

ADD = "diagram double(X: [i]) -> [i] { return 2 * X }\n"
ADD += "diagram inc(X: [i]) -> [i] { return X + 1 }\n"
ADD += "diagram add(A: [i], B: [i]) -> [i] { return A + B }\n"


@pytest.mark.parametrize(
    ("pipeline", "wanted"),
    [
        ("double >> inc", 7.0),
        ("inc >> double", 8.0),
        ("inc^3", 6.0),
        ("double^3 >> inc", 25.0),
        ("id + inc", 7.0),
        ("id + (inc >> double)", 11.0),
        ("inc * double - id", 21.0),
        ("inc / double", 4 / 6),
        ("id", 3.0),
        ("scale[2] >> inc", 7.0),
        ("route[i -> i i] >> (inc | double) >> add", 10.0),
        ("route[i -> i i] >> inc | double >> add", 10.0),
        ("route[i -> i i] >> inc >> add", 7.0),
        ('block "Two" (double >> inc) >> inc', 8.0),
        ("cast[f64] >> inc", 4.0),
    ],
)
def test_pipelines(pipeline: str, wanted: float) -> None:
    held = "f64[i]" if pipeline.startswith("cast") else "[i]"
    text = f"{ADD}diagram f : [i] -> {held} = {pipeline}"
    assert value(text, [3.0]).tolist() == pytest.approx([wanted])


def test_a_pipeline_in_parentheses_is_callable() -> None:
    text = f"{ADD}diagram f(X: [i]) -> [i] {{ return (double >> inc)(X) + (inc^2)(X) }}"
    assert value(text, [3.0]).tolist() == [12.0]


def test_route_copies_drops_and_permutes() -> None:
    text = "diagram f : ([i], [j], [k]) -> ([k], [i], [i]) = route[a b c -> c a a]"
    first, second, third = returns(text, [1.0], [2.0], [3.0])
    assert [first.item(), second.item(), third.item()] == [3.0, 1.0, 1.0]


def test_what_the_next_stage_does_not_take_passes_by_after_its_outputs() -> None:
    text = f"{ADD}diagram f : ([i], [j]) -> ([i], [j]) = double >> inc"
    one, other = returns(text.replace("double >> inc", "(double | id) >> inc"), [3.0], [9.0])
    assert (one.item(), other.item()) == (7.0, 9.0)


def test_missing_leading_axes_are_lifted_in_a_pipeline() -> None:
    text = f"{ADD}diagram f : [b i] -> [b i] = double >> inc"
    assert value(text, [[3.0]]).tolist() == [[7.0]]


def test_stages_agree_in_size() -> None:
    text = """axis p = 2
    axis q = 3
    diagram h(X: [q]) -> [q] { return X }
    diagram f : [p] -> [p] = exp >> h"""
    error(text, "NCD3001")


def test_the_extra_inputs_of_an_iterated_diagram_go_to_every_copy() -> None:
    text = f"{ADD}diagram f : ([i], [i]) -> [i] = add^3"
    assert value(text, [1.0], [10.0]).tolist() == [31.0]


def test_copies_have_parameters_of_their_own() -> None:
    text = """use std.nn.{linear}
    diagram layer(X: [m]) -> [m] { return linear[m -> m](X) }
    diagram f(X: [m]) -> [m] { return (layer^3)(X) }"""
    made, _ = both(text, sizes={"m": 2})
    assert len(list(made.parameters())) == 3


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("2 + 3 * 4 ^ 2", 50.0),
        ("-2 ^ 2 + 8", 4.0),
        ("8 // 3 % 2 * 5", 0.0),
        ("2 ^ -1", 0.5),
        ("10 - 4 - 3", 3.0),
        ("where(not 1 > 2 and 1 + 1 == 2 or 1 > 3, 1, 0)", 1.0),
        ("where(1 < 2 or 1 < 2 and 1 > 2, 1, 0)", 1.0),
    ],
)
def test_precedence(expression: str, wanted: float) -> None:
    text = f"diagram f(X: [i]) -> [i] {{ return X + {expression} }}"
    assert value(text, [0.0]).tolist() == [wanted]


def test_cast_changes_the_format() -> None:
    text = "diagram f(X: [i]) -> bf16[i] { Y = cast[bf16](X)\n return Y }"
    assert types(text)["Y"] == "bf16[i]"


def test_powers_associate_to_the_left_as_they_are_written() -> None:
    for text, wanted in [("(2 ^ 3) ^ 2", 64.0), ("2 ^ (3 ^ 2)", 512.0)]:
        assert value(f"diagram f(X: [i]) -> [i] {{ return X + {text} }}", [0.0]).item() == wanted


# ---- results, blocks, assertions ------------------------------------------------------------


def test_several_results() -> None:
    text = """diagram g(X: [i]) -> ([i], [i]) { return X, 2 * X }
    diagram f(X: [i]) -> ([i], [i]) { A, B = g(X)\n return B, A }"""
    assert [r.item() for r in returns(text, [3.0])] == [6.0, 3.0]


def test_return_is_last_and_in_no_block() -> None:
    error("diagram f(X: [i]) -> [i] { return X\n Y = X }", "NCD2015")
    error('diagram f(X: [i]) -> [i] { block "B" { return X } }', "NCD2015")


def test_a_block_changes_nothing_but_names() -> None:
    text = 'diagram f(X: [i]) -> [i] { block "Core" { Y = 2 * X }\n return Y }'
    assert value(text, [3.0]).tolist() == [6.0]


def test_assertions_are_proved_refuted_or_checked_when_it_runs() -> None:
    text = "diagram f(X: [m h]) -> [m h] { assert size(m) % size(h) == 0\n return X }"
    checks(f"axis m = 6\naxis h = 3\n{text}")
    error(f"axis m = 6\naxis h = 4\n{text}", "NCD3001")
    for module in both(text):
        assert module(torch.ones(4, 2)).shape == (4, 2)
        with pytest.raises(ValueError, match=r"size\(m\)"):
            module(torch.ones(3, 2))
