"""The laws of what a diagram means, as properties of random maps, graphs and terms.

Index maps (the axis-stride category):

- identity, associativity: `test_identity_and_associativity`
- products and composition interchange: `test_products_of_maps_interchange`
- a composite of matrices is the composite of functions:
  `test_composition_of_maps_is_composition_of_functions`
- an accepted map stays inside, a rejected one comes with a counterexample:
  `test_a_map_is_accepted_when_its_image_lies_inside`

Broadcasted operations and terms of them:

- bifunctoriality: `test_sequence_and_product_interchange`
- naturality of permuting, dropping and copying: `test_permuting_dropping_and_copying_are_natural`
- the same of random operators, but for copying: `test_random_terms_are_permuted_and_dropped`,
  `test_copying_is_not_natural_for_random_terms`
- Yoneda sliding: `test_reindexings_slide_through_operations`
- reindexing is contravariant: `test_reindexing_is_contravariant`
- terms and hypergraphs, brackets, iteration: `test_terms_and_graphs_go_to_and_fro`,
  `test_brackets_and_titles_mean_nothing`, `test_iteration_is_a_sequence`

Rewrites keep the meaning and neither copy nor merge what is random: `test_algebra_rewrites.py`.
Gradients are those of autograd: `test_gradients_random.py`. Streaming forms equal the reference:
`test_kernels.py`. Symmetries that are proved hold for numbers: `test_symmetry_numbers.py`.
"""

from __future__ import annotations

import os
from itertools import product
from math import prod
from random import Random

import numpy as np
import pytest
from checked import check, program
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import Sample, random_diagram, same, sample, seeds

from ncdlang.algebra.normal import normal_form
from ncdlang.algebra.opening import is_random, opened
from ncdlang.algebra.patches import Extents, Site, patched
from ncdlang.algebra.rewrites import SLIDE_IN, SLIDE_OUT
from ncdlang.algebra.strides import parts_of, read_through, spread, substitute
from ncdlang.algebra.terms import (
    Beside,
    Operation,
    Rearrange,
    Term,
    TermError,
    Titled,
    codomain,
    cut,
    domain,
    identity,
    repeated,
    then,
    to_graph,
    to_term,
)
from ncdlang.ir.diagram import Edge, Graph, Reindex
from ncdlang.ir.lower import lower
from ncdlang.semantics.size import ONE, constant
from ncdlang.semantics.types import Affine, Axis, Floor, Mod, plain_index
from ncdlang.source import Source, Span

EXAMPLES = 2000 if "NCDLANG_FULL" in os.environ else 200
TERMS = EXAMPLES // 4
SPAN = Span(Source("law", ""), 0, 0)

# ---- section 1: the axis-stride category -------------------------------------------------------

Shape = tuple[Axis, ...]
Map = tuple[Affine, ...]
Index = dict[Axis, int]


def value(place: Affine, index: Index) -> int:
    total = place.constant.evaluate({})
    for variable, coefficient in place.terms:
        match variable:
            case Axis():
                found = position(variable, index)
            case Floor():
                found = value(variable.numerator, index) // variable.divisor
            case Mod():
                found = value(variable.numerator, index) % variable.divisor
            case _:
                raise AssertionError(variable)
        total += coefficient.evaluate({}) * found
    return total


def position(axis: Axis, index: Index) -> int:
    if not axis.parts:
        return index[axis]
    total = 0
    for part in axis.parts:
        total = total * part.size.evaluate({}) + position(part, index)
    return total


def indices(shape: Shape) -> list[Index]:
    ranges = [range(axis.size.evaluate({})) for axis in shape]
    return [dict(zip(shape, point, strict=True)) for point in product(*ranges)]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    return tuple(Axis(f"a{i}", constant(size)) for i, size in enumerate(sizes))


@st.composite
def places(draw: st.DrawFn, shape: Shape) -> Affine:
    terms = []
    for axis in shape:
        coefficient = draw(st.integers(-3, 3))
        if coefficient:
            terms.append((axis, constant(coefficient)))
    plain = Affine(constant(draw(st.integers(-4, 4))), tuple(terms))
    divisor = draw(st.integers(2, 4))
    kind = draw(st.sampled_from(("plain", "plain", "floor", "mod")))
    if kind == "plain":
        return plain
    divided = Floor(plain, divisor) if kind == "floor" else Mod(plain, divisor)
    return Affine(constant(draw(st.integers(-2, 2))), ((divided, ONE),))


