"""Files with kernels stand alone: registered operations, and a class that chooses what runs."""

from __future__ import annotations

import ast
import copy
import importlib.util
import os
import pickle
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
import torch
import triton.language  # noqa: F401  (before any test turns the interpreter off)

import ncdlang
from ncdlang.targets import TargetError

TEXT = (Path(__file__).parent / "data" / "kernels.ncd").read_text(encoding="utf-8")
USES = "".join(line + "\n" for line in TEXT.splitlines() if line.startswith("use "))


def program(*names: str) -> ncdlang.Library:
    texts = [TEXT[TEXT.index(f"diagram {n}") :].split("\n}\n")[0] + "\n}\n" for n in names]
    return ncdlang.loads(USES + "".join(texts))


def imported(source: str, folder: Path, name: str = "emitted") -> types.ModuleType:
    """The file, imported as a user would, under a name of its own."""
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"{folder.name}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def without_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


CAUSAL = program("causal").source("causal", backend="triton")
ATTENTION = {"Q": (7, 2, 5), "K": (7, 2, 5), "V": (7, 2, 3)}


def attention(dtype: torch.dtype = torch.float32, n: int = 7) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = ((n, 2, 5), (n, 2, 5), (n, 2, 3))
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


def operation(module: types.ModuleType, tensors: list[torch.Tensor], keep: bool) -> tuple:
    """What `causal_O` is called with: arrays with a leading axis, then sizes in order."""
    n = tensors[0].shape[0]
    lifted = [t.detach()[None].requires_grad_() for t in tensors]
    return (*lifted, n, 2, 5, n, 3, keep)


# ---- registration --------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
def test_opcheck_of_the_library_form(keep, tmp_path, without_interpreter) -> None:
    module = imported(CAUSAL, tmp_path)
    assert not module.INTERPRETED
    for dtype in (torch.float64, torch.bfloat16):
        found = torch.library.opcheck(
            module.causal_O, operation(module, attention(dtype), keep), atol=0.1, rtol=0.1
        )
        assert set(found.values()) == {"SUCCESS"}


