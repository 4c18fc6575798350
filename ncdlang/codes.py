"""Every code of a diagnostic with its page: what it means, why, and what to write instead."""

from __future__ import annotations

from functools import cache
from typing import Any

from ncdlang.records import record
from ncdlang.resources import code_pages_text


@record
class Page:
    """What there is to say about one code.

    `bad` is a whole file that gives exactly this code, `good` the same file mended. `modules` are
    further files that both of them use, by path.
    """

    code: str
    title: str
    why: str
    bad: str
    good: str
    modules: tuple[tuple[str, str], ...] = ()


@cache
def _pages() -> dict[str, Page]:
    import tomllib

    pages: dict[str, Page] = {}
    for text in code_pages_text():
        for code, entry in tomllib.loads(text).items():
            if code in pages:
                raise ValueError(f"{code} has two pages")
            pages[code] = _page(code, entry)
    return dict(sorted(pages.items()))


def _page(code: str, entry: dict[str, Any]) -> Page:
    modules = tuple(sorted(entry.get("modules", {}).items()))
    return Page(code, entry["title"], entry["why"].strip(), entry["bad"], entry["good"], modules)


def all_codes() -> tuple[str, ...]:
    """Every code, sorted."""
    return tuple(_pages())


def page(code: str) -> Page | None:
    """The page of a code, or None; letter case does not count."""
    return _pages().get(code.upper())
