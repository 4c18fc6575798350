"""`%%ncd` cells, run by IPython's own shell."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import ncdlang
from ncdlang.diagnostics import Diagnostic
from ncdlang.report import html, text
from ncdlang.source import Source, Span

CELL = """\
## Twice as much.
diagram twice(X: [x]) -> [x] { return Y[x] = X[x] + X[x] }
diagram scaled[m](X: [x]) -> [x m] {
  learn W: [m]
  return Y[x m] = X[x] * W[m]
}
"""
WRONG = "diagram f(X: [x]) -> [x] { return softmax[z](X) }  # <script>alert(1)</script> & co\n"


class Ran(NamedTuple):
    shown: list[dict[str, Any]]
    printed: str
    error: BaseException | None


class Notebook:
    """A shell whose cells are run one after another."""

    def __init__(self) -> None:
        settings = Config({"HistoryManager": {"enabled": False}})
        self.shell = InteractiveShell.instance(config=settings)
        self.names: dict[str, Any] = self.shell.user_ns

    def run(self, *lines: str) -> Ran:
        with capture_output() as captured:
            result = self.shell.run_cell("\n".join(lines), store_history=True)
        shown = [output.data for output in captured.outputs]
        printed = captured.stdout + captured.stderr
        return Ran(shown, printed, result.error_before_exec or result.error_in_exec)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "profile"))
    created = Notebook()
    assert created.run("%load_ext ncdlang").error is None
    yield created
    InteractiveShell.clear_instance()


def test_a_cell_defines_diagrams_and_shows_the_last(notebook: Notebook) -> None:
    ran = notebook.run("%%ncd", CELL)
    assert ran.error is None
    assert ran.printed == ""
    (shown,) = ran.shown
    assert shown["text/plain"] == "scaled[m](X: [x]) -> [x m]"
    if shutil.which("dot"):
        assert "<svg" in shown["image/svg+xml"]
    assert isinstance(notebook.names["_ncd"], ncdlang.Library)
    assert "Twice as much." in notebook.names["twice"].__doc__
    ran = notebook.run("import torch", "y = scaled.module(sizes={'m': 3})(torch.ones(5))")
    assert ran.error is None, ran.printed
    assert notebook.names["y"].shape == (5, 3)
    assert "class Scaled" in notebook.names["scaled"].source(sizes={"m": 3})
    assert torch.equal(notebook.names["twice"].module()(torch.ones(2)), torch.full((2,), 2.0))


def test_a_diagram_shows_its_drawing(notebook: Notebook) -> None:
    notebook.run("%%ncd --quiet --theme dark", CELL)
    twice = notebook.names["twice"]
    bundle = notebook.shell.display_formatter.format(twice)[0]  # type: ignore[union-attr]
    assert bundle["text/plain"] == "twice(X: [x]) -> [x]"
    if shutil.which("dot"):
        assert bundle["image/svg+xml"] == twice.draw(theme="dark")._repr_svg_()
        assert bundle["image/svg+xml"] != twice.draw(theme="light")._repr_svg_()


def test_a_diagram_without_graphviz_is_text(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    ran = notebook.run("%%ncd", CELL)
    assert ran.error is None
    (shown,) = ran.shown
    assert set(shown) == {"text/plain"}
    assert "Graphviz" in shown["text/plain"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("", ["scaled[m](X: [x]) -> [x m]"]),
        ("--quiet", []),
        ("--draw twice", ["twice(X: [x]) -> [x]"]),
        ("--draw scaled --draw twice", ["scaled[m](X: [x]) -> [x m]", "twice(X: [x]) -> [x]"]),
    ],
)
def test_what_is_shown(notebook: Notebook, options: str, shown: list[str]) -> None:
    ran = notebook.run(f"%%ncd {options}", CELL)
    assert [each["text/plain"] for each in ran.shown] == shown


def test_types_are_shown_on_demand(notebook: Notebook) -> None:
    (shown,) = notebook.run("%%ncd --types", CELL).shown
    assert "\n  learn W: [m]\n" in shown["text/plain"]


class Elements(HTMLParser):
    """The names of the elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_an_error_is_rendered_and_ends_the_run(notebook: Notebook) -> None:
    notebook.run("%%ncd --quiet", CELL)
    before = notebook.names["_ncd"]
    ran = notebook.run("%%ncd", WRONG)
    (shown,) = ran.shown
    assert isinstance(ran.error, ncdlang.NcdError)
    assert [each.code for each in ran.error.diagnostics] == ["NCD2003"]
    assert ran.printed == "NcdError: found 1 error\n"
    assert shown["text/plain"].startswith("error[NCD2003]")
    assert "--> In [3]:1:43" in shown["text/plain"]
    page = Elements(shown["text/html"])
    assert page.names == {"pre", "span"}
    assert page.text.strip() == shown["text/plain"].strip()
    assert "color:" in shown["text/html"]
    assert notebook.names["_ncd"] is before
    assert "f" not in notebook.names


