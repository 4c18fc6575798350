"""Every code has a page, and the examples on the page are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ncdlang import codes
from ncdlang.codes import Page
from ncdlang.diagnostics import Diagnostic
from ncdlang.project import Project
from ncdlang.semantics.check import check_source

ROOT = Path(__file__).parent.parent
PAGES = [page for code in codes.all_codes() if (page := codes.page(code))]


def findings(page: Page, text: str, folder: Path) -> tuple[Diagnostic, ...]:
    for path, module in page.modules:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(module, encoding="utf-8")
    (folder / "main.ncd").write_text(text, encoding="utf-8")
    project = Project()
    return check_source(project.open(folder / "main.ncd"), project.find)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_the_bad_example_gives_exactly_its_code(page: Page, tmp_path: Path) -> None:
    found = findings(page, page.bad, tmp_path)
    assert {d.code for d in found} == {page.code}, [d.message for d in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_the_good_example_gives_nothing(page: Page, tmp_path: Path) -> None:
    assert [d.message for d in findings(page, page.good, tmp_path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_pages_are_written_out(page: Page) -> None:
    assert re.fullmatch(r"NCD[1-9]\d{3}", page.code)
    assert page.title
    assert not page.title.endswith(".")
    assert page.why.endswith(".")


def test_every_code_that_the_compiler_gives_has_a_page() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "ncdlang").rglob("*.py")]
    texts.append((ROOT / "grammar" / "syntax_errors.toml").read_text(encoding="utf-8"))
    given = {code for text in texts for code in re.findall(r'"(NCD\d{4})"', text)}
    assert given == set(codes.all_codes())


def test_pages_are_found_in_any_case() -> None:
    assert codes.page("ncd0000") is None
    for code in codes.all_codes():
        assert codes.page(code.lower()) == codes.page(code)
