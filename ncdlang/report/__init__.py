"""Diagnostics as text for people and for machines. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never, get_args

from ncdlang.diagnostics import Diagnostic

Format = Literal["full", "concise", "json", "sarif", "github"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(
    diagnostics: Sequence[Diagnostic],
    format: Format = "full",
    *,
    colour: bool = False,
    width: int | None = None,
) -> str:
    """The diagnostics in one of the formats; each format's module is imported when used."""
    match format:
        case "full":
            from ncdlang.report import text

            return text.render(diagnostics, colour=colour, width=width or text.WIDTH)
        case "concise":
            from ncdlang.report import concise

            return concise.render(diagnostics, colour=colour)
        case "json":
            from ncdlang.report import json

            return json.render(diagnostics)
        case "sarif":
            from ncdlang.report import sarif

            return sarif.render(diagnostics)
        case "github":
            from ncdlang.report import github

            return github.render(diagnostics)
        case _:
            assert_never(format)
