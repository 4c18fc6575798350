"""Terms as people read them: in the notation of the language, by the names of the equations."""

from __future__ import annotations

from ncdlang.analysis.terms import Term, Terms, is_number
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


def free_name(wanted: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken then."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}{count}"
    taken.add(name)
    return name


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
    """Writes terms; a term that an equation names is written by that name."""

    def __init__(self, terms: Terms, further: dict[Term, str] | None = None) -> None:
        self.known = {**terms.names, **(further or {})}

    def of(self, term: Term, opened: bool = False) -> str:
        """The text of a term; `opened` writes its own equation even if it has a name."""
        return self._text(term, opened)[0]

    def factor(self, term: Term) -> str:
        """The text of a term as a factor, in parentheses where that needs them."""
        return self._inside(term, ATOM)

    def _text(self, term: Term, opened: bool = False) -> tuple[str, int]:
        if term in self.known and not opened:
            return self.known[term], ATOM
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
                    return str(term.data), ATOM
                plain = all(arg.op == "index" for arg in args)
                return f"{term.data}[{(' ' if plain else ', ').join(inner)}]", ATOM
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
