"""Diagnostics as SARIF 2.1.0, which code-scanning services and editors read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from ncdlang import codes
from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """One log with one run; its rules are the codes that occur, with their pages."""
    found = tuple(diagnostics)
    rules = sorted({d.code for d in found})
    driver = {"name": "ncdc", "rules": [_rule(code) for code in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(d, rules) for d in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str) -> dict[str, Any]:
    page = codes.page(code)
    if page is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.why},
        "help": {
            "text": f"This is wrong:\n\n{page.bad}\nWrite instead:\n\n{page.good}",
            "markdown": f"{page.why}\n\n{_fenced('This is wrong', page.bad)}"
            f"\n\n{_fenced('Write instead', page.good)}",
        },
    }


def _fenced(title: str, text: str) -> str:
    return f"{title}:\n\n```ncd\n{text.rstrip()}\n```"


def _result(diagnostic: Diagnostic, rules: Sequence[str]) -> dict[str, Any]:
    lines = [diagnostic.message, *diagnostic.notes]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rules.index(diagnostic.code),
        "level": diagnostic.severity,
        "message": {"text": "\n".join(lines)},
        "locations": [_location(diagnostic.span, diagnostic.label)],
    }
    if diagnostic.labels:
        result["relatedLocations"] = [
            {"id": number, **_location(entry.span, entry.text)}
            for number, entry in enumerate(diagnostic.labels, 1)
        ]
    if diagnostic.fix:
        result["fixes"] = [_fix(diagnostic.fix)]
    return result


def _location(span: Span, text: str) -> dict[str, Any]:
    place = {"artifactLocation": _artifact(span), "region": _region(span)}
    location: dict[str, Any] = {"physicalLocation": place}
    if text:
        location["message"] = {"text": text}
    return location


def _artifact(span: Span) -> dict[str, Any]:
    # Bytes of a name that are no text keep their values; what no file can be called is a question.
    name = "".join(
        "?" if "\ud800" <= c < "\udc80" or "\udd00" <= c < "\ue000" else c for c in span.file
    )
    return {"uri": quote(name.replace("\\", "/"), errors="surrogateescape")}


def _region(span: Span) -> dict[str, Any]:
    source = span.source
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": source.line_of(span.end),
        "endColumn": source.column_of(span.end),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {}
    for span, text in fix.edits:
        change = changes.setdefault(span.file, {"artifactLocation": _artifact(span)})
        replacement = {"deletedRegion": _region(span), "insertedContent": {"text": text}}
        change.setdefault("replacements", []).append(replacement)
    return {"description": {"text": fix.title}, "artifactChanges": list(changes.values())}
