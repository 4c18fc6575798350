"""Lets isl verify the ranges of `visible`."""

from __future__ import annotations

from collections.abc import Iterable

from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import Term, is_number, number_kind
from ncdlang.analysis.visible import Certain, Range

SIGNS = {"le": "<=", "lt": "<", "ge": ">=", "gt": ">", "eq": "="}


def none_outside(region: Region, span: Range, conditions: Iterable[Term]) -> bool:
    """Whether nothing outside of the range is ever visible."""
    writer = _Isl(region)
    outside = [f"x < {writer.text(span.start)}"] if span.start else []
    outside += [f"x >= {writer.text(span.stop)}"] if span.stop else []
    held = [writer.condition(condition) for condition in conditions]
    return writer.is_empty([*held, f"({' or '.join(outside)})"])


def all_inside(region: Region, found: Certain) -> bool:
    """Whether each condition is what is left of it everywhere inside of the range."""
    for condition, rest in found.rests.items():
        writer = _Isl(region)
        inside = [f"x >= {writer.text(found.span.start)}"] if found.span.start else []
        inside += [f"x < {writer.text(found.span.stop)}"] if found.span.stop else []
        held, left = writer.condition(condition), writer.condition(rest)
        different = f"((({held}) and not ({left})) or (({left}) and not ({held})))"
        if not writer.is_empty([*inside, different]):
            return False
    return True


class _Isl:
    """Conditions as isl reads them; what is not affine is a number or a truth of its own."""

    def __init__(self, region: Region) -> None:
        self.stream = region.stream[0]
        self.rows = frozenset(region.rows)
        self.terms = region.terms
        self.parameters: dict[object, str] = {}
        self.points: dict[object, str] = {}
        self.facts: list[str] = []

    def is_empty(self, conditions: list[str]) -> bool:
        """Whether no index meets the conditions."""
        import islpy

        length = self.text(self.terms.size(self.stream.size))
        box = [f"0 <= x < {length}", *self.facts, *conditions]
        parameters, points = ", ".join(self.parameters.values()), ["x", *self.points.values()]
        text = f"[{parameters}] -> {{ [{', '.join(points)}] : {' and '.join(box)} }}"
        return bool(islpy.Set(text).is_empty())

    def text(self, term: Term) -> str:
        """A whole number."""
        args = term.args
        match term.op:
            case "number":
                return str(int(term.data))
            case "index" if term.data is self.stream:
                return "x"
            case "max" | "min":
                return f"{term.op}({self.text(args[0])}, {self.text(args[1])})"
            case "add" | "sub":
                sign = "+" if term.op == "add" else "-"
                return f"({self.text(args[0])} {sign} {self.text(args[1])})"
            case "neg":
                return f"(0 - {self.text(args[0])})"
            case "abs":
                inner = self.text(args[0])
                return f"max({inner}, 0 - {inner})"
            case "mul" if is_number(args[0]) or is_number(args[1]):
                number, other = args if args[0].op == "number" else args[::-1]
                return f"({self.text(number)} * {self.text(other)})"
            case "floordiv" if is_number(args[1]):
                return f"floor(({self.text(args[0])})/{int(args[1].data)})"
            case "real":
                return self.text(args[0])
            case _:
                return self._named(term)

    def _named(self, term: Term) -> str:
        """A variable: of the tile if it varies along the rows, else a parameter."""
        known = self.points if term.axes & self.rows else self.parameters
        if term in known:
            return known[term]
        name = known[term] = f"{'i' if known is self.points else 'n'}{len(known)}"
        match term.op:
            case "index":
                self.facts.append(f"0 <= {name} < {self.text(self.terms.size(term.data.size))}")
            case "size":
                self.facts.append(f"{name} >= 0")
            case "fold":
                sign = "<=" if term.kind == "max" else ">="
                self.facts.append(f"{self.text(term.args[0])} {sign} {name}")
            case _:
                pass
        return name

    def condition(self, term: Term) -> str:
        """A truth value."""
        args = term.args
        if term.op == "number":
            return "1 = 1" if term.data else "1 = 0"
        if term.op in ("and", "or"):
            return f"({self.condition(args[0])} {term.op} {self.condition(args[1])})"
        if term.op in SIGNS and all(self._is_affine(arg) for arg in args):
            return f"{self.text(args[0])} {SIGNS[term.op]} {self.text(args[1])}"
        name = self.points.setdefault(term, f"i{len(self.points)}")
        return f"{name} >= 1"

    def _is_affine(self, term: Term) -> bool:
        if number_kind(term) == "boolean":
            return False
        if self.stream not in term.axes:
            kind = number_kind(term.args[0] if term.op == "real" else term)
            return kind == "integer" or (is_number(term) and float(term.data).is_integer())
        match term.op:
            case "index" | "real" | "neg" | "abs" | "add" | "sub" | "max" | "min":
                return all(map(self._is_affine, term.args))
            case "mul":
                return all(map(self._is_affine, term.args)) and any(map(is_number, term.args))
            case "floordiv":
                return self._is_affine(term.args[0]) and is_number(term.args[1])
            case _:
                return False
