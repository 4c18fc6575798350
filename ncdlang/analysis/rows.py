"""Results that read whole rows: softmax over its own axis, norms whose output escapes.

Such an axis is a *barrier*: no tile of a result along it is finished before the last one is read,
so nothing streams. But one program can hold a row whole, or sweep over it twice. A term is one over
rows if its folds run along axes that it has itself, for each index of its other ones. What it needs
besides, such as products of matrices, is made before. Results that read the same rows, the sums of
rows, and what is pointwise on them come out of one kernel, so that every array is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ncdlang.analysis.recurrences import STATISTIC
from ncdlang.analysis.separate import Refusal, Separation
from ncdlang.analysis.shifted import shifted
from ncdlang.analysis.split import PARTS
from ncdlang.analysis.steps import (
    Library,
    Output,
    Region,
    Rows,
    Step,
    placed,
    terms_of,
    waits,
)
from ncdlang.analysis.terms import (
    Array,
    Term,
    Terms,
    is_fold,
    number_kind,
    ordered,
    outermost,
    reads,
    subterms,
)
from ncdlang.records import replace
from ncdlang.semantics.size import Size
from ncdlang.semantics.types import Axis

Axes = frozenset[Axis]

KINDS = ("sum", "max", "min")


def barrier_of(term: Term) -> Axes | None:
    """The axes of whose whole rows a term is made, None where it is no term over rows."""
    if number_kind(term) != "real" or term.op == "fold":
        return None
    for fold in outermost(term, is_fold):
        barrier = frozenset(fold.bound)
        if barrier <= term.axes and fold.axes | barrier == term.axes:
            own = [t for t in subterms(term) if t.op == "fold" and frozenset(t.bound) == barrier]
            if all(_is_held(fold) for fold in own) and _reads_twice(term, barrier):
                return barrier
    return None


def _reads_twice(term: Term, barrier: Axes) -> bool:
    """Whether the result is made of what its folds run over, not of other entries only."""
    outside = _above(term, barrier)
    bodies = [t.args[0] for t in outside if t.op == "fold" and frozenset(t.bound) == barrier]
    inside = set(subterms(*bodies))
    return any(t in inside and t.axes == term.axes for t in outside)


def _above(term: Term, barrier: Axes) -> list[Term]:
    """The subterms that stand outside of the folds along some axes, with these folds."""
    found: dict[Term, None] = {}
    pending = [term]
    while pending:
        now = pending.pop()
        if now in found:
            continue
        found[now] = None
        if not (now.op == "fold" and frozenset(now.bound) == barrier):
            pending += now.args
    return list(found)


def _is_held(fold: Term) -> bool:
    """Whether a program that holds what a fold runs over can take it."""
    return fold.kind in KINDS and number_kind(fold) == "real"


def row_pieces(whole: Term, is_inside: bool) -> list[Term]:
    """The largest terms over rows in a term, outside of its folds.

    Where it is the body of a fold, those that would copy what they read are left out.
    """

    def is_piece(term: Term) -> bool:
        return barrier_of(term) is not None and (not is_inside or _is_plain(term))

    return [t for t in outermost(whole, lambda t: is_fold(t) or is_piece(t)) if not is_fold(t)]


def _is_plain(term: Term) -> bool:
    """Whether every coordinate of what a term reads has one axis at most."""
    loads = (t for t in subterms(term) if t.op == "load")
    return all(len(arg.axes) <= 1 for load in loads for arg in load.args)


def shared_rows(term: Term, barrier: Axes) -> list[Term]:
    """The terms over rows that stand both inside of a fold over other axes and outside of them."""

    def is_other(now: Term) -> bool:
        return is_fold(now) and frozenset(now.bound) != barrier

    inside = set(subterms(*(fold.args[0] for fold in outermost(term, is_other))))

    def is_shared(now: Term) -> bool:
        return now is not term and now in inside and barrier_of(now) == barrier

    return [t for t in outermost(term, lambda t: is_other(t) or is_shared(t)) if not is_other(t)]


def waits_for_others(term: Term, barrier: Axes) -> bool:
    """Whether folds along the rows run over folds along other axes, which the result has, too."""
    outside = _above(term, barrier)
    bodies = [t.args[0] for t in outside if t.op == "fold" and frozenset(t.bound) == barrier]
    inside = {t for t in subterms(*bodies) if is_fold(t) and frozenset(t.bound) != barrier}
    return not inside.isdisjoint(outside)


def others_in(term: Term, barrier: Axes, streams: Callable[[Term], bool]) -> set[Term]:
    """What has to be made before a program holds the rows of a term: folds over other axes.

    `streams` tells of the pieces round such folds which of them are kernels of their own.
    """

    split: set[Term] = set()

    def is_free(now: Term) -> bool:
        return not any(t.op == "fold" and frozenset(t.bound) == barrier for t in subterms(now))

    def is_whole(now: Term) -> bool:
        if now in split or not is_free(now) or not any(is_fold(t) for t in subterms(now)):
            return False
        return barrier_of(now) is not None or (not is_fold(now) and streams(now))

    def is_other(now: Term) -> bool:
        return is_whole(now) or (is_fold(now) and frozenset(now.bound) != barrier)

    while True:
        found = outermost(term, is_other)
        crossing = _crossing(found)
        if not crossing:
            return set(found)
        split |= crossing


def _crossing(pieces: list[Term]) -> set[Term]:
    """The pieces round folds that stand in another piece, too: those would be taken twice.

    What is a part of all these pieces is made once, and no such piece.
    """
    holders: dict[Term, set[Term]] = {}
    for piece in pieces:
        for fold in outermost(piece, is_fold):
            holders.setdefault(fold, set()).add(piece)
    inside = {piece: set(subterms(piece)) for piece in pieces}
    return {
        piece
        for found in holders.values()
        for piece in found
        if not all(piece in inside[other] for other in found)
    }


def rows_of(terms: Terms, array: Array, term: Term, barrier: Axes, refusal: Refusal | None) -> Rows:
    """The step that makes an array of a term over rows, in which no other folds are left."""
    term = _accurate(terms, term, barrier)
    groups = tuple(axis for axis in array.axes if axis not in barrier)
    along = tuple(axis for axis in array.axes if axis in barrier)
    return Rows(terms, (), groups, along, (Output(array, term, (), term),), refusal)


def _accurate(terms: Terms, term: Term, barrier: Axes) -> Term:
    """The term with differences to first entries, where sums that wait for others cancel."""
    separation = Separation(terms, barrier)
    try:
        separation.normalised(term)
    except Refusal:
        return term
    moved = shifted(terms, term, barrier, term.axes - barrier) if separation.has_several else None
    return term if moved is None else moved


def swept(step: Rows) -> Region | None:
    """The step as it sweeps over rows that no tile holds: folds stream first, results come after.

    None where the folds do not stream.
    """
    terms, barrier = step.terms, frozenset(step.barrier)
    separation = Separation(terms, barrier)
    try:
        outputs = [replace(o, term=_normal(separation, terms, o)) for o in step.outputs]
        made = subterms(*(output.term for output in outputs))
        folds = tuple(t for t in made if t.op == "fold" and frozenset(t.bound) == barrier)
        growth = {fold: g for fold in folds if (g := separation.growth(fold)) is not None}
    except Refusal:
        return None
    return Region(terms, step.batch, step.rows, step.barrier, tuple(outputs), folds, growth)


def _normal(separation: Separation, terms: Terms, output: Output) -> Term:
    """A result of folds that stream; of a sum over rows, what is added up."""
    if not output.columns:
        return separation.normalised(output.written)
    fold = output.written
    return terms.rebuilt(fold, (separation.normalised(fold.args[0]),))


# ---- several results ----------------------------------------------------------------------------


def together(steps: Iterable[Step]) -> list[Step]:
    """Steps over the same rows become one, with what is pointwise on the arrays that they read."""
    kept: list[Step] = []
    for step in steps:
        for place, old in enumerate(kept):
            joint = _joint(old, step)
            if joint is not None and placed(kept, place, step, joint):
                break
        else:
            kept.append(step)
    return kept


def _joint(old: Step, new: Step) -> Rows | None:
    """Two steps as one over rows, None where they have not the same rows."""
    if isinstance(old, Rows):
        further = _outputs(new, old)
        return replace(old, outputs=(*old.outputs, *further)) if further else None
    if isinstance(new, Rows):
        further = _outputs(old, new)
        return replace(new, outputs=(*further, *new.outputs)) if further else None
    return None


def _outputs(step: Step, rows: Rows) -> tuple[Output, ...]:
    """What a step makes, if a program that holds the rows of another one can make it as well."""
    groups, barrier = frozenset((*rows.batch, *rows.rows)), frozenset(rows.barrier)
    match step:
        case Rows():
            found = step.outputs
            is_alike = frozenset((*step.batch, *step.rows)) == groups
            if not is_alike or frozenset(step.barrier) != barrier or step.part or rows.part:
                return ()
        case Region():
            found = tuple(replace(o, term=o.written) for o in step.outputs)
            is_alike = frozenset((*step.batch, *step.rows)) == groups
            if not is_alike or any(o.columns for o in found):
                return ()
        case Library() if step.refusal is None and step.term.op != "load":
            found = (Output(step.array, step.term, (), step.term),)
        case _:
            return ()
    full = _full(rows)
    fits = all(_fits(output, groups, barrier) for output in found)
    shares = not full.isdisjoint(reads(*(output.written for output in found)))
    return found if fits and shares else ()


def _fits(output: Output, groups: Axes, barrier: Axes) -> bool:
    """Whether a result is over rows, or over their index, and made of folds along them alone."""
    term, axes = output.written, frozenset(output.array.axes)
    folds = [t for t in subterms(term) if is_fold(t)]
    if number_kind(term) != "real" or output.array.role == "tiles" or term.axes != axes:
        return False
    if any(frozenset(fold.bound) != barrier or not _is_held(fold) for fold in folds):
        return False
    return axes == groups | barrier or (axes == groups and bool(folds))


def _full(rows: Rows) -> set[Array]:
    """The arrays that a step reads along the rows."""
    axes = frozenset((*rows.batch, *rows.rows, *rows.barrier))
    loads = (t for o in rows.outputs for t in subterms(o.written) if t.op == "load")
    return {load.data for load in loads if load.axes == axes}


def pointwise(terms: Terms, steps: Iterable[Step]) -> list[Step]:
    """What is pointwise on arrays as kernels over rows without folds.

    PyTorch would take a pass for each operation. What has one axis only is short.
    """
    return [_row_by_row(terms, s) if isinstance(s, Library) else s for s in steps]


def _row_by_row(terms: Terms, step: Library) -> Step:
    term, axes = step.term, step.array.axes
    is_plain = number_kind(term) == "real" and term.op != "load" and step.refusal is None
    if len(axes) < 2 or term.axes != frozenset(axes) or not is_plain:
        return step
    if any(is_fold(t) for t in subterms(term)) or not reads(term):
        return step
    return Rows(terms, (), axes[:-1], axes[-1:], (Output(step.array, term, (), term),))


# ---- sums over rows -----------------------------------------------------------------------------


def with_columns(terms: Terms, steps: Iterable[Step], results: Iterable[Array]) -> list[Step]:
    """Sums over rows, such as gradients of scales, are begun by the kernel that reads the rows.

    It gives them in parts, one for each program, which are added up afterwards. What only these
    sums needed of it is made no more; `results` are.
    """
    kept: list[Step] = []
    for step in steps:
        for place, rows in enumerate(kept):
            if not isinstance(rows, Rows) or not isinstance(step, Library):
                continue
            joint = _with_column(terms, step, rows)
            if joint is not None and not waits(joint[1], [*kept[place + 1 :], rows]):
                kept[place : place + 1] = joint
                break
        else:
            kept.append(step)
    wanted = {*results, *(array for step in kept for array in reads(*terms_of(step)))}
    return [_wanted(step, wanted) if isinstance(step, Rows) else step for step in kept]


def _wanted(step: Rows, wanted: set[Array]) -> Rows:
    """A step over rows without what nothing reads."""
    return replace(step, outputs=tuple(o for o in step.outputs if o.array in wanted))


def _with_column(terms: Terms, step: Library, rows: Rows) -> tuple[Rows, Library] | None:
    """A step over rows that takes part of a sum over them, and what is left to do."""
    folds = outermost(step.term, is_fold)
    fold = _column(terms, folds[0], rows) if len(folds) == 1 else None
    if fold is None:
        return None
    part = rows.part or Axis("part", Size.of(PARTS))
    axes = ordered(fold)
    array = Array(f"{step.array}_parts", (part, *axes), STATISTIC, (), "made")
    output = Output(array, fold, axes, fold)
    groups, summed = (*rows.batch, *rows.rows), frozenset(fold.bound)
    joint = replace(
        rows,
        batch=tuple(axis for axis in groups if axis not in summed),
        rows=tuple(axis for axis in groups if axis in summed),
        outputs=(*rows.outputs, output),
        part=part,
    )
    total = terms.fold("sum", (part,), _read(terms, array))
    total = terms.replace(step.term, {folds[0]: total})
    return joint, replace(step, term=total)


def _column(terms: Terms, fold: Term, rows: Rows) -> Term | None:
    """A sum over rows of what a step reads or makes, None where it is another fold."""
    if fold.kind != "sum" or number_kind(fold) != "real":
        return None
    made = {_read(terms, o.array): o.written for o in rows.outputs if not o.columns}
    fold = terms.replace(fold, made)
    barrier, summed = frozenset(rows.barrier), frozenset(fold.bound)
    groups = frozenset((*rows.batch, *rows.rows))
    inner = [t for t in subterms(fold.args[0]) if is_fold(t)]
    is_over = summed <= groups and fold.axes == (groups - summed) | barrier
    is_new = rows.part is None or summed == frozenset(rows.rows)
    if not (is_over and is_new):
        return None
    if any(frozenset(t.bound) != barrier or not _is_held(t) for t in inner):
        return None
    return fold if not _full(rows).isdisjoint(reads(fold)) else None


def _read(terms: Terms, array: Array) -> Term:
    return terms.load(array, tuple(map(terms.index, array.axes)))
