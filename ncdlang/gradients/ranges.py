"""Comparisons of indices that the sizes of the axes already decide."""

from __future__ import annotations

from ncdlang.semantics.formulas import Variables, number
from ncdlang.semantics.program import Apply
from ncdlang.semantics.size import ONE, Size, Symbol
from ncdlang.semantics.types import Axis

_ORDERED = {"lt", "le", "gt", "ge"}


def decided(condition: Apply) -> bool | None:
    """Whether an inequality between indices and sizes always holds, or never does; None if open.

    Indices run from 0 to below their sizes, which are at least 1: where an axis is empty there is
    no index to ask for. Of an axis that is known to be empty all would hold. Any other size may be
    0: without the condition nothing would say that it is not, where that keeps an index inside.
    """
    if condition.op not in _ORDERED:
        return None
    variables = Variables()
    left, right = (number(argument, variables) for argument in condition.arguments)
    if left is None or right is None or any(_is_empty(v) for v in variables.symbols):
        return None
    if condition.op in ("lt", "gt"):
        margin = right - left - 1 if condition.op == "lt" else left - right - 1
    else:
        margin = right - left if condition.op == "le" else left - right
    if _is_never_negative(margin, variables):
        return True
    return False if _is_never_negative(-margin - 1, variables) else None


def _is_empty(variable: object) -> bool:
    return isinstance(variable, Axis) and variable.size.value == 0


def _is_never_negative(size: Size, variables: Variables) -> bool:
    """Whether a polynomial that is linear in the indices is at least 0 at the worst corner."""
    present = {variable.symbol for variable in variables.symbols if isinstance(variable, Axis)}
    for variable, symbol in list(variables.symbols.items()):
        if not isinstance(variable, Axis):
            if symbol in size.symbols():
                return False
            continue
        slope = _slope(size, symbol)
        if slope is None:
            return False
        rest = size.substitute({symbol: Size({})})
        size = rest + (variable.size - 1) * slope if slope < 0 else rest
    try:
        shifted = size.map_atoms(lambda s: Size.of(s) + ONE if s in present else Size.of(s))
    except (ArithmeticError, RecursionError):
        return False
    return all(c >= 0 and all(isinstance(atom, Symbol) for atom, _ in m) for m, c in shifted.terms)


def _slope(size: Size, symbol: Symbol) -> int | None:
    """The number that an index is multiplied by, None if it is none."""
    slope = 0
    for monomial, c in size.terms:
        for atom, power in monomial:
            if not isinstance(atom, Symbol):
                if symbol in (atom.numerator.symbols() | atom.denominator.symbols()):
                    return None
            elif atom == symbol:
                if power != 1 or len(monomial) != 1:
                    return None
                slope += c
    return slope
