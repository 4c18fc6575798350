"""Stacks, stacks of stacks and learned pipelines in emitted PyTorch, beside the reference."""

from __future__ import annotations

import pytest
from torch_judge import Case, build, judge

LAYER = """use std.nn.{linear}
diagram layer[h = 3](X: [m]) -> [m] {
  learn A: linear[m -> h]
  learn B: linear[h -> m]
  return X + B(relu(A(X)))
}
"""
LONG = "layer_with_a_name_that_is_quite_long"


def _names(text: str) -> list[str]:
    return [name.removesuffix(".weight") for name in build(text, sizes={"m": 2}).state_dict()]


def _function(learned: str, value: str) -> str:
    return f"{LAYER}diagram f(X: [n m]) -> [n m] {{ {learned}\n return {value} }}"


@pytest.mark.parametrize(
    ("learned", "value", "names"),
    [
        ("learn S: linear[m -> m]^2", "(S^2)(X)", ["S.0", "S.1"]),
        ("learn S: linear[m -> m]^2", "((S >> relu)^2)(X)", ["S.0", "S.1"]),
        ("axis h = 3", "((linear[m -> m]^2 >> relu)^1)(X)", ["linear.0", "linear.1"]),
        ("axis h = 3", "((linear[m -> m]^1)^2)(X)", ["linear.0", "linear.1"]),
        (
            "axis h = 3\nlearn S: linear[m -> h] >> linear[h -> m]",
            "(S^2)(X)",
            ["S.linear", "S.linear_2"],
        ),
        (
            "learn S: (linear[m -> m] >> linear[m -> m]^1)^1",
            "S(S(X))",
            ["S.linear.0", "S.linear_2.0"],
        ),
        ("learn T: linear[m -> m]\nlearn S: (T >> linear[m -> m])^1", "S(X)", ["T", "S.linear.0"]),
        ("learn T: linear[m -> m]^1\nlearn S: (T >> relu)^2", "S(X)", ["T.0"]),
    ],
)
def test_every_copy_has_the_parameters_that_its_place_says(
    learned: str, value: str, names: list[str]
) -> None:
    text = _function(learned, value)
    assert sorted(_names(text)) == sorted(names)
    judge(Case(text, {"n": 3}, built={"m": 2}))


def test_the_list_of_a_stack_breaks_at_the_end_of_a_line() -> None:
    text = _function("axis i = 3", f"({'layer'}[i]^2)(X)").replace("layer", LONG * 2)
    judge(Case(text, {"n": 3}, built={"m": 2}))


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("(A: [i j], B: [j]) -> [i]", "einsum[i j, j -> i](A, B)"),
        ("(A: [i j], B: [j]) -> ([j], [i j])", "route[a b -> b a](A, B)"),
        ("(A: [i]) -> [i]", "scale[2](A) + id(A)"),
    ],
)
def test_stages_are_called_as_diagrams_are(signature: str, value: str) -> None:
    judge(Case(f"diagram f{signature} {{ return {value} }}", {"i": 2, "j": 3}))
