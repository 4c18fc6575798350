"""The standard library at its edges: masks, extremes, nothing to do, training, and state."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ncdlang

BACKENDS = ("torch", "reference")
DOUBLE = torch.float64


def built(text: str, backend: str = "torch", dtype: str = "f64", **sizes: int) -> nn.Module:
    return ncdlang.loads(text).module(backend=backend, dtype=dtype, sizes=sizes)


def scalar(expression: str, backend: str) -> Callable[[Tensor], Tensor]:
    return built(f"diagram f(x: [n]) -> [n] {{ return {expression} }}", backend)


# ---- -inf ----------------------------------------------------------------------------------------

SOFTMAXES = {
    "one axis": "diagram f(S: [b x]) -> [b x] { return softmax[x](S) }",
    "two axes": """diagram f(S: [b x]) -> [b x] {
      axis y = 1
      T[b x y] = S[b x]
      P = softmax[x y](T)
      return Y[b x] = P[b, x, 0]
    }""",
}
ROWS = torch.tensor(
    [[-math.inf] * 3, [1.0, -math.inf, 2.0], [0.0, 700.0, -700.0], [1e300, -1e300, 0.0]],
    dtype=DOUBLE,
)


@pytest.mark.parametrize("text", SOFTMAXES.values(), ids=SOFTMAXES)
def test_softmax_of_masked_rows(text: str) -> None:
    wanted = ROWS.softmax(-1).nan_to_num(0)
    for backend in BACKENDS:
        torch.testing.assert_close(built(text, backend)(ROWS), wanted)
    S = ROWS.clone().requires_grad_()
    built(text)(S).square().sum().backward()
    T = ROWS[1:].clone().requires_grad_()
    T.softmax(-1).square().sum().backward()
    assert S.grad is not None
    assert T.grad is not None
    assert not S.grad[0].any()
    torch.testing.assert_close(S.grad[1:], T.grad)


@pytest.mark.parametrize("text", [t.replace("softmax", "log_softmax") for t in SOFTMAXES.values()])
def test_log_softmax_of_masked_rows(text: str) -> None:
    wanted = ROWS.log_softmax(-1).nan_to_num(-math.inf, neginf=-math.inf)
    for backend in BACKENDS:
        torch.testing.assert_close(built(text, backend)(ROWS), wanted)
    S = ROWS.clone().requires_grad_()
    built(text)(S)[:, 0].nan_to_num(0, neginf=0).sum().backward()
    assert S.grad is not None
    assert S.grad.isfinite().all()


def test_attention_of_a_query_that_sees_nothing() -> None:
    text = """
    use std.attention.{masked_attention}
    diagram f(Q: [q h k], K: [x h k], V: [x h e], M: B[q x]) -> [q h e] {
      return masked_attention(Q, K, V, M)
    }
    """
    Q, K, V = (torch.randn(n, 2, 3, dtype=DOUBLE, requires_grad=True) for n in (3, 5, 5))
    M = torch.tensor([[True] * 5, [False] * 5, [True, False, False, True, False]])
    Y = built(text)(Q, K, V, M)
    assert not Y[1].any()
    torch.testing.assert_close(Y.detach(), built(text, "reference")(Q, K, V, M))
    Y.square().sum().backward()
    assert all(X.grad is not None and X.grad.isfinite().all() for X in (Q, K, V))
    assert Q.grad is not None
    assert not Q.grad[1].any()


def test_cross_entropy_of_forbidden_classes() -> None:
    text = """
    use std.loss.{cross_entropy}
    diagram f(L: [n v], T: N(v)[n]) -> [n] { return cross_entropy[v](L, T) }
    """
    L = torch.tensor([[0.5, -math.inf, 2.0], [-math.inf, -math.inf, 3.0]], dtype=DOUBLE)
    T = torch.tensor([0, 2])
    wanted = F.cross_entropy(L, T, reduction="none")
    for backend in BACKENDS:
        torch.testing.assert_close(built(text, backend)(L, T), wanted)
    variable = L.clone().requires_grad_()
    built(text)(variable, T).sum().backward()
    assert variable.grad is not None
    assert variable.grad.isfinite().all()
    with pytest.raises(ValueError, match=r"T"):
        built(text)(L, torch.tensor([0, 3]))


# ---- extremes ------------------------------------------------------------------------------------

FAR = torch.tensor([-800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0], dtype=DOUBLE)
STABLE: dict[str, Tensor] = {
    "softplus(x)": torch.logaddexp(FAR, FAR * 0),
    "log_sigmoid(x)": F.logsigmoid(FAR),
    "silu(x)": F.silu(FAR),
    "mish(x)": F.mish(FAR),
    "elu(x)": F.elu(FAR),
    "sinh(x)": torch.sinh(FAR),
    "gelu(x)": F.gelu(FAR),
    "logaddexp(x, -x)": torch.logaddexp(FAR, -FAR),
}


@pytest.mark.parametrize("expression", STABLE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_elementwise_functions_far_out(expression: str, backend: str) -> None:
    found = scalar(expression, backend)(FAR)
    torch.testing.assert_close(found, STABLE[expression], rtol=1e-12, atol=0)


def test_logaddexp_of_infinities() -> None:
    x = torch.tensor([-math.inf, math.inf, 0.0], dtype=DOUBLE)
    for backend in BACKENDS:
        torch.testing.assert_close(scalar("logaddexp(x, x)", backend)(x), x + math.log(2))
        torch.testing.assert_close(scalar("logaddexp(x, -inf)", backend)(x), x)


def test_derivatives_where_pieces_meet() -> None:
    for expression, slope in {
        "softplus(x)": 0.5,
        "log_sigmoid(x)": 0.5,
        "logaddexp(x, 0)": 0.5,
        "elu(x)": 1.0,
        "mish(x)": math.tanh(math.log(2)),
    }.items():
        x = torch.zeros(1, dtype=DOUBLE, requires_grad=True)
        scalar(expression, "torch")(x).sum().backward()
        assert x.grad is not None
        assert x.grad.item() == pytest.approx(slope)


def test_binary_cross_entropy_is_exact_at_both_ends() -> None:
    text = """
    use std.loss.{bce_with_logits}
    diagram f(L: [n], T: [n]) -> [n] {
      axis one = 1
      A[n one] = L[n]
      B[n one] = T[n]
      return bce_with_logits[one](A, B)
    }
    """
    L, T = (
        torch.tensor([50.0, -50.0, 900.0], dtype=DOUBLE),
        torch.tensor([1.0, 0.0, 0.0], dtype=DOUBLE),
    )
    wanted = torch.tensor([math.exp(-50), math.exp(-50), 900.0], dtype=DOUBLE)
    for backend in BACKENDS:
        torch.testing.assert_close(built(text, backend)(L, T), wanted, rtol=1e-12, atol=0)


def test_divergence_of_distributions_with_zeros() -> None:
    text = """
    use std.loss.{kl}
    diagram f(P: [n v], Q: [n v]) -> [n] { return kl[v](P, Q) }
    """
    P = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=DOUBLE)
    Q = torch.tensor([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=DOUBLE)
    wanted = torch.tensor([math.log(2), 0.0, math.inf], dtype=DOUBLE)
    for backend in BACKENDS:
        torch.testing.assert_close(built(text, backend)(P, Q), wanted)
    P.requires_grad_()
    Q.requires_grad_()
    built(text)(P, Q)[:2].sum().backward()
    assert P.grad is not None
    assert Q.grad is not None
    assert P.grad[:2].isfinite().all()
    assert Q.grad[:2].isfinite().all()


# ---- nothing to do -------------------------------------------------------------------------------

NOTHING = {
    "conv1d[3, c' = 4]": (2, 3),
    "conv1d[3, c' = 4, stride = 2, dilation = 3]": (6, 3),
    "linear_conv1d[3, c' = 4]": (2, 3),
    "grouped_conv1d[3, 3, 2]": (2, 3),
    "depthwise_conv1d[3]": (2, 3),
    "conv2d[3, 2, c' = 4]": (5, 1, 3),
    "linear_conv2d[3, 2, c' = 4]": (2, 4, 3),
    "conv_transpose1d[3, c' = 2]": (0, 3),
    "conv_transpose2d[3, 2, c' = 2]": (0, 4, 3),
    "max_pool1d[3]": (2, 3),
    "max_pool2d[3, stride = 1]": (5, 2, 3),
    "avg_pool1d[3]": (0, 3),
}


@pytest.mark.parametrize("call", NOTHING)
def test_convolutions_of_too_little(call: str) -> None:
    name, shape = call.partition("[")[0], NOTHING[call]
    axes, results = ("x c", "x'") if len(shape) == 2 else ("y x c", "y' x'")
    results += " c" if "pool" in name or "depthwise" in name else " f"
    text = f"""
    use std.conv.{{{name}}}
    diagram g(X: [{axes}]) -> [{results}] {{ return {call}(X) }}
    """
    made, judge = built(text, c=3), built(text, "reference", c=3)
    judge.load_state_dict(made.state_dict())
    for lead in ((), (2,), (0,)):
        X = torch.randn(*lead, *shape, dtype=DOUBLE, requires_grad=True)
        Y = made(X)
        torch.testing.assert_close(Y.detach(), judge(X))
        Y.sum().backward()


def test_a_padded_convolution_keeps_the_size() -> None:
    text = """
    use std.conv.{conv1d, pad1d}
    diagram f[c'](X: [b x c]) -> [b x c'] {
      Y[b x c'] = (pad1d[1, 1] >> conv1d[3, c' = c'])(X)
      return Y
    }
    """
    made, X = built(text, **{"c": 3, "c'": 4}), torch.randn(2, 5, 3, dtype=DOUBLE)
    state = made.state_dict()
    weight, bias = state["conv1d.weight"], state["conv1d.bias"]
    torch.testing.assert_close(made(X), F.conv1d(X.mT, weight, bias, padding=1).mT)


# ---- training ------------------------------------------------------------------------------------

BATCH_NORM = """
use std.nn.{batch_norm}
diagram f(X: [b y x c]) -> [b y x c] { return batch_norm[b y x -> c](X) }
"""


@pytest.mark.parametrize("backend", [*BACKENDS, "equations"])
def test_batch_norm_in_training(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "equations":
        from ncdlang.backends.pytorch import ready

        backend = "torch"
        monkeypatch.delitem(ready._CLASSES, ("std.nn", "batch_norm"))
    made, known = built(BATCH_NORM, backend, c=2), nn.BatchNorm2d(2, dtype=DOUBLE)
    assert set(made.state_dict()) == {
        f"batch_norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert {name for name, _ in made.named_parameters()} == {"batch_norm.weight", "batch_norm.bias"}
    for _ in range(3):
        X = torch.randn(2, 3, 2, 2, dtype=DOUBLE) * 3 + 1
        made.train()
        torch.testing.assert_close(made(X), known(X.movedim(-1, 1)).movedim(1, -1))
    for name, tensor in known.state_dict().items():
        if name != "num_batches_tracked":
            torch.testing.assert_close(made.state_dict()[f"batch_norm.{name}"], tensor)
    X = torch.randn(1, 2, 1, 2, dtype=DOUBLE)
    torch.testing.assert_close(made.eval()(X), known.eval()(X.movedim(-1, 1)).movedim(1, -1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_diagram_that_keeps_state_has_no_leading_axes(backend: str) -> None:
    with pytest.raises(ValueError, match="keeps state"):
        built(BATCH_NORM, backend, c=2)(torch.zeros(2, 2, 3, 2, 2, dtype=DOUBLE))


RUNNING = """
use std.nn.{running}
diagram f(X: [b h k]) -> [h k] {
  learn average: [k h] ~ frozen(ones)
  now[h k] = mean[b](X[b h k])
  seen[h k] = 2 * now[h k]
  return running[h k, momentum = 0.25](now, seen, average)
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_averages(backend: str) -> None:
    made = built(RUNNING, backend, h=2, k=3)
    X = torch.randn(4, 2, 3, dtype=DOUBLE)
    torch.testing.assert_close(made.eval()(X), torch.ones(2, 3, dtype=DOUBLE))
    torch.testing.assert_close(made.train()(X), X.mean(0))
    wanted = 0.75 + 0.25 * 2 * X.mean(0)
    torch.testing.assert_close(made.state_dict()["average"], wanted.mT)
    torch.testing.assert_close(made.eval()(X), wanted)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_in_training(backend: str) -> None:
    text = "use std.nn.{dropout}\ndiagram f(X: [n]) -> [n] { return dropout[0.25](X) }"
    made = built(text, backend).train()
    X = torch.full((4000,), 3.0, dtype=DOUBLE)
    Y = made(X)
    assert set(Y.unique().tolist()) == {0.0, 4.0}
    assert Y.mean().item() == pytest.approx(3, abs=0.2)
    assert not torch.equal(Y, made(X))
    torch.testing.assert_close(made.eval()(X), X)


def test_no_gradient_flows_through_detach() -> None:
    text = "diagram f(X: [n]) -> [n] { return X^2 + detach(X^3) - detach(X^2) }"
    X = torch.tensor([1.0, 2.0, -3.0], dtype=DOUBLE, requires_grad=True)
    Y = built(text, "torch")(X)
    torch.testing.assert_close(Y, X**3)
    Y.sum().backward()
    torch.testing.assert_close(X.grad, 2 * X.detach())


# ---- parameters ----------------------------------------------------------------------------------


def test_parameters_of_convolutions_are_those_of_pytorch() -> None:
    for call, known in {
        "conv1d[3, c' = 5]": nn.Conv1d(4, 5, 3),
        "conv2d[3, 2, c' = 5]": nn.Conv2d(4, 5, (3, 2)),
        "linear_conv1d[3, c' = 5]": nn.Conv1d(4, 5, 3, bias=False),
        "grouped_conv1d[3, 2, 3]": nn.Conv1d(4, 6, 3, groups=2),
        "conv_transpose1d[3, c' = 5]": nn.ConvTranspose1d(4, 5, 3),
        "conv_transpose2d[3, 2, c' = 5]": nn.ConvTranspose2d(4, 5, (3, 2)),
    }.items():
        name = call.partition("[")[0]
        axes, results = ("x c", "x' f") if "1d" in call else ("y x c", "y' x' f")
        text = (
            f"use std.conv.{{{name}}}\ndiagram g(X: [{axes}]) -> [{results}] {{ return {call}(X) }}"
        )
        made = built(text, c=4)
        state = {key.removeprefix(f"{name}."): value for key, value in made.state_dict().items()}
        known.double().load_state_dict(state)
        bound = 1 / math.sqrt(math.prod(known.weight.shape[1:]))
        assert all(value.abs().max() <= bound for value in state.values())


def test_initial_values() -> None:
    text = """
    use std.nn.{embedding, layer_norm, rms_norm}
    diagram f[v, m](T: N(v)[n]) -> [n m] { return layer_norm[m](rms_norm[m](embedding[v -> m](T))) }
    """
    state = built(text, v=400, m=50).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "embedding.weight": (400, 50),
        "rms_norm.weight": (50,),
        "layer_norm.weight": (50,),
        "layer_norm.bias": (50,),
    }
    assert state["embedding.weight"].std().item() == pytest.approx(1, abs=0.05)
    assert state["rms_norm.weight"].unique().tolist() == [1]
    assert state["layer_norm.bias"].unique().tolist() == [0]


def test_formats_and_compilation() -> None:
    text = """
    use std.nn.{affine, group_norm, batch_norm, dropout}
    use std.conv.{conv1d, max_pool1d}
    use std.position.{rotary}
    use std.loss.{cross_entropy}
    diagram f[c'](X: [b x c], T: N(m)[b]) -> [] {
      Y[b x' c'] = conv1d[3, c' = c'](X)
      Z[b z c'] = max_pool1d[2](gelu(Y))
      R = batch_norm[b z -> c'](group_norm[z, g = 2](rotary[z, c'](Z)))
      L = affine[c' -> m](R[b, 0, c'])
      return l[] = mean[b](cross_entropy[m](dropout[0.5](L), T))
    }
    """
    X, T = torch.randn(4, 7, 3), torch.tensor([0, 1, 2, 1])
    for dtype, torch_dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        made = built(text, dtype=dtype, **{"c": 3, "c'": 4, "m": 3})
        assert made.train()(X.to(torch_dtype), T).dtype == torch_dtype
        made.eval()
        compiled = torch.compile(made, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(X.to(torch_dtype), T), made(X.to(torch_dtype), T))


# ---- what is registered --------------------------------------------------------------------------


def test_every_registered_diagram_exists() -> None:
    from test_stdlib import NAMES

    from backends.pytorch import functions, ready, registry
    from backends.reference import operators
    from ncdlang.syntax import tree

    ops = {name for name, each in NAMES.items() if isinstance(each, tree.Op)}
    native = {*functions.FUNCTIONS, *registry._ALONG, *ready._CLASSES}
    assert {".".join(key) for key in native} <= NAMES.keys()
    assert {".".join(key) for key in native} >= ops
    assert {".".join(key) for key in operators._OPERATORS if key[0]} == ops