@st.composite
def maps(draw: st.DrawFn, count: int) -> list[tuple[Shape, Map]]:
    """Morphisms in a row: each goes from its shape to the next one's, and stays inside."""
    shape = draw(shapes())
    found: list[tuple[Shape, Map]] = []
    for _ in range(count):
        map_: list[Affine] = []
        after: list[Axis] = []
        for i in range(draw(st.integers(1, 3))):
            place = draw(places(shape))
            reached = [value(place, index) for index in indices(shape)]
            moved = place.constant - min(reached)
            map_.append(Affine(moved, place.terms))
            slack = draw(st.integers(0, 2))
            after.append(Axis(f"a{i}", constant(max(reached) - min(reached) + 1 + slack)))
        found.append((shape, tuple(map_)))
        shape = tuple(after)
    return found


def composed(first: Map, second: tuple[Shape, Map]) -> Map:
    shape, after = second
    values = dict(zip(shape, first, strict=True))
    return tuple(substitute(place, values) for place in after)


@settings(max_examples=EXAMPLES)
@given(maps(2))
def test_composition_of_maps_is_composition_of_functions(given: list[tuple[Shape, Map]]) -> None:
    (shape, first), second = given
    both = composed(first, second)
    for index in indices(shape):
        between = {a: value(p, index) for a, p in zip(second[0], first, strict=True)}
        assert [value(p, index) for p in both] == [value(p, between) for p in second[1]]


@settings(max_examples=EXAMPLES)
@given(maps(3))
def test_identity_and_associativity(given: list[tuple[Shape, Map]]) -> None:
    (shape, first), second, third = given
    unit = tuple(map(plain_index, shape))
    for index in indices(shape):

        def at(whole: Map, index: Index = index) -> list[int]:
            return [value(place, index) for place in whole]

        assert at(composed(unit, (shape, first))) == at(first)
        left = composed(composed(first, second), third)
        right = composed(first, (second[0], composed(second[1], third)))
        assert at(left) == at(right)
    plain = [p for p in first if all(isinstance(v, Axis) for v, _ in p.terms)]
    assert [substitute(place, dict(zip(shape, unit, strict=True))) for place in plain] == plain


@settings(max_examples=EXAMPLES)
@given(maps(2), maps(2))
def test_products_of_maps_interchange(
    left: list[tuple[Shape, Map]], right: list[tuple[Shape, Map]]
) -> None:
    (a, f), (b, h) = left
    (c, g), (d, k) = right
    whole = composed((*f, *g), ((*b, *d), (*h, *k)))
    apart = (*composed(f, (b, h)), *composed(g, (d, k)))
    for index in indices((*a, *c)):
        assert [value(p, index) for p in whole] == [value(p, index) for p in apart]


@settings(max_examples=EXAMPLES)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=3))
def test_flattening_is_an_isomorphism(sizes: list[int]) -> None:
    parts = tuple(Axis(f"p{i}", constant(size)) for i, size in enumerate(sizes))
    flat = Axis("flat", constant(prod(sizes)), parts)
    back = parts_of(spread(flat), flat)
    assert back is not None
    for index in indices(parts):
        assert [value(place, index) for place in back] == list(index.values())
    assert 1 in sizes or back == tuple(map(plain_index, parts))
    line = Axis("line", flat.size)
    inverse = parts_of(plain_index(line), flat)
    assert inverse is not None
    there = read_through((flat,), (plain_index(line),))
    assert there is not None
    for index in indices((line,)):
        found = {part: value(place, index) for part, place in zip(parts, inverse, strict=True)}
        assert position(flat, found) == index[line]
        assert value(substitute(spread(flat), there), index) == index[line]


@settings(max_examples=EXAMPLES)
@given(
    st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 10)),
)
def test_a_map_is_accepted_when_its_image_lies_inside(
    map_: tuple[int, int, int], sizes: tuple[int, int, int]
) -> None:
    """The checker agrees with enumeration, and its counterexample is one."""
    (a, b, c), (m, n, size) = map_, sizes
    text = f"""
    axis i = {m}
    axis j = {n}
    axis x = {size}
    diagram f(X: [x], U: [i j]) -> [i j] {{
      return Y[i j] = U[i j] + X[{a} * i + {b} * j + {c}]
    }}
    """
    inside = all(0 <= a * p + b * q + c < size for p in range(m) for q in range(n))
    found = [each for each in check(text)[1] if each.severity == "error"]
    assert inside == (not found)
    if found:
        (wrong,) = found
        message = wrong.message
        reached = int(message.split("reaches ")[1].split()[0].strip(","))
        assert reached in {a * p + b * q + c for p in range(m) for q in range(n)}
        assert not 0 <= reached < size


