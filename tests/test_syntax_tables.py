"""The grammar as Lark sees it, the tables made of it, and their cache."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lark
import pytest
from syntax_texts import FILES, ROOT

from ncdlang import resources
from ncdlang.source import Source
from ncdlang.syntax import cache
from ncdlang.syntax.language import language
from ncdlang.syntax.lexer import scan
from ncdlang.syntax.tables import from_data, to_data

# ---- the grammar -------------------------------------------------------------------------------


@pytest.mark.parametrize("lexer", ["basic", "contextual"])
def test_the_grammar_is_strict(lexer: str) -> None:
    pytest.importorskip("interegular")  # Lark compares the terminals with it
    lark.Lark(resources.grammar_text(), parser="lalr", lexer=lexer, strict=True, start="file")


def test_the_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    before = lark.logger.level
    lark.logger.setLevel(logging.DEBUG)
    lark.logger.addHandler(caplog.handler)
    try:
        lark.Lark(resources.grammar_text(), parser="lalr", start="file", debug=True)
    finally:
        lark.logger.removeHandler(caplog.handler)
        lark.logger.setLevel(before)
    assert caplog.messages == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_lark_reads_the_same_tokens(path: Path) -> None:
    """Our regular expression is Lark's lexer, only faster."""
    text = path.read_text(encoding="utf-8")
    parser = lark.Lark(resources.grammar_text(), parser="lalr", lexer="basic", start="file")
    tokens = scan(Source("t", text), language().lexicon)
    names = language().tables.terminals
    ours = [(names[kind], tokens.text(i)) for i, kind in enumerate(tokens.kinds[:-1])]
    assert ours == [(token.type, str(token)) for token in parser.lex(text)]


# ---- the cache ---------------------------------------------------------------------------------

PROBE = """
import sys
from ncdlang.source import Source
from ncdlang.syntax.parser import parse
found = parse(Source("t", "const c = 1 +"))
print([d.code for d in found.diagnostics], "lark" in sys.modules)
"""
WITH_LARK = "['NCD1017'] True"
WITHOUT_LARK = "['NCD1017'] False"


def probe(**environment: str) -> str:
    """The findings of a fresh process, and whether it needed Lark."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NCDLANG_CACHE": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_cache_spares_lark(tmp_path: Path) -> None:
    assert probe(XDG_CACHE_HOME=str(tmp_path)) == WITH_LARK
    (file,) = (tmp_path / "ncdlang").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert probe(XDG_CACHE_HOME=str(tmp_path)) == WITHOUT_LARK


def test_the_cache_can_be_switched_off(tmp_path: Path) -> None:
    assert probe(XDG_CACHE_HOME=str(tmp_path), NCDLANG_CACHE="0") == WITH_LARK
    assert list(tmp_path.iterdir()) == []


DAMAGE: dict[str, Callable[[Path], object]] = {
    "foreign": lambda file: file.write_text("not a cache"),
    "binary": lambda file: file.write_bytes(b"\xff\xfe"),
    "short": lambda file: file.write_text(file.read_text(encoding="utf-8")[:-100]),
    "changed": lambda file: file.write_text(file.read_text(encoding="utf-8").replace("N", "M")),
    "writable": lambda file: file.chmod(0o666),
    "open folder": lambda file: file.parent.chmod(0o777),
    "link": lambda file: file.symlink_to(file.rename(file.with_suffix(".real"))),
    "folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_ignored(damage: str, tmp_path: Path) -> None:
    probe(XDG_CACHE_HOME=str(tmp_path))
    (file,) = (tmp_path / "ncdlang").iterdir()
    DAMAGE[damage](file)
    assert probe(XDG_CACHE_HOME=str(tmp_path)) == WITH_LARK


def test_a_cache_of_another_grammar_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NCDLANG_CACHE", "1")
    key = cache.Key(1, "grammar", "errors")
    cache.save(key, {"a": 1})
    assert cache.load(key) == {"a": 1}
    assert cache.load(key._replace(grammar="another")) is None


def test_a_missing_home_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert probe(XDG_CACHE_HOME=str(blocked)) == WITH_LARK
    assert probe(XDG_CACHE_HOME="relative", HOME=str(blocked)) == WITH_LARK


def test_tables_survive_the_cache() -> None:
    tables = language().tables
    assert from_data(json.loads(json.dumps(to_data(tables)))) == tables
