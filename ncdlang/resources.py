"""Where the grammar and the standard library lie, in an installed wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def _folder(name: str) -> Path:
    """A wheel carries the folder inside the package; a checkout has it next to the package."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def grammar_root() -> Path:
    """The folder of the concrete syntax."""
    return _folder("grammar")


def stdlib_root() -> Path:
    """The folder that holds the standard library, `std/*.ncd`."""
    return _folder("stdlib")


def grammar_text() -> str:
    """The grammar of the language, for Lark."""
    return (grammar_root() / "ncd.lark").read_text(encoding="utf-8")


def syntax_errors_text() -> str:
    """The samples of mistakes with their messages, as TOML."""
    return (grammar_root() / "syntax_errors.toml").read_text(encoding="utf-8")


def code_pages_text() -> tuple[str, ...]:
    """The pages of the diagnostics' codes, one TOML text for each file, in order of their names."""
    files = sorted((_PACKAGE / "code_pages").glob("*.toml"))
    return tuple(file.read_text(encoding="utf-8") for file in files)
