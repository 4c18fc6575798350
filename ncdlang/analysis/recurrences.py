"""Linear recurrences: `H[t] = a[t] * H[t - 1] + b[t]`, found from the equations of a scan.

The steps `h -> a h + b` compose to steps of the same kind, so that a scan of them is associative.
That a step is linear in the state is shown term by term; what is not is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ncdlang.analysis.affine import line
from ncdlang.analysis.terms import Array, Term, Terms, is_number, ordered, reads, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis, Kind

STATISTIC = Kind("real", "f32")


@record(eq=False)
class Recurrence:
    """`array[t] = factor[t] * array[t - 1] + offset[t]` along `axis`, from 0.

    With `reverse` it is `array[t + 1]`, and the last entry comes first. `factor` and `offset` are
    terms over the axes of the array.
    """

    terms: Terms
    array: Array
    axis: Axis
    reverse: bool
    factor: Term
    offset: Term

    @property
    def inputs(self) -> tuple[Array, ...]:
        """The arrays that it reads."""
        return tuple(reads(self.factor, self.offset))


class NotLinear(Exception):
    """A step is not linear in the state; the message says what of it."""


def linear_step(terms: Terms, state: Array, axis: Axis, step: Term) -> tuple[int, Term, Term]:
    """By how much the state is read later, the factor, and the offset of a step.

    Raises NotLinear.
    """
    found = [t for t in subterms(step) if t.op == "load" and t.data is state]
    lags = {_lag(terms, read, axis) for read in found}
    if len(lags) > 1 or not lags <= {1, -1}:
        raise NotLinear(f"{state} is read more than one position back along {axis.name}")
    factor, offset = _Linear(terms, state).of(step)
    zero = terms.number(0.0)
    return lags.pop(), factor or zero, offset or zero


def _lag(terms: Terms, read: Term, axis: Axis) -> int:
    """How far along the axis a read of the state is; along all others it has to be as it is."""
    lag = 0
    for own, index in zip(read.data.axes, read.args, strict=True):
        if own is axis:
            found = line(terms, index, axis, frozenset(), frozenset())
            is_shifted = found is not None and (found.step, found.divisor) == (1, 1)
            if found is None or not is_shifted or not is_number(found.rest):
                raise NotLinear(f"{read.data} is read at no fixed distance along {axis.name}")
            lag = int(found.rest.data)
        elif index is not terms.index(own):
            raise NotLinear(f"{read.data} mixes entries along {own.name}")
    return lag


def solve(
    terms: Terms, axis: Axis, steps: Mapping[Array, Term]
) -> tuple[dict[Array, Term], list[Recurrence]]:
    """What the wires of a scan are, and the recurrences that their carried states are.

    `steps` gives each wire's equation, in which reads of other positions are reads of its array.
    Raises NotLinear.
    """
    read = set(reads(*steps.values()))
    carried = [state for state in steps if state in read]
    if axis.parts:
        raise NotLinear(f"{axis.name} is a composite axis")
    for state in carried:
        if state.kind.name != "real":
            raise NotLinear(f"{state} holds no real numbers")
    own = frozenset(atom for state in steps for a in state.axes for atom in a.atoms)
    # What the whole scan is lifted over.
    lifted = tuple(
        a
        for a in dict.fromkeys(a for state in carried for a in ordered(steps[state]))
        if a not in own
    )
    arrays = {s: Array(s.name, (*lifted, *s.axes), s.kind, (), "made") for s in carried}

    def moved(now: Term) -> Term | None:
        if now.op != "load" or now.data not in arrays:
            return None
        inner = tuple(terms.map(arg, moved) for arg in now.args)
        return terms.load(arrays[now.data], (*map(terms.index, lifted), *inner))

    images = {state: terms.map(step, moved) for state, step in steps.items()}
    made: list[Recurrence] = []
    needs = {s: [r for r in carried if arrays[r] in reads(images[s])] for s in carried}
    for state in in_order(needs):
        lag, factor, offset = linear_step(terms, arrays[state], axis, images[state])
        made.append(Recurrence(terms, arrays[state], axis, lag > 0, factor, offset))
    for state, array in arrays.items():
        images[state] = terms.load(array, tuple(map(terms.index, array.axes)))
    return images, made


def in_order(needs: Mapping[Array, Sequence[Array]]) -> list[Array]:
    """The states, each after those that its step reads. Raises NotLinear where they go round."""
    done: list[Array] = []
    while len(done) < len(needs):
        ready = [
            state
            for state, needed in needs.items()
            if state not in done and all(n is state or n in done for n in needed)
        ]
        if not ready:
            left = " and ".join(str(state) for state in needs if state not in done)
            raise NotLinear(f"{left} each read the other")
        done += ready
    return done


Parts = tuple[Term | None, Term | None]


class _Linear:
    """Terms as `factor * state + offset`; None stands for 0."""

    def __init__(self, terms: Terms, state: Array) -> None:
        self.terms = terms
        self.state = state
        self.memo: dict[Term, Parts] = {}
        self.has: dict[Term, bool] = {}

    def of(self, term: Term) -> Parts:
        if not self._has(term):
            return None, None if is_number(term, 0) else term
        if term not in self.memo:
            self.memo[term] = self._made(term)
        return self.memo[term]

    def _has(self, term: Term) -> bool:
        if term not in self.has:
            own = term.op == "load" and term.data is self.state
            self.has[term] = own or any(map(self._has, term.args))
        return self.has[term]

    def _made(self, term: Term) -> Parts:
        args, apply = term.args, self.terms.apply
        match term.op:
            case "load" if term.data is self.state:
                return self.terms.number(1.0), None
            case "real":
                return self.of(args[0])
            case "add" | "sub":
                left, right = self.of(args[0]), self.of(args[1])
                return self._sum(term.op, left[0], right[0]), self._sum(term.op, left[1], right[1])
            case "neg":
                return self._each(args[0], lambda part: apply("neg", part))
            case "mul" if not (self._has(args[0]) and self._has(args[1])):
                inner, other = args if self._has(args[0]) else args[::-1]
                return self._each(inner, lambda part: apply("mul", other, part))
            case "div" if not self._has(args[1]):
                return self._each(args[0], lambda part: apply("div", part, args[1]))
            case "select" if not self._has(args[0]):
                then, otherwise = self.of(args[1]), self.of(args[2])
                return self._choice(args[0], then[0], otherwise[0]), self._choice(
                    args[0], then[1], otherwise[1]
                )
            case "fold":
                raise NotLinear(f"{self.state} mixes entries along {term.bound[0].name}")
            case op:
                raise NotLinear(f"{op} of {self.state} is not linear in it")

    def _each(self, term: Term, image: Callable[[Term], Term]) -> Parts:
        factor, offset = self.of(term)
        return factor and image(factor), offset and image(offset)

    def _sum(self, op: str, left: Term | None, right: Term | None) -> Term | None:
        if right is None:
            return left
        if left is None:
            return right if op == "add" else self.terms.apply("neg", right)
        return self.terms.apply(op, left, right)

    def _choice(self, condition: Term, then: Term | None, otherwise: Term | None) -> Term | None:
        if then is None and otherwise is None:
            return None
        zero = self.terms.number(0.0)
        return self.terms.apply("select", condition, then or zero, otherwise or zero)


def reversed_scan(recurrence: Recurrence, given: Array) -> Recurrence:
    """The recurrence of the cotangents: `G[t] = given[t] + factor[t + 1] * G[t + 1]`."""
    terms, axis = recurrence.terms, recurrence.axis
    own = terms.index(axis)
    ahead = terms.number(-1 if recurrence.reverse else 1)
    image = terms.apply("add", own, ahead)
    if recurrence.reverse:
        inside = terms.apply("gt", own, terms.number(0))
    else:
        inside = terms.apply("lt", image, terms.size(axis.size))
    factor = terms.substitute(recurrence.factor, {axis: image})
    array = recurrence.array
    made = Array(f"d{array.name}_steps", array.axes, STATISTIC, (), "made")
    load = terms.load(given, tuple(map(terms.index, array.axes)))
    return Recurrence(
        terms,
        made,
        axis,
        not recurrence.reverse,
        terms.apply("select", inside, factor, terms.number(0.0)),
        load,
    )


def state_before(recurrence: Recurrence) -> Term:
    """The state that a step starts from: 0 at the first one."""
    terms, axis, array = recurrence.terms, recurrence.axis, recurrence.array
    own = terms.index(axis)
    lag = terms.number(1 if recurrence.reverse else -1)
    place = terms.apply("add", own, lag)
    read = terms.load(array, tuple(place if a is axis else terms.index(a) for a in array.axes))
    if recurrence.reverse:
        inside = terms.apply("lt", place, terms.size(axis.size))
    else:
        inside = terms.apply("gt", own, terms.number(0))
    return terms.apply("select", inside, read, terms.number(0.0))
