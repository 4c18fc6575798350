"""Diagnostics in one line each, for editors and `grep`."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.diagnostics import Diagnostic
from ncdlang.report.columns import visible
from ncdlang.report.paint import Painter


def render(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """`file:line:column: error[NCD2003] message`, one line for each diagnostic."""
    paint = Painter(colour)
    return "".join(
        f"{visible(d.span.file)}:{d.span.line}:{d.span.column}: "
        f"{paint(f'{d.severity}[{d.code}]', d.severity)} {visible(d.message)}\n"
        for d in diagnostics
    )
