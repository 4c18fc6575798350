"""What the description of the language says of parameters, files and Python (7 to 10)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from claims import both, checks, error, value

import ncdlang
from ncdlang.cli.main import main

# ---- 7. learned parameters ------------------------------------------------------------------

USES = "use std.nn.{linear, affine, rms_norm, layer_norm, embedding, dropout, batch_norm}\n"


def state(text: str, **given: int) -> dict[str, tuple[int, ...]]:
    made, _ = both(USES + text, sizes=given)
    return {name: tuple(held.shape) for name, held in made.state_dict().items()}


@pytest.mark.parametrize(
    ("initialiser", "test"),
    [
        ("zeros", lambda w: bool((w == 0).all())),
        ("ones", lambda w: bool((w == 1).all())),
        ("normal(3, 0.001)", lambda w: abs(w.mean().item() - 3) < 0.01),
        ("uniform(2, 3)", lambda w: w.min().item() >= 2 and w.max().item() <= 3),
        ("kaiming", lambda w: 0 < w.std().item() < 1),
        ("xavier", lambda w: 0 < w.std().item() < 1),
        ("frozen(ones)", lambda w: not w.requires_grad),
    ],
)
def test_initialisers(initialiser: str, test: object) -> None:
    text = f"diagram f[o](X: [m]) -> [o] {{ learn W: [o m] ~ {initialiser}\n"
    made, _ = both(text + " return Y[o] = W * X }", sizes={"m": 30, "o": 20})
    assert callable(test)
    assert test(made.W)


def test_the_default_initialiser_is_that_of_linear_with_the_first_axis_as_output() -> None:
    text = "diagram f[o](X: [m]) -> [o] { learn W: [o m]\n return Y[o] = W * X }"
    made, _ = both(text, sizes={"m": 100, "o": 50})
    assert 0.09 < made.W.abs().max().item() <= 0.1


def test_frozen_makes_a_buffer() -> None:
    text = "diagram f(X: [m]) -> [m] { learn W: [m] ~ frozen(ones)\n return X * W }"
    made, judge = both(text, sizes={"m": 2})
    for module in (made, judge):
        assert dict(module.named_buffers()).keys() == {"W"}
        assert not list(module.parameters())


def test_an_instance_shares_its_weights() -> None:
    text = "diagram f(X: [m]) -> [m] { learn A, B: linear[m -> m]\n return A(A(B(X))) }"
    assert state(text, m=2) == {"A.weight": (2, 2), "B.weight": (2, 2)}


def test_a_direct_call_is_an_instance_named_after_the_diagram() -> None:
    text = "diagram f(X: [m]) -> [m] { return rms_norm[m](rms_norm[m](X)) }"
    assert state(text, m=2) == {"rms_norm.weight": (2,), "rms_norm_2.weight": (2,)}


def test_a_stack_and_reuse() -> None:
    text = """diagram layer(X: [m]) -> [m] { learn W: linear[m -> m]
      return W(X) }
    diagram f(X: [m]) -> [m] { learn stack: layer^3
      learn one: layer
      return (one^2)(stack(X)) }"""
    names = {f"stack.{i}.W.weight": (2, 2) for i in range(3)} | {"one.W.weight": (2, 2)}
    assert state(text, m=2) == names


def test_a_pipeline_stack_is_named_after_its_diagram() -> None:
    text = """diagram layer(X: [m]) -> [m] { return linear[m -> m](X) }
    diagram f : [m] -> [m] = layer^2"""
    assert state(text, m=2) == {f"layer.{i}.linear.weight": (2, 2) for i in range(2)}


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("linear[m -> h k](X)", {"linear.weight": (2, 3, 4)}),
        ("affine[m -> h k](X)", {"affine.weight": (2, 3, 4), "affine.bias": (2, 3)}),
        ("embedding[m -> h k](T)", {"embedding.weight": (4, 2, 3)}),
    ],
)
def test_names_and_shapes_of_the_library(
    expression: str, wanted: dict[str, tuple[int, ...]]
) -> None:
    given = "T: N(m)[]" if "(T)" in expression else "X: [m]"
    text = f"diagram f[h, k]({given}) -> [h k] {{ return {expression} }}"
    assert state(text, h=2, k=3, m=4) == wanted


def test_norms_have_a_weight_and_a_bias() -> None:
    text = "diagram f(X: [m]) -> [m] { return rms_norm[m](layer_norm[m](X)) }"
    assert state(text, m=2).keys() == {"rms_norm.weight", "layer_norm.weight", "layer_norm.bias"}


def test_linear_has_no_bias_and_takes_any_axes() -> None:
    text = "diagram f(X: [a b]) -> [] { return linear[a b ->](X) }"
    assert state(text, a=2, b=3) == {"linear.weight": (2, 3)}


def test_dropout_is_the_identity_in_eval_mode() -> None:
    text = USES + "diagram f(X: [m]) -> [m] { return dropout[0.5](X) }"
    given = torch.ones(1000, dtype=torch.float64)
    for module in both(text):
        assert torch.equal(module(given), given)
    trained = ncdlang.loads(text).module(dtype="f64").train()(given)
    assert 300 < (trained == 0).sum() < 700
    assert set(trained.unique().tolist()) == {0.0, 2.0}


def test_the_reference_evaluates_eval_mode_unless_told() -> None:
    text = USES + "diagram f(X: [m]) -> [m] { return dropout[0.5](X) }"
    given = torch.ones(100, dtype=torch.float64)
    assert torch.equal(ncdlang.loads(text).module(backend="reference")(given), given)


def test_batch_norm_keeps_running_buffers_and_is_not_lifted() -> None:
    text = USES + "diagram f(X: [b y x c]) -> [b y x c] { return batch_norm[b y x -> c](X) }"
    made, _ = both(text, sizes={"c": 2})
    buffers = dict(made.named_buffers())
    assert {"batch_norm.running_mean", "batch_norm.running_var"} <= buffers.keys()
    error(text.replace("[b y x ->", "[b y ->"), "NCD4009")


# ---- 8. files -------------------------------------------------------------------------------


def test_the_prelude_needs_no_use() -> None:
    checks(
        """diagram f(X: [i], C: [j]) -> [s] {
      A = softmax[i](where(X > 0, exp(X), 0))
      P = pad[i, 1, 1](A)
      return S[s] = concat[j, i](C, A)
    }
    diagram g : [i] -> f32[i] = einsum[i -> i] >> scale[2] >> route[a -> a] >> cast[f32]"""
    )


def test_epsilons() -> None:
    given = [1e-3, -1e-3]
    for norm, epsilon in [("rms_norm", 1e-6), ("layer_norm", 1e-5)]:
        text = f"{USES}diagram f(X: [m]) -> [m] {{ return {norm}[m](X) }}"
        wanted = 1e-3 / (1e-6 + epsilon) ** 0.5
        assert value(text, given, sizes={"m": 2})[0].item() == pytest.approx(wanted)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.ncd"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


LAYER = "diagram layer(X: [i]) -> [i] { return 2 * X }"


@pytest.mark.parametrize(
    ("use", "call"),
    [
        ("use layers", "layers.layer(X)"),
        ("use layers as l", "l.layer(X)"),
        ("use layers.{layer}", "layer(X)"),
        ("use layers.{layer as two}", "two(X)"),
        ("use models.layers.{layer}", "layer(X)"),
        ("use far.{layer}", "layer(X)"),
    ],
)
def test_where_modules_are_found(tmp_path: Path, use: str, call: str) -> None:
    write(tmp_path / "own", layers=LAYER, models__layers=LAYER)
    write(tmp_path / "own", main=f"{use}\ndiagram f(X: [i]) -> [i] {{ return {call} }}")
    write(tmp_path / "other", far=LAYER, layers="diagram layer(X: [i]) -> [i] { return 9 * X }")
    library = ncdlang.load(tmp_path / "own" / "main.ncd", include=[tmp_path / "other"])
    assert library.module("f")(torch.ones(1)).item() == 2.0


def test_std_is_always_the_standard_library(tmp_path: Path) -> None:
    write(tmp_path, std__nn=LAYER.replace("layer", "linear"))
    write(
        tmp_path, main="use std.nn.{linear}\ndiagram f(X: [i]) -> [i] { return linear[i -> i](X) }"
    )
    assert ncdlang.load(tmp_path / "main.ncd", include=[tmp_path]).diagrams == ("f",)


def test_paths_do_not_leave_their_folders(tmp_path: Path) -> None:
    write(tmp_path / "away", secret=LAYER)
    write(tmp_path / "own", main="use linked.{layer}\n" + LAYER.replace("layer", "f"))
    (tmp_path / "own" / "linked.ncd").symlink_to(tmp_path / "away" / "secret.ncd")
    with pytest.raises(ncdlang.NcdError, match="NCD4006"):
        ncdlang.load(tmp_path / "own" / "main.ncd")


def test_circles_show_their_way(tmp_path: Path) -> None:
    write(
        tmp_path, a="use b.{g}\n" + LAYER, b="use a.{layer}\ndiagram g(X: [i]) -> [i] { return X }"
    )
    with pytest.raises(ncdlang.NcdError, match="NCD4005"):
        ncdlang.load(tmp_path / "a.ncd")
    error("diagram f(X: [i]) -> [i] { return f(X) }", "NCD4005", "f")


def test_a_config_overrides_sizes_and_constants_when_it_is_chosen() -> None:
    text = """const depth = 2
    axis h = 3
    diagram f(X: [h]) -> [h] { return depth * X }
    config base { h = 8, depth = 6 }
    config other {
      h = 4
      depth = 5
    }"""
    library = ncdlang.loads(text)
    assert library.module()(torch.ones(3)).tolist() == [2.0] * 3
    assert library.module(config="base")(torch.ones(8)).tolist() == [6.0] * 8
    assert library.module(config="other")(torch.ones(4)).tolist() == [5.0] * 4


def test_a_config_gives_the_size_of_an_axis_that_only_bounds_naturals() -> None:
    text = """diagram f(T: N(v)[n]) -> [n v] { return Y[n v] = where(T == v, 1, 0) }
    config base { v = 3 }"""
    assert ncdlang.loads(text).module(config="base")(torch.tensor([1])).tolist() == [[0, 1, 0]]


def test_an_op_declares_a_signature_and_properties() -> None:
    checks(
        "op swirl: [] -> [] { elementwise, monotone }\ndiagram f(X: [n]) -> [n] { return swirl(X) }"
    )
    error("op mine: [] -> [] { code }", "NCD2001", "property")


# ---- 9. Python, 10. errors ------------------------------------------------------------------


def test_the_python_of_the_page(tmp_path: Path) -> None:
    here = Path(__file__).parent / "data" / "language" / "attention.ncd"
    lib = ncdlang.load(here)
    attn = lib.module("multi_head", sizes={"h": 8, "k": 64, "m": 512})
    assert attn(torch.ones(2, 512)).shape == (2, 512)
    with pytest.raises(ValueError, match="512"):
        attn(torch.ones(2, 511))
    assert not list(lib.module("attention").parameters())
    assert "class MultiHead" in lib.source("multi_head", config="small")


def test_drawings_are_shown_by_jupyter() -> None:
    drawing = ncdlang.loads("diagram f(X: [i]) -> [i] { return exp(X) }").draw("f")
    assert "exp" in drawing.gv()
    assert hasattr(drawing, "_repr_svg_")


def test_backends_have_one_state_dict() -> None:
    text = USES + "diagram f(X: [m]) -> [m] { return rms_norm[m](linear[m -> m](X)) }"
    made, judge = both(text, sizes={"m": 2})
    assert list(made.state_dict()) == list(judge.state_dict())


def test_names_that_clash_with_modules_get_a_trailing_underscore() -> None:
    text = """diagram f(X: [m]) -> [m] {
      learn forward, training: linear[m -> m]
      learn half: [m]
      return forward(training(X)) * half
    }"""
    assert state(text, m=2) == {
        "half_": (2,),
        "forward_.weight": (2, 2),
        "training_.weight": (2, 2),
    }


def test_what_an_error_tells() -> None:
    with pytest.raises(ncdlang.NcdError) as caught:
        ncdlang.loads("diagram f(A: [i]) -> [i] {\n  return sofmax[i](A)\n}\n", "two.ncd")
    (found,) = caught.value.diagnostics
    assert (found.code, found.severity) == ("NCD2001", "error")
    assert (found.span.file, found.span.line, found.span.column) == ("two.ncd", 2, 10)
    assert (found.span.start, found.span.end) == (36, 42)
    assert found.fix is not None
    assert (found.labels, found.notes) == ((), ())
    assert "softmax" in found.help
    assert "two.ncd:2:10" in str(caught.value)


def test_a_bounds_error_shows_an_example() -> None:
    text = """axis x = 32
    diagram f[i = 16, j = 4](X: [x]) -> [i j] { return Y[i j] = X[2*i + j] }"""
    words = "index `2*i + j` reaches 33 at i = 15, j = 3, but axis `x` of `X` has size 32"
    assert words in error(text, "NCD3002", "size(i) can be at most 15")


def test_bytes_that_are_no_text_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.ncd").write_bytes(b"diagram \xff\xfe")
    assert main(["check", str(tmp_path / "a.ncd")]) in (1, 2)
    assert "UTF-8" in capsys.readouterr().err
