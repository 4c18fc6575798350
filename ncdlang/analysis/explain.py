"""The derivation of a diagram's kernels as a short argument that a person can follow."""

from __future__ import annotations

from collections.abc import Mapping

from ncdlang.analysis.choices import choice_lines
from ncdlang.analysis.devices import Device
from ncdlang.analysis.proof import ratio
from ncdlang.analysis.recurrences import Recurrence
from ncdlang.analysis.region_cost import StepCost, step_cost, unknown_sizes
from ncdlang.analysis.roles import inner_folds
from ncdlang.analysis.scatters import Scattered
from ncdlang.analysis.steps import Library, Plan, Region, Step, arrays_of
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
    regions = plan.regions
    scans = [step for step in plan.steps if isinstance(step, Recurrence)]
    scatters = [step for step in plan.steps if isinstance(step, Scattered)]
    left = len(plan.steps) - len(regions) - len(scans) - len(scatters)
    streams = f"{_count(len(regions), 'region')} stream{'s' if len(regions) == 1 else ''}"
    if scans:
        is_one = len(scans) == 1
        streams += f", {_count(len(scans), 'recurrence')} {'is a scan' if is_one else 'are scans'}"
    if scatters:
        streams += f", {_count(len(scatters), 'scatter')}"
    rest = f"{_count(left, 'piece')} {'is' if left == 1 else 'are'} left to the library"
    lines = [f"{title}: {streams}, {rest}."]
    for step in plan.steps:
        lines.append("")
        if isinstance(step, Region):
            lines += _region(step)
        elif isinstance(step, Recurrence):
            lines += _recurrence(step)
        elif isinstance(step, Scattered):
            lines += _scatter(step)
        else:
            lines += _library(plan, step)
        lines += _cost(step, sizes, device, dtype)
    lines += choice_lines(plan, sizes, device, dtype)
    return "\n".join(lines) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(label: str, text: str) -> str:
    return f"  {label:<12}{text}"


def _typed(name: str, axes: tuple[Axis, ...]) -> str:
    return f"{name}[{names(axes)}]"


# ---- regions ------------------------------------------------------------------------------------


def _region(region: Region) -> list[str]:
    labels = fold_names(region)
    between = _between(region, labels)
    labels |= between
    words = Wording(region.terms, labels)
    made = ", ".join(_typed(str(o.array), o.array.axes) for o in region.outputs)
    lines = [f"Region {made}", _line("roles", _roles(region))]
    for position, fold in enumerate(region.folds):
        body = f"{fold.kind}[{names(fold.bound)}]({_summand(words, fold)})"
        axes = tuple(a for a in (*region.batch, *region.rows, *_columns(region)) if a in fold.axes)
        lines.append(
            _line("state" if not position else "", f"{labels[fold]}[{names(axes)}] = {body}")
        )
    for position, (term, name) in enumerate(between.items()):
        text = f"{name}[{names(ordered(term))}] = {words.of(term, True)}"
        lines.append(_line("" if position else "where", text))
    lines += _corrections(region, labels)
    for output in region.outputs:
        lines.append(_line("result", f"{output.array} = {words.of(output.term, True)}"))
    lines.append(_line("proof", _proof(region)))
    lines.append(_line("merge", _merge(region, labels)))
    lines.append(_line("visits", _visits(region)))
    return lines


def fold_names(region: Region) -> dict[Term, str]:
    """A name for each accumulator: that of the equation which defines it, if there is one."""
    found: dict[Term, str] = {}
    taken = {str(output.array) for output in region.outputs}
    for fold in region.folds:
        wanted = region.terms.names.get(fold) or {"sum": "o", "max": "m", "min": "l"}[fold.kind]
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}{count}"
        taken.add(name)
        found[fold] = name
    return found


def _between(region: Region, labels: Mapping[Term, str]) -> dict[Term, str]:
    """Names for the wires between the inputs and the accumulators, each for one term only."""
    taken = {*labels.values(), *(str(output.array) for output in region.outputs)}
    found: dict[Term, str] = {}
    known = region.terms.names
    for term in subterms(*(fold.args[0] for fold in region.folds)):
        if term in labels or term not in known or term.op == "load":
            continue
        name, count = known[term], 1
        while name in taken:
            count += 1
            name = f"{known[term]}{count}"
        taken.add(name)
        found[term] = name
    return found


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
        ("resident or grouped columns", _columns(region)),
        ("streamed", region.stream),
        ("inside of a tile", tuple(inner)),
    ]
    return "; ".join(f"{names(axes)} {what}" for what, axes in parts if axes)


def _summand(words: Wording, fold: Term) -> str:
    return words.of(fold.args[0], fold.args[0] in words.known and fold.args[0].op == "fold")


def _corrections(region: Region, labels: Mapping[Term, str]) -> list[str]:
    """How accumulators are corrected when a running maximum moves."""
    lines: list[str] = []
    streamed = frozenset(region.stream)
    for growth in dict.fromkeys(region.growth.values()):
        folds = [fold for fold in region.folds if region.growth.get(fold) is growth]
        extrema = [t for t in subterms(growth) if t.op == "fold" and frozenset(t.bound) == streamed]
        which = ", ".join(labels[fold] for fold in folds)
        text = ratio(folds[0].args[0], streamed)
        maximum = ", ".join(labels.get(fold, "m") for fold in extrema)
        lines.append(
            _line(
                "correction",
                f"{which} by {text} when {maximum} moves from m to m'; "
                f"{names(region.stream)} does not occur in it",
            )
        )
    if not lines:
        lines.append(_line("correction", "none: the accumulators are plain sums"))
    return lines


