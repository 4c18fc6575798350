"""Derived kernels in Triton's interpreter, against the emitted PyTorch code in float64."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import ncdlang
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.types import Wire

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
LIBRARY = ncdlang.loads(TEXT)
# No size is a multiple of a tile.
SIZES = dict(zip("qxhgrketmfnvw", (37, 37, 2, 2, 3, 12, 20, 37, 43, 21, 19, 50, 74), strict=True))
TOLERANCE = {"f32": 2e-6, "bf16": 8e-3, "f16": 2e-3}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


@pytest.fixture(autouse=True)
def exact_products() -> None:
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")


def given(wire: Wire, sizes: dict[str, int], dtype: torch.dtype) -> torch.Tensor:
    shape = [sizes[axis.name] for axis in wire.type.axes]
    match wire.type.kind.name:
        case "natural":
            bound = wire.type.kind.bound
            assert bound is not None
            return torch.randint(0, min(sizes[str(bound)[5:-1]], 4), shape)
        case "boolean":
            return torch.rand(shape) > 0.3
        case _ if wire.name == "s":
            return torch.rand(shape).to(dtype) / 2
        case _:
            return torch.randn(shape).to(dtype)


def built(name: str, sizes: dict[str, int], dtype: str = "f32") -> tuple[object, object]:
    diagram = diagram_of(name)
    known = {symbol.name: sizes[symbol.name] for symbol in diagram.unknowns}
    library = alone(name)
    derived = library.module(name, sizes=known, backend="triton", dtype=dtype)
    exact = library.module(name, sizes=known)
    exact.load_state_dict(derived.state_dict())
    return derived, exact.double()


@cache
def alone(name: str) -> ncdlang.Library:
    """A file with one program and what it calls: modules check their whole file again."""
    uses = [line for line in TEXT.splitlines() if line.startswith("use ")]
    called = ["causal", name] if name == "heads" else [name]
    texts = [TEXT[TEXT.index(f"diagram {each}") :].split("\n}\n")[0] + "\n}\n" for each in called]
    return ncdlang.loads("\n".join([*uses, *texts]))


def diagram_of(name: str) -> CheckedDiagram:
    diagram = LIBRARY.program.diagram(name)
    assert diagram is not None
    return diagram


def error(made: torch.Tensor, exact: torch.Tensor) -> float:
    return ((made.double() - exact).norm() / exact.norm()).item()


def widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


# f16 has the range of no norm of scores and the matrix units of bf16: some programs stand for all.
HALF = ("causal", "grouped", "spherical", "rms_norm_linear", "linear_logsumexp", "sigmoid_bias")
IN_HALF = [("f16", name) for name in HALF]


@pytest.mark.parametrize(
    ("dtype", "name"), [(d, name) for name in LIBRARY.diagrams for d in ("f32", "bf16")] + IN_HALF
)
def test_every_program_streams_and_is_right(dtype: str, name: str) -> None:
    derived, exact = built(name, SIZES, dtype)
    inputs = [given(wire, SIZES, DTYPES[dtype]) for wire in diagram_of(name).parameters]
    with torch.no_grad():
        made = derived(*inputs)
        wanted = exact(*map(widened, inputs))
    assert derived.last_run, "no kernel ran"
    assert made.dtype == DTYPES[dtype]
    assert made.shape == wanted.shape
    assert error(made, wanted) < TOLERANCE[dtype]


# Programs whose gradient is left to PyTorch, and why: it depends on a maximum; it is a scatter.
LEFT = {"softmax_rows", "relative_positions"}


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(d, name) for name in LIBRARY.diagrams if name not in LEFT for d in ("f32", "bf16")]
    + IN_HALF[:3],
)
def test_gradients_are_those_of_the_equations(dtype: str, name: str) -> None:
    derived, exact = built(name, SIZES, dtype)
    inputs = [given(wire, SIZES, DTYPES[dtype]) for wire in diagram_of(name).parameters]
    own = [i.clone().requires_grad_() if i.is_floating_point() else i for i in inputs]
    wide = [i.double().requires_grad_() if i.is_floating_point() else i for i in inputs]
    made, wanted = derived(*own), exact(*wide)
    assert derived.last_run, "no kernel ran"
    start = torch.randn(wanted.shape).to(made.dtype)
    made.backward(start)
    wanted.backward(start.double())
    pairs = [(a, b) for a, b in zip(own, wide, strict=True) if a.is_floating_point()]
    pairs += zip(derived.parameters(), exact.parameters(), strict=True)
    for ours, theirs in pairs:
        assert error(ours.grad, theirs.grad) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", ["causal", "spherical", "given_mask"])
def test_gradients_of_lifted_and_hidden_rows(name: str) -> None:
    derived, exact = built(name, SIZES)
    inputs = [given(wire, SIZES, torch.float32) for wire in diagram_of(name).parameters]
    inputs[0] = torch.randn(2, *inputs[0].shape)
    if name == "given_mask":
        inputs[-1][5] = False
    own = [i.clone().requires_grad_() if i.is_floating_point() else i for i in inputs]
    wide = [i.double().requires_grad_() if i.is_floating_point() else i for i in inputs]
    made, wanted = derived(*own), exact(*wide)
    start = torch.randn(wanted.shape)
    made.backward(start)
    wanted.backward(start.double())
    for ours, theirs in zip(own, wide, strict=True):
        if ours.is_floating_point():
            assert torch.isfinite(ours.grad).all()
            assert error(ours.grad, theirs.grad) < TOLERANCE["f32"]


@pytest.mark.parametrize("lift", [(2,), (2, 3)])
def test_leading_axes_are_lifted(lift: tuple[int, ...]) -> None:
    derived, exact = built("causal", SIZES)
    q, k, v = (given(wire, SIZES, torch.float32) for wire in diagram_of("causal").parameters)
    many = torch.randn(*lift, *q.shape)
    with torch.no_grad():
        made, wanted = derived(many, k, v), exact(many.double(), k.double(), v.double())
    assert derived.last_run == ("O",)
    assert made.shape == wanted.shape
    assert error(made, wanted) < TOLERANCE["f32"]


@pytest.mark.parametrize("name", ["given_mask", "documents"])
def test_a_row_that_sees_nothing_is_zero(name: str) -> None:
    derived, _ = built(name, SIZES)
    inputs = [given(wire, SIZES, torch.float32) for wire in diagram_of(name).parameters]
    if name == "given_mask":
        inputs[-1][5] = False
    else:
        inputs[3][5], inputs[4][:6] = 7, 0
    with torch.no_grad():
        made = derived(*inputs)
    assert torch.equal(made[5], torch.zeros_like(made[5]))
    assert torch.isfinite(made).all()


def test_one_row_and_one_key() -> None:
    sizes = SIZES | {"q": 1, "x": 1, "h": 1, "k": 1, "e": 1}
    derived, exact = built("softmax_dense", sizes)
    inputs = [given(w, sizes, torch.float32) for w in diagram_of("softmax_dense").parameters]
    with torch.no_grad():
        made, wanted = derived(*inputs), exact(*map(widened, inputs))
    assert error(made, wanted) < TOLERANCE["f32"]


def test_large_scores_do_not_overflow() -> None:
    derived, exact = built("softmax_dense", SIZES)
    wires = diagram_of("softmax_dense").parameters
    inputs = [given(wire, SIZES, torch.float32) for wire in wires]
    inputs[0] = inputs[0] * 500
    with torch.no_grad():
        made, wanted = derived(*inputs), exact(*map(widened, inputs))
    assert error(made, wanted) < 1e-4


def test_strided_inputs_are_read_in_place() -> None:
    derived, exact = built("causal", SIZES)
    wires = diagram_of("causal").parameters
    inputs = [given(wire, SIZES, torch.float32) for wire in wires]
    turned = [i.permute(2, 0, 1).contiguous().permute(1, 2, 0) for i in inputs]
    with torch.no_grad():
        made, wanted = derived(*turned), exact(*map(widened, inputs))
    assert error(made, wanted) < TOLERANCE["f32"]


def test_wide_inner_products_are_loops() -> None:
    sizes = SIZES | {"m": 300, "n": 20, "v": 33}
    derived, exact = built("linear_logsumexp", sizes)
    wires = diagram_of("linear_logsumexp").parameters
    inputs = [given(wire, sizes, torch.float32) * 0.1 for wire in wires]
    with torch.no_grad():
        made, wanted = derived(*inputs), exact(*map(widened, inputs))
    assert derived.last_run == ("z",)
    assert error(made, wanted) < TOLERANCE["f32"]


def test_without_the_interpreter_the_library_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    derived, exact = built("causal", SIZES)
    inputs = [given(wire, SIZES, torch.float32) for wire in diagram_of("causal").parameters]
    assert error(derived(*inputs), exact(*map(widened, inputs))) < TOLERANCE["f32"]
    assert derived.last_run == ()
    assert derived.kernels == ("O",)


def test_s2_identities_of_spherical_attention() -> None:
    derived, _ = built("spherical", SIZES)
    q, k, v = (given(wire, SIZES, torch.float32) for wire in diagram_of("spherical").parameters)
    order = torch.randperm(37)
    with torch.no_grad():
        made = derived(q, k, v)
        assert error(derived(3 * q, k, v), made.double()) < TOLERANCE["f32"]
        assert error(derived(q, 5 * k, v), made.double()) < TOLERANCE["f32"]
        assert error(derived(-q, k, v), -made.double()) < TOLERANCE["f32"]
        assert error(derived(q, k[order], v[order]), made.double()) < TOLERANCE["f32"]
        assert error(derived(q[order], k, v), made[order].double()) < TOLERANCE["f32"]
        for head in range(2):
            largest = torch.linalg.matrix_norm(v[:, head], ord=2)
            assert (made[:, head].norm(dim=-1) <= largest * (1 + 1e-5)).all()
        assert torch.equal(derived(q * 0, k, v), torch.zeros_like(made))


def test_s7_what_a_mask_hides_is_as_if_it_were_not_there() -> None:
    derived, _ = built("spherical_window", SIZES)
    q, k, v = (given(w, SIZES, torch.float32) for w in diagram_of("spherical_window").parameters)
    plain, _ = built("spherical", SIZES | {"q": 1, "x": 7})
    with torch.no_grad():
        made = derived(q, k, v)
        alone = plain(q[20:21], k[14:21], v[14:21])
    assert error(made[20:21], alone.double()) < TOLERANCE["f32"]


@pytest.mark.parametrize(("k", "e"), [(300, 20), (20, 300), (270, 260)])
def test_one_module_for_short_and_for_wide_heads(k: int, e: int) -> None:
    diagram = diagram_of("causal")
    derived = LIBRARY.module("causal", backend="triton")
    exact = LIBRARY.module("causal").double()
    for sizes in (SIZES, SIZES | {"k": k, "e": e, "q": 18, "x": 18, "h": 1}):
        inputs = [given(wire, sizes, torch.float32) for wire in diagram.parameters]
        own = [tensor.clone().requires_grad_() for tensor in inputs]
        wide = [tensor.double().requires_grad_() for tensor in inputs]
        made, wanted = derived(*own), exact(*wide)
        assert derived.last_run
        assert error(made, wanted) < TOLERANCE["f32"]
        made.square().sum().backward()
        wanted.square().sum().backward()
        for ours, theirs in zip(own, wide, strict=True):
            assert error(ours.grad, theirs.grad) < 2 * TOLERANCE["f32"]


EXAMPLES = Path(__file__).parent.parent / "examples"


def test_a_whole_layer_learns_through_kernels() -> None:
    library = ncdlang.load(EXAMPLES / "residual.ncd")
    sizes = {"h": 2, "k": 8, "m": 24, "f": 40}
    derived = library.module("residual", sizes=sizes, backend="triton")
    exact = library.module("residual", sizes=sizes)
    exact.load_state_dict(derived.state_dict())
    exact = exact.double()
    X = torch.randn(2, 20, 24)
    own, wide = X.clone().requires_grad_(), X.double().requires_grad_()
    made, wanted = derived(own), exact(wide)
    assert len(derived.last_run) >= 3
    made.square().sum().backward()
    wanted.square().sum().backward()
    assert error(made, wanted) < TOLERANCE["f32"]
    assert error(own.grad, wide.grad) < TOLERANCE["f32"]
    for ours, theirs in zip(derived.parameters(), exact.parameters(), strict=True):
        assert error(ours.grad, theirs.grad) < TOLERANCE["f32"]


def test_a_compiled_module_is_one_graph() -> None:
    derived, exact = built("heads", SIZES)
    X = torch.randn(37, 43)
    compiled = torch.compile(derived, fullgraph=True, backend="eager")
    assert error(compiled(X), exact(X.double())) < TOLERANCE["f32"]


@pytest.mark.parametrize(
    "text",
    [
        "diagram f(T: N(v)[n], I: N(v)[v]) -> N(v)[n] { return Y[n] = I[T[n]] }",
        "diagram f(A: [t]) -> [t] { return B[t] = A[t] * 2 }",
    ],
)
def test_what_has_no_region_runs_as_emitted(text: str) -> None:
    module = ncdlang.loads(text).module("f", backend="triton")
    inputs = [torch.tensor([1, 0]), torch.tensor([0, 0])] if "T" in text else [torch.ones(3)]
    assert module(*inputs).shape == (len(inputs[0]),)
    assert module.last_run == ()
    assert module.kernels == ()