# ---- section 2: the array-broadcasted category -------------------------------------------------


def random_graph(seed: int, is_random: bool = False) -> Graph:
    diagram = random_diagram(seed, is_random)
    assert diagram is not None
    return opened(lower(diagram))


def arrays(drawn: Sample, graph: Graph) -> list[np.ndarray]:
    """What the term of a graph takes."""
    return [*drawn.inputs, *(drawn.parameters[p.wire.name] for p in graph.learned)]


def agree(left: Term, right: Term, graph: Graph, inputs: list[np.ndarray], drawn: Sample) -> None:
    """Two terms have one type, one meaning and one normal form."""
    assert domain(left) == domain(right)
    assert codomain(left) == codomain(right)
    graphs = to_graph(left, graph), to_graph(right, graph)
    given = Sample(drawn.sizes, inputs, {})
    assert same(given.values(graphs[0]), given.values(graphs[1]))
    forms = normal_form(graphs[0]), normal_form(graphs[1])
    assert forms[0].digest == forms[1].digest


@settings(max_examples=TERMS)
@given(seeds)
def test_terms_and_graphs_go_to_and_fro(seed: int) -> None:
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    term = to_term(graph)
    again = to_graph(term, graph)
    assert len(again.edges) == len(graph.edges)
    assert normal_form(to_graph(to_term(again), graph)).digest == normal_form(again).digest
    if drawn is not None:
        given = Sample(drawn.sizes, arrays(drawn, graph), {})
        assert same(drawn.values(graph), given.values(again))


@settings(max_examples=TERMS)
@given(seeds, st.data())
def test_sequence_and_product_interchange(seed: int, data: st.DataObject) -> None:
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    count = st.integers(0, len(graph.edges))
    f, h = cut(graph, data.draw(count))
    g, k = cut(graph, data.draw(count))
    inputs = arrays(drawn, graph)
    left = then(Beside(f, g), Beside(h, k))
    agree(left, Beside(then(f, h), then(g, k)), graph, [*inputs, *inputs], drawn)


@settings(max_examples=TERMS)
@given(seeds, st.data())
def test_brackets_and_titles_mean_nothing(seed: int, data: st.DataObject) -> None:
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    f, h = cut(graph, data.draw(st.integers(0, len(graph.edges))))
    whole = to_term(graph)
    inputs = arrays(drawn, graph)
    agree(then(f, h), whole, graph, inputs, drawn)
    agree(then(identity(domain(f)), f, Titled("Rest", h)), whole, graph, inputs, drawn)
    one = then(f, then(h, identity(codomain(h))))
    agree(one, then(then(f, h), identity(codomain(h))), graph, inputs, drawn)


@settings(max_examples=TERMS)
@given(seeds)
def test_permuting_dropping_and_copying_are_natural(seed: int) -> None:
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    f = to_term(graph)
    inputs = arrays(drawn, graph)
    here, there = domain(f), codomain(f)
    n, m = len(here), len(there)
    swap_in = Rearrange((*here, *here), (*range(n, 2 * n), *range(n)))
    swap_out = Rearrange((*there, *there), (*range(m, 2 * m), *range(m)))
    both = Beside(f, f)
    agree(then(both, swap_out), then(swap_in, both), graph, [*inputs, *inputs], drawn)
    dropped = then(f, Rearrange(there, ()))
    agree(dropped, Rearrange(here, ()), graph, inputs, drawn)
    copy_in = Rearrange(here, (*range(n), *range(n)))
    copy_out = Rearrange(there, (*range(m), *range(m)))
    agree(then(f, copy_out), then(copy_in, both), graph, inputs, drawn)


@settings(max_examples=TERMS)
@given(seeds, st.data())
def test_random_terms_are_permuted_and_dropped(seed: int, data: st.DataObject) -> None:
    """What holds of all terms holds of those with dropout; copies of results are one draw."""
    graph = random_graph(seed, is_random=True)
    f, h = cut(graph, data.draw(st.integers(0, len(graph.edges))))

    def digest(term: Term) -> str:
        return normal_form(to_graph(term, graph)).digest

    whole = then(f, h)
    here, there = domain(whole), codomain(whole)
    assert digest(whole) == digest(to_term(graph))
    assert digest(then(Beside(f, f), Beside(h, h))) == digest(Beside(whole, whole))
    order = tuple(reversed(range(len(there))))
    turned = tuple(there[place] for place in order)
    back = Rearrange(turned, order)
    assert digest(then(whole, Rearrange(there, order), back)) == digest(whole)
    dropped = then(whole, Rearrange(there, ()))
    assert digest(dropped) == digest(Rearrange(here, ()))
    both = Rearrange(there, (*range(len(there)), *range(len(there))))
    twice = then(Rearrange(here, (*range(len(here)), *range(len(here)))), Beside(whole, whole))
    has_chance = any(is_random(edge) for edge in live(to_graph(whole, graph)))
    assert (digest(then(whole, both)) == digest(twice)) is not has_chance


