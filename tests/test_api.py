"""The Python interface."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ncdlang

ROOT = Path(__file__).parent.parent
ATTENTION = ROOT / "examples" / "attention.ncd"
SMALL = {"h": 2, "k": 4, "m": 8}


@pytest.fixture(scope="module")
def library() -> ncdlang.Library:
    return ncdlang.load(ATTENTION)


def test_a_library_lists_its_diagrams(library: ncdlang.Library) -> None:
    assert library.diagrams == ("attention", "causal_attention", "multi_head")
    assert "multi_head[h, k](X: [x m]) -> [x m]" in repr(library)


def test_the_module_is_a_module(library: ncdlang.Library) -> None:
    module = library.module("multi_head", sizes=SMALL)
    assert isinstance(module, torch.nn.Module)
    result = module(torch.randn(5, 8))
    assert result.shape == (5, 8)
    assert module(torch.randn(3, 2, 5, 8)).shape == (3, 2, 5, 8)
    assert result.dtype is torch.float32
    assert {name.split(".")[0] for name in module.state_dict()} == {"Lq", "Lk", "Lv", "Lo"}


def test_a_diagram_without_parameters_is_a_module_too(library: ncdlang.Library) -> None:
    module = library.module("attention")
    q, k = torch.randn(3, 2, 4), torch.randn(5, 2, 4)
    assert module(q, k, k).shape == (3, 2, 4)
    with pytest.raises(ValueError, match="h"):
        module(q, torch.randn(5, 3, 4), k)


def test_backends_agree(library: ncdlang.Library) -> None:
    module = library.module("multi_head", sizes=SMALL, dtype="f64")
    judge = library.module("multi_head", sizes=SMALL, backend="reference")
    judge.load_state_dict(module.state_dict())
    x = torch.randn(3, 8, dtype=torch.float64)
    torch.testing.assert_close(module(x), judge(x))


def test_configs_and_sizes(library: ncdlang.Library) -> None:
    source = library.source("multi_head", config="small")
    assert "h: int = 8" in source
    assert "h: int = 4" in library.source("multi_head", config="small", sizes={"h": 4})
    module = library.module("multi_head", config="small")
    assert module.state_dict()["Lq.weight"].shape == (8, 64, 512)


def test_the_source_runs_alone(library: ncdlang.Library) -> None:
    names: dict[str, object] = {}
    source = library.source("multi_head")
    assert not re.search(r"^\s*(import|from) ncdlang", source, re.MULTILINE)
    exec(source, names)
    make = names["MultiHead"]
    assert callable(make)
    assert make(**SMALL)(torch.randn(5, 8)).shape == (5, 8)


def test_drawings(library: ncdlang.Library) -> None:
    drawing = library.draw("multi_head")
    assert "<svg" in drawing.svg()
    shown = drawing._repr_svg_()
    assert shown.replace(' style="max-width:100%;height:auto"', "") == drawing.svg() != shown
    assert drawing.png().startswith(b"\x89PNG")
    assert drawing.pdf().startswith(b"%PDF")
    assert drawing.gv().startswith("graph")
    assert drawing.gv() == library.draw("multi_head", style="circuit").gv()
    assert library.draw("multi_head", theme="dark").gv() != drawing.gv()


def test_the_last_diagram_is_the_default() -> None:
    library = ncdlang.loads("diagram f(X: [x]) -> [x] { return Y[x] = 2 * X[x] }")
    assert library.module()(torch.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert "class F" in library.source()


# ---- errors --------------------------------------------------------------------------------------


def test_mistakes_are_data() -> None:
    text = "diagram f(X: [x]) -> [x] {\n  return softmax[z](X)\n}\n"
    with pytest.raises(ncdlang.NcdError) as caught:
        ncdlang.loads(text)
    (found,) = caught.value.diagnostics
    assert (found.code, found.severity) == ("NCD2003", "error")
    assert (found.span.file, found.span.line, found.span.column) == ("<string>", 2, 18)
    assert text[found.span.start : found.span.end] == "z"
    assert found.message
    assert isinstance(found.labels, tuple)
    assert isinstance(found.notes, tuple)
    assert "error[NCD2003]" in str(caught.value)
    assert "<string>:2:18" in str(caught.value)
    assert isinstance(caught.value.diagnostics, list)


def test_texts_have_names() -> None:
    with pytest.raises(ncdlang.NcdError, match=r"model\.ncd:1:1"):
        ncdlang.loads("nonsense", name="model.ncd")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.ncd"
    latin.write_bytes(b"# caf\xe9\n")
    for path, words in (
        (tmp_path / "missing.ncd", "no such file"),
        (tmp_path, "folder"),
        (latin, "not UTF-8"),
        (tmp_path / "a\0b.ncd", "cannot read"),
        (tmp_path / "lone \udcff.ncd", "no such file"),
    ):
        with pytest.raises(ncdlang.NcdError, match=words) as caught:
            ncdlang.load(path)
        assert [d.code for d in caught.value.diagnostics] == ["NCD4006"]
        assert caught.value.diagnostics[0].span.file == str(path)


def test_requests_that_cannot_be_met(library: ncdlang.Library) -> None:
    for ask, message in (
        (lambda: library.module("multihead"), "did you mean `multi_head`"),
        (lambda: library.module("multi_head", config="smal"), "did you mean `small`"),
        (lambda: library.module("multi_head", backend="nothing"), "there is no backend"),
        (lambda: library.module("multi_head", backend="draw"), "makes no modules"),
        (lambda: library.module("multi_head"), r"needs the sizes? of"),
        (lambda: library.draw("multi_head", style="nothing").svg(), "style"),
        (lambda: ncdlang.loads("const a = 1").module(), "declares no diagram"),
    ):
        with pytest.raises(ncdlang.NcdError, match=message) as caught:
            ask()
        assert caught.value.diagnostics == []


def test_values_are_checked_where_they_are_given() -> None:
    text = (
        "diagram f[w = 2](X: [x]) -> [w] {\n"
        "  assert size(w) <= 4\n"
        "  return Y[w] = w * sum[x](X)\n"
        "}\n"
    )
    library = ncdlang.loads(text)
    assert library.source("f", sizes={"w": 3})
    with pytest.raises(ncdlang.NcdError) as caught:
        library.source("f", sizes={"w": 5})
    assert caught.value.diagnostics


def test_names_are_compared_after_normalisation() -> None:
    library = ncdlang.loads(
        "diagram \u00e9[\u00e9' = 2](X: [x]) -> [\u00e9'] { return Y[\u00e9'] = sum[x](X) }"
    )
    module = library.module("e\u0301", sizes={"e\u0301'": 3})
    assert module(torch.ones(4)).tolist() == [4, 4, 4]


def test_include_folders(tmp_path: Path) -> None:
    (tmp_path / "m.ncd").write_text("diagram f(X: [x]) -> [x] { return softmax[x](X) }")
    text = "use m.{f}\ndiagram g(X: [x]) -> [x] { return f(X) }"
    with pytest.raises(ncdlang.NcdError):
        ncdlang.loads(text)
    assert ncdlang.loads(text, include=[tmp_path]).diagrams == ("g",)


# ---- imports -------------------------------------------------------------------------------------


def test_the_package_is_cheap_to_import() -> None:
    program = (
        "import sys, ncdlang;"
        "sys.exit(' '.join(m for m in sys.modules if m.startswith(('ncdlang.', 'torch', 'lark')))"
        " or 0)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert finished.stderr == ""


def test_names_of_the_package() -> None:
    assert set(ncdlang.__all__) <= set(dir(ncdlang))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ncdlang.nothing


def test_options_that_a_backend_does_not_have(library: ncdlang.Library) -> None:
    for ask in (library.module, library.source):
        for backend, option, message in (
            ("triton", "tuned", "`triton` has no option `tuned`; the options are derived, tune"),
            ("torch", "devise", "`torch` has no option `devise`; it has no options"),
            ("reference", "theme", "`reference` has no option `theme`; it has no options"),
            ("torch", "tune", "`tune` needs the backend `triton`"),
            ("reference", "derived", "`derived` needs the backend `triton`"),
        ):
            with pytest.raises(ncdlang.NcdError) as caught:
                ask("attention", backend=backend, **{option: "true"})
            assert str(caught.value).endswith(message)
    with pytest.raises(ncdlang.NcdError, match="tune is true or false"):
        library.module("attention", backend="triton", tune="maybe")
    assert "class Attention" in library.source("attention", backend="triton", tune="true")
