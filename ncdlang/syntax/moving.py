"""Trees at another place: what was parsed in one text stands, as it is, somewhere in another."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from ncdlang.diagnostics import Diagnostic
from ncdlang.records import fields
from ncdlang.source import Source, Span
from ncdlang.syntax import tree


def moved(declared: tree.Declared, source: Source, by: int) -> tree.Declared:
    """A declaration as a part of `source`, its places moved by so many code points.

    The parts of a diagram are moved when they are first asked for: mostly nobody asks.
    """
    if isinstance(declared, tree.Diagram):
        return _Moved(declared, source, by)
    made: tree.Declared = _moved(declared, source, by)
    return made


def moved_span(span: Span, source: Source, by: int) -> Span:
    """A place as a place in `source`."""
    return Span(source, span.start + by, span.end + by)


def moved_finding(found: Diagnostic, source: Source, by: int) -> Diagnostic:
    """A finding with all its places in `source`."""
    made: Diagnostic = _moved(found, source, by)
    return made


class _Moved(tree.Diagram):
    """A diagram whose fields are filled when they are read."""

    __slots__ = ("_by", "_of", "_to")

    def __init__(self, of: tree.Diagram, to: Source, by: int) -> None:
        object.__setattr__(self, "_of", of)
        object.__setattr__(self, "_to", to)
        object.__setattr__(self, "_by", by)

    def __getattr__(self, name: str) -> Any:
        """The value of a field that is not filled yet."""
        if name not in tree.Diagram.__match_args__:
            raise AttributeError(name)
        value = _moved(getattr(self._of, name), self._to, self._by)
        object.__setattr__(self, name, value)
        return value


def _moved(value: Any, to: Source, by: int) -> Any:
    kind = cast("type[Any]", type(value))
    if kind is Span:
        return moved_span(value, to, by)
    if kind is tuple:
        return tuple([_moved(item, to, by) for item in value])
    names = _fields(kind)
    if not names:
        return value
    return kind(*[_moved(getattr(value, name), to, by) for name in names])


_fields = cache(fields)
