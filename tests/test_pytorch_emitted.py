"""The emitted file itself: its names, its checks, its formats, and where it can run."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import test_pytorch
import test_pytorch_attention
import torch
from torch import nn
from torch_judge import Case, assert_same, build, inputs, program, request, source

import ncdlang
from backends.pytorch import PyTorchBackend, attribute_names
from backends.pytorch.names import MODULE_ATTRIBUTES, class_name, spelled
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.source import Source
from ncdlang.targets import Request, TargetError

ROOT = Path(__file__).parent.parent
CASES: dict[str, Case] = {
    **test_pytorch.CASES,
    **test_pytorch_attention.MATCHES,
    **test_pytorch_attention.OTHERS,
}
SAMPLE = sorted(CASES)[::6]
FORMATS = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


# ---- the text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("diagram", ["multi_head", "attention"])
def test_the_text_is_what_it_was(golden: Callable[[str, str], None], diagram: str) -> None:
    path = ROOT / "examples" / "attention.ncd"
    checked, _ = check_source(Source("attention.ncd", path.read_text()), Project().find)
    text = PyTorchBackend().emit(request(checked, diagram)).content
    assert isinstance(text, str)
    golden(f"{diagram}.py", text)


def test_the_text_is_tidy(tmp_path: Path) -> None:
    for number, case in enumerate(CASES.values()):
        text = source(case.text, case.name, case.sizes)
        assert text == source(case.text, case.name, case.sizes)
        assert all(len(line) <= 100 and line == line.rstrip() for line in text.splitlines())
        assert "ncdlang" not in text
        (tmp_path / f"case_{number}.py").write_text(text)
    # Unused names and imports, undefined names, comparisons of literals, and the like.
    select = ["--select", "F,I,B,E7", "--ignore", "E741"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", *select]
    found = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_emitting_needs_no_torch() -> None:
    script = """
import sys
from backends.pytorch import PyTorchBackend
from ncdlang.project import Project
from ncdlang.semantics.check import check_source
from ncdlang.targets import Request
project = Project()
checked, _ = check_source(project.open("examples/attention.ncd"), project.find)
for diagram in checked.diagrams:
    PyTorchBackend().emit(Request(checked, diagram))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


HOSTILE = '"""\nraise SystemExit\n"""'


def test_texts_of_a_file_stay_texts() -> None:
    text = """
## \"\"\"
## raise SystemExit
## \"\"\" \\
## {0.__class__} \u202e reversed \\
diagram f(X: [x]) -> [x] {
  block "a # title \\" {X}" {
    Y[x] = 2 * X
  }
  return Y
}
"""
    checked, diagnostics = check_source(Source(f"a.ncd\n{HOSTILE}", text), Project().find)
    assert not [d for d in diagnostics if d.severity == "error"]
    content = PyTorchBackend().emit(request(checked, "f")).content
    assert isinstance(content, str)
    tree = ast.parse(content)
    assert all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        for node in tree.body
    )
    assert "\u202e" not in content
    names: dict[str, type[nn.Module]] = {}
    exec(content, names)
    doc = names["F_2"].__doc__
    assert doc is not None
    assert "raise SystemExit" in doc
    assert names["F_2"]()(torch.ones(2)).tolist() == [2.0, 2.0]


# ---- names ---------------------------------------------------------------------------------------


def test_names_that_modules_have() -> None:
    own = {name for name in dir(nn.Module()) if not name.startswith("__")}
    assert own <= MODULE_ATTRIBUTES
    assert own <= set(dir(nn.Module())) | MODULE_ATTRIBUTES


def test_spelling() -> None:
    assert spelled("x'") == "x_"
    assert spelled("α") == "α"
    assert spelled("ﬁ") == "fi"
    assert spelled("__class__") == "_class__"
    assert class_name("multi_head") == "MultiHead"
    assert class_name("_") == "Diagram"


CLASHES = """
use std.nn.{linear}
diagram f[self, torch](forward: [x training], class: [training]) -> [training x] {
  learn half, data, lambda, W', W_: [training]
  learn type, forward': linear[training -> self]
  learn math: [torch training] ~ frozen(ones)
  for[training] = half + data + lambda + W' + W_ + class
  nn = type(forward)
  F = forward'(forward)
  Tensor[training] = math[torch training] * math[torch training]
  return print[training x] = forward[x training] * for[training] * Tensor[training]
    + sum[self](nn[x self] * F[x self]) * len(torch)
}
diagram len(torch: []) -> [] { return torch }
""".replace("* len(torch)", "* len(2.0)")