def test_opcheck_of_the_kernels(tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    assert module.INTERPRETED
    found = torch.library.opcheck(module.causal_O, operation(module, attention(n=5), True))
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("name", ["causal", "spherical", "gated", "linear_logsumexp", "biased"])
def test_gradcheck_of_registered_operations(name, tmp_path, without_interpreter) -> None:
    """Numerical derivatives, for what keeps its statistics and for what works them out again."""
    library = program(name)
    module = imported(library.source(name, backend="triton"), tmp_path, name)
    (found,) = [
        v for k, v in vars(module).items() if hasattr(v, "_opoverload") and "_back" not in k
    ]
    helper = getattr(module, f"_{name}_fused")
    call = first_call(library, name, module, helper, found)
    for keep in (True, False):
        given = (*call[:-1], keep)

        def run(*tensors: torch.Tensor, given: tuple = given) -> torch.Tensor:
            rest = given[len(tensors) :]
            made = found(*tensors, *rest)
            return made if isinstance(made, torch.Tensor) else made[0]

        tensors = [t for t in given if isinstance(t, torch.Tensor)]
        assert torch.autograd.gradcheck(run, tensors)


def first_call(library, name, module, helper, found) -> tuple:
    """The arguments of the operation as the module itself would call it, in f64."""
    sizes = dict(zip("qxhkemfnvt", (4, 4, 2, 3, 2, 5, 4, 3, 6, 3), strict=True))
    diagram = library.program.diagram(name)
    known = {s.name: sizes[s.name] for s in diagram.unknowns}
    eager = library.module(name, sizes=known, dtype="f64")
    torch.manual_seed(1)
    inputs = [
        torch.rand([sizes[a.name] for a in w.type.axes], dtype=torch.float64) + 0.2
        for w in diagram.parameters
    ]
    calls: list[tuple] = []

    class Seen(Exception):
        pass

    def spy(*given):
        calls.append(given)
        raise Seen

    globals_ = helper.__globals__
    (key,) = [k for k, v in globals_.items() if v is found]
    globals_[key], fits = spy, globals_["_fits"]
    globals_["_fits"] = lambda *_: True
    eager.derived = True
    try:
        helper(eager, *inputs)
    except Seen:
        pass
    finally:
        globals_[key], globals_["_fits"] = found, fits
    tensors = [t.detach().requires_grad_() if isinstance(t, torch.Tensor) else t for t in calls[0]]
    return tuple(tensors)


def test_gradients_are_not_differentiated_again(tmp_path, without_interpreter) -> None:
    module = imported(CAUSAL, tmp_path)
    arguments = operation(module, attention(torch.float64), True)
    made = module.causal_O(*arguments)[0]
    (grad,) = torch.autograd.grad(made.square().sum(), arguments[0], create_graph=True)
    with pytest.raises(RuntimeError, match="has no second derivative"):
        grad.sum().backward()


def test_compiled_and_exported_modules_hold_the_operation(tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    fused, tensors = module.CausalFused(), attention()
    wanted = module.Causal()(*tensors)
    compiled = torch.compile(fused, fullgraph=True, backend="aot_eager")
    made = compiled(*tensors)
    torch.testing.assert_close(made, wanted, atol=2e-6, rtol=2e-6)
    ours = torch.autograd.grad(made.square().sum(), tensors)
    theirs = torch.autograd.grad(wanted.square().sum(), tensors)
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, atol=5e-6, rtol=5e-6)
    plain = tuple(t.detach() for t in tensors)
    exported = torch.export.export(fused, plain)
    assert any("causal_O" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(*plain), wanted, atol=2e-6, rtol=2e-6)


def test_compiled_without_the_interpreter_is_the_library(tmp_path, without_interpreter) -> None:
    module = imported(CAUSAL, tmp_path)
    fused, tensors = module.CausalFused(), attention()
    exported = torch.export.export(fused, tuple(t.detach() for t in tensors))
    assert any("scaled_dot_product" in str(node.target) for node in exported.graph.nodes)
    made = torch.compile(fused, fullgraph=True, backend="aot_eager")(*tensors)
    torch.testing.assert_close(made, module.Causal()(*tensors))


def test_a_file_can_be_loaded_again_and_beside_others(tmp_path) -> None:
    first = imported(CAUSAL, tmp_path, "one")
    other = imported(program("causal").source("causal", backend="triton"), tmp_path, "two")
    third = imported(program("grouped").source("grouped", backend="triton"), tmp_path, "three")
    tensors = attention()
    wanted = first.Causal()(*tensors)
    for module in (first, other, imported(CAUSAL, tmp_path, "one")):
        torch.testing.assert_close(module.CausalFused()(*tensors), wanted, atol=2e-6, rtol=2e-6)
    spaces = {o._qualname.split("::")[0] for o in (first.causal_O, other.causal_O, third.grouped_O)}
    assert len(spaces) == 3


def test_names_come_out_as_identifiers(tmp_path) -> None:
    text = (
        "diagram größe'(Q: [q' k], α: [x k], torch: [x e]) -> [q' e] {\n"
        "  S[q' x] = Q[q' k] * α[x k]\n  P = softmax[x](S)\n"
        "  return tiles[q' e] = P[q' x] * torch[x e]\n}\n"
    )
    source = ncdlang.loads(text).source(backend="triton")
    assert not re.search(r"custom_op\(\n\s+\"[^\"]*[^\x20-\x7e]", source)
    module = imported(source, tmp_path)
    (fused,) = [v for k, v in vars(module).items() if k.endswith("Fused")]
    inputs = [torch.randn(s) for s in ((5, 3), (6, 3), (6, 2))]
    wanted = torch.softmax(inputs[0] @ inputs[1].T, -1) @ inputs[2]
    torch.testing.assert_close(fused()(*inputs), wanted, atol=2e-6, rtol=2e-6)


# ---- standing alone ------------------------------------------------------------------------------

ALONE = """
import sys, torch
import emitted
assert not [m for m in sys.modules if m.startswith("ncdlang")]
torch.manual_seed(0)
q, k, v = (torch.randn(2, 7, 2, 5, requires_grad=True) for _ in range(3))
fused, eager = emitted.CausalFused(), emitted.Causal()
made, wanted = fused(q, k, v), eager(q, k, v)
torch.testing.assert_close(made, wanted, atol=2e-6, rtol=2e-6)
ours = torch.autograd.grad(made.square().sum(), (q, k, v))
theirs = torch.autograd.grad(wanted.square().sum(), (q, k, v))
for a, b in zip(ours, theirs):
    torch.testing.assert_close(a, b, atol=5e-6, rtol=5e-6)
# Triton's interpreter is wrong in bf16, which nothing corrects here.
short = [t.detach().bfloat16() for t in (q, k, v)]
torch.testing.assert_close(fused(*short).float(), wanted, atol=0.05, rtol=0.05)
print(emitted.INTERPRETED)
"""


@pytest.mark.parametrize("interpret", ["0", "1"])
def test_a_file_needs_torch_and_triton_alone(interpret: str, tmp_path: Path) -> None:
    (tmp_path / "emitted.py").write_text(CAUSAL, encoding="utf-8")
    environment = os.environ | {"TRITON_INTERPRET": interpret, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", ALONE]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == str(interpret == "1")


def test_the_text_of_a_file(golden) -> None:
    golden("kernels_rms_norm_linear.py.txt", program("rms_norm_linear").source(backend="triton"))


HOSTILE = (
    "## %s\ndiagram f(Q: [q k], K: [x k], V: [x e]) -> [q e] {\n"
    "  S[q x] = Q[q k] * K[x k]\n  P = softmax[x](S)\n  return O[q e] = P[q x] * V[x e]\n}\n"
)


def test_nothing_of_a_program_reaches_python_unescaped() -> None:
    source = ncdlang.loads(HOSTILE % "', ''', \"\"\", __import__('os') \\").source(backend="triton")
    calls = [
        n.func.id
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Call)
        if isinstance(n.func, ast.Name)
    ]
    assert "__import__" not in calls


# ---- what runs -----------------------------------------------------------------------------------


def test_the_derived_path_can_be_forced_and_refused() -> None:
    tensors = attention()
    for derived, kernels in (("false", ()), ("true", ("O",)), ("auto", ("O",))):
        module = program("causal").module("causal", backend="triton", derived=derived)
        module(*tensors)
        assert module.last_run == kernels
    assert "DERIVED: bool | None = False" in program("causal").source(
        backend="triton", derived="false"
    )
    with pytest.raises((TargetError, ncdlang.NcdError), match="derived is true, false or auto"):
        program("causal").module("causal", backend="triton", derived="perhaps")


def test_measured_rows_choose_on_a_gpu(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row says which is faster for a program, a GPU, a format and a class of sizes."""
    from ncdlang.backends.kernels import dispatch
    from ncdlang.backends.kernels.training import Runner

    from ncdlang.analysis.opening import open_diagram
    from ncdlang.analysis.plan import make_plan

    library = program("causal")
    diagram = library.program.diagram("causal")
    mark = dispatch.fingerprint(Runner(make_plan(open_diagram(diagram)), {}))
    row = {"program": mark, "capability": [9, 0], "format": "bfloat16", "sizes": [3, 2, 3, 3, 2]}
    rows = [row | {"library": 1.0, "derived": 2.0}]
    monkeypatch.setattr(dispatch, "ROWS", rows)
    module = imported(library.source(backend="triton"), tmp_path)
    assert len(module.MEASURED) == 1

    class Fake:
        device = types.SimpleNamespace(type="cuda")
        dtype = torch.bfloat16

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    sizes = (7, 2, 5, 7, 3)
    assert not module._preferred(None, Fake(), *sizes)
    assert module._preferred(True, Fake(), *sizes)
    assert module._preferred(None, Fake(), 700, 2, 5, 700, 3)
    assert module._preferred(None, torch.zeros(1), *sizes)
    assert not module._preferred(False, torch.zeros(1), *sizes)


def test_names_do_not_change_the_key_of_the_table() -> None:
    from ncdlang.backends.kernels import dispatch
    from ncdlang.backends.kernels.training import Runner

    from ncdlang.analysis.opening import open_diagram
    from ncdlang.analysis.plan import make_plan

    def key(text: str) -> str:
        diagram = ncdlang.loads(text).program.diagrams[-1]
        return dispatch.fingerprint(Runner(make_plan(open_diagram(diagram)), {}))

    start = TEXT.index("diagram causal(")
    text = TEXT[start : TEXT.index("\n}\n", start) + 3]
    renamed = re.sub(r"\b([qxhkeQKVSPO]|causal)\b", r"\1_z", text)
    assert key(text) == key(renamed)
    assert key(text) != key(text.replace("x <= q", "x < q"))
    mean = """diagram f(X: [t h e]) -> [t h e] {
  return Y[t h e] = X[t h e] / (size(h) + mean[h e](X[t h e]^2))
}
"""
    assert key(mean) == key(re.sub(r"\bh\b", "a", mean)) == key(re.sub(r"\bh\b", "z", mean))
    assert key(mean) != key(mean.replace("size(h)", "size(e)"))


def test_names_do_not_change_kernels() -> None:
    """Nor their order in an alphabet, beyond the names themselves."""
    start = TEXT.index("diagram causal(")
    text = TEXT[start : TEXT.index("\n}\n", start) + 3]
    names = ["q", "x", "h", "k", "e", "Q", "K", "V", "S", "P", "O", "causal"]

    def kernels(alphabet: str) -> str:
        new = {name: f"q{letter}jx" for name, letter in zip(names, alphabet, strict=False)}
        renamed = re.sub(rf"\b({'|'.join(names)})\b", lambda found: new[found[1]], text)
        source = ncdlang.loads(renamed).source(new["causal"], backend="triton")
        source = re.sub("ncd_[0-9a-f]{10}", "", source[source.index("@triton.jit\ndef kernel") :])
        for place, name in enumerate(new.values()):
            source = re.sub(name, f"<{place}>", source, flags=re.IGNORECASE)
        return source

    assert kernels("abcdefghijklm") == kernels("zyxwvutsrqpon")


# ---- modules as PyTorch treats them --------------------------------------------------------------


def test_modules_are_copied_and_saved(tmp_path) -> None:
    library = program("rms_norm_linear")
    module = library.module("rms_norm_linear", sizes={"m": 12, "f": 6}, backend="triton")
    x = torch.randn(5, 12)
    copied = copy.deepcopy(module)
    assert torch.equal(copied(x), module(x))
    assert copied.last_run == module.last_run != ()
    with torch.no_grad():
        next(copied.parameters()).add_(1)
    assert not torch.equal(copied(x), module(x))
    copied.load_state_dict(module.state_dict())
    assert torch.equal(copied(x), module(x))
    emitted = imported(library.source(backend="triton"), tmp_path)
    fused = emitted.RmsNormLinearFused(m=12, f=6)
    fused.load_state_dict(module.state_dict())
    again = pickle.loads(pickle.dumps(fused))
    assert torch.equal(again(x), fused(x))
    torch.testing.assert_close(fused(x), module(x))


def test_inference_mode_and_autocast(tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    fused, tensors = module.CausalFused(), attention()
    wanted = module.Causal()(*tensors)
    with torch.inference_mode():
        torch.testing.assert_close(fused(*tensors), wanted, atol=2e-6, rtol=2e-6)
    with torch.autocast("cpu", dtype=torch.float16):
        made = fused(tensors[0].half(), *tensors[1:])
    assert made.dtype == torch.float16
    torch.testing.assert_close(made.float(), wanted, atol=5e-3, rtol=5e-3)
    made.float().square().sum().backward()
    assert all(t.grad is not None and t.grad.dtype == torch.float32 for t in tensors)


@pytest.mark.parametrize("needs", [(0,), (1,), (2,), (0, 2)])
def test_only_what_needs_a_gradient_gets_one(needs, tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    tensors = [t.detach() for t in attention()]
    for i in needs:
        tensors[i].requires_grad_()
    given = [tensors[i] for i in needs]
    ours = torch.autograd.grad(module.CausalFused()(*tensors).square().sum(), given)
    theirs = torch.autograd.grad(module.Causal()(*tensors).square().sum(), given)
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, atol=5e-6, rtol=5e-6)


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
def test_axes_of_no_length(shape, tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    n, h, e = shape
    q, k, v = (torch.randn(n, h, w, requires_grad=True) for w in (5, 5, e))
    made = module.CausalFused()(q, k, v)
    assert made.shape == (n, h, e)
    made.sum().backward()
    assert all(t.grad is not None and torch.isfinite(t.grad).all() for t in (q, k, v))


def test_no_lifted_index_and_expanded_ones(tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    q, k, v = attention()
    assert module.CausalFused()(q.expand(0, *q.shape), k, v).shape == (0, 7, 2, 3)
    wide = q.expand(3, *q.shape)
    made = module.CausalFused()(wide, k, v)
    torch.testing.assert_close(made, module.Causal()(wide, k, v), atol=2e-6, rtol=2e-6)
    # The gradient of a sum is one number, expanded; that of q is a sum over its copies.
    (ours,) = torch.autograd.grad(made.sum(), q)
    (theirs,) = torch.autograd.grad(module.Causal()(wide, k, v).sum(), q)
    torch.testing.assert_close(ours, theirs, atol=5e-6, rtol=5e-6)


def test_threads_load_a_file_once(without_interpreter) -> None:
    from ncdlang.backends.kernels.loading import loaded

    source = program("without_heads").source("without_heads", backend="triton")
    q, k, v = torch.randn(9, 4), torch.randn(8, 4), torch.randn(8, 3)
    found: list[tuple[types.ModuleType, torch.Tensor]] = []

    def run() -> None:
        module = loaded(source)
        arrays = (q[None], k[None], v[None])
        found.append((module, module.without_heads_O(*arrays, 9, 4, 8, 3, False)[0]))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    hidden = torch.ones(9, 8).triu(1).bool()
    wanted = torch.softmax((q @ k.T / 2).masked_fill(hidden, -torch.inf), -1) @ v
    for module, made in found:
        assert module is found[0][0]
        torch.testing.assert_close(made[0], wanted, atol=2e-6, rtol=2e-6)


def test_wrong_inputs_are_told_by_the_eager_class(tmp_path) -> None:
    module = imported(CAUSAL, tmp_path)
    q, k, v = attention()
    with pytest.raises(ValueError, match="axis h is 2 in Q but 1 in K"):
        module.CausalFused()(q, k[:, :1], v)
    with pytest.raises(ValueError, match="shape"):
        module.CausalFused()(q[0, 0], k, v)


def test_helpers_are_not_those_of_the_eager_classes() -> None:
    from ncdlang.backends.kernels.helpers import SOURCES
    from ncdlang.backends.pytorch.helpers import SOURCES as OTHERS

    assert not SOURCES.keys() & OTHERS.keys()
