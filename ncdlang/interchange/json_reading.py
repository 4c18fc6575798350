"""A checked diagram from JSON. Nothing is executed, and only known records are made."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, cast, get_args, get_origin

from ncdlang.interchange.json_consistency import misfit
from ncdlang.interchange.json_values import Value, parsed
from ncdlang.interchange.schema import FORMAT, RECORDS, VERSION, WORDS, hints
from ncdlang.semantics.primitives import ELEMENTWISE
from ncdlang.semantics.program import CheckedDiagram, CheckedProgram
from ncdlang.semantics.size import Atom, Monomial, Quotient, Size, Symbol, TooComplexError
from ncdlang.source import Source, Span


def program_of(text: str) -> CheckedProgram:
    """The program with one diagram that `json_writing.json_text` wrote. Raises FormatError."""
    root = parsed(text)
    if root.get("format").content != FORMAT:
        raise root.get("format").fail(f"`{FORMAT}` is wanted")
    version = root.get("version")
    if version.whole() != VERSION:
        raise version.fail(f"this is version {version.content}, only {VERSION} is read")
    reading = _Reading(root)
    diagram = reading.expected(root.get("diagram"), CheckedDiagram)
    return CheckedProgram(diagram.span.source, (diagram,))


class _Reading:
    def __init__(self, root: Value) -> None:
        self._sources = [
            Source(s.get("name").text(), s.get("text").text()) for s in root.get("sources").items()
        ]
        self._objects: list[Any] = []
        for item in root.get("objects").items():
            self._objects.append(self._record(item))

    def expected(self, value: Value, hint: Any) -> Any:
        """The value, which must be of a type."""
        found = self._made(value)
        if not _is_of(found, hint):
            raise value.fail(f"{_told(hint)} is wanted")
        return found

    def _made(self, value: Value) -> Any:
        content: object = value.content
        if isinstance(content, list):
            return tuple(self._made(item) for item in value.items())
        if not isinstance(content, dict):
            return content
        if value.has("is"):
            return self._record(value)
        for key, make in (
            ("ref", self._reference),
            ("size", self._size),
            ("span", self._span),
            ("float", self._float),
            ("symbol", self._symbol),
        ):
            if value.has(key):
                return make(value.get(key))
        raise value.fail("there is no such value")

    def _reference(self, value: Value) -> Any:
        place = value.whole()
        if not 0 <= place < len(self._objects):
            raise value.fail(f"object {place} does not stand before this one")
        return self._objects[place]

    def _record(self, value: Value) -> Any:
        name = value.get("is").text()
        if name not in RECORDS:
            raise value.get("is").fail(f"there is no record `{name}`")
        known = hints(name)
        for member, inner in value.members():
            if member != "is" and member not in known:
                raise inner.fail(f"`{name}` has no such field")
        given = {field: self.expected(value.get(field), hint) for field, hint in known.items()}
        for field, allowed in WORDS.get(name, {}).items():
            if given[field] not in allowed:
                raise value.get(field).fail(f"`{name}` has no such `{field}`")
        if name == "Apply" and len(given["arguments"]) != ELEMENTWISE[given["op"]]:
            count = ELEMENTWISE[given["op"]]
            raise value.get("arguments").fail(f"`{given['op']}` takes {count}")
        made = RECORDS[name](**given)
        told = misfit(made) if isinstance(made, CheckedDiagram) else None
        if told is not None:
            raise value.fail(f"the records of `{made.name}` do not fit together: {told}")
        return made

    # ---- values --------------------------------------------------------------------------------

    def _size(self, value: Value) -> Size:
        terms: dict[Monomial, int] = {}
        for term in value.items():
            coefficient, atoms = _pair(term)
            monomial = [(self._atom(a), p.whole()) for a, p in map(_pair, atoms.items())]
            if any(power < 1 for _, power in monomial):
                raise atoms.fail("a power is at least 1")
            terms[tuple(monomial)] = coefficient.whole()
        try:
            return Size(terms)
        except TooComplexError as error:
            raise value.fail("the size is too large to work with") from error

    def _atom(self, value: Value) -> Atom:
        if value.has("symbol"):
            return self._symbol(value.get("symbol"))
        numerator, denominator = _pair(value.get("quotient"))
        return Quotient(self.expected(numerator, Size), self.expected(denominator, Size))

    def _symbol(self, value: Value) -> Symbol:
        name, number = _pair(value)
        return Symbol(name.text(), number.whole())

    def _span(self, value: Value) -> Span:
        numbers = [item.whole() for item in value.items()]
        if len(numbers) != 3 or not 0 <= numbers[0] < len(self._sources):
            raise value.fail("a source, a start and an end are wanted")
        source = self._sources[numbers[0]]
        if not 0 <= numbers[1] <= numbers[2] <= len(source.text):
            raise value.fail("the place is outside its source")
        return Span(source, numbers[1], numbers[2])

    def _float(self, value: Value) -> float:
        if value.content not in ("inf", "-inf", "nan"):
            raise value.fail("`inf`, `-inf` or `nan` is wanted")
        return float(value.text())


def _pair(value: Value) -> tuple[Value, Value]:
    items = list(value.items())
    if len(items) != 2:
        raise value.fail("two entries are wanted")
    return items[0], items[1]


def _is_of(value: object, hint: Any) -> bool:
    """Whether a value is of the type that a field is declared with."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_of(value, choice) for choice in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return _is_tuple(value, get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _is_tuple(value: object, items: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple):
        return False
    entries = cast("tuple[object, ...]", value)
    if len(items) == 2 and items[1] is Ellipsis:
        return all(_is_of(entry, items[0]) for entry in entries)
    return len(entries) == len(items) and all(map(_is_of, entries, items))


def _told(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint).replace("ncdlang.semantics.", "")
