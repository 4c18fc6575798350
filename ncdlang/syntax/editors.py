"""Generates what Vim and Emacs colour programs by, from the words of the grammar and the library.

Both editors know a name by the words round it only, so this is simpler than the TextMate grammar.
The templates lie beside the results in `editors/`; `@NAME@` in them is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ncdlang.records import record
from ncdlang.syntax.highlight import Vocabulary
from ncdlang.syntax.tables import Tables

_STATEMENTS = frozenset(("use", "as", "return", "assert"))
_LOGIC = frozenset(("and", "or", "not"))
_SLOT = re.compile(r"@([A-Z]+)@")


@record
class Words:
    """The words of a program by what they are."""

    declaring: tuple[str, ...]
    statements: tuple[str, ...]
    logic: tuple[str, ...]
    library: tuple[str, ...]
    types: tuple[str, ...]
    constants: tuple[str, ...]
    structures: tuple[str, ...]


def words(tables: Tables, vocabulary: Vocabulary) -> Words:
    """The keywords of the grammar, sorted by use, and the vocabulary."""
    texts = {pattern.partition("(?")[0] for name, pattern in tables.patterns if name != "NAME"}
    keywords = {text for text in texts if text.isalpha()}
    return Words(
        declaring=tuple(sorted(keywords - _STATEMENTS - _LOGIC)),
        statements=tuple(sorted(keywords & _STATEMENTS)),
        logic=tuple(sorted(keywords & _LOGIC)),
        library=vocabulary.library,
        types=vocabulary.types,
        constants=vocabulary.constants,
        structures=vocabulary.structures,
    )


def vim(template: str, known: Words) -> str:
    """The syntax file of Vim."""
    given = {name: _lines(each, "\n      \\ ") for name, each in _slots(known)}
    # These two stand in patterns: as keywords they would count at every place.
    for name, each in (("TYPES", known.types), ("STRUCTURES", known.structures)):
        given[name] = r"\|".join(each)
    return _filled(template, given)


def emacs(template: str, known: Words) -> str:
    """The mode of Emacs."""
    quoted = {name: [f'"{word}"' for word in each] for name, each in _slots(known)}
    return _filled(template, {name: _lines(each, "\n    ") for name, each in quoted.items()})


def _slots(known: Words) -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("DECLARING", known.declaring),
        ("STATEMENTS", known.statements),
        ("LOGIC", known.logic),
        ("LIBRARY", known.library),
        ("TYPES", known.types),
        ("CONSTANTS", known.constants),
        ("STRUCTURES", known.structures),
    ]


def _filled(template: str, given: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda slot: given[slot[1]], template)


def _lines(each: Sequence[str], ending: str) -> str:
    """Words with spaces between them, in lines of at most 80 columns."""
    lines = [""]
    for word in each:
        if lines[-1] and len(lines[-1]) + len(word) > 80:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return ending.join(lines)
