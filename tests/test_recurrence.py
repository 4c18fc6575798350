"""Recurrences: their steps, their values by definition, the scans that they are lowered to.

What is no recurrence is in `suite/recurrence.ncd`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from by_definition import diagram, equal, normal, result, results

from ncdlang.ir.diagram import Library, Pointwise, Reindex, Scan
from ncdlang.ir.lower import lower
from ncdlang.semantics.circles import units
from ncdlang.semantics.program import (
    BlockStep,
    CheckedDiagram,
    Define,
    Invoke,
    Recurrence,
    Scatter,
    made_by,
    walk,
)
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

SSM = """
    diagram ssm(A: [t d], U: [t d], H0: [d]) -> [t d] {
      return H[t d] = A[t d] * where(t > 0, H[t - 1, d], H0[d]) + U[t d]
    }
"""


def scan_of(checked: CheckedDiagram) -> Recurrence:
    (found,) = [step for step in checked.steps if isinstance(step, Recurrence)]
    return found


def made(step: Define | Invoke | Scatter) -> list[str]:
    return [wire.name for wire in made_by(step)]


# ---- values -------------------------------------------------------------------------------------


def test_a_state_space_model() -> None:
    a, u, state = normal(6, 3), normal(6, 3, seed=1), normal(3, seed=2)
    found = result(SSM, a, u, state)
    for t in range(6):
        state = a[t] * state + u[t]
        equal(found[t], state)


def test_it_may_be_empty_and_has_leading_axes() -> None:
    assert result(SSM, normal(0, 3), normal(0, 3), normal(3)).shape == (0, 3)
    assert result(SSM, normal(4, 0), normal(4, 0), normal(0)).shape == (4, 0)
    a, u, state = normal(2, 4, 3), normal(2, 4, 3, seed=1), normal(3)
    batched = result(SSM, a, u, state)
    for one in range(2):
        equal(batched[one], result(SSM, a[one], u[one], state))


def test_backwards() -> None:
    text = """
        diagram f(A: [t d]) -> [t d] {
          return H[t d] = A[t d] + where(t < size(t) - 1, 0.5 * H[t + 1, d], 0)
        }
    """
    a = normal(5, 2)
    assert scan_of(diagram(text)).reverse
    expected = a.copy()
    for t in range(3, -1, -1):
        expected[t] += 0.5 * expected[t + 1]
    equal(result(text, a), expected)


def test_two_steps_back() -> None:
    text = """
        diagram f(X: [t]) -> [t] {
          return F[t] = where(t > 1, F[t - 1] + F[t - 2], X[t])
        }
    """
    equal(result(text, np.ones(9)), [1, 1, 2, 3, 5, 8, 13, 21, 34])


def test_a_lag_that_is_a_size() -> None:
    text = """
        diagram f[w = 3](X: [t]) -> [t] {
          return F[t] = X[t] + where(t >= size(w), F[t - size(w)], 0)
        }
    """
    x = normal(8)
    expected = x.copy()
    for t in range(3, 8):
        expected[t] += expected[t - 3]
    equal(result(text, x), expected)


def test_an_autoregressive_filter_contracts_what_lies_before() -> None:
    text = """
        diagram f(X: [t], W: [j]) -> [t] {
          return F[t] = X[t] + W[j] * where(t > j, F[t - j - 1], 0)
        }
    """
    x, w = normal(7), normal(3, seed=1)
    expected = x.copy()
    for t, j in itertools.product(range(7), range(3)):
        expected[t] += w[j] * expected[t - j - 1] if t > j else 0
    equal(result(text, x, w), expected)


def test_the_axis_need_not_be_the_first() -> None:
    text = """
        diagram f(C: [i j]) -> [i j] {
          return D[i j] = C[i j] + where(j > 0, sum[k](D[k, j - 1]), 0)
        }
    """
    c = normal(3, 4)
    assert scan_of(diagram(text)).axis.name == "j"
    expected = c.copy()
    for j in range(1, 4):
        expected[:, j] += expected[:, j - 1].sum()
    equal(result(text, c), expected)


def test_viterbi_takes_the_best_step() -> None:
    text = """
        diagram viterbi(E: [t s], A: [s' s]) -> [t s] {
          return V[t s] = E[t s] + where(t > 0, max[s'](V[t - 1, s'] + A[s' s]), 0)
        }
    """
    e, a = normal(5, 3), normal(3, 3, seed=1)
    best = e.copy()
    for t in range(1, 5):
        best[t] += (best[t - 1][:, None] + a).max(0)
    equal(result(text, e, a), best)


def test_one_equation_may_read_another_at_the_same_index() -> None:
    text = """
        diagram f(X: [t]) -> [t] {
          G[t] = sum[s](where(s <= t, F[s], 0))
          F[t] = X[t] + where(t > 0, G[t - 1], 0)
          return F
        }
    """
    x = normal(6)
    expected: list[float] = []
    for t in range(6):
        expected.append(x[t] + sum(expected[:t]))
    equal(result(text, x), expected)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


LSTM = """
    use std.nn.{affine}
    diagram lstm(X: [t m], H0: [d], C0: [d]) -> ([t d], [t d]) {
      learn Wi, Wf, Wo, Wg: affine[m -> d]
      learn Ui, Uf, Uo, Ug: affine[d -> d]
      P[t d] = where(t > 0, H[t - 1, d], H0[d])
      I = sigmoid(Wi(X) + Ui(P))
      F = sigmoid(Wf(X) + Uf(P))
      O = sigmoid(Wo(X) + Uo(P))
      G = tanh(Wg(X) + Ug(P))
      C[t d] = F[t d] * where(t > 0, C[t - 1, d], C0[d]) + I[t d] * G[t d]
      H[t d] = O[t d] * tanh(C[t d])
      return H, C
    }
"""


def test_an_lstm() -> None:
    parameters: dict[str, np.ndarray] = {}
    for seed, gate in enumerate("ifog"):
        parameters[f"W{gate}.weight"] = normal(2, 3, seed=seed)
        parameters[f"U{gate}.weight"] = normal(2, 2, seed=seed + 10)
        parameters[f"W{gate}.bias"] = normal(2, seed=seed + 20)
        parameters[f"U{gate}.bias"] = normal(2, seed=seed + 30)
    x, h, c = normal(5, 3), normal(2, seed=1), normal(2, seed=2)
    states, cells = results(LSTM, x, h, c, parameters=parameters)
    for t in range(5):
        i, f, o, g = (
            parameters[f"W{gate}.weight"] @ x[t]
            + parameters[f"W{gate}.bias"]
            + parameters[f"U{gate}.weight"] @ h
            + parameters[f"U{gate}.bias"]
            for gate in "ifog"
        )
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        equal(states[t], h)
        equal(cells[t], c)


def test_a_call_with_several_results_acts_per_position() -> None:
    text = """
        diagram cell(x: [d], h: [d]) -> ([d], [d]) {
          n[d] = tanh(x[d] + h[d])
          o[d] = x[d] * n[d]
          return n, o
        }
        diagram f(X: [t d], H0: [d]) -> [t d] {
          P[t d] = where(t > 0, H[t - 1, d], H0[d])
          H[t d], O[t d] = cell(X, P)
          return O
        }
    """
    x, state = normal(4, 2), normal(2, seed=1)
    found = result(text, x, state)
    for t in range(4):
        state = np.tanh(x[t] + state)
        equal(found[t], x[t] * state)


def test_a_lifted_call_of_the_whole_wire_is_read_a_step_before() -> None:
    text = """
        use std.nn.{linear}
        diagram rnn(A: [t d], H0: [d]) -> [t d] {
          learn V: linear[d -> d]
          return H[t d] = tanh(A[t d] + where(t > 0, V(H)[t - 1, d], H0[d]))
        }
    """
    a, state, w = normal(5, 2), normal(2, seed=1), normal(2, 2, seed=2)
    found = result(text, a, state, parameters={"V.weight": w})
    before = state
    for t in range(5):
        state = np.tanh(a[t] + before)
        equal(found[t], state)
        before = w @ state


def test_naturals_choose_the_next_index() -> None:
    text = """
        diagram walk(Next: N(v)[v], s: N(v)[], X: [t]) -> [t] {
          R[t] = where(t > 0, Next[R[t - 1]], s)
          return X[t] + real(R)
        }
    """
    text = text.replace("return X[t]", "return Y[t] = X[t]").replace("real(R)", "real(R[t])")
    equal(result(text, [2, 0, 1], 0, np.zeros(5)), [0, 2, 1, 0, 2])


def test_truth_values_and_naturals_are_carried() -> None:
    text = """
        diagram f(I: N(v)[t], M: B[t]) -> (B[t], [t]) {
          C[t] = I[t] + where(t > 0, C[t - 1], 0)
          S[t] = M[t] or where(t > 0, S[t - 1], C[t] > 2)
          return S, real(C)
        }
    """
    seen, count = results(text, [1, 0, 2, 1], [False, True, False, False], sizes={"v": 3})
    assert seen.tolist() == [False, True, True, True]
    equal(count, [1, 1, 3, 4])


def test_a_guard_keeps_a_gather_earlier() -> None:
    text = """
        diagram f(P: N(t)[t], X: [t]) -> [t] {
          return F[t] = X[t] + where(P[t] < t, F[P[t]], 0)
        }
    """
    equal(result(text, [0, 0, 1, 1], np.ones(4)), [1, 2, 3, 3])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("cumsum[x](X)", lambda x: x.cumsum(0)),
        ("cumprod[m](X)", lambda x: x.cumprod(1)),
        ("cummax[x](X)", lambda x: np.maximum.accumulate(x, 0)),
    ],
)
def test_running_values(call, expected) -> None:
    x = normal(5, 3)
    equal(result(f"diagram f(X: [x m]) -> [x m] {{ return {call} }}", x), expected(x))


# ---- what a recurrence is -----------------------------------------------------------------------


def test_what_only_feeds_a_recurrence_stands_before_it() -> None:
    checked = diagram(LSTM)
    assert isinstance(checked.steps[-1], Recurrence)
    before = [step.callee.name for step in checked.steps[:-1] if isinstance(step, Invoke)]
    assert before == ["affine"] * 4
    order = [name for step in scan_of(checked).steps for name in made(step) if name[0] != "_"]
    assert order.index("P") < order.index("I") < order.index("C") < order.index("H")


def test_definitions_between_are_put_in_order() -> None:
    text = """
        use std.nn.{linear}
        diagram f(X: [t d]) -> [t d] {
          learn L: linear[d -> d]
          P[t d] = where(t > 0, H[t - 1, d], 0)
          Z = relu(P)
          B = L(X)
          H[t d] = P[t d] + B[t d]
          return Z
        }
    """
    steps = diagram(text).steps
    assert [type(step) for step in steps] == [Invoke, Recurrence, Define]
    x = normal(4, 2)
    equal(
        result(text, x, parameters={"L.weight": np.eye(2)}),
        np.maximum(np.vstack([np.zeros((1, 2)), x.cumsum(0)[:-1]]), 0),
    )


def test_a_block_changes_nothing() -> None:
    plain = """
        diagram f(A: [t d]) -> [t d] {
          Z = exp(A)
          P[t d] = where(t > 0, H[t - 1, d], 0)
          H[t d] = Z[t d] + P[t d]
          return H
        }
    """
    opened = plain.replace("Z = exp", 'block "a" { Z = exp').replace(", 0)\n", ", 0) }\n")
    steps = diagram(opened).steps
    assert [type(step) for step in steps] == [BlockStep, Recurrence]
    a = normal(4, 2)
    equal(result(opened, a), result(plain, a))
    inside = plain.replace("P[t d] =", 'block "a" { P[t d] =')
    inside = inside.replace("+ P[t d]\n", "+ P[t d] }\n")
    (define, block) = diagram(inside).steps
    assert isinstance(define, Define)
    assert isinstance(block, BlockStep)
    assert isinstance(block.steps[0], Recurrence)


def test_results_of_calls_are_the_wires_themselves() -> None:
    text = """
        diagram cell(x: [d], h: [d]) -> [d] { return y[d] = x[d] + h[d] }
        diagram f(X: [t d]) -> [t d] {
          P[t d] = where(t > 0, H[t - 1, d], 0)
          return H[t d] = cell(X, P)
        }
    """
    step = scan_of(diagram(text)).steps[-1]
    assert isinstance(step, Invoke)
    assert [wire.name for wire in step.results] == ["H"]


def level(text: str) -> list[list[str]]:
    """The units of the body of one diagram, by what their statements define."""
    parsed = parse(Source("test.ncd", text)).file.declarations[0]
    assert isinstance(parsed, tree.Diagram)
    return [
        [names(statement) for statement in unit.statements]
        for unit in units(parsed.body or (), lambda name: name in "tdX")
    ]


def names(statement: tree.Statement) -> str:
    match statement:
        case tree.Equation():
            return ",".join(target.name.text for target in statement.targets)
        case tree.Block():
            return f"{statement.title.value}({' '.join(map(names, statement.body))})"
        case tree.Declaration() | tree.Learn() | tree.AxisStatement():
            return "declared"
        case _:
            return "other"


def test_blocks_are_taken_apart_where_a_circle_goes_through_them() -> None:
    text = """diagram f(X: [t]) -> [t] {
      block "a" {
        A = X
        block "b" {
          B[t] = D[t]
          C = A
        }
        E = A
      }
      D[t] = B[t]
      return D
    }"""
    assert level(text) == [["a(A)"], ["B", "D"], ["a(b(C) E)"], ["other"]]


def test_without_a_recurrence_the_order_is_that_of_the_text() -> None:
    text = """diagram f(X: [t]) -> [t] {
      A = X
      Y: [t]
      Y[t] += A[t]
      block "b" { B = Y }
      return B
    }"""
    assert level(text) == [["A"], ["declared"], ["Y"], ["b(B)"], ["other"]]


# ---- scans --------------------------------------------------------------------------------------


def test_a_recurrence_is_one_scan() -> None:
    graph = lower(diagram(SSM))
    (edge,) = graph.edges
    scan = edge.operator
    assert isinstance(scan, Scan)
    assert scan.axis.name == "t"
    assert not scan.reverse
    assert edge.degree == ()
    assert {operand.wire.name for operand in edge.inputs} == {"A", "U", "H0"}
    assert all(all(operand.weave) for operand in edge.inputs)
    assert [wire.name for wire in graph.outputs] == ["H"]
    outputs = {result.wire for result in edge.outputs}
    assert outputs == {result.wire for inner in scan.edges for result in inner.outputs}
    reads = [e for e in scan.edges if isinstance(e.operator, Reindex) and e.operator.guarded]
    assert [operand.wire.name for e in reads for operand in e.inputs] == ["H"]


def test_calls_in_a_scan_are_tiled_over_its_axis() -> None:
    graph = lower(diagram(LSTM))
    scan = graph.edges[-1].operator
    assert isinstance(scan, Scan)
    calls = [edge for edge in scan.edges if isinstance(edge.operator, Library)]
    assert len(calls) == 4
    assert all(edge.degree == (scan.axis,) for edge in calls)
    assert not any(isinstance(e.operator, Pointwise) for e in graph.edges)


def test_every_wire_of_a_program_is_defined_once() -> None:
    for text in (SSM, LSTM):
        checked = diagram(text)
        wires = [name for step in walk(checked.steps) for name in made(step)]
        assert len(wires) == len(set(wires))
