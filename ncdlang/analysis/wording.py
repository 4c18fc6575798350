"""Terms as people read them: in the notation of the language, by the names of the equations."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.naming import Naming
from ncdlang.analysis.terms import Array, Term, Terms, is_number
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis

_SIGNS = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "pow": ("^", 4),
    "floordiv": ("//", 2),
    "mod": ("%", 2),
    "eq": ("==", 0),
    "ne": ("!=", 0),
    "lt": ("<", 0),
    "le": ("<=", 0),
    "gt": (">", 0),
    "ge": (">=", 0),
    "and": ("and", -1),
    "or": ("or", -2),
}
ATOM = 9


def names(axes: tuple[Axis, ...]) -> str:
    """Axes as in brackets: `q h k`."""
    return " ".join(axis.name for axis in axes)


def engineering(value: float) -> str:
    """A number with a unit's prefix: `1.5 M`."""
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    for factor, prefix in ((1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "


class Wording:
    """Writes terms; a term that an equation names is written by that name.

    `further` are names of other terms; `naming` tells apart what has the same name.
    """

    def __init__(
        self,
        terms: Terms,
        further: Mapping[Term, str] | None = None,
        naming: Naming | None = None,
    ) -> None:
        self.terms = terms
        self.further = further or {}
        self.naming = naming or Naming(terms)

    def array(self, array: Array) -> str:
        """The name of an array."""
        return self.naming.array(array)

    def typed(self, array: Array) -> str:
        """An array with its axes: `O[q h e]`."""
        return f"{self.array(array)}[{names(array.axes)}]"

    def also(self, further: Mapping[Term, str]) -> Wording:
        """The same with names of further terms."""
        return Wording(self.terms, {**self.further, **further}, self.naming)

    def inside(self, whole: Term) -> list[Term]:
        """The named terms that the equations of a term are written with, but for arrays."""
        seen: dict[Term, None] = {}
        waiting = [*reversed(whole.args)]
        while waiting:
            term = waiting.pop()
            if term not in seen:
                seen[term] = None
                waiting += reversed(term.args)
        return [term for term in seen if term.op != "load" and self._known(term) is not None]

    def _known(self, term: Term) -> str | None:
        if term in self.further:
            return self.further[term]
        return self.naming.wire(term) if term in self.terms.names else None

    def of(self, term: Term, opened: bool = False) -> str:
        """The text of a term; `opened` writes its own equation even if it has a name."""
        return self._text(term, opened)[0]

    def factor(self, term: Term) -> str:
        """The text of a term as a factor, in parentheses where that needs them."""
        return self._inside(term, ATOM)

    def _text(self, term: Term, opened: bool = False) -> tuple[str, int]:
        known = None if opened else self._known(term)
        if known is not None:
            return known, ATOM
        args = term.args
        match term.op:
            case "number":
                value = term.data
                whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e9
                text = str(int(value)) if whole and not isinstance(value, bool) else str(value)
                return text, ATOM if not text.startswith("-") else 3
            case "size":
                size: Size = term.data
                text = size.render(lambda symbol: f"size({symbol.name})", as_made=True)
                single = ATOM if "*" not in text and "//" not in text else 2
                return text, single if len(term.data.terms) == 1 else 1
            case "index":
                return term.data.name, ATOM
            case "load":
                inner = [self.of(arg) for arg in args]
                if not args:
                    return self.array(term.data), ATOM
                plain = all(arg.op == "index" for arg in args)
                return f"{self.array(term.data)}[{(' ' if plain else ', ').join(inner)}]", ATOM
            case "fold":
                return f"{term.kind}[{names(term.bound)}]({self.of(args[0])})", ATOM
            case "real" | "cast" | "still":
                return self._text(args[0])
            case "neg":
                return f"-{self._inside(args[0], 3)}", 3
            case "not":
                return f"not {self._inside(args[0], 0)}", -1
            case "select":
                return f"where({', '.join(map(self.of, args))})", ATOM
            case "add" if is_number(args[1]) and args[1].data < 0:
                return f"{self._inside(args[0], 1)} - {str(args[1].data)[1:]}", 1
            case "add" if (right := self._inside(args[1], 1)).startswith("-"):
                return f"{self._inside(args[0], 1)} - {right[1:]}", 1
            case op if op in _SIGNS:
                sign, level = _SIGNS[op]
                right = level + 1 if op in ("sub", "div", "pow", "floordiv", "mod") else level
                return (
                    f"{self._inside(args[0], level)} {sign} {self._inside(args[1], right)}",
                    level,
                )
            case op:
                return f"{op}({', '.join(map(self.of, args))})", ATOM

    def _inside(self, term: Term, level: int) -> str:
        text, own = self._text(term)
        return text if own >= level else f"({text})"