def test_warnings_are_shown_and_end_nothing(notebook: Notebook) -> None:
    found = Diagnostic(
        "NCD2001", "m <b>", Span(Source("a<i>", "x & y\n"), 0, 5), severity="warning"
    )
    page = Elements(html.render([found]))
    assert page.names == {"pre", "span"}
    assert page.text == text.render([found])
    assert "--jp-warn" in html.render([found])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["%%ncd --draw nope", CELL], "no diagram `nope`"),
        (["%%ncd --depth abc", CELL], "`depth` is"),
        (["%%ncd --colour", CELL], "unrecognized arguments"),
        (["%%ncd a b", CELL], "unrecognized arguments"),
        (["%%ncd std", CELL], "no name for a module"),
        (["%%ncd a.b", CELL], "no name for a module"),
        (["%%ncd 'a", CELL], "No closing quotation"),
        (["%ncd"], "required"),
    ],
)
def test_wrong_options(notebook: Notebook, lines: list[str], told: str) -> None:
    ran = notebook.run(*lines)
    assert ran.error is not None
    assert told in ran.printed
    assert "Traceback" not in ran.printed
    assert ran.printed.count("\n") <= 3


def test_cells_with_names_are_modules(notebook: Notebook) -> None:
    notebook.run("%%ncd layers", CELL)
    uses = "use layers.{twice}\ndiagram four(X: [x]) -> [x] { return twice(twice(X)) }\n"
    assert notebook.run("%%ncd", uses).error is None
    assert notebook.names["four"].module()(torch.ones(1)).tolist() == [4]
    # A later version counts, but not one with errors.
    notebook.run("%%ncd layers", CELL.replace("X[x] + X[x]", "X[x]"))
    notebook.run("%%ncd layers", WRONG)
    assert notebook.run("%%ncd", uses).error is None
    assert notebook.names["four"].module()(torch.ones(1)).tolist() == [1]
    circle = "use own.{g}\ndiagram g(X: [x]) -> [x] { return X }\n"
    assert "NCD4005" in notebook.run("%%ncd own", circle).shown[0]["text/plain"]


def test_cells_use_files_beside_the_notebook(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "parts.ncd").write_text(CELL)
    uses = "use parts.{twice}\ndiagram four(X: [x]) -> [x] { return twice(twice(X)) }\n"
    assert notebook.run("%%ncd", uses).error is None
    assert notebook.run("%ncd parts.ncd --draw twice").shown[0]["text/plain"].startswith("twice(")
    assert "scaled" in notebook.names
    missing = notebook.run("%ncd missing.ncd")
    assert "NCD4006" in missing.shown[0]["text/plain"]


@pytest.mark.parametrize("name", ["print", "f'", "lambda", "torch"])
def test_names_that_python_needs_are_kept(notebook: Notebook, name: str) -> None:
    notebook.run("import torch")
    before = notebook.names.get(name)
    ran = notebook.run("%%ncd", f"diagram {name}(X: [x]) -> [x] {{ return X }}\n")
    assert ran.error is None
    assert f"`{name}` keeps its meaning" in ran.shown[0]["text/plain"]
    assert notebook.names.get(name) is before
    assert notebook.names["_ncd"].diagrams == (name,)


def test_nothing_of_a_program_is_markup() -> None:
    source = Source("<img src=x>.ncd", "\x1b[31m<b>&amp;\"'\n")
    found = Diagnostic("NCD2001", "<u>\x1b[1m", Span(source, 0, 10), "<s>", notes=("<q>",))
    page = Elements(html.render([found]))
    assert page.names == {"pre", "span"}
    assert page.text == text.render([found])
    assert not re.search("\x1b", page.text)
