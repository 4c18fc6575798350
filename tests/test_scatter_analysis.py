"""What is known of scatters before they run: facts of the papers, and enumeration."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from by_definition import diagram, equal, normal, result

from ncdlang.analysis.scatter import Variator, variator, writes
from ncdlang.analysis.scatter_report import scatter_report
from ncdlang.cli.main import main
from ncdlang.semantics.size import ONE, ZERO, constant
from ncdlang.semantics.types import (
    Affine,
    ArrayType,
    Axis,
    Floor,
    Gathered,
    Kind,
    Wire,
    plain_index,
)
from ncdlang.source import Source, Span

PLACE = Span(Source("test.ncd", " "), 0, 1)
Classes = list[str]


def axis(name: str, size: int) -> Axis:
    return Axis(name, constant(size))


def table(name: str, *axes: Axis) -> Affine:
    """An index that is looked up in an array with these axes."""
    wire = Wire(name, ArrayType(axes, Kind("natural")), PLACE)
    return Affine(ZERO, ((Gathered(wire, tuple(map(plain_index, axes))), ONE),))


def made(target: tuple[int, ...], source: list[Axis], *indices: Affine) -> Variator:
    axes = [axis(f"t{i}", size) for i, size in enumerate(target)]
    return variator(axes, indices, source)


def classes(found: Variator) -> Classes:
    return [role.name for role in found.roles]


def only(text: str) -> Variator:
    (written,) = writes(diagram(text))
    return written.variator


# ---- by enumeration -----------------------------------------------------------------------------


def by_enumeration(
    shape: list[int], place: Callable[[tuple[int, ...]], tuple[int, ...]]
) -> Classes:
    """The classes of axes by their definition, from all places that a map reaches."""
    image = {index: place(index) for index in product(*map(range, shape))}
    rank = len(next(iter(image.values())))
    found: Classes = []
    for i in range(len(shape)):
        copies = {j for j in range(rank) if all(to[j] == index[i] for index, to in image.items())}
        reads = {
            j
            for j in range(rank)
            for index, to in image.items()
            if image[(*index[:i], 0, *index[i + 1 :])][j] != to[j]
        }
        if copies:
            found.append("entangled" if reads - copies else "slice")
        else:
            found.append("index" if reads else "dropped")
    return found


def value(index: Affine, at: dict[Axis, int], contents: dict[Wire, np.ndarray]) -> int:
    total = index.constant.evaluate({})
    for variable, coefficient in index.terms:
        match variable:
            case Axis():
                number = at[variable]
            case Gathered():
                inner = tuple(value(i, at, contents) for i in variable.indices)
                number = int(contents[variable.wire][inner])
            case _:
                number = value(variable.numerator, at, contents) // variable.divisor
        total += number * coefficient.evaluate({})
    return total


def random_indices(rng: random.Random, axes: list[Axis]) -> list[Affine]:
    indices: list[Affine] = []
    for position in range(rng.randint(1, 4)):
        chosen = rng.sample(axes, rng.randint(1, len(axes)))
        match rng.randrange(5):
            case 0 | 1:
                indices.append(plain_index(chosen[0]))
            case 2:
                indices.append(table(f"I{position}", *chosen))
            case 3:
                terms = tuple((a, constant(rng.choice([1, 1, 2, 3]))) for a in chosen)
                indices.append(Affine(constant(rng.choice([0, 1])), terms))
            case _:
                indices.append(Affine(ZERO, ((Floor(plain_index(chosen[0]), 2), ONE),)))
    return indices


@pytest.mark.parametrize("seed", range(60))
def test_random_variators_have_the_classes_of_enumeration(seed: int) -> None:  # D6
    rng = random.Random(seed)
    axes = [axis(name, rng.randint(3, 4)) for name in "ijk"[: rng.randint(1, 3)]]
    indices = random_indices(rng, axes)
    shape = [a.size.evaluate({}) for a in axes]
    found = made((99,) * len(indices), axes, *indices)

    def places(draw: Callable[[tuple[int, ...]], np.ndarray]) -> Callable[..., tuple[int, ...]]:
        contents = {w: draw(tuple(a.size.evaluate({}) for a in w.type.axes)) for w in found.tables}
        return lambda index: tuple(
            value(i, dict(zip(axes, index, strict=True)), contents) for i in indices
        )

    def distinct(extents: tuple[int, ...]) -> np.ndarray:
        return 50 + np.arange(np.prod(extents)).reshape(extents)

    assert classes(found) == by_enumeration(shape, places(distinct))
    for place in (
        places(np.zeros),
        places(lambda s: np.random.default_rng(seed).integers(0, 3, s)),
    ):
        _check_collisions(found, shape, place)


def _check_collisions(found: Variator, shape: list[int], place: Callable) -> None:
    reached: dict[tuple[int, ...], tuple[int, ...]] = {}
    meet = False
    for index in product(*map(range, shape)):
        other = reached.setdefault(place(index), index)
        meet = meet or other != index
        for role, here, there in zip(found.roles, index, other, strict=True):
            assert here == there or not (role.is_parallel or role.copies), role.axis
    assert not (meet and found.collision is None)


@pytest.mark.parametrize("seed", range(40))
def test_slices_are_whole_parts_of_the_target(seed: int) -> None:
    """Def. 7 by enumeration: all other coordinates stay, the last ones run over the slice."""
    rng = random.Random(1000 + seed)
    axes = [axis(name, 3) for name in "ijk"[: rng.randint(1, 3)]]
    indices = random_indices(rng, axes)
    found = made((99,) * len(indices), axes, *indices)
    contents = {
        w: 50 + np.arange(3 ** len(w.type.axes)).reshape([3] * len(w.type.axes))
        for w in found.tables
    }
    image = {
        index: tuple(value(i, dict(zip(axes, index, strict=True)), contents) for i in indices)
        for index in product(range(3), repeat=len(axes))
    }
    longest = 0
    for count in range(1, len(indices) + 1):
        picks = product(range(len(axes)), repeat=count)
        if any(_is_sliced(image, pick, len(axes)) for pick in picks):
            longest = count
    assert found.slice_dimensions == longest


def _is_sliced(
    image: dict[tuple[int, ...], tuple[int, ...]], pick: tuple[int, ...], rank: int
) -> bool:
    """Whether T(I) = T'(p1(I)) + p2(I) with p2 = pick and p1 all other axes."""
    heads: dict[tuple[int, ...], tuple[int, ...]] = {}
    for index, place in image.items():
        if place[-len(pick) :] != tuple(index[i] for i in pick):
            return False
        rest = tuple(index[i] for i in range(rank) if i not in pick)
        if heads.setdefault(rest, place[: -len(pick)]) != place[: -len(pick)]:
            return False
    return True


