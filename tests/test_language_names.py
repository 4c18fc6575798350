"""What the description of the language says of files, words, axes, sizes and types (1 to 4)."""

from __future__ import annotations

import pytest
import torch
from checked import messages, requirements, sizes
from claims import both, checks, diagram, error, types, value
from syntax_texts import ROOT

import ncdlang
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

BLOCKS = ROOT / "tests" / "data" / "language"


def block(name: str) -> str:
    return (BLOCKS / f"{name}.ncd").read_text(encoding="utf-8")


# ---- 1. A first file ------------------------------------------------------------------------

SIZES = {"q": 5, "x": 5, "h": 2, "k": 3, "m": 4}


@pytest.mark.parametrize(
    ("name", "of", "shapes"),
    [
        ("attention", "attention", [(5, 2, 3)] * 3),
        ("attention", "causal_attention", [(5, 2, 3)] * 3),
        ("attention", "multi_head", [(5, 4)]),
        ("point_free", "attention_core", [(5, 2, 3)] * 3),
        ("reindexing", "conv1d", [(7, 2)]),
        ("reindexing", "transpose", [(2, 3)]),
        ("reindexing", "diagonal", [(3, 3)]),
        ("reindexing", "windows", [(11,)]),
        ("reindexing", "merge_heads", [(2, 3, 4)]),
        ("reindexing", "upsample", [(3, 2)]),
        ("recurrence", "ssm", [(6, 2), (6, 2), (2,)]),
    ],
)
def test_every_example_of_the_page_is_built(
    name: str, of: str, shapes: list[tuple[int, ...]]
) -> None:
    given = {"h": 2, "k": 3, "m": 4} if of == "multi_head" else {}
    given |= {"c'": 3, "c": 2} if of == "conv1d" else {}
    arrays = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    value(block(name), *arrays, name=of, sizes=given)


def test_both_forms_of_attention_are_the_same() -> None:
    arrays = [torch.randn(5, 2, 3, dtype=torch.float64) for _ in range(3)]
    one = value(block("attention"), *arrays, name="attention")
    torch.testing.assert_close(value(block("point_free"), *arrays), one)


def test_the_config_of_the_page_gives_sizes() -> None:
    module = ncdlang.loads(block("attention")).module("multi_head", config="small")
    assert module.Lq.weight.shape == (8, 64, 512)


# ---- 2. Lexical rules -----------------------------------------------------------------------


def test_comments_and_documentation() -> None:
    text = "# no\n\n## Two.\n## Three.\ndiagram f(X: []) -> [] { return X }  # no\n"
    (declared,) = parse(Source("t", text)).file.declarations
    assert isinstance(declared, tree.Diagram)
    assert declared.doc == "Two.\nThree."


def test_names_have_primes_digits_and_letters_of_all_scripts() -> None:
    checks("diagram f_1(X': [α n2'']) -> [α n2''] { return X' }")


def test_names_are_compared_after_normalisation() -> None:
    checks("diagram f(X\u00e9: [i]) -> [i] { return 2 * Xe\u0301 }")


@pytest.mark.parametrize(
    "text",
    [
        "diagram f(\n  X: [\n i\n ]) -> [i] { return X }",
        "use std.nn.{\n  linear,\n  affine\n}\ndiagram f(X: [i]) -> [i] { return X }",
        "config a {\n  h = 2\n  k = 3\n}\naxis h, k\ndiagram f(X: [h k]) -> [h k] { return X }",
        "op g: [i] -> [i] {\n  linear\n  random\n}\ndiagram f(X: [i]) -> [i] { return X }",
        "diagram f(X: [i]) -> [i] {\n  return X +\n    X\n}",
        "diagram f(X: [i]) ->\n  [i] {\n  Y =\n    X\n  return Y\n}",
        "diagram f(X: [i]) -> ([i], [i]) {\n  return X,\n    X\n}",
        "diagram f(X: [i]) -> [i] {\n  Y\n    = X\n    * X\n  return Y\n}",
        "diagram f : [i] -> [i]\n  = exp\n    >> relu\n",
        "diagram f : ([i], [i]) -> ([i], [i])\n  = exp\n  | relu\n",
    ],
)
def test_where_a_statement_goes_on(text: str) -> None:
    checks(text)


def test_a_statement_ends_with_its_line() -> None:
    error("diagram f(X: [i]) -> [i] {\n  Y = X Z = X\n  return Y\n}", "NCD1015")


def test_slots_are_separated_by_commas_and_names_by_spaces() -> None:
    assert types("diagram f(X: [a b c]) -> [a] { return Y[a] = sum[c b](X[a, b + 0, c]) }")


