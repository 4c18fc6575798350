"""What Vim, Emacs, Sublime Text and Linguist get: generated files are fresh, and do their work.

Vim and Emacs try theirs where they are installed; everywhere else the files are read as text.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from syntax_texts import KEYWORDS, ROOT
from test_highlight import CHOSEN, GRAMMAR, PROGRAMS, SAMPLE, coloured, offset

from ncdlang import pygments as lexer
from ncdlang.syntax import editors
from ncdlang.syntax.language import language
from ncdlang.syntax.sublime import sublime
from ncdlang.vocabulary import vocabulary

EDITORS = ROOT / "editors"
SUBLIME = EDITORS / "sublime" / "NCD.sublime-syntax"
VIM = EDITORS / "vim" / "syntax" / "ncd.vim"
EMACS = EDITORS / "emacs" / "ncd-mode.el"
SAMPLES = EDITORS / "linguist" / "samples"
BAD = "diagram f(X: [x]) -> [x] { return softmax[z](X) }\n"


def template(name: str) -> str:
    return (EDITORS / "templates" / name).read_text(encoding="utf-8")


def generated() -> dict[Path, str]:
    known = editors.words(language().tables, vocabulary())
    samples = ("attention.ncd", "convolution.ncd", "transformer.ncd")
    return {
        VIM: editors.vim(template("syntax.vim"), known),
        EMACS: editors.emacs(template("ncd-mode.el"), known),
        SUBLIME: sublime(GRAMMAR.read_text(encoding="utf-8")),
        **{
            SAMPLES / name: (ROOT / "examples" / name).read_text(encoding="utf-8")
            for name in samples
        },
    }


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_generated_files_are_fresh(path: Path, request: pytest.FixtureRequest) -> None:
    fresh = generated()[path]
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh, encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") == fresh, "stale: run `make grammars`"


def test_every_word_has_a_place() -> None:
    known = editors.words(language().tables, vocabulary())
    keywords = {*known.declaring, *known.statements, *known.logic}
    assert keywords == set(KEYWORDS)
    for path in (VIM, EMACS):
        found = set(re.findall(r"[a-z]\w*", path.read_text(encoding="utf-8")))
        assert {*keywords, *known.library, *known.structures} <= found
        assert "@" not in re.sub(r"@,48-57|@Spell|@<=", "", path.read_text(encoding="utf-8"))


# ---- Sublime Text ----------------------------------------------------------------------------


class Context:
    """A list of rules of a syntax definition, with included ones put in."""

    def __init__(self, rules: list[Any], contexts: dict[str, Any]) -> None:
        self.rules = [
            each
            for rule in rules
            for each in (
                Context(contexts[rule["include"]], contexts).rules if "include" in rule else [rule]
            )
            if "match" in each
        ]
        metas = [rule["meta_scope"] for rule in rules if "meta_scope" in rule]
        self.scope: str = metas[0] if metas else ""


def sublime_scopes(text: str, definition: dict[str, Any]) -> Iterator[tuple[int, int, str]]:
    """(start, end, innermost scope), by the rules of Sublime Text, line by line."""
    contexts = definition["contexts"]
    stack = [Context(contexts["main"], contexts)]
    cache: dict[int, Context] = {}
    start = 0
    for line in text.splitlines(keepends=True):
        place = 0
        while place < len(line):
            found = next(
                (
                    (rule, match)
                    for rule in stack[-1].rules
                    if (match := re.compile(rule["match"]).match(line, place))
                    and (match.end() > place or "pop" in rule)
                ),
                None,
            )
            if found is None:
                yield start + place, start + place + 1, stack[-1].scope
                place += 1
                continue
            rule, match = found
            if "push" in rule and id(rule) not in cache:
                cache[id(rule)] = Context(rule["push"], contexts)
            # What begins a context is in it already, and so is what ends it.
            context = cache[id(rule)] if "push" in rule else stack[-1]
            whole = rule.get("scope") or context.scope or stack[-1].scope
            yield start + place, start + match.end(), whole
            for group, scope in rule.get("captures", {}).items():
                if match.span(group) != (-1, -1):
                    yield start + match.start(group), start + match.end(group), scope
            place = match.end()
            if "pop" in rule:
                stack.pop()
            elif "push" in rule:
                stack.append(context)
        start += len(line)


def scopes_by_character(text: str, definition: dict[str, Any]) -> list[str]:
    scopes = [""] * len(text)
    for start, end, scope in sublime_scopes(text, definition):
        scopes[start:end] = [scope] * (end - start)
    return scopes


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(SUBLIME.read_text(encoding="utf-8"))
    return loaded


def test_sublime_reads_what_the_grammar_says(definition: dict[str, Any]) -> None:
    given = json.loads(GRAMMAR.read_text(encoding="utf-8"))
    assert definition["scope"] == "source.ncd"
    assert definition["file_extensions"] == ["ncd"]
    assert set(definition["contexts"]) == {"main", *given["repository"]}


@pytest.mark.parametrize(("line", "text", "count", "scope"), CHOSEN)
def test_sublime_colours_by_the_same_scopes(
    line: int, text: str, count: int, scope: str, definition: dict[str, Any]
) -> None:
    place = offset(line, text, count)
    assert scopes_by_character(SAMPLE, definition)[place] == f"{scope}.ncd"


EXAMPLES = [path for path in PROGRAMS if path.parent.name in ("examples", "std")]


def test_sublime_agrees_with_pygments(definition: dict[str, Any]) -> None:
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        scopes = scopes_by_character(text, definition)
        kinds = [kind for _, kind, piece in coloured(text) for _ in piece]
        for place, (scope, kind) in enumerate(zip(scopes, kinds, strict=True)):
            if not text[place].isspace():
                where = f"{path.name}:{text.count(chr(10), 0, place) + 1}"
                assert lexer.token_of(scope, text[place]) is kind, where


def test_sublime_settings_are_read(tmp_path: Path) -> None:
    folder = EDITORS / "sublime"
    assert json.loads((folder / "NCD.sublime-settings").read_text())["tab_size"] == 2
    build = json.loads((folder / "NCD.sublime-build").read_text())
    found = re.match(build["file_regex"], "a b.ncd:3:14: error[NCD2003] no axis\n")
    assert found is not None
    assert found.groups() == ("a b.ncd", "3", "14", "error[NCD2003] no axis")


# ---- Vim and Emacs ---------------------------------------------------------------------------

VIM_GROUPS = {
    (2, "##"): "ncdDocumentation",
    (1, "# a"): "ncdComment",
    (3, "use"): "ncdStatement",
    (4, "axis"): "ncdDeclares",
    (4, "h"): "ncdAxis",
    (4, "ordered"): "ncdStructure",
    (5, "depth"): "ncdNamed",
    (7, "drop"): "ncdDeclared",
    (8, "f["): "ncdDeclared",
    (8, "x'"): "ncdAxis",
    (8, "N(v)"): "ncdType",
    (9, "1e-2"): "ncdNumber",
    (10, "q"): "ncdAxis",
    (10, "sqrt"): "ncdLibrary",
    (10, "size"): "ncdDeclares",
    (11, "not"): "ncdLogic",
    (12, "softmax"): "ncdLibrary",
    (13, '"Core"'): "ncdString",
    (14, "inf"): "ncdConstant",
}


def where(line: int, text: str) -> int:
    """The 1-based column of the first such text in a line of the sample; a name stands whole."""
    pattern = re.escape(text)
    if text.isalnum():
        pattern = rf"(?<![\w']){pattern}(?![\w'])"
    found = re.search(pattern, SAMPLE.split("\n")[line - 1])
    assert found is not None, (line, text)
    return found.start() + 1


def vim(folder: Path, *commands: str) -> None:
    """Run Vim's commands on the sample, with the folder of the files in its path."""
    before = ["set nocompatible", f"set rtp^={EDITORS / 'vim'}", "filetype plugin on", "syntax on"]
    (folder / "try.vim").write_text("\n".join([*before, *commands, ""]), encoding="utf-8")
    base = ["vim", "-u", "NONE", "-i", "NONE", "-n", "-es", "--not-a-term", "-S", "try.vim"]
    subprocess.run(base, cwd=folder, timeout=60, check=False, capture_output=True)


