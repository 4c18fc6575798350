"""A checked diagram, with all that it calls, as JSON (see docs/json.md)."""

from __future__ import annotations

import json
import math
from typing import Any

from ncdlang.interchange.schema import FORMAT, RECORDS, SHARED, VERSION
from ncdlang.records import fields
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.size import Atom, Size, Symbol
from ncdlang.source import Source, Span


def json_text(diagram: CheckedDiagram) -> str:
    """The JSON text of a diagram, ending in a line end. The same diagram gives the same text."""
    writing = _Writing()
    root = writing.value(diagram)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "diagram": root,
        "objects": writing.objects,
        "sources": [{"name": s.name, "text": s.text} for s in writing.sources],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


class _Writing:
    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.sources: dict[Source, int] = {}
        self._places: dict[int, int] = {}
        self._symbols: dict[Symbol, int] = {}

    def value(self, value: Any) -> Any:
        """Any value of a checked program as one of JSON."""
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"float": repr(value)}
            case Size():
                return {"size": [self._term(atoms, c) for atoms, c in value.terms]}
            case Symbol():
                return self._atom(value)
            case Span():
                place = self.sources.setdefault(value.source, len(self.sources))
                return {"span": [place, value.start, value.end]}
            case tuple():
                return [self.value(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
            case _:
                return self._record(value)

    def _record(self, value: Any) -> Any:
        name = type(value).__name__
        if name not in RECORDS:
            raise ValueError(f"{name} has no form in JSON")
        if isinstance(value, SHARED):
            found = self._places.get(id(value))
            if found is not None:
                return {"ref": found}
        content = {"is": name} | {f: self.value(getattr(value, f)) for f in fields(type(value))}
        if not isinstance(value, SHARED):
            return content
        self._places[id(value)] = len(self.objects)
        self.objects.append(content)
        return {"ref": len(self.objects) - 1}

    def _term(self, monomial: tuple[tuple[Atom, int], ...], coefficient: int) -> Any:
        return [coefficient, [[self._atom(atom), power] for atom, power in monomial]]

    def _atom(self, atom: Atom) -> Any:
        if isinstance(atom, Symbol):
            # Numbers in order of occurrence: the checker's own differ from run to run.
            return {"symbol": [atom.name, self._symbols.setdefault(atom, len(self._symbols) + 1)]}
        return {"quotient": [self.value(atom.numerator), self.value(atom.denominator)]}
