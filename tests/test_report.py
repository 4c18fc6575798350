"""How diagnostics are rendered, in every format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sarif_schema import LOG

from ncdlang import codes
from ncdlang.codes import Page
from ncdlang.diagnostics import Diagnostic, Fix, Label
from ncdlang.report import FORMATS, Format, render
from ncdlang.report.columns import cut, shown, visible, width, window
from ncdlang.report.text import summary
from ncdlang.source import Source, Span

TEXT = """\
diagram attention(Q: [q h k], K: [x h k]) -> [q h k] {
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))
\tP = softmax[z](S)   # 日本語 コメント
  return O[q h k] = P[h q x] * é[x h k]
  foo(
    a, b,
    c,
    d, e,
    e, f
    g) + 3
}
"""
SOURCE = Source("models/attention.ncd", TEXT)
OTHER = Source("layers.ncd", "diagram f(X: [x]) -> [x] { return X }\n")
LONG = Source("long.ncd", "x = " + " + ".join(f"A{i}[x y z]" for i in range(60)) + "\n")


def span(text: str, source: Source = SOURCE, nth: int = 0) -> Span:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def at(start: int, end: int, text: str) -> Span:
    return Span(Source("t.ncd", text), start, end)


LABELLED = Diagnostic(
    "NCD2003",
    "axis `z` is in no scope",
    span("z", nth=1),
    "not in S: [h q x]",
    (
        Label(span("S[h q x]"), "S is defined here"),
        Label(span("K[x h k]"), "x comes from here"),
        Label(span("Q[q h k]"), "h comes from here"),
        Label(span("f(X", OTHER), "called here"),
    ),
    notes=("an axis gets its size from an input\nor from a declaration", "a second note"),
    help="make it a free axis",
    fix=Fix("make `z` a free axis of `attention`", ((Span(SOURCE, 17, 17), "[z]"),)),
)
LONG_SPANS = Diagnostic(
    "NCD2005",
    "spans of several lines",
    span("foo(\n    a, b,\n    c,\n    d, e,\n    e, f\n    g)"),
    "this call",
    (Label(span("P[h q x] * é[x h k]\n  foo("), "crosses a line"), Label(span("d, e"), "inside")),
)
WIDE = Diagnostic(
    "NCD1001",
    "wide characters",
    span("コメント"),
    "four wide characters",
    (Label(span("[x h k]", nth=2), "after a combined one"),),
    severity="warning",
)
TRIMMED = Diagnostic(
    "NCD2001",
    "a very long line",
    span("A40[x y z]", LONG),
    "in the middle",
    fix=Fix("write `B41`", ((span("A40", LONG), "B41"),), safe=True),
)
AT_END = Diagnostic(
    "NCD1003", "the text ends too early", Span(SOURCE, len(TEXT), len(TEXT)), "here"
)
NEW_LINES = Diagnostic(
    "NCD2003",
    "a fix that adds and one that drops lines",
    span("foo"),
    fix=Fix(
        "declare it",
        (
            (Span(SOURCE, span("  foo").start, span("  foo").start), "  axis z = 3\n"),
            (span("    c,\n"), ""),
        ),
    ),
)
ALL = (LABELLED, LONG_SPANS, WIDE, TRIMMED, AT_END, NEW_LINES)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_as_before(
    format: Format, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page("NCD2003", "An axis in no scope", "Every axis has a size.", "", "")
    monkeypatch.setattr(codes, "page", {"NCD2003": page}.get)
    golden(f"report/{format}.txt", render(ALL, format))


def test_colours_change_nothing_else(golden: Callable[[str, str], None]) -> None:
    coloured = render(ALL, colour=True)
    golden("report/colour.txt", coloured.replace("\x1b", "ESC"))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(ALL)


def test_no_findings_are_no_text() -> None:
    assert render((), "full") == render((), "concise") == render((), "github") == ""
    assert json.loads(render((), "json")) == []
    assert json.loads(render((), "sarif"))["runs"][0]["results"] == []


def test_summary_counts() -> None:
    assert summary(ALL) == "5 errors and 1 warning"
    assert summary([LABELLED]) == "1 error"
    assert summary([]) == ""


def test_carets_stand_under_what_they_mean() -> None:
    for text, start, end, expected in (
        ("abc def", 4, 7, "    ^^^"),
        ("\tabc", 1, 4, "    ^^^"),
        ("a\tb", 2, 3, "    ^"),
        ("日本 x", 3, 4, "     ^"),
        ("日本 x", 0, 2, "^^^^"),
        ("e\u0301 x", 3, 4, "  ^"),
        ("", 0, 0, "^"),
        ("ab", 2, 2, "  ^"),
    ):
        diagnostic = Diagnostic("NCD0000", "m", at(start, end, text))
        row = render([diagnostic]).split("\n")[4]
        assert row == f"  | {expected}", text


def test_an_overlapped_label_hangs() -> None:
    text = "f(a, b)"
    diagnostic = Diagnostic("NCD0000", "m", at(0, 7, text), "all", (Label(at(2, 3, text), "part"),))
    source = diagnostic.span.source
    diagnostic = Diagnostic(
        "NCD0000", "m", diagnostic.span, "all", (Label(Span(source, 2, 3), "part"),)
    )
    assert render([diagnostic]).split("\n")[4:7] == ["  | ^^^^^^^ all", "  |   |", "  |   part"]


def test_a_source_cannot_act_on_the_terminal() -> None:
    text = "x = \x1b[31mred\x07 \u202eabc\x9b\x7f"
    diagnostic = Diagnostic("NCD0000", "bad \x1b]0;name\x07\nline", at(4, 5, text), "\x1b[2J")
    for format in ("full", "concise"):
        rendered = render([diagnostic], format)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", rendered)


def test_github_escapes() -> None:
    diagnostic = Diagnostic("NCD0000", "50% a\nb", Span(Source("a,b:c.ncd", "xy"), 0, 1))
    assert render([diagnostic], "github") == (
        "::error file=a%2Cb%3Ac.ncd,line=1,endLine=1,col=1,endColumn=2,title=NCD0000::50%25 a%0Ab\n"
    )


def test_json_has_what_python_has() -> None:
    (entry,) = json.loads(render([LABELLED], "json"))
    assert entry["code"] == "NCD2003"
    assert entry["severity"] == "error"
    assert TEXT[entry["span"]["start"] : entry["span"]["end"]] == "z"
    assert (entry["span"]["line"], entry["span"]["column"]) == (3, 14)
    assert entry["fix"]["edits"][0]["text"] == "[z]"
    assert [label["text"] for label in entry["labels"]][-1] == "called here"


# Names that a file may have, as its address in a log.
ODD_NAMES = {
    "a b.ncd": "a%20b.ncd",
    "c:d.ncd": "c%3Ad.ncd",
    "λ.ncd": "%CE%BB.ncd",
    "50%.ncd": "50%25.ncd",
    "<stdin>": "%3Cstdin%3E",
    "../x.ncd": "../x.ncd",
    "a\udcff.ncd": "a%FF.ncd",
    "b\ud800.ncd": "b%3F.ncd",
}


def named(name: str) -> Diagnostic:
    return Diagnostic("NCD2001", "a finding", Span(Source(name, "x"), 0, 1))


def test_sarif_is_what_the_standard_asks_for() -> None:
    everything = (*ALL, *map(named, ODD_NAMES))
    log = json.loads(render(everything, "sarif"))
    jsonschema.Draft7Validator(LOG).validate(log)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted({d.code for d in everything})
    for result, diagnostic in zip(run["results"], everything, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == diagnostic.code
        assert result["level"] in ("error", "warning")
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        assert (region["endLine"], region["endColumn"]) >= (
            region["startLine"],
            region["startColumn"],
        )
        labels = [place["id"] for place in result.get("relatedLocations", [])]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(("name", "address"), ODD_NAMES.items())
def test_sarif_names_files_by_addresses(name: str, address: str) -> None:
    (result,) = json.loads(render([named(name)], "sarif"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == address


def test_the_schema_of_sarif_refuses_what_is_wrong() -> None:
    def found(change: Callable[[dict[str, Any]], object]) -> int:
        log = json.loads(render(ALL, "sarif"))
        change(log["runs"][0]["results"][0])
        return len(list(jsonschema.Draft7Validator(LOG).iter_errors(log)))

    assert found(lambda result: None) == 0
    assert found(lambda result: result.pop("message"))
    assert found(lambda result: result.update(level="fatal"))
    assert found(lambda result: result.update(colour="red"))
    assert found(
        lambda result: result["locations"][0]["physicalLocation"]["region"].update(startLine=0)
    )


def test_github_gets_columns_of_one_line_only() -> None:
    several, single = render([LONG_SPANS], "github"), render([LABELLED], "github")
    assert "line=5,endLine=10,title=" in several
    assert "col=14,endColumn=15" in single


def test_github_reads_nothing_of_a_file_as_a_command() -> None:
    odd = Diagnostic("NCD2001", "a\n::error::b%0A", Span(Source("a,b:c\n::set", "x"), 0, 1))
    text = render([odd], "github")
    assert text.count("\n") == 1
    assert text.startswith("::error file=a%2Cb%3Ac")
    assert "::a%0A::error::b%250A" in text


# ---- laws ----------------------------------------------------------------------------------------

LINES = st.text(
    st.sampled_from("abc [](),\t日本é\u0301\u200d\x1b\u202e🙂") | st.characters(codec="utf-8"),
    max_size=60,
)


@given(LINES, st.integers(0, 60), st.integers(0, 60), st.integers(20, 80))
def test_what_is_shown_of_a_line_fits_and_holds_the_span(
    text: str, start: int, end: int, limit: int
) -> None:
    line = shown(text.replace("\n", ""))
    low, high = sorted((min(start, len(line.starts) - 1), min(end, len(line.starts) - 1)))
    first, last = window(line, line.starts[low], line.starts[high], limit)
    assert width(cut(line, first, last)) <= max(
        limit, line.starts[-1] if limit > line.starts[-1] else 0
    )
    assert first <= line.starts[low]
    if line.starts[high] - line.starts[low] <= limit // 2:
        assert line.starts[high] <= last


@given(LINES)
def test_visible_text_has_no_controls(text: str) -> None:
    assert not re.search("[\x00-\x1f\x7f-\x9f]", visible(text))
    assert width(shown(text.replace("\n", "")).text) == shown(text.replace("\n", "")).starts[-1]


@given(
    st.text(max_size=120),
    st.lists(st.tuples(st.integers(0, 130), st.integers(0, 40)), min_size=1),
    st.text(st.sampled_from("a )\n"), max_size=4),
)
def test_any_spans_of_any_text_render(text: str, places: list[tuple[int, int]], added: str) -> None:
    source = Source("any.ncd", text)
    spans = [Span(source, min(a, len(text)), min(a + length, len(text))) for a, length in places]
    diagnostic = Diagnostic(
        "NCD0000",
        "m",
        spans[0],
        "first",
        tuple(Label(s, f"label {i}") for i, s in enumerate(spans[1:])),
        fix=Fix("fix", ((spans[0], added), (spans[-1], spans[-1].text + added))[: len(spans)]),
    )
    for format in FORMATS:
        rendered = render([diagnostic], format)
        assert rendered.endswith("\n")
        for label in diagnostic.labels if format == "full" else ():
            assert label.text in rendered