def test_vim_colours_and_reads_errors(tmp_path: Path) -> None:
    (tmp_path / "sample.ncd").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "bad.ncd").write_text(BAD, encoding="utf-8")
    text = VIM.read_text(encoding="utf-8")
    assert set(VIM_GROUPS.values()) <= set(re.findall(r"^syntax \w+ (\w+)", text, re.MULTILINE))
    if shutil.which("vim") is None:
        return
    asked = [
        f"call add(g:out, synIDattr(synID({line}, {where(line, word)}, 1), 'name'))"
        for line, word in VIM_GROUPS
    ]
    finding = "bad.ncd:1:43: error[NCD2003] there is no axis"
    vim(
        tmp_path,
        "edit sample.ncd",
        "let g:out = [&filetype, &commentstring]",
        *asked,
        "call writefile(g:out, 'out.txt')",
        "let &errorformat = &errorformat",
        f"cgetexpr ['{finding}', 'Found 1 error.']",
        "let g:q = filter(getqflist(), 'v:val.valid')",
        "call writefile([json_encode(map(g:q, '[v:val.lnum, v:val.col, v:val.nr, v:val.type]'))], "
        "'list.txt')",
        "qall!",
    )
    kind, comment, *groups = (tmp_path / "out.txt").read_text().splitlines()
    assert (kind, comment) == ("ncd", "# %s")
    assert dict(zip(VIM_GROUPS, groups, strict=True)) == VIM_GROUPS
    assert json.loads((tmp_path / "list.txt").read_text()) == [[1, 43, 2003, "e"]]


