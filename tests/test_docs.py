"""Every block of the documentation is compiled, and what it shows of the program is so.

`make docs` (`--update-golden`) writes what the program makes anew.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import Reader, blocks, written_anew

from ncdlang.codes import all_codes, page
from ncdlang.source import Source
from ncdlang.syntax.format import format_file
from ncdlang.syntax.parser import parse

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ERRORS = DOCS / "errors.md"
PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if path != ERRORS)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_blocks_are_compiled(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    text = path.read_text(encoding="utf-8")
    fresh = written_anew(text, Reader(tmp_path))
    if request.config.getoption("--update-golden"):
        path.write_text(fresh, encoding="utf-8", newline="\n")
    assert fresh == text or request.config.getoption("--update-golden"), "run `make docs`"


@pytest.mark.parametrize("path", [*PAGES, ERRORS], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text):
        file = path.parent / target if target else path
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), anchor


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in links."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_lists_all_pages() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    others = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"README.md"}
    assert others <= set(re.findall(r"\]\(([^)#:]+)\)", index))


def test_wrong_programs_are_found_wrong(tmp_path: Path) -> None:
    """The reader of pages itself: it does not pass a page that is not so."""
    wrong = "```ncd error=NCD2001\ndiagram f(X: [i]) -> [i] { return X }\n```\n"
    with pytest.raises(AssertionError):
        written_anew(wrong, Reader(tmp_path))
    with pytest.raises(AssertionError):
        written_anew(
            wrong.replace(" error=NCD2001", "").replace("return X", "return Z"), Reader(tmp_path)
        )
    with pytest.raises(AssertionError):
        written_anew("```fortran\n```\n", Reader(tmp_path))
    with pytest.raises(NameError):
        written_anew("```python\nunknown\n```\n", Reader(tmp_path))
    stale = "```console\n$ ncdc explain NCD9999\nAll is well\n```\n"
    assert written_anew(stale, Reader(tmp_path)) != stale


# ---- the page of all errors -----------------------------------------------------------------

GROUPS = {
    "1": "Syntax",
    "2": "Names, axes and kinds",
    "3": "Sizes and bounds",
    "4": "Calls and modules",
    "5": "Limits of this version",
}
HEAD = """# Errors

Written by `make docs` from `ncdlang/code_pages`; `ncdc explain NCD2004` shows one entry. Each has a
text that gives the error, and the same text mended.
"""


def error_page() -> str:
    parts = [HEAD]
    groups = ""
    for code in all_codes():
        known = page(code)
        assert known is not None
        if code[3] != groups:
            groups = code[3]
            parts.append(f"## {GROUPS[groups]}\n")
        parts.append(f"### {code}: {known.title[0].lower()}{known.title[1:]}\n\n{known.why}\n")
        parts += [f"```ncd {name}\n{text}```\n" for name, text in known.modules]
        source = Source("good.ncd", known.good)
        parts.append(f"```ncd error={code}\n{ended(known.bad)}```\n")
        parts.append(f"```ncd\n{format_file(source, parse(source))}```\n")
    return "\n".join(parts)


def ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def test_the_page_of_errors_is_of_this_version(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        ERRORS.write_text(error_page(), encoding="utf-8", newline="\n")
    assert ERRORS.exists(), "run `make docs`"
    assert ERRORS.read_text(encoding="utf-8") == error_page(), "run `make docs`"


def test_examples_of_the_page_of_errors(tmp_path: Path) -> None:
    text = ERRORS.read_text(encoding="utf-8")
    wrong = {block.error for block in blocks(text)} - {""}
    assert wrong == set(all_codes())
    reader = Reader(tmp_path)
    for block in blocks(text):
        if not block.error:
            assert reader.follow(block) == block