KEYWORDS = ["use", "axis", "const", "config", "op", "diagram", "learn", "block", "return"]
KEYWORDS += ["assert", "as", "size", "and", "or", "not"]


@pytest.mark.parametrize("word", KEYWORDS)
def test_keywords_are_no_names_but_parts_of_them(word: str) -> None:
    assert messages(f"diagram f({word}: [i]) -> [i] {{ return X }}")[0].startswith("NCD1016")
    checks(f"diagram f({word}1: [i], {word}': [i]) -> [i] {{ return {word}1 + {word}' }}")


def test_constants_are_built_in() -> None:
    text = "diagram f(X: [i]) -> [i] { return where(X > 0, pi, -inf) }"
    assert value(text, [1.0, -1.0]).tolist() == pytest.approx([torch.pi, -torch.inf])


@pytest.mark.parametrize(
    "body",
    ["i = X\n return i", "X = exp(X)\n return X", "c = X\n return c", "g = X\n return g"],
)
def test_axes_wires_constants_and_diagrams_share_one_namespace(body: str) -> None:
    text = "const c = 1\ndiagram g(X: [i]) -> [i] { return X }\n"
    error(f"{text}diagram f(X: [i]) -> [i] {{ {body} }}", "NCD2002")


def test_a_name_of_the_file_hides_the_prelude() -> None:
    text = """diagram softmax(X: [i]) -> [i] { return 3 * X }
    diagram f(X: [i]) -> [i] { return softmax(X) }"""
    assert value(text, [1.0, 2.0]).tolist() == [3.0, 6.0]


def test_an_underscore_discards() -> None:
    text = """diagram g(X: [i]) -> ([i], [i], [i]) { return X, 2 * X, 3 * X }
    diagram f(X: [i]) -> [i] { _, Y, _ = g(X)\n return Y }"""
    assert value(text, [1.0]).tolist() == [2.0]


def test_a_discarded_wire_can_not_be_read() -> None:
    error("diagram f(X: [i]) -> [i] { _ = X\n return _ }", "NCD2001")


def test_numbers() -> None:
    text = "diagram f(X: [i]) -> [i] { return 3 * X + 0.5 + 1e-6 }"
    assert value(text, [1.0]).item() == pytest.approx(3.500001, abs=1e-12)


# ---- 3. Axes and sizes ----------------------------------------------------------------------


def test_an_axis_of_the_file_is_one_axis_everywhere() -> None:
    text = """axis h = 2
    axis k
    axis m = size(h) * size(k)
    diagram g(X: [m]) -> [m] { return X }
    diagram f(A: [h k], B: [m]) -> [m] { return g(B) }"""
    assert sizes(diagram(text)) == {"h": "2", "m": "2*size(k)"}


def test_an_axis_of_a_signature_is_bound_where_the_diagram_is_used() -> None:
    text = """diagram g(X: [i]) -> [i] { return X }
    diagram f(A: [p], B: [q r]) -> ([p], [q r]) { return g(A), g(B) }"""
    assert types(text)["return"] == "[p], [q r]"


def test_an_axis_of_the_result_has_its_size_from_the_body() -> None:
    text = "diagram f(X: [x]) -> [n] { axis n = 2 * size(x) + 1\n return Y[n] = n }"
    assert sizes(diagram(text)) == {"n": "2*size(x) + 1"}


def test_defaults_of_free_axes_use_sizes_of_the_signature() -> None:
    text = "diagram f[h = 2, k = size(m) // size(h)](X: [m]) -> [h k] { return Y[h k] = sum[m](X) }"
    assert value(text, [1.0] * 6).shape == (2, 3)


def test_a_default_is_checked_where_it_is_declared() -> None:
    error("axis x = 10\ndiagram f[w = 11](X: [x]) -> [w] { return Y[w] = X[w + 0] }", "NCD3002")


def test_a_use_that_changes_a_default_is_checked_again() -> None:
    text = "axis x = 10\ndiagram g[w = 4](X: [x]) -> [w] { return Y[w] = X[w + 0] }\n"
    checks(text + "diagram f(X: [x]) -> [w] { return g[w = 10](X) }")
    error(text + "diagram f(X: [x]) -> [w] { return g[w = 11](X) }", "NCD3002")


def test_a_value_of_a_const_is_checked_again() -> None:
    text = "axis x = 10\nconst d = 1\ndiagram f(X: [x]) -> [n] {\n"
    text += "  axis n = 9\n  return Y[n] = X[n + d]\n}\nconfig big { d = 2 }"
    library = ncdlang.loads(text.replace("config big { d = 2 }", ""))
    with pytest.raises(ncdlang.NcdError, match="NCD3002"):
        library.module("f", sizes={"d": 2})
    error(text, "NCD3002")