# ---- facts of the papers ------------------------------------------------------------------------


def test_the_first_example_of_the_paper() -> None:  # D1
    text = """
        axis i = 4
        axis j = 2
        axis t = 2
        diagram f(X: [i j]) -> [t u v w] {
          axis u = 2
          axis v = 2
          axis w = 2
          Y: [t u v w]
          Y[0, i // 2, i % 2, j] = X[i j]
          return Y
        }
    """
    x = np.arange(1.0, 9).reshape(4, 2)
    expected = np.zeros((2, 2, 2, 2))
    expected[0] = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    equal(result(text, x), expected)
    found = only(text)
    assert classes(found) == ["index", "slice"]
    assert found.collision is None
    assert found.slice_dimensions == 1
    assert by_enumeration([4, 2], lambda i: (0, i[0] // 2, i[0] % 2, i[1])) == classes(found)


def test_the_second_and_third_example_of_the_paper() -> None:  # D2
    i, j, k = axis("i", 2), axis("j", 3), axis("k", 2)
    second = made((2, 2, 3, 2), [i, j, k], *map(plain_index, (i, i, j, k)))
    assert classes(second) == ["slice"] * 3
    assert second.slice_dimensions == 4
    first_rows = [[0, 0], [1, 1]]
    assert by_enumeration([2, 3, 2], lambda at: (*first_rows[at[0]], at[1], at[2])) == classes(
        second
    )
    third = made((2, 3, 2), [i, j, k], *map(plain_index, (k, j, k)))
    assert classes(third) == ["dropped", "slice", "slice"]
    assert by_enumeration([2, 3, 2], lambda at: (at[2], at[1], at[2])) == classes(third)
    assert third.slice_dimensions == 3
    assert third.collision is not None


def test_the_tests_of_the_author() -> None:  # D3
    chosen = """
        diagram f(X: [v], I: N(v)[n], U: [n]) -> [v] {
          Y: [v]
          Y[v] = X[v]
          Y[I[n]] max= U[n]
          return Y
        }
    """
    places, values = np.array([2, 3, 5, 4]), np.array([6.0, 9, 22, 88])
    expected = [1, 1, 6, 9, 88, 22, 1, 1, 1, 1]
    equal(result(chosen, np.ones(10), places, values), np.array(expected, dtype=float))
    rows = """
        diagram f(I: N(c)[b j], U: [b j], Z: [a c]) -> [a c] {
          assert size(b) <= size(a)
          Y: [a c]
          Y[b + 0, I[b j]] += U[b j]
          return Y
        }
    """
    source = np.array([[0.7654], [0.2314]])
    expected = np.zeros((3, 5))
    expected[0, 0], expected[1, 3] = 0.7654, 0.2314
    equal(result(rows, np.array([[0], [3]]), source, np.zeros((3, 5))), expected)


@pytest.mark.parametrize("dim", range(3))
def test_scattering_along_one_dimension_is_that_of_torch(dim: int) -> None:  # D4
    left = ["i", "j", "k"]
    left[dim] = "I[i j k]"
    text = f"""
        diagram f(I: N({"ijk"[dim]})[i j k], U: [i j k]) -> [i j k] {{
          Y: [i j k]
          Y[{", ".join(left)}] += U[i j k]
          return Y
        }}
    """
    shape = (3, 4, 2)
    places = np.argsort(normal(*shape), axis=dim)
    source = normal(*shape)
    zeros = torch.zeros(shape, dtype=torch.float64)
    expected = zeros.scatter(dim, torch.tensor(places), torch.tensor(source))
    equal(result(text, places, source), expected.numpy())
    found = only(text)
    wanted = ["entangled"] * 3
    wanted[dim] = "index"
    assert classes(found) == wanted
    assert found.sparsity == (Fraction(1, 3), ONE)  # D5
    assert not found.is_weakly_sliceable


@pytest.mark.parametrize(("depth", "expected"), [(1, 0.0278), (2, 0.2222), (3, 1.0)])
def test_updates_by_lists_of_places(depth: int, expected: float) -> None:  # D4, D5
    n, extents, names = 5, (5, 4, 3), "abc"
    tables = ", ".join(f"I{d}: N({names[d]})[n]" for d in range(depth))
    left = ", ".join(f"I{d}[n]" if d < depth else names[d] for d in range(3))
    text = f"""
        diagram f({tables}, U: [n {" ".join(names[depth:])}], Z: [a b c]) -> [a b c] {{
          Y: [a b c]
          Y[a b c] = Z[a b c]
          Y[{left}] += U[{" ".join(["n", *names[depth:]])}]
          return Y
        }}
    """
    flat = np.random.default_rng(0).permutation(int(np.prod(extents[:depth])))[:n]
    places = np.unravel_index(flat, extents[:depth])
    source, base = normal(n, *extents[depth:]), normal(*extents)
    wanted = base.copy()
    wanted[places] += source
    equal(result(text, *places, source, base), wanted)
    found = list(writes(diagram(text)))[-1].variator
    assert classes(found) == ["index"] + ["slice"] * (3 - depth)
    assert found.slice_dimensions == 3 - depth
    sizes = dict(zip(found.axes, (n, *extents[depth:]), strict=True))
    assert float(found.sparsity_at(sizes)) == pytest.approx(expected, abs=5e-5)


def test_the_sparsity_of_the_readme_and_of_a_dense_array() -> None:  # D5
    i, j = axis("i", 2), axis("j", 3)
    readme = made(
        (9, 9, 2, 3), [i, j], table("I", i, j), table("J", i, j), *map(plain_index, (i, j))
    )
    assert readme.sparsity == (Fraction(1, 2), ONE)
    assert classes(readme) == ["entangled", "entangled"]
    dense = made((2, 3), [i, j], plain_index(i), plain_index(j))
    assert dense.sparsity[0] == 0
    assert dense.collision is None


# ---- programs -----------------------------------------------------------------------------------

INVERSE = """
    diagram f(X: [b n]) -> N(n)[b n] {
      P = argsort[n](X)
      Y: N(n)[b n]
      Y[b, P[b n]] = n
      return Y
    }
"""


def test_places_of_a_sort_never_meet() -> None:
    found = only(INVERSE)
    assert found.collision is None
    assert all(role.is_parallel for role in found.roles)
    x = normal(3, 6)
    equal(result(INVERSE, x), np.argsort(np.argsort(x, axis=1), axis=1))


def test_windows_and_merged_axes() -> None:
    window = only("""
        diagram f(G: [x' j c], X: [x c]) -> [x c] {
          assert size(x') == size(x) - size(j) + 1
          Y: [x c]
          Y[x' + j, c] += G[x' j c]
          return Y
        }
    """)
    assert classes(window) == ["index", "index", "slice"]
    assert [role.stride for role in window.roles] == [ONE, ONE, None]
    assert window.collision is not None
    merged = only("""
        diagram f(X: [h k d]) -> [d, (h k)] {
          Y: [d, (h k)]
          Y[d, (h k)] += X[h k d]
          return Y
        }
    """)
    assert classes(merged) == ["slice"] * 3
    assert [a.name for a in merged.run] == ["d", "h", "k"]


def test_the_report_tells_classes_collisions_slices_and_indexing(tmp_path, capsys) -> None:
    path = tmp_path / "rows.ncd"
    path.write_text("""
diagram rows(I: N(v)[n], U: [n d], Z: [v]) -> [v d] {
  Y: [v d]
  Y[I[n], d] += U[n d]
  return Y
}
diagram twice(I: N(v)[n], U: [n d], Z: [v]) -> [v d] { return 2 * rows(I, U, Z) }
diagram none(X: [n]) -> [n] { return exp(X) }
""")
    assert main(["explain", str(path), "rows", "--size", "d=4"]) == 0
    said = capsys.readouterr().out
    for part in ("n      index", "d      slice", "over d", "n = 1", "runs of size(d)", "= 0.125"):
        assert part in said
    assert main(["explain", str(path), "twice"]) == 0
    assert "(in rows)" in capsys.readouterr().out
    assert main(["explain", str(path), "none"]) == 0
    assert "Scatters" not in capsys.readouterr().out
    assert main(["explain", str(path), "nowhere"]) == 2


def test_a_diagram_without_scatters_has_no_report() -> None:
    assert scatter_report(diagram("diagram f(X: [n]) -> [n] { return exp(X) }")) == ""
