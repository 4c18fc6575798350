"""What the JSON of a checked program is made of: the records by their names, and the version."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, get_type_hints

from ncdlang.semantics import program, types
from ncdlang.semantics.primitives import ELEMENTWISE, REDUCTIONS
from ncdlang.semantics.size import Quotient, Size, Symbol
from ncdlang.semantics.statements import INITIALISERS
from ncdlang.source import Span

FORMAT = "ncdlang"
VERSION = 1

RECORDS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        program.Constant, program.SizeValue, program.IndexValue, program.Read, program.Apply,
        program.ApplyDiagram, program.Select, program.Contract, program.Reduce, program.Define,
        program.Invoke, program.Write, program.Scatter, program.Recurrence, program.BlockStep,
        program.Learned, program.Instance, program.Requirement, program.FreeAxis,
        program.CheckedDiagram, types.Axis, types.Kind, types.ArrayType, types.Wire, types.Floor,
        types.Mod, types.Gathered, types.Affine,
    )
}  # fmt: skip
"""Every record that may occur, and nothing else: reading makes no object of another class."""

WORDS: dict[str, dict[str, Collection[object]]] = {
    "Apply": {"op": ELEMENTWISE},
    "Reduce": {"op": REDUCTIONS},
    "Learned": {"init": ("default", *INITIALISERS)},
    "Kind": {
        "name": ("real", "natural", "boolean", "complex", "integer"),
        "format": (None, *types.FORMATS),
    },
}
"""Fields of a fixed set of words: they choose what is emitted, and are no names of the user's."""

SHARED = (types.Axis, types.Wire, program.CheckedDiagram, program.Instance)
"""Records that are the same only if they are one object; they stand in a table, once."""

_NAMES = {
    "Affine": types.Affine,
    "Size": Size,
    "Symbol": Symbol,
    "Quotient": Quotient,
    "Span": Span,
    "Expression": program.Expression,
    "Step": program.Step,
}


@cache
def hints(name: str) -> dict[str, Any]:
    """The types of a record's fields."""
    return get_type_hints(RECORDS[name], localns=_NAMES)
