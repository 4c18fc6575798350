"""Names and what they mean. One namespace: a name means one thing in a scope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from ncdlang.records import record
from ncdlang.semantics.types import Axis, Wire
from ncdlang.source import Span
from ncdlang.spelling import closest as closest

if TYPE_CHECKING:
    from ncdlang.semantics.matching import LearnedUse
    from ncdlang.semantics.module import ModuleChecker
    from ncdlang.semantics.program import Write
    from ncdlang.syntax import tree


@record
class Broken:
    """A name whose definition has a mistake that was reported: its uses are silent."""

    what: str


@record(eq=False)
class DiagramRef:
    """A diagram by its declaration and the module that holds it."""

    module: ModuleChecker
    declaration: tree.Diagram

    @property
    def is_scalar(self) -> bool:
        """Whether all its types are scalars, settings apart: it is an elementwise operator."""
        from ncdlang.syntax import tree

        declaration = self.declaration
        types = [p.type for p in declaration.parameters] + [declaration.result]
        formals = declaration.formals
        only_settings = formals is None or (
            formals.arrow is None and all(entry.is_const for entry in formals.entries)
        )
        return (
            only_settings
            and bool(declaration.parameters)
            and all(isinstance(t, tree.ArrayTypeExpr) and not t.axes.slots for t in types)
        )


class DeclaredWire:
    """`Y: [v d]` while its equations are collected; it becomes a wire after the last."""

    def __init__(self, wire: Wire, remaining: int) -> None:
        self.wire = wire
        self.remaining = remaining
        self.writes: list[Write] = []


@record(eq=False)
class LearnedPipeline:
    """`learn stack: layer[h, k]^6`: a pipeline whose instances all uses share."""

    name: str
    spec: tree.Expr
    span: Span


if TYPE_CHECKING:
    Meaning: TypeAlias = (
        Axis
        | Wire
        | int
        | float
        | DiagramRef
        | LearnedUse
        | LearnedPipeline
        | DeclaredWire
        | ModuleChecker
        | Broken
    )
else:
    Meaning = object


class Scope:
    """Names of one level; names that are not here are looked up in `parent`."""

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self._names: dict[str, tuple[Meaning, Span | None]] = {}

    def define(self, name: str, meaning: Meaning, span: Span | None) -> None:
        """Give a name its meaning at this level, in place of any that it had."""
        self._names[name] = (meaning, span)

    def restore(self, name: str, entry: tuple[Meaning, Span | None] | None) -> None:
        """Give a name back the meaning that it had at this level, or none."""
        if entry is None:
            self._names.pop(name, None)
        else:
            self._names[name] = entry

    def local(self, name: str) -> tuple[Meaning, Span | None] | None:
        """The meaning at this level alone."""
        return self._names.get(name)

    def local_names(self) -> Iterator[tuple[str, Meaning]]:
        """The names of this level."""
        for name, (meaning, _) in self._names.items():
            yield name, meaning

    def find(self, name: str) -> Meaning | None:
        """The meaning of a name, here or in a parent."""
        found = self.entry(name)
        return found[0] if found else None

    def entry(self, name: str) -> tuple[Meaning, Span | None] | None:
        """The meaning of a name with the place of its definition."""
        scope: Scope | None = self
        while scope is not None:
            found = scope._names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def names(self) -> Iterator[tuple[str, Meaning]]:
        """All names that are visible, nearest first."""
        seen: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            for name, (meaning, _) in scope._names.items():
                if name not in seen:
                    seen.add(name)
                    yield name, meaning
            scope = scope.parent
