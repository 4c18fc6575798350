"""Asserted symmetries: what is proved holds for numbers, what is refuted does not."""

from __future__ import annotations

import pytest
import torch
from checked import check

import ncdlang

FILE = """
use std.attention.{dense_attention, causal_attention}
use std.nn.{rms_norm, layer_norm, linear}

axis s : ordered
axis c : cyclic

diagram self_attention(X: [x m]) -> [x m] {
  axis y = size(x)
  S[x y] = X[x m] * X[y m]
  P = softmax[y](S)
  return O[x m] = P[x y] * X[y m]
}
diagram multi_head[h, k](X: [x m]) -> [x m] {
  learn Lq, Lk, Lv: linear[m -> h k]
  learn Lo: linear[h k -> m]
  A = dense_attention(Lq(X), Lk(X), Lv(X))
  return Lo(A)
}
diagram causal[h, k](X: [x m]) -> [x m] {
  learn Lq, Lk, Lv: linear[m -> h k]
  learn Lo: linear[h k -> m]
  A = causal_attention(Lq(X), Lk(X), Lv(X))
  return Lo(A)
}
diagram pooled(X: [x m]) -> [m] { return mean[x](X) }
diagram tallest(X: [x m]) -> [m] { return max[x](X) }
diagram first(X: [x m]) -> [m] {
  assert size(x) >= 1
  return Y[m] = X[0, m]
}
diagram positions(X: [x m]) -> [x m] { return Y[x m] = X[x m] + sin(x + m) }
diagram table(X: [x m]) -> [x m] {
  learn W: [x m]
  return Y[x m] = X + W
}
diagram others(X: [x m]) -> [x m] {
  axis y = size(x)
  return Y[x m] = sum[y](where(x == y, 0, X[y m]))
}
diagram before(X: [x m]) -> [x m] {
  axis y = size(x)
  return Y[x m] = sum[y](where(y < x, X[y m], 0))
}
diagram reversed(X: [x m]) -> [x m] { return Y[x m] = X[size(x) - 1 - x, m] }
diagram running(X: [x m]) -> [x m] { return cumsum[x](X) }
diagram sorted(X: [x m]) -> [x m] { return sort[x](X) }
diagram normed(X: [x m]) -> [x m] { return layer_norm[m](X) }
diagram gathered(X: [x m], T: N(m)[x]) -> [x] { return Y[x] = X[x, T[x]] }
diagram counted(T: N(v)[x], U: [x]) -> [v] {
  Y: [v]
  Y[T[x]] += U[x]
  return Y
}
diagram totals(X: [c m]) -> [c m] {
  axis d = size(c)
  T[m] = sum[c](X[c m])
  return Y[c m] = X[c m] / (1 + T[m]^2)
}
diagram turned(X: [c m]) -> [c m] { return Y[c m] = X[c m] * cos(c) }
diagram filtered(X: [s m]) -> [s' m] {
  axis j = 3
  return Y[s' m] = sum[j](X[s' + j, m] * (j + 1))
}
diagram strided(X: [s m]) -> [s' m] {
  axis s' = size(s) // 2
  return Y[s' m] = X[2*s', m]
}
diagram relative(X: [s m]) -> [s t] {
  axis t = size(s)
  return Y[s t] = X[s m] * X[t m] * exp(-abs(s - t))
}
"""
SIZES = {"x": 5, "m": 3, "h": 2, "k": 2, "v": 4, "c": 5}
SETS = (
    ("equivariant", "self_attention", True),
    ("equivariant", "multi_head", True),
    ("equivariant", "causal", False),
    ("invariant", "pooled", True),
    ("invariant", "tallest", True),
    ("invariant", "first", False),
    ("equivariant", "positions", False),
    ("equivariant", "table", False),
    ("equivariant", "others", True),
    ("equivariant", "before", False),
    ("equivariant", "reversed", False),
    ("equivariant", "running", False),
    ("equivariant", "sorted", False),
    ("equivariant", "normed", True),
    ("equivariant", "gathered", True),
    ("invariant", "counted", True),
    ("invariant", "self_attention", False),
)


def refused(assertion: str) -> list[str]:
    """The messages of the errors that an assertion at the end of the file gives."""
    _, found = check(f"{FILE}\nassert {assertion}\n")
    assert {d.code for d in found} <= {"NCD3010"}
    return [d.message for d in found]


def outputs(name: str, inputs: list[torch.Tensor]) -> torch.Tensor:
    library = ncdlang.loads(FILE)
    diagram = library.program.diagram(name)
    assert diagram is not None
    own = {symbol.name for symbol in diagram.unknowns}
    sizes = {axis: size for axis, size in SIZES.items() if axis in own}
    torch.manual_seed(0)
    module = library.module(name, sizes=sizes, dtype="f64")
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        result: torch.Tensor = module(*inputs)
    return result


