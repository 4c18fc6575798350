"""From a text to its checked program. The entry of the checker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ncdlang.diagnostics import Diagnostic, Label, Sink
from ncdlang.semantics.module import Compilation, Find, ModuleChecker
from ncdlang.semantics.program import CheckedProgram
from ncdlang.source import Source, Span

NOTHING: Mapping[str, int | float] = MappingProxyType({})


def find_nothing(importer: Source, dotted: tuple[str, ...]) -> Source | None:
    """The search that knows no other files, the prelude neither."""
    del importer, dotted
    return None


def _misfits(compilation: Compilation, module: ModuleChecker) -> Iterator[Diagnostic]:
    """What is wrong with a correct file when one of its configs is chosen."""
    told: set[Span] = set()
    for name, settings in module.configs:
        chosen = compilation.overridden(dict(settings))
        chosen.module(module.source, "").check_all()
        found = (each for checked in chosen.modules.values() for each in checked.sink)
        misfits = [each for each in found if each.severity == "error"]
        # What one value causes at several places, or several configs at one, is one mistake.
        if misfits and misfits[0].span not in told:
            told.add(misfits[0].span)
            yield _misfit(name, module.config_names[name], misfits[0])


def _misfit(name: str, span: Span, found: Diagnostic) -> Diagnostic:
    return Diagnostic(
        found.code,
        f"config `{name}` does not fit: {found.message}",
        span,
        "with this config",
        (Label(found.span, found.label or "here"), *found.labels),
        found.notes,
        found.help,
    )


def check_source(
    source: Source,
    find: Find = find_nothing,
    overrides: Mapping[str, int | float] = NOTHING,
    only: str | None = None,
    target: str | None = None,
) -> tuple[CheckedProgram, tuple[Diagnostic, ...]]:
    """Parse and check a file and what it uses. Never raises; mistakes are in the diagnostics.

    `find` gives the source of a dotted module name, seen from an importing file. `overrides`
    are sizes of axes and numbers of consts that hold instead of the declared ones (a config, or
    the command line); those of axes of signatures hold in the diagram `target` alone, if one is
    named. `only` restricts the check to one diagram and what it calls.
    """
    compilation = Compilation(find, overrides, target)
    module = compilation.module(source, "")
    diagrams = module.check_all(only)
    sink = Sink()
    for checked in compilation.modules.values():
        sink.extend(checked.sink)
    if not overrides and only is None and not sink.has_errors:
        sink.extend(_misfits(compilation, module))
    claims = [claim for checked in compilation.modules.values() for claim in checked.claims]
    return CheckedProgram(source, diagrams, tuple(module.configs), tuple(claims)), tuple(sink)
