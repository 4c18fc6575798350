"""Diagnostics for people who read them in a browser: what the terminal shows, with its colours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ncdlang.diagnostics import Diagnostic
from ncdlang.report import text

# Colours of Jupyter's themes, which are light or dark, and for other pages some that do on both.
_RED = "color:var(--jp-error-color1,#d32f2f)"
_BLUE = "color:var(--jp-info-color1,#1e88e5)"
_GREEN = "color:var(--jp-success-color1,#388e3c)"
_YELLOW = "color:var(--jp-warn-color0,#e08000)"
_BOLD = "font-weight:bold"
_STYLES = {
    "1": _BOLD,
    "1;31": f"{_BOLD};{_RED}",
    "1;33": f"{_BOLD};{_YELLOW}",
    "1;34": f"{_BOLD};{_BLUE}",
    "1;36": f"{_BOLD};{_GREEN}",
    "31": _RED,
    "32": _GREEN,
}
# Some pages set preformatted text in letters of different widths, and carets would point anywhere.
_PAGE = "line-height:1.25;font-family:var(--jp-code-font-family,monospace)"
_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")


def render(diagnostics: Iterable[Diagnostic], *, width: int = text.WIDTH) -> str:
    """The diagnostics as one preformatted element. Nothing of a program in it is markup."""
    return preformatted(text.render(diagnostics, colour=True, width=width))


def preformatted(coloured: str) -> str:
    """Text with the colours of a terminal as an element."""
    # Of a program's text nothing is left by then that begins with an escape character.
    plain, *rest = _ESCAPE.split(coloured)
    parts = [escape(plain)]
    for code, after in zip(rest[::2], rest[1::2], strict=True):
        style = _STYLES.get(code)
        parts.append(f'<span style="{style}">{escape(after)}</span>' if style else escape(after))
    return f'<pre style="{_PAGE}">{"".join(parts)}</pre>'


def fitted(svg: str) -> str:
    """A drawing that becomes smaller where it is wider than its page."""
    return svg.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