def moved(name: str, axis: str, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """The results for inputs and for moved inputs, and whether the result has the axis."""
    diagram = ncdlang.loads(FILE).program.diagram(name)
    assert diagram is not None
    generator = torch.Generator().manual_seed(1)
    inputs: list[torch.Tensor] = []
    changed: list[torch.Tensor] = []
    for wire in diagram.parameters:
        shape = [SIZES[a.name] for a in wire.type.axes]
        array = torch.randn(shape, generator=generator, dtype=torch.float64)
        if wire.type.kind.name == "natural":
            array = torch.randint(0, 3, shape, generator=generator)
        names = [a.name for a in wire.type.axes]
        inputs.append(array)
        changed.append(array.index_select(names.index(axis), places) if axis in names else array)
    has_axis = any(a.name == axis for a in diagram.results[0].type.axes)
    return outputs(name, inputs), outputs(name, changed), has_axis


@pytest.mark.parametrize(("word", "name", "holds"), SETS)
def test_permutations(word: str, name: str, holds: bool) -> None:
    assert bool(refused(f"{word}[x]({name})")) is not holds
    places = torch.tensor([3, 0, 4, 1, 2])
    before, after, has_axis = moved(name, "x", places)
    if word == "equivariant" and has_axis:
        before = before.index_select(0, places)
    assert torch.allclose(before, after, atol=1e-12) is holds


@pytest.mark.parametrize(("name", "holds"), [("totals", True), ("turned", False)])
def test_rotations(name: str, holds: bool) -> None:
    assert bool(refused(f"equivariant[c]({name})")) is not holds
    places = torch.tensor([2, 3, 4, 0, 1])
    before, after, _ = moved(name, "c", places)
    assert torch.allclose(before.index_select(0, places), after, atol=1e-12) is holds


@pytest.mark.parametrize(
    ("name", "holds", "axes"), [("filtered", True, 1), ("relative", True, 2), ("strided", False, 1)]
)
def test_shifts(name: str, holds: bool, axes: int) -> None:
    assert bool(refused(f"equivariant[s]({name})")) is not holds
    long = torch.randn(9, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    here, shifted = outputs(name, [long[:-1]]), outputs(name, [long[1:]])
    for axis in range(axes):
        here, shifted = (
            here.narrow(axis, 1, here.shape[axis] - 1),
            shifted.narrow(axis, 0, shifted.shape[axis] - 1),
        )
    assert torch.allclose(here, shifted, atol=1e-12) is holds


@pytest.mark.parametrize(
    ("assertion", "said"),
    [
        ("equivariant[x](positions)", "the index along `x` is used as a number"),
        ("equivariant[x](table)", "the parameter `W` carries the axis as its own"),
        ("equivariant[x](running)", "in `cumsum`: "),
        ("equivariant[x](sorted)", "`sort` looks at the order of its entries"),
        ("equivariant[x](reversed)", "is read at `size(x) - 1 - x`"),
        ("invariant[x](self_attention)", "the result [x m] moves with `x`"),
        ("invariant[z](pooled)", "`z` is no axis of `pooled`"),
        ("equivariant[s](softmax[s])", "does not commute with shifts"),
    ],
)
def test_the_operation_that_breaks_it_is_named(assertion: str, said: str) -> None:
    (message,) = refused(assertion)
    assert said in message


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("exp", {"invariant": "`x` is no axis of `exp`"}),
        ("max", {"invariant": "`x` is no axis of `max`"}),
        ("detach", {"invariant": "`x` is no axis of `detach`"}),
        ("sum[m]", {"invariant": "`x` is no axis of `sum`"}),
        ("softmax[m]", {"invariant": "`x` is no axis of `softmax`"}),
        ("softmax[x]", {"invariant": "moves with `x`"}),
        ("sum[x]", {}),
        ("max[x m, initial = 0]", {}),
        ("argmax[x]", dict.fromkeys(("invariant", "equivariant"), "`argmax` looks at the order")),
        ("argmax[m]", {"invariant": "`x` is no axis of `argmax`"}),
    ],
)
def test_primitives_are_judged_like_diagrams(of: str, said: dict[str, str]) -> None:
    for word in ("equivariant", "invariant"):
        found = refused(f"{word}[x]({of})")
        assert bool(found) is (word in said)
        assert said.get(word, "") in "".join(found)


def test_a_reduction_along_an_ordered_axis() -> None:
    assert "does not commute with shifts" in refused("invariant[s](sum[s])")[0]
    assert refused("equivariant[s](sum[m])") == []


def test_assertions_of_library_diagrams_and_in_bodies() -> None:
    for assertion in ("equivariant[x](softmax[x])", "equivariant[x](rms_norm[m])"):
        assert refused(assertion) == []
    text = """
diagram f(X: [x m]) -> [x m] {
  assert equivariant[x](softmax[m])
  assert equivariant[x](exp)
  assert equivariant[m](cumsum[m])
  return softmax[m](X)
}
"""
    _, found = check(text)
    assert [d.code for d in found] == ["NCD3010"]
    assert found[0].span.text == "equivariant[m](cumsum[m])"


@pytest.mark.parametrize("of", ["f >> f", "sum", "exp[x]", "sum[xs..]", "einsum[x -> x]"])
def test_an_assertion_of_no_diagram(of: str) -> None:
    _, found = check(f"diagram f(X: [x]) -> [x] {{ return X }}\nassert equivariant[x]({of})\n")
    assert [d.code for d in found] == ["NCD3004"]


@pytest.mark.parametrize(
    ("of", "help_text"),
    [
        ("dropout", "add `use std.nn.{dropout}`"),
        ("affine[x -> x]", "add `use std.nn.{affine}`"),
        ("softmx[x]", "did you mean `softmax`?"),
        ("nothing", ""),
    ],
)
def test_an_assertion_of_an_unknown_name_says_so(of: str, help_text: str) -> None:
    _, found = check(f"diagram f(X: [x]) -> [x] {{ return X }}\nassert equivariant[x]({of})\n")
    assert [d.code for d in found] == ["NCD2001"]
    assert found[0].help == help_text


@pytest.mark.parametrize("of", ["where", "cast[bf16]", "scale[2]", "id", "(exp)", "(softmax[x])"])
def test_operators_of_single_entries_commute_with_everything(of: str) -> None:
    assert refused(f"equivariant[x]({of})") == []
    assert len(refused(f"invariant[x]({of})")) == 1
