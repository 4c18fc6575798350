"""What a plan is made of: regions that are kernels, pieces for the library, and how they join."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ncdlang.analysis.associate import Association
from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.opened import Opened
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.separate import Refusal
from ncdlang.analysis.terms import Array, Term, Terms, reads, subterms
from ncdlang.records import record
from ncdlang.semantics.types import Axis


@record(eq=False)
class Output:
    """An array that a region makes, as a term over its rows and columns.

    `written` is the term as the equations say it, before sums were pulled apart.
    """

    array: Array
    term: Term
    columns: tuple[Axis, ...]
    written: Term


@record(eq=False)
class Region:
    """One kernel. `folds` are its accumulators, each after those that it waits for.

    `growth` gives for a fold the factor by which its summand grows with the running extrema.
    """

    terms: Terms
    batch: tuple[Axis, ...]
    rows: tuple[Axis, ...]
    stream: tuple[Axis, ...]
    outputs: tuple[Output, ...]
    folds: tuple[Term, ...]
    growth: Mapping[Term, Term]


@record(eq=False)
class Library:
    """A piece that is left to the library: `array` is made of `term`."""

    array: Array
    term: Term
    refusal: Refusal | None = None


@record(eq=False)
class Rows:
    """One kernel over whole rows: folds along `barrier`, and results that have it themselves.

    Results are over the axes of `batch` and `rows`, with the barrier or without, as they were
    `written`. One with `columns` is a sum over rows, of those that a program has: it has the axis
    `part` besides. `refusal` says why nothing streams along the barrier.
    """

    terms: Terms
    batch: tuple[Axis, ...]
    rows: tuple[Axis, ...]
    barrier: tuple[Axis, ...]
    outputs: tuple[Output, ...]
    refusal: Refusal | None = None
    part: Axis | None = None

    @property
    def folds(self) -> tuple[Term, ...]:
        """The folds along the barrier, each after those that it waits for."""
        own = frozenset(self.barrier)
        found = subterms(*(output.written for output in self.outputs))
        return tuple(t for t in found if t.op == "fold" and frozenset(t.bound) == own)


Step = Region | Rows | Library | Recurrence | Scattered | Gathered | Grouped | Foreign


@record(eq=False)
class Choice:
    """An array with another form in which it may be made; `taken` says whether it is."""

    array: Array
    association: Association
    taken: bool


@record(eq=False)
class Plan:
    """The steps of a diagram in order; `results` are its results, one array each.

    `choices` are the arrays that sums taken in another order would make, too.
    """

    opened: Opened
    steps: tuple[Step, ...]
    results: tuple[Array, ...]
    choices: tuple[Choice, ...] = ()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The steps that stream."""
        return tuple(step for step in self.steps if isinstance(step, Region))


def joined(terms: Terms, steps: list[Step], results: set[Array]) -> list[Step]:
    """Pieces for the library that one other such piece reads become part of it."""
    readers: dict[Array, list[Step]] = {}
    for step in steps:
        for array in reads(*terms_of(step)):
            readers.setdefault(array, []).append(step)
    known: dict[Array, Term] = {}
    kept: list[Step] = []

    def image(term: Term) -> Term | None:
        if term.op != "load" or term.data not in known:
            return None
        images = dict(zip(term.data.axes, term.args, strict=True))
        return terms.substitute(known[term.data], images)

    for step in steps:
        if isinstance(step, Library):
            step = Library(step.array, terms.map(step.term, image), step.refusal)
            using = readers.get(step.array, [])
            alone = len(using) == 1 and isinstance(using[0], Library)
            # What is made in tiles would be made anew for each row.
            alone = alone and step.array.role != "tiles"
            if alone and step.array not in results and step.refusal is None:
                known[step.array] = step.term
                continue
        kept.append(step)
    return kept


def merged(steps: list[Step], holds: Callable[[Region], bool]) -> list[Step]:
    """Regions over the same tiles that do not wait for each other become one kernel.

    With columns of several kinds a tile has to hold all of them, which `holds` tells.
    """
    kept: list[Step] = []
    for step in steps:
        for place, old in enumerate(kept):
            if not (isinstance(old, Region) and isinstance(step, Region) and _alike(old, step)):
                continue
            kinds = {o.columns for o in (*old.outputs, *step.outputs) if o.columns}
            if len(kinds) > 1 and not (holds(old) and holds(step) and _are_apart(kinds)):
                continue
            if placed(kept, place, step, _together(old, step)):
                break
        else:
            kept.append(step)
    return kept


def placed(kept: list[Step], place: int, step: Step, joint: Step) -> bool:
    """Put what a step and the one at a place become together where both can stand, if they can."""
    old = kept[place]
    if waits(step, kept[place:]):
        # What was made earlier may still be made later, if nothing has read it.
        if any(waits(other, [old]) for other in (*kept[place + 1 :], step)):
            return False
        del kept[place]
        kept.append(joint)
    else:
        kept[place] = joint
    return True


def _are_apart(kinds: set[tuple[Axis, ...]]) -> bool:
    """Whether no axis is in columns of two kinds: a tile has one dimension for each kind."""
    axes = [axis for columns in kinds for axis in columns]
    return len(axes) == len(set(axes))


def _together(old: Region, new: Region) -> Region:
    return Region(
        old.terms,
        old.batch,
        old.rows,
        old.stream,
        (*old.outputs, *new.outputs),
        tuple(dict.fromkeys((*old.folds, *new.folds))),
        {**old.growth, **new.growth},
    )


def _alike(old: Region, new: Region) -> bool:
    """Whether two regions have the same tiles."""
    return (set(old.batch), set(old.rows), old.stream) == (
        set(new.batch),
        set(new.rows),
        new.stream,
    )


def waits(step: Step, before: list[Step]) -> bool:
    """Whether a step reads what one of the steps before makes."""
    made = {array for other in before for array in arrays_of(other)}
    return not made.isdisjoint(reads(*terms_of(step)))


def arrays_of(step: Step) -> tuple[Array, ...]:
    """The arrays that a step makes."""
    if isinstance(step, Region | Rows):
        return tuple(o.array for o in step.outputs)
    return step.arrays if isinstance(step, Foreign) else (step.array,)


def terms_of(step: Step) -> tuple[Term, ...]:
    """The terms that a step makes, or works with."""
    match step:
        case Region():
            return tuple(output.term for output in step.outputs)
        case Rows():
            return tuple(output.written for output in step.outputs)
        case Recurrence():
            return step.factor, step.offset
        case Scattered() | Gathered() | Grouped() | Foreign():
            return step.parts
        case Library():
            return (step.term,)
