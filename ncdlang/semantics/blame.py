"""Finds the declaration that is to blame for mistakes found at its uses.

What a type lacks shows where a wire is read. If one change of a declaration makes the whole
diagram consistent, and the uses agree with each other rather than with it, then the declaration
has the mistake: all that was found becomes one error there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ncdlang.diagnostics import Diagnostic, Fix, Label, Sink
from ncdlang.records import record
from ncdlang.semantics.remedies import occurrences
from ncdlang.semantics.report import counted, listed
from ncdlang.source import Source, Span
from ncdlang.spelling import closest
from ncdlang.syntax import tree
from ncdlang.syntax.parser import parse

if TYPE_CHECKING:
    from ncdlang.semantics.binding import InstanceKey
    from ncdlang.semantics.module import ModuleChecker
    from ncdlang.semantics.types import Axis

_CODES = frozenset(
    (
        "NCD2001",
        "NCD2002",
        "NCD2003",
        "NCD2004",
        "NCD2005",
        "NCD2006",
        "NCD2010",
        "NCD4003",
        "NCD4004",
    )
)
_MOST_ERRORS = 6
_MOST_TRIED = 24
_LONGEST = 5000
_SLIP = 3
"""An axis that is named more often is no slip."""
_ITEM = re.compile(r"\([^()]*\)|[^\W\d]\w*'*")
_NAME = re.compile(r"[^\W\d]\w*'*")


@record
class Repair:
    """A change of one declaration, and what is to be said if it is what was meant."""

    span: Span
    text: str
    code: str
    message: str
    label: str
    labels: tuple[Label, ...] = ()


@record
class Typed:
    """A wire whose axes are written: an input, a raw parameter, or one that is defined."""

    name: str
    axes: Span
    is_input: bool

    @property
    def items(self) -> list[str]:
        """The axes as they are written."""
        return _ITEM.findall(self.axes.text)

    def with_items(self, items: Sequence[str]) -> str:
        """The brackets with other axes."""
        is_plain = all(item[0] != "(" for item in items)
        return f"[{(' ' if is_plain else ', ').join(items)}]"


@record
class Case:
    """A diagram and what is wrong with it."""

    module: ModuleChecker
    declaration: tree.Diagram
    found: tuple[Diagnostic, ...]

    @property
    def types(self) -> list[Typed]:
        """Every type that the diagram writes, its result apart; a left side states one too."""
        return list(_types(self.declaration))

    def count(self, name: str) -> int:
        """How often the diagram names something."""
        return len(occurrences(self.declaration.span, name))

    def uses(self, text: str) -> tuple[Label, ...]:
        """Labels for the places where the mistakes showed."""
        spans = dict.fromkeys(diagnostic.span for diagnostic in self.found)
        return tuple(Label(span, text) for span in spans)


def blamed(
    module: ModuleChecker,
    declaration: tree.Diagram,
    key: InstanceKey,
    found: tuple[Diagnostic, ...],
) -> tuple[Diagnostic, ...]:
    """The mistakes found in a diagram, or the one in a declaration that caused them all."""
    case = Case(module, declaration, found)
    if not found or len(found) > _MOST_ERRORS or len(declaration.span.text) > _LONGEST:
        return found
    if any(d.code not in _CODES for d in found) or module.has_broken(declaration.span):
        return found
    seen: set[tuple[Span, str]] = set()
    for repair in _repairs(case):
        if len(seen) >= _MOST_TRIED:
            break
        if (repair.span, repair.text) in seen:
            continue
        seen.add((repair.span, repair.text))
        if _is_consistent(module, declaration, key, repair):
            return (_diagnostic(repair),)
    return found


def _diagnostic(repair: Repair) -> Diagnostic:
    fix = Fix(f"write `{repair.text}`", ((repair.span, repair.text),), safe=False)
    return Diagnostic(
        repair.code,
        repair.message,
        repair.span,
        repair.label,
        repair.labels,
        help=f"did you mean `{repair.text}`?",
        fix=fix,
    )


def _is_consistent(
    module: ModuleChecker, declaration: tree.Diagram, key: InstanceKey, repair: Repair
) -> bool:
    """Whether a diagram has no mistakes after a change. Nothing that it finds is kept."""
    from ncdlang.semantics.body import Body

    span = declaration.span
    start, end = repair.span.start - span.start, repair.span.end - span.start
    parsed = parse(Source(span.file, span.text[:start] + repair.text + span.text[end:]))
    changed = [d for d in parsed.file.declarations if isinstance(d, tree.Diagram)]
    if parsed.diagnostics or len(changed) != 1:
        return False
    told, module.told = module.told, set()
    try:
        return Body(module, changed[0], key, Sink()).is_consistent()
    finally:
        module.told = told


# ---- results -------------------------------------------------------------------------------------


def is_wrong_promise(
    declaration: tree.Diagram,
    promised: Sequence[Axis],
    given: Sequence[Axis],
    returned: str,
    is_stated: bool,
) -> bool:
    """Whether the promised type of a result, rather than what is returned, has the mistake.

    It has if the wire that is `returned` is stated to have axes that are not promised, or if the
    order of the same axes in other types speaks for the order that is returned. An input that is
    returned as it is may have been meant to be transposed.
    """
    named = [typed for typed in _types(declaration) if typed.name == returned]
    is_stated = is_stated or any(not typed.is_input for typed in named)
    if any(typed.is_input for typed in named):
        return False
    if set(promised) < set(given):
        return is_stated
    if set(promised) != set(given):
        return False
    lists = [[_plain(item) for item in typed.items] for typed in _types(declaration)]
    return _agreement(given, lists) > _agreement(promised, lists)


def _agreement(axes: Sequence[Axis], lists: list[list[str]]) -> int:
    """How many pairs of axes, by the names without primes, stand in the same order in lists."""
    names = [_plain(axis.name) for axis in axes]
    return sum(
        found.index(first) < found.index(second)
        for found in lists
        for place, first in enumerate(names)
        for second in names[place + 1 :]
        if first in found and second in found
    )


def _plain(name: str) -> str:
    return name.rstrip("'")


# ---- what may be wrong ---------------------------------------------------------------------------


def _repairs(case: Case) -> Iterator[Repair]:
    """Changes that are likelier than as many mistakes at the uses, the likeliest first."""
    for diagnostic in case.found:
        if diagnostic.code == "NCD2005":
            yield from _read_otherwise(case, diagnostic)
    first, *others = case.found
    if others or first.code in ("NCD2005", "NCD4003"):
        yield from _superfluous(case)
    for diagnostic in case.found:
        if diagnostic.code == "NCD2002":
            yield from _defined_twice(case, diagnostic)
    for diagnostic in case.found:
        name = diagnostic.span.text
        if diagnostic.code in ("NCD2001", "NCD2003") and _NAME.fullmatch(name):
            yield from _misnamed(case, name)
            if diagnostic.code == "NCD2003":
                yield from _missing(case, diagnostic.span, name)


def _types(declaration: tree.Diagram) -> Iterator[Typed]:
    for parameter in declaration.parameters:
        if isinstance(parameter.type, tree.ArrayTypeExpr):
            name = parameter.name.text if parameter.name is not None else ""
            yield Typed(name, parameter.type.axes.span, True)
    yield from _types_in(declaration.body or ())


def _types_in(statements: Sequence[tree.Statement]) -> Iterator[Typed]:
    for statement in statements:
        match statement:
            case tree.Learn(spec=tree.ArrayTypeExpr() as written):
                for name in statement.names:
                    yield Typed(name.text, written.axes.span, False)
            case tree.Equation(op="="):
                for target in statement.targets:
                    if target.brackets is not None:
                        yield Typed(target.name.text, target.brackets.span, False)
            case tree.Declaration(type=tree.ArrayTypeExpr() as written):
                yield Typed(statement.name.text, written.axes.span, False)
            case tree.Block():
                yield from _types_in(statement.body)
            case _:
                pass


def _read_otherwise(case: Case, diagnostic: Diagnostic) -> Iterator[Repair]:
    """All reads of a wire agree on a number of axes, and its type has another."""
    name = diagnostic.span.text.partition("[")[0]
    typed = next((typed for typed in case.types if typed.name == name), None)
    reads = list(_reads(case, name))
    if typed is None or not typed.items or "(" in typed.axes.text:
        return
    reads = [(span, items) for span, items in reads if span.end != typed.axes.end]
    counts = {len(read) for _, read in reads}
    declared = typed.items
    if len(counts) != 1 or counts == {len(declared)}:
        return
    count = counts.pop()
    is_voted = len(reads) > 1
    if not is_voted and (count < len(declared) or not _are_known(case, reads[0][1], name)):
        return
    for items in _fitted(declared, reads, count):
        missing = listed(item for item in items if item not in declared)
        yield Repair(
            typed.axes,
            typed.with_items(items),
            "NCD2005",
            f"`{name}` has {counted(len(declared), 'axis')}, "
            f"but {counted(count, 'index')} {'is' if count == 1 else 'are'} given",
            f"axis {missing} is missing" if missing else "too many axes",
            tuple(Label(span, counted(count, "index")) for span, _ in reads[:3]),
        )


def _reads(case: Case, name: str) -> Iterator[tuple[Span, list[str]]]:
    """The reads `name[...]` of a wire, with their indices as they are written."""
    for use in occurrences(case.declaration.span, name):
        text = use.source.text
        brackets = re.match(
            r"\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]", text[use.end : use.end + 200]
        )
        if brackets is None:
            continue
        slots = brackets[1].split(",")
        items = [
            item
            for slot in slots
            for item in (slot.split() if re.fullmatch(r"[\w' ]+", slot) else [slot.strip()])
        ]
        yield Span(use.source, use.start, use.end + brackets.end()), items


def _are_known(case: Case, read: Sequence[str], wire: str) -> bool:
    """Whether everything that a read of a wire names occurs in the rest of the diagram too."""
    names = [name for item in read for name in _NAME.findall(item) if name != "size"]
    return all(_NAME.search(item) for item in read) and all(
        case.count(name) > names.count(name) for name in names if name != wire
    )


def _fitted(
    declared: list[str], reads: list[tuple[Span, list[str]]], count: int
) -> Iterator[list[str]]:
    """The axes that a type may have been meant to have, if wires of it have `count` indices."""
    for _, read in reads:
        if all(_NAME.fullmatch(item) for item in read) and len(set(read)) == count:
            if [item for item in read if item in declared] == declared:
                yield read
    if count == len(declared) - 1:
        for place in range(len(declared)):
            yield declared[:place] + declared[place + 1 :]
    if count == len(declared) + 1:
        for place in range(count):
            item = reads[0][1][place]
            names = [name for name in _NAME.findall(item) if name not in declared]
            name = item if _NAME.fullmatch(item) and item not in declared else None
            fresh = next(letter for letter in "yxzuvwabcd" if letter not in (*declared, *names))
            yield [*declared[:place], name or fresh, *declared[place:]]


def _superfluous(case: Case) -> Iterator[Repair]:
    """An axis that only one type names."""
    for typed in case.types:
        items = typed.items
        for place, item in enumerate(items):
            if _NAME.fullmatch(item) and case.count(item) == 1:
                name = f" of `{typed.name}`" if typed.name else ""
                yield Repair(
                    typed.axes,
                    typed.with_items(items[:place] + items[place + 1 :]),
                    case.found[0].code,
                    f"axis `{item}`{name} is named nowhere else",
                    "its uses do without",
                    case.uses("used here"),
                )


def _misnamed(case: Case, name: str) -> Iterator[Repair]:
    """Something is defined by a name that nothing uses, and another name is used and not
    defined."""
    for other in _defined(case.declaration):
        is_slip = (
            other.text != name
            and case.count(other.text) == 1
            and (case.count(name) > 1 or case.module.is_commoner(name, other.text))
        )
        if is_slip:
            yield Repair(
                other.span,
                name,
                "NCD2001",
                f"nothing uses `{other.text}`, and nothing defines `{name}`",
                f"`{name}` is meant",
                case.uses(f"`{name}` is used here"),
            )


def _defined_twice(case: Case, diagnostic: Diagnostic) -> Iterator[Repair]:
    """One of two definitions of a name was meant for a name that nothing defines."""
    for other in case.found:
        name = other.span.text
        if other.code == "NCD2001" and _NAME.fullmatch(name):
            labels = (*diagnostic.labels, Label(other.span, f"nothing defines `{name}`"))
            yield Repair(
                diagnostic.span, name, "NCD2002", diagnostic.message, diagnostic.label, labels
            )


def _defined(declaration: tree.Diagram) -> Iterator[tree.Name]:
    if declaration.formals is not None:
        for entry in (*declaration.formals.entries, *(declaration.formals.arrow or ())):
            if isinstance(entry.name, tree.Name):
                yield entry.name
    for parameter in declaration.parameters:
        if parameter.name is not None:
            yield parameter.name
        if isinstance(parameter.type, tree.ArrayTypeExpr):
            for slot in parameter.type.axes.slots:
                yield from (item for item in slot.items if isinstance(item, tree.Name))
    yield from _defined_in(declaration.body or ())


def _defined_in(statements: Sequence[tree.Statement]) -> Iterator[tree.Name]:
    for statement in statements:
        match statement:
            case tree.Learn():
                yield from statement.names
            case tree.Equation():
                yield from (target.name for target in statement.targets)
            case tree.AxisStatement():
                yield from (item.name for item in statement.items)
            case tree.Block():
                yield from _defined_in(statement.body)
            case _:
                pass


def _missing(case: Case, use: Span, name: str) -> Iterator[Repair]:
    """No input has an axis that the body uses, and no name of an axis resembles it."""
    header = case.declaration.header
    if header.start <= use.start < header.end:
        return
    axes = {item for typed in case.types for item in typed.items if _NAME.fullmatch(item)}
    if closest(name, axes - {name}) is not None:
        return
    message = f"there is no axis named `{name}` here: no input has it"
    labels = case.uses("used here")
    for typed in case.types:
        items = typed.items
        is_alone = case.count(name) < 2 and not _stands_beside(use, items)
        if not typed.is_input or name in items or is_alone:
            continue
        for place in _likely_places(items, use):
            text = typed.with_items([*items[:place], name, *items[place:]])
            yield Repair(typed.axes, text, "NCD2003", message, f"`{name}` is missing", labels)
    result = case.declaration.result
    if (
        case.declaration.formals is None
        and occurrences(result.span, name)
        and case.count(name) > _SLIP
    ):
        head = case.declaration.name
        yield Repair(
            head.span, f"{head.text}[{name}]", "NCD2003", message, "it is no free axis", labels
        )


def _likely_places(items: list[str], use: Span) -> list[int]:
    """Where an axis may be missing in a type: first where it stands where it is used."""
    line = use.lines()
    before = _NAME.findall(line.source.text[line.start : use.start])
    after = [place + 1 for place, item in enumerate(items) if item in before]
    first = max(after, default=0)
    return [first, *(place for place in range(len(items) + 1) if place != first)]


def _stands_beside(use: Span, items: list[str]) -> bool:
    """Whether the brackets around a name list one of the axes `items` too."""
    text = use.source.text
    start, end = text.rfind("[", 0, use.start), text.find("]", use.end)
    if start < 0 or end < 0 or "]" in text[start : use.start]:
        return False
    return not set(_NAME.findall(text[start:end])).isdisjoint(items)
