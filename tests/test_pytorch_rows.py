"""Layer norm and cross entropy by equations become one call, and nothing else does."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_judge import Case, assert_same, build, inputs, judge, judged, program, source

NORM, ENTROPY = "F.layer_norm(", "F.cross_entropy("
AT = {"t": 3, "m": 4, "s": 2, "n": 5, "v": 4, "b": 2, "d": 3}


def calls(case: Case, call: str) -> int:
    return source(case.text, case.name, case.sizes).count(call)


# ---- layer norm ----------------------------------------------------------------------------------

MEANS = ("mean[{m}](X)", "sum[{m}](X) / {size}", "sum[{m}](X[{x}] / {size})")
VARIANCES = (
    "mean[{m}](C * C)",
    "mean[{m}](C[{x}]^2)",
    "C[{x}] * C[{x}] / {size}",
    "sum[{m}](C * C) / {size}",
    "mean[{m}](X * X) - a * a",
    "mean[{m}](X * C)",
    "norm[{m}](C)^2 / {size}",
)
ROOTS = (
    "{c} / sqrt(b{t} + {eps})",
    "rsqrt({eps} + b{t}) * {c}",
    "{c} * (b{t} + {eps})^(-0.5)",
    "{c} / (b{t} + {eps})^0.5",
    "{c} * (1 / sqrt(b{t} + {eps}))",
)
WEIGHTS = ("{y}", "g[{m}] * {y}", "({y}) * g[{m}]", "2 * {y}", "h[t] * {y}", "(1 + g[{m}]) * ({y})")
BIASES = ("{y}", "{y} + f[{m}]", "h[t] + {y}", "{y} - f[{m}]")


def norm(
    mean: str, variance: str, root: str, weight: str, bias: str, eps: str, axes: str, out: str
) -> Case:
    """A layer norm over m, or over m and s where `axes` has both."""
    inner = " ".join(axis for axis in axes.split() if axis != "t")
    said = {"m": inner, "x": axes, "eps": eps, "t": "[t]", "c": f"C[{axes}]"}
    said["size"] = " * ".join(f"size({axis})" for axis in inner.split())
    said["size"] = f"({said['size']})"
    made = bias.format(y=weight.format(y=root.format(**said), **said), **said)
    return Case(
        f"""diagram f(X: [{axes}], h: [t]) -> [{out}] {{
          learn g, f: [{inner}]
          a[t] = {mean.format(**said)}
          C[{axes}] = X[{axes}] - a[t]
          b[t] = {variance.format(**said)}
          return Y[{out}] = {made}
        }}""",
        AT,
        built={axis: AT[axis] for axis in inner.split()},
    )


ORDERS = [("t m", "t m"), ("m t", "t m"), ("t m", "m t"), ("t m s", "s t m"), ("m s t", "t s m")]
NORMS = st.builds(
    lambda order, **parts: norm(**parts, axes=order[0], out=order[1]),
    order=st.sampled_from(ORDERS),
    mean=st.sampled_from(MEANS),
    variance=st.sampled_from(VARIANCES),
    root=st.sampled_from(ROOTS),
    weight=st.sampled_from(WEIGHTS),
    bias=st.sampled_from(BIASES),
    eps=st.sampled_from(["1e-5", "0.1", "1"]),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(NORMS)
def test_layer_norms_are_found_however_they_are_written(case: Case) -> None:
    assert calls(case, NORM) == 1
    module, reference = judged(program(case.text), case.name, case.sizes)
    diagram = program(case.text).diagram("f")
    assert diagram is not None
    for leads in ([(), ()], [(2,), (2,)], [(), (2,)]):
        given_ = inputs(diagram.parameters, AT, leads)
        assert_same(module(*given_), reference(*given_))


NEARLY = {
    "another axis": ("m", "s", "mean[s](C * C)"),
    "not centred": ("m", "m", "mean[m](X * X)"),
    "an unbiased variance": ("m", "m", "sum[m](C * C) / (size(m) - 1)"),
    "a scaled variance": ("m", "m", "2 * mean[m](C * C)"),
    "a negative eps": ("m", "m", "mean[m](C * C) - 1"),
    "a varying eps": ("m", "m", "mean[m](C * C) + h[t]"),
    "the spread of another array": ("m", "m", "mean[m](D * D) - mean[m](D)^2"),
}


@pytest.mark.parametrize("name", NEARLY)
def test_what_is_nearly_a_layer_norm_is_none(name: str) -> None:
    first, second, variance = NEARLY[name]
    square = first == "m" and second == "s"
    axes = "t m s" if square else "t m"
    kept = "t m" if square else "t"
    mean = "t s" if square else "t"
    case = Case(
        f"""diagram f(X: [{axes}], D: [{axes}], h: [t]) -> [{axes}] {{
          a[{mean}] = mean[m](X)
          C[{axes}] = X[{axes}] - a[{mean}]
          b[{kept}] = {variance}
          return Y[{axes}] = C[{axes}] / sqrt(abs(b[{kept}]) + 0.5) + D + h[t]
        }}"""
        if name == "a negative eps"
        else f"""diagram f(X: [{axes}], D: [{axes}], h: [t]) -> [{axes}] {{
          a[{mean}] = mean[m](X)
          C[{axes}] = X[{axes}] - a[{mean}]
          b[{kept}] = {variance}
          return Y[{axes}] = C[{axes}] / sqrt(b[{kept}] + 0.5) + D + h[t]
        }}""",
        AT,
    )
    assert calls(case, NORM) == 0
    judge(case)


def test_a_mean_along_the_other_axis_of_a_square_is_no_layer_norm() -> None:
    case = Case(
        """diagram f(X: [t m]) -> [t m] {
          assert size(t) == size(m)
          a[t] = mean[m](X)
          C[t m] = X[t m] - a[m]
          b[t] = mean[m](C * C)
          return Y[t m] = C[t m] / sqrt(b[t] + 1)
        }""",
        {"t": 3, "m": 3},
    )
    assert calls(case, NORM) == 0
    judge(case)


def test_wires_that_are_used_elsewhere_are_made() -> None:
    case = Case(
        """diagram f(X: [t m]) -> ([t m], [t], [t m]) {
          a[t] = mean[m](X)
          C[t m] = X[t m] - a[t]
          b[t] = mean[m](C * C)
          Y[t m] = C[t m] * rsqrt(b[t] + 1e-3)
          return Y, b, C
        }""",
        AT,
    )
    assert calls(case, NORM) == 1
    judge(case)


def test_residuals_are_normed_and_added() -> None:
    """The normed array is itself a sum, and what is added depends on it."""
    case = Case(
        """diagram f(A: [t m], B: [t m], g: [t m]) -> [t m] {
          X[t m] = A[t m] + B[t m]
          D[t m] = X[t m] - mean[m](X)
          r[t] = rsqrt(mean[m](D * D) + 0.1)
          return Y[t m] = X + (1 + g[t m]) * D[t m] * r[t]
        }""",
        AT,
    )
    assert calls(case, NORM) == 1
    judge(case)


@pytest.mark.parametrize(("t", "m"), [(0, 4), (3, 0), (0, 0), (1, 1)])
def test_empty_layer_norms(t: int, m: int) -> None:
    text = """diagram f(X: [t m]) -> [t m] {
      C[t m] = X[t m] - sum[m](X) / size(m)
      return Y[t m] = C[t m] * rsqrt(sum[m](C * C) / size(m) + 1)
    }"""
    module, reference = judged(program(text), "f", {})
    assert NORM in source(text)
    x = torch.randn(t, m, dtype=torch.float64)
    assert_same(module(x), reference(x))


def test_huge_numbers_and_deep_roots_are_left_alone() -> None:
    powers = "\n".join(f"  P{i} = 3 * P{i - 1}^64" for i in range(1, 9))
    roots = "\n".join(f"  R{i} = sqrt(R{i - 1} + sqrt(R{i - 1} + 1))" for i in range(1, 25))
    text = f"""diagram f(X: [m]) -> ([m], [m]) {{
      P0[m] = X[m] - mean[m](X)
      R0[m] = X[m] - mean[m](X)
    {powers}
    {roots}
      return P8, R24
    }}"""
    assert NORM not in source(text)


@pytest.mark.parametrize("dtype", ["bf16", "f16", "f32"])
def test_formats_of_layer_norm(dtype: str) -> None:
    text = norm(MEANS[0], VARIANCES[0], ROOTS[0], WEIGHTS[1], BIASES[1], "1e-5", "t m", "t m").text
    module = build(text, sizes={"m": 4}, dtype=dtype)
    exact = build(text, sizes={"m": 4})
    exact.load_state_dict(module.state_dict())
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    kind = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[dtype]
    found, wanted = (
        module(x.to(kind), torch.zeros(5, dtype=kind)),
        exact(x.to(kind).double(), torch.zeros(5, dtype=torch.float64)),
    )
    assert found.dtype == kind
    assert (found.double() - wanted).norm() / wanted.norm() < 4 * torch.finfo(kind).eps


# ---- cross entropy -------------------------------------------------------------------------------

LOSSES = {
    "difference": "  z[{t}] = logsumexp[v](Z)\n  l[{t}] = z[{t}] - Z[{at}]\n",
    "negative": "  z[{t}] = logsumexp[v](Z)\n  l[{t}] = -(Z[{at}] - z[{t}])\n",
    "log softmax": "  P = log_softmax[v](Z)\n  l[{t}] = -P[{at}]\n",
}
REDUCED = ("mean[{t}](l)", "sum[{t}](l)", "l", "mean[n](l[{t}] * l[{t}])", "-mean[n](-l)")


def entropy(loss: str, order: str, index: str, reduced: str) -> Case:
    lead = " ".join(axis for axis in order.split() if axis != "v")
    at = ", ".join(f"T[{index}]" if axis == "v" else axis for axis in order.split())
    returned = reduced.format(t=lead)
    kept = lead if returned == "l" else "" if returned != "mean[n](l[b n] * l[b n])" else "b"
    if "b" in lead and returned in ("mean[n](l[n b] * l[n b])", "-mean[n](-l)"):
        kept = "b"
    out = f"[{kept}]"
    return Case(
        f"diagram f(A: [{lead} d], W: [v d], T: N(v)[{index}]) -> {out} {{\n"
        f"  Z[{order}] = A[{lead} d] * W[v d]\n{LOSSES[loss].format(t=lead, at=at)}"
        f"  return {returned}\n}}",
        AT,
    )


ORDERED = [("n v", "n"), ("v n", "n"), ("b n v", "n"), ("n v b", "n b"), ("b n v", "n b")]


@pytest.mark.parametrize(("loss", "order"), [*product(LOSSES, ORDERED)])
@settings(max_examples=2, deadline=None, derandomize=True)
@given(reduced=st.sampled_from(REDUCED))
def test_cross_entropies_are_found_however_they_are_written(
    loss: str, order: tuple[str, str], reduced: str
) -> None:
    case = entropy(loss, *order, reduced)
    assert calls(case, ENTROPY) == 1
    judge(case)


NO_LOSSES = {
    "the largest logit": "max[v](Z[n v]) - Z[n, T[n]]",
    "a sum": "logsumexp[v](Z[n v]) + Z[n, T[n]]",
    "another factor": "2 * logsumexp[v](Z[n v]) - Z[n, T[n]]",
    "logits of another array": "logsumexp[v](Z[n v]) - Z2[n, T[n]]",
    "another row": "logsumexp[v](Z[n v]) - Z[U[n], T[n]]",
}


@pytest.mark.parametrize("name", NO_LOSSES)
def test_what_is_nearly_a_cross_entropy_is_none(name: str) -> None:
    case = Case(
        "diagram f(Z: [n v], Z2: [n v], T: N(v)[n], U: N(n)[n]) -> [n] {\n"
        f"  return y[n] = {NO_LOSSES[name]}\n}}",
        AT,
    )
    assert calls(case, ENTROPY) == 0
    judge(case)


LOGITS = """diagram f(Z: [n v], T: N(v)[n]) -> [n] {
  return y[n] = logsumexp[v](Z[n v]) - Z[n, T[n]]
}"""


@pytest.mark.parametrize(("n", "v"), [(0, 4), (0, 0), (3, 1)])
def test_empty_cross_entropies(n: int, v: int) -> None:
    module, reference = judged(program(LOGITS), "f", {})
    z, t = torch.randn(n, v, dtype=torch.float64), torch.zeros(n, dtype=torch.int64)
    assert_same(module(z, t), reference(z, t))


def test_logits_of_minus_infinity() -> None:
    module, reference = judged(program(LOGITS), "f", {})
    z = torch.tensor([[0.0, -math.inf, 2.0], [-math.inf, 1.0, 0.0], [-math.inf] * 3]).double()
    for target in ([0, 0, 0], [1, 2, 1]):
        found, wanted = (f(z, torch.tensor(target)) for f in (module, reference))
        torch.testing.assert_close(found, wanted.to(found.dtype), equal_nan=True)


def test_the_logarithm_of_softmax_keeps_its_value_for_rows_of_minus_infinity() -> None:
    text = """diagram f(Z: [n v], T: N(v)[n]) -> [n] {
      P = log_softmax[v](Z)
      return y[n] = -P[n, T[n]]
    }"""
    assert ENTROPY not in source(text)
    module, reference = judged(program(text), "f", {})
    z, t = torch.full((2, 3), -math.inf, dtype=torch.float64), torch.tensor([0, 2])
    torch.testing.assert_close(module(z, t), reference(z, t))


@pytest.mark.parametrize("target", [[-1, 0], [0, 3], [-100, 0]])
def test_classes_out_of_range_are_told(target: list[int]) -> None:
    module = build(LOGITS)
    with pytest.raises(ValueError, match="T holds"):
        module(torch.randn(2, 3).double(), torch.tensor(target))


def test_gradients_are_those_of_the_equations() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 2, 1, 1])
    assert torch.autograd.gradcheck(lambda z: build(LOGITS)(z, target), (x,))


# ---- softmax of rows that may be only -inf -------------------------------------------------------

SOFTMAX = "diagram f(X: [t m]) -> [t m] { return softmax[m](X) }"
HIDDEN = {
    "none": [],
    "some": [(0, 0), (1, 2)],
    "a row": [(1, 0), (1, 1), (1, 2)],
    "the first entries": [(0, 0), (1, 0), (2, 0)],
}


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_softmax_is_the_same_when_it_is_compiled(name: str, dtype: torch.dtype) -> None:
    module = build(SOFTMAX, dtype="f64" if dtype == torch.float64 else "bf16")
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).to(dtype)
    for place in HIDDEN[name]:
        x[place] = -math.inf
    torch.compiler.reset()
    results = []
    for run in (module, torch.compile(module, backend="eager", fullgraph=True)):
        given_ = x.clone().requires_grad_()
        made = run(given_)
        made.square().sum().backward()
        assert given_.grad is not None
        results.append((made.detach(), given_.grad))
    for own, other in zip(*results, strict=True):
        torch.testing.assert_close(own, other)
    dead = (x == -math.inf).all(-1)
    assert not results[0][0][dead].any()
    assert not results[0][1][dead].any()
