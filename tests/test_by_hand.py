"""Emitted modules equal PyTorch as a person writes it, and the reference, at edge sizes too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import ncdlang

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7])
Made = dict[str, Tensor]


def attention(state: Made, q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    scores = q.transpose(0, 1) @ k.permute(1, 2, 0) / math.sqrt(q.shape[-1])
    if causal:
        rows, columns = scores.shape[-2:]
        scores = scores.masked_fill(torch.arange(columns) > torch.arange(rows)[:, None], -torch.inf)
    return (scores.softmax(-1) @ v.transpose(0, 1)).transpose(0, 1)


def multi_head(state: Made, x: Tensor) -> Tensor:
    q, k, v = (torch.einsum("xm,hkm->xhk", x, state[f"{n}.weight"]) for n in ("Lq", "Lk", "Lv"))
    return torch.einsum("xhk,mhk->xm", attention(state, q, k, v, True), state["Lo.weight"])


def conv1d(state: Made, x: Tensor) -> Tensor:
    return F.conv1d(x.T[None], state["W"].transpose(1, 2))[0].T


def mlp(state: Made, x: Tensor) -> Tensor:
    hidden = F.gelu(F.linear(x, state["up.weight"], state["up.bias"]))
    return F.linear(hidden, state["down.weight"], state["down.bias"])


def residual(state: Made, x: Tensor) -> Tensor:
    inner = {
        key.removeprefix("attend."): value
        for key, value in state.items()
        if key.startswith("attend.")
    }
    size = x.shape[-1:]
    x = x + multi_head(inner, F.rms_norm(x, size, state["rms_norm.weight"], 1e-6))
    y = F.rms_norm(x, size, state["rms_norm_2.weight"], 1e-6)
    gate = F.silu(F.linear(y, state["think.gate.weight"]))
    return x + F.linear(gate * F.linear(y, state["think.up.weight"]), state["think.down.weight"])


# file, diagram, shapes of the inputs, sizes that are built in, and the same by hand
Case = tuple[str, str, list[str], str, Callable[..., Tensor]]
CASES: list[Case] = [
    ("attention", "attention", ["q h k", "x h k", "x h k"], "", attention),
    (
        "attention",
        "causal_attention",
        ["q h k", "x h k", "x h k"],
        "",
        lambda state, q, k, v: attention(state, q, k, v, True),
    ),
    ("attention", "multi_head", ["x m"], "h k m", multi_head),
    ("convolution", "conv1d", ["x c"], "j c c'", conv1d),
    ("convolution", "transpose", ["i j"], "", lambda _, m: m.T),
    ("convolution", "diagonal", ["i i"], "", lambda _, m: m.diagonal()),
    ("convolution", "windows", ["x"], "", lambda _, x: x.unfold(0, 4, 4)),
    ("mlp", "mlp", ["m"], "m f", mlp),
    ("residual", "residual", ["x m"], "h k f m", residual),
]


@pytest.mark.parametrize("case", CASES, ids=[case[1] for case in CASES])
def test_emitted_equals_reference_and_hand(case: Case) -> None:
    file, name, shapes, built, by_hand = case
    library = ncdlang.load(EXAMPLES / f"{file}.ncd")

    @settings(max_examples=12, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        axes = sorted({axis for shape in (*shapes, built) for axis in shape.split()})
        sizes = {axis: data.draw(SIZES, label=axis) for axis in axes}
        if name == "windows":
            sizes["x"] += 3
        if name == "conv1d":
            sizes["x"] += sizes["j"] - 1
        torch.manual_seed(data.draw(st.integers(0, 99), label="seed"))
        given_sizes = {axis: sizes[axis] for axis in built.split()}
        module: nn.Module = library.module(name, sizes=given_sizes)
        judge: nn.Module = library.module(name, sizes=given_sizes, backend="reference")
        judge.load_state_dict(module.state_dict())
        inputs = [torch.randn([sizes[axis] for axis in shape.split()]) for shape in shapes]
        with torch.no_grad():
            result = module(*inputs)
            torch.testing.assert_close(
                result, judge(*inputs).to(result.dtype), rtol=1e-5, atol=1e-5
            )
            state = {key: value.detach() for key, value in module.state_dict().items()}
            torch.testing.assert_close(result, by_hand(state, *inputs), rtol=1e-5, atol=1e-5)

    check()


def test_attention_by_pytorchs_own_function() -> None:
    library = ncdlang.load(EXAMPLES / "attention.ncd")
    q, k, v = (torch.randn(2, 5, n, 3, 4) for n in (7, 6, 6))
    for name, causal in (("attention", False), ("causal_attention", True)):
        wanted = F.scaled_dot_product_attention(
            *(t.transpose(-3, -2) for t in (q, k, v)), is_causal=causal
        ).transpose(-3, -2)
        torch.testing.assert_close(library.module(name)(q, k, v), wanted)
