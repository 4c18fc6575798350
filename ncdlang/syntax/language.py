"""Everything that is computed from the grammar, in the forms in which the passes use it."""

from __future__ import annotations

from functools import cache

from ncdlang.records import record
from ncdlang.syntax.automaton import Automaton, make_automaton
from ncdlang.syntax.layout import Kinds, make_kinds
from ncdlang.syntax.lexer import Lexicon, make_lexicon
from ncdlang.syntax.tables import Tables, load_tables


@record(eq=False)
class Language:
    """One language: its tables and what the lexer, the layout and the parser make of them."""

    tables: Tables
    lexicon: Lexicon
    kinds: Kinds
    automaton: Automaton


def make_language(tables: Tables) -> Language:
    """The language of given tables."""
    lexicon = make_lexicon(tables)
    return Language(tables, lexicon, make_kinds(lexicon), make_automaton(tables))


@cache
def language() -> Language:
    """The NCD language; computed once in a process, or read from the cache."""
    return make_language(load_tables())
