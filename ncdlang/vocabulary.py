"""The words that have a meaning in every program without being keywords, for editors."""

from __future__ import annotations

from functools import cache

from ncdlang.project import LIBRARY, Project
from ncdlang.resources import stdlib_root
from ncdlang.semantics.expressions import BUILTIN_NUMBERS
from ncdlang.semantics.names import OPERATORS
from ncdlang.semantics.primitives import STAGES
from ncdlang.semantics.statements import INITIALISERS, STRUCTURES
from ncdlang.semantics.types import FORMATS
from ncdlang.syntax import tree
from ncdlang.syntax.highlight import Vocabulary
from ncdlang.syntax.parser import parse

_OTHER_OPERATORS = ("cast", "frozen", "equivariant", "invariant")
_KINDS = ("N", "B", "C")


@cache
def vocabulary() -> Vocabulary:
    """The words of this compiler and of its standard library."""
    builtin = {*OPERATORS, *STAGES, *INITIALISERS, *_OTHER_OPERATORS}
    return Vocabulary(
        library=tuple(sorted(builtin | _library())),
        types=(*_KINDS, *FORMATS),
        constants=tuple(BUILTIN_NUMBERS),
        structures=STRUCTURES,
    )


def _library() -> set[str]:
    """The names of everything that the library declares."""
    project = Project()
    files = sorted((stdlib_root() / LIBRARY).glob("*.ncd"))
    declared = [each for file in files for each in parse(project.open(file)).file.declarations]
    return {each.name.text for each in declared if isinstance(each, tree.Diagram | tree.Op)}
