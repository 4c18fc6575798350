"""Recurrences, scatters and operators in the printed stages."""

from __future__ import annotations

import pytest
from by_definition import diagram

from ncdlang.ir.lower import lower
from ncdlang.ir.text import render
from ncdlang.report.types import render_types
from ncdlang.semantics.program import ApplyDiagram, Define, Invoke, walk
from ncdlang.semantics.text import render_checked

GATED = """
    use std.nn.{affine, linear}
    diagram gated(X: [t m], H0: [d]) -> [t d] {
      learn W: affine[m -> d]
      learn U: linear[d -> d]
      block "State" {
        P[t d] = where(t > 0, H[t - 1, d], H0[d])
        Z = sigmoid(W(X) + U(P))
        H[t d] = Z[t d] * P[t d] + (1 - Z[t d]) * tanh(P[t d])
      }
      return H
    }
"""
BACKWARDS = """
    diagram backwards(A: [t]) -> [t] {
      return H[t] = A[t] + where(t + 1 < size(t), H[t + 1] / 2, 0)
    }
"""
WRITES = """
    diagram writes(X: [n d], I: N(v)[n], Z: [v d]) -> [v d] {
      Y: [v d]
      Y[v d] = Z[v d]
      Y[I[n], d] += exp(X[n d])
      Y[v, size(d) - 1 - d] max= Z[v d]
      return Y
    }
"""
OPERATORS = """
    use std.nn.{dropout}
    diagram operators[k = 2](G: [n e]) -> ([n k], N(e)[n k], bf16[n e]) {
      D = dropout[0.1](G)
      V[n k], I[n k] = top_k[e, k](D)
      return V, I, cast[bf16](sort[e](G))
    }
"""


@pytest.mark.parametrize("text", [GATED, BACKWARDS, WRITES, OPERATORS])
def test_steps_are_printed(text: str, golden) -> None:
    checked = diagram(text)
    golden(f"steps/{checked.name}.checked.txt", render_checked(checked))
    golden(f"steps/{checked.name}.diagram.txt", render(lower(checked)))
    golden(f"steps/{checked.name}.types.txt", render_types(checked))


def test_an_operator_is_printed_with_what_it_requires() -> None:
    steps = list(walk(diagram(OPERATORS).steps))
    applied = [step.expression for step in steps if isinstance(step, Define)]
    callees = [value.callee for value in applied if isinstance(value, ApplyDiagram)]
    callees += [step.callee for step in steps if isinstance(step, Invoke)]
    printed = {callee.name: render_checked(callee) for callee in callees}
    assert printed["sort"] == "op sort(input_1: [x]) -> output_1: [x]\n"
    assert printed["dropout"].endswith("output_1: [] { elementwise, random }\n")
    head, requirement = printed["top_k"].splitlines()
    assert head == "op top_k[t](input_1: [e]) -> (output_1: [t], output_2: N(e)[t])"
    assert requirement.startswith("  assert size(t) <= size(e)  # ")