def test_names_that_clash() -> None:
    built = {"training": 2, "self": 3, "torch": 2}
    test_pytorch.judge(Case(CLASHES, {"x": 4}, built=built))
    module = build(CLASHES, sizes=built)
    assert list(module.state_dict()) == [
        "half_",
        "data",
        "lambda_",
        "W_",
        "W__",
        "math",
        "type_.weight",
        "forward_.weight",
    ]
    assert "math" not in dict(module.named_parameters())
    diagram = program(CLASHES).diagram("f")
    assert diagram is not None
    assert attribute_names(diagram)["type"] == "type_"


def test_state_is_named_after_the_file() -> None:
    text = """
use std.nn.{affine, rms_norm}
diagram layer[k](X: [m]) -> [m] {
  learn up: affine[m -> k]
  learn down: affine[k -> m]
  return rms_norm[m](X) + rms_norm[m](down(relu(up(X))))
}
diagram f[k](X: [n m]) -> [n m] {
  learn stack: layer[k]^2
  return stack(X)
}
"""
    keys = list(build(text, sizes={"k": 3, "m": 4}).state_dict())
    layer = [
        "up.weight",
        "up.bias",
        "down.weight",
        "down.bias",
        "rms_norm.weight",
        "rms_norm_2.weight",
    ]
    assert sorted(keys) == sorted(f"stack.{i}.{key}" for i in (0, 1) for key in layer)
    assert "for layer in self.stack:" in source(text)


def test_initialisers() -> None:
    text = """
diagram f[o, i](X: [i]) -> [o] {
  learn A: [o i]
  learn a: [o]
  learn B: [o i] ~ normal(2, 0.5)
  learn C: [o i] ~ uniform(1, 3)
  learn D: [o i] ~ kaiming
  learn E: [o i] ~ xavier
  learn G: [o i] ~ zeros
  learn H: [o i] ~ frozen(ones)
  return Y[o] = (A + B + C + D + E + G + H) * X + a
}
"""
    torch.manual_seed(0)
    state = build(text, sizes={"o": 200, "i": 100}).state_dict()
    bound = 0.1
    for name in "Aa":
        assert bound * 0.9 < state[name].abs().max() <= bound
    assert abs(state["B"].mean() - 2) < 0.02
    assert abs(state["B"].std() - 0.5) < 0.02
    assert 1 <= state["C"].min() < 1.01
    assert 2.99 < state["C"].max() <= 3
    assert abs(state["D"].std() - (2 / 100) ** 0.5) < 0.01
    assert state["E"].abs().max() <= (6 / 300) ** 0.5
    assert not state["G"].any()
    assert (state["H"] == 1).all()


# ---- checks --------------------------------------------------------------------------------------

QKV = "Q: [q h k], K: [x h k]"
PRODUCT = f"diagram scores({QKV}) -> [q x] {{ return S[q x] = Q[q h k] * K[x h k] }}"


def fails(text: str, name: str, message: str, *arrays: torch.Tensor, **sizes: int) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        build(text, name, sizes, "f32")(*arrays)
    assert str(caught.value) == message


def test_sizes_are_checked() -> None:
    z = torch.zeros
    fails(PRODUCT, "scores", "scores: axis h is 8 in Q but 4 in K", z(3, 8, 5), z(4, 4, 5))
    fails(PRODUCT, "scores", "scores: Q is [q h k], but its shape is (8, 5)", z(8, 5), z(4, 4, 5))
    fails(
        PRODUCT,
        "scores",
        "scores: axis k is 6 in the module but 5 in Q",
        z(3, 8, 5),
        z(4, 4, 5),
        k=6,
    )
    split = "diagram f[h](X: [(h k)]) -> [h] { return Y[h] = sum[k](X[(h k)]) }"
    fails(split, "f", "f: axis (h k) of X is 7, which leaves no whole size for k", z(7), h=2)
    same = "diagram f(M: [i i']) -> [i] { return D[i] = M[i i] }"
    fails(
        same,
        "f",
        "f: axis `i` indexes axis `i'` of `M`, but size(i) is 3 and size(i') is 4",
        z(3, 4),
    )
    held = "diagram f(X: [m]) -> [m] {\n assert size(m) % 4 == 0\n return X }"
    fails(held, "f", "f: asserted: size(m) % 4 == 0, but size(m) is 6", z(6))
    empty = "diagram f(X: [m n]) -> [n] { return Y[n] = mean[m](X) }"
    with pytest.raises(ValueError, match=r"needs a non-empty axis, but size\(m\) is 0"):
        build(empty)(z(0, 2))


