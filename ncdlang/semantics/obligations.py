"""What remains to be proved when all sizes of a diagram are known: indices stay inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncdlang.records import record
from ncdlang.semantics import remedies
from ncdlang.semantics.size import ONE, ZERO, Size, TooComplexError
from ncdlang.semantics.types import Affine, Axis, Floor, Gathered, Mod, Wire
from ncdlang.source import Span

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body
    from ncdlang.semantics.bounds import Outside
    from ncdlang.semantics.expressions import Guards


@record
class Obligation:
    """An index that must stay inside an axis of a wire that is read, or written, under guards."""

    index: Affine
    axis: Axis
    wire: Wire
    guards: Guards
    span: Span
    is_write: bool = False


def check_obligations(body: Body) -> None:
    """Prove every index of the diagram, or report it."""
    for obligation in body.obligations:
        try:
            _check(body, obligation)
        except TooComplexError:
            _undecided(body, obligation)


def _check(body: Body, obligation: Obligation) -> None:
    from ncdlang.semantics.bounds import Facts, Inside, Outside, prove_inside

    constraints = body.constraints
    index, size, guards = obligation.index, obligation.axis.size, obligation.guards
    verdict = prove_inside(index, size, guards, Facts(constraints.relations_at_defaults))
    if isinstance(verdict, Inside) and (guards or not constraints.defaults):
        return
    if isinstance(verdict, Outside) and has_gathered(index) and verdict.sizes:
        # What data a wire of naturals holds shows at run time, unless all sizes are known.
        if guards or not _require_kind(body, obligation):
            return
    elif isinstance(verdict, Outside):
        _outside(body, obligation, verdict)
    elif (reach := _reach(index)) is not None and not guards:
        _require_inside(body, obligation, *reach)
    elif not isinstance(verdict, Inside):
        _undecided(body, obligation)


def _require_inside(body: Body, obligation: Obligation, lowest: Size, highest: Size) -> None:
    """Leave to callers and the emitted code what holds at the default sizes, or was not decided."""
    name, span, size = _name(obligation), obligation.span, obligation.axis.size
    reason = f"index `{obligation.index}` must stay inside axis {obligation.axis} of {name}"
    require = body.constraints.require
    if not (
        require(lowest, ">=", ZERO, reason, span) and require(highest, "<", size, reason, span)
    ):
        _always_outside(body, obligation, lowest, highest)


def _reach(index: Affine) -> tuple[Size, Size] | None:
    """Least and greatest value of an affine index, None where a coefficient has no known sign."""
    lowest = highest = index.constant
    for variable, coefficient in index.terms:
        number = coefficient.value
        if not isinstance(variable, Axis) or number is None:
            return None
        extent = (variable.size - ONE) * number
        if number > 0:
            highest = highest + extent
        else:
            lowest = lowest + extent
    return lowest, highest


def _require_kind(body: Body, obligation: Obligation) -> bool:
    """A natural below one size that selects along an axis of another: the first fits the second."""
    terms = obligation.index.terms
    if len(terms) != 1 or obligation.index.constant != ZERO or terms[0][1] != ONE:
        return False
    variable = terms[0][0]
    bound = variable.wire.type.kind.bound if isinstance(variable, Gathered) else None
    if bound is None:
        return False
    reason = f"`{obligation.index}` selects along axis {obligation.axis} of {_name(obligation)}"
    size = obligation.axis.size
    return body.constraints.require(bound, "<=", size, reason, obligation.span)


def has_gathered(index: Affine) -> bool:
    """Whether an index depends on data."""
    return any(
        isinstance(variable, Gathered)
        or (isinstance(variable, (Floor, Mod)) and has_gathered(variable.numerator))
        for variable, _ in index.terms
    )


def _name(obligation: Obligation) -> str:
    return f"`{obligation.wire.spelling}`"


def _outside(body: Body, obligation: Obligation, verdict: Outside) -> None:
    """The bounds error, with the counterexample in the user's names."""
    index = obligation.index
    at = ", ".join(f"{_variable(v)} = {value}" for v, value in verdict.index)
    axis = obligation.axis
    sizes = dict(verdict.sizes)
    where = f" at {at}" if at else ""
    general = body.constraints.with_defaults(axis.size).value is None
    if verdict.value < 0:
        extent = f"before the start of axis `{axis}` of {_name(obligation)}"
    elif general:
        extent = f"but axis `{axis}` of {_name(obligation)} can have size {verdict.size}"
    else:
        extent = f"but axis `{axis}` of {_name(obligation)} has size {verdict.size}"
    message = f"index `{index}` reaches {verdict.value}{where}, {extent}"
    shown = ", ".join(
        f"size({symbol.name}) = {value}"
        for symbol, value in sizes.items()
        if symbol not in body.constraints.defaults
    )
    body.error(
        "NCD3002",
        message,
        obligation.span,
        label="leaves the array",
        notes=[f"that is so with {shown}"] if shown else [],
        help="; or ".join(_limits(body, verdict)) or _advice(verdict, obligation, general),
        fix=remedies.flipped(obligation.span),
    )


def _always_outside(body: Body, obligation: Obligation, lowest: Size, highest: Size) -> None:
    axis = obligation.axis
    body.error(
        "NCD3002",
        f"index `{obligation.index}` reaches from {lowest} to {highest}, "
        f"which is not inside axis `{axis}` of {_name(obligation)}",
        obligation.span,
        label=f"{axis} has size {axis.size}",
        notes=["that is so for all sizes that satisfy what is asserted"],
    )


def _limits(body: Body, verdict: Outside) -> list[str]:
    limits: list[str] = []
    for variable, general in verdict.limits:
        known = body.constraints.with_defaults(general)
        is_general = known.value is None or body.is_unknown(variable.size)
        limit = general if is_general else known
        if limit.value is not None and limit.value < 0:
            continue
        text = f"size({variable.name}) can be at most {limit}"
        if limit.value is None and body.is_unknown(variable.size):
            text += f": if that is so, state it: `assert size({variable.name}) <= {limit}`"
        limits.append(text)
    return limits


def _advice(verdict: Outside, obligation: Obligation, general: bool) -> str:
    index, axis = obligation.index, obligation.axis
    if not index.terms and verdict.value < 0:
        return f"indices begin at 0; the last one is `size({axis}) - 1`"
    if not index.terms:
        if general:
            return f"if the axis is large enough, state it: `assert size({axis}) > {index}`"
        return f"the last index of axis `{axis}` is {verdict.size - 1}" if verdict.size else ""
    if obligation.is_write:
        return f"every source needs a place: declare {_name(obligation)} with a larger axis"
    condition = f"{index} >= 0" if verdict.value < 0 else f"{index} < size({axis})"
    return f"read it where it is inside only: `where({condition}, ..., 0)`, or pad the axis first"


def _variable(variable: Axis | Gathered) -> str:
    return variable.name if isinstance(variable, Axis) else str(Affine(ZERO, ((variable, ONE),)))


def _undecided(body: Body, obligation: Obligation) -> None:
    """Gathered indices are left to the check at run time; any other must be proved."""
    if has_gathered(obligation.index):
        return
    body.error(
        "NCD3006",
        f"it can't be proved that index `{obligation.index}` stays inside "
        f"axis `{obligation.axis}` of {_name(obligation)}",
        obligation.span,
        label=f"{obligation.axis} has size {obligation.axis.size}",
        help="state what is known of the sizes: `assert ... <= size(...)`, "
        "or guard the read: `where(..., ..., 0)`",
    )
