"""From a text to its checked program. The entry of the checker."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from ncdlang.diagnostics import Diagnostic, Label, Sink
from ncdlang.semantics.compilation import Compilation, Find
from ncdlang.semantics.module import ModuleChecker
from ncdlang.semantics.program import CheckedProgram
from ncdlang.source import Source, Span

Result: TypeAlias = tuple[CheckedProgram, tuple[Diagnostic, ...]]
NOTHING: Mapping[str, int | float] = MappingProxyType({})


def find_nothing(importer: Source, dotted: tuple[str, ...]) -> Source | None:
    """The search that knows no other files, the prelude neither."""
    del importer, dotted
    return None


def _misfits(
    compilation: Compilation, module: ModuleChecker, sink: Sink
) -> Generator[None, None, None]:
    """Report what is wrong with a correct file when one of its configs is chosen."""
    told: set[Span] = set()
    for name, settings in module.configs:
        chosen = compilation.overridden(dict(settings))
        yield from chosen.module(module.source, "").check_each()
        found = (each for checked in chosen.modules.values() for each in checked.sink)
        misfits = [each for each in found if each.severity == "error"]
        # What one value causes at several places, or several configs at one, is one mistake.
        if misfits and misfits[0].span not in told:
            told.add(misfits[0].span)
            sink.add(_misfit(name, module.config_names[name], misfits[0]))


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
    checking = check_steps(source, Compilation(find, overrides, target), only)
    while True:
        try:
            next(checking)
        except StopIteration as done:
            program, found = done.value
            return program, found


def check_steps(
    source: Source, compilation: Compilation, only: str | None = None
) -> Generator[None, None, Result]:
    """The same in a given run, with a pause after each diagram; the result is what it returns."""
    module = compilation.module(source, "")
    yield
    diagrams = yield from module.check_each(only)
    sink = Sink()
    for checked in compilation.modules.values():
        sink.extend(map(compilation.moves.finding, checked.sink))
    if not compilation.overrides and only is None and not sink.has_errors:
        yield from _misfits(compilation, module, sink)
    found = tuple(map(compilation.moves.finding, sink))
    claims = tuple(claim for checked in compilation.modules.values() for claim in checked.claims)
    return CheckedProgram(source, diagrams, tuple(module.configs), claims), found