def _proof(region: Region) -> str:
    pulled = "what waits for a finished fold was pulled out of each sum as a factor"
    still = [t.args[0].data for f in region.folds for t in subterms(f) if t.op == "still"]
    if still:
        shifted = " and ".join(dict.fromkeys(map(str, still)))
        along = names(region.stream)
        pulled += f"; only differences of {shifted} along {along} count: each is to its first entry"
    if any(o.written is not o.term for o in region.outputs):
        return f"{pulled}; confirmed in float64 at random points"
    return "no summand waits for a finished fold; confirmed in float64 at random points"


def _merge(region: Region, labels: Mapping[Term, str]) -> str:
    """How the states of two parts of the streamed axis become one."""
    parts: list[str] = []
    for fold in region.folds:
        name = labels[fold]
        if fold.kind != "sum":
            parts.append(f"{name} = {fold.kind}({name}', {name}'')")
        elif fold in region.growth:
            parts.append(f"{name} = corrected {name}' + corrected {name}''")
        else:
            parts.append(f"{name} = {name}' + {name}''")
    return ", ".join(parts)


def _visits(region: Region) -> str:
    axis = names(region.stream)
    found, sure = visible(region), certain(region)
    text = f"every tile of {axis}"
    if found is not None:
        text = f"{axis} {_range(region, found)} of a tile, by the mask (verified by isl)"
    if sure is not None:
        text += f"; without the mask {_range(region, sure.span)}"
    return text


def _range(region: Region, span: Range) -> str:
    """A range of the streamed axis in words."""
    ends = [end for end in (span.start, span.stop) if end is not None]
    plain = Wording(region.terms)
    extremes = {
        fold: f"{'greatest' if fold.kind == 'max' else 'least'} {plain.of(fold.args[0])}"
        for fold in subterms(*ends)
        if fold.op == "fold"
    }
    words = Wording(region.terms, extremes)
    start = words.of(span.start) if span.start else "0"
    stop = words.of(span.stop) if span.stop else f"size({names(region.stream)})"
    return f"from {start} up to {stop}"


# ---- the rest -----------------------------------------------------------------------------------


def _scatter(step: Scattered) -> list[str]:
    words, name = Wording(step.terms), step.array.name
    where = ", ".join(words.of(index) for index in step.indices)
    lanes = names(tuple(axis for axis, _ in step.lanes))
    meets = "no two sources meet: plain writes"
    if step.collides:
        meets = "sources may meet: combined atomically, or sorted by place (deterministic)"
    return [
        f"Scatter {_typed(str(step.array), step.array.axes)}",
        _line("write", f"{name}[{where}] {step.op} {words.of(step.source)}"),
        _line("roles", f"{names(step.listed) or 'one'} listed; {lanes or 'no axis'} in slices"),
        _line("proof", meets),
    ]


def _recurrence(step: Recurrence) -> list[str]:
    words, name, axis = Wording(step.terms), step.array.name, step.axis.name
    others = names(tuple(a for a in step.array.axes if a is not step.axis))
    earlier = f"{axis} + 1" if step.reverse else f"{axis} - 1"
    return [
        f"Recurrence {_typed(str(step.array), step.array.axes)}",
        _line("step", f"{name} = a * {name}[{earlier}] + b along {axis}"),
        _line("", f"a = {words.of(step.factor)}"),
        _line("", f"b = {words.of(step.offset)}"),
        _line("proof", f"every term of the step has {name} once, as a factor, or not at all"),
        _line("merge", "a = a'' * a', b = a'' * b' + b'': an associative scan"),
        _line("roles", f"{axis} streamed in tiles; {others or 'nothing'} grouped"),
    ]


def _library(plan: Plan, step: Library) -> list[str]:
    words = Wording(plan.opened.terms)
    lines = [f"Library {_typed(str(step.array), step.array.axes)} = {words.of(step.term, True)}"]
    if step.refusal is not None:
        term = step.refusal.term
        lines.append(_line("refused", f"`{words.of(term, True)}` {step.refusal.reason}"))
        span = plan.opened.terms.spans.get(term)
        if span is not None:
            lines.append(_line("", f"at {place(span)}"))
    return lines


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
    """What a split of the streamed axis would give where there are few rows, as in decoding."""
    length = product(axis.size for axis in region.stream).evaluate(sizes)
    tile = cost.tiles.get(region.stream[0], length) or 1
    idle = device.processors - cost.programs
    parts = min(-(-device.processors // max(cost.programs, 1)), -(-length // tile))
    if parts < 2:
        return []
    text = (
        f"{names(region.stream)} could be cut into {parts} parts, joined by the merge above: "
        f"{_count(cost.programs, 'program')} leave{'s' if cost.programs == 1 else ''} {idle} of "
        f"{device.processors} processors idle; the kernel is written without"
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
    for step in plan.steps:
        cost = step_cost(step, sizes, device, dtype)
        moved, work, seconds = moved + cost.transfers, work + cost.flops, seconds + cost.seconds
        name = ", ".join(_typed(str(array), array.axes) for array in arrays_of(step))
        lines.append(f"{'library' if isinstance(step, Library) else 'kernel'} {name}")
        lines.append(f"  {cost_text(cost, device, dtype)}")
    total = (
        f"{engineering(moved)}B moved, {engineering(work)}FLOP, at least {engineering(seconds)}s"
    )
    return [*lines, f"{title}: {total}"]
