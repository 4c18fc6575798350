"""Questions about integer points, answered by the integer-set library isl.

The only module that imports islpy, and only when a question is asked: plain index maps are
decided without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from ncdlang.semantics.formulas import All, AtLeastZero, Formula, Some, Zero, atoms
from ncdlang.semantics.size import Monomial, Quotient, Size, Symbol

MAX_OPERATIONS = 500_000


class NotPresburgerError(Exception):
    """A polynomial is not linear with floor divisions by numbers."""


class RunawayError(Exception):
    """isl gave up: the question is too large."""


def is_linear(formulas: Iterable[Formula]) -> bool:
    """Whether isl can be asked about the formulas as they are."""
    return all(_is_linear(atom.size) for formula in formulas for atom in atoms(formula))


def _is_linear(size: Size) -> bool:
    for monomial, _ in size.terms:
        if sum(power for _, power in monomial) > 1:
            return False
        for atom, _ in monomial:
            if isinstance(atom, Quotient) and not (
                atom.denominator.value and _is_linear(atom.numerator)
            ):
                return False
    return True


class Points:
    """The integer points `>= 0` of `symbols` at which all the formulas hold.

    With `products` a product of unknowns counts as an unknown of its own, so that there may be
    more points than there are (never fewer); without it such a product raises NotPresburgerError.
    Every method raises RunawayError where isl would take too long.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        formulas: Sequence[Formula],
        *,
        products: bool = False,
        measure: Size | None = None,
    ) -> None:
        self.symbols = tuple(symbols)
        self._names = {symbol: f"v{k}" for k, symbol in enumerate(self.symbols)}
        self._products: dict[Monomial, str] | None = {} if products else None
        parts = [_text(formula, self._polynomial) for formula in formulas]
        if measure is not None:
            parts.insert(0, f"m = {self._polynomial(measure)}")
        parts += [f"{name} >= 0" for name in self._all_names()]
        dims = ", ".join(["m"] * (measure is not None) + self._all_names())
        self._set = _parse(f"{{ [{dims}] : {' and '.join(parts)} }}")

    def is_empty(self) -> bool:
        """Whether there is no such point."""
        return bool(_guarded(self._set.is_empty))

    def least(self) -> dict[Symbol, int] | None:
        """The lexicographically least point, by the order of the symbols."""
        if self.is_empty():
            return None
        return self._point(_guarded(lambda: self._set.lexmin().sample_point()))

    def extreme(self, *, largest: bool) -> dict[Symbol, int] | None:
        """The least point among those with the largest (or smallest) measure, which is bounded."""
        import islpy as isl

        if self.is_empty():
            return None

        def find() -> Any:
            bound = self._set.dim_max_val(0) if largest else self._set.dim_min_val(0)
            if not bound.is_int():
                return None
            at = self._set.fix_val(isl.dim_type.set, 0, bound)
            return at.lexmin().sample_point()

        point = _guarded(find)
        return None if point is None else self._point(point, 1)

    def _all_names(self) -> list[str]:
        return [*self._names.values(), *(self._products or {}).values()]

    def _point(self, point: Any, offset: int = 0) -> dict[Symbol, int]:
        import islpy as isl

        return {
            symbol: int(point.get_coordinate_val(isl.dim_type.set, offset + k).to_python())
            for k, symbol in enumerate(self.symbols)
        }

    def _polynomial(self, size: Size) -> str:
        text = " + ".join(
            f"{c}*{self._monomial(monomial)}" if monomial else str(c) for monomial, c in size.terms
        )
        return f"({text})" if text else "0"

    def _monomial(self, monomial: Monomial) -> str:
        if len(monomial) == 1 and monomial[0][1] == 1:
            atom = monomial[0][0]
            if isinstance(atom, Symbol):
                return self._names[atom]
            divisor = atom.denominator.value
            if divisor:
                numerator = atom.numerator if divisor > 0 else -atom.numerator
                return f"floor({self._polynomial(numerator)}/{abs(divisor)})"
        if self._products is None or not all(isinstance(atom, Symbol) for atom, _ in monomial):
            raise NotPresburgerError
        return self._products.setdefault(monomial, f"w{len(self._products)}")


def _text(formula: Formula, polynomial: Any) -> str:
    match formula:
        case AtLeastZero():
            return f"{polynomial(formula.size)} >= 0"
        case Zero():
            return f"{polynomial(formula.size)} = 0"
        case All():
            return _joined(formula.parts, " and ", "true", polynomial)
        case Some():
            return _joined(formula.parts, " or ", "false", polynomial)
        case _:
            assert_never(formula)


def _joined(parts: tuple[Formula, ...], word: str, empty: str, polynomial: Any) -> str:
    return "(" + (word.join(_text(part, polynomial) for part in parts) or empty) + ")"


def _parse(text: str) -> Any:
    import islpy as isl

    def read() -> Any:
        context = isl.Context()
        context.set_max_operations(MAX_OPERATIONS)
        return isl.Set.read_from_str(context, text)

    return _guarded(read)


def _guarded(question: Any) -> Any:
    import islpy as isl

    try:
        return question()
    except isl.Error as error:
        raise RunawayError(str(error)) from error
