"""Diagnostics as workflow commands of GitHub Actions, shown at the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.diagnostics import Diagnostic
from ncdlang.report.columns import visible


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """One `::error` or `::warning` command for each diagnostic."""
    return "".join(f"{_command(diagnostic)}\n" for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    last = span.source.line_of(span.end)
    properties: dict[str, str | int] = {
        "file": visible(span.file),
        "line": span.line,
        "endLine": last,
        "col": span.column,
        "endColumn": span.source.column_of(span.end),
        "title": diagnostic.code,
    }
    if last != span.line:  # the service takes columns within one line only
        del properties["col"], properties["endColumn"]
    listed = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    parts = filter(None, (diagnostic.message, diagnostic.label, diagnostic.help))
    text = "\n".join(visible(line) for part in parts for line in part.split("\n"))
    return f"::{diagnostic.severity} {listed}::{_escape(text)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(value: str | int) -> str:
    return _escape(str(value)).replace(":", "%3A").replace(",", "%2C")
