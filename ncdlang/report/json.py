"""Diagnostics as JSON: a list of objects with the attributes of `Diagnostic`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.source import Span


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """A JSON array; `start` and `end` are code-point offsets, lines and columns count from 1."""
    return json.dumps([_diagnostic(d) for d in diagnostics], indent=2) + "\n"


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "span": _span(diagnostic.span),
        "label": diagnostic.label,
        "labels": [{"span": _span(entry.span), "text": entry.text} for entry in diagnostic.labels],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "fix": _fix(diagnostic.fix) if diagnostic.fix else None,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    edits = [{"span": _span(span), "text": text} for span, text in fix.edits]
    return {"title": fix.title, "safe": fix.safe, "edits": edits}


def _span(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "start": span.start,
        "end": span.end,
        "line": span.line,
        "column": span.column,
        "end_line": span.source.line_of(span.end),
        "end_column": span.source.column_of(span.end),
    }
