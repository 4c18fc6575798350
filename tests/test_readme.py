"""The README shows what the program really does: its generated sections are compared with it.

`make docs` (`--update-golden`) writes them anew, and the picture with them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import ncdlang
from ncdlang.cli.main import COMMANDS
from ncdlang.report.types import render_types
from ncdlang.source import Source, Span

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "multi_head.svg"
ATTENTION = ROOT / "examples" / "attention.ncd"
SECTION = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

MISTAKES = """\
axis t = 32

diagram windows[i = 16, j = 4](X: [t]) -> [i j] {
  return Y[i j] = X[2*i + j]
}

diagram attention(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
  P        = sofmax[x](S)
  return O[q h k] = P[h q x] * V[x h k]
}
"""


def library() -> ncdlang.Library:
    return ncdlang.loads(ATTENTION.read_text(encoding="utf-8"), "attention.ncd")


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```\n"


def file() -> str:
    return fenced("ncd", ATTENTION.read_text(encoding="utf-8"))


def module() -> str:
    source = library().source("multi_head", config="small")
    return fenced("python", source[source.index("class CausalAttention") :])


def mistakes() -> str:
    return fenced("ncd", MISTAKES)


def errors() -> str:
    with pytest.raises(ncdlang.NcdError) as caught:
        ncdlang.loads(MISTAKES, "mistakes.ncd")
    return fenced("text", str(caught.value))


def types() -> str:
    texts = [render_types(diagram) for diagram in library().program.diagrams]
    return fenced("text", "\n".join(texts))


def commands() -> str:
    rows = [f"| `ncdc {name}` | {text} |" for name, text in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows]) + "\n"


SECTIONS: dict[str, Callable[[], str]] = {
    "file": file,
    "module": module,
    "mistakes": mistakes,
    "errors": errors,
    "types": types,
    "commands": commands,
}


def test_the_readme_tells_the_truth(request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    assert sorted(match[2] for match in SECTION.finditer(text)) == sorted(SECTIONS)
    fresh = SECTION.sub(lambda match: f"{match[1]}{SECTIONS[match[2]]()}{match[4]}", text)
    if request.config.getoption("--update-golden"):
        README.write_text(fresh, encoding="utf-8", newline="\n")
    assert fresh == text or request.config.getoption("--update-golden"), "run `make docs`"


def test_the_picture_is_of_this_drawing(
    request: pytest.FixtureRequest, golden: Callable[[str, str], None]
) -> None:
    """The picture differs between versions of Graphviz; the text that it is made from does not."""
    drawing = library().draw("multi_head")
    golden("readme/multi_head.gv", drawing.gv())
    if request.config.getoption("--update-golden") and shutil.which("dot"):
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_text(drawing.svg(), encoding="utf-8", newline="\n")
    assert PICTURE.exists()


def test_the_map_of_the_house_is_complete() -> None:
    text = README.read_text(encoding="utf-8")
    drawn = text.partition("## The map of the house")[2].partition("```\n\n")[0]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    tracked = listed or [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py")]
    top = {path.split("/")[0] for path in tracked if "/" in path and path[0] != "."}
    inner = {path.split("/")[1] for path in tracked if path.startswith("ncdlang/")}
    core = {name.removesuffix(".py") for name in inner if not name.startswith(("__", "py."))}
    assert top
    assert [name for name in sorted(top) if not re.search(rf"^{name}/", drawn, re.MULTILINE)] == []
    assert [name for name in sorted(core) if not re.search(rf"\b{name}\b", drawn)] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    text = re.sub(r"```.*?```", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_code_of_the_readme_checks() -> None:
    for match in re.finditer(r"```ncd\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        if match[1] != MISTAKES:
            assert ncdlang.loads(match[1]).diagrams


def test_errors_are_reported_once_each() -> None:
    with pytest.raises(ncdlang.NcdError) as caught:
        ncdlang.loads(MISTAKES)
    assert len(caught.value.diagnostics) == 2
    first = caught.value.diagnostics[0].span
    assert isinstance(first, Span)
    assert isinstance(first.source, Source)
