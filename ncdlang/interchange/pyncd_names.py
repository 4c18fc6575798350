"""Names of axes and wires for terms of pyncd, which tell things apart by ids."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ncdlang.interchange.json_values import Value
from ncdlang.records import record

_RESERVED = frozenset(
    [
        "use",
        "axis",
        "const",
        "config",
        "op",
        "diagram",
        "learn",
        "block",
        "return",
        "assert",
        "as",
        "size",
        "and",
        "or",
        "not",
        "inf",
        "pi",
    ]
)


@record
class Wire:
    """A wire with the names of its axes; `kind` stands before the brackets of its type."""

    name: str
    axes: tuple[str, ...]
    kind: str = ""

    @property
    def type(self) -> str:
        """The type as the language writes it."""
        return f"{self.kind}[{' '.join(self.axes)}]"


class Axes:
    """Gives each axis a name; two of one name in the term are told apart by primes."""

    def __init__(self, repository: Mapping[str, Value]) -> None:
        self._repository = repository
        self._names: dict[str, str] = {}

    def name(self, slot: Value) -> str:
        """The name of an axis: that of its size where it has one, so that equal sizes are seen."""
        key = axis_name(slot)
        if key is None:
            raise slot.fail("an axis is wanted")
        axis = self._repository.get(key)
        if axis is None:
            raise slot.fail(f"nothing in `uid_repository` has the id {key}")
        if axis.has("_size") and axis.get("_size").has("__ref__"):
            key = str(axis.get("_size").get("__ref__").content)
        return self._named(key, axis)

    def kind(self, datatype: Value) -> str:
        """What stands before the brackets of a type."""
        match datatype.get("__type__").text():
            case "Reals":
                return ""
            case "Natural":
                key = str(datatype.get("max_value").get("__ref__").content)
                bound = self._repository.get(key)
                if bound is None:
                    raise datatype.fail(f"nothing in `uid_repository` has the id {key}")
                return f"N({self._named(key, bound)})"
            case other:
                raise datatype.fail(f"there is no datatype `{other}` here")

    def bound(self, kind: str) -> str:
        """The axis that naturals of a kind stay below."""
        return kind.removeprefix("N(").removesuffix(")")

    @property
    def taken(self) -> set[str]:
        """All names of axes so far."""
        return set(self._names.values())

    def _named(self, key: str, owner: Value) -> str:
        name = self._names.get(key)
        if name is None:
            name = written_name(owner.get("uid").get("_name")) or "a"
            while name in self.taken:
                name += "'"
            self._names[key] = name
        return name


def axis_name(slot: Value) -> str | None:
    """The id of an axis in a shape, None where the weave marks the place as tiled."""
    if slot.has("__ref__"):
        return str(slot.get("__ref__").content)
    if slot.has("__registered__") and slot.get("name").text() == "TILED":
        return None
    raise slot.fail("an axis or a mark of the weave is wanted")


def written_name(name: Value) -> str:
    """A name with its subscript, as an identifier; "" for none."""
    if name.content is None:
        return ""
    body = plain_name(name.get("body").text())
    sub = written_name(name.get("subscript")) if name.has("subscript") else ""
    return f"{body}_{sub}" if sub else body


def plain_name(text: str) -> str:
    """What of a text an identifier may have."""
    kept = re.sub(r"\W", "", text)
    kept = kept.lstrip("0123456789")
    return f"{kept}_" if kept in _RESERVED else kept