@pytest.mark.parametrize("structure", ["set", "ordered", "cyclic"])
def test_structures_of_axes(structure: str) -> None:
    checks(f"axis x : {structure}\ndiagram f(X: [x]) -> [x] {{ return X }}")


def test_symmetries_are_asserted() -> None:
    checks("diagram f(X: [x]) -> [x] { return exp(X) }\nassert equivariant[x](f)")
    checks("diagram f(X: [x]) -> [] { return sum[x](X) }\nassert invariant[x](f)")
    error("diagram f(X: [x]) -> [x] { return exp(X) }\nassert invariant[x](f)", "NCD3010", "moves")


def test_an_unknown_structure() -> None:
    error("axis x : tree\ndiagram f(X: [x]) -> [x] { return X }", "NCD2001", "set")


def test_a_declared_local_axis() -> None:
    assert sizes(diagram("diagram f(X: [i]) -> [j] { axis j = 3\n return Y[j] = j }")) == {"j": "3"}


def test_an_axis_that_alone_indexes_has_the_size_of_the_array_axis() -> None:
    text = "diagram f(X: [i j]) -> [i] { return Y[i] = sum[a](X[i a]) }"
    assert value(text, [[1.0, 2.0]]).tolist() == [3.0]


def test_an_axis_of_affine_indices_gets_the_largest_size_that_fits() -> None:
    text = "diagram f[j = 3](X: [x]) -> [n] { return Y[n] = sum[j](X[2*n + j]) }"
    for size, wanted in [(3, 1), (4, 1), (5, 2), (9, 4)]:
        assert value(text, torch.ones(size)).shape == (wanted,)


def test_several_indices_must_give_one_size() -> None:
    text = "diagram f(A: [i]) -> [n] {{ {} return Y[n] = A[n + 1] * A[n + 2] }}"
    error(text.format(""), "NCD3003")
    checks(text.format("axis n = size(i) - 2\n"))


def test_sizes_are_not_negative() -> None:
    text = "diagram f(A: [i], K: [j]) -> [n] { return Y[n] = A[n + j] * K[j] }"
    error("axis i = 3\naxis j = 6\n" + text, "NCD3005", "-2")
    with pytest.raises(ValueError, match=r"size\(i\)"):
        ncdlang.loads(text).module()(torch.ones(3), torch.ones(6))
    error("diagram f(X: [x]) -> [y] { axis y = 2 - 5\n return Y[y] = y }", "NCD3005")


def test_sizes_are_numbers_and_have_expressions() -> None:
    text = """const c = 2
    diagram f(X: [k]) -> [n] {
      axis n = (size(k) * c - 1 + 3) // 2 % 5
      return Y[n] = size(k)
    }"""
    assert value(text, [1.0] * 3).tolist() == [3.0] * 4


def test_composite_axes_are_row_major() -> None:
    text = "diagram f(X: [h k]) -> [(h k)] { return Y[(h k)] = X[h k] }"
    given = torch.arange(6.0).reshape(2, 3)
    assert value(text, given).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_list_with_a_composite_is_written_with_commas() -> None:
    error("diagram f(X: [x (h k)]) -> [x] { return Y[x] = sum[h, k](X) }", "NCD1024")


def test_a_composite_formal_solves_one_unknown_factor() -> None:
    text = """diagram split[h](X: [x, (h k)]) -> [h x k] { return Y[h x k] = X[x, (h k)] }
    axis m = {}
    diagram f(X: [x m]) -> [g x k'] {{ return split[h = 4](X) }}"""
    text = text.replace("] { return Y", "] {{ return Y").replace("k)] }", "k)] }}")
    assert types(text.format(12))["return"] == "[g x k']"
    assert value(text.format(12), torch.ones(2, 12)).shape == (4, 2, 3)
    error(text.format(13), "NCD3001")


def test_divisibility_that_is_not_known_is_checked_when_it_runs() -> None:
    text = """diagram split[h](X: [x, (h k)]) -> [h x k] { return Y[h x k] = X[x, (h k)] }
    diagram f(X: [x m]) -> [g x k'] { return split[h = 4](X) }"""
    made, judge = both(text)
    assert made(torch.ones(2, 8)).shape == (4, 2, 2)
    for module in (made, judge):
        with pytest.raises(ValueError, match=r"size\(m\)"):
            module(torch.ones(2, 9))


