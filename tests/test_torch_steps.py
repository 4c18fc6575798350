"""Scatters, recurrences, casts and operators in emitted PyTorch, against the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from ncdlang.backends.pytorch import register
from torch_cases import BATCHES, Sizes, as_tuple, built, inputs_of, library, names

import ncdlang
from ncdlang import NcdError

SCATTERS = """
diagram add_rows(I: N(v)[n], U: [n d], B: [v d]) -> [v d] {
  Y: [v d]
  Y[I[n], d] += U[n d]
  return Y + B
}
diagram transposed(G: [x' j c]) -> [x c] {
  axis x = size(x') + size(j)
  Y: [x c]
  Y[x' + j, c] += G[x' j c]
  return Y
}
diagram interleave(A: [n d], B: [n d]) -> [d x] {
  axis x = 2 * size(n)
  Y: [d x]
  Y[d, 2*n] = A[n d]
  Y[d, 2*n + 1] = B[n d]
  return Y
}
diagram backwards(U: [n d]) -> [n d] {
  Y: [n d]
  Y[size(n) - 1 - n, d] = U[n d]
  return Y
}
diagram histogram(I: N(v)[n], B: [v]) -> [v] {
  Y: [v]
  Y[I[n]] += 1
  return Y + B
}
diagram on_diagonal(A: [i]) -> [i i'] {
  axis i' = size(i)
  Y: [i i']
  Y[i, i + 0] = A[i]
  return Y
}
diagram extremes(I: N(v)[n], J: N(w)[n], U: [n d], B: [v d w]) -> ([v d w], [v d w]) {
  Y: [v d w]
  Y[v, d, w] = B[v d w]
  Y[I[n], d, J[n]] max= U[n d]
  Z: [v d w]
  Z[v, d, w] = B[v d w]
  Z[I[n], d, J[n]] min= U[n d]
  return Y, Z
}
diagram products(I: N(v)[n], U: [d n], B: [v]) -> [d v] {
  Y: [d v]
  Y[d, I[n]] *= U[d n]
  return Y[d v] * B[v]
}
diagram in_turn(I: N(v)[n], U: [n d], B: [v d]) -> [v d] {
  Y: [v d]
  Y[v d] = B[v d]
  Y[I[n], d] += U[n d] * 2
  Y[v d] *= B[v d]
  return Y
}
diagram flat(U: [x h k]) -> [x, (h k)] {
  Y: [x, (h k)]
  Y[x, (h k)] = U[x h k]
  return Y
}
diagram one_place(U: [d], B: [x]) -> [x' d] {
  axis x' = size(x) + 1
  Y: [x' d]
  Y[size(x), d] += U[d]
  return Y
}
diagram apart(J: N(v)[x n], U: [d n x], B: [d v x]) -> [d v x] {
  Y: [d v x]
  Y[d, J[x n], x] += U[d n x]
  Y[d, J[x n], x] max= B[d, J[x n], x]
  return Y + B
}
diagram one_to_one(P: N(v)[x n], U: [x n], K: [n d], B: [v]) -> ([x, (n v)], [n d]) {
  Y: [x, (n v)]
  Y[x, size(v) * n + P[x n]] = U[x n]
  R = argsort[n](sum[d](K))
  Z: [n d]
  Z[R[n], d] = K[n d]
  return Y, Z
}
diagram over_slices(U: [n], V: [n], B: [d]) -> [n z d] {
  axis z = 2
  Y: [n z d]
  Y[n, 0, d] = U[n] * B[d]
  Y[n, 1, d] += V[n]
  Y[n, 0, d] *= V[n]
  Y[n, 0, d] max= B[d]
  return Y
}
diagram marks(I: N(v)[n], M: B[n], B: [v]) -> (B[v], N(v)[n]) {
  Y: N(v)[n]
  Y[n] max= I[n]
  Z: B[v]
  Z[v] = B[v] > 0
  return Z, Y
}
"""

RECURRENCES = """
use std.nn.{linear, affine, rms_norm}
diagram ssm(A: [t d], U: [t d], H0: [d]) -> [t d] {
  return H[t d] = A[t d] * where(t > 0, H[t - 1, d], H0[d]) + U[t d]
}
diagram reverse(A: [t d]) -> [t d] {
  return H[t d] = A[t d] * where(t + 2 < size(t), H[t + 2, d], 1)
    + where(t + 1 < size(t), H[t + 1, d], 0)
}
diagram gated(X: [t d]) -> [t d] {
  learn Z: linear[d -> d]
  G[t d] = sigmoid(Z(X)[t d] + where(t > 0, H[t - 1, d], 0))
  K = relu(G)
  H[t d] = G[t d] * X[t d]
  return H + K
}
diagram rnn[d](X: [t m], H0: [d]) -> [t d] {
  learn U: linear[m -> d]
  learn V: linear[d -> d]
  A = U(X)
  return H[t d] = tanh(A[t d] + where(t > 0, V(H)[t - 1, d], H0[d]))
}
diagram fibonacci(X: [t]) -> [t] {
  return F[t] = where(t > 1, F[t - 1] + F[t - 2], X[t])
}
diagram all_before(X: [t]) -> [t] {
  return F[t] = X[t] + sum[s](where(s < t, F[s], 0))
}
diagram all_after(X: [t d]) -> [t d] {
  return F[t d] = X[t d] + sum[s](where(s > t, F[s d] * 0.5, 0))
}
diagram delta_rule(K: [t d], V: [t e], B: [t]) -> [t e] {
  P[t e] = where(t > 0, S[t - 1, d, e], 0) * K[t d]
  S[t d e] = where(t > 0, S[t - 1, d, e], 0) + B[t] * K[t d] * (V[t e] - P[t e])
  return P
}
diagram resets(X: [t d], M: B[t]) -> [t d] {
  return H[t d] = X[t d] + where(M[t] and t > 0, H[t - 1, d], 0)
    + where(t > 0, where(M[t], 1, H[t - 1, d] * 0.5), 0)
}
diagram far(X: [t d]) -> [t d] {
  return H[t d] = X[t d] + where(t > 2, H[t - 3, d] * 0.5, where(t > 0, H[0, d], 1))
    + where(t > 0, H[t // 2, d] * 0.5, 0)
}
diagram crossing(X: [t d]) -> ([t d], [t d]) {
  A[t d] = X[t d] + where(t > 0, C[t - 1, d], 0)
  C[t d] = tanh(A[t d]) * 2
  return A, C
}
diagram singular(X: [t d]) -> [t d] {
  return H[t d] = 1 + X[t d]^2 + where(t > 0, sqrt(H[t - 1, d]) / H[t - 1, d], 0)
}
diagram shifted(X: [t d], W: [t]) -> [t d] {
  return H[t d] = where(t > 0, H[t - 1, d] * X[t - 1, d], 0)
    + sum[s](where(s <= t, W[s] * X[s d], 0))
}
diagram grid(X: [y x d]) -> [y x d] {
  return H[y x d] = X[y x d] + where(y > 0 and x > 0, H[y - 1, x - 1, d], 0)
    + where(y > 0, H[y - 1, x, d] * 0.5, 0)
}
diagram flattened(X: [y x d]) -> [(y x), d] {
  return H[(y x), d] = X[y x d]
    + where(size(x)*y + x > 0, H[size(x)*y + x - 1, d], 0)
}
diagram taps(X: [t d], W: [j]) -> [t d] {
  return H[t d] = X[t d] + sum[j](where(t > j, W[j] * H[t - 1 - j, d], 0))
}
diagram lookback[w = 2](X: [t]) -> [t] {
  return F[t] = X[t] + where(t >= size(w), F[t - size(w)], 0)
}
diagram middle(X: [d t e]) -> [e t d] {
  return H[e t d] = X[d t e] + where(t > 0, H[e, t - 1, d], 0)
}
diagram attending(X: [t d]) -> [t d] {
  S[t s] = X[t d] * X[s d]
  A = softmax[s](where(s < t, S, -inf))
  return F[t d] = X[t d] + A[t s] * where(s < t, F[s d], 0)
}
diagram walk(T: N(v)[v], E: [v d], W: [t]) -> ([t d], N(v)[t]) {
  assert size(v) > 0
  I[t] = where(t > 0, T[I[t - 1]], T[0])
  Y[t d] = E[I[t], d] * W[t]
  return Y, I
}
diagram so_far(M: B[t]) -> B[t] {
  return A[t] = M[t] or where(t > 0, A[t - 1], 1 < 0)
}
diagram of_indices(X: [t]) -> [t] {
  return F[t] = real(t) + where(t > 0, F[t - 1], 0)
}
diagram cell(X: [d], H: [d]) -> ([d], [d]) {
  A = tanh(X + H)
  return A, X * H
}
diagram lifted_call[d](X: [t m]) -> ([t d], [t d]) {
  learn U: linear[m -> d]
  learn V: affine[d -> d]
  P[t d] = where(t > 0, H[t - 1, d], 0)
  Q = softmax[d](rms_norm[d](V(P)))
  H, G = cell(U(X), Q)
  return H, G
}
"""

SIZES = (
    ["t", "d", "e", "m", "v", "w", "n", "x'", "j", "c", "i", "h", "k", "x", "y"],
    (3, 2, 3, 2, 5, 2, 4, 3, 2, 2, 3, 2, 2, 3, 2),
)
CASES = [
    dict(zip(*SIZES, strict=True)),
    dict.fromkeys(SIZES[0], 1),
    dict(zip(*SIZES, strict=True)) | dict.fromkeys(("t", "n", "y", "x'"), 0),
]


def _check(text: str, name: str, sizes: Sizes, batch: Sequence[tuple[int, ...]]) -> None:
    lib = library(text)
    diagram = lib.program.diagram(name)
    assert diagram is not None
    module, judge = (built(lib, name, sizes, backend) for backend in ("torch", "reference"))
    judge.load_state_dict(module.state_dict())
    inputs = inputs_of(diagram, sizes, batch)
    found, wanted = as_tuple(module(*inputs)), as_tuple(judge(*inputs))
    for y, z in zip(found, wanted, strict=True):
        assert y.shape == z.shape
        torch.testing.assert_close(y.to(z.dtype), z, rtol=1e-9, atol=1e-9)


def _check_gradients(text: str, name: str, sizes: Sizes, batch: Sequence[tuple[int, ...]]) -> None:
    lib = library(text)
    diagram = lib.program.diagram(name)
    assert diagram is not None
    module = built(lib, name, sizes)
    inputs = inputs_of(diagram, sizes, batch)
    reals = [x.requires_grad_() for x in inputs if x.is_floating_point()]
    if not any(y.requires_grad for y in as_tuple(module(*inputs))):
        return

    def differentiable(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        del given
        return tuple(y for y in as_tuple(module(*inputs)) if y.requires_grad)

    assert torch.autograd.gradcheck(differentiable, reals)


@pytest.mark.parametrize("case", range(len(CASES)), ids=["prime", "one", "none"])
@pytest.mark.parametrize("name", names(SCATTERS))
def test_scatters_are_the_reference(name: str, case: int) -> None:
    for batch in BATCHES:
        _check(SCATTERS, name, CASES[case], batch)


@pytest.mark.parametrize("case", range(len(CASES)), ids=["prime", "one", "none"])
@pytest.mark.parametrize("name", names(RECURRENCES))
def test_recurrences_are_the_reference(name: str, case: int) -> None:
    for batch in BATCHES:
        _check(RECURRENCES, name, CASES[case], batch)


@pytest.mark.parametrize("name", names(SCATTERS))
def test_scatters_have_the_right_gradients(name: str) -> None:
    _check_gradients(SCATTERS, name, CASES[0], [(), (2,)])


@pytest.mark.parametrize("name", names(RECURRENCES))
def test_recurrences_have_the_right_gradients(name: str) -> None:
    _check_gradients(RECURRENCES, name, CASES[0], [(), (2,)])


@pytest.mark.parametrize("text", [SCATTERS, RECURRENCES], ids=["scatters", "recurrences"])
def test_all_of_them_can_be_drawn(text: str) -> None:
    lib = library(text)
    for name in lib.diagrams:
        drawn = lib.draw(name, style="graph").gv()
        if name in ("ssm", "reverse"):
            assert "scan along t" in drawn
        if name == "histogram":
            assert "scatter +=" in drawn


# ---- what the text looks like --------------------------------------------------------------------


def _forward(text: str, name: str) -> str:
    source = library(text).source(name)
    return source[source.index("    def forward") :]


def test_a_recurrence_is_a_loop_over_its_steps() -> None:
    text = _forward(RECURRENCES, "ssm")
    assert "for step in range(t):  # along t" in text
    assert (
        "H_steps.append(A_steps[step] * (H_steps[-1] if step > 0 else H0) + U_steps[step])" in text
    )
    assert "A_steps = A.unbind(-2)" in text


def test_what_reads_no_earlier_step_runs_once_before_the_loop() -> None:
    before, _, loop = _forward(RECURRENCES, "lifted_call").partition("for step in")
    assert "self.U(X)" in before
    assert "self.V(" in loop
    assert "self.U(" not in loop


def test_a_read_that_a_condition_does_not_cover_is_zero_where_there_is_no_step() -> None:
    text = _forward(RECURRENCES, "resets")
    assert "H_steps[-1] if len(H_steps) >= 1 else X.new_zeros(d)" in text
    assert "len(" not in _forward(RECURRENCES, "crossing")


def test_writes_in_place_and_slices_need_no_scatter() -> None:
    assert "_scatter" not in _forward(SCATTERS, "interleave")
    assert "_scatter" not in _forward(SCATTERS, "backwards")
    assert "U.flatten(-2)" in _forward(SCATTERS, "flat")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("add_rows", '(U.new_zeros(v, d), (I,), U, "add", new=1, kept=1, below=("add_rows", "I"))'),
        ("add_rows", "sources along n may meet and are added"),
        ("on_diagonal", '"copy"'),
        ("on_diagonal", "each place has one source"),
        ("apart", '(J,), U.transpose(-3, -1), "add", new=1, kept=1'),
        ("apart", "may meet and are added; sources"),
        ("one_to_one", 'U, "copy", new=1, kept=0'),
        ("one_to_one", '(U.new_zeros(n, d), (R,), K, "copy", new=1, kept=1)'),
        ("over_slices", "_write( _write( _write( U.new_zeros(n, 2, d),"),
        ("in_turn", "sources along n may meet and are added"),
    ],
)
def test_classes_of_axes_choose_how_a_scatter_is_done(name: str, said: str) -> None:
    source = library(SCATTERS).source(name)
    forward = source[source.rindex("    def forward") :]
    assert said in " ".join(forward.split())


# ---- errors --------------------------------------------------------------------------------------


def test_an_index_that_leaves_the_array_is_an_error() -> None:
    lib = ncdlang.loads("""
diagram given(I: N(v)[n], U: [n], B: [v]) -> [v] {
  Y: [v]
  Y[I[n]] += U[n]
  return Y + B
}
diagram made(I: N(v)[n], J: N(w)[n], U: [n], B: [v w]) -> [v w] {
  K[n] = J[n] + I[n]
  Y: [v w]
  Y[I[n], K[n]] += U[n]
  return Y + B
}
""")
    with pytest.raises(ValueError, match=r"I holds 5, but must stay in 0 \.\. 4"):
        lib.module("given")(torch.tensor([5]), torch.ones(1), torch.zeros(5))
    with pytest.raises(ValueError, match=r"index K\[n\] is 2, but must stay in 0 \.\. 1"):
        lib.module("made")(torch.tensor([1]), torch.tensor([1]), torch.ones(1), torch.zeros(3, 2))


OPERATORS = """
op swirl[x, n, const by = 1]: [x] -> [n]
op bump: [] -> [] { elementwise }
diagram some(X: [a x]) -> [a n] {
  axis n = 2
  return swirl[x, n = n, by = 3](X)
}
diagram other(X: [a]) -> [a] { return bump(X) }
"""


def test_an_operator_that_nobody_registered_is_named() -> None:
    text = OPERATORS.replace("swirl", "unknown")
    with pytest.raises(
        NcdError, match=r'`op unknown`.* in Python: .*register\("", "unknown", source\)'
    ):
        ncdlang.loads(text).module("some")


def test_operators_are_registered_in_python() -> None:
    register(
        "",
        "swirl",
        '''
class Swirl(nn.Module):
    """The first `n` entries, backwards."""

    def __init__(self, by: int, n: int) -> None:
        super().__init__()
        self.by, self.n = by, n

    def forward(self, X: Tensor) -> Tensor:
        if X.shape[-1] < self.n:
            raise ValueError(f"swirl: {X.shape[-1]} entries are too few")
        return X[..., : self.n].flip(-1) * self.by
''',
    )
    found = library(OPERATORS).module("some")(torch.arange(6.0).view(2, 3))
    assert found.tolist() == [[3.0, 0.0], [12.0, 9.0]]
    with pytest.raises(ValueError, match="swirl: 1 entries are too few"):
        library(OPERATORS).module("some")(torch.zeros(2, 1))


@pytest.mark.parametrize(
    ("source", "message"),
    [("class A(nn.Module): pass\nx = 1", "one class"), ("class A(", "no Python")],
)
def test_what_is_registered_is_the_text_of_a_class(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register("", "wrong", source)


def test_standard_operators_are_pytorch_s() -> None:
    lib = ncdlang.loads("""
use std.nn.{dropout}
diagram noisy(X: [n d]) -> [n d] { return dropout[0.5](X) }
diagram ordered(X: [n d]) -> [n d] { return sort[n](X) }
diagram best(G: [n e]) -> ([n k], N(e)[n k]) {
  axis k = 2
  V[n k], I[n k] = top_k[e, k](G)
  return V, I
}
""")
    X = torch.randn(4, 5)
    assert torch.equal(lib.module("ordered")(X), X.sort(0).values)
    values, places = lib.module("best")(X)
    assert torch.equal(values, X.topk(2).values)
    assert torch.equal(places, X.topk(2).indices)
    module = lib.module("noisy")
    assert torch.equal(module.eval()(X), X)
    assert set((module.train()(X) / X).round(decimals=3).flatten().tolist()) <= {0.0, 2.0}


def test_a_loop_runs_in_any_format() -> None:
    module = library(RECURRENCES).module("ssm", dtype="bf16")
    A, U = torch.rand(2, 3, 2).bfloat16(), torch.rand(3, 2).bfloat16()
    assert module(A, U, torch.zeros(2).bfloat16()).dtype == torch.bfloat16


def test_the_page_on_operators_is_true() -> None:
    page = Path(__file__).parents[1] / "docs" / "operators.md"
    blocks = re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL)
    for language, text in blocks:
        if language == "python":
            exec(compile(text, "operators.md", "exec"), {})
    lib = ncdlang.loads("".join(text for language, text in blocks if language == "ncd"))
    X = torch.randn(2, 3, 4, dtype=torch.float64)
    for backend in ("torch", "reference"):
        found = lib.module("both", dtype="f64", backend=backend)(X)
        torch.testing.assert_close(found, X + X.flip(-1))
