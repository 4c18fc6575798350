"""Whole numbers as sums of indices: the affine forms of conditions and coordinates."""

from __future__ import annotations

from ncdlang.analysis.terms import Term, Terms, is_number
from ncdlang.records import record
from ncdlang.semantics.types import Axis


@record(eq=False)
class Linear:
    """A sum of indices with whole coefficients, and a rest without any."""

    coefficients: dict[Axis, int]
    rest: Term


def linear(terms: Terms, term: Term) -> Linear | None:
    """A term of whole numbers as a sum of indices and a rest without any; None if it is none."""
    zero = terms.number(0)
    args = term.args
    match term.op:
        case "index":
            return Linear({term.data: 1}, zero)
        case "size":
            return Linear({}, term)
        case "number" if not isinstance(term.data, bool) and term.data == int(term.data):
            return Linear({}, terms.number(int(term.data)))
        case "real":
            return linear(terms, args[0])
        case "neg":
            inner = linear(terms, args[0])
            return _scaled(terms, inner, -1) if inner else None
        case "add" | "sub":
            left, right = linear(terms, args[0]), linear(terms, args[1])
            if left is None or right is None:
                return None
            right = right if term.op == "add" else _scaled(terms, right, -1)
            found = dict(left.coefficients)
            for axis, c in right.coefficients.items():
                found[axis] = found.get(axis, 0) + c
            return Linear(found, terms.apply("add", left.rest, right.rest))
        case "mul":
            for first, second in (args, args[::-1]):
                inner = linear(terms, first)
                if inner is not None and is_number(second) and second.data == int(second.data):
                    return _scaled(terms, inner, int(second.data))
            return None
        case _:
            return None


def difference(terms: Terms, left: Linear, right: Linear) -> Linear:
    """`left - right`."""
    coefficients = dict(left.coefficients)
    for axis, c in right.coefficients.items():
        coefficients[axis] = coefficients.get(axis, 0) - c
    kept = {axis: c for axis, c in coefficients.items() if c}
    return Linear(kept, terms.apply("sub", left.rest, right.rest))


def _scaled(terms: Terms, form: Linear, factor: int) -> Linear:
    coefficients = {axis: c * factor for axis, c in form.coefficients.items()}
    return Linear(coefficients, terms.apply("mul", form.rest, terms.number(factor)))