def live(graph: Graph) -> list[Edge]:
    """The operations that the results depend on."""
    wanted = set(graph.outputs)
    found: list[Edge] = []
    for edge in reversed(graph.edges):
        if any(result.wire in wanted for result in edge.outputs):
            found.append(edge)
            wanted.update(operand.wire for operand in edge.inputs)
    return found


def test_copying_is_not_natural_for_random_terms() -> None:
    text = """
    use std.nn.{dropout}
    diagram f(X: [a]) -> [a] { return dropout[0.5](X) }
    """
    graph = opened(lower(program(text).diagrams[-1]))
    f = to_term(graph)
    types = domain(f)
    copy = Rearrange(types, (0, 0))
    once, twice = then(f, copy), then(copy, Beside(f, f))
    forms = [normal_form(to_graph(term, graph)) for term in (once, twice)]
    assert forms[0].digest != forms[1].digest
    dropped = then(f, Rearrange(types, ()))
    assert not normal_form(to_graph(dropped, graph)).nodes()


@settings(max_examples=TERMS)
@given(seeds, st.integers(0, 4))
def test_iteration_is_a_sequence(seed: int, times: int) -> None:
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    for edge in graph.edges:
        body = Operation(edge)
        if domain(body) == codomain(body) and not is_random(edge):
            whole = then(identity(domain(body)), *([body] * times))
            wire = body.read[0]
            shape = tuple(axis.size.evaluate(drawn.sizes) for axis in wire.type.axes)
            array = np.random.default_rng(seed).normal(size=shape)
            agree(repeated(body, times), whole, graph, [array], drawn)


def test_terms_that_do_not_meet() -> None:
    graph = random_graph(1)
    types = domain(to_term(graph))
    with pytest.raises(TermError, match="takes"):
        then(identity(types), identity((*types, *types)))
    with pytest.raises(TermError, match="no iteration"):
        repeated(Rearrange(types, ()), 2)


@settings(max_examples=EXAMPLES)
@given(seeds)
def test_reindexings_slide_through_operations(seed: int) -> None:
    """Yoneda sliding, both ways, at each place by itself."""
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    before = drawn.values(graph)
    for rule in (SLIDE_IN, SLIDE_OUT):
        for patch in rule.patches(graph, Extents()):
            assert same(before, drawn.values(patched(graph, [patch])))


@settings(max_examples=TERMS)
@given(seeds)
def test_reindexing_is_contravariant(seed: int) -> None:
    """To reindex by eta, then by theta, is to reindex by the composite (theta, then eta)."""
    pick = Random(seed)
    graph = random_graph(seed)
    drawn = sample(graph, seed)
    if drawn is None:
        return
    for edge in graph.edges:
        source = edge.inputs[0].wire if edge.inputs else None
        if source is None or source not in graph.inputs or source.type.kind.name != "real":
            continue
        axes = source.type.axes
        flip = {a: Affine(a.size - 1, ((a, constant(-1)),)) for a in axes if pick.random() < 0.5}
        eta = tuple(flip.get(axis, plain_index(axis)) for axis in axes)
        order = pick.sample(axes, len(axes))
        site = Site.of(edge)
        first = site.reindex(source, eta, axes)
        made = first.outputs[0].wire
        theta = tuple(map(plain_index, axes))
        second = site.reindex(made, theta, tuple(order))
        values = dict(zip(axes, theta, strict=True))
        joint = site.reindex(source, tuple(substitute(p, values) for p in eta), tuple(order))
        assert isinstance(joint.operator, Reindex)
        one = to_graph(then(Operation(first), Operation(second)), graph)
        other = to_graph(Operation(joint), graph)
        given = Sample(drawn.sizes, [drawn.inputs[graph.inputs.index(source)]], {})
        assert same(given.values(one), given.values(other))
        assert normal_form(one).digest == normal_form(other).digest
