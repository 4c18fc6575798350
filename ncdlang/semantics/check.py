"""From a text to its checked program. The entry of the checker."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ncdlang.diagnostics import Diagnostic, Sink
from ncdlang.semantics.module import Compilation, Find
from ncdlang.semantics.program import CheckedProgram
from ncdlang.source import Source

NOTHING: Mapping[str, int | float] = MappingProxyType({})


def find_nothing(importer: Source, dotted: tuple[str, ...]) -> Source | None:
    """The search that knows no other files, the prelude neither."""
    del importer, dotted
    return None


def check_source(
    source: Source,
    find: Find = find_nothing,
    overrides: Mapping[str, int | float] = NOTHING,
    only: str | None = None,
) -> tuple[CheckedProgram, tuple[Diagnostic, ...]]:
    """Parse and check a file and what it uses. Never raises; mistakes are in the diagnostics.

    `find` gives the source of a dotted module name, seen from an importing file. `overrides`
    are sizes of axes and numbers of consts that hold instead of the declared ones (a config, or
    the command line). `only` restricts the check to one diagram and what it calls.
    """
    compilation = Compilation(find, overrides)
    module = compilation.module(source, "")
    diagrams = module.check_all(only)
    sink = Sink()
    for checked in compilation.modules.values():
        sink.extend(checked.sink)
    return CheckedProgram(source, diagrams, tuple(module.configs)), tuple(sink)
