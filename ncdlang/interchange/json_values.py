"""Values of a JSON text with the path that leads to each, so that errors can say where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from ncdlang.records import record

_DIGITS = 40


class FormatError(Exception):
    """A text is not of the format that is read. `path` leads to the place: `data.content[1]`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


@record
class Value:
    """A part of a JSON text."""

    content: Any
    path: str

    def get(self, name: str) -> Value:
        """A member of an object."""
        members = self._object()
        path = f"{self.path}.{name}" if self.path else name
        if name not in members:
            raise FormatError(f"`{name}` is missing", self.path or "the text")
        return Value(members[name], path)

    def has(self, name: str) -> bool:
        """Whether it is an object with such a member that is not null."""
        content: object = self.content
        return isinstance(content, dict) and self._object().get(name) is not None

    def items(self) -> Iterator[Value]:
        """The entries of a list."""
        content: object = self.content
        if not isinstance(content, list):
            raise FormatError("a list is wanted", self.path)
        for place, item in enumerate(cast("list[Any]", content)):
            yield Value(item, f"{self.path}[{place}]")

    def members(self) -> Iterator[tuple[str, Value]]:
        """The members of an object."""
        for name in self._object():
            yield name, self.get(name)

    def _object(self) -> dict[str, Any]:
        content: object = self.content
        if not isinstance(content, dict):
            raise FormatError("an object is wanted", self.path)
        return cast("dict[str, Any]", content)

    def text(self) -> str:
        """A string."""
        if not isinstance(self.content, str):
            raise FormatError("a text is wanted", self.path)
        return self.content

    def whole(self) -> int:
        """A whole number."""
        if not isinstance(self.content, int) or isinstance(self.content, bool):
            raise FormatError("a whole number is wanted", self.path)
        return self.content

    def fail(self, message: str) -> FormatError:
        """An error at this place."""
        return FormatError(message, self.path)


def parsed(text: str) -> Value:
    """The value of a whole JSON text. Raises FormatError."""
    try:
        return Value(json.loads(text, object_pairs_hook=_object, parse_int=_whole), "")
    except json.JSONDecodeError as error:
        raise FormatError(f"no JSON: {error.msg}", f"line {error.lineno}:{error.colno}") from error
    except RecursionError as error:
        raise FormatError("the JSON is nested too deeply") from error


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"an object has two members `{twice}`")
    return made


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise FormatError(f"a number has {len(digits)} digits, at most {_DIGITS} are read")
    return int(digits)
