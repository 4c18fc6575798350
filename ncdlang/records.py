"""Immutable records: what frozen, slotted dataclasses are, without their cost at start-up.

The standard decorator compiles six methods for every class when a module is imported, 0.7 ms a
class, and it imports `inspect`. The compiler core has a hundred such classes, and `ncdc check`
is to answer in a tenth of a second. Here the initialiser of a class is compiled when its first
record is made, and the other methods are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

T = TypeVar("T")
C = TypeVar("C", bound=type)

_MISSING: Any = object()


class Field:
    """How one field is treated: its default, and whether it is compared and printed."""

    __slots__ = ("compare", "default", "default_factory", "repr")

    def __init__(
        self,
        default: Any = _MISSING,
        default_factory: Callable[[], Any] | None = None,
        compare: bool = True,
        repr: bool = True,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.compare = compare
        self.repr = repr


def field(
    *,
    default: Any = _MISSING,
    default_factory: Callable[[], Any] | None = None,
    compare: bool = True,
    repr: bool = True,
) -> Any:
    """Settings of a field, as in `dataclasses.field`."""
    return Field(default, default_factory, compare, repr)


_PLAIN = Field()


@overload
def record(cls: C, /) -> C: ...
@overload
def record(*, eq: bool = True) -> Callable[[C], C]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: C | None = None, /, *, eq: bool = True) -> C | Callable[[C], C]:
    """Make a class a record of its annotated fields; `eq=False` compares by identity."""
    return _make(cls, eq) if cls is not None else lambda given: _make(given, eq)


def _make(cls: C, eq: bool) -> C:
    namespace = dict(cls.__dict__)
    names = tuple(namespace.get("__annotations__", ()))
    settings: dict[str, Field] = {}
    for name in names:
        value = namespace.pop(name, _MISSING)
        settings[name] = (
            value if isinstance(value, Field) else _PLAIN if value is _MISSING else Field(value)
        )
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    namespace["__slots__"] = names
    namespace["__match_args__"] = names
    namespace["__record_fields__"] = settings
    namespace["__init__"] = _first_initialiser
    namespace["__setattr__"] = _frozen
    namespace["__delattr__"] = _frozen
    namespace.setdefault("__repr__", _repr)
    if eq:
        namespace["__eq__"] = _eq
        namespace["__hash__"] = _hash
    made: Any = type(cls)(cls.__name__, cls.__bases__, namespace)
    return made


def _settings(value: Any) -> dict[str, Field]:
    """The fields of a record or of its class; none for anything else."""
    found: dict[str, Field] = getattr(value, "__record_fields__", {})
    return found


def _first_initialiser(self: Any, *values: Any, **named: Any) -> None:
    """Stands in for the initialiser until the first record of a class is made."""
    cls = self.__class__
    initialise = _initialiser(cls)
    cls.__init__ = initialise
    initialise(self, *values, **named)


def _initialiser(cls: Any) -> Callable[..., None]:
    settings = _settings(cls)
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": _MISSING}
    parameters: list[str] = []
    lines: list[str] = []
    for name, setting in settings.items():
        value = name
        if setting.default_factory is not None:
            scope[f"_make_{name}"] = setting.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif setting.default is not _MISSING:
            scope[f"_default_{name}"] = setting.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f"  _set(self, {name!r}, {value})")
    source = f"def __init__(self, {', '.join(parameters)}):\n" + ("\n".join(lines) or "  pass")
    exec(source, scope)  # names of fields of our own classes, nothing that a user wrote
    return scope["__init__"]


def _frozen(self: Any, name: str, *_: Any) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is immutable: {name}")


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name, how in _settings(self).items() if how.compare)


def _eq(self: Any, other: object) -> bool:
    if type(self) is not type(other):
        return NotImplemented
    return self is other or _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = ", ".join(
        f"{name}={getattr(self, name)!r}" for name, how in _settings(self).items() if how.repr
    )
    return f"{type(self).__name__}({shown})"


def fields(value: Any) -> tuple[str, ...]:
    """The names of the fields of a record, or of its class, in order; empty if it is none."""
    return tuple(_settings(value))


def compared_fields(value: Any) -> tuple[str, ...]:
    """The names of the fields that equality looks at."""
    return tuple(name for name, how in _settings(value).items() if how.compare)


def replace(value: T, **changes: Any) -> T:
    """A record like `value` with some fields changed."""
    given = {name: getattr(value, name) for name in fields(value)}
    return type(value)(**(given | changes))
