"""One run of the checker over a file and all that it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING

from ncdlang.semantics.memory import Memory, Moves, Recording
from ncdlang.semantics.size import Symbol
from ncdlang.source import Source
from ncdlang.syntax import tree
from ncdlang.syntax.parser import Parsed, parse, parse_library

if TYPE_CHECKING:
    from ncdlang.semantics.module import ModuleChecker

Find = Callable[[Source, tuple[str, ...]], Source | None]
PRELUDE = ("std", "prelude")


class Compilation:
    """What all files of one run share: the modules read so far, and the numbering of unknowns."""

    def __init__(
        self,
        find: Find,
        overrides: Mapping[str, int | float],
        target: str | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.find = find
        self.memory = memory
        self.moves = Moves()
        self.recordings: list[Recording] = []
        self.overrides = overrides
        self.target = target
        self.modules: dict[str, ModuleChecker] = {}
        self.open_files: list[str] = []
        self.open_diagrams: list[tuple[tree.Diagram, str]] = []
        self._numbers = count(1) if memory is None else memory.numbers
        self._parsed: dict[Source, Parsed] = {}

    def overridden(self, overrides: Mapping[str, int | float]) -> Compilation:
        """The same files with other sizes and consts; what those can't change is kept."""
        other = Compilation(self.find, overrides, memory=self.memory)
        other.moves = self.moves
        other._numbers = self._numbers
        other._parsed = self._parsed
        other.modules = {name: m for name, m in self.modules.items() if m.library}
        return other

    def parsed(self, source: Source) -> Parsed:
        """The tree of a source, parsed once."""
        if source not in self._parsed:
            if source.is_library:
                self._parsed[source] = parse_library(source)
            else:
                self._parsed[source] = self.memory.parsed(source) if self.memory else parse(source)
        return self._parsed[source]

    def symbol(self, name: str) -> Symbol:
        """A new unknown."""
        return Symbol(name, next(self._numbers))

    def module(self, source: Source, library: str) -> ModuleChecker:
        """The checker of a file, the same one each time."""
        if library and self.memory is not None:
            common = self.memory.library(self.find)
            if common is not self:
                return common.module(source, library)
        if source.name not in self.modules:
            self.open_files.append(source.name)
            from ncdlang.semantics.module import ModuleChecker

            self.modules[source.name] = ModuleChecker(self, source, library)
            self.open_files.pop()
        return self.modules[source.name]
