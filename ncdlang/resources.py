"""Where the grammar and the standard library lie, in an installed wheel and in a checkout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def _folder(name: str) -> str:
    """A wheel carries the folder inside the package; a checkout has it next to the package."""
    inside = os.path.join(_PACKAGE, name)
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(_PACKAGE), name)


def _path(text: str) -> Path:
    from pathlib import Path  # 5 ms that the parser can do without

    return Path(text)


def _grammar_file(name: str) -> str:
    with open(os.path.join(_folder("grammar"), name), encoding="utf-8") as file:
        return file.read()


def stdlib_root() -> Path:
    """The folder that holds the standard library, `std/*.ncd`."""
    return _path(_folder("stdlib"))


def grammar_text() -> str:
    """The grammar of the language, for Lark."""
    return _grammar_file("ncd.lark")


def syntax_errors_text() -> str:
    """The samples of mistakes with their messages, as TOML."""
    return _grammar_file("syntax_errors.toml")


def highlighting_text() -> str:
    """The TextMate grammar that is generated from the grammar, as JSON."""
    return _grammar_file("ncd.tmLanguage.json")


def code_pages_text() -> tuple[str, ...]:
    """The pages of the diagnostics' codes, one TOML text for each file, in order of their names."""
    files = sorted((_path(_PACKAGE) / "code_pages").glob("*.toml"))
    return tuple(file.read_text(encoding="utf-8") for file in files)
