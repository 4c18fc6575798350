"""Errors of syntax: each mistake gives one, where it is, and the rest of the file is parsed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from clock import processor_seconds, within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syntax_texts import (
    ASSIGNS,
    BINARY,
    FILES,
    KEYWORDS,
    ROOT,
    clean,
    codes,
    in_body,
    mended,
    nodes,
    parsed,
)

from ncdlang import resources
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.language import language
from ncdlang.syntax.lexer import scan

PAGES: dict[str, dict[str, str]] = tomllib.loads(
    (ROOT / "ncdlang" / "code_pages" / "syntax.toml").read_text(encoding="utf-8")
)
SAMPLES: list[tuple[str, str, str]] = [
    (entry["code"], entry["message"], sample)
    for entry in tomllib.loads(resources.syntax_errors_text())["mistake"]
    for sample in entry["samples"]
]

# ---- codes, pages, samples ---------------------------------------------------------------------


@pytest.mark.parametrize("code", PAGES)
def test_pages(code: str) -> None:
    assert codes(PAGES[code]["bad"]) == [code]
    clean(PAGES[code]["good"])


@pytest.mark.parametrize(("code", "message", "sample"), SAMPLES, ids=[s for _, _, s in SAMPLES])
def test_samples_give_their_message(code: str, message: str, sample: str) -> None:
    (found,) = parsed(sample).diagnostics
    assert found.code == code
    assert found.message.startswith(message.partition("{")[0])
    assert "{found}" not in found.message + found.label + found.help


def test_every_code_has_a_page() -> None:
    folder = ROOT / "ncdlang" / "syntax"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    pieces = "".join((*texts, resources.syntax_errors_text())).split("NCD")
    used = {f"NCD{piece[:4]}" for piece in pieces if piece[:4].isdecimal()}
    assert used == set(PAGES)


@pytest.mark.parametrize(
    "bad", [*(page["bad"] for page in PAGES.values()), *(sample for _, _, sample in SAMPLES)]
)
def test_fixes_mend(bad: str) -> None:
    """Where a fix is offered, applying it takes the error away."""
    (found,) = parsed(bad).diagnostics
    if found.fix is not None:
        left = parsed(mended(bad, found)).diagnostics
        assert all(other.span.start > found.span.start for other in left)


# ---- single mistakes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("S[h q x = Q[q h k] * K[x h k]", "NCD1010"),
        ("Y = softmax[x(X)", "NCD1010"),
        ("Y = softmax[x](X\n  Z = relu(Y)", "NCD1010"),
        ("Y = f(X]", "NCD1010"),
        ("Y = f(X], 3)", "NCD1011"),
        ("Y = X]", "NCD1011"),
        ("{\n  Y = X\n  }", "NCD1011"),
        ("Y := X", "NCD1003"),
        ("Y[i] == X[i]", "NCD1022"),
        ("Y = X => 3", "NCD1003"),
        ("Y = X && Z", "NCD1003"),
        ("Y -= X", "NCD1003"),
        ('block "abc {\n  }', "NCD1007"),
        ("block 'abc' { }", "NCD1003"),
        ("block “abc” { }", "NCD1003"),
        ('block "abc"\n  {\n  }', "NCD1013"),
        ('block "abc"\n    Y = X\n  }', "NCD1013"),
        ("Y = X ? 3", "NCD1002"),
        ("Y = X; Z = Y", "NCD1002"),
        ("Y = X \\\n + 3", "NCD1002"),
        ("Y = X @ X", "NCD1002"),
        ("Y = X − 1", "NCD1002"),
        ("Y = X Z = Y", "NCD1015"),
        ("learn axis: [m]", "NCD1016"),
        ("size = 3", "NCD1016"),
        ("Y = return X", "NCD1017"),
        ("Y =", "NCD1017"),
        ("Y = X +\n  Z = 3", "NCD1017"),
        ("return", "NCD1017"),
        ("(A, B) = f(X)", "NCD1020"),
        ("2 = X", "NCD1020"),
        ("l.f = X", "NCD1020"),
        ("f(X)", "NCD1021"),
        ("Y = where(a < b < c, X, 0)", "NCD1023"),
        ("Y = X[x (h k)]", "NCD1024"),
        ("Y = f(a b)", "NCD1024"),
        ("Y max = 3", "NCD1024"),
        ("Y = f(X, axis = 1)", "NCD1025"),
        ("Y = f(X, k = 1)", "NCD1025"),
        ("use std.nn", "NCD1026"),
        ("diagram g(X: [m]) -> [m] { return X }", "NCD1026"),
        ("let Y = X", "NCD1008"),
        ("for i in range(3)", "NCD1008"),
        ("if X > 3 {\n    Y = X\n  }", "NCD1008"),
        ("// a comment here", "NCD1006"),
        ("/* a\n   b */", "NCD1006"),
        ('"""doc"""', "NCD1006"),
        ("Y = " + "(" * 150 + "X" + ")" * 150, "NCD1014"),
        ("Y = " + "X + " * 150 + "X", "NCD1014"),
        ("Y = X" + "[i]" * 150, "NCD1014"),
    ],
)
def test_one_mistake_gives_one_error(statement: str, code: str) -> None:
    found = parsed(in_body(statement) + "diagram g(X: [m]) -> [m] { return X }")
    assert [d.code for d in found.diagnostics] == [code]
    names = [i.name.text for i in found.file.declarations if isinstance(i, tree.Diagram)]
    assert names == ["f", "g"]


@pytest.mark.parametrize("written", ["2i", "1_000", "0x1F", "1.", ".5", "1e999", "9" * 5000])
def test_bad_numbers(written: str) -> None:
    assert codes(f"const c = {written}") == ["NCD1005"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X = 1\nY = 2\naxis h", ["NCD1026"]),
        ("diagram f(X: [m]) -> [m] {\n  return X\n}\n}\naxis h", ["NCD1011"]),
        ("diagram f(X: [m]) -> [m] {\n  Y = X\n}\n  return Y\n}\naxis h", ["NCD1026"]),
        ("diagram f(X: [m] -> [m] {\n  return X\n}\naxis h", ["NCD1010"]),
        ("diagram f(X) -> [m] {\n  Y = = 3\n  return X\n}\naxis h", ["NCD1019", "NCD1017"]),
        ("diagram f(X: [m]) -> [m]\n  return X\n}\naxis h", ["NCD1013"]),
        ("diagram f(X: [m]) -> [m]\n{\n  return X\n}\naxis h", ["NCD1013"]),
        ("diagram f(X: [m]) -> [m] {\n  A = = 1\n  B = 2 2\n}\naxis h", ["NCD1017", "NCD1024"]),
        ("config a {\n h = 1\n k 2\n}\naxis h", ["NCD1032"]),
        ("config a\n h = 1\n k = 2\n}\naxis h", ["NCD1013"]),
        ("def f(X: [m]) -> [m] {\n  return X\n}\naxis h", ["NCD1008"]),
    ],
)
def test_parsing_goes_on(text: str, expected: list[str]) -> None:
    found = parsed(text)
    assert [d.code for d in found.diagnostics] == expected
    assert isinstance(found.file.declarations[-1], tree.AxisStatement)


def test_broken_regions() -> None:
    found = parsed(in_body("Y = X +\n  Z = X"))
    (region,) = found.broken
    assert region.text == "Y = X +"
    assert found.lost == {"X", "Y"}
    (diagram,) = found.file.declarations
    assert isinstance(diagram, tree.Diagram)
    assert diagram.body is not None
    assert len(diagram.body) == 2


def test_brace_is_missing_where_the_layout_shows_it() -> None:
    text = 'diagram f(X: [m]) -> [m] {\n  block "a" {\n    Y = X\n  return Y\n}\n'
    (found,) = parsed(text).diagnostics
    assert (found.code, found.span.line, found.labels[0].span.line) == ("NCD1012", 4, 2)
    whole = text.replace("  return", "  }\n  return")
    assert not parsed(whole).diagnostics
    assert not parsed(whole.replace("  }\n", "}\n")).diagnostics


def test_what_was_expected_is_named() -> None:
    (found,) = parsed("config a { 3 }").diagnostics
    assert found.message == "expected `}` or a name, found `3`"
    (found,) = parsed("use a b").diagnostics
    assert "the keyword `as`" in found.message
    assert "the end of the line" in found.message


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_wrong_token_gives_at_most_one_error(path: Path) -> None:
    """Leave out, or write twice, each token of the examples."""
    text = path.read_text(encoding="utf-8")
    tokens = scan(Source("t", text), language().lexicon)
    for start, end in zip(tokens.starts[:-1], tokens.ends[:-1], strict=True):
        for changed in (text[:start] + text[end:], f"{text[:end]} {text[start:]}"):
            found = parsed(changed)
            assert len(found.diagnostics) <= 1, changed[max(0, start - 40) : end + 40]
            assert found.diagnostics or not found.broken


# ---- any text ----------------------------------------------------------------------------------

WORDS = [
    *(*KEYWORDS, *BINARY, *ASSIGNS),
    *("(", ")", "[", "]", "{", "}", ",", ":", ".", "..", "~", "->", "#", "##", '"', "'"),
    *("x", "y'", "X", "f", "3", "0.5", "2i", '"s"', "max", "def", "//", "**", ":=", "\\"),
    *("\n", "\n", " ", "é", "“", "\x00", "\ud800"),
]

RELAXED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def check_anything(text: str) -> None:
    """What holds for any text whatever."""
    found = parsed(text)
    for diagnostic in found.diagnostics:
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        assert diagnostic.code in PAGES
        if diagnostic.fix is not None:
            mended(text, diagnostic)
    starts = [d.span.start for d in found.diagnostics]
    assert starts == sorted(starts)
    for node in nodes(found.file):
        assert 0 <= node.span.start <= node.span.end <= len(text)
    if found.broken:
        assert found.diagnostics


@RELAXED
@given(st.text())
def test_any_text(text: str) -> None:
    check_anything(text)


@RELAXED
@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    check_anything(data.decode("utf-8", errors="surrogateescape"))
    check_anything(data.decode("latin-1"))


@RELAXED
@given(st.lists(st.sampled_from(WORDS), max_size=60), st.sampled_from(["", " "]))
def test_any_tokens(words: list[str], gap: str) -> None:
    check_anything(gap.join(words))
    check_anything(in_body(gap.join(words)))


# ---- time --------------------------------------------------------------------------------------


def parse_time(text: str) -> float:
    return min(processor_seconds(lambda: parsed(text)) for _ in range(3))


PATHOLOGICAL: dict[str, Callable[[int], str]] = {
    "(": lambda n: "(" * n,
    "[": lambda n: "[" * n,
    "{": lambda n: "{" * n,
    ")": lambda n: ")" * n,
    "([{": lambda n: "([{" * n,
    "balanced": lambda n: in_body("Y = " + "(" * n + "x" + ")" * n),
    "-": lambda n: in_body("Y = " + "-" * n + "x"),
    "^": lambda n: in_body("Y = " + "x^" * n + "x"),
    "+": lambda n: in_body("Y = " + "x + " * n + "x"),
    "calls": lambda n: in_body("Y = f" + "(x)" * n),
    "one line": lambda n: in_body("A = B " * (n // 4)),
    "errors": lambda n: in_body("A = = 1\n" * (n // 4)),
    "headers": lambda n: "diagram f(X) -> [m] {\n Y = +\n}\n" * (n // 8),
    "unclosed": lambda n: "diagram f(X: [m]) -> [m] {\n Y = (X\n" * (n // 8),
    "junk": lambda n: "\x00" * n,
    "quotes": lambda n: "„" * n + '"' * n,
    "/*": lambda n: "/*" * n,
    "blanks": lambda n: " " * n,
    "words": lambda n: "a " * n,
    "long list": lambda n: "Y = (" + "x," * n + "\n" + "  A = 3\n" * n,
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_time_is_linear(name: str) -> None:
    make = PATHOLOGICAL[name]
    small, large = make(2000), make(8000)
    # Quadratic would be 16.
    passed, seen = within(10, lambda: (parse_time(large) - 0.1) / parse_time(small))
    assert passed, seen


def test_speed() -> None:
    """Ten thousand lines a second on a quiet machine; a busy one may be five times slower."""
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    text *= 4000 // text.count("\n")
    parsed(text[:2000])
    lines = text.count("\n")
    passed, seen = within(1 / 2000, lambda: parse_time(text) / lines)
    assert passed, seen