def test_axes_are_the_same_by_name_only() -> None:
    text = "diagram f(A: [i], B: [j]) -> [i] { return Y[i] = A[i] + B[i] }"
    assert requirements(diagram(text)) == ["size(i) == size(j)"]
    made, judge = both(text)
    for module in (made, judge):
        with pytest.raises(ValueError, match=r"size\([ij]\)"):
            module(torch.ones(2), torch.ones(3))
    error("axis i = 2\naxis j = 3\n" + text, "NCD3001")


def test_a_size_that_a_parameter_needs_is_known_when_the_module_is_built() -> None:
    text = "diagram f(X: [m]) -> [m] { learn W: [m]\n return X * W }"
    with pytest.raises(ncdlang.NcdError, match="m"):
        ncdlang.loads(text).module()
    assert ncdlang.loads(text).module(sizes={"m": 3})(torch.ones(3)).shape == (3,)


def test_an_axis_in_no_scope() -> None:
    error("diagram f(A: [i]) -> [i] { Y[i j] = A[i]\n return A }", "NCD2003", "free axis")


# ---- 4. Types -------------------------------------------------------------------------------


def test_types_of_arrays() -> None:
    text = """diagram f(A: [q h k], s: [], T: N(v)[n], M: B[n], Z: C[n k], F: bf16[n])
      -> ([q h k], [], N(v)[n], B[n], C[n k], bf16[n]) { return A, s, T, M, Z, F }"""
    assert types(text)["return"] == "[q h k], [], N(v)[n], B[n], C[n k], bf16[n]"


@pytest.mark.parametrize("held", ["f64", "f32", "bf16", "f16", "f8e4m3", "f8e5m2"])
def test_formats(held: str) -> None:
    checks(f"diagram f(X: {held}[n]) -> {held}[n] {{ return X }}")


def test_tuples_are_parallel_wires() -> None:
    text = """diagram g(A: [i], B: [j]) -> ([j], [i]) { return B, A }
    diagram f : ([i], [j]) -> ([i], [j]) = g >> g"""
    assert types(text)["return"] == "[i], [j]"


def test_no_array_names_an_axis_twice() -> None:
    error("diagram f(A: [i i]) -> [i] { return Y[i] = A[i i] }", "NCD2007", "i'")


def test_kinds_do_not_mix_silently() -> None:
    error("diagram f(A: [i], T: N(v)[i]) -> [i] { return A * T }", "NCD2011", "real")
    error("diagram f(A: [i], M: B[i]) -> [i] { return A * M }", "NCD2011", "real")
    text = "diagram f(A: [i], T: N(v)[i], M: B[i]) -> [i] { return A * real(T) + real(M) }"
    assert value(text, [1.5, 2.0], [2, 3], [True, False], sizes={"v": 5}).tolist() == [4.0, 6.0]


def test_naturals_compare_with_naturals_integers_and_indices() -> None:
    text = """diagram f(T: N(v)[i], U: N(w)[i]) -> [i] {
      return where(T < U and T >= 1 and i != T, 1, 0)
    }"""
    assert value(text, [1, 0, 2], [2, 1, 2], sizes={"v": 3, "w": 3}).tolist() == [1.0, 0.0, 0.0]


def test_arithmetic_of_naturals_gives_naturals() -> None:
    text = "diagram f(T: N(v)[i]) -> [i] { S = (T * 2 + 1) // 3 % 4\n return real(S) }"
    assert types(text)["S"] == "N[i]"
    assert value(text, [0, 4, 7], sizes={"v": 8}).tolist() == [0.0, 3.0, 1.0]


def test_bounds_of_naturals_are_proved_or_checked_when_it_runs() -> None:
    shifted = "diagram f(E: [w], T: N(v)[n]) -> [n] { S = T + 1\n return Y[n] = E[S[n]] }"
    made, judge = both(shifted, sizes={"v": 4})
    assert made(torch.arange(4.0).double(), torch.tensor([0, 2])).tolist() == [1.0, 3.0]
    for module in (made, judge):
        with pytest.raises((ValueError, IndexError)):
            module(torch.arange(4.0).double(), torch.tensor([0, 3]))
    error(
        "axis u = 5\naxis w = 3\ndiagram f(E: [w], T: N(u)[n]) -> [n] { return Y[n] = E[T[n]] }",
        "NCD2011",
    )


def test_an_index_is_an_integer_and_becomes_real() -> None:
    text = "diagram f(X: [i]) -> [i] { J[i] = i\n return X * J / 2 }"
    assert types(text)["J"] == "integer [i]"
    assert value(text, [1.0, 1.0]).tolist() == [0.0, 0.5]
