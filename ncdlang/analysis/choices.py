"""What a choice between two orders of the same sums says of itself: both costs, and from where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ncdlang.analysis.associate import MARGIN
from ncdlang.analysis.devices import Device
from ncdlang.analysis.plan import make_plan
from ncdlang.analysis.region_cost import step_cost, unknown_sizes
from ncdlang.analysis.steps import Choice, Library, Plan
from ncdlang.analysis.terms import ordered
from ncdlang.analysis.wording import Wording, engineering, names
from ncdlang.semantics.size import Size, Symbol
from ncdlang.semantics.types import Axis

MAX_LENGTH = 1 << 40


def choice_lines(
    plan: Plan, words: Wording, sizes: Mapping[Symbol, int], device: Device, dtype: str
) -> list[str]:
    """A paragraph for each choice, and the costs of the whole diagram either way."""
    lines: list[str] = []
    for choice in plan.choices:
        lines += ["", *_choice(choice, words, sizes)]
    if plan.choices:
        lines += _totals(plan, sizes, device, dtype)
    return lines


def _line(label: str, text: str) -> str:
    return f"  {label:<12}{text}"


def _choice(choice: Choice, words: Wording, sizes: Mapping[Symbol, int]) -> list[str]:
    found = choice.association
    scores = ", ".join(dict.fromkeys(words.of(term) for term in found.scores))
    lines = [
        f"Order of the sums in {words.typed(choice.array)}",
        _line("instead of", scores),
    ]
    rest = [term for term, _ in found.rest]
    for label, made in (("first", found.sums), ("then", rest)):
        for position, term in enumerate(made):
            text = f"{words.of(term)}[{names(ordered(term))}] = {words.of(term, True)}"
            lines.append(_line("" if position else label, text))
    tiles = {axis for array in found.made for axis in array.axes}
    lines += [
        _line("operations", f"as written {_polynomial(found.before, tiles)}"),
        _line("", f"reordered {_polynomial(found.after, tiles)}"),
    ]
    if (found.before + found.after).symbols() <= sizes.keys():
        counts = (found.before.evaluate(sizes), found.after.evaluate(sizes))
        shown = " against ".join(f"{engineering(count)}FLOP" for count in counts)
        lines.append(_line("", shown))
    taken = "reordered" if choice.taken else "as written"
    return [*lines, _line("taken", f"{taken}; {_from(choice, sizes)}")]


def _polynomial(size: Size, tiles: Iterable[Axis]) -> str:
    """A number of operations in the names of the axes."""
    text = size.render(lambda symbol: symbol.name, as_made=True)
    for axis in tiles:
        if "//" in str(axis.size):
            count = axis.size.render(lambda symbol: symbol.name, as_made=True)
            text = text.replace(f"({count})", axis.name)
    return text


def _from(choice: Choice, sizes: Mapping[Symbol, int]) -> str:
    """From what sizes on the other order pays."""
    found = choice.association
    others = {s: n for s, n in sizes.items() if s not in found.long}
    share = f"less than 1/{MARGIN} of the operations"
    if not (found.before + found.after).symbols() <= {*others, *found.long}:
        return f"reordered pays where it takes {share}"
    least = threshold(choice, others)
    axes = " = ".join(symbol.name for symbol in found.long)
    place = f"from {axes} = {least} on" if least is not None else f"for no {axes}"
    return f"reordered takes {share} {place}"


def threshold(choice: Choice, others: Mapping[Symbol, int]) -> int | None:
    """The least common length of the long axes from which on the other order pays."""
    found = choice.association

    def pays(length: int) -> bool:
        return found.pays({**others, **dict.fromkeys(found.long, length)})

    high = 1
    while not pays(high):
        high *= 2
        if high > MAX_LENGTH:
            return None
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return high


def _totals(plan: Plan, sizes: Mapping[Symbol, int], device: Device, dtype: str) -> list[str]:
    lines: list[str] = []
    for order, label in (("written", "as written"), ("other", "reordered")):
        other = make_plan(plan.opened, sizes, order)
        if any(unknown_sizes(step, sizes) for step in other.steps):
            return []
        costs = [step_cost(step, sizes, device, dtype) for step in other.steps]
        moved, work = sum(c.transfers for c in costs), sum(c.flops for c in costs)
        seconds = sum(c.seconds for c in costs)
        kernels = sum(not isinstance(step, Library) for step in other.steps)
        lines.append(
            _line(
                "cost" if not lines else "",
                f"{label} {engineering(moved)}B moved, {engineering(work)}FLOP, at least "
                f"{engineering(seconds)}s; kernels: {kernels}, library calls: "
                f"{len(costs) - kernels}",
            )
        )
    return lines