EMACS_TEST = """
(setq byte-compile-error-on-warn t)
(unless (byte-compile-file "ncd-mode.el") (kill-emacs 3))
(load (expand-file-name "ncd-mode.elc") nil t)
(find-file "sample.ncd")
(unless (eq major-mode 'ncd-mode) (kill-emacs 4))
(font-lock-ensure)
(dolist (asked '(%s))
  (goto-char (point-min))
  (forward-line (1- (nth 0 asked)))
  (forward-char (1- (nth 1 asked)))
  (princ (format "%%s\\n" (get-text-property (point) 'face))))
(goto-char (point-min))
(insert "diagram f(X: [x]) -> [x] {\\nreturn X\\n}\\n")
(indent-region (point-min) (point))
(princ (buffer-substring (point-min) (point)))
(let ((found nil))
  (with-temp-buffer
    (insert "<stdin>:1:43: error[NCD2003] there is no axis\\n")
    (setq found (ncd--diagnostics (find-file-noselect "bad.ncd") (current-buffer))))
  (princ (format "%%s\\n" (flymake-diagnostic-text (car found))))
  (princ (format "%%s\\n" (flymake-diagnostic-beg (car found)))))
(with-temp-buffer
  (insert "bad.ncd:1:43: error[NCD2003] there is no axis\\n")
  (goto-char (point-min))
  (princ (format "%%s\\n" (and (looking-at (nth 1 (assq 'ncdc
    compilation-error-regexp-alist-alist))) (match-string 2)))))
"""
EMACS_FACES = {
    (2, "##"): "font-lock-doc-face",
    (1, "# a"): "font-lock-comment-delimiter-face",
    (3, "use"): "font-lock-keyword-face",
    (4, "h"): "font-lock-variable-name-face",
    (7, "drop"): "font-lock-function-name-face",
    (8, "f["): "font-lock-function-name-face",
    (8, "x'"): "font-lock-variable-name-face",
    (8, "N(v)"): "font-lock-type-face",
    (10, "q"): "font-lock-variable-name-face",
    (10, "sqrt"): "font-lock-builtin-face",
    (12, "softmax"): "font-lock-builtin-face",
    (13, '"Core"'): "font-lock-string-face",
    (14, "inf"): "font-lock-constant-face",
}


def test_emacs_colours_indents_and_reads_errors(tmp_path: Path) -> None:
    text = EMACS.read_text(encoding="utf-8")
    bare = re.sub(r'\?\\?.|"(?:\\.|[^"\\])*"|;[^\n]*', "", text)
    assert [bare.count(each) for each in "(["] == [bare.count(each) for each in ")]"]
    if shutil.which("emacs") is None:
        return
    shutil.copy(EMACS, tmp_path)
    (tmp_path / "sample.ncd").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "bad.ncd").write_text(BAD, encoding="utf-8")
    asked = " ".join(f"({line} {where(line, word)})" for line, word in EMACS_FACES)
    (tmp_path / "try.el").write_text(EMACS_TEST % asked)
    command = ["emacs", "-Q", "--batch", "-l", "try.el"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    faces = lines[: len(EMACS_FACES)]
    assert dict(zip(EMACS_FACES, faces, strict=True)) == EMACS_FACES
    assert lines[len(EMACS_FACES) :] == [
        "diagram f(X: [x]) -> [x] {",
        "  return X",
        "}",
        "NCD2003: there is no axis",
        "43",
        "1",
    ]


# ---- Linguist --------------------------------------------------------------------------------


def test_linguist_gets_an_entry_that_fits_the_grammar() -> None:
    ((name, entry),) = yaml.safe_load((EDITORS / "linguist" / "languages.yml").read_text()).items()
    grammar = json.loads(GRAMMAR.read_text(encoding="utf-8"))
    assert name == grammar["name"]
    assert entry["tm_scope"] == grammar["scopeName"]
    assert entry["extensions"] == [f".{each}" for each in grammar["fileTypes"]]
    assert re.fullmatch("#[0-9a-f]{6}", entry["color"])
    assert entry["type"] == "programming"
    assert len(list(SAMPLES.glob("*.ncd"))) == 3