def test_kinds_are_checked() -> None:
    text = "diagram f(E: [v], t: N(v)[n], b: B[n]) -> [n] { return Y[n] = where(b, E[t[n]], 0) }"
    reals, naturals = torch.zeros(3), torch.tensor([0, 2])
    truths = torch.tensor([True, False])
    build(text, dtype="f32")(reals, naturals, truths)
    fails(
        text, "f", "f: t is N[n], but its dtype is torch.float32", reals, naturals.float(), truths
    )
    fails(text, "f", "f: b is B[n], but its dtype is torch.int64", reals, naturals, naturals)
    fails(text, "f", "f: E is [v], but its dtype is torch.int64", naturals, naturals, truths)
    fails(text, "f", "f: t holds 3, but must stay in 0 .. 2", reals, naturals + 1, truths)
    fails(text, "f", "f: t holds -1, but must stay in 0 .. 2", reals, naturals - 1, truths)


READS = {
    "a gather": "(E: [v m], t: N(v)[n]) -> [n m] { return Y[n m] = E[t[n], m] }",
    "naturals": "(E: N(v)[v m], t: N(v)[n]) -> N(v)[n m] { return Y[n m] = E[t[n], m] }",
    "a scatter": """[v](X: [n m], t: N(v)[n]) -> [v m] {
      Y: [v m]
      Y[t[n], m] += X[n m]
      return Y }""",
    "a table": "[v = 3, m](t: N(v)[n]) -> [n m] { learn E: [v m]\n return E[t[n], m] }",
    "with a batch": "(E: [b v m], t: N(v)[b n]) -> [b n m] { return Y[b n m] = E[b, t[b n], m] }",
    "twice": "(E: [v m], t: N(v)[n]) -> [n m] { return Y[n m] = E[t[n], m] * real(t[n]) }",
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("width", [0, 2])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_naturals_outside_their_bound_are_told(
    name: str, width: int, lead: tuple[int, ...]
) -> None:
    """By the read itself where it is the only one, or by a check before it."""
    batch = (4,) if "batch" in name else ()
    table = torch.zeros(*lead, *batch, 3, width)
    table = table.long() if name == "naturals" else table
    rows = torch.zeros(*lead, 2, width)
    naturals = torch.zeros(*lead, *batch, 2, dtype=torch.int64)
    sizes = {"v": 3} if "scatter" in name else {"m": width} if name == "a table" else {}
    module = build(f"diagram f{READS[name]}", dtype="f32", sizes=sizes)
    arrays = (rows,) if "scatter" in name else () if name == "a table" else (table,)
    module(*arrays, naturals)
    for worst in (3, -1):
        naturals[..., 1] = worst
        with pytest.raises(ValueError, match=rf"f: t holds {worst}, but must stay in 0 \.\. 2"):
            module(*arrays, naturals)


def test_sizes_that_are_missing() -> None:
    text = "diagram multi_head[h](X: [x m]) -> [x h] {\n learn W: [h m]\n return Y[x h] = W * X }"
    with pytest.raises(TargetError) as caught:
        build(text, "multi_head", {"h": 2})
    assert str(caught.value) == (
        "multi_head needs the size of m to make its parameters; "
        'give it with sizes={"m": ...} or --size m=...'
    )
    with pytest.raises(TargetError, match="needs the sizes of m and h to make"):
        build(text, "multi_head")
    with pytest.raises(TargetError, match="no module format `f8`"):
        build(text, "multi_head", {"h": 2, "m": 3}, "f8")
    assert "def __init__(self, *, m: int, h: int = 2)" in source(text, "multi_head", {"h": 2})


def test_defaults_of_sizes() -> None:
    text = """diagram f[h = 2, w = size(h) * 3, v = size(x) // 2](X: [x]) -> [h w v] {
      return Y[h w v] = X[0 * h + v] }"""
    ones = torch.ones(7)
    assert build(text)(ones.double()).shape == (2, 6, 3)
    assert build(text, sizes={"h": 1})(ones.double()).shape == (1, 3, 3)
    assert build(text, sizes={"w": 5, "v": 2})(ones.double()).shape == (2, 5, 2)


def test_a_traceback_shows_the_emitted_line() -> None:
    module = build(PRODUCT, "scores", dtype="f32")
    try:
        module(torch.zeros(3, 8, 5), torch.zeros(4, 4, 5))
    except ValueError:
        shown = traceback.format_exc()
    assert '_check("scores", {}, ("Q", Q, "[q h k]"), ("K", K, "[x h k]"))' in shown


# ---- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", SAMPLE)
def test_results_keep_the_format(name: str, dtype: str) -> None:
    case = CASES[name]
    checked = program(case.text)
    diagram = checked.diagram(case.name)
    assert diagram is not None
    module = PyTorchBackend().module(request(checked, case.name, case.sizes, dtype))
    sizes = {**case.at, **case.sizes}
    leads = [()] * len(diagram.parameters)
    out = module(*inputs(diagram.parameters, sizes, leads, dtype=FORMATS[dtype]))
    wanted = {"real": FORMATS[dtype], "natural": torch.int64, "boolean": torch.bool}
    results = out if isinstance(out, tuple) else (out,)
    for result, wire in zip(results, diagram.results, strict=True):
        assert result.dtype == wanted[wire.type.kind.name]


def test_indices_are_not_rounded() -> None:
    """Positions beyond 256 have no bf16 of their own."""
    text = "diagram f(X: [x]) -> [x] { return Y[x] = X * sin(x / 7) }"
    ones = torch.ones(2000, dtype=torch.bfloat16)
    out = build(text, dtype="bf16")(ones)
    exact = torch.sin(torch.arange(2000) / 7)
    assert out.dtype == torch.bfloat16
    assert (out.float() - exact).abs().max() < 0.01


def test_formats_without_an_input() -> None:
    text = "diagram f(t: N(n)[n]) -> [n] { return Y[n] = sin(real(t[n]) / 3) }"
    for dtype, wanted in {**FORMATS, "f64": torch.float64}.items():
        module = build(text, dtype=dtype)
        out = module(torch.arange(4))
        assert out.dtype == wanted
        assert not module.state_dict()
    torch.testing.assert_close(
        build(text)(torch.arange(4)), torch.sin(torch.arange(4).double() / 3), rtol=0, atol=1e-15
    )


def test_declared_formats() -> None:
    text = """axis k = 3
    diagram f(A: bf16[n k]) -> [n] {
      learn W: bf16[k]
      return Y[n] = A[n k] * W[k] }"""
    module = build(text, dtype="f32")
    assert module.state_dict()["W"].dtype == torch.bfloat16
    assert module(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


# ---- tracing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLE)
def test_modules_compile_as_one_graph(name: str) -> None:
    case = CASES[name]
    checked = program(case.text)
    diagram = checked.diagram(case.name)
    assert diagram is not None
    module = PyTorchBackend().module(request(checked, case.name, case.sizes, "f32"))
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    sizes = {**case.at, **case.sizes}
    leads = [(2,)] * len(diagram.parameters)
    arrays = inputs(diagram.parameters, sizes, leads, dtype=torch.float32)
    torch.testing.assert_close(compiled(*arrays), module(*arrays))


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_modules_compile_inside_others(backend: str) -> None:
    """torch.compile looks for the globals of what it inlines among the imported modules."""
    text = "diagram inside(X: [t m]) -> [t m] { return softmax[m](X) }"
    inner = ncdlang.loads(text).module(backend=backend)
    torch.compiler.reset()
    compiled = torch.compile(nn.Sequential(nn.Identity(), inner), fullgraph=True, backend="eager")
    given = torch.randn(3, 5)
    torch.testing.assert_close(compiled(given), given.softmax(-1))


def test_modules_can_be_copied_and_pickled() -> None:
    text = "use std.nn.{linear}\ndiagram f[o = 2](X: [t m]) -> [t o] { return linear[m -> o](X) }"
    module, given = build(text, sizes={"m": 3}, dtype="f32"), torch.randn(4, 3)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(given), module(given))


@pytest.mark.parametrize("name", [*SAMPLE[::2], "causal"])
def test_modules_export(name: str) -> None:
    case = CASES[name]
    checked = program(case.text)
    diagram = checked.diagram(case.name)
    assert diagram is not None
    module = PyTorchBackend().module(request(checked, case.name, case.sizes, "f32"))
    sizes = {**case.at, **case.sizes}
    leads = [(2,)] * len(diagram.parameters)
    arrays = inputs(diagram.parameters, sizes, leads, dtype=torch.float32)
    free = tuple(dict.fromkeys(range(array.dim()), torch.export.Dim.AUTO) for array in arrays)
    exported = torch.export.export(module, tuple(arrays), dynamic_shapes=free)
    assert_same(exported.module()(*arrays), module(*arrays))


def test_only_one_branch_counts() -> None:
    text = "diagram f(r: [n]) -> [n] { return Y[n] = where(r > 0, 1 / r + log(r) + sqrt(r), 0) }"
    values = torch.tensor([0.0, -1.0, 4.0], dtype=torch.float64, requires_grad=True)
    out = build(text)(values)
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert out[:2].tolist() == gradient[:2].tolist() == [0.0, 0.0]
    assert gradient[2].item() == pytest.approx(-1 / 16 + 1 / 4 + 1 / 4)


def test_requests_need_no_sizes_they_do_not_use() -> None:
    checked = program(PRODUCT)
    diagram = checked.diagrams[0]
    text = PyTorchBackend().emit(Request(checked, diagram, {"elsewhere": 3})).content
    assert "elsewhere" not in text
