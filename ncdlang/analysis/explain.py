"""The derivation of a diagram's kernels as a short argument that a person can follow."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.choices import choice_lines
from ncdlang.analysis.devices import Device
from ncdlang.analysis.foreign import Foreign
from ncdlang.analysis.gathers import Gathered
from ncdlang.analysis.grouped import Grouped
from ncdlang.analysis.naming import Naming
from ncdlang.analysis.proof import ratio
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.region_cost import StepCost, step_cost, unknown_sizes
from ncdlang.analysis.roles import inner_folds
from ncdlang.analysis.row_report import rows_lines
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.separate import Refusal
from ncdlang.analysis.split import LEAST_TILES
from ncdlang.analysis.steps import Library, Plan, Region, Rows, Step, arrays_of
from ncdlang.analysis.terms import Term, ordered, subterms
from ncdlang.analysis.visible import Range, certain, visible
from ncdlang.analysis.wording import Wording, engineering, names
from ncdlang.semantics.size import Symbol, product
from ncdlang.semantics.types import Axis
from ncdlang.source import Span


def explain(
    plan: Plan, title: str, sizes: Mapping[Symbol, int], device: Device, dtype: str = "bf16"
) -> str:
    """The whole argument: a paragraph for each step."""
    regions, steps = plan.regions, told_steps(plan)
    scans = [step for step in plan.steps if isinstance(step, Recurrence)]
    scatters = [step for step in plan.steps if isinstance(step, Scattered)]
    gathered = [step for step in plan.steps if isinstance(step, Gathered)]
    left = sum(isinstance(step, Library | Foreign) for step in steps)
    streams = f"{_count(len(regions), 'region')} stream{'s' if len(regions) == 1 else ''}"
    if scans:
        is_one = len(scans) == 1
        streams += f", {_count(len(scans), 'recurrence')} {'is a scan' if is_one else 'are scans'}"
    if scatters:
        streams += f", {_count(len(scatters), 'scatter')}"
    if gathered:
        streams += f", {_count(len(gathered), 'gather')}"
    products = [step for step in plan.steps if isinstance(step, Grouped)]
    if products:
        streams += f", {_count(len(products), 'grouped product')}"
    over = sum(isinstance(step, Rows) for step in plan.steps)
    if over:
        streams += f", {_count(over, 'kernel')} over rows"
    rest = f"{_count(left, 'piece')} {'is' if left == 1 else 'are'} left to the library"
    lines = [f"{title}: {streams}, {rest}."]
    words = _words(plan, steps)
    for step in steps:
        lines.append("")
        if isinstance(step, Region):
            lines += _region(step, words)
        elif isinstance(step, Rows):
            lines += rows_lines(step, words, _line) + _refused(words, step.refusal)
        elif isinstance(step, Recurrence):
            lines += _recurrence(step, words)
        elif isinstance(step, Scattered):
            lines += _scatter(step, words)
        elif isinstance(step, Foreign):
            made = ", ".join(map(words.typed, step.arrays))
            given = ", ".join(words.of(term, True) for term in step.parts)
            lines += [f"Call {made} = {step.callee.name}({given})", _line("refused", step.reason)]
        elif isinstance(step, Grouped):
            lines += _product(step, words)
        elif isinstance(step, Gathered):
            lines += _gather(step, words)
        else:
            lines += _library(step, words)
        lines += _cost(step, sizes, device, dtype)
    lines += choice_lines(plan, words, sizes, device, dtype)
    return "\n".join(lines) + "\n"


def _words(plan: Plan, steps: list[Step]) -> Wording:
    """How things are written: inputs, parameters and results under the names of the program."""
    opened = plan.opened
    naming = Naming(opened.terms, (*opened.inputs, *opened.parameters, *plan.results))
    for array in (array for step in steps for array in arrays_of(step)):
        naming.array(array)
    return Wording(opened.terms, naming=naming)


def told_steps(plan: Plan) -> list[Step]:
    """The steps without those that only hand on what a scan or a scatter has made."""
    found: list[Step] = []
    made: set[tuple[str, tuple[Axis, ...]]] = set()
    for step in plan.steps:
        if not (isinstance(step, Library) and _is_handed_on(step, made)):
            found.append(step)
        made |= {(str(array), array.axes) for array in arrays_of(step)}
    return found


def _is_handed_on(step: Library, made: set[tuple[str, tuple[Axis, ...]]]) -> bool:
    """Whether a step reads an array that was made, by its own name and axes, and no more."""
    term, key = step.term, (str(step.array), step.array.axes)
    if term.op != "load" or key != (str(term.data), term.data.axes) or key not in made:
        return False
    return all(t.op == "index" and t.data is a for t, a in zip(term.args, key[1], strict=True))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(label: str, text: str) -> str:
    return f"  {label:<12}{text}"


def _typed(name: str, axes: tuple[Axis, ...]) -> str:
    return f"{name}[{names(axes)}]"


# ---- regions ------------------------------------------------------------------------------------


def _region(region: Region, words: Wording) -> list[str]:
    labels = _fold_names(region, words.naming)
    between = _between(region, labels, words.naming)
    labels |= between
    later = _later(region, labels, words.naming)
    words = words.also({**labels, **later})
    made = ", ".join(words.typed(o.array) for o in region.outputs)
    lines = [f"Region {made}", _line("roles", _roles(region))]
    for position, fold in enumerate(region.folds):
        body = f"{fold.kind}[{names(fold.bound)}]({words.of(fold.args[0])})"
        axes = tuple(a for a in (*region.batch, *region.rows, *_columns(region)) if a in fold.axes)
        lines.append(
            _line("state" if not position else "", f"{labels[fold]}[{names(axes)}] = {body}")
        )
    for position, (term, name) in enumerate(between.items()):
        text = f"{_typed(name, _in_order(region, term))} = {words.of(term, True)}"
        lines.append(_line("" if position else "where", text))
    lines += _corrections(region, labels, words)
    for output in region.outputs:
        is_state = output.term in region.folds
        text = f"{words.array(output.array)} = {words.of(output.term, not is_state)}"
        lines.append(_line("result", text))
    for position, (term, name) in enumerate(later.items()):
        text = f"{_typed(name, _in_order(region, term))} = {words.of(term, True)}"
        lines.append(_line("" if position else "with", text))
    lines.append(_line("proof", _proof(region, words)))
    lines.append(_line("merge", _merge(region, labels, words)))
    lines.append(_line("visits", _visits(region, words)))
    return lines


def _fold_names(region: Region, naming: Naming) -> dict[Term, str]:
    """A name for each accumulator: that of the equation which defines it, if there is one."""
    found: dict[Term, str] = {}
    made = {str(output.array) for output in region.outputs}
    written = subterms(*(output.term for output in region.outputs))
    avoided = naming.avoided((o.array for o in region.outputs), written, region.folds)
    for fold in region.folds:
        own = region.terms.names.get(fold)
        letter = "o" if fold.axes & set(_columns(region)) else "r"
        wanted = own if own and own not in made else {"max": "m", "min": "l"}.get(fold.kind, letter)
        found[fold] = naming.state(fold, wanted, avoided)
        avoided.add(found[fold])
    return found


def _between(region: Region, labels: Mapping[Term, str], naming: Naming) -> dict[Term, str]:
    """Names for the wires between the inputs and the accumulators, each for one term only."""
    taken = {*labels.values(), *(naming.array(output.array) for output in region.outputs)}
    found: dict[Term, str] = {}
    known = region.terms.names
    for term in subterms(*(fold.args[0] for fold in region.folds)):
        if term in labels or term not in known or term.op == "load":
            continue
        found[term] = naming.form(term, taken)
        taken.add(found[term])
    return found


def _later(region: Region, labels: Mapping[Term, str], naming: Naming) -> dict[Term, str]:
    """The names that equations give to what is made of the accumulators, and results read."""
    known, found, taken = region.terms.names, dict[Term, str](), set(labels.values())
    for output in region.outputs:
        for term in subterms(output.term):
            if term in known and term not in (*labels, *found) and term.op not in ("load", "fold"):
                if term is not output.term and any(t in region.folds for t in subterms(term)):
                    found[term] = naming.form(term, taken)
                    taken.add(found[term])
    return found


def _in_order(region: Region, term: Term) -> tuple[Axis, ...]:
    """The axes of a term: those of programs, of rows, of columns, what streams, and others."""
    known = (*region.batch, *region.rows, *_columns(region), *region.stream)
    order = {axis: i for i, axis in enumerate(known)}
    return tuple(sorted(ordered(term), key=lambda axis: order.get(axis, len(order))))


def _columns(region: Region) -> tuple[Axis, ...]:
    return tuple(dict.fromkeys(axis for output in region.outputs for axis in output.columns))


def _roles(region: Region) -> str:
    inner = dict.fromkeys(
        axis
        for fold in region.folds
        for term in inner_folds(fold.args[0], frozenset(region.stream))
        for axis in term.bound
    )
    parts = [
        ("grouped, one index a program", region.batch),
        ("grouped in tiles of rows", region.rows),
        ("columns, in one tile where they are few", _columns(region)),
        ("streamed", region.stream),
        ("inside of a tile", tuple(inner)),
    ]
    return "; ".join(f"{names(axes)} {what}" for what, axes in parts if axes)


def _corrections(region: Region, labels: Mapping[Term, str], words: Wording) -> list[str]:
    """How accumulators are corrected when a running maximum moves."""
    lines: list[str] = []
    streamed = frozenset(region.stream)
    for growth in dict.fromkeys(region.growth.values()):
        folds = [fold for fold in region.folds if region.growth.get(fold) is growth]
        extrema = [t for t in subterms(growth) if t.op == "fold" and frozenset(t.bound) == streamed]
        which = ", ".join(labels[fold] for fold in folds)
        maximum = labels.get(extrema[0], "m") if extrema else "m"
        text = _factor(region, folds[0], words, (maximum, f"{maximum}'"))
        told = f"{which} by {text} when {maximum} moves from {maximum} to {maximum}'"
        absent = f"{names(region.stream)} does not occur in it"
        lines.append(_line("" if lines else "correction", f"{told}; {absent}"))
    if not lines:
        lines.append(_line("correction", "none: the accumulators are plain sums"))
    return lines


def _factor(region: Region, fold: Term, words: Wording, maxima: tuple[str, str]) -> str:
    """By what a sum is multiplied when its maximum moves from the first to the second."""
    return ratio(fold.args[0], frozenset(region.stream), words.factor, *maxima)


def _proof(region: Region, words: Wording) -> str:
    pulled = "what waits for a finished fold was pulled out of each sum as a factor"
    still = [t.args[0].data for f in region.folds for t in subterms(f) if t.op == "still"]
    if still:
        shifted = " and ".join(dict.fromkeys(map(words.array, still)))
        along = names(region.stream)
        pulled += f"; only differences of {shifted} along {along} count: each is to its first entry"
    if any(o.written is not o.term for o in region.outputs):
        return f"{pulled}; confirmed in float64 at random points"
    return "no summand waits for a finished fold; confirmed in float64 at random points"


def _merge(region: Region, labels: Mapping[Term, str], words: Wording) -> str:
    """How the states of two parts of the streamed axis become one."""
    parts: list[str] = []
    for fold in region.folds:
        name = labels[fold]
        if fold.kind != "sum":
            parts.append(f"{name} = {fold.kind}({name}', {name}'')")
        elif fold in region.growth:
            growth = region.growth[fold]
            extrema = (t for t in subterms(growth) if t in labels and t.kind in ("max", "min"))
            maximum = next((labels[t] for t in extrema), "m")
            both = (
                f"{name}{mark} * {_factor(region, fold, words, (maximum + mark, maximum))}"
                for mark in ("'", "''")
            )
            parts.append(f"{name} = {' + '.join(both)}")
        else:
            parts.append(f"{name} = {name}' + {name}''")
    return ", ".join(parts)


def _visits(region: Region, words: Wording) -> str:
    axis = names(region.stream)
    found, sure = visible(region), certain(region)
    text = f"every tile of {axis}"
    if found is not None:
        text = f"{axis} {_range(region, found, words)} of a tile, by the mask (verified by isl)"
    if sure is not None:
        text += f"; without the mask {_range(region, sure.span, words)}"
    return text


def _range(region: Region, span: Range, words: Wording) -> str:
    """A range of the streamed axis in words."""
    ends = [end for end in (span.start, span.stop) if end is not None]
    plain = Wording(region.terms, naming=words.naming)
    extremes = {
        fold: f"{'greatest' if fold.kind == 'max' else 'least'} {plain.of(fold.args[0])}"
        for fold in subterms(*ends)
        if fold.op == "fold"
    }
    words = plain.also(extremes)
    start = words.of(span.start) if span.start else "0"
    stop = words.of(span.stop) if span.stop else f"size({names(region.stream)})"
    return f"from {start} up to {stop}"


# ---- the rest -----------------------------------------------------------------------------------


def _scatter(step: Scattered, words: Wording) -> list[str]:
    where = ", ".join(words.of(index) for index in step.indices)
    lanes = names(tuple(axis for axis, _ in step.lanes))
    meets = "no two sources meet: plain writes"
    if step.collides:
        meets = "sources may meet: combined atomically, or sorted by place (deterministic)"
    return [
        f"Scatter {words.typed(step.array)}",
        _line("write", f"{words.array(step.array)}[{where}] {step.op} {words.of(step.source)}"),
        _line("roles", f"{names(step.listed) or 'one'} listed; {lanes or 'no axis'} in slices"),
        _line("proof", meets),
    ]


def _gather(step: Gathered, words: Wording) -> list[str]:
    slices = tuple(axis for axis, _ in step.lanes)
    groups = tuple(a for a in step.array.axes if a not in (*slices, *step.indexed))
    roles = [(step.indexed, "index"), (slices, "in slices"), (groups, "grouped")]
    return [
        f"Gather {words.typed(step.array)}",
        _line("read", f"{words.array(step.array)} = {words.of(step.source, True)}"),
        _line("roles", "; ".join(f"{names(axes)} {what}" for axes, what in roles if axes)),
        _line("proof", "each entry is written once: all axes are grouped"),
    ]


def _product(step: Grouped, words: Wording) -> list[str]:
    keys = ", ".join(f"{axis.name} = {words.of(place)}" for axis, place in step.keys)
    groups = names(tuple(axis for axis, _ in step.keys))
    return [
        f"Grouped product {words.typed(step.array)}",
        _line("product", f"{words.array(step.array)} = {words.of(step.written, True)}"),
        _line("groups", f"rows {names(step.rows)} by {keys}"),
        _line("roles", f"{names(step.columns)} columns; {names(step.bound)} streamed"),
        _line("proof", f"{words.of(step.right)} is one matrix for all rows of the same {groups}"),
    ]


def _recurrence(step: Recurrence, words: Wording) -> list[str]:
    name, axis = words.array(step.array), step.axis.name
    others = names(tuple(a for a in step.array.axes if a is not step.axis))
    earlier = f"{axis} + 1" if step.reverse else f"{axis} - 1"
    return [
        f"Recurrence {words.typed(step.array)}",
        _line("step", f"{name} = a * {name}[{earlier}] + b along {axis}"),
        _line("", f"a = {words.of(step.factor)}"),
        _line("", f"b = {words.of(step.offset)}"),
        _line("proof", f"every term of the step has {name} once, as a factor, or not at all"),
        _line("merge", "a = a'' * a', b = a'' * b' + b'': an associative scan"),
        _line("roles", f"{axis} streamed in tiles; {others or 'nothing'} grouped"),
    ]


def _library(step: Library, words: Wording) -> list[str]:
    lines = [f"Library {words.typed(step.array)} = {words.of(step.term, True)}"]
    for position, term in enumerate(words.inside(step.term)):
        text = f"{_typed(words.of(term), ordered(term))} = {words.of(term, True)}"
        lines.append(_line("" if position else "where", text))
    return lines + _refused(words, step.refusal)


def _refused(words: Wording, refusal: Refusal | None) -> list[str]:
    """Why something does not stream, and where that stands."""
    if refusal is None:
        return []
    lines = [_line("refused", f"`{words.of(refusal.term, True)}` {refusal.reason}")]
    span = words.terms.spans.get(refusal.term)
    return [*lines, _line("", f"at {place(span)}")] if span is not None else lines


def place(span: Span) -> str:
    """Where in the source an expression stands."""
    return f"{span.file}:{span.line}:{span.column}"


def _cost(step: Step, sizes: Mapping[Symbol, int], device: Device, dtype: str) -> list[str]:
    missing = unknown_sizes(step, sizes)
    if missing:
        return [_line("cost", f"known when the sizes are: {', '.join(missing)}")]
    cost = step_cost(step, sizes, device, dtype)
    lines = [_line("cost", cost_text(cost, device, dtype))]
    return [*lines, *_split(step, cost, sizes, device)] if isinstance(step, Region) else lines


def _split(
    region: Region, cost: StepCost, sizes: Mapping[Symbol, int], device: Device
) -> list[str]:
    """How the streamed axis is cut where there are few rows, as in decoding."""
    length = product(axis.size for axis in region.stream).evaluate(sizes)
    tile = cost.tiles.get(region.stream[0], length) or 1
    parts = min(device.processors // max(cost.programs, 1), -(-length // tile) // LEAST_TILES)
    if parts < 2:
        return []
    idle = device.processors - cost.programs
    text = (
        f"{names(region.stream)} in {parts} parts, each with a state, joined by the merge above: "
        f"{_count(cost.programs, 'program')} would leave {idle} of {device.processors} "
        "processors idle"
    )
    return [_line("split", text)]


def cost_text(cost: StepCost, device: Device, dtype: str) -> str:
    """One line: bytes, operations, least time and what binds it."""
    text = (
        f"{engineering(cost.transfers)}B moved, {engineering(cost.flops)}FLOP, "
        f"at least {engineering(cost.seconds)}s on {device.name} in {dtype}, bound by {cost.limit}"
    )
    if cost.tiles:
        tiles = " ".join(f"{axis.name}={tile}" for axis, tile in cost.tiles.items())
        text += f"; tiles {tiles}, {engineering(cost.memory)}B a program, {cost.programs} programs"
    if cost.share < 1:
        text += f"; {cost.share:.1%} of the tiles are visited"
    return text


def cost_lines(
    plan: Plan, title: str, sizes: Mapping[Symbol, int], device: Device, dtype: str
) -> list[str]:
    """The cost of every step, and of all of them one after the other."""
    lines: list[str] = []
    moved = work = seconds = 0.0
    for step in told_steps(plan):
        cost = step_cost(step, sizes, device, dtype)
        moved, work, seconds = moved + cost.transfers, work + cost.flops, seconds + cost.seconds
        name = ", ".join(_typed(str(array), array.axes) for array in arrays_of(step))
        lines.append(f"{'library' if isinstance(step, Library) else 'kernel'} {name}")
        lines.append(f"  {cost_text(cost, device, dtype)}")
    total = (
        f"{engineering(moved)}B moved, {engineering(work)}FLOP, at least {engineering(seconds)}s"
    )
    return [*lines, f"{title}: {total}"]
