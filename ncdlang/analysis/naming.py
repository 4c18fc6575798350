"""The names of one explanation: different arrays and terms have different ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ncdlang.analysis.terms import Array, Term, Terms

# The name of a result that nothing reads.
_UNREAD = "_"


class Naming:
    """Gives out names in the order of reading: `r`, then `r2` for the next wire of that name.

    All forms of one wire share its name, and so does the array that holds it. The arrays of
    `first` keep theirs: a program gives them.
    """

    def __init__(self, terms: Terms, first: Iterable[Array] = ()) -> None:
        self.terms = terms
        self._names: dict[object, str] = {}
        self._taken: set[str] = set()
        for array in first:
            self._names.setdefault(self._held(array), str(array))
            self._taken.add(str(array))

    def array(self, array: Array) -> str:
        """The name of an array."""
        if str(array) == _UNREAD:
            return _UNREAD
        return self._given(self._held(array), str(array))

    def wire(self, term: Term) -> str:
        """The name of a term that has one, as it stands in equations."""
        name = self.terms.names[term]
        if term.op == "load" and str(term.data) == name:
            return self.array(term.data)
        return self._given(self.terms.wires[term], name)

    def state(self, fold: Term, wanted: str, avoided: Collection[str]) -> str:
        """The name of an accumulator: of its wire if that is `wanted`; none of the `avoided`."""
        key: object = fold
        if self.terms.names.get(fold) == wanted:
            key = self.terms.wires[fold]
            if self._names.get(key) in avoided:
                key = fold
        return self._given(key, wanted, avoided)

    def form(self, term: Term, avoided: Collection[str]) -> str:
        """The name of a wire in one more form, where the first has its name already."""
        name = self.wire(term)
        return name if name not in avoided else self._given(term, name, avoided)

    def avoided(
        self, arrays: Iterable[Array], written: Iterable[Term], folds: Collection[Term]
    ) -> set[str]:
        """What accumulators can't be called: what is made and written beside them, and axes."""
        found = {self.array(array) for array in arrays}
        for term in written:
            found |= {axis.name for axis in term.axes}
            if term.op == "load":
                found.add(self.array(term.data))
            elif term in self.terms.names and term not in folds:
                found.add(self.wire(term))
        return found

    def _given(self, key: object, wanted: str, avoided: Collection[str] = ()) -> str:
        if key not in self._names:
            name, count = wanted, 1
            while name in self._taken or name in avoided:
                count += 1
                name = f"{wanted}{count}"
            self._names[key] = name
            self._taken.add(name)
        return self._names[key]

    def _held(self, array: Array) -> object:
        """The wire that an array holds, or the array that it hands on, or the array itself."""
        made = array.made
        if made is None:
            return array
        if made.op == "load" and str(made.data) == str(array) and made.data is not array:
            plain = all(arg.op == "index" for arg in made.args)
            if plain and made.data.axes == array.axes:
                return self._held(made.data)
        if self.terms.names.get(made) == array.name:
            return self.terms.wires[made]
        return array
