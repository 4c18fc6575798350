"""Arrays of naturals in which no entry occurs twice: the places that a sort or a top-k gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.semantics.program import Define, Invoke, Read, Scatter
from ncdlang.semantics.types import Affine, Axis, Gathered, Wire

_PLACES = {"argsort": 0, "top_k": 1}


def one_to_one(steps: Iterable[Define | Invoke | Scatter]) -> dict[Wire, int]:
    """For each such wire the position of the axis along which its entries differ."""
    found: dict[Wire, int] = {}
    for step in steps:
        match step:
            case Invoke(callee=callee) if callee.primitive and callee.name in _PLACES:
                if callee.library:
                    result = _PLACES[callee.name]
                    (position,) = [
                        i for i, formal in enumerate(step.result_weaves[result]) if formal
                    ]
                    found[step.results[result]] = position
            case Define(wire=wire, expression=Read() as read) if read.wire in found:
                along = read.indices[found[read.wire]].axis
                others = [i for i in read.indices if i is not read.indices[found[read.wire]]]
                if along in wire.type.axes and all(along not in i.axes() for i in others):
                    found[wire] = wire.type.axes.index(along)
            case _:
                pass
    return found


def looked_up(
    indices: Iterable[Affine], known: frozenset[Axis], unique: Mapping[Wire, int]
) -> frozenset[Axis]:
    """The axes that follow from an index that such a wire gives, where `known` axes are fixed."""
    found: set[Axis] = set()
    for index in indices:
        if len(index.terms) != 1:
            continue
        ((variable, _),) = index.terms
        if not isinstance(variable, Gathered) or variable.wire not in unique:
            continue
        position = unique[variable.wire]
        along = variable.indices[position].axis
        others = [a for i, x in enumerate(variable.indices) if i != position for a in x.axes()]
        if along is not None and known.issuperset(others):
            found.add(along)
    return frozenset(found)
