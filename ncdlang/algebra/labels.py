"""Canonical places for axes that have no names: colour refinement, then trial of what is left.

The axes of an operation are told apart by how its reads use them. Axes that refinement leaves
alike are mostly interchangeable; to be sure, each is tried first, as long as there are few ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ncdlang.algebra.strides import Places, axes_of
from ncdlang.records import record
from ncdlang.semantics.size import ONE, ZERO, Size
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, IndexVariable, Mod

MAX_TRIALS = 48

Colours = Mapping[Axis, str]


@record(eq=False)
class Occurrence:
    """One read: what is read, in which role, and where."""

    role: str
    name: str
    places: Places


class Labelling:
    """Finds the order of the axes of one operation, and the texts of its reads in that order."""

    def __init__(
        self,
        size: Callable[[Size], str],
        colours: Colours,
        pinned: Colours,
        occurrences: Sequence[Occurrence],
    ) -> None:
        self._size = size
        self._kinds = {axis: colour[0] for axis, colour in colours.items()}
        self._pinned = pinned
        self._occurrences = occurrences
        self._uses: dict[Axis, list[Occurrence]] = {axis: [] for axis in colours}
        for occurrence in occurrences:
            for axis in {a for place in occurrence.places for a in axes_of(place)}:
                if axis in self._uses:
                    self._uses[axis].append(occurrence)
        self._trials = 0
        self.order, self.texts = self._solve(dict(colours))

    def _solve(self, colours: dict[Axis, str]) -> tuple[list[Axis], list[str]]:
        colours = self._refined(colours)
        classes: dict[str, list[Axis]] = {}
        for axis, colour in colours.items():
            classes.setdefault(colour, []).append(axis)
        tied = [name for name, members in sorted(classes.items()) if len(members) > 1]
        if not tied:
            order = sorted(colours, key=colours.__getitem__)
            return order, self._texts(order)
        found: list[tuple[list[str], list[Axis]]] = []
        for axis in classes[tied[0]]:
            if found and self._trials >= MAX_TRIALS:
                break
            self._trials += 1
            order, texts = self._solve(colours | {axis: f"{colours[axis]}!"})
            found.append((texts, order))
        texts, order = min(found, key=lambda each: each[0])
        return order, texts

    def _refined(self, colours: dict[Axis, str]) -> dict[Axis, str]:
        """Colours that tell apart all axes whose uses differ, as far as colours can."""
        classes = len(set(colours.values()))
        while classes < len(colours):
            signatures = {axis: self._signature(axis, colours) for axis in colours}
            ranks = {s: f"{i:04}" for i, s in enumerate(sorted(set(signatures.values())))}
            if len(ranks) == classes:
                break
            classes = len(ranks)
            colours = {axis: ranks[signature] for axis, signature in signatures.items()}
        return colours

    def _signature(self, axis: Axis, colours: dict[Axis, str]) -> tuple[str, tuple[str, ...]]:
        marked = {**self._pinned, **colours, axis: "*"}
        uses = sorted(self._text(occurrence, marked) for occurrence in self._uses[axis])
        return colours[axis], tuple(uses)

    def _texts(self, order: Sequence[Axis]) -> list[str]:
        counts = {"d": 0, "b": 0}
        names = dict(self._pinned)
        for axis in order:
            kind = self._kinds[axis]
            names[axis] = f"{kind}{counts[kind]}"
            counts[kind] += 1
        return sorted(self._text(occurrence, names) for occurrence in self._occurrences)

    def _text(self, occurrence: Occurrence, names: Colours) -> str:
        places = ",".join(place_text(place, names, self._size) for place in occurrence.places)
        return f"{occurrence.role}:{occurrence.name}[{places}]"


def place_text(place: Affine, names: Colours, size: Callable[[Size], str]) -> str:
    """A coordinate with its axes under the given names, its terms in order."""
    terms = place.terms
    if len(terms) == 1 and terms[0][1] == ONE and place.constant == ZERO:
        return _variable_text(terms[0][0], names, size)
    texts = sorted(f"({size(c)})*{_variable_text(v, names, size)}" for v, c in terms)
    return "+".join([*texts, size(place.constant)])


def _variable_text(variable: IndexVariable, names: Colours, size: Callable[[Size], str]) -> str:
    match variable:
        case Axis():
            return names[variable]
        case Floor():
            return f"({place_text(variable.numerator, names, size)}//{variable.divisor})"
        case Mod():
            return f"({place_text(variable.numerator, names, size)}%{variable.divisor})"
        case Gathered():
            inner = ",".join(place_text(place, names, size) for place in variable.indices)
            return f"{variable.wire.name}[{inner}]"
