"""Highlighting: the generated grammar is fresh, and Visual Studio Code and Pygments agree on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pygments import highlight, token
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from syntax_texts import FILES, KEYWORDS, ROOT

from ncdlang import pygments as lexer
from ncdlang.syntax.generate import tables_of_grammar
from ncdlang.syntax.highlight import Vocabulary, textmate
from ncdlang.syntax.language import language
from ncdlang.vocabulary import vocabulary

GRAMMAR = ROOT / "grammar" / "ncd.tmLanguage.json"
EXTENSION = ROOT / "editors" / "vscode"
PROGRAMS = [*sorted((ROOT / "examples").rglob("*.ncd")), *sorted((ROOT / "stdlib").rglob("*.ncd"))]
PROGRAMS += [*FILES, *sorted((ROOT / "tests" / "suite").glob("*.ncd"))]
PROGRAMS = [path for path in PROGRAMS if path.name != "syntax.ncd"]  # has characters of no token
WORDS = Vocabulary(("exp",), ("N",), ("inf",), ("set",))

SAMPLE = """\
# a comment
## documentation
use std.nn.{linear, rms_norm as norm}
axis h = 8, t : ordered
const depth = 6
config small { h = 8, depth = 2 }
op drop[const p = 0.1]: [] -> B[] { random, pictogram = "d\\"" }
diagram f[k, c = 3](X, Y: [x' m], T: N(v)[n]) -> ([m], f32[h]) {
  learn W, V: [m k] ~ normal(0, 1e-2)
  S[q] = W[q k] * B[k] / sqrt(size(k))
  R[2*i + j] max= g[h = h](X) and not pi
  P = softmax[x](E[T[n], (h k)]) >> f^2 | id  ## no documentation
  block "Core" { assert x <= q }
  return helper(P), -inf
}
"""

# (line, text, which of them in the line, scope)
CHOSEN = [
    (1, "# a comment", 0, "comment.line.number-sign"),
    (2, "## documentation", 0, "comment.line.documentation"),
    (3, "use", 0, "keyword.control.import"),
    (3, "nn", 0, "entity.name.namespace"),
    (3, "linear", 0, "support.function.library"),
    (3, "as", 0, "keyword.control.import"),
    (3, "norm", 0, "support.function.library"),
    (4, "axis", 0, "storage.type"),
    (4, "h", 0, "entity.name.type.axis"),
    (4, "8", 0, "constant.numeric"),
    (4, "t", 0, "entity.name.type.axis"),
    (4, "ordered", 0, "storage.modifier.structure"),
    (5, "depth", 0, "variable.other.constant"),
    (6, "small", 0, "entity.name.type.config"),
    (6, "depth", 0, "variable.parameter.setting"),
    (7, "drop", 0, "entity.name.function.op"),
    (7, "p", 0, "variable.parameter.setting"),
    (7, "B", 0, "support.type.format"),
    (7, "->", 0, "keyword.operator.arrow"),
    (7, "random", 0, "storage.modifier.property"),
    (7, "d", 0, "string.quoted.double"),
    (7, '\\"', 0, "constant.character.escape"),
    (8, "diagram", 0, "storage.type"),
    (8, "f", 0, "entity.name.function.diagram"),
    (8, "k", 0, "entity.name.type.axis"),
    (8, "X", 0, "variable.parameter"),
    (8, "Y", 0, "variable.parameter"),
    (8, "x'", 0, "entity.name.type.axis"),
    (8, "N", 0, "support.type.format"),
    (8, "v", 0, "entity.name.type.axis"),
    (8, "n", 0, "entity.name.type.axis"),
    (8, "f32", 0, "support.type.format"),
    (8, "{", 0, "punctuation.section.braces"),
    (9, "W", 0, "variable.other.learned"),
    (9, "V", 0, "variable.other.learned"),
    (9, "k", 0, "entity.name.type.axis"),
    (9, "~", 0, "keyword.operator"),
    (9, "1e-2", 0, "constant.numeric"),
    (10, "S", 0, "variable.other.wire"),
    (10, "q", 0, "entity.name.type.axis"),
    (10, "B", 0, "variable.other.wire"),
    (10, "*", 0, "keyword.operator.arithmetic"),
    (10, "sqrt", 0, "support.function.library"),
    (10, "size", 0, "keyword.other.size"),
    (10, "k", 2, "entity.name.type.axis"),
    (11, "i", 0, "entity.name.type.axis"),
    (11, "max=", 0, "keyword.operator.assignment"),
    (11, "g", 0, "entity.name.function.call"),
    (11, "h", 0, "variable.parameter.setting"),
    (11, "not", 0, "keyword.operator.logical"),
    (11, "pi", 0, "constant.language"),
    (12, "softmax", 0, "support.function.library"),
    (12, "E", 0, "variable.other.wire"),
    (12, "T", 0, "variable.other.wire"),
    (12, "n", 0, "entity.name.type.axis"),
    (12, "k", 0, "entity.name.type.axis"),
    (12, ">>", 0, "keyword.operator.composition"),
    (12, "## no documentation", 0, "comment.line.number-sign"),
    (13, "block", 0, "storage.type"),
    (13, "assert", 0, "keyword.control.assert"),
    (13, "<=", 0, "keyword.operator.comparison"),
    (14, "return", 0, "keyword.control.return"),
    (14, "helper", 0, "entity.name.function.call"),
    (14, "inf", 0, "constant.language"),
]


def offset(line: int, text: str, count: int) -> int:
    """Where the nth such word of a 1-based line of the sample starts."""
    lines = SAMPLE.split("\n")
    pattern = re.escape(text)
    if text.isalnum():
        pattern = rf"(?<!\w){pattern}(?![\w'])"
    places = [match.start() for match in re.finditer(pattern, lines[line - 1])]
    return sum(len(each) + 1 for each in lines[: line - 1]) + places[count]


# ---- the generated grammar -------------------------------------------------------------------


def test_the_grammar_is_fresh(request: pytest.FixtureRequest) -> None:
    fresh = textmate(language().tables, vocabulary())
    if request.config.getoption("--update-golden"):
        GRAMMAR.write_text(fresh, encoding="utf-8", newline="\n")
    assert GRAMMAR.read_text(encoding="utf-8") == fresh, "stale: run `make grammars`"


def scopes_of(grammar: str) -> dict[str, set[str]]:
    """The patterns of a grammar that match a fixed text, by their scopes."""
    found: dict[str, set[str]] = {}

    def visit(rule: Any) -> None:
        if isinstance(rule, dict):
            if "match" in rule and "name" in rule:
                found.setdefault(rule["name"], set()).add(rule["match"])
            if "begin" in rule and "beginCaptures" in rule:
                first = rule["beginCaptures"].get("1", {}).get("name", "")
                found.setdefault(first, set()).add(rule["begin"])
            for inner in rule.values():
                visit(inner)
        elif isinstance(rule, list):
            for inner in rule:
                visit(inner)

    visit(json.loads(grammar))
    return found


@pytest.mark.parametrize("word", KEYWORDS)
def test_keywords_are_those_of_the_language(word: str) -> None:
    patterns = scopes_of(GRAMMAR.read_text(encoding="utf-8"))
    scopes = {
        scope
        for scope, each in patterns.items()
        if any(re.fullmatch(pattern, word) for pattern in each)
    }
    assert scopes
    assert all(scope.startswith(("keyword.", "storage.type.")) for scope in scopes)


def test_new_keywords_and_operators_are_coloured() -> None:
    """Nothing but the grammar has to be changed."""
    text = (ROOT / "grammar" / "ncd.lark").read_text(encoding="utf-8")
    text = text.replace("assertion: _ASSERT expression", "assertion: (_ASSERT | _PROVE) expression")
    text = text.replace("(PLUS | MINUS)", "(PLUS | MINUS | SWAP)")
    text += '\n_PROVE.2: /prove(?![\\w\'])/\nSWAP: "<>"\n'
    found = scopes_of(textmate(tables_of_grammar(text), WORDS))
    assert any(re.fullmatch(pattern, "prove") for pattern in found["storage.type.ncd"])
    assert "<>" in found["keyword.operator.ncd"]


# ---- Pygments --------------------------------------------------------------------------------


def coloured(text: str) -> list[tuple[int, Any, str]]:
    return list(lexer.NcdLexer().get_tokens_unprocessed(text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pygments_knows_every_token(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    pieces = coloured(text)
    assert "".join(piece for _, _, piece in pieces) == text
    assert [piece for _, kind, piece in pieces if kind is token.Error] == []


@pytest.mark.parametrize(("line", "text", "count", "scope"), CHOSEN)
def test_pygments_colours_by_the_same_scopes(line: int, text: str, count: int, scope: str) -> None:
    start = offset(line, text, count)
    kinds = {kind for place, kind, piece in coloured(SAMPLE) if place <= start < place + len(piece)}
    assert kinds == {lexer.token_of(scope, text)}


def test_pygments_finds_the_lexer() -> None:
    assert isinstance(get_lexer_by_name("ncd"), lexer.NcdLexer)
    assert isinstance(get_lexer_for_filename("a.ncd"), lexer.NcdLexer)
    html = highlight(SAMPLE, get_lexer_by_name("ncd"), HtmlFormatter())
    assert '<span class="nf">f</span>' in html


@pytest.mark.parametrize(
    "text", ["", "@", 'block "open', "[[[", ")]}", "use a.", "é ≤ §\n", "\r\n"]
)
def test_pygments_takes_anything(text: str) -> None:
    assert "".join(piece for _, _, piece in coloured(text)) == text


# ---- Visual Studio Code ----------------------------------------------------------------------

Tokens = list[tuple[int, int, int, list[str]]]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The two packages with which the editor colours; installed once, next to their list."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed: Visual Studio Code's own tokeniser can't be run")
    home = EXTENSION / "test"
    listed = home / "package-lock.json"
    modules = home / "node_modules"
    mark = modules / ".installed"
    if mark.exists() and mark.read_bytes() == listed.read_bytes():
        return modules
    # Another process of the tests may do the same: a folder appears whole, and one of them wins.
    folder = home / f".install-{os.getpid()}"
    try:
        folder.mkdir()
        for path in (home / "package.json", listed):
            shutil.copy(path, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        shutil.copy(listed, folder / "node_modules" / ".installed")
        if not mark.exists() or mark.read_bytes() != listed.read_bytes():
            shutil.rmtree(modules, ignore_errors=True)
            (folder / "node_modules").rename(modules)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return modules


@pytest.fixture(scope="module")
def editor(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Tokens]:
    """What the editor sees in all programs and in the sample, by one run of it."""
    sample = tmp_path_factory.mktemp("highlight") / "sample.ncd"
    sample.write_text(SAMPLE, encoding="utf-8")
    paths = [*PROGRAMS, sample]
    command = ["node", str(EXTENSION / "test" / "tokens.mjs"), str(GRAMMAR), *map(str, paths)]
    finished = subprocess.run(command, capture_output=True, check=True)
    return dict(zip([*PROGRAMS, Path("sample")], json.loads(finished.stdout), strict=True))


def flat(text: str, tokens: Tokens) -> list[tuple[int, int, str]]:
    """(start, end, innermost scope) of tokens, by offsets in the whole text."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return [
        (starts[line] + start, starts[line] + end, scopes[-1] if scopes else "")
        for line, start, end, scopes in tokens
    ]


def test_the_editor_knows_every_token_and_agrees_with_pygments(
    editor: dict[Path, Tokens],
) -> None:
    for path in PROGRAMS:
        text = path.read_text(encoding="utf-8")
        kinds = [kind for _, kind, piece in coloured(text) for _ in piece]
        for start, end, scope in flat(text, editor[path]):
            for place in range(start, min(end, len(text))):
                if text[place].isspace():
                    continue
                line = text.count("\n", 0, place) + 1
                where = f"{path.name}:{line}: {text[start:end]!r}"
                assert scope, f"{where} has no scope"
                assert lexer.token_of(scope, text[place]) is kinds[place], where


def test_the_editor_gives_the_chosen_scopes(editor: dict[Path, Tokens]) -> None:
    tokens = flat(SAMPLE, editor[Path("sample")])
    for line, text, count, scope in CHOSEN:
        place = offset(line, text, count)
        (found,) = [each for start, end, each in tokens if start <= place < end]
        assert found == f"{scope}.ncd", (line, text)


# ---- the extension ---------------------------------------------------------------------------


def test_the_extension_is_complete() -> None:
    manifest = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert manifest["version"] == project["version"]
    assert manifest["license"] == project["license"]
    assert (EXTENSION / manifest["icon"]).read_bytes().startswith(b"\x89PNG")
    (contributed,) = manifest["contributes"]["languages"]
    json.loads((EXTENSION / contributed["configuration"]).read_text(encoding="utf-8"))
    (grammar,) = manifest["contributes"]["grammars"]
    generated = json.loads(GRAMMAR.read_text(encoding="utf-8"))
    assert grammar["scopeName"] == generated["scopeName"]
    assert Path(grammar["path"]).name == GRAMMAR.name
    assert set(manifest["devDependencies"]["@vscode/vsce"]) <= set("0123456789.")
