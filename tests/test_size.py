"""Sizes are a ring with floor division: the algebra agrees with the numbers, always."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ncdlang.semantics.size import ONE, ZERO, Size, Symbol, constant, product

SYMBOLS = [Symbol(name, uid) for uid, name in enumerate(("a", "b", "c"))]
NUMBERS = st.integers(-6, 6)
VALUES = st.fixed_dictionaries({symbol: st.integers(0, 9) for symbol in SYMBOLS})


def divided(pair: tuple[Size, int | Size]) -> Size:
    numerator, divisor = pair
    return numerator // divisor


LEAVES = st.one_of(NUMBERS.map(constant), st.sampled_from(SYMBOLS).map(Size.of))
DIVISORS = st.one_of(
    st.sampled_from((-3, -2, 1, 2, 3, 4)), st.sampled_from(SYMBOLS).map(lambda s: Size.of(s) + 1)
)
SIZES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        st.tuples(inner, DIVISORS).map(divided),
    ),
    max_leaves=6,
)


@given(SIZES, SIZES, SIZES)
def test_ring_laws_hold_as_normal_forms(a: Size, b: Size, c: Size) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a + ZERO == a == a * ONE
    assert a - a == ZERO
    assert a * ZERO == ZERO
    negative = -a
    assert -negative == a
    assert hash(a + b) == hash(b + a)
    assert product((a, b, c)) == a * b * c


@given(SIZES, SIZES, VALUES)
def test_evaluation_commutes_with_the_operators(a: Size, b: Size, at: dict[Symbol, int]) -> None:
    assert (a + b).evaluate(at) == a.evaluate(at) + b.evaluate(at)
    assert (a - b).evaluate(at) == a.evaluate(at) - b.evaluate(at)
    assert (a * b).evaluate(at) == a.evaluate(at) * b.evaluate(at)


@given(SIZES, SIZES, VALUES)
def test_floor_division_is_that_of_numbers(a: Size, b: Size, at: dict[Symbol, int]) -> None:
    assume(b != ZERO and b.evaluate(at) != 0)
    assert (a // b).evaluate(at) == a.evaluate(at) // b.evaluate(at)
    assert (a % b).evaluate(at) == a.evaluate(at) % b.evaluate(at)
    assert (a // b) * b + a % b == a


@given(SIZES, DIVISORS, st.integers(0, 40))
def test_what_is_divisible_leaves_the_floor(a: Size, d: int | Size, n: int) -> None:
    divisor = d if isinstance(d, Size) else constant(d)
    if len(divisor.terms) == 1:
        assert (a * divisor) // divisor == a
    if (divisor.value or 0) > 0:
        assert (a * divisor + n) // divisor == a + n // divisor.evaluate({})


@given(SIZES, st.dictionaries(st.sampled_from(SYMBOLS), SIZES), VALUES)
def test_substitution_commutes_with_evaluation(
    a: Size, images: dict[Symbol, Size], at: dict[Symbol, int]
) -> None:
    inner = at | {symbol: image.evaluate(at) for symbol, image in images.items()}
    try:
        expected = a.evaluate(inner)
        found = a.substitute(images).evaluate(at)
    except ZeroDivisionError:
        return
    assert found == expected


@given(SIZES, VALUES)
def test_the_text_means_the_size(a: Size, at: dict[Symbol, int]) -> None:
    names = {symbol.name: value for symbol, value in at.items()}
    assert eval(a.render(lambda symbol: symbol.name), {}, names) == a.evaluate(at)
    spelled = re.sub(r"size\((\w)\)", r"\1", str(a))
    assert eval(spelled, {}, names) == a.evaluate(at)


@given(SIZES)
def test_a_value_is_there_exactly_without_unknowns(a: Size) -> None:
    assert (a.value is None) == bool(a.terms and a.symbols())
    assert a.constant_term == dict(a.terms).get((), 0)


def test_division_by_zero_raises() -> None:
    a = Size.of(SYMBOLS[0])
    with pytest.raises(ZeroDivisionError):
        a // 0
    with pytest.raises(ZeroDivisionError):
        (a // (Size.of(SYMBOLS[1]) - 1)).substitute({SYMBOLS[1]: ONE})
    with pytest.raises(KeyError):
        a.evaluate({})
